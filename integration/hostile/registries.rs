//! Registries that lie.

use std::fs;

use serde_json::{Value, json};

use super::refused;
use crate::files::project::BOTH;
use crate::harness::{
    Auth, Build, Buildkitd, Client, FRONTEND, Fault, Harness, Host, Kind, Login, Origin, Recipe, Rules, Sample,
    Storage, Upstream, digest,
};
use crate::images::project::unpack;
use crate::trials::Test;

pub(super) const TESTS: &[Test] = &[
    ("registries_that_lie_are_told_at_their_lines", registries_that_lie_are_told_at_their_lines),
    ("a_redirect_reaches_no_disk_and_takes_no_login_along", a_redirect_reaches_no_disk_and_takes_no_login_along),
    ("an_invented_digest_is_not_believed", an_invented_digest_is_not_believed),
];

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// An image of a repository that shares nothing with others.
fn sample(kind: Kind, repository: &str) -> Sample {
    let mut recipe = Recipe::new(kind, repository, "1");
    recipe.bases = vec![repository.to_owned()];
    Sample::of(&recipe)
}

/// An image whose manifest for `platform` is changed, and the index with it, under the tag `1`.
fn changed(upstream: &Upstream, repository: &str, platform: &str, change: impl Fn(&mut Value)) {
    let sample = sample(Kind::OciPair, repository);
    upstream.put(&format!("{repository}:good"), &sample);
    let old = sample.manifest(platform).expect("a pair");
    let mut manifest = old.json();
    change(&mut manifest);
    let manifest = manifest.to_string().into_bytes();
    upstream.lie(&format!("{repository}:changed"), MANIFEST, &digest(&manifest), &manifest);
    let mut index = sample.top().json();
    for entry in index["manifests"].as_array_mut().expect("an index has manifests") {
        if entry["digest"] == old.digest() {
            entry["digest"] = digest(&manifest).into();
            entry["size"] = manifest.len().into();
        }
    }
    tag(upstream, repository, INDEX, &index);
}

/// A document under the tag `1`.
fn tag(upstream: &Upstream, repository: &str, media_type: &str, document: &Value) {
    let bytes = document.to_string().into_bytes();
    upstream.lie(&format!("{repository}:1"), media_type, &digest(&bytes), &bytes);
}

/// An index of so many platforms that nobody has, before those of the sample.
fn crowded(sample: &Sample, count: usize) -> Value {
    let mut index = sample.top().json();
    let own = index["manifests"].as_array().cloned().unwrap_or_default();
    let entry = |number: usize| {
        let platform = json!({ "os": "linux", "architecture": format!("\u{1b}[2Jarch-{number}") });
        json!({ "mediaType": MANIFEST, "digest": digest(&number.to_le_bytes()), "size": 7, "platform": platform })
    };
    index["manifests"] = (0..count).map(entry).chain(own).collect();
    index
}

/// Images that cannot be had, each for a reason of its own, which its name tells.
fn lies(upstream: &Upstream) -> Vec<String> {
    let pair = sample(Kind::OciPair, "liar/pair");
    let of = |kind: Kind, repository: &str| {
        let sample = sample(kind, repository);
        upstream.put(&format!("{repository}:good"), &sample);
        sample
    };

    let mut large = of(Kind::OciPair, "liar/large").top().json();
    large["annotations"] = json!({ "padding": "x".repeat(5 << 20) });
    tag(upstream, "liar/large", INDEX, &large);

    let mut crowd = crowded(&pair, 10_000);
    crowd["manifests"].as_array_mut().expect("an index").truncate(10_000);
    tag(upstream, "liar/crowd", INDEX, &crowd);

    let mut index = of(Kind::OciPair, "liar/index").top().json();
    index["mediaType"] = MANIFEST.into();
    tag(upstream, "liar/index", MANIFEST, &index);

    let mut manifest = of(Kind::OciManifest("amd64"), "liar/manifest").top().json();
    manifest["mediaType"] = INDEX.into();
    tag(upstream, "liar/manifest", INDEX, &manifest);

    let mut both = of(Kind::OciManifest("amd64"), "liar/both").top().json();
    both["manifests"] = pair.top().json()["manifests"].clone();
    tag(upstream, "liar/both", MANIFEST, &both);

    upstream.lie("liar/page:1", "text/html", &digest(b"<html>log in</html>"), b"<html>log in</html>");

    changed(upstream, "liar/path", "linux/amd64", |it| {
        it["layers"][0]["digest"] = "sha256:../../../../etc/passwd".into();
    });
    changed(upstream, "liar/config", "linux/arm64", |it| it["config"]["digest"] = "sha256:../x".into());
    changed(upstream, "liar/size", "linux/arm64", |it| it["layers"][0]["size"] = (1_u64 << 63).into());
    changed(upstream, "liar/sizes", "linux/arm64", |it| {
        for layer in it["layers"].as_array_mut().expect("layers") {
            layer["size"] = u64::MAX.into();
        }
    });
    changed(upstream, "liar/negative", "linux/arm64", |it| it["layers"][0]["size"] = (-1).into());
    changed(upstream, "liar/nested", "linux/arm64", |it| *it = pair.top().json());

    let mut index = of(Kind::OciPair, "liar/length").top().json();
    index["manifests"][1]["size"] = 5.into();
    tag(upstream, "liar/length", INDEX, &index);

    let names = [
        "large", "crowd", "index", "manifest", "both", "page", "path", "config", "size", "sizes", "negative", "nested",
        "length",
    ];
    names.map(|name| format!("liar.example/liar/{name}:1")).to_vec()
}

