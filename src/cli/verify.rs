//! `kso verify`: proves that what a lock promises is there. Owns arguments, progress and the report; does not know how
//! anything is proved.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::ValueEnum;
use serde_json::json;

use super::{MAX_SHOWN, counted, print, read_file, report, shown};
use crate::diagnostic::{Diagnostic, plain, quoted};
use crate::lock::{Lock, MAX_LOCK_BYTES};
use crate::spec::{Arch, ServerPath, ServerRoot};
use crate::verify::layout::Layout;
use crate::verify::tree::Tree;
use crate::verify::{Report, check, folders};

/// Something was not as the lock says.
const DIFFERS: u8 = 1;
/// Nothing could be proved.
const FAILED: u8 = 2;
/// Progress is shown each time so many bytes (a power of two) were read.
const STEP: u64 = 64 << 20;

/// Prove that everything a lock promises is there, and nothing else
///
/// PLACE is an OCI layout or a tar of one (`docker buildx build -o type=oci,dest=image.tar`), or the root of an unpacked
/// image or of a machine. What it has of, the files or the storage of the registry, must be complete. Every byte is hashed.
/// The exit code is 0 where all is well, 1 where something is missing, wrong or too much, and 2 where nothing could be
/// proved.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The lock
    #[arg(long, value_name = "FILE", default_value = "kso.lock")]
    lock: PathBuf,
    /// What to prove
    place: PathBuf,
    /// The folder that files are served from: `root` and `path` of `fileServer`
    #[arg(long, value_name = "FOLDER", default_value_t = default_folder())]
    served: String,
    /// What a root is for, where it cannot be told from what it holds (amd64, arm64)
    #[arg(long, value_name = "ARCH", value_parser = architecture)]
    architecture: Option<Arch>,
    /// How the report is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table for people
    Text,
    /// JSON for programs
    Json,
}

fn default_folder() -> String {
    format!("{}/{}", ServerRoot::default().as_str(), ServerPath::default().as_str())
}

fn architecture(text: &str) -> Result<Arch, String> {
    text.parse().map_err(|invalid: crate::spec::Invalid| invalid.message)
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let lock = match lock(&arguments.lock) {
        Ok(lock) => lock,
        Err(problems) => {
            let _ = write!(io::stderr(), "{}", report(&problems));
            return ExitCode::from(FAILED);
        }
    };
    let reports = match reports(&lock, arguments) {
        Ok(reports) => reports,
        Err(why) => {
            let place = quoted(&shown(&arguments.place));
            let _ = writeln!(io::stderr(), "error: {place} cannot be proved: {}", plain(&why));
            return ExitCode::from(FAILED);
        }
    };
    let good = reports.iter().all(|(_, report)| report.problems.is_empty());
    let text = match arguments.format {
        Format::Text => table(&reports),
        Format::Json => as_json(&reports),
    };
    print(text.as_bytes(), if good { ExitCode::SUCCESS } else { ExitCode::from(DIFFERS) })
}

fn lock(file: &Path) -> Result<Lock, Vec<Diagnostic>> {
    let name = shown(file);
    let source = match read_file(&name, file, MAX_LOCK_BYTES) {
        Ok(Some(source)) => source,
        Ok(None) => {
            let problem = Diagnostic::error(format!("there is no lock {}", quoted(&name)));
            return Err(vec![problem.help("name it: `--lock path/to/kso.lock`")]);
        }
        Err(why) => {
            return Err(vec![Diagnostic::error(format!("the lock {} cannot be read: it {why}", quoted(&name)))]);
        }
    };
    Lock::read(&source).map(|file| file.lock().clone())
}

/// What is found, by platform; a root has none.
fn reports(lock: &Lock, arguments: &Arguments) -> Result<Vec<(String, Report)>, String> {
    let Arguments { place, architecture, .. } = arguments;
    let served = arguments.served.trim_end_matches('/');
    if !served.starts_with('/') {
        return Err(format!("the folder {} is no absolute path", quoted(served)));
    }
    let folders = folders(served);
    let progress = Progress::default();
    let layout = if place.is_dir() {
        Layout::of_folder(place)
    } else {
        Some(Layout::of_tar(place).map_err(|error| error.to_string())?)
    };
    let Some(layout) = layout else {
        let tree = Tree::of_folder(place, &folders, &|bytes| progress.add(bytes)).map_err(|error| error.to_string())?;
        progress.end();
        return Ok(vec![(String::new(), check(lock, &tree, served, *architecture))]);
    };
    let images = layout.images(&folders, &|bytes| progress.add(bytes)).map_err(|error| error.to_string())?;
    progress.end();
    if images.is_empty() {
        return Err("it holds no image".into());
    }
    let found = images.into_iter().map(|image| {
        let mut report = check(lock, &image.tree, served, image.architecture.or(*architecture));
        report.problems.extend(image.problems);
        report.problems.sort();
        (image.platform, report)
    });
    Ok(found.collect())
}

/// How much was read, told to a person who waits.
#[derive(Default)]
struct Progress {
    bytes: AtomicU64,
}

impl Progress {
    fn add(&self, bytes: u64) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if io::stderr().is_terminal() && before / STEP != (before + bytes) / STEP {
            let _ = write!(io::stderr(), "\r{} read", size(before + bytes));
        }
    }

    fn end(&self) {
        if io::stderr().is_terminal() && self.bytes.load(Ordering::Relaxed) >= STEP {
            let _ = write!(io::stderr(), "\r{:20}\r", "");
        }
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{bytes} bytes"),
        1_000_000..1_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10),
    }
}

fn table(reports: &[(String, Report)]) -> String {
    let mut out = String::new();
    for (platform, report) in reports {
        for problem in report.problems.iter().take(MAX_SHOWN) {
            let _ = writeln!(out, "{:8} {}: {}", problem.kind.as_str(), plain(&problem.name), plain(&problem.why));
        }
        let count = report.problems.len();
        if let Some(more) = count.checked_sub(MAX_SHOWN).filter(|more| *more > 0) {
            let _ = writeln!(out, "         and {more} more");
        }
        let platform = if platform.is_empty() { String::new() } else { format!("{platform}: ") };
        let looked = [(report.files, "file"), (report.images, "image")];
        let looked: Vec<_> = looked.iter().filter(|(n, _)| *n > 0).map(|(n, what)| counted(*n, what)).collect();
        let looked = if looked.is_empty() { "nothing of the lock".to_owned() } else { looked.join(" and ") };
        let result = if count == 0 { "all as locked".to_owned() } else { counted(count, "problem") };
        let _ = writeln!(out, "{platform}{looked}, {} hashed: {result}", size(report.bytes));
    }
    out
}

fn as_json(reports: &[(String, Report)]) -> String {
    let one = |(platform, report): &(String, Report)| {
        let problems = report.problems.iter();
        let problems: Vec<_> =
            problems.map(|it| json!({ "kind": it.kind.as_str(), "name": it.name, "why": it.why })).collect();
        let Report { files, images, bytes, .. } = report;
        let platform = if platform.is_empty() { None } else { Some(platform) };
        json!({ "platform": platform, "files": files, "images": images, "bytes": bytes, "problems": problems })
    };
    let mut text = serde_json::to_string_pretty(&json!({ "places": reports.iter().map(one).collect::<Vec<_>>() }))
        .unwrap_or_default();
    text.push('\n');
    text
}
