//! How long each test took when that was last recorded, and the order that follows from it. Does not know what a test does.
//!
//! `times.tsv` has a line for each test: seconds without those it waited for a compiler, what it needs compiled, and its
//! name. It decides nothing but the order, so a line that is out of date costs only time. Record it anew with
//! `KSO_TIMES=integration/times.tsv cargo test --test integration`.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use libtest_mimic::Trial;

use crate::harness::{Needs, frontend};

/// What a test takes.
#[derive(Debug, Clone, Copy)]
struct Time {
    tenths: u128,
    needs: Needs,
}

/// The names of [`Needs`] in the file.
const NEEDS: [(&str, Needs); 3] = [("-", Needs::Nothing), ("frontend", Needs::Frontend), ("both", Needs::Both)];

/// Of a new test nothing is known: it may take long.
const UNKNOWN: Time = Time { tenths: 300, needs: Needs::Frontend };

/// What the tests of this run took so far.
static TIMES: Mutex<BTreeMap<String, Time>> = Mutex::new(BTreeMap::new());

/// Records the time of a test when it is dropped, so of one that panics, too.
struct Running<'a> {
    name: &'a str,
    began: Instant,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let (needs, waited) = frontend::take_asked();
        let took = self.began.elapsed().saturating_sub(waited);
        let time = Time { tenths: took.as_millis() / 100, needs };
        TIMES.lock().unwrap_or_else(PoisonError::into_inner).insert(self.name.to_owned(), time);
    }
}

/// Runs a test and records what it took.
pub(crate) fn timed(name: &str, test: fn()) {
    let _running = Running { name, began: Instant::now() };
    test();
}

/// Tests that need no frontend come first, while it is compiled; then the longest, so that none of them runs last and
/// alone. What needs the program of the other architecture, which is compiled last, waits until the long ones are under
/// way.
pub(crate) fn in_order(mut tests: Vec<Trial>) -> Vec<Trial> {
    let recorded = recorded();
    tests.sort_by_key(|test| {
        let time = recorded.get(test.name()).copied().unwrap_or(UNKNOWN);
        let turn = match time.needs {
            Needs::Nothing => 0,
            Needs::Frontend if time.tenths >= 100 => 1,
            Needs::Both => 2,
            Needs::Frontend => 3,
        };
        (turn, Reverse(time.tenths))
    });
    tests
}

/// What these tests need, as far as that is known.
pub(crate) fn needs<'a>(tests: impl Iterator<Item = &'a Trial>) -> Needs {
    let recorded = recorded();
    let needs = tests.map(|test| recorded.get(test.name()).copied().unwrap_or(UNKNOWN).needs);
    needs.max().unwrap_or(Needs::Nothing)
}

fn recorded() -> BTreeMap<&'static str, Time> {
    let lines = include_str!("times.tsv").lines().filter(|line| !line.starts_with('#'));
    let line = |line: &'static str| {
        let [seconds, needs, name] = line.split('\t').collect::<Vec<_>>()[..] else { return None };
        let tenths = seconds.replace('.', "").parse().ok()?;
        let needs = NEEDS.iter().find(|(known, _)| *known == needs)?.1;
        Some((name, Time { tenths, needs }))
    };
    lines.filter_map(line).collect()
}

/// Writes what the tests took to the file that `KSO_TIMES` names, the longest first: those of this run, and what was recorded
/// of the others among `tests`, which are all that there are.
pub(crate) fn record(tests: &[String]) -> std::io::Result<()> {
    let Some(file) = std::env::var_os("KSO_TIMES") else { return Ok(()) };
    let times = TIMES.lock().unwrap_or_else(PoisonError::into_inner);
    let before = recorded();
    let time = |name: &String| times.get(name).or_else(|| before.get(name.as_str())).copied();
    let mut times: Vec<_> = tests.iter().filter_map(|name| Some((name, time(name)?))).collect();
    times.sort_by_key(|(_, time)| Reverse(time.tenths));
    let mut text = String::from("# seconds\tneeds\ttest; see times.rs\n");
    for (name, time) in times {
        let needs = NEEDS.iter().find(|(_, needs)| *needs == time.needs).map_or("-", |(name, _)| name);
        let _ = writeln!(text, "{}.{}\t{needs}\t{name}", time.tenths / 10, time.tenths % 10);
    }
    std::fs::write(file, text)
}