/// A build of these images, from line 4 of the definition on.
fn build(daemon: &Buildkitd, images: &[String]) -> Build {
    let folder = Harness::get().folder("liars");
    let _ = Harness::get().frontend();
    let entries: String = images
        .iter()
        .enumerate()
        .map(|(number, image)| format!("  - {{ image: '{image}', as: 'served-{number}:1' }}\n"))
        .collect();
    let text = format!("# syntax={FRONTEND}\napiVersion: kso/v1\nimages:\n{entries}registry: {{ prefix: k8s }}\n");
    fs::write(folder.join("kso.yaml"), text).unwrap();
    daemon.buildx().build(&folder).file("kso.yaml").target("images").platform(BOTH)
}

fn registries_that_lie_are_told_at_their_lines() {
    let upstream = Harness::get().upstream(Rules::default());
    let mut images = lies(&upstream);
    // The manifest that a digest in the definition names.
    upstream.lie(
        "liar/pinned:1",
        MANIFEST,
        &digest(b"pinned"),
        sample(Kind::OciPair, "liar/pinned").top().bytes.as_slice(),
    );
    images.push(format!("liar.example/liar/pinned@{}", digest(b"pinned")));
    let daemon = Harness::get().daemon_online(&[("liar.example", Host::Registry(&upstream))]);
    let told = refused(&build(&daemon, &images).push("org/liars:1").run(), "org/liars");
    let errors = told.split_once("ERROR: ").map_or("", |(_, errors)| errors);
    insta::assert_snapshot!(errors);
    for (number, image) in images.iter().enumerate() {
        let line = format!("\n  kso.yaml:{}: ", number + 4);
        assert_eq!(errors.matches(&line).count(), 1, "{image} is told once, at its line:\n{told}");
    }
    for image in ["index", "both"] {
        let path = format!("/v2/liar/{image}/manifests/1");
        let asked = upstream.calls().into_iter().filter(|call| call.path == path && call.method == "HEAD").count();
        assert!(asked < 5, "what no second try mends is not tried {asked} times: {image}");
    }
}

/// A blob is proved by its digest, so it may come from anywhere; but not from the builder's disk, and who gets a login is its
/// registry alone.
fn a_redirect_reaches_no_disk_and_takes_no_login_along() {
    let login = Login::new("robot", "open sesame");
    let upstream = Harness::get().upstream(Rules { auth: Auth::Basic(login.clone()), strict_accept: false });
    let origin = Origin::start();
    let daemon = Harness::get()
        .daemon_online(&[("private.example", Host::Registry(&upstream)), ("cdn.example", Host::Files(&origin))]);
    let put = |repository: &str| {
        let sample = sample(Kind::DockerList, repository).keep(&["linux/amd64", "linux/arm64"]);
        upstream.put(&format!("{repository}:1"), &sample);
        sample
    };
    let image = |repository: &str| format!("private.example/{repository}:1");
    let logged_in = |images: &[String]| build(&daemon, images).logins(&[("private.example", &login)]).0;

    let disk = put("redirected/disk");
    let blob = disk.manifest("linux/amd64").expect("a pair").json()["layers"][0]["digest"].clone();
    upstream.always(blob.as_str().unwrap(), Fault::Redirect("file:///etc/passwd".into()));
    let output = logged_in(&[image("redirected/disk")]).push("org/redirected-disk:1").run();
    let told = refused(&output, "org/redirected-disk");
    assert!(told.contains("kso.yaml:4") && told.contains(blob.as_str().unwrap()), "{told}");
    assert!(told.contains("unsupported protocol scheme") && !told.contains("root:"), "{told}");

    let moved = put("redirected/cdn");
    for (digest, bytes) in &moved.blobs {
        let path = format!("/{}", digest.replace(':', "/"));
        origin.serve(&format!("/cdn.example{path}"), bytes.as_slice());
        upstream.always(digest, Fault::Redirect(format!("https://cdn.example{path}")));
    }
    // Thousands of others in an index are no obstacle.
    let crowd = put("redirected/crowd");
    tag(&upstream, "redirected/crowd", DOCKER_LIST, &crowded(&crowd, 10_000));
    let images = ["redirected/cdn", "redirected/crowd"].map(image);
    let _ = logged_in(&images).push("org/redirected:1").run().success();
    let requests = origin.requests();
    assert!(requests.len() >= moved.blobs.len(), "{requests:?}");
    assert!(requests.iter().all(|request| request.authorization.is_none()), "{requests:?}");
    let storage = Storage::at(unpack("org/redirected:1", "linux/amd64").root().join("var/lib/registry"));
    for digest in moved.manifest("linux/amd64").expect("a pair").blobs() {
        assert_eq!(storage.read(&digest), moved.blobs[&digest]);
    }
}

/// Where a registry names another digest for a tag than what it sends has, kso files it under that of its bytes.
fn an_invented_digest_is_not_believed() {
    let upstream = Harness::get().upstream(Rules::default());
    let good = sample(Kind::OciPair, "invented/app");
    upstream.put("invented/app:good", &good);
    upstream.lie("invented/app:1", INDEX, &digest(b"another"), &good.top().bytes);
    let daemon = Harness::get().daemon_online(&[("liar.example", Host::Registry(&upstream))]);
    let _ = build(&daemon, &["liar.example/invented/app:1".to_owned()]).push("org/invented:1").run().success();
    let unpacked = unpack("org/invented:1", "linux/amd64");
    let storage = Storage::at(unpacked.root().join("var/lib/registry"));
    assert!(!storage.blobs().contains_key(&digest(b"another")));
    for digest in storage.blobs().into_keys() {
        assert_eq!(crate::harness::digest(&storage.read(&digest)), digest);
    }
    let container = unpacked.start();
    let raw = Client::new(&container).raw("served-0:1");
    assert_eq!(digest(&raw), good.digest());
}
