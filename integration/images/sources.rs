//! Source registries as they are in the world: what builds without any setting, what needs a login or a secret, and what
//! an error says.

use super::project::{BOTH, Project, digests, put};
use crate::harness::{Auth, Build, Fault, Harness, Kind, Login, Rules, Upstream};

pub(super) const TESTS: &[(&str, fn())] = &[
    ("public_images_need_no_setting", public_images_need_no_setting),
    ("private_schema_2_needs_a_login", private_schema_2_needs_a_login),
    ("an_oci_manifest_for_a_token_is_an_error", an_oci_manifest_for_a_token_is_an_error),
    ("a_registry_that_is_down", a_registry_that_is_down),
    ("an_unknown_tag", an_unknown_tag),
    ("a_missing_architecture_names_those_there_are", a_missing_architecture_names_those_there_are),
    ("what_kso_does_not_take_is_refused", what_kso_does_not_take_is_refused),
    ("a_corrupted_blob_is_an_error", a_corrupted_blob_is_an_error),
    ("a_proof_does_not_outlive_its_bytes", a_proof_does_not_outlive_its_bytes),
    ("without_a_step_of_its_own_kso_builds_the_same", without_a_step_of_its_own_kso_builds_the_same),
];

fn login() -> Login {
    Login::new("robot", "open sesame")
}

/// A project of one image in line 4, served as `served:1`.
fn project(name: &str, upstream: &Upstream, image: &str) -> Project {
    Project::new(name, &format!("  - {{ image: '{}', as: 'served:1' }}\n", upstream.reference(image)))
}

/// Runs a build that must fail at line 4 with these words, and must push nothing.
#[track_caller]
fn fails(build: Build, name: &str, words: &[&str]) {
    let output = build.platform(BOTH).push(&format!("org/{name}:1")).run();
    let said = output.failure();
    for words in ["kso.yaml:4", ">>> "].iter().chain(words) {
        assert!(said.contains(words), "{words:?} is missing in:\n{said}");
    }
    assert_eq!(Harness::get().registry().tags(&format!("org/{name}")), [""; 0], "nothing is pushed");
}

fn public_images_need_no_setting() {
    for (number, rules) in [
        Rules::default(),
        Rules { strict_accept: true, ..Rules::default() },
        Rules { auth: Auth::AnonymousToken, ..Rules::default() },
    ]
    .into_iter()
    .enumerate()
    {
        let upstream = Harness::get().upstream(rules.clone());
        let mut images = Vec::new();
        let kinds: &[Kind] = match rules.auth {
            Auth::Open => &[Kind::OciIndex, Kind::DockerList, Kind::Attested],
            _ => &[Kind::DockerList],
        };
        for (at, &kind) in kinds.iter().enumerate() {
            let image = format!("public-{number}/{at}:1");
            put(&upstream, &image, kind);
            images.push(format!("  - {{ image: '{}', as: 'served-{at}:1' }}\n", upstream.reference(&image)));
        }
        let output = Project::new("public", &images.concat())
            .build()
            .platform(BOTH)
            .push(&format!("org/public-{number}:1"))
            .run();
        assert!(output.status.success(), "{rules:?}:\n{}", output.stderr);
    }
}

fn private(auth: Auth, name: &str, kind: Kind) -> (Upstream, Project) {
    let upstream = Harness::get().upstream(Rules { auth, strict_accept: false });
    let image = format!("{name}/app:1");
    put(&upstream, &image, kind);
    let project = project(name, &upstream, &image);
    (upstream, project)
}

fn private_schema_2_needs_a_login() {
    for (name, auth) in [("basic-list", Auth::Basic(login())), ("token-list", Auth::Token(login()))] {
        let (upstream, project) = private(auth, name, Kind::DockerList);
        fails(project.build(), &format!("{name}-refused"), &[&upstream.reference(&format!("{name}/app:1"))]);
        let (build, _) = project.build().logins(&[(&upstream.host(), &login())]);
        let _ = build.platform(BOTH).push(&format!("org/{name}:1")).run().success();
    }
}

fn an_oci_manifest_for_a_token_is_an_error() {
    for (name, auth) in [
        ("anonymous-oci", Auth::AnonymousToken),
        ("basic-oci", Auth::Basic(login())),
        ("token-oci", Auth::Token(login())),
    ] {
        let anonymous = auth == Auth::AnonymousToken;
        let (upstream, project) = private(auth, name, Kind::OciIndex);
        let build = if anonymous { project.build() } else { project.build().logins(&[(&upstream.host(), &login())]).0 };
        let image = upstream.reference(&format!("{name}/app:1"));
        fails(build, &format!("{name}-refused"), &[&image, "token", "help: "]);
    }
}

fn a_registry_that_is_down() {
    let mut upstream = Harness::get().upstream(Rules::default());
    put(&upstream, "down/app:1", Kind::OciIndex);
    let project = project("down", &upstream, "down/app:1");
    upstream.off();
    fails(project.build(), "down", &[&upstream.reference("down/app:1")]);
    upstream.on();
    let _ = project.build().platform(BOTH).push("org/up:1").run().success();
}

