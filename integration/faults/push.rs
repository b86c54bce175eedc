//! A registry that dies while it is pushed to.

use super::{SOON, sent_once};
use crate::files::project::{BOTH, Project};
use crate::harness::{Harness, Registry};

pub(super) const TESTS: &[(&str, fn())] =
    &[("a_registry_that_dies_while_it_is_pushed_to", a_registry_that_dies_while_it_is_pushed_to)];

fn a_registry_that_dies_while_it_is_pushed_to() {
    let mut registry = Registry::start(Harness::get().tools()).unwrap();
    let project = Project::tools("push-dies", 12);
    project.origin.sizes(1 << 20..=2 << 20);
    project.define(&project.pinned());
    let reference = registry.reference("org/push-dies:1");
    let build = || project.build().platform(BOTH).args(["--push", "-t", &reference]);
    let mut running = build().start();
    let uploads = registry.storage().join("docker/registry/v2/repositories/org/push-dies/_uploads");
    running.wait_until(SOON, |_| uploads.exists().then_some(()));
    registry.kill();
    let output = running.end();
    assert!(output.failure().contains("failed to push"), "{}", output.failure());
    registry.restart().unwrap();
    assert_eq!(registry.tags("org/push-dies"), [""; 0], "no half image under the tag");
    let _ = build().run().success();
    sent_once(&project, 0..12);
    assert_eq!(registry.tags("org/push-dies"), ["1"]);
}
