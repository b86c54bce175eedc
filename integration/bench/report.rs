//! `docs/benchmarks.md` and its charts, made of the records. Owns the goals, the tables and the words between; does not know
//! how anything was measured.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::chart::{Group, bars};
use super::record::{Cost, Record, Row, Run, Work};

/// What contenders are called, by their scripts, in the order of the tables. The first of each kind is kso.
const NAMES: &[(Work, &str, &str)] = &[
    (Work::Files, "kso-files", "kso"),
    (Work::Files, "kso-files-zstd", "kso, zstd"),
    (Work::Files, "dockerfile", "templated Dockerfile"),
    (Work::Files, "curl", "curl and tar (floor)"),
    (Work::Images, "kso-images", "kso"),
    (Work::Images, "kso-images-uncompressed", "kso, uncompressed"),
    (Work::Images, "script", "registry and skopeo script"),
    (Work::Images, "links", "skopeo and hard links"),
    (Work::Images, "archives", "docker archives"),
    (Work::Images, "hauler", "hauler"),
    (Work::Images, "blobs", "curl of the blobs (floor)"),
];

const ROWS: [Row; 4] = [Row::Cold, Row::Warm, Row::Changed, Row::Architecture];

fn row(row: Row, work: Work) -> &'static str {
    match (row, work) {
        (Row::Cold, _) => "cold",
        (Row::Warm, _) => "nothing changed",
        (Row::Changed, Work::Images) => "one image upgraded",
        (Row::Changed, _) => "one file changed",
        (Row::Architecture, _) => "arm64 added",
    }
}

/// A figure of a run.
struct Figure {
    name: &'static str,
    of: fn(&Run) -> f64,
    shown: fn(f64) -> String,
}

const WALL: Figure = Figure { name: "time", of: |run| run.wall, shown: seconds };
const FETCHED: Figure = Figure { name: "fetched", of: |run| float(run.fetched), shown: size };
const PUSHED: Figure = Figure { name: "pushed", of: |run| float(run.pushed), shown: size };
const PULLED: Figure = Figure { name: "pulled again", of: |run| float(run.pulled_again), shown: size };
const FIGURES: &[Figure] = &[
    Figure { name: "processor", of: |run| run.cpu, shown: seconds },
    FETCHED,
    PUSHED,
    PULLED,
    Figure { name: "layers", of: |run| float(run.layers), shown: |layers| format!("{layers:.0}") },
    Figure { name: "memory, client", of: |run| float(run.client_memory), shown: size },
    Figure { name: "memory, daemon", of: |run| float(run.daemon_memory), shown: size },
];

/// A promise: kso's figure is at most so many times another's.
struct Goal {
    work: Work,
    row: Row,
    figure: Figure,
    than: &'static str,
    most: f64,
}

const GOALS: &[Goal] = &[
    Goal { work: Work::Files, row: Row::Cold, figure: WALL, than: "dockerfile", most: 0.5 },
    Goal { work: Work::Files, row: Row::Cold, figure: WALL, than: "curl", most: 2.0 },
    Goal { work: Work::Files, row: Row::Changed, figure: WALL, than: "dockerfile", most: 0.05 },
    Goal { work: Work::Files, row: Row::Cold, figure: FETCHED, than: "dockerfile", most: 0.5 },
    Goal { work: Work::Files, row: Row::Changed, figure: FETCHED, than: "dockerfile", most: 0.5 },
    Goal { work: Work::Files, row: Row::Cold, figure: PUSHED, than: "dockerfile", most: 0.5 },
    Goal { work: Work::Files, row: Row::Changed, figure: PUSHED, than: "dockerfile", most: 0.5 },
    Goal { work: Work::Files, row: Row::Changed, figure: PULLED, than: "dockerfile", most: 0.05 },
    Goal { work: Work::Images, row: Row::Cold, figure: WALL, than: "script", most: 0.5 },
    Goal { work: Work::Images, row: Row::Cold, figure: WALL, than: "hauler", most: 1.0 },
    Goal { work: Work::Images, row: Row::Cold, figure: WALL, than: "blobs", most: 2.0 },
    Goal { work: Work::Images, row: Row::Changed, figure: WALL, than: "script", most: 0.1 },
];

