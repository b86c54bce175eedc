//! Images from an OCI layout instead of registries: nobody is asked, and what the layout has is proved.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::project::{BOTH, Project, sample, unpack};
use crate::harness::{Client, Harness, Kind, Sample, digest};

pub(super) const TESTS: &[(&str, fn())] = &[
    ("a_layout_takes_the_place_of_registries", a_layout_takes_the_place_of_registries),
    ("what_a_layout_has_is_proved", what_a_layout_has_is_proved),
    ("a_folder_that_is_no_layout", a_folder_that_is_no_layout),
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
    assert!(said.contains("the build context images is no OCI layout"), "{said}");
}
