//! The graphs of `golden-llb.json`, built with this module, against the digests and bytes of BuildKit's Go client.

use super::*;
use std::path::Path;

const Z: &str = "sha256:b4914097449bbe8ce7b0a4240f8a33e6a14dfd4b6e349bf9f2f472fde6bfacac";

fn graph(name: &str) -> State {
    let amd64 = Platform::linux("amd64");
    let image = Image::new(&format!("docker.io/library/alpine@{Z}"), &amd64).state();
    let hello = || Mkfile::new("/a", 0o644, "hello");
    let mkfile = File::scratch().mkfile(hello()).state();
    let y = Http::new("https://example.com/y").checksum(Z).state();
    let copied =
        File::scratch().mkdir(Mkdir::new("/d", 0o755).create_parents()).copy(Copy::new(&y, "/y", "/d/y")).state();
    match name {
        "image" => image,
        "http" => Http::new("https://example.com/x.tgz").checksum(Z).filename("x.tgz").perm(0o644).state(),
        "imageblob" => ImageBlob::new(&format!("registry.example/kso/x@{Z}")).filename("x.tgz").state(),
        "local" => Local::new("context")
            .differ_none()
            .follow_paths(&["kso.yaml"])
            .shared_key_hint("context")
            .unique("ocyes23himsurz0qd7ipnk82c")
            .state(),
        "mkfile" => mkfile,
        "mkdir+copy" => copied,
        "merge" => merge([image, mkfile, copied]),
        "diff" => diff(&image, &File::on(&image).mkfile(hello()).state()),
        "exec" => Exec::new(&image, &amd64, ["/bin/sh", "-c", "true"])
            .network(Network::None)
            .mount(Mount::readonly("/in", &mkfile))
            .mount(Mount::scratch("/out"))
            .output("/out")
            .expect("the mount is there"),
        "exec+secrets" => Exec::readonly(&image, &amd64, ["/kso", "manifests"])
            .secret(Secret::optional("/b", "docker-config"))
            .secret(Secret::optional("/a", "ca"))
            .proxy(Proxy { https: "http://p:1".into(), no: "x".into(), ..Proxy::default() })
            .mount(Mount::scratch("/out"))
            .output("/out")
            .expect("the mount is there"),
        other => panic!("the vectors have a graph that this test does not know: {other}"),
    }
}

/// Digests of the same graphs, so that the test means something where the vectors are absent; and of graphs that the
/// vectors lack, made with the same Go client.
const OWN: &[(&str, &str)] = &[
    ("diff", "sha256:7308516b1fc3c5c8f0087942966379e0da34163a7132e5bf729150cd7d1d8672"),
    ("exec", "sha256:f3d338dac586e3757204d391ee1c4d73c6559421e88b76731fb395a74ded1347"),
    ("exec+secrets", "sha256:3262670ffaea1af37edce5b064c8bb82d0cc1b56403a1f8e476a6cec3cb0bb76"),
    ("http", "sha256:b3dbc75998701f035e947bdeea8a450d754121453f8adcffaa7e96ba280f3ebf"),
    ("image", "sha256:322a716c55988478f2c34bad241055458a715fb7ff41712112aa9b37f1380061"),
    ("imageblob", "sha256:3489be01879331340ffb96a5fd06e9621fd994bf0f3d5c51644bbcd323beb874"),
    ("local", "sha256:33ead07b91c53877fbd741e000695937080120063942a257c40965c2a6ee08b1"),
    ("merge", "sha256:c549dbd74642d1bf12d25dfe4910524737fbe905008f23aca95a434f623498e4"),
    ("mkdir+copy", "sha256:6d754847e5f5031bfe28ae84ab09139f25b1455b4ad991d2b0e93ae5214daa24"),
    ("mkfile", "sha256:1ac6a8d6500511b83b71272253a3512b6313564093bc8d0b334af64d947aaca7"),
];

#[test]
fn the_same_bytes_as_the_go_client() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/golden-llb.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("{} is absent: comparing with the digests in this file", path.display());
        return;
    };
    let vectors: serde_json::Value = serde_json::from_str(&text).expect("the vectors are JSON");
    for (name, ops) in vectors.as_object().expect("a map of graphs") {
        let expected: Vec<(String, String)> = ops
            .as_array()
            .expect("a list of ops")
            .iter()
            .map(|op| (op["Digest"].as_str().unwrap().to_owned(), op["Hex"].as_str().unwrap().to_owned()))
            .collect();
        let definition = graph(name).marshal();
        let ours: Vec<(String, String)> =
            definition.ops().map(|(digest, bytes)| (digest.to_owned(), hex(bytes))).collect();
        assert_eq!(ours, expected, "{name}");
    }
}

#[test]
fn the_same_digests_as_recorded() {
    for (name, head) in OWN {
        assert_eq!(graph(name).digest(), *head, "{name}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
