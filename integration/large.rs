//! A hundred thousand entries, given to the program that is published: see `cases/large.rs`, which tests fewer with a debug
//! build.

use libtest_mimic::Trial;

use crate::harness::frontend;
use crate::large_inputs::{Large, definitions, images, lists, locks};
use crate::trials::{Test, trials};

pub(crate) fn tests() -> Vec<Trial> {
    const TESTS: &[Test] = &[
        ("lists_of_files", || on_the_published_program(lists)),
        ("definitions", || on_the_published_program(definitions)),
        ("lists_of_images", || on_the_published_program(images)),
        ("locks", || on_the_published_program(locks)),
    ];
    trials("large", TESTS)
}

fn on_the_published_program(test: fn(Large<'_>)) {
    let program = frontend::published().unwrap_or_else(|error| panic!("{error}"));
    test(Large { program: &program, entries: 25_000 });
}
