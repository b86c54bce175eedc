//! The blobs of container images, and how they are proved where kso itself cannot run in a vertex.

use super::*;
use crate::kind::images::resolved::{Blobs, tests as made};
use crate::name::Digest;

const REGISTRY: &str = "docker.io/library/registry:3";

/// A daemon with images of two architectures, of which each has a layer of its own.
fn daemon(count: usize, more: &str) -> (Fake, Vec<Blobs>) {
    let mut definition = "apiVersion: kso/v1\nimages:\n".to_owned();
    let mut images = Vec::new();
    for at in 0..count {
        let mut have = Blobs::new();
        let manifests = ["amd64", "arm64"].map(|arch| made::image(&mut have, arch, &[&format!("layer {at} {arch}")]));
        let digest = made::index(&mut have, &manifests);
        let _ = writeln!(definition, "  - image: r{at}.example/app@{digest}");
        images.push(have);
    }
    let config = json!({ "os": "linux", "config": {}, "rootfs": { "type": "layers", "diff_ids": ["sha256:1"] } });
    let fake = Fake::new().image(REGISTRY, &config.to_string()).option("platform", BOTH);
    (fake.local("dockerfile", "kso.yaml", definition + more), images)
}

/// Every blob of an image at a repository; `wrong` has other bytes than it should.
fn serve(fake: Fake, repository: &str, blobs: &Blobs, wrong: Option<&Digest>) -> Fake {
    blobs.iter().fold(fake, |fake, (digest, bytes)| {
        let bytes = if wrong == Some(digest) { b"other bytes".to_vec() } else { bytes.clone() };
        fake.http(&format!("docker-image+blob://{repository}@{digest}"), [Answer::bytes(bytes)])
    })
}

/// BuildKit has each blob in memory while it is read.
#[tokio::test(start_paused = true)]
async fn four_layers_are_proved_at_once() {
    let (fake, images) = daemon(8, "");
    let fake = images
        .iter()
        .enumerate()
        .fold(fake, |fake, (at, blobs)| serve(fake, &format!("r{at}.example/app"), blobs, None));
    run(&fake).await.expect("built");
    assert_eq!(most_held(&fake.log(), "solve [images] "), 4, "{}", fake.log());
}

/// BuildKit keeps what it got under the name that it should have: a vertex of that name, wherever from, gives it again.
#[tokio::test(start_paused = true)]
async fn wrong_bytes_are_asked_for_elsewhere_under_another_name() {
    let (fake, images) = daemon(1, "mirrors:\n  - { from: r0.example/, to: [m.example/, n.example/] }\n");
    let layer = Digest::of(b"layer 0 amd64");
    assert!(images[0].contains_key(&layer), "{:?}", images[0].keys());
    let fake = serve(fake, "m.example/app", &images[0], Some(&layer));
    let fake = serve(fake, "n.example/app", &images[0], None);
    run(&fake).await.expect("the second mirror has the right bytes");
    let name = |repository: &str| {
        let identifier = format!("docker-image+blob://{repository}@{layer}");
        let sources = fake.solves().into_iter().flat_map(|solve| solve.sources());
        let names = sources.filter(|source| source.identifier == identifier);
        names.map(|source| source.attrs["http.filename"].clone()).collect::<BTreeSet<_>>()
    };
    let (wrong, right) = (name("m.example/app"), name("n.example/app"));
    assert!(wrong.len() == 1 && right.len() == 1 && wrong.is_disjoint(&right), "{wrong:?}, {right:?}");
}
