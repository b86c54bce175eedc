//! The lock, from the target that writes it to builds that ask nobody but for blobs.

mod builds;
mod carried;
mod command;
mod project;
mod servers;
mod upstream;
mod verify;

use libtest_mimic::Trial;

/// The tests of these files.
pub(crate) fn tests() -> Vec<Trial> {
    let tests = builds::TESTS
        .iter()
        .chain(upstream::TESTS)
        .chain(command::TESTS)
        .chain(verify::TESTS)
        .chain(servers::TESTS)
        .chain(carried::TESTS);
    tests
        .map(|&(name, test)| {
            Trial::test(format!("lock::{name}"), move || {
                test();
                Ok(())
            })
        })
        .collect()
}
