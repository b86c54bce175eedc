//! Images made of a few bytes, and what they are resolved to.

use super::*;

/// Bytes and their descriptor, as JSON.
pub(crate) fn blob(have: &mut Blobs, media_type: &str, bytes: &[u8]) -> serde_json::Value {
    let digest = Digest::of(bytes);
    have.insert(digest.clone(), bytes.to_vec());
    serde_json::json!({ "mediaType": media_type, "digest": digest.as_str(), "size": bytes.len() })
}

/// An image of one architecture; returns its descriptor with the platform.
pub(crate) fn image(have: &mut Blobs, arch: &str, layers: &[&str]) -> serde_json::Value {
    let config = format!(r#"{{"architecture":"{arch}","os":"linux","about":"{}"}}"#, layers.join("+"));
    let config = blob(have, "application/vnd.oci.image.config.v1+json", config.as_bytes());
    let layers: Vec<_> =
        layers.iter().map(|it| blob(have, "application/vnd.oci.image.layer.v1.tar+gzip", it.as_bytes())).collect();
    let manifest = serde_json::json!({ "schemaVersion": 2, "config": config, "layers": layers });
    let text = format!("{manifest:#}");
    let mut descriptor = blob(have, "application/vnd.oci.image.manifest.v1+json", text.as_bytes());
    descriptor["platform"] = serde_json::json!({ "os": "linux", "architecture": arch });
    descriptor
}

/// An index of descriptors; returns its digest.
pub(crate) fn index(have: &mut Blobs, manifests: &[serde_json::Value]) -> Digest {
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": manifests });
    digest(&blob(have, "application/vnd.oci.image.index.v1+json", format!("{index:#}").as_bytes()))
}

pub(crate) fn digest(descriptor: &serde_json::Value) -> Digest {
    descriptor["digest"].as_str().and_then(|digest| digest.parse().ok()).expect("a descriptor")
}

pub(crate) fn wanted(reference: &str, digest: &Digest, architectures: &[Arch]) -> Wanted {
    Wanted {
        reference: reference.parse().expect("a reference"),
        digest: digest.clone(),
        architectures: architectures.iter().copied().collect(),
        attestations: true,
        configs: false,
    }
}

pub(crate) fn attestation(have: &mut Blobs, about: &serde_json::Value) -> serde_json::Value {
    let mut descriptor = image(have, "unknown", &["in-toto"]);
    descriptor["platform"] = serde_json::json!({ "os": "unknown", "architecture": "unknown" });
    descriptor["annotations"] = serde_json::json!({
        "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": about["digest"]
    });
    descriptor
}

/// What is asked for in each round until the image is there.
fn rounds(wanted: &Wanted, all: &Blobs) -> (Vec<String>, Result<Resolved, Unresolved>) {
    let mut have = Blobs::new();
    let mut rounds = Vec::new();
    loop {
        match wanted.resolve(&have) {
            Err(Unresolved::Missing(missing)) => {
                rounds.push(missing.iter().map(|it| format!("{:?}", it.kind)).collect::<Vec<_>>().join(" "));
                have.extend(missing.iter().map(|it| (it.digest.clone(), all[&it.digest].clone())));
            }
            done => return (rounds, done),
        }
    }
}

#[test]
fn an_index_takes_two_rounds() {
    let mut all = Blobs::new();
    let amd64 = image(&mut all, "amd64", &["base", "a"]);
    let arm64 = image(&mut all, "arm64", &["base", "b"]);
    let about = attestation(&mut all, &arm64);
    let s390x = image(&mut all, "s390x", &["c"]);
    let top = index(&mut all, &[amd64, arm64, s390x, about]);
    let (asked, resolved) = rounds(&wanted("x:1", &top, &Arch::ALL), &all);
    assert_eq!(asked, ["Manifest", "Manifest Manifest Manifest"]);
    let resolved = resolved.unwrap();
    assert_eq!(resolved.top().digest, top);
    let held: Vec<_> = resolved.manifests().iter().map(|h| (h.architectures.len(), h.attestations.len())).collect();
    assert_eq!(held, [(1, 0), (1, 1)]);
}

#[test]
fn one_manifest_needs_its_config() {
    let mut all = Blobs::new();
    let arm64 = digest(&image(&mut all, "arm64", &["a"]));
    let (asked, resolved) = rounds(&wanted("x:1", &arm64, &[Arch::Arm64]), &all);
    assert_eq!(asked, ["Manifest", "Blob"]);
    assert_eq!(resolved.unwrap().top().digest, arm64);
    let (_, lacks) = rounds(&wanted("x:1", &arm64, &Arch::ALL), &all);
    assert_eq!(lacks.unwrap_err().to_string(), "lacks amd64; it has arm64");
    let mut unnamed = image(&mut all, "amd64", &["a"]);
    unnamed["platform"] = serde_json::Value::Null;
    let top = index(&mut all, &[unnamed]);
    assert_eq!(rounds(&wanted("x:1", &top, &[Arch::Amd64]), &all).0, ["Manifest", "Manifest", "Blob"]);
    let (_, lacks) = rounds(&wanted("x:1", &top, &Arch::ALL), &all);
    assert_eq!(lacks.unwrap_err().to_string(), "lacks arm64; it has amd64");
}

#[test]
fn a_config_is_compared_with_its_index() {
    let mut all = Blobs::new();
    let amd64 = image(&mut all, "amd64", &["a"]);
    let as_arm64 = |mut descriptor: serde_json::Value| {
        descriptor["platform"]["architecture"] = "arm64".into();
        descriptor
    };
    let mislabeled = as_arm64(image(&mut all, "amd64", &["b"]));
    let nameless = as_arm64(image(&mut all, "", &["c"]));
    let broken = {
        let config = blob(&mut all, "application/vnd.oci.image.config.v1+json", b"{");
        let manifest = serde_json::json!({ "schemaVersion": 2, "config": config, "layers": [] }).to_string();
        let mut descriptor = blob(&mut all, "application/vnd.oci.image.manifest.v1+json", manifest.as_bytes());
        descriptor["platform"] = serde_json::json!({ "os": "linux", "architecture": "arm64" });
        descriptor
    };
    let mismatches = |all: &mut Blobs, arm64: serde_json::Value| {
        let top = index(all, &[amd64.clone(), arm64]);
        let wanted = Wanted { configs: true, ..wanted("x:1", &top, &Arch::ALL) };
        let (asked, resolved) = rounds(&wanted, all);
        assert_eq!(asked, ["Manifest", "Manifest Manifest", "Blob Blob"]);
        resolved.unwrap().mismatches().collect::<Vec<_>>()
    };
    let right = image(&mut all, "arm64", &["d"]);
    assert_eq!(mismatches(&mut all, right), Vec::<String>::new());
    assert_eq!(mismatches(&mut all, mislabeled), ["has an image for arm64 whose config says amd64"]);
    assert_eq!(mismatches(&mut all, nameless), Vec::<String>::new(), "a config that names no architecture");
    assert_eq!(mismatches(&mut all, broken), Vec::<String>::new(), "a config that nobody can read");
}

#[test]
fn wrong_bytes_are_told() {
    let mut all = Blobs::new();
    let amd64 = image(&mut all, "amd64", &["a"]);
    let top = index(&mut all, std::slice::from_ref(&amd64));
    all.insert(digest(&amd64), b"{}".to_vec());
    let (_, error) = rounds(&wanted("x:1", &top, &[Arch::Amd64]), &all);
    let Err(Unresolved::Document(at, oci::Error::Mismatch { .. })) = error else { panic!("{error:?}") };
    assert_eq!(at, digest(&amd64));
}

#[test]
fn a_descriptor_of_another_size_is_told() {
    let mut all = Blobs::new();
    let mut amd64 = image(&mut all, "amd64", &["a"]);
    amd64["size"] = 5.into();
    let top = index(&mut all, std::slice::from_ref(&amd64));
    let (_, error) = rounds(&wanted("x:1", &top, &[Arch::Amd64]), &all);
    let Err(Unresolved::Document(at, oci::Error::Size { said: 5, found: Some(_) })) = error else {
        panic!("{error:?}")
    };
    assert_eq!(at, digest(&amd64));

    // Of a manifest alone, the config is read, too.
    let config =
        blob(&mut all, "application/vnd.oci.image.config.v1+json", br#"{"architecture":"amd64","os":"linux"}"#);
    let manifest = |size: u64| {
        let mut config = config.clone();
        config["size"] = size.into();
        serde_json::json!({ "schemaVersion": 2, "config": config, "layers": [] }).to_string()
    };
    for (size, fits) in [(config["size"].as_u64().unwrap(), true), (7, false)] {
        let top = digest(&blob(&mut all, "application/vnd.oci.image.manifest.v1+json", manifest(size).as_bytes()));
        assert_eq!(rounds(&wanted("x:1", &top, &[Arch::Amd64]), &all).1.is_ok(), fits);
    }
}
