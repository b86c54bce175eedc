//! The target `files`, from `docker buildx build` to the answer of the running image.

mod build;
mod contexts;
mod faults;
mod layers;
pub(crate) mod project;

pub(crate) use project::{Project, content_layers};

use libtest_mimic::Trial;

use crate::trials::{long, trials};

/// The tests of these files.
pub(crate) fn tests() -> Vec<Trial> {
    let tests = build::TESTS.iter().chain(layers::TESTS).chain(faults::TESTS).chain(contexts::TESTS);
    trials("files", tests).into_iter().chain(long("files", layers::LONG)).collect()
}
