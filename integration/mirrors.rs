//! Other places to ask, and what is sent to them: mirrors of files and of images, headers and secrets.

mod files;
mod images;
mod secrets;

use libtest_mimic::Trial;

/// The tests of these files.
pub(crate) fn tests() -> Vec<Trial> {
    let tests = files::TESTS.iter().chain(images::TESTS).chain(secrets::TESTS);
    tests
        .map(|&(name, test)| {
            Trial::test(format!("mirrors::{name}"), move || {
                test();
                Ok(())
            })
        })
        .collect()
}
