//! The frontend image as it is published: for both platforms, small, and able to work.

use std::fs;

use libtest_mimic::Trial;
use serde_json::json;

use crate::files::{Project, content_layers};
use crate::harness::{Harness, frontend};
use crate::trials::{Test, long, trials};

/// What the image may have, in bytes as a registry stores it.
const LIMIT: u64 = 8_000_000;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    const TESTS: &[Test] = &[("for_this_machine", for_this_machine)];
    const LONG: &[Test] = &[("for_both_platforms", for_both_platforms)];
    trials("frontend_image", TESTS).into_iter().chain(long("frontend_image", LONG)).collect()
}

/// With the program of the tests, which is larger than the published one.
fn for_this_machine() {
    let harness = Harness::get();
    let own = frontend::architecture();
    let image = "org/kso-frontend:own";
    let program = frontend::optimized().unwrap_or_else(|error| panic!("{error}"));
    let build = frontend::image(harness.buildx(), program.parent().unwrap());
    let _ = build.platform(&format!("linux/{own}")).push(image).run().success();
    is_small_and_labelled(image, own);
}

/// Builders on Apple silicon run the arm64 image. Here qemu runs its program, as the frontend of a build.
fn for_both_platforms() {
    let harness = Harness::get();
    let binaries = harness.binaries_of_both();
    let image = "org/kso-frontend:both";
    let build = frontend::image(harness.buildx(), &binaries);
    let _ = build.platform("linux/amd64,linux/arm64").push(image).run().success();
    for architecture in ["amd64", "arm64"] {
        is_small_and_labelled(image, architecture);
    }

    let folder = harness.folder("emulated");
    fs::copy(harness.tools().path("qemu"), folder.join("qemu")).unwrap();
    fs::copy(binaries.join("kso-arm64"), folder.join("kso")).unwrap();
    let dockerfile = "FROM scratch\nCOPY qemu kso /\nENTRYPOINT [\"/qemu\", \"/kso\"]\n\
        LABEL moby.buildkit.frontend.network.none=true\n";
    fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
    let emulated = harness.registry().reference("org/kso-frontend:emulated");
    let _ = harness.buildx().build(&folder).push("org/kso-frontend:emulated").run().success();

    let project = Project::tools("emulated", 3);
    let native = project.push("org/emulated:native");
    let syntax = format!("BUILDKIT_SYNTAX={emulated}");
    let build = project.build().platform("linux/amd64,linux/arm64").args(["--build-arg", &syntax]);
    let output = build.push("org/emulated:arm64").run().success();
    assert!(output.stderr.contains("kso-frontend:emulated"), "the emulated frontend is used: {}", output.stderr);
    assert_eq!(content_layers("org/emulated:arm64"), native);
}

/// What a pushed frontend image has, whatever its architecture.
fn is_small_and_labelled(image: &str, architecture: &str) {
    let image = Harness::get().registry().image(image, &format!("linux/{architecture}"));
    assert_eq!(image.config["architecture"], architecture);
    assert_eq!(image.config["config"]["Entrypoint"], json!(["/kso"]));
    let labels = &image.config["config"]["Labels"];
    assert_eq!(labels["moby.buildkit.frontend.network.none"], "true");
    let caps = labels["moby.buildkit.frontend.caps"].as_str().unwrap();
    for cap in ["inputs", "subrequests", "contexts", "gitquerystring"] {
        assert!(caps.split(',').any(|known| known == format!("moby.buildkit.frontend.{cap}")), "{caps}");
    }
    let layers = image.manifest["layers"].as_array().unwrap();
    let size: u64 = layers.iter().map(|layer| layer["size"].as_u64().unwrap()).sum();
    assert!(layers.len() == 1 && size <= LIMIT, "{} layers of {size} bytes", layers.len());
    eprintln!("frontend image for {architecture}: {size} bytes");
}
