//! The frontend's own cost is within what is promised. It asserts no time and no instructions: `make bench` measures those.

use libtest_mimic::Trial;

use crate::cost;
use crate::harness::frontend;
use crate::trials::{Test, trials};

const TESTS: &[Test] = &[("ten_thousand_entries_take_less_than_300_mb", ten_thousand_entries_take_less_than_300_mb)];

pub(crate) fn tests() -> Vec<Trial> {
    trials("cost_limits", TESTS)
}

fn ten_thousand_entries_take_less_than_300_mb() {
    let program = frontend::optimized().unwrap_or_else(|error| panic!("{error}"));
    for (what, fake) in [("files", cost::files(10_000)), ("blobs", cost::images(10_000))] {
        let taken = cost::measure(&program, &fake).unwrap_or_else(|error| panic!("10,000 {what}: {error}"));
        eprintln!("10,000 {what}: {taken:?}");
        assert!(taken.memory > 0 && taken.memory < 300_000_000, "10,000 {what}: {taken:?}");
    }
}
