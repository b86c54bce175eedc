//! `make bench`: kso beside what people use today, on the same inputs, the same servers and the same machine, in one run.
//! Owns the order; does not know how a contender builds, or how a table looks. Writes `docs/benchmarks.md`.
//!
//! `SIZE=small|kubespray`, `RUNS=3`, `ONLY=curl,hauler` for a few of the contenders, of which nothing is kept, `SHOW=1` for
//! what they say; `ONLY=frontend` measures the frontend by itself anew (with `KSO_RECORD=1` its instructions are recorded, too), and `RUNS=0` only makes the page anew of what was
//! recorded. A contender is a script in `contenders/`, see its README.

#[allow(unused, reason = "the tests use more of it")]
#[path = "../harness/mod.rs"]
mod harness;

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../cost.rs"]
mod cost;

mod chart;
mod contender;
mod inputs;
mod instructions;
mod machine;
mod measure;
mod record;
mod report;
mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use contender::{Contender, Place, contenders, exporters};
use harness::{Context, Error, Result, Workspace, frontend};
use inputs::Size;
use record::{Cost, Record, Row, Run, Work};
use world::World;

/// What `ONLY` says for the frontend by itself.
const FRONTEND: &str = "frontend";

fn main() -> ExitCode {
    if let Some(code) = measure::wrapped() {
        return code;
    }
    let done = compare();
    if let Err(error) = &done {
        eprintln!("error: {error}");
    }
    Workspace::end(done.is_err());
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn compare() -> Result<()> {
    let variable = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let size = Size::parse(&variable("SIZE", "small"))?;
    let count: u32 = variable("RUNS", "3").parse().map_err(|_| Error("RUNS is a number: RUNS=3".to_owned()))?;
    let only = variable("ONLY", "");
    let chosen = |contender: &&Contender| only.is_empty() || only.split(',').any(|name| name == contender.name);

    if count == 0 {
        return pages();
    }
    if only == FRONTEND {
        let _ = Workspace::create()?;
        write(&Record { frontend: costs()?, ..read(size.name())? })?;
        return instructions::compare(&frontend::published()?);
    }
    let world = World::start(size)?;
    let (contenders, exporters) = (contenders(), exporters());
    let mut runs = Vec::new();
    for run in 1..=count {
        for contender in contenders.iter().filter(chosen).filter(|contender| world.has(contender.script)) {
            runs.extend(rows(&world, contender, run)?);
        }
        // One look at these is enough, too.
        for contender in exporters.iter().filter(chosen).filter(|_| run == 1) {
            runs.push(exported(&world, contender, run)?);
        }
    }
    if !only.is_empty() {
        // A record is of all contenders.
        return Ok(());
    }
    let (frontend, machine) = (costs()?, machine::facts());
    write(&Record { size: size.name().to_owned(), machine, inputs: world.facts(), frontend, runs })?;
    instructions::compare(&frontend::published()?)
}

/// What the frontend takes by itself: the middle of three for each.
fn costs() -> Result<Vec<Cost>> {
    let program = frontend::published()?;
    let mut costs = Vec::new();
    for (count, shown) in [(100, "100"), (1_000, "1,000"), (10_000, "10,000")] {
        let fakes: [(_, fn(usize) -> _); 2] = [("files", cost::files), ("blobs of images", cost::images)];
        for (kind, fake) in fakes {
            let mut taken = (0..3).map(|_| cost::measure(&program, &fake(count))).collect::<Result<Vec<_>>>()?;
            taken.sort_by(|one, other| one.wall.total_cmp(&other.wall));
            let cost::Taken { cpu, wall, memory } = taken[1];
            costs.push(Cost { what: format!("{shown} {kind}"), wall, cpu, memory });
        }
    }
    Ok(costs)
}

/// Where the page lies.
fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// Where the record of a size lies.
fn kept(size: &str) -> PathBuf {
    docs().join(format!("benchmarks/{size}.json"))
}

/// The record of a size.
fn read(size: &str) -> Result<Record> {
    let file = kept(size);
    let text = fs::read_to_string(&file).context(file.display())?;
    serde_json::from_str(&text).context(file.display())
}

/// Keeps the record beside those of the other sizes.
fn write(record: &Record) -> Result<()> {
    fs::create_dir_all(docs().join("benchmarks")).context("docs/benchmarks")?;
    let text = serde_json::to_string_pretty(record).context("a record")? + "\n";
    fs::write(kept(&record.size), text).context("a record")?;
    pages()
}

/// Makes the page and the charts of the records that are kept.
fn pages() -> Result<()> {
    let records = report::SIZES.into_iter().filter(|size| kept(size).exists()).map(read);
    for (name, text) in report::page(&records.collect::<Result<Vec<_>>>()?) {
        fs::write(docs().join(&name), text).context(name)?;
    }
    Ok(())
}

/// All rows of one contender: cold, warm and changed in one place, the added architecture in another.
fn rows(world: &World, contender: &Contender, number: u32) -> Result<Vec<Run>> {
    let all = world.inputs();
    let mut place = Place::new(world, contender)?;
    let mut runs = Vec::new();
    let steps = [(Row::Cold, all.clone()), (Row::Warm, all.clone()), (Row::Changed, all.changed(contender.work))];
    for (row, inputs) in &steps {
        runs.push(told(place.build(world, inputs)?.row(contender, *row, number)));
    }
    complete(world, &runs[0])?;
    place.end();
    // Nobody adds an architecture to a plain download. One look at it is enough: it is two more builds of everything.
    if contender.is_floor() || number > 1 {
        return Ok(runs);
    }
    let mut place = Place::new(world, contender)?;
    let _ = place.build(world, &all.only("amd64"))?;
    runs.push(told(place.build(world, all)?.row(contender, Row::Architecture, number)));
    place.end();
    Ok(runs)
}

/// Says how far it is.
fn told(run: Run) -> Run {
    eprintln!("bench: {:?}, {}, {:?} {}: {:.1} s", run.work, run.contender, run.row, run.number, run.wall);
    run
}

/// What does not compress must be there whole, or the figures are of something else.
fn complete(world: &World, cold: &Run) -> Result<()> {
    let facts = world.facts();
    let wanted = if cold.work == Work::Files { facts["file bytes"] } else { facts["image blob bytes"] };
    if cold.pushed >= wanted / 20 * 19 {
        return Ok(());
    }
    Err(Error(format!("{} made {} bytes of {wanted}", cold.contender, cold.pushed)))
}

/// An image by one way to compress.
fn exported(world: &World, contender: &Contender, number: u32) -> Result<Run> {
    let mut place = Place::new(world, contender)?;
    let inputs = if contender.work == Work::Programs { world.programs() } else { world.inputs() };
    let run = told(place.build(world, inputs)?.row(contender, Row::Cold, number));
    place.end();
    Ok(run)
}

impl Contender {
    fn is_floor(&self) -> bool {
        matches!(self.script, "curl" | "blobs")
    }
}
