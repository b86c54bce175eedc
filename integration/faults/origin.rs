//! File servers that fail.

use std::time::Duration;

use super::{nothing_is_pushed, sent_once};
use crate::files::project::{BOTH, Project};
use crate::harness::{Fault, Origin};

pub(super) const TESTS: &[(&str, fn())] = &[
    ("an_origin_that_fails_three_times", an_origin_that_fails_three_times),
    ("a_slow_origin_is_waited_for", a_slow_origin_is_waited_for),
    ("wrong_bytes_of_a_file", wrong_bytes_of_a_file),
    ("redirects_of_a_file", redirects_of_a_file),
];

/// Three times each, which is more than a dropped connection and less than kso's patience; a file of 8 MiB is cut in the
/// middle.
fn an_origin_that_fails_three_times() {
    for pinned in [false, true] {
        let name = if pinned { "thrice-pinned" } else { "thrice" };
        let project = Project::tools(name, 5);
        project.origin.size(&project.tool_path(2), 8 << 20);
        if pinned {
            project.define(&project.pinned());
        }
        for (file, fault) in [Fault::Status(500), Fault::Status(429), Fault::Drop].iter().enumerate() {
            project.origin.times(&project.tool_path(file), 3, fault);
        }
        let image = format!("org/{name}:1");
        let _ = project.build().platform(BOTH).push(&image).run().success();
        sent_once(&project, 0..5);
        let _ = project.build().platform(BOTH).push(&image).run().success();
        sent_once(&project, 0..5);
    }
}

fn a_slow_origin_is_waited_for() {
    let project = Project::tools("slow", 3);
    project.origin.size(&project.tool_path(0), 1 << 20);
    project.origin.always(&project.tool_path(0), Fault::Slow(Duration::from_secs(4)));
    project.origin.delay(&project.tool_path(1), Duration::from_secs(4));
    let _ = project.build().push("org/slow:1").run().success();
    sent_once(&project, 0..3);
}

fn wrong_bytes_of_a_file() {
    let project = Project::tools("wrong-bytes", 4);
    project.define(&project.pinned());
    project.origin.always(&project.tool_path(1), Fault::WrongBytes);
    let output = project.build().push("org/wrong-bytes:1").run();
    let said = output.failure();
    for words in ["kso.yaml:5", "wrong checksum", &project.origin.sha256(&project.tool_path(1))] {
        assert!(said.contains(words), "{words} is missing in:\n{said}");
    }
    nothing_is_pushed("org/wrong-bytes");
    project.origin.heal(&project.tool_path(1));
    project.origin.forget();
    let _ = project.build().push("org/wrong-bytes:1").run().success();
    sent_once(&project, 1..2);
    assert_eq!(project.origin.bodies().len(), 1, "{:?}", project.origin.bodies());
}

fn redirects_of_a_file() {
    let (project, other) = (Project::tools("redirects", 4), Origin::start());
    project.define(&project.pinned());
    let [near, far, circle] = [0, 1, 2].map(|file| project.tool_path(file));
    let elsewhere = other.url().replace("127.0.0.1", "localhost");
    project.origin.always(&near, Fault::Redirect(format!("/moved{near}")));
    project.origin.serve(&format!("/moved{near}"), project.origin.bytes(&near));
    project.origin.always(&far, Fault::Redirect(format!("{elsewhere}{far}")));
    other.serve(&far, project.origin.bytes(&far));
    project.origin.always(&circle, Fault::Redirect(circle.clone()));
    let output = project.build().push("org/redirects:1").run();
    assert!(output.failure().contains("the server redirects in a loop"), "{}", output.failure());
    assert!(output.failure().contains("kso.yaml:6"), "{}", output.failure());
    // With the checksum and without: a circle is a circle at the first try.
    let asked = project.origin.count("GET", &circle);
    assert!(asked <= 22, "{asked} requests");
    nothing_is_pushed("org/redirects");
    project.origin.heal(&circle);
    let _ = project.build().push("org/redirects:1").run().success();
    assert_eq!(other.bodies().get(&far), Some(&1));
    assert_eq!(project.origin.bodies().get(&format!("/moved{near}")), Some(&1));
    sent_once(&project, 2..4);
}
