//! The target `images`, from `docker buildx build` to what clients pull out of the started image.

mod bake;
mod fleet;
mod layout;
pub(crate) mod project;
mod pull;
mod sources;

use libtest_mimic::Trial;

use crate::trials::{long, trials};

/// The tests of these files.
pub(crate) fn tests() -> Vec<Trial> {
    let tests = pull::TESTS.iter().chain(sources::TESTS).chain(fleet::TESTS).chain(bake::TESTS).chain(layout::TESTS);
    trials("images", tests).into_iter().chain(long("images", fleet::LONG)).collect()
}