/// The sizes, in the order of the page.
pub(crate) const SIZES: [&str; 2] = ["small", "kubespray"];

/// The page and its charts, by their names below `docs/`.
pub(crate) fn page(records: &[Record]) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut page = include_str!("words/head.txt").to_owned();
    for record in records {
        section(record, &mut page, &mut files);
    }
    if let Some(record) = records.iter().find(|record| !record.frontend.is_empty()) {
        frontend(&record.frontend, &mut page);
    }
    page.push_str(include_str!("words/tail.txt"));
    files.insert("benchmarks.md".to_owned(), page);
    files
}

fn section(record: &Record, page: &mut String, files: &mut BTreeMap<String, String>) {
    let bytes = |name: &str| size(float(record.inputs.get(name).copied().unwrap_or(0)));
    let count = |name: &str| record.inputs.get(name).copied().unwrap_or(0);
    let _ = writeln!(page, "## `SIZE={}`\n", record.size);
    let _ = writeln!(
        page,
        "{} files of {}, {} images for two platforms with {} blobs of {}. Each contender ran {} in turn; the figures are \
         medians.\n",
        count("files"),
        bytes("file bytes"),
        count("images"),
        count("image blobs"),
        bytes("image blob bytes"),
        times(record.times()),
    );
    for (name, value) in &record.machine {
        let _ = writeln!(page, "* {name}: {value}");
    }
    goals(record, page);
    for (work, title) in [(Work::Files, "Files"), (Work::Images, "Images")] {
        let _ = writeln!(page, "\n### {title}\n");
        let name = format!("benchmarks/{}-{}.svg", record.size, title.to_lowercase());
        let _ = writeln!(page, "![{title}: seconds of each contender]({name})\n");
        files.insert(name, chart(record, work, title));
        ratios(record, work, page);
        for each in ROWS {
            figures(record, work, each, page);
        }
    }
    exporters(record, page);
}

fn times(count: u32) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
}

/// The contenders of a kind that took part.
fn contenders(record: &Record, work: Work) -> impl Iterator<Item = (&'static str, &'static str)> {
    let took_part = move |script: &str| record.runs.iter().any(|run| run.work == work && run.contender == script);
    NAMES
        .iter()
        .filter(move |(of, script, _)| *of == work && took_part(script))
        .map(|(_, script, name)| (*script, *name))
}

/// Each goal, for kso as it comes and with the compression of the guide.
fn goals(record: &Record, page: &mut String) {
    let _ = writeln!(
        page,
        "\n### Goals\n\n| kso compared | at most | kso | | kso, zstd / uncompressed | |\n|---|---|---|---|---|---|"
    );
    for Goal { work, row: of, figure, than, most } in GOALS {
        let other = NAMES.iter().find(|(_, script, _)| script == than).map_or("", |(.., name)| name);
        let kind = if *work == Work::Files { "files" } else { "images" };
        let others = record.median(*work, than, *of, figure.of);
        let _ = write!(page, "| {kind}, {}: {}, relative to {other} | {most} |", row(*of, *work), figure.name);
        let own = NAMES.iter().filter(|(kind, script, _)| kind == work && script.starts_with("kso"));
        for (_, script, _) in own {
            let (Some(own), Some(others)) = (record.median(*work, script, *of, figure.of), others) else {
                page.push_str(" not measured | |");
                continue;
            };
            let ratio = own / others.max(f64::MIN_POSITIVE);
            let met = if ratio <= *most { "met" } else { "**missed**" };
            let (own, others) = ((figure.shown)(own), (figure.shown)(others));
            let _ = write!(page, " {ratio:.2} ({own} / {others}) | {met} |");
        }
        page.push('\n');
    }
}

/// Times as multiples of kso's, with the seconds beside them.
fn ratios(record: &Record, work: Work, page: &mut String) {
    let names: Vec<_> = contenders(record, work).collect();
    let heads: String = names.iter().flat_map(|(_, name)| [" ", name, " |"]).collect();
    let _ = writeln!(page, "| time, kso = 1 |{heads}\n|---|{}", "---|".repeat(names.len()));
    for each in ROWS {
        let Some((kso, _)) = names.first() else { continue };
        let Some(own) = record.median(work, kso, each, WALL.of) else { continue };
        let cell = |(script, _): &(&str, &str)| match record.median(work, script, each, WALL.of) {
            Some(wall) => format!(" {} ({}) |", ratio(wall / own), seconds(wall)),
            None => " |".to_owned(),
        };
        let _ = writeln!(page, "| {} |{}", row(each, work), names.iter().map(cell).collect::<String>());
    }
}

