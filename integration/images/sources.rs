//! Source registries as they are in the world: what builds without any setting, what needs a login or a secret, and what
//! an error says.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::project::{BOTH, Project, digests, put};
use crate::harness::{Auth, Build, Call, Fault, Harness, Kind, Login, Rules, Upstream};

pub(super) const TESTS: &[(&str, fn())] = &[
    ("public_images_need_no_setting", public_images_need_no_setting),
    ("private_schema_2_needs_a_login", private_schema_2_needs_a_login),
    ("private_oci_needs_a_login_and_the_secret", private_oci_needs_a_login_and_the_secret),
    ("a_registry_that_forbids_says_403", a_registry_that_forbids_says_403),
    ("without_steps_an_oci_manifest_for_a_token_is_an_error", without_steps_an_oci_manifest_for_a_token_is_an_error),
    ("a_hundred_images_for_a_token_are_read_at_once", a_hundred_images_for_a_token_are_read_at_once),
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

/// Every kind of image that kso takes, with its tag.
const KINDS: [(&str, Kind); 8] = [
    ("index:1", Kind::OciIndex),
    ("list:1", Kind::DockerList),
    ("zstd:1", Kind::Zstd),
    ("attested:1", Kind::Attested),
    ("chart:1", Kind::Chart),
    ("signature:sha256-0.sig", Kind::Signature),
    ("oci-{arch}:1", Kind::OciManifest("amd64")),
    ("schema2-{arch}:1", Kind::DockerManifest("amd64")),
];

fn public_images_need_no_setting() {
    for (number, rules) in [
        Rules::default(),
        Rules { strict_accept: true, ..Rules::default() },
        Rules { auth: Auth::AnonymousToken, ..Rules::default() },
        Rules { auth: Auth::AnonymousToken, strict_accept: true },
    ]
    .into_iter()
    .enumerate()
    {
        let upstream = Harness::get().upstream(rules.clone());
        let mut entries = Vec::new();
        for (at, (image, kind)) in KINDS.iter().enumerate() {
            let image = format!("public-{number}/{image}");
            match kind {
                Kind::OciManifest(_) => {
                    for arch in ["amd64", "arm64"] {
                        put(&upstream, &image.replace("{arch}", arch), Kind::OciManifest(arch));
                    }
                }
                Kind::DockerManifest(_) => {
                    for arch in ["amd64", "arm64"] {
                        put(&upstream, &image.replace("{arch}", arch), Kind::DockerManifest(arch));
                    }
                }
                kind => drop(put(&upstream, &image, *kind)),
            }
            entries.push(format!("  - {{ image: '{}', as: 'served-{at}:1' }}\n", upstream.reference(&image)));
        }
        let project = Project::new("public", &entries.concat());
        project.define(&entries.concat(), ", attestations: true");
        let name = format!("org/public-{number}:1");
        let output = project.build().platform(BOTH).push(&name).run();
        assert!(output.status.success(), "{rules:?}:\n{}", output.stderr);
        // A step with network runs only where BuildKit's own sources cannot ask.
        let steps = output.stderr.contains("(kso, with network)");
        assert_eq!(steps, rules.auth == Auth::AnonymousToken, "{rules:?}:\n{}", output.stderr);
        let first = upstream.calls().len();
        let _ = project.build().platform(BOTH).push(&name).run().success();
        let again = upstream.calls().split_off(first);
        let again: Vec<_> = again.iter().filter(|call| by_step(call) && call.path.contains("sha256:")).collect();
        assert!(again.is_empty(), "what a step has read is not read again: {again:?}");
    }
}

/// Whether a step of kso's asked for a manifest: BuildKit's own requests with a token accept everything besides.
fn by_step(call: &Call) -> bool {
    let accept = call.accept.as_deref().unwrap_or_default();
    call.path.contains("/manifests/")
        && call.authorization.is_some()
        && accept.contains("index")
        && !accept.contains("*/*")
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
        let image = upstream.reference(&format!("{name}/app:1"));
        fails(project.build(), &format!("{name}-refused"), &[&image, "docker login"]);
        let (build, _) = project.build().logins(&[(&upstream.host(), &login())]);
        let _ = build.platform(BOTH).push(&format!("org/{name}:1")).run().success();
    }
}

