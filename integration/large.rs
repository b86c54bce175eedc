//! A hundred thousand entries, given to an optimized program: see `cases/large.rs`, which tests fewer with a debug
//! build.

use libtest_mimic::Trial;

use crate::harness::frontend;
use crate::large_inputs::{Large, definitions, images, lists, locks};
use crate::trials::{Test, trials};

pub(crate) fn tests() -> Vec<Trial> {
    const TESTS: &[Test] = &[
        ("lists_of_files", || on_the_optimized_program(lists)),
        ("definitions", || on_the_optimized_program(definitions)),
        ("lists_of_images", || on_the_optimized_program(images)),
        ("locks", || on_the_optimized_program(locks)),
    ];
    trials("large", TESTS)
}

fn on_the_optimized_program(test: fn(Large<'_>)) {
    let program = frontend::optimized().unwrap_or_else(|error| panic!("{error}"));
    test(Large { program: &program, entries: 25_000 });
}
