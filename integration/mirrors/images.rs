//! Mirrors of images: tags, manifests and blobs, each from the first that has it right; the base image too.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Auth, FRONTEND, Fault, Harness, Kind, Recipe, Rules, Sample, Upstream};

pub(super) const TESTS: &[(&str, fn())] = &[
    ("an_image_comes_from_the_first_mirror_that_has_it", an_image_comes_from_the_first_mirror_that_has_it),
    ("a_mirror_that_wants_a_token_is_read_by_a_step", a_mirror_that_wants_a_token_is_read_by_a_step),
    ("a_lock_is_the_same_from_a_mirror", a_lock_is_the_same_from_a_mirror),
];

const BOTH: &str = "linux/amd64,linux/arm64";

/// A sample that shares nothing with other tests.
fn sample(kind: Kind, test: &str, name: &str) -> Sample {
    let mut recipe = Recipe::new(kind, &format!("{test}/{name}"), "1");
    recipe.bases = vec![test.to_owned()];
    Sample::of(&recipe)
}

/// Puts images of `quay.io` below that name into a registry.
fn put(upstream: &Upstream, test: &str, names: &[&str]) -> Vec<Sample> {
    let one = |name: &&str| {
        let sample = sample(Kind::OciIndex, test, name);
        upstream.put(&format!("quay.io/{test}/{name}:1"), &sample);
        sample
    };
    names.iter().map(one).collect()
}

/// A folder with a definition of these images of `quay.io`, which is asked for at these mirrors; and the base image at the
/// harness's own registry, after one that is down.
fn folder(test: &str, names: &[&str], mirrors: &[String], down: &str) -> PathBuf {
    let harness = Harness::get();
    let _ = harness.frontend();
    let folder = harness.folder(test);
    let images: String = names.iter().map(|name| format!("  - image: quay.io/{test}/{name}:1\n")).collect();
    let to: Vec<String> = mirrors.iter().map(|mirror| format!("'{mirror}/quay.io/'")).collect();
    let own = harness.registry().host();
    fs::write(
        folder.join("kso.yaml"),
        format!(
            "# syntax={FRONTEND}\napiVersion: kso/v1\nimages:\n{images}mirrors:\n  \
             - {{ from: quay.io/, to: [{}] }}\n  - {{ from: docker.io/, to: ['{down}/hub/', '{own}/docker.io/'] }}\n",
            to.join(", ")
        ),
    )
    .unwrap();
    folder
}

/// A registry that does not answer.
fn down() -> Upstream {
    let mut down = Harness::get().upstream(Rules::default());
    down.off();
    down
}

fn digests(image: &str) -> [String; 2] {
    ["linux/amd64", "linux/arm64"].map(|platform| Harness::get().registry().image(image, platform).digest)
}

fn an_image_comes_from_the_first_mirror_that_has_it() {
    let (test, harness) = ("mirrored-images", Harness::get());
    let names = ["missing", "manifest", "blob", "gone", "flaky", "fine"];
    let (down, bad, good) = (down(), harness.upstream(Rules::default()), harness.upstream(Rules::default()));
    let samples = put(&good, test, &names);
    let _ = put(&bad, test, &names[1..]);
    // Blobs that an image shares with no other.
    let own = |at: usize| {
        let of = |sample: &Sample| {
            sample.clone().keep(&["linux/amd64", "linux/arm64"]).blobs.into_keys().collect::<Vec<_>>()
        };
        let others: Vec<String> =
            (0..names.len()).filter(|other| *other != at).flat_map(|it| of(&samples[it])).collect();
        of(&samples[at]).into_iter().filter(|blob| !others.contains(blob)).collect::<Vec<_>>()
    };
    let manifest = samples[1].manifest("linux/arm64").unwrap().digest();
    bad.always(&manifest, Fault::WrongBytes);
    let (wrong, gone, flaky) = (own(2).remove(0), own(3).remove(0), own(4).remove(0));
    bad.always(&wrong, Fault::WrongBytes);
    bad.always(&gone, Fault::Status(404));
    bad.always(&flaky, Fault::Status(500));
    good.times(&flaky, 3, &Fault::Status(503));

    let folder = folder(test, &names, &[down.host(), bad.host(), good.host()], &down.host());
    let daemon = harness.fresh_daemon();
    let build = |target: &str| daemon.buildx().build(&folder).file("kso.yaml").target(target).platform(BOTH);
    let before = harness.registry().accesses().len();
    let _ = build("images").push("org/mirrored-images:1").run().success();

    let (from_bad, from_good) = (bad.blobs(), good.blobs());
    for blob in [&wrong, &gone, &flaky] {
        assert!(bad.calls().iter().any(|call| call.reference() == blob), "{blob} is asked for at the first mirror");
        assert_eq!(from_good.get(blob), Some(&1), "{blob} comes from the second");
    }
    assert_eq!(good.manifests().get(&manifest), Some(&1), "a manifest of wrong bytes comes from the second");
    // BuildKit resolves a tag by HEAD.
    let resolved =
        good.calls().into_iter().any(|call| call.path.ends_with("/missing/manifests/1") && call.status == 200);
    assert!(resolved, "the tag that the first lacks is resolved at the second");
    let fine = own(5).remove(0);
    assert_eq!((from_bad.get(&fine), from_good.get(&fine)), (Some(&1), None), "what is fine is asked for once");
    let accesses = harness.registry().accesses().split_off(before);
    assert!(accesses.iter().any(|access| access.path.contains("/docker.io/library/registry/")), "the base image too");

    // The same image as from a registry without faults.
    let plain = self::folder("mirrored-plain", &[], &[good.host()], &down.host());
    let definition = fs::read_to_string(folder.join("kso.yaml")).unwrap();
    fs::write(plain.join("kso.yaml"), definition.replace(&format!("'{}/quay.io/', ", bad.host()), "")).unwrap();
    let fresh = harness.fresh_daemon();
    let build = fresh.buildx().build(&plain).file("kso.yaml").target("images").platform(BOTH);
    let _ = build.push("org/mirrored-images:plain").run().success();
    assert_eq!(digests("org/mirrored-images:1"), digests("org/mirrored-images:plain"));
}

