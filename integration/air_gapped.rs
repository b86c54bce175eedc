//! A builder that reaches nobody: the frontend and the base image come from OCI layouts, the files from a mirror inside.

use std::fs;
use std::path::Path;
use std::time::Duration;

use libtest_mimic::Trial;

use crate::files::content_layers;
use crate::harness::{Buildx, FRONTEND, Harness, Host, Origin, Rules, run};
use crate::trials::{Test, trials};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    const TESTS: &[Test] = &[("the_frontend_comes_from_a_layout", the_frontend_comes_from_a_layout)];
    trials("air_gapped", TESTS)
}

const NGINX: &str = "docker.io/library/nginx:1.27-alpine";

/// `skopeo copy --all` of what the harness's registry has under a name, into a layout.
fn carry(image: &str, layout: &Path) {
    let mut command = Harness::get().tools().command("skopeo", layout.parent().expect("a layout lies in a folder"));
    command.args(["--insecure-policy", "copy", "--quiet", "--all", "--src-tls-verify=false"]);
    command.arg(format!("docker://{}", Harness::get().registry().reference(image)));
    command.arg(format!("oci:{}:carried", layout.display()));
    let output = run(command, b"", Duration::from_mins(2)).unwrap();
    assert!(output.status.success(), "{image}: {}", output.stderr);
}

fn the_frontend_comes_from_a_layout() {
    let harness = Harness::get();
    let _ = harness.frontend();
    let folder = harness.folder("air-gapped");
    let origin = Origin::start();
    let definition = format!(
        "# syntax={FRONTEND}\napiVersion: kso/v1\nfiles:\n  - url: https://air-gapped.example/tool.tgz\nmirrors:\n  - {{ \
         from: \"https://air-gapped.example/\", to: [\"{}\"] }}\n",
        origin.mirror("air-gapped.example")
    );
    fs::write(folder.join("kso.yaml"), definition).unwrap();
    let layouts = [FRONTEND, NGINX].map(|image| {
        let layout = harness.folder("carried").join("layout");
        carry(image, &layout);
        format!("{image}=oci-layout://{}:carried", layout.display())
    });

    // Both registries are names of this daemon's internet at which nobody is.
    let mut nobody = harness.upstream(Rules::default());
    nobody.off();
    let daemon = harness.daemon_online(&[("ghcr.io", Host::Registry(&nobody)), ("docker.io", Host::Registry(&nobody))]);
    let build = |buildx: &Buildx, contexts: &[String]| {
        let build = buildx.build(&folder).file("kso.yaml").platform("linux/amd64,linux/arm64");
        contexts.iter().fold(build, |build, context| build.args(["--build-context", context]))
    };
    let without = build(daemon.buildx(), &[]).output("oci").0.run();
    assert!(without.failure().contains("ghcr.io/org/kso-frontend:1"), "{}", without.failure());
    let _ = build(daemon.buildx(), &layouts).push("org/air-gapped:1").run().success();
    let _ = build(harness.buildx(), &[]).push("org/air-gapped:2").run().success();
    assert_eq!(content_layers("org/air-gapped:1"), content_layers("org/air-gapped:2"), "the same as with internet");
    assert_eq!(nobody.calls().len(), 0);
}