fn private_oci_needs_a_login_and_the_secret() {
    for (name, auth) in [("basic-oci", Auth::Basic(login())), ("token-oci", Auth::Token(login()))] {
        let (upstream, project) = private(auth, name, Kind::Attested);
        let image = upstream.reference(&format!("{name}/app:1"));
        let logged_in = || project.build().logins(&[(&upstream.host(), &login())]);
        let both_ways = [image.as_str(), "--secret id=docker-config", "kso lock"];
        fails(logged_in().0, &format!("{name}-refused"), &both_ways);
        let secret =
            |build: Build, file: &Path| build.args(["--secret", &format!("id=docker-config,src={}", file.display())]);

        // The secret says other things than it should.
        let wrong = logged_in().0.logins(&[(&upstream.host(), &Login::new("robot", "guess"))]).1;
        fails(secret(logged_in().0, &wrong), &format!("{name}-wrong"), &[&image, "docker-config", "kso lock"]);
        fs::write(&wrong, format!("{{\"credHelpers\":{{\"{}\":\"keychain\"}}}}", upstream.host())).unwrap();
        fails(secret(logged_in().0, &wrong), &format!("{name}-helper"), &[&image, "credential helper", "kso lock"]);

        let (build, file) = logged_in();
        let image = format!("org/{name}:1");
        let output =
            secret(build, &file).args(["--provenance", "mode=max"]).platform(BOTH).push(&image).run().success();
        assert!(output.stderr.contains("(kso, with network)"), "{}", output.stderr);
        secret_is_nowhere(&image, &output.stderr);
        secret_is_nowhere(&image, &output.daemon_log);
    }
}

/// Searches an image that was pushed, and what was said, for the password of [`login`] and what is made of it.
fn secret_is_nowhere(image: &str, said: &str) {
    let words = [login().password, login().basic()];
    let found = |text: &[u8]| words.iter().any(|word| text.windows(word.len()).any(|part| part == word.as_bytes()));
    assert!(!found(said.as_bytes()), "{said}");
    let everything = Harness::get().registry().everything(image);
    assert!(everything.len() > 6, "an index, two manifests, their configs and layers, provenance");
    for (what, bytes) in everything {
        assert!(!found(&bytes), "{what} of {image} holds the secret");
    }
}

fn a_registry_that_forbids_says_403() {
    let upstream = Harness::get().upstream(Rules::default());
    put(&upstream, "forbids/app:1", Kind::OciIndex);
    let project = project("forbids", &upstream, "forbids/app:1");
    upstream.always("1", Fault::Status(403));
    fails(project.build(), "forbids", &[&upstream.reference("forbids/app:1"), "status 403"]);
}

fn without_steps_an_oci_manifest_for_a_token_is_an_error() {
    let (upstream, project) = private(Auth::AnonymousToken, "no-steps", Kind::OciIndex);
    let build = project.build().args(["--build-arg", "KSO_EXEC=never"]);
    fails(build, "no-steps", &[&upstream.reference("no-steps/app:1"), "token", "KSO_EXEC=never", "kso lock"]);
}

fn a_hundred_images_for_a_token_are_read_at_once() {
    let upstream = Harness::get().upstream(Rules { auth: Auth::AnonymousToken, strict_accept: true });
    let mut entries = String::new();
    for number in 0..100 {
        let image = format!("many-{number}/app:1");
        put(&upstream, &image, Kind::OciIndex);
        entries.extend([
            "  - { image: '",
            &upstream.reference(&image),
            "', as: 'served-",
            &number.to_string(),
            ":1' }\n",
        ]);
    }
    upstream.delay(Duration::from_millis(50));
    let project = Project::new("many", &entries);
    let _ = project.build().platform(BOTH).push("org/many:1").run().success();
    let calls: Vec<Call> = upstream.calls().into_iter().filter(by_step).collect();
    assert_eq!(calls.len(), 100 * 3, "the index and two manifests of each image");
    let at = |call: &Call| calls.iter().filter(|other| other.time.contains(&call.time.start)).count();
    assert!(calls.iter().map(at).max() > Some(4), "they are asked for at once");
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
    assert!(by_step.stderr.contains("verify and arrange"), "{}", by_step.stderr);
    let by_itself = never().platform(BOTH).push("org/never:itself").run().success();
    assert!(!by_itself.stderr.contains("verify and arrange"), "{}", by_itself.stderr);
    assert_eq!(digests("org/never:step"), digests("org/never:itself"));

    let fresh = Harness::get().fresh_daemon();
    let blob = sample.blobs.keys().next().unwrap();
    upstream.always(blob, Fault::WrongBytes);
    let build = project.build_by(fresh.buildx()).args(["--build-arg", "KSO_EXEC=never"]);
    fails(build, "never-corrupt", &[blob]);
}
