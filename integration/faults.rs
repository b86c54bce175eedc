//! What goes wrong around a build, on real daemons: origins, registries, the daemon itself, its disk, the client. After each:
//! a clear error or success, no half image, and another run that fetches only what was not finished. `docs/reliability.md`
//! has a row for each.

mod client;
mod daemon;
mod origin;
mod push;
mod source;

use std::time::Duration;

use libtest_mimic::Trial;

use crate::files::project::Project;
use crate::harness::{Harness, Running};
use crate::trials::trials;

/// The tests of these files.
pub(crate) fn tests() -> Vec<Trial> {
    trials(
        "faults",
        origin::TESTS.iter().chain(source::TESTS).chain(push::TESTS).chain(daemon::TESTS).chain(client::TESTS),
    )
}

/// Longer than anything here lasts, and shorter than a test may hang.
const SOON: Duration = Duration::from_mins(1);

/// Asserts that nothing lies under a name in the harness's registry.
#[track_caller]
fn nothing_is_pushed(repository: &str) {
    assert_eq!(Harness::get().registry().tags(repository), [""; 0], "no half image under the tag");
}

/// Asserts that each of these files of a project was sent exactly once.
#[track_caller]
fn sent_once(project: &Project, files: impl Iterator<Item = usize>) {
    let bodies = project.origin.bodies();
    for file in files {
        assert_eq!(bodies.get(&project.tool_path(file)), Some(&1), "file {file} is fetched once: {bodies:?}");
    }
}

/// How many files the build has fetched and stored, as its progress tells.
fn stored(progress: &str) -> usize {
    let done = |number: &str| progress.lines().any(|line| line.starts_with(&format!("{number} DONE")));
    let files = progress.lines().filter(|line| line.contains(" [files ") && !line.contains(" layer "));
    let mut numbers: Vec<&str> = files.filter_map(|line| line.split(' ').next()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.into_iter().filter(|number| done(number)).count()
}

/// Waits until a build has stored so many files.
#[track_caller]
fn wait_for(build: &mut Running, files: usize) {
    build.wait_until(SOON, |progress| (stored(progress) >= files).then_some(()));
}
