//! What others wrote and meant badly, given to the real daemons: lists and names, registries, folders of Kubespray. Each ends
//! with an error at its line or with exactly what was asked for, and never with a panic or a half image. `docs/security.md`
//! says what must hold; the properties over many more inputs are in `fuzz/`.

mod files;
mod kubespray;
mod registries;

use libtest_mimic::Trial;

use crate::harness::{BuildOutput, Harness};
use crate::trials::trials;

/// The tests of these files.
pub(crate) fn tests() -> Vec<Trial> {
    trials("hostile", files::TESTS.iter().chain(registries::TESTS).chain(kubespray::TESTS))
}

/// What a build told that must have failed by itself, and not as kso ends where it found a bug in itself. Nothing lies under
/// the name that it was to push to.
#[track_caller]
fn refused(output: &BuildOutput, repository: &str) -> String {
    let told = output.failure();
    for said in [&output.stderr, &output.daemon_log] {
        assert!(!said.contains("panicked") && !said.contains("bug in kso"), "{said}");
    }
    assert!(told.len() < 64 << 10, "{} bytes are told", told.len());
    assert!(!told.chars().any(|c| c.is_control() && !"\n\t".contains(c)), "{told:?}");
    assert_eq!(Harness::get().registry().tags(repository), [""; 0], "no half image under the tag");
    told
}
