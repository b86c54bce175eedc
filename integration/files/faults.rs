//! What is told when an origin fails, and what is tried again.

use std::time::Duration;

use super::project::{BOTH, Project, path_of};
use crate::harness::{Build, BuildOutput, Fault, Origin};

pub(super) const TESTS: &[(&str, fn())] = &[
    ("a_404_shows_its_line", a_404_shows_its_line),
    ("a_wrong_checksum_shows_both_digests", a_wrong_checksum_shows_both_digests),
    ("an_error_page_is_no_wrong_checksum", an_error_page_is_no_wrong_checksum),
    ("all_dead_urls_are_told_at_once", all_dead_urls_are_told_at_once),
    ("more_than_twenty_are_counted", more_than_twenty_are_counted),
    ("what_passes_is_tried_again", what_passes_is_tried_again),
    ("pinned_files_are_tried_again_too", pinned_files_are_tried_again_too),
    ("never_more_at_once_than_the_bound", never_more_at_once_than_the_bound),
    ("a_wrong_definition_shows_its_lines", a_wrong_definition_shows_its_lines),
];

/// Builds into a file, to its end, good or bad.
fn run(build: Build) -> BuildOutput {
    build.output("oci").0.run()
}

/// The error with what differs from run to run taken out.
fn told(project: &Project, output: &BuildOutput) -> String {
    output.failure().replace(project.origin.url().trim_start_matches("http://"), "origin.test")
}

fn a_404_shows_its_line() {
    let project = Project::tools("dead", 9);
    project.origin.always(&project.tool_path(6), Fault::Status(404));
    let output = run(project.build().platform(BOTH));
    insta::assert_snapshot!(told(&project, &output));
    assert_eq!(project.origin.count("GET", &project.tool_path(6)), 1, "a 404 is not tried again");
}

fn a_wrong_checksum_shows_both_digests() {
    let project = Project::tools("wrong", 3);
    let entries = project.pinned();
    project.origin.change(&project.tool_path(1));
    project.define(&entries);
    let output = run(project.build());
    insta::assert_snapshot!(told(&project, &output));
}

fn an_error_page_is_no_wrong_checksum() {
    let project = Project::tools("error-page", 3);
    project.define(&project.pinned());
    project.origin.always(&project.tool_path(2), Fault::Status(403));
    let output = run(project.build());
    insta::assert_snapshot!(told(&project, &output));
}

fn all_dead_urls_are_told_at_once() {
    let project = Project::tools("three-dead", 9);
    for dead in [1, 4, 8] {
        project.origin.always(&project.tool_path(dead), Fault::Status(404));
    }
    let output = run(project.build());
    insta::assert_snapshot!(told(&project, &output));
}

fn more_than_twenty_are_counted() {
    let project = Project::tools("many-dead", 30);
    for dead in 0..25 {
        project.origin.always(&project.tool_path(dead), Fault::Status(404));
    }
    let output = run(project.build());
    let told = told(&project, &output);
    assert!(told.contains("25 problems"), "{told}");
    assert!(told.contains("and 5 more"), "{told}");
    assert_eq!(told.matches(">>>").count(), 20, "{told}");
}

fn what_passes_is_tried_again() {
    let project = Project::tools("flaky", 12);
    let [dropped, busy] = [3, 7].map(|at| project.tool_path(at));
    project.origin.times(&dropped, 2, &Fault::Drop);
    project.origin.times(&busy, 1, &Fault::Status(429));
    let _ = run(project.build().platform(BOTH)).success();
    for url in project.urls() {
        let path = path_of(&url);
        let expected = if path == dropped { 3 } else { 1 + usize::from(path == busy) };
        assert_eq!(project.origin.count("GET", &path), expected, "{path}");
        assert_eq!(project.origin.bodies()[&path], 1, "{path}");
    }
}

fn pinned_files_are_tried_again_too() {
    let mut project = Project::tools("flaky-pinned", 6);
    project.define(&project.pinned());
    project.origin.times(&project.tool_path(3), 1, &Fault::Drop);
    project.origin.times(&project.tool_path(4), 1, &Fault::Status(503));
    let _ = run(project.build()).success();
    assert!(project.origin.bodies().values().all(|count| *count == 1), "{:?}", project.origin.bodies());
    project.origin.off();
    let _ = run(project.build()).success();
}

fn never_more_at_once_than_the_bound() {
    let project = Project::new("bound", Vec::new(), Vec::new());
    // Each port is a host of its own.
    let origins: Vec<Origin> = (0..4).map(|_| Origin::start()).collect();
    let mut files = String::new();
    for origin in &origins {
        origin.sizes(200..=2_000);
        origin.delay_all(Duration::from_millis(100));
        files.extend((0..25).map(|number| format!("  - url: {}/bound/{number}\n", origin.url())));
    }
    project.define(&files);
    let _ = run(project.build().platform(BOTH)).success();
    let limits = kso::fetch::Limits::default();
    for origin in &origins {
        assert!(origin.most_requests() <= limits.per_host, "{} requests at once", origin.most_requests());
        assert!(origin.most_connections() <= limits.per_host, "{} connections at once", origin.most_connections());
        assert_eq!(origin.bodies().len(), 25);
    }
    let all = Origin::most_requests_of(&origins);
    assert!(all > limits.per_host && all <= limits.total, "{all} requests at once in all");
}

fn a_wrong_definition_shows_its_lines() {
    let project = Project::tools("wrong-definition", 2);
    project.define("  - list: temp/files-{arch}.list\n  - lits: more.list\n  - url: ftp://a.example/x\n");
    let output = run(project.build());
    insta::assert_snapshot!(told(&project, &output));
    assert_eq!(project.origin.requests().len(), 0);
}
