//! One container image from elsewhere: `--build-context IMAGE=…`.

use super::*;
use crate::kind::images::resolved::{Blobs, tests as made};
use crate::name::Digest;

const REGISTRY: &str = "docker.io/library/registry:3";
const NODE: &str = "quay.io/calico/node:v3.27.3";
const DEFINITION: &str = "apiVersion: kso/v1\nimages:\n  - image: quay.io/calico/node:v3.27.3\n";

/// An image for both architectures: its digest and all its bytes.
fn node() -> (Digest, Blobs) {
    let mut have = Blobs::new();
    let manifests = ["amd64", "arm64"].map(|arch| made::image(&mut have, arch, &["base", arch]));
    (made::index(&mut have, &manifests), have)
}

/// A daemon with the base image, where the node image is `value`.
fn daemon(definition: &str, value: &str) -> Fake {
    let config = json!({ "os": "linux", "config": {}, "rootfs": { "type": "layers", "diff_ids": ["sha256:1"] } });
    let fake = Fake::new().image(REGISTRY, &config.to_string()).local("dockerfile", "kso.yaml", definition);
    fake.option("platform", BOTH).option(&format!("context:{}", NODE.trim_start_matches("docker.io/")), value)
}

/// All blobs below an identifier such as `docker-image+blob://m.example/x`.
fn serve(fake: Fake, below: &str, blobs: &Blobs) -> Fake {
    let one = |fake: Fake, (digest, bytes): (&Digest, &Vec<u8>)| {
        fake.http(&format!("{below}@{digest}"), [Answer::bytes(bytes.clone())])
    };
    blobs.iter().fold(fake, one)
}

/// An OCI layout in the directory that the client offers by that name.
fn folder(fake: Fake, name: &str, tops: &[(&Digest, &str)], blobs: &Blobs) -> Fake {
    let manifests: Vec<Value> = tops
        .iter()
        .map(|(digest, tag)| {
            json!({ "digest": digest.as_str(), "annotations": { "org.opencontainers.image.ref.name": tag } })
        })
        .collect();
    let fake = fake.local(name, "index.json", json!({ "schemaVersion": 2, "manifests": manifests }).to_string());
    blobs
        .iter()
        .fold(fake, |fake, (digest, bytes)| fake.local(name, &format!("blobs/sha256/{}", digest.hex()), bytes.clone()))
}

/// The error's message.
async fn message(fake: &Fake) -> String {
    run(fake).await.expect_err("it fails").message().to_owned()
}