fn a_mirror_that_wants_a_token_is_read_by_a_step() {
    let (test, harness) = ("mirrored-token", Harness::get());
    let rules = Rules { auth: Auth::AnonymousToken, strict_accept: true };
    let (empty, good) = (harness.upstream(rules.clone()), harness.upstream(rules));
    let samples = put(&good, test, &["app"]);
    let folder = folder(test, &["app"], &[empty.host(), good.host()], &empty.host());
    let build = harness.buildx().build(&folder).file("kso.yaml").target("images").platform(BOTH);
    let output = build.push("org/mirrored-token:1").run().success();
    assert!(output.stderr.contains("(kso, with network)"), "{}", output.stderr);
    assert!(empty.calls().iter().any(|call| call.path.contains("/manifests/")), "the first is asked first");
    assert!(good.manifests().contains_key(&samples[0].digest()));
}

fn kso(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kso"));
    let output = command.env_clear().env("DOCKER_CONFIG", folder).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read_to_string(folder.join("kso.lock")).unwrap()
}

fn a_lock_is_the_same_from_a_mirror() {
    let (test, harness) = ("mirrored-lock", Harness::get());
    let names = ["app", "manifest"];
    let (down, bad, good) = (down(), harness.upstream(Rules::default()), harness.upstream(Rules::default()));
    let samples = put(&good, test, &names);
    let _ = put(&bad, test, &names);
    bad.always(&samples[1].manifest("linux/amd64").unwrap().digest(), Fault::WrongBytes);
    let folder = folder(test, &names, &[down.host(), bad.host(), good.host()], &down.host());
    let daemon = harness.fresh_daemon();
    let build = |target: &str| daemon.buildx().build(&folder).file("kso.yaml").target(target);
    let by_command = kso(&folder, &["lock"]);
    for sample in &samples {
        assert!(by_command.contains(&sample.digest()));
    }
    for place in [down.host(), bad.host(), good.host(), harness.registry().host().to_owned()] {
        assert!(!by_command.contains(&place), "a lock names no mirror");
    }
    fs::remove_file(folder.join("kso.lock")).unwrap();
    let (lock, out) = build("lock").output("local");
    let _ = lock.run().success();
    assert_eq!(fs::read_to_string(out.join("kso.lock")).unwrap(), by_command);

    // A locked build asks the mirrors for blobs only.
    fs::write(folder.join("kso.lock"), by_command).unwrap();
    bad.forget();
    good.forget();
    let fresh = harness.fresh_daemon();
    let locked = fresh.buildx().build(&folder).file("kso.yaml").target("images").platform(BOTH);
    let _ = locked.push("org/mirrored-lock:1").run().success();
    assert_eq!((bad.manifests().len(), good.manifests().len()), (0, 0), "{:?}", bad.calls());
    assert!(!bad.blobs().is_empty() && good.calls().is_empty(), "{:?}", good.calls());
}
