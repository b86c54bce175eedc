//! What `docker buildx build` asks instead of building: `--check` and `--call`, and what it prints of the answers.

use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::files::Project;
use crate::harness::{Build, FRONTEND, Harness, Kind, Rules};
use crate::images::project::sample;
use crate::trials::{Test, trials};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    const TESTS: &[Test] = &[
        ("what_a_check_finds_is_shown_with_its_lines", what_a_check_finds_is_shown_with_its_lines),
        ("a_build_shows_warnings_or_fails_with_them", a_build_shows_warnings_or_fails_with_them),
        ("the_plan_and_the_lists_are_printed", the_plan_and_the_lists_are_printed),
        ("the_plan_of_locked_images_is_printed", the_plan_of_locked_images_is_printed),
        ("arguments_are_listed_and_replaced", arguments_are_listed_and_replaced),
    ];
    trials("asked", TESTS)
}

/// A copy of a case of `cases/lint`, as a definition that starts this frontend.
fn case(rule: &str) -> PathBuf {
    let _ = Harness::get().frontend();
    let folder = Harness::get().folder("asked");
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/lint").join(rule)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    let definition = folder.join("kso.yaml");
    let text = fs::read_to_string(&definition).unwrap();
    fs::write(&definition, format!("# syntax={FRONTEND}\n{text}")).unwrap();
    folder
}

fn build(folder: &Path) -> Build {
    Harness::get().buildx().build(folder).file("kso.yaml").platform("linux/amd64,linux/arm64")
}

fn what_a_check_finds_is_shown_with_its_lines() {
    let folder = case("MissingArchitecture");
    let output = build(&folder).arg("--check").run();
    assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
    insta::assert_snapshot!("check", output.stdout);

    let output = build(&folder).args(["--call", "check,format=json"]).run();
    assert_eq!(output.status.code(), Some(1));
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(json["warnings"].as_array().unwrap().len(), 2, "{json}");
    assert_eq!(json["sources"][1]["filename"], "files-amd64.list");

    let skipped = build(&folder).arg("--check").arg("--build-arg=BUILDKIT_DOCKERFILE_CHECK=skip=all").run().success();
    insta::assert_snapshot!("check_without_warnings", skipped.stdout);

    // A note is shown, and fails nothing.
    let folder = case("ArchitectureWithoutPlatform");
    let output = Harness::get().buildx().build(&folder).file("kso.yaml").platform("linux/amd64").arg("--check").run();
    let output = output.success();
    insta::assert_snapshot!("check_with_a_note", output.stdout);

    let wrong = case("PlainHttp");
    let text = fs::read_to_string(wrong.join("kso.yaml")).unwrap();
    fs::write(wrong.join("kso.yaml"), text.replace("skip=", "sikp=")).unwrap();
    insta::assert_snapshot!("check_of_wrong_options", build(&wrong).arg("--check").run().failure());
}

fn a_build_shows_warnings_or_fails_with_them() {
    let project = Project::tools("warned", 2);
    let (build, _) = project.build().output("oci");
    let output = build.run().success();
    let shown = "UnpinnedFile: `https://warned.example/tool0x/v1.0.0/tool0x-linux.tgz` has no checksum; \
                 1 more in this list (temp/files-amd64.list line 1)";
    assert!(output.stderr.contains(shown), "{}", output.stderr);

    let definition = project.folder.join("kso.yaml");
    let text = fs::read_to_string(&definition).unwrap();
    fs::write(&definition, text.replacen('\n', "\n# check=error=true\n", 1)).unwrap();
    let (build, _) = project.build().output("oci");
    let output = build.run();
    assert!(output.failure().contains("lint violation found for rules: MirrorWithoutPin, PlainHttp, UnpinnedFile"));

    // A lock pins everything.
    let lock = project.build().target("lock").arg("--output=.").run().success();
    assert!(!lock.stderr.contains("UnpinnedFile"), "{}", lock.stderr);
    let (build, _) = project.build().output("oci");
    let output = build.run().success();
    assert!(!output.stderr.contains("UnpinnedFile"), "{}", output.stderr);
    let _ = project.build().arg("--check").run().success();
}

