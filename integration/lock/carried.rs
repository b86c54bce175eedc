//! What the images carry beside their content: kso itself, the lock, bills of materials and provenance.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use super::project::{BOTH, Project};
use crate::harness::{Container, FRONTEND, Harness, NGINX, REGISTRY, Rules};

pub(super) const TESTS: &[(&str, fn())] = &[
    ("kso_is_in_the_images", kso_is_in_the_images),
    ("bills_of_materials_are_attached", bills_of_materials_are_attached),
    ("provenance_names_all_materials", provenance_names_all_materials),
];

const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// The base image of each target, and the port that it serves on.
const TARGETS: [(&str, &str, u16); 2] = [("files", NGINX, 80), ("images", REGISTRY, 5000)];

fn kso_is_in_the_images() {
    let harness = Harness::get();
    let registry = harness.registry();
    let project = Project::new("carried", Rules::default());
    let daemon = project.daemon();
    let lock = project.lock(&daemon);
    for (target, base, port) in TARGETS {
        // That of this machine alone, and one of both platforms.
        let (one, both) = (format!("org/carried-{target}:one"), format!("org/carried-{target}:both"));
        project.define(FRONTEND, "");
        let output = project.build(&daemon, target).platform(BOTH).push(&one).run().success();
        assert!(output.stderr.contains("[kso] not in the image of linux/arm64"), "{}", output.stderr);
        project.define(harness.frontend_of_both(), "");
        let output = project.build(&daemon, target).platform(BOTH).push(&both).run().success();
        assert!(!output.stderr.contains("[kso] not in the image"), "{}", output.stderr);
        for platform in PLATFORMS {
            let (base, one) = (registry.image(base, platform), registry.image(&one, platform));
            let both = registry.image(&both, platform);
            for key in ["Entrypoint", "Cmd", "Env", "WorkingDir"] {
                assert_eq!(both.config["config"][key], base.config["config"][key], "{target} {platform} {key}");
            }
            let history = both.config["history"].as_array().unwrap();
            let names: Vec<&Value> = history[history.len() - 2..].iter().map(|step| &step["created_by"]).collect();
            assert_eq!(names, ["kso: the lock", "kso: kso verify"]);
            // The content lies in the same layers, with kso or without.
            let (with, content) = (both.diff_ids(), both.diff_ids().len() - 2);
            let own = one.diff_ids().len() > content;
            assert_eq!(own, platform.ends_with(crate::harness::architecture()), "{target} {platform}");
            assert_eq!(one.diff_ids()[..], with[..if own { with.len() } else { content }], "{target} {platform}");
        }

        let unpacked = Container::unpack(harness, &both, "linux/arm64");
        assert_eq!(fs::read_to_string(unpacked.root().join("kso.lock")).unwrap(), lock);
        let container = unpacked.port(port).start();
        let server =
            if target == "files" { ["--files", "http://127.0.0.1/k8s"] } else { ["--registry", "127.0.0.1:5000"] };
        let output = container.exec(&["/kso", "verify", server[0], server[1], "/"]);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), output.stderr);
        assert!(output.status.success(), "{said}");
        assert_eq!(said.lines().filter(|line| line.ends_with(": matches the lock")).count(), 2, "{said}");
    }
}

/// The in-toto statements about the images of a pushed index, by platform and type of predicate.
fn statements(image: &str) -> BTreeMap<(String, String), Value> {
    let registry = Harness::get().registry();
    let name = image.split(':').next().unwrap();
    let index = registry.index(image);
    let entries = index["manifests"].as_array().unwrap();
    let platform = |digest: &Value| {
        let entry = entries.iter().find(|entry| entry["digest"] == *digest).unwrap();
        format!("linux/{}", entry["platform"]["architecture"].as_str().unwrap())
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        let about = &entry["annotations"]["vnd.docker.reference.digest"];
        if about.is_null() {
            continue;
        }
        let manifest = registry.document(&format!("{name}@{}", entry["digest"].as_str().unwrap()));
        for layer in manifest["layers"].as_array().unwrap() {
            let kind = layer["annotations"]["in-toto.io/predicate-type"].as_str().unwrap();
            let bytes = registry.blob(name, layer["digest"].as_str().unwrap());
            found.insert((platform(about), kind.to_owned()), serde_json::from_slice(&bytes).unwrap());
        }
    }
    found
}

