//! A daemon that is killed, and one whose disk is full.

use std::fs;
use std::time::Duration;

use super::{nothing_is_pushed, sent_once, wait_for};
use crate::files::project::{BOTH, Project};
use crate::harness::Harness;

pub(super) const TESTS: &[(&str, fn())] = &[
    ("a_killed_daemon_goes_on_where_it_was", a_killed_daemon_goes_on_where_it_was),
    ("a_full_disk_is_told", a_full_disk_is_told),
];

fn a_killed_daemon_goes_on_where_it_was() {
    let mut daemon = Harness::get().fresh_daemon();
    let project = Project::tools("killed", 7);
    project.define(&project.pinned());
    project.origin.delay(&project.tool_path(6), Duration::from_secs(5));
    let mut running = project.build_by(daemon.buildx()).platform(BOTH).push("org/killed:1").start();
    wait_for(&mut running, 6);
    daemon.kill();
    let output = running.end();
    assert!(!output.status.success(), "{}", output.stderr);
    nothing_is_pushed("org/killed");
    daemon.restart().unwrap();
    let _ = project.build_by(daemon.buildx()).platform(BOTH).push("org/killed:1").run().success();
    sent_once(&project, 0..6);
}

fn a_full_disk_is_told() {
    let daemon = Harness::get().small_daemon(1 << 10);
    // The frontend and the base image are there before the disk is full.
    let before = Project::tools("full-before", 1);
    let _ = before.build_by(daemon.buildx()).push("org/full-before:1").run().success();
    let project = Project::tools("full", 7);
    project.origin.size(&project.tool_path(6), 32 << 20);
    project.define(&project.pinned());
    let ballast = daemon.fill(12 << 20);
    let output = project.build_by(daemon.buildx()).push("org/full:1").run();
    assert!(output.failure().contains("the disk of the builder is full"), "{}", output.failure());
    assert!(output.failure().contains("kso.yaml:10"), "{}", output.failure());
    nothing_is_pushed("org/full");
    fs::remove_file(ballast).unwrap();
    let _ = project.build_by(daemon.buildx()).push("org/full:1").run().success();
    sent_once(&project, 0..6);
}
