//! A client that is interrupted.

use std::time::Duration;

use super::{nothing_is_pushed, sent_once, wait_for};
use crate::files::project::{BOTH, Project};

pub(super) const TESTS: &[(&str, fn())] =
    &[("an_interrupted_client_leaves_no_half_image", an_interrupted_client_leaves_no_half_image)];

fn an_interrupted_client_leaves_no_half_image() {
    let project = Project::tools("interrupted", 7);
    project.define(&project.pinned());
    project.origin.delay(&project.tool_path(6), Duration::from_secs(5));
    let mut running = project.build().platform(BOTH).push("org/interrupted:1").start();
    wait_for(&mut running, 6);
    running.interrupt();
    let output = running.end();
    assert!(!output.status.success(), "{}", output.stderr);
    assert!(output.stderr.contains("canceled"), "{}", output.stderr);
    nothing_is_pushed("org/interrupted");
    let _ = project.build().platform(BOTH).push("org/interrupted:1").run().success();
    sent_once(&project, 0..6);
}