fn an_unknown_tag() {
    let upstream = Harness::get().upstream(Rules::default());
    put(&upstream, "unknown/app:1", Kind::OciIndex);
    let project = project("unknown", &upstream, "unknown/app:2");
    fails(project.build(), "unknown", &[&upstream.reference("unknown/app:2")]);
}

fn a_missing_architecture_names_those_there_are() {
    let upstream = Harness::get().upstream(Rules::default());
    for (name, kind) in [
        ("without", Kind::WithoutArm64),
        ("single-oci", Kind::OciManifest("amd64")),
        ("single-schema2", Kind::DockerManifest("amd64")),
    ] {
        let image = format!("{name}/app:1");
        put(&upstream, &image, kind);
        let project = project(name, &upstream, &image);
        fails(project.build(), name, &[&upstream.reference(&image), "arm64", "amd64"]);
    }
}

fn what_kso_does_not_take_is_refused() {
    let upstream = Harness::get().upstream(Rules::default());
    for (name, kind, word) in [("schema1", Kind::Schema1, "schema 1"), ("foreign", Kind::Foreign, "foreign")] {
        let image = format!("{name}/app:1");
        put(&upstream, &image, kind);
        let project = Project::new(
            name,
            &format!("  - {{ image: '{}', as: 'served:1' }}\narchitectures: [amd64]\n", upstream.reference(&image)),
        );
        let output = project.build().platform("linux/amd64").push(&format!("org/{name}:1")).run();
        let said = output.failure();
        assert!(said.contains("kso.yaml:4") && said.contains(word), "{said}");
    }
}

fn a_corrupted_blob_is_an_error() {
    let upstream = Harness::get().upstream(Rules::default());
    let sample = put(&upstream, "corrupt/app:1", Kind::OciIndex).keep(&["linux/amd64", "linux/arm64"]);
    let project = project("corrupt", &upstream, "corrupt/app:1");
    let blob = sample.blobs.keys().next().unwrap();
    upstream.always(blob, Fault::WrongBytes);
    fails(project.build(), "corrupt", &[blob]);
    upstream.heal(blob);
    // The wrong bytes must not have stayed either.
    let _ = project.build().platform(BOTH).push("org/healed:1").run().success();
}

fn a_proof_does_not_outlive_its_bytes() {
    let daemon = Harness::get().fresh_daemon();
    let upstream = Harness::get().upstream(Rules::default());
    let sample = put(&upstream, "pruned/app:1", Kind::OciIndex).keep(&["linux/amd64", "linux/arm64"]);
    let project = project("pruned", &upstream, "pruned/app:1");
    let _ = project.build_by(daemon.buildx()).platform(BOTH).push("org/pruned-before:1").run().success();
    let blob = sample.blobs.keys().next().unwrap();
    let pruned = daemon.prune(&format!("description~=\"{blob}\""));
    assert!(pruned.contains("Total:"), "{pruned}");
    upstream.always(blob, Fault::WrongBytes);
    // Another target than the one before, so that what was built is not simply there.
    project.define(
        &format!(
            "  - {{ image: '{0}', as: 'served:1' }}\n  - {{ image: '{0}', as: 'again:1' }}\n",
            upstream.reference("pruned/app:1")
        ),
        "",
    );
    let output = project.build_by(daemon.buildx()).platform(BOTH).push("org/pruned:1").run();
    if output.status.success() {
        // Good bytes that were kept elsewhere are as good; wrong ones are not.
        for platform in ["linux/amd64", "linux/arm64"] {
            let unpacked = super::project::unpack("org/pruned:1", platform);
            let storage = crate::harness::Storage::at(unpacked.root().join(super::project::STORAGE));
            for digest in storage.blobs().into_keys() {
                assert_eq!(crate::harness::digest(&storage.read(&digest)), digest);
            }
        }
        assert_eq!(upstream.blobs().get(blob), Some(&1), "a blob that was fetched again was not noticed");
    } else {
        assert!(output.failure().contains(blob.as_str()), "{}", output.failure());
    }
}

fn without_a_step_of_its_own_kso_builds_the_same() {
    let upstream = Harness::get().upstream(Rules::default());
    let sample = put(&upstream, "never/app:1", Kind::OciIndex).keep(&["linux/amd64", "linux/arm64"]);
    let project = project("never", &upstream, "never/app:1");
    let never = || project.build().args(["--build-arg", "KSO_EXEC=never"]);
    let by_step = project.build().platform(BOTH).push("org/never:step").run().success();
    assert!(by_step.stderr.contains("prove and arrange"), "{}", by_step.stderr);
    let by_itself = never().platform(BOTH).push("org/never:itself").run().success();
    assert!(!by_itself.stderr.contains("prove and arrange"), "{}", by_itself.stderr);
    assert_eq!(digests("org/never:step"), digests("org/never:itself"));

    let fresh = Harness::get().fresh_daemon();
    let blob = sample.blobs.keys().next().unwrap();
    upstream.always(blob, Fault::WrongBytes);
    let build = project.build_by(fresh.buildx()).args(["--build-arg", "KSO_EXEC=never"]);
    fails(build, "never-corrupt", &[blob]);
}
