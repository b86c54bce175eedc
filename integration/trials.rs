//! Tests as the test program takes them: functions that panic. Owns how they are named; does not know what they do.

use libtest_mimic::Trial;

use crate::times;

/// A test: what it is called within its file, and what it runs.
pub(crate) type Test = (&'static str, fn());

/// The tests of a room: `room::name`.
pub(crate) fn trials<'a>(room: &str, tests: impl IntoIterator<Item = &'a Test>) -> Vec<Trial> {
    let trial = |&(name, test): &Test| {
        let name = format!("{room}::{name}");
        Trial::test(name.clone(), move || {
            times::timed(&name, test);
            Ok(())
        })
    };
    tests.into_iter().map(trial).collect()
}

/// Tests of a room that take minutes of all processors: `make test` counts them as ignored, and `make test-long` runs them.
pub(crate) fn long<'a>(room: &str, tests: impl IntoIterator<Item = &'a Test>) -> Vec<Trial> {
    trials(room, tests).into_iter().map(|trial| trial.with_ignored_flag(true)).collect()
}