fn the_plan_and_the_lists_are_printed() {
    // Its lock has sizes.
    let folder = case("ChecksumFromFirstUse");
    let call = |call: &str| build(&folder).args(["--call", call]).run().success().stdout;
    insta::assert_snapshot!("call_plan", call("kso.plan"));
    insta::assert_snapshot!("call_lists", call("kso.lists"));
    let json: Value = serde_json::from_str(&call("kso.plan,format=json")).unwrap();
    let layers = json["targets"][0]["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 7, "with the lock, and kso of each platform: {json}");
    assert_eq!(layers[1]["platforms"].as_array().unwrap().len(), 2, "{json}");
    let json: Value = serde_json::from_str(&call("kso.lists,format=json")).unwrap();
    assert_eq!(json["files"]["arm64"].as_array().unwrap().len(), 3, "{json}");
    let described = call("subrequests.describe");
    assert!(described.contains("kso.plan") && described.contains("kso.lists"), "{described}");
}

/// The size of the lock depends on the base image, which the harness makes: it is evened out, and what it is summed up to.
fn the_plan_of_locked_images_is_printed() {
    let (folder, upstream) = (Harness::get().folder("planned"), Harness::get().upstream(Rules::default()));
    let _ = Harness::get().frontend();
    let images = [("planned-a/node:v1", Kind::OciIndex), ("planned-b/pause:3.9", Kind::DockerList)];
    let entries = images.map(|(name, kind)| {
        upstream.put(name, &sample(kind, name));
        format!("  - image: quay.io/{name}\n")
    });
    let definition = format!("# syntax={FRONTEND}\napiVersion: kso/v1\nimages:\n{}", entries.concat());
    fs::write(folder.join("kso.yaml"), definition).unwrap();
    // Which layer an image shares depends on its name, which must not be that of a port.
    let daemon = Harness::get().daemon_with(&[("quay.io", &upstream)]);
    let build = || daemon.buildx().build(&folder).file("kso.yaml").platform("linux/amd64,linux/arm64");
    let (lock, out) = build().target("lock").output("local");
    let _ = lock.run().success();
    fs::copy(out.join("kso.lock"), folder.join("kso.lock")).unwrap();

    let call = |call: &str| build().args(["--call", call]).run().success().stdout;
    let mut json: Value = serde_json::from_str(&call("kso.plan,format=json")).unwrap();
    let layers = json["targets"][0]["layers"].as_array_mut().unwrap();
    let lock = layers.iter_mut().find(|layer| layer["name"] == "the lock").unwrap();
    assert_eq!(lock["bytes"], fs::metadata(folder.join("kso.lock")).unwrap().len());
    (lock["bytes"], lock["entries"][0]["bytes"]) = (0.into(), 0.into());
    insta::assert_snapshot!("call_plan_of_images_as_json", serde_json::to_string_pretty(&json).unwrap());

    let table: Vec<String> = call("kso.plan")
        .lines()
        .map(|line| {
            let end = line.strip_prefix("shared by all platforms: ").and_then(|rest| rest.split(", ").next());
            match end {
                Some(count) => format!("shared by all platforms: {count}, SIZE"),
                None if line.ends_with("the lock") => format!("{}    SIZE{}", &line[..16], &line[24..]),
                None => line.to_owned(),
            }
        })
        .collect();
    insta::assert_snapshot!("call_plan_of_images", table.join("\n"));
}

fn arguments_are_listed_and_replaced() {
    let _ = Harness::get().frontend();
    let folder = Harness::get().folder("arguments");
    let definition = "args:\n  # KUBE_VERSION the release of Kubernetes\n  KUBE_VERSION: v1.29.10\nfiles:\n  \
                      - url: https://dl.k8s.io/${KUBE_VERSION}/bin/linux/{arch}/kubelet\n";
    fs::write(folder.join("kso.yaml"), format!("# syntax={FRONTEND}\napiVersion: kso/v1\n{definition}")).unwrap();
    let newer = || build(&folder).arg("--build-arg=KUBE_VERSION=v1.30.1").arg("--build-arg=KSO_LOCK=ignore");
    insta::assert_snapshot!("call_outline", newer().args(["--call", "outline"]).run().success().stdout);
    let lists = newer().args(["--call", "kso.lists"]).run().success().stdout;
    assert!(lists.contains("https://dl.k8s.io/v1.30.1/bin/linux/arm64/kubelet\n"), "{lists}");
    let unknown = newer().arg("--build-arg=KUBE_VERSOIN=v1").args(["--call", "kso.lists"]).run();
    insta::assert_snapshot!("unknown_build_argument", unknown.failure());
    let wrong = build(&folder).arg("--build-arg=KUBE_VERSION=v 1").args(["--call", "kso.lists"]).run();
    insta::assert_snapshot!("wrong_build_argument", wrong.failure());
}
