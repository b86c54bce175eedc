//! Images from elsewhere than their registries (`--build-context`): nobody else is asked, and what comes is proved.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::project::{BOTH, Project, put, sample, unpack};
use crate::harness::{Auth, Client, Harness, Kind, Rules, Sample, digest};

pub(super) const TESTS: &[(&str, fn())] = &[
    ("a_layout_takes_the_place_of_registries", a_layout_takes_the_place_of_registries),
    ("what_a_layout_has_is_proved", what_a_layout_has_is_proved),
    ("a_folder_that_is_no_layout", a_folder_that_is_no_layout),
    ("each_image_from_a_place_of_its_own", each_image_from_a_place_of_its_own),
    ("another_image_than_that_of_the_lock", another_image_than_that_of_the_lock),
];

/// Names that lead nowhere.
const NODE: &str = "registry.invalid/layout/node:v1";
const PAUSE: &str = "registry.invalid/layout/pause:3.9";

/// An OCI layout of these images, each named as it was asked for.
fn write(folder: &Path, images: &[(&str, &Sample)]) {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let mut manifests = Vec::new();
    for (name, sample) in images {
        for (digest, bytes) in &sample.blobs {
            fs::write(blobs.join(digest.trim_start_matches("sha256:")), bytes).unwrap();
        }
        for document in &sample.documents {
            fs::write(blobs.join(document.digest().trim_start_matches("sha256:")), &document.bytes).unwrap();
        }
        let top = sample.documents.last().unwrap();
        manifests.push(json!({
            "mediaType": top.media_type,
            "digest": top.digest(),
            "size": top.bytes.len(),
            "annotations": { "org.opencontainers.image.ref.name": name },
        }));
    }
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let index = json!({ "schemaVersion": 2, "manifests": manifests });
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
}