fn bills_of_materials_are_attached() {
    let project = Project::new("sbom", Rules::default());
    let daemon = project.daemon();
    let lock: Value = serde_json::from_str(&project.lock(&daemon)).unwrap();
    let (build, out) = project.build(&daemon, "sbom").output("local");
    let _ = build.run().success();
    for target in ["files", "images"] {
        let image = format!("org/sbom-{target}:1");
        let _ = project.build(&daemon, target).platform(BOTH).arg("--sbom=true").push(&image).run().success();
        let statements = statements(&image);
        for platform in PLATFORMS {
            let statement = &statements[&(platform.to_owned(), "https://spdx.dev/Document".to_owned())];
            let digest = Harness::get().registry().image(&image, platform).digest;
            assert_eq!(statement["subject"][0]["digest"]["sha256"], digest.trim_start_matches("sha256:"));
            let file = out.join(format!("{target}-{}.spdx.json", platform.replace('/', "-")));
            let written: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
            assert_eq!(statement["predicate"], written, "{target} {platform}");
            let text = written.to_string();
            if target == "files" {
                for file in lock["files"].as_array().unwrap() {
                    let sha256 = file["sha256"].as_str().unwrap().trim_start_matches("sha256:");
                    assert!(text.contains(sha256) && text.contains(file["url"].as_str().unwrap()), "{file}");
                }
            }
            for image in lock["images"].as_array().unwrap() {
                let hex = image["digest"].as_str().unwrap().trim_start_matches("sha256:");
                assert_eq!(text.contains(hex), target == "images", "{}", image["reference"]);
            }
        }
    }
    // One platform is a plain image, unless it is asked for; and without a lock there is a document, too.
    fs::remove_file(project.folder.join("kso.lock")).unwrap();
    let arm64 = |tag: &str, sbom: &str| {
        let image = format!("org/sbom-one:{tag}");
        let build = project.build(&daemon, "files").platform("linux/arm64").args(["--provenance=false", sbom]);
        let _ = build.push(&image).run().success();
        Harness::get().registry().document(&image)
    };
    assert!(arm64("plain", "--sbom=false")["manifests"].is_null());
    assert_eq!(arm64("sbom", "--sbom=true")["manifests"].as_array().unwrap().len(), 2);
    let (build, again) = project.build(&daemon, "sbom").platform("linux/arm64").output("local");
    let _ = build.run().success();
    let name = "files-linux-arm64.spdx.json";
    assert_eq!(fs::read(again.join(name)).unwrap(), fs::read(out.join(name)).unwrap(), "the same lock, the same bytes");
}

fn provenance_names_all_materials() {
    let project = Project::new("materials", Rules::default());
    let daemon = project.daemon();
    let lock: Value = serde_json::from_str(&project.lock(&daemon)).unwrap();
    let materials = |target: &str, platform: &str| -> BTreeSet<String> {
        let image = format!("org/materials-{target}:1");
        let statements = statements(&image);
        let of_platform =
            statements.iter().find(|((of, kind), _)| of == platform && kind.contains("slsa.dev/provenance"));
        let predicate = &of_platform.unwrap().1["predicate"];
        let materials = [&predicate["materials"], &predicate["buildDefinition"]["resolvedDependencies"]];
        let all = materials.iter().filter_map(|it| it.as_array()).flatten();
        all.map(|it| format!("sha256:{} {}", it["digest"]["sha256"].as_str().unwrap_or("none"), it["uri"])).collect()
    };
    for target in ["files", "images"] {
        let build = project.build(&daemon, target).platform(BOTH).arg("--provenance=mode=max");
        let _ = build.push(&format!("org/materials-{target}:1")).run().success();
    }
    let found = materials("files", "linux/amd64");
    for file in lock["files"].as_array().unwrap() {
        let (sha256, path) = (file["sha256"].as_str().unwrap(), file["path"].as_str().unwrap());
        assert!(found.iter().any(|it| it.starts_with(sha256) && it.contains(path)), "{path}: {found:#?}");
    }
    for arch in ["amd64", "arm64"] {
        let found = materials("images", &format!("linux/{arch}"));
        for image in lock["images"].as_array().unwrap() {
            let manifests = image["manifests"].as_array().unwrap().iter();
            for manifest in manifests.filter(|it| it["architectures"].as_array().unwrap().iter().any(|of| of == arch)) {
                for blob in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
                    let digest = blob["digest"].as_str().unwrap();
                    assert!(
                        found.iter().any(|it| it.starts_with(digest)),
                        "{} {digest}: {found:#?}",
                        image["reference"]
                    );
                }
            }
        }
    }
}
