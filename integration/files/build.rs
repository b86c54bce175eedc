//! What is built, and how it may be asked for.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::project::{BASE, BOTH, Project, host_of, path_of};
use crate::harness::{Container, Harness, architecture, run};

pub(super) const TESTS: &[(&str, fn())] = &[
    ("kubespray_lists_for_two_platforms", kubespray_lists_for_two_platforms),
    ("odd_urls_are_served_at_their_own_paths", odd_urls_are_served_at_their_own_paths),
    ("no_exec_and_no_platform_on_content", no_exec_and_no_platform_on_content),
    ("the_graph_builds_with_buildctl", the_graph_builds_with_buildctl),
    ("two_fresh_daemons_build_the_same", two_fresh_daemons_build_the_same),
    ("every_output_works", every_output_works),
    ("every_number_of_platforms_works", every_number_of_platforms_works),
    ("the_definition_may_come_from_elsewhere", the_definition_may_come_from_elsewhere),
    ("an_unknown_target_names_the_known", an_unknown_target_names_the_known),
    ("buildx_may_ask_instead_of_building", buildx_may_ask_instead_of_building),
];

fn kubespray_lists_for_two_platforms() {
    let project = Project::kubespray("kubespray");
    let layers = project.push("org/kubespray-files:1");
    let urls = project.urls();
    assert!(urls.len() >= 10, "{} URLs", urls.len());
    assert_eq!(layers.len(), urls.len() + 1, "a layer for each file, and nginx's configuration");
    let bodies = project.origin.bodies();
    for url in &urls {
        assert_eq!(bodies.get(&path_of(url)), Some(&1), "{url} is fetched exactly once");
        assert_eq!(project.origin.count("GET", &path_of(url)), 1, "{url} is asked for exactly once");
    }
    assert_eq!(bodies.len(), urls.len(), "nothing else is fetched");

    let platform = format!("linux/{}", architecture());
    let container = Container::start(Harness::get(), "org/kubespray-files:1", &platform);
    for url in &urls {
        let path = path_of(url);
        for answer in [container.get(&format!("/k8s{path}")), container.get6(&format!("/k8s{path}"))] {
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(answer.sha256(), project.origin.sha256(&path), "{path}");
            assert!(!answer.headers.contains_key("etag") && !answer.headers.contains_key("last-modified"), "{path}");
        }
    }
    let root = container.get("/k8s/");
    assert_eq!(root.status, 200);
    for url in &urls {
        let link = format!("href=\"{}/\"", host_of(url));
        assert!(root.text().contains(&link), "{link} is missing in {}", root.text());
    }
    assert_eq!(container.get("/k8s/dl.k8s.io/nothing").status, 404);
}

fn odd_urls_are_served_at_their_own_paths() {
    let paths = [
        "a%20b.tgz",
        "what%3F.tgz",
        "back%5Cslash",
        "a;b=c.tgz",
        "$HOME",
        "twice//x",
        "%2523.tgz",
        "v1.2+k3s1",
        "~user/x",
        "gr\u{fc}\u{df}e/\u{6587}\u{4ef6}",
        "gr%C3%BCn",
        "a'b(c)!*,@:&=x",
    ];
    let mut urls: Vec<String> = paths.iter().map(|path| format!("https://odd.example/{path}")).collect();
    urls.push("http://odd.example:5000/v2/x".into());
    let project = Project::new("odd", urls.clone(), urls.clone());
    project.origin.sizes(200..=2_000);
    let _ = project.push("org/odd:1");
    let fetched = project.origin.bodies();
    assert_eq!(fetched.len(), urls.len(), "{fetched:?}");
    let sums: Vec<String> = fetched.keys().map(|path| project.origin.sha256(path)).collect();
    let container = Container::start(Harness::get(), "org/odd:1", &format!("linux/{}", architecture()));
    let mut served = Vec::new();
    for url in &urls {
        let answer = container.get(&format!("/k8s{}", path_of(url)));
        assert_eq!(answer.status, 200, "{url}");
        assert!(sums.contains(&answer.sha256()), "{url} has bytes that nobody asked for");
        served.push(answer.sha256());
    }
    served.sort();
    served.dedup();
    assert_eq!(served.len(), urls.len(), "each URL has bytes of its own");
}

