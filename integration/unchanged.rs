//! What stays as it is while the code moves, where it takes root: the graphs of builds that may run kso in steps, the bytes of
//! locks, and the layers of images. Recorded from the state before the move (9c60e40); a change here is a change of what users
//! get, and never a part of a move. Most graphs are compared by `cases/unchanged.rs`.

#[path = "../cases/unchanged/daemon.rs"]
mod daemon;
#[allow(dead_code, reason = "the tests of `cases` use the rest")]
#[path = "../cases/unchanged/definitions.rs"]
mod definitions;
#[path = "../cases/unchanged/graph.rs"]
mod graph;
#[path = "unchanged/layers.rs"]
mod layers;
#[path = "../cases/unchanged/scenarios.rs"]
mod scenarios;
#[path = "../cases/unchanged/world.rs"]
mod world;

use std::path::{Path, PathBuf};

use libtest_mimic::Trial;

use crate::trials::{Test, trials};
use definitions::{Definition, below, kubespray, records};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    const TESTS: &[Test] = &[("graphs_of_steps", graphs_of_steps), ("graphs_of_odd_steps", graphs_of_odd_steps)];
    let mut tests = trials("unchanged", TESTS.iter().chain(layers::TESTS));
    let releases = Trial::test("unchanged::releases", || {
        releases();
        Ok(())
    });
    // `kso llb` shows steps of the machine's own platform.
    let recorded = shared().is_dir() && cfg!(target_arch = "x86_64");
    tests.push(releases.with_ignored_flag(!recorded));
    tests
}

/// Variables of real releases of Kubespray, beside the checkout.
fn shared() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/kubespray")
}

/// Whole releases. Their variables are not the repository's: of their graphs only the digests are.
fn releases() {
    let define = |version: &str| {
        let release = Definition::text(&format!("kubespray {version}"), "kubespray:\n  source: release\n");
        release.with(&shared().join(version).join("checkout"), "release")
    };
    let releases = ["v2.16.0", "v2.21.0", "v2.25.1", "v2.31.0"].map(define).into();
    compare("releases", &records(releases, |definition| definition.record_short(false)));
}

/// Compares a record with what is committed.
fn compare(name: &str, text: &str) {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/unchanged"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// Every definition once more, where BuildKit tells where the frontend comes from: then kso proves layers in steps, lies in
/// the images, and asks registries itself.
fn graphs_of_steps() {
    let definitions = below("examples").into_iter().chain(below("cases/valid")).chain(kubespray()).collect();
    compare("steps", &records(definitions, |definition| definition.record(true)));
}

/// The same of builds in which sources fail first, or registries want a token.
fn graphs_of_odd_steps() {
    let scenarios = scenarios::steps().into_iter().chain(scenarios::scenarios()).collect();
    compare("scenarios", &records(scenarios, |definition| definition.record_asked(true)));
}
