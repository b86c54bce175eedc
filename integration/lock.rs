//! The lock, from the target that writes it to builds that ask nobody but for blobs.

mod builds;
mod carried;
mod command;
mod project;
mod servers;
mod upstream;
mod verify;

use libtest_mimic::Trial;

use crate::trials::trials;

/// The tests of these files.
pub(crate) fn tests() -> Vec<Trial> {
    trials(
        "lock",
        builds::TESTS
            .iter()
            .chain(upstream::TESTS)
            .chain(command::TESTS)
            .chain(verify::TESTS)
            .chain(servers::TESTS)
            .chain(carried::TESTS),
    )
}