fn figures(record: &Record, work: Work, each: Row, page: &mut String) {
    let names: Vec<_> =
        contenders(record, work).filter(|(script, _)| record.median(work, script, each, WALL.of).is_some()).collect();
    if names.is_empty() {
        return;
    }
    let heads: String = FIGURES.iter().flat_map(|figure| [" ", figure.name, " |"]).collect();
    let _ = writeln!(page, "\n| {} |{heads}\n|---|{}", row(each, work), "---|".repeat(FIGURES.len()));
    for (script, name) in names {
        let cell = |figure: &Figure| {
            let value = record.median(work, script, each, figure.of).unwrap_or(0.0);
            let nothing = matches!(figure.name, "layers" | "memory, daemon") && value == 0.0;
            if nothing { " |".to_owned() } else { format!(" {} |", (figure.shown)(value)) }
        };
        let _ = writeln!(page, "| {name} |{}", FIGURES.iter().map(cell).collect::<String>());
    }
}

/// Ways to compress layers, in the order of the table.
pub(crate) const COMPRESSIONS: [&str; 5] = ["gzip", "gzip, level 1", "zstd", "zstd, level 1", "uncompressed"];

fn exporters(record: &Record, page: &mut String) {
    let bytes = record.inputs.get("program bytes").copied().unwrap_or(0);
    let bytes = size(float(bytes));
    let programs = record.inputs.get("programs").copied().unwrap_or(0);
    let _ = writeln!(
        page,
        "\n### Compression\n\nkso, cold: a file server of {programs} Go programs ({bytes}), and the registry of all images above.\n\n\
         | `compression=` | programs: time | pushed | images: time | pushed |\n|---|---|---|---|---|"
    );
    for name in COMPRESSIONS {
        let cells = [Work::Programs, Work::Compressed].map(|work| {
            let median = |of: fn(&Run) -> f64| record.median(work, name, Row::Cold, of);
            let pushed = median(|run| float(run.pushed)).map(size);
            format!(" {} | {} |", median(|run| run.wall).map(seconds).unwrap_or_default(), pushed.unwrap_or_default())
        });
        let _ = writeln!(page, "| {name} |{}", cells.concat());
    }
    page.push('\n');
}

/// What the frontend takes by itself.
fn frontend(costs: &[Cost], page: &mut String) {
    page.push_str(
        "## The frontend alone\n\nFrom start to result, with a lock, against a fake daemon that does nothing and answers at \
         once. Goal: 10,000 entries in less than 2 seconds and 300 MB.\n\n| | time | processor | memory |\n|---|---|---|---|\n",
    );
    for Cost { what, wall, cpu, memory } in costs {
        let memory = size(float(*memory));
        let _ = writeln!(page, "| {what} | {wall:.2} s | {cpu:.2} s | {memory} |");
    }
    page.push('\n');
}

fn chart(record: &Record, work: Work, title: &str) -> String {
    let group = |each: Row| {
        let bar = |(script, name): (&str, &str)| Some((name.to_owned(), record.median(work, script, each, WALL.of)?));
        Group { heading: row(each, work).to_owned(), bars: contenders(record, work).filter_map(bar).collect() }
    };
    bars(&format!("{title}: seconds, lower is better"), "s", &ROWS.map(group))
}

/// A count as a figure; three digits of it are shown.
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn float(count: u64) -> f64 {
    count as f64
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.1} s")
}

fn ratio(ratio: f64) -> String {
    if ratio < 10.0 { format!("{ratio:.1}") } else { format!("{ratio:.0}") }
}

fn size(bytes: f64) -> String {
    match bytes {
        bytes if bytes < 1e3 => format!("{bytes:.0} B"),
        bytes if bytes < 1e6 => format!("{:.1} kB", bytes / 1e3),
        bytes if bytes < 1e9 => format!("{:.1} MB", bytes / 1e6),
        bytes => format!("{:.2} GB", bytes / 1e9),
    }
}
