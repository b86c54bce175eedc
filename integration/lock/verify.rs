//! `kso verify` on what a locked build made: archives, and the roots of containers.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::project::{BOTH, Project};
use crate::harness::{Container, Harness, Rules};

pub(super) const TESTS: &[(&str, fn())] = &[("what_was_built_is_proved", what_was_built_is_proved)];

fn verify(project: &Project, arguments: &[&str], place: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kso"));
    command.current_dir(&project.folder).arg("verify").args(arguments).arg(place);
    command.output().unwrap()
}

/// What it prints, if it ends with this code.
#[track_caller]
fn said(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn what_was_built_is_proved() {
    let project = Project::new("lock-verify", Rules::default());
    let daemon = project.daemon();
    project.lock(&daemon);
    for (target, what) in [("files", "3 files"), ("images", "5 images")] {
        let (build, archive) = project.build(&daemon, target).platform(BOTH).output("oci");
        let _ = build.run().success();
        let good = said(&verify(&project, &[], &archive), 0);
        for arch in ["amd64", "arm64"] {
            let line = format!(" ({arch}): {what}, ");
            assert!(good.lines().any(|it| it.contains(&line) && it.ends_with(": matches the lock")), "{good}");
        }
        let json: Value = serde_json::from_str(&said(&verify(&project, &["--format", "json"], &archive), 0)).unwrap();
        assert_eq!(json["places"].as_array().unwrap().len(), 2, "{json}");
    }

    let _ = project.build(&daemon, "images").platform(BOTH).push("org/lock-verify:1").run().success();
    let unpacked = Container::unpack(Harness::get(), "org/lock-verify:1", "linux/arm64");
    let good = said(&verify(&project, &["--architecture", "arm64"], unpacked.root()), 0);
    assert!(good.contains(": 5 images, "), "{good}");
    let tag = "var/lib/registry/docker/registry/v2/repositories/k8s/quay.io/lock-verify/zstd/_manifests/tags/1.0";
    fs::remove_file(unpacked.root().join(tag).join("current/link")).unwrap();
    let bad = said(&verify(&project, &[], unpacked.root()), 1);
    assert!(bad.starts_with("missing  quay.io/lock-verify/zstd:1.0  the tag of sha256:"), "{bad}");
    let output = verify(&project, &["--lock", "gone.lock"], unpacked.root());
    assert_eq!(output.status.code(), Some(2), "without a lock nothing is proved");
}
