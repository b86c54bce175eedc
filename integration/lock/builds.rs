//! What is built with a lock: the same everywhere, and of blobs alone.

use std::fs;

use super::project::{BOTH, Project};
use crate::harness::{Auth, Buildkitd, FRONTEND, Harness, Login, PlatformImage, Rules};

pub(super) const TESTS: &[(&str, fn())] = &[
    ("a_lock_is_one_plain_file_for_all_platforms", a_lock_is_one_plain_file_for_all_platforms),
    ("three_daemons_build_the_same", three_daemons_build_the_same),
    ("a_locked_build_needs_no_network_once_it_is_cached", a_locked_build_needs_no_network_once_it_is_cached),
    ("private_images_build_with_a_lock_and_a_login", private_images_build_with_a_lock_and_a_login),
];

fn a_lock_is_one_plain_file_for_all_platforms() {
    let project = Project::new("lock-written", Rules::default());
    let daemon = project.daemon();
    let text = project.lock(&daemon);
    for digest in ["amd64/kubelet", "arm64/kubelet", "helm"].map(|file| project.origin.sha256(&project.file(file))) {
        assert!(text.contains(&format!("\"sha256:{digest}\"")), "{digest} is missing in {text}");
    }
    fs::remove_file(project.folder.join("kso.lock")).unwrap();
    let fresh = project.daemon();
    for (daemon, platform) in [(&daemon, BOTH), (&fresh, "linux/riscv64")] {
        let (build, out) = project.build(daemon, "lock").platform(platform).output("local");
        let _ = build.run().success();
        let written: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(written, ["kso.lock"], "{platform}");
        assert_eq!(fs::read_to_string(out.join("kso.lock")).unwrap(), text, "{platform}");
    }
}

/// What is the same whichever daemon builds: config and diff IDs of both platforms of both images, and the digests of
/// their manifests, which depend on the compressor too.
fn build(project: &Project, daemon: &Buildkitd, name: &str) -> Vec<PlatformImage> {
    let mut built = Vec::new();
    for target in ["files", "images"] {
        let image = format!("org/{name}-{target}:1");
        let output = project.build(daemon, target).platform(BOTH).push(&image).run().success();
        assert!(output.stderr.contains("[lock] kso.lock, 10 entries"), "{}", output.stderr);
        let platforms = ["linux/amd64", "linux/arm64"];
        built.extend(platforms.map(|platform| Harness::get().registry().image(&image, platform)));
    }
    built
}

fn three_daemons_build_the_same() {
    let project = Project::new("lock-three", Rules { strict_accept: true, ..Rules::default() });
    let warm = project.daemon();
    project.lock(&warm);
    let of_warm = build(&project, &warm, "lock-warm");

    let fresh = project.daemon();
    project.upstream.forget();
    project.origin.forget();
    let of_fresh = build(&project, &fresh, "lock-fresh");
    let (blobs, calls) = (project.upstream.blobs(), project.upstream.calls());
    assert!(!blobs.is_empty() && blobs.values().all(|count| *count == 1), "each once: {blobs:?}");
    assert_eq!(project.upstream.manifests().len(), 0, "no manifest and no index is sent");
    // BuildKit looks for the digest of a blob among the manifests too (containerd's `docker/resolver.go`), in vain.
    let other: Vec<_> =
        calls.iter().filter(|call| call.path != "/v2/" && !blobs.contains_key(call.reference())).collect();
    assert!(other.is_empty(), "nothing but blobs is asked for: {other:#?}");
    assert_eq!(project.origin.bodies().len(), 3, "each file is fetched");
    drop(fresh);

    let oldest = Harness::get().oldest_daemon_with(&[("quay.io", &project.upstream)]);
    let of_oldest = build(&project, &oldest, "lock-oldest");
    for ((warm, fresh), oldest) in of_warm.iter().zip(&of_fresh).zip(&of_oldest) {
        assert_eq!(warm.config, fresh.config, "the config holds the diff IDs");
        assert_eq!(warm.digest, fresh.digest, "the compressor is the same");
        assert_eq!(warm.config, oldest.config, "the oldest BuildKit");
    }
}

fn a_locked_build_needs_no_network_once_it_is_cached() {
    let project = Project::new("lock-offline", Rules::default());
    let digest = Harness::get().registry().digest(FRONTEND);
    project.define(&format!("{FRONTEND}@{digest}"), "");
    let mut daemon = project.daemon();
    project.lock(&daemon);
    let build = |daemon: &Buildkitd| {
        ["files", "images"].map(|target| {
            let (build, dest) = project.build(daemon, target).platform(BOTH).output("oci");
            let _ = build.arg("--provenance=false").run().success();
            fs::read(dest).unwrap()
        })
    };
    let online = build(&daemon);
    daemon.restart_offline().unwrap();
    for _ in 0..2 {
        assert!(build(&daemon) == online, "the very same archives");
    }
    // The network is really gone.
    let output = project.build(&daemon, "files").args(["--build-arg", "KSO_LOCK=ignore"]).run();
    let said = output.failure();
    assert!(said.contains("unreachable") || said.contains("dial tcp") || said.contains("lookup"), "{said}");
}

fn private_images_build_with_a_lock_and_a_login() {
    // Whoever writes the lock reaches the manifests, as `kso lock` does.
    let project = Project::new("lock-private", Rules::default());
    project.lock(&project.daemon());
    let login = Login::new("robot", "open sesame");
    let private = Harness::get().upstream(Rules { auth: Auth::Token(login.clone()), strict_accept: true });
    project.publish(&private);
    let daemon = Harness::get().daemon_with(&[("quay.io", &private)]);
    let refused = project.build(&daemon, "images").platform(BOTH).push("org/lock-private:1").run();
    let said = refused.failure();
    assert!(said.contains("quay.io/lock-private/") && said.contains("kso.yaml:"), "{said}");
    assert_eq!(Harness::get().registry().tags("org/lock-private"), [""; 0], "nothing is pushed");
    let (build, _) = project.build(&daemon, "images").platform(BOTH).logins(&[("quay.io", &login)]);
    let _ = build.push("org/lock-private:1").run().success();
}
