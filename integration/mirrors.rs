//! Other places to ask, and what is sent to them: mirrors of files and of images, headers and secrets.

mod files;
mod images;
mod secrets;

use libtest_mimic::Trial;

use crate::trials::trials;

/// The tests of these files.
pub(crate) fn tests() -> Vec<Trial> {
    trials("mirrors", files::TESTS.iter().chain(images::TESTS).chain(secrets::TESTS))
}
