//! The target `files`, from `docker buildx build` to the answer of the running image.

mod build;
mod contexts;
mod faults;
mod layers;
pub(crate) mod project;

pub(crate) use project::{Project, content_layers};

use libtest_mimic::Trial;

/// The tests of these files.
pub(crate) fn tests() -> Vec<Trial> {
    let tests = build::TESTS.iter().chain(layers::TESTS).chain(faults::TESTS).chain(contexts::TESTS);
    tests
        .map(|&(name, test)| {
            Trial::test(format!("files::{name}"), move || {
                test();
                Ok(())
            })
        })
        .collect()
}