fn no_exec_and_no_platform_on_content() {
    let project = Project::kubespray("llb");
    let output =
        kso(&project.folder, &["llb", "kso.yaml", "--target", "files", "--platform", BOTH, "--format", "json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let graphs: Value = serde_json::from_slice(&output.stdout).unwrap();
    let graphs = graphs.as_object().unwrap();
    assert_eq!(graphs.len(), 2);
    for vertices in graphs.values() {
        let vertices = vertices.as_array().unwrap();
        assert!(vertices.len() > 20, "the graph is there");
        for vertex in vertices {
            assert_ne!(vertex["kind"], "exec", "{vertex}");
            let base = vertex["does"][0].as_str().unwrap().starts_with("docker-image://");
            assert_eq!(vertex["platform"].is_string(), base, "only base images carry a platform: {vertex}");
        }
    }
}

fn the_graph_builds_with_buildctl() {
    let project = Project::tools("buildctl", 3);
    let harness = Harness::get();
    let graph = kso(&project.folder, &["llb", "--format", "protobuf"]);
    assert!(graph.status.success());
    let dest = project.folder.join("out");
    let mut buildctl = harness.tools().command("buildctl", &project.folder);
    buildctl.args(["--addr", &harness.daemon().address(), "build", "--output"]);
    buildctl.arg(format!("type=local,dest={}", dest.display()));
    let output = run(buildctl, &graph.stdout, Duration::from_mins(2)).unwrap();
    assert!(output.status.success(), "{}", output.stderr);
    for number in 0..3 {
        let path = project.tool_path(number);
        let bytes = fs::read(dest.join("opt/k8s/k8s").join(path.trim_start_matches('/'))).unwrap();
        assert_eq!(bytes, project.origin.bytes(&path));
    }
}

fn two_fresh_daemons_build_the_same() {
    let project = Project::kubespray("reproducible");
    let harness = Harness::get();
    let build = |tag: &str| {
        let daemon = harness.fresh_daemon();
        let image = format!("org/reproducible:{tag}");
        let _ = project.build_by(daemon.buildx()).platform(BOTH).push(&image).run().success();
        let plain = format!("org/reproducible:{tag}-plain");
        let _ = project.build_by(daemon.buildx()).platform(BOTH).arg("--provenance=false").push(&plain).run().success();
        let manifests =
            ["linux/amd64", "linux/arm64"].map(|platform| harness.registry().image(&image, platform).digest);
        (manifests, harness.registry().digest(&plain))
    };
    assert_eq!(build("a"), build("b"));
}

fn every_output_works() {
    let project = Project::tools("outputs", 3);
    let file = "k8s/outputs.example/tool0x/v1.0.0/tool0x-linux.tgz";
    // Those of the base, nginx's configuration, one for each file, and kso where the frontend's image has it.
    let layers = |architecture: &str| {
        let base = Harness::get().registry().image(BASE, &format!("linux/{architecture}"));
        base.layers().len() + 4 + usize::from(architecture == crate::harness::architecture())
    };

    let (build, dest) = project.build().platform(BOTH).output("oci");
    let _ = build.run().success();
    let layout = members(&dest);
    let blob = |descriptor: &Value| -> Value {
        let digest = descriptor["digest"].as_str().unwrap().replace(':', "/");
        serde_json::from_slice(&layout[&format!("blobs/{digest}")]).unwrap()
    };
    let top: Value = serde_json::from_slice(&layout["index.json"]).unwrap();
    let index = blob(&top["manifests"][0]);
    for architecture in ["amd64", "arm64"] {
        let manifests = index["manifests"].as_array().unwrap();
        let one = manifests.iter().find(|one| one["platform"]["architecture"] == architecture).unwrap();
        let manifest = blob(one);
        assert_eq!(manifest["layers"].as_array().unwrap().len(), layers(architecture), "{manifest}");
        assert_eq!(blob(&manifest["config"])["architecture"], architecture);
    }

    let (build, dest) = project.build().platform("linux/arm64").output("docker");
    let _ = build.run().success();
    let archive = members(&dest);
    let manifests: Value = serde_json::from_slice(&archive["manifest.json"]).unwrap();
    assert_eq!(manifests.as_array().unwrap().len(), 1, "{manifests}");
    let names = manifests[0]["Layers"].as_array().unwrap();
    assert_eq!(names.len(), layers("arm64"));
    assert!(names.iter().all(|name| archive.contains_key(name.as_str().unwrap())), "{manifests}");

    let (build, dest) = project.build().platform("linux/amd64").output("local");
    let _ = build.run().success();
    assert!(dest.join("opt/k8s").join(file).is_file());

    let (build, dest) = project.build().platform(BOTH).output("local");
    let _ = build.run().success();
    for platform in ["linux_amd64", "linux_arm64"] {
        assert!(dest.join(platform).join("opt/k8s").join(file).is_file(), "{platform}");
    }
}

fn every_number_of_platforms_works() {
    let project = Project::tools("platforms", 2);
    let registry = Harness::get().registry();
    let plain = |build: crate::harness::Build, tag: &str| {
        let image = format!("org/platforms:{tag}");
        let _ = build.arg("--provenance=false").push(&image).run().success();
        registry.document(&image)
    };
    let none = plain(project.build(), "none");
    assert!(none["layers"].is_array(), "one platform is a plain manifest: {none}");
    let one = plain(project.build().platform("linux/arm64"), "one");
    assert!(one["layers"].is_array(), "one platform is a plain manifest: {one}");
    let two = plain(project.build().platform(BOTH), "two");
    assert_eq!(two["manifests"].as_array().unwrap().len(), 2);
}

fn the_definition_may_come_from_elsewhere() {
    let project = Project::tools("elsewhere", 2);
    let definition = fs::read(project.folder.join("kso.yaml")).unwrap();
    fs::remove_file(project.folder.join("kso.yaml")).unwrap();
    let buildx = Harness::get().buildx();
    let _ = Harness::get().frontend();

    let (build, dest) = buildx.build(&project.folder).file("-").stdin(definition.clone()).output("local");
    let _ = build.run().success();
    assert!(dest.join("opt/k8s/k8s/elsewhere.example").is_dir());

    let outside = Harness::get().folder("outside").join("other.yaml");
    fs::write(&outside, definition).unwrap();
    let (build, dest) = buildx.build(&project.folder).file(&outside).output("local");
    let _ = build.run().success();
    assert!(dest.join("opt/k8s/k8s/elsewhere.example").is_dir());
}

fn an_unknown_target_names_the_known() {
    let project = Project::tools("target", 1);
    let output = project.build().target("imagse").output("oci").0.run();
    insta::assert_snapshot!("unknown_target", output.failure());
    let (build, _) = project.build().target("files").output("oci");
    let _ = build.run().success();
}

fn buildx_may_ask_instead_of_building() {
    let project = Project::tools("ask", 1);
    let ask = |call: &str| project.build().arg(format!("--call={call}")).run().success().stdout;
    insta::assert_snapshot!("call_targets", ask("targets"));
    insta::assert_snapshot!("call_outline", ask("outline"));
    insta::assert_snapshot!("call_describe", ask("subrequests.describe"));
    assert_eq!(project.origin.requests().len(), 0, "a question fetches nothing");
}

/// Runs the command `kso` in `folder`.
fn kso(folder: &Path, arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_kso")).args(arguments).current_dir(folder).output().unwrap()
}

/// The files of a tar, by path.
fn members(tar: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(fs::File::open(tar).unwrap());
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.insert(path, bytes);
    }
    files
}
