//! The frontend of `crates/buildkit/examples`, as its README has it made and used: what that crate promises to others.

use std::fs;

use libtest_mimic::Trial;

use crate::harness::{Harness, frontend};
use crate::trials::{Test, trials};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    const TESTS: &[Test] = &[("greets", greets)];
    trials("hello", TESTS)
}

fn greets() {
    let harness = Harness::get();
    let program = harness.folder("hello-program");
    fs::copy(frontend::example("hello").unwrap(), program.join("hello")).unwrap();
    let build = harness.buildx().build(env!("CARGO_MANIFEST_DIR")).file("crates/buildkit/examples/hello.Dockerfile");
    let build = build.args(["--build-context", &format!("program={}", program.display())]);
    let _ = build.push("org/hello-frontend:1").run().success();

    let syntax = format!("# syntax={}\n", harness.registry().reference("org/hello-frontend:1"));
    let folder = harness.folder("hello");
    fs::write(folder.join("names.txt"), format!("{syntax}world\nBuildKit\n")).unwrap();
    let build = || harness.buildx().build(&folder).file("names.txt");
    let (local, out) = build().output("local");
    let _ = local.run().success();
    assert_eq!(fs::read_to_string(out.join("world")).unwrap(), "Hello, world!\n");
    assert_eq!(fs::read_to_string(out.join("BuildKit")).unwrap(), "Hello, BuildKit!\n");

    let _ = build().platform("linux/amd64,linux/arm64").push("org/hello-greetings:1").run().success();
    for architecture in ["amd64", "arm64"] {
        let image = harness.registry().image("org/hello-greetings:1", &format!("linux/{architecture}"));
        assert_eq!(image.config["architecture"], architecture);
        assert_eq!(image.manifest["layers"].as_array().unwrap().len(), 1);
    }

    fs::write(folder.join("names.txt"), [syntax.as_bytes(), b"\xff\n"].concat()).unwrap();
    let refused = build().output("local").0.run();
    assert!(refused.failure().contains("names.txt is not text"), "{}", refused.failure());
}