/// Which sources of container images were solved.
fn asked(fake: &Fake) -> BTreeSet<String> {
    let solves = fake.solves();
    let sources = solves.iter().flat_map(Solve::sources).map(|source| source.identifier);
    let sources = sources.filter(|identifier| identifier.contains("+blob://"));
    sources.map(|identifier| identifier.split('@').next().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn another_image_of_a_registry() {
    let (digest, blobs) = node();
    let value = format!("docker-image://m.example/mirror/node:v3.27.3@{digest}");
    let fake = serve(daemon(DEFINITION, &value), "docker-image+blob://m.example/mirror/node", &blobs);
    run(&fake).await.expect("built");
    assert_eq!(asked(&fake), BTreeSet::from(["docker-image+blob://m.example/mirror/node".to_owned()]));
    assert!(!fake.log().contains("quay.io/calico/node@"), "{}", fake.log());
    assert!(fake.log().contains(&format!("note [images] {NODE} from m.example/mirror/node:v3.27.3@{digest}")));
}

#[tokio::test]
async fn an_image_of_a_layout_of_the_client() {
    let (digest, blobs) = node();
    let value = format!("oci-layout://r4nd0m:v3.27.3@{digest}");
    let fake = serve(daemon(DEFINITION, &value), "oci-layout+blob://quay.io/calico/node", &blobs);
    run(&fake).await.expect("built");
    assert_eq!(asked(&fake), BTreeSet::from(["oci-layout+blob://quay.io/calico/node".to_owned()]));
    let solves = fake.solves();
    let mut sources = solves.iter().flat_map(Solve::sources);
    let blob = sources.find(|source| source.identifier.starts_with("oci-layout+blob")).expect("one");
    assert_eq!((blob.attrs["oci.store"].as_str(), blob.attrs["oci.session"].as_str()), ("r4nd0m", "session"));

    // What it lacks is nowhere else.
    let mut partial = blobs.clone();
    let layer = Digest::of(b"base");
    partial.remove(&layer);
    let fake = serve(daemon(DEFINITION, &value), "oci-layout+blob://quay.io/calico/node", &partial);
    let lost = format!("content {layer}: not found");
    let fake = fake.http(&format!("oci-layout+blob://quay.io/calico/node@{layer}"), [Answer::fails(&lost)]);
    let told = told(&fake).await;
    assert!(told.contains(&format!("cannot fetch {layer} of {NODE}: its build context has no blob {layer}")), "{told}");
}

#[tokio::test]
async fn a_folder_with_a_layout() {
    let (digest, blobs) = node();
    let other = Digest::of(b"another");
    for tops in
        [&[(&digest, "latest")][..], &[(&other, "v1"), (&digest, "v3.27.3")], &[(&other, "v1"), (&digest, NODE)]]
    {
        let fake = folder(daemon(DEFINITION, "local:node"), "node", tops, &blobs);
        let (_, lock) = super::lock::write(fake.clone()).await;
        assert!(lock.contains(digest.as_str()), "{lock}");
        assert_eq!(asked(&fake), BTreeSet::new());
        assert!(fake.log().contains(&format!("note [images] {NODE} from a directory with an OCI layout, {digest}")));
    }
}

/// The lock of the definition, as a build writes it of the image's own registry.
async fn lock() -> (Digest, Blobs, String) {
    let (digest, blobs) = node();
    let value = format!("docker-image://quay.io/calico/node@{digest}");
    let fake = serve(daemon(DEFINITION, &value), "docker-image+blob://quay.io/calico/node", &blobs);
    (digest, blobs, super::lock::write(fake).await.1)
}

#[tokio::test]
async fn the_bytes_are_those_of_the_lock() {
    let (digest, blobs, lock) = lock().await;
    let value = format!("docker-image://m.example/mirror/node@{digest}");
    let locked = |value: &str| daemon(DEFINITION, value).local("dockerfile", "kso.lock", lock.clone());
    let fake = serve(locked(&value), "docker-image+blob://m.example/mirror/node", &blobs);
    run(&fake).await.expect("built");
    assert_eq!(asked(&fake), BTreeSet::from(["docker-image+blob://m.example/mirror/node".to_owned()]));

    let other = Digest::of(b"another");
    let told_of = async |fake: Fake| told(&fake).await;
    let pinned = told_of(locked(&format!("docker-image://m.example/mirror/node@{other}"))).await;
    let tagged = locked("docker-image://m.example/mirror/node:1").image("m.example/mirror/node:1", "{}");
    let tagged = told_of(tagged).await.replace(Digest::of(b"m.example/mirror/node:1").as_str(), "sha256:TAG");
    let layout = told_of(locked(&format!("oci-layout://store@{other}"))).await;
    insta::assert_snapshot!([pinned, tagged, layout].join("\n---\n"));
}

#[tokio::test]
async fn what_cannot_stand_for_an_image() {
    let (digest, blobs) = node();
    let other = Digest::of(b"another");
    let mut all = Vec::new();
    for value in [
        "docker-image://scratch",
        "docker-image://NO NAME",
        "https://example.com/x.git#v1",
        "https://example.com/node.tar",
        "oci-layout://store",
        "oci-layout://store@sha256:12",
        "input:target",
    ] {
        all.push(message(&daemon(DEFINITION, value)).await);
    }
    let tops = [(&digest, "v1"), (&other, "v2")];
    all.push(message(&folder(daemon(DEFINITION, "local:node"), "node", &tops, &blobs)).await);
    all.push(message(&daemon(DEFINITION, "local:empty")).await);
    let platform = format!("context:{NODE}::linux/arm64");
    let differs = daemon(DEFINITION, &format!("docker-image://a.example/x@{digest}"));
    all.push(message(&differs.option(&platform, &format!("docker-image://b.example/x@{digest}"))).await);
    let pinned = format!("{DEFINITION}  - image: quay.io/calico/cni@{digest}\n");
    let pinned = daemon(&pinned, &format!("docker-image://a.example/x@{digest}"));
    let value = format!("docker-image://a.example/cni@{other}");
    all.push(message(&pinned.option(&format!("context:quay.io/calico/cni@{digest}"), &value)).await);
    insta::assert_snapshot!(all.join("\n"));
}

#[tokio::test]
async fn a_name_that_nothing_has_is_a_warning() {
    let (digest, blobs) = node();
    let value = format!("docker-image://m.example/node@{digest}");
    let fake = serve(daemon(DEFINITION, &value), "docker-image+blob://m.example/node", &blobs);
    let names = ["quay.io/calico/nod:v3.27.3", "images", "registry:3::linux/arm64", "ghcr.io/org/kso-frontend:1"];
    let fake = names.iter().fold(fake, |fake, name| fake.option(&format!("context:{name}"), "input:unread"));
    let fake = fake.option("source", "ghcr.io/org/kso-frontend:1");
    let _ = run(&fake).await.expect_err("inputs are not read");
    let shorts: Vec<_> = fake.warnings().iter().map(|it| it.warning.short.clone()).collect();
    assert_eq!(
        shorts[1..],
        ["nothing in the definition is named `quay.io/calico/nod:v3.27.3`, so the build context is not used"],
        "{shorts:?}"
    );
}