fn both() -> [(&'static str, Sample); 2] {
    [(NODE, sample(Kind::OciIndex, "layout/node")), (PAUSE, sample(Kind::DockerList, "layout/pause"))]
}

fn project(name: &str) -> Project {
    Project::new(name, &format!("  - image: {NODE}\n  - image: {PAUSE}\n"))
}

fn a_layout_takes_the_place_of_registries() {
    let layout = Harness::get().folder("layout");
    let images = both();
    write(&layout, &images.each_ref().map(|(name, sample)| (*name, sample)));
    let project = project("from-layout");
    let context = format!("images={}", layout.display());
    let build = project.build().platform(BOTH).args(["--build-context", &context]);
    let _ = build.push("org/from-layout:1").run().success();
    for platform in ["linux/amd64", "linux/arm64"] {
        let registry = unpack("org/from-layout:1", platform).start();
        for (name, sample) in &images {
            for reference in
                [format!("k8s/{name}"), format!("k8s/{}@{}", name.split(':').next().unwrap(), sample.digest())]
            {
                assert_eq!(digest(&Client::new(&registry).raw(&reference)), sample.digest(), "{platform} {reference}");
            }
        }
    }
    let _ = project.build().platform("linux/amd64").push("org/from-layout:2").run().failure();
}

fn what_a_layout_has_is_proved() {
    let layout = Harness::get().folder("wrong-layout");
    let images = both();
    write(&layout, &images.each_ref().map(|(name, sample)| (*name, sample)));
    let wanted = images[0].1.clone().keep(&["linux/amd64", "linux/arm64"]);
    let (wrong, bytes) = wanted.blobs.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    fs::write(layout.join("blobs/sha256").join(wrong.trim_start_matches("sha256:")), vec![b'x'; bytes.len()]).unwrap();
    let project = project("wrong-from-layout");
    let context = format!("images={}", layout.display());
    let build = project.build().platform(BOTH).args(["--build-context", &context]);
    let output = build.push("org/wrong-from-layout:1").run();
    let said = output.failure();
    assert!(said.contains(wrong.as_str()) && said.contains("kso.yaml:"), "{said}");
}

fn a_folder_that_is_no_layout() {
    let folder = Harness::get().folder("no-layout");
    fs::write(folder.join("readme"), "nothing").unwrap();
    let project = project("no-layout-project");
    let context = format!("images={}", folder.display());
    let output = project.build().platform("linux/amd64").args(["--build-context", &context]).output("oci").0.run();
    let said = output.failure();
    assert!(said.contains("the build context images is not an OCI layout"), "{said}");
}

/// Names that lead nowhere, each with a kind of image and the place where it is.
fn each_image_from_a_place_of_its_own() {
    let (harness, contexts) = (Harness::get(), ["of-registry", "of-token", "of-layout", "of-folder"]);
    let plain = harness.upstream(Rules::default());
    // Its manifests are read by a step, as those of quay.io are.
    let token = harness.upstream(Rules { auth: Auth::AnonymousToken, strict_accept: true });
    let [layout, folder] = ["one-layout", "one-folder"].map(|name| harness.folder(name));
    let samples = [
        put(&plain, "elsewhere-a/mirror:v1", Kind::DockerList),
        put(&token, "elsewhere-b/mirror:v1", Kind::OciIndex),
        sample(Kind::OciIndex, "elsewhere-c/layout:v1"),
        sample(Kind::DockerList, "elsewhere-d/layout:v1"),
    ];
    write(&layout, &[("other", &samples[3]), ("v1", &samples[2])]);
    write(&folder, &[("anything", &samples[3])]);
    let values = [
        format!("docker-image://{}", plain.reference("elsewhere-a/mirror:v1")),
        format!("docker-image://{}@{}", token.reference("elsewhere-b/mirror:v1"), samples[1].digest()),
        format!("oci-layout://{}:v1", layout.display()),
        folder.display().to_string(),
    ];
    let names = contexts.map(|name| format!("registry.invalid/elsewhere/{name}:v1"));
    let entries: String = names.iter().map(|name| format!("  - image: {name}\n")).collect();
    let project = Project::new("elsewhere", &entries);
    let given: Vec<String> = names
        .iter()
        .zip(&values)
        .flat_map(|(name, value)| ["--build-context".into(), format!("{name}={value}")])
        .collect();
    let _ = project.build().platform(BOTH).args(&given).push("org/elsewhere:1").run().success();
    for platform in ["linux/amd64", "linux/arm64"] {
        let registry = unpack("org/elsewhere:1", platform).start();
        let client = Client::new(&registry);
        for (name, sample) in names.iter().zip(&samples) {
            assert_eq!(digest(&client.raw(&format!("k8s/{name}"))), sample.digest(), "{platform} {name}");
            let manifest = sample.manifest(platform).unwrap().digest();
            assert_eq!(client.pull(&format!("k8s/{name}"), platform).digest(), manifest, "{platform} {name}");
        }
    }
}

fn another_image_than_that_of_the_lock() {
    let upstream = Harness::get().upstream(Rules::default());
    let _ = put(&upstream, "relocked-a/node:v1", Kind::OciIndex);
    let mirror = Harness::get().upstream(Rules::default());
    let other = put(&mirror, "relocked-b/node:v2", Kind::OciIndex);
    let name = upstream.reference("relocked-a/node:v1");
    let project = Project::new("relocked", &format!("  - image: '{name}'\n"));
    let (lock, out) = project.build().target("lock").output("local");
    let _ = lock.run().success();
    fs::copy(out.join("kso.lock"), project.folder.join("kso.lock")).unwrap();
    let context = format!("{name}=docker-image://{}", mirror.reference("relocked-b/node:v2"));
    let build = project.build().platform(BOTH).args(["--build-context", &context]).output("oci").0.run();
    let said = build.failure();
    for words in ["kso.yaml:4", &format!("is {}, but the lock has sha256:", other.digest())] {
        assert!(said.contains(words), "{words:?} is missing in:\n{said}");
    }
}
