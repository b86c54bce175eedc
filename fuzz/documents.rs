//! What a hostile registry answers: documents as large as they may be, digests that are others', types that lie.

use std::collections::BTreeSet;

use kso::kind::images::resolved::{Blobs, Text, Unresolved, Wanted};
use kso::name::{Arch, Digest, ImageRef};
use kso::oci::{self, Descriptor, Document, MAX_DOCUMENT_BYTES, needed};

fn manifest(layers: usize) -> String {
    let digest = Digest::of(b"");
    let layer = format!(r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{digest}","size":1}}"#);
    let layers = vec![layer; layers].join(",");
    format!(r#"{{"schemaVersion":2,"config":{{"mediaType":"m","digest":"{digest}","size":1}},"layers":[{layers}]}}"#)
}

#[test]
fn a_manifest_may_have_4_mib_and_no_byte_more() {
    let large = manifest(25_000);
    assert!(large.len() < MAX_DOCUMENT_BYTES && large.len() > MAX_DOCUMENT_BYTES * 3 / 4, "{}", large.len());
    let Ok(Document::Manifest(read)) = Document::parse(large.as_bytes()) else { panic!("a manifest") };
    assert_eq!(read.layers.len(), 25_000);
    let padded = format!("{large}{}", " ".repeat(MAX_DOCUMENT_BYTES - large.len()));
    assert!(Document::parse(padded.as_bytes()).is_ok());
    assert_eq!(
        Document::parse(format!("{padded} ").as_bytes()),
        Err(oci::Error::TooLarge(MAX_DOCUMENT_BYTES as u64 + 1))
    );
    assert!(matches!(Document::parse("[".repeat(1 << 20).as_bytes()), Err(oci::Error::Json(_))));
}

/// The first that fits is taken, whatever else there is; what is needed is asked for once.
#[test]
fn an_index_of_10_000_entries() {
    let entry = |n: usize, arch: &str| {
        let digest = Digest::of(n.to_string().as_bytes());
        format!(
            r#"{{"mediaType":"m","digest":"{digest}","size":{n},"platform":{{"os":"linux","architecture":"{arch}"}}}}"#
        )
    };
    let mut entries: Vec<String> = (0..10_000).map(|n| entry(n, "s390x")).collect();
    entries.extend([entry(10_001, "amd64"), entry(10_002, "arm64"), entry(10_003, "arm64")]);
    let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
    let Ok(Document::Index(index)) = Document::parse(text.as_bytes()) else { panic!("an index") };
    let found = needed(&index, &BTreeSet::from(Arch::ALL), true).expect("both");
    let bytes: Vec<u64> = found.manifests.values().map(|needs| needs.manifest.bytes).collect();
    assert_eq!(bytes, [10_001, 10_002]);
    let top = Digest::of(text.as_bytes());
    let wanted = Wanted {
        reference: "quay.io/a:1".parse().expect("a name"),
        digest: top.clone(),
        architectures: BTreeSet::from(Arch::ALL),
        attestations: true,
        configs: true,
    };
    let missing = wanted.resolve(&Blobs::from([(top, text.into_bytes())]));
    assert!(matches!(&missing, Err(Unresolved::Missing(missing)) if missing.len() == 2), "{missing:?}");
}

#[test]
fn bytes_of_another_digest_are_refused() {
    let (one, other) = (manifest(1), manifest(2));
    let asked = Digest::of(one.as_bytes());
    let found = Digest::of(other.as_bytes());
    assert_eq!(
        Text::read(&asked, other.as_bytes()).map(drop),
        Err(oci::Error::Mismatch { wanted: asked.clone(), found })
    );
    assert!(Text::read(&asked, one.as_bytes()).is_ok());
}

#[test]
fn types_that_lie_are_refused() {
    let good = manifest(1);
    let typed = |text: &str| good.replacen('{', &format!(r#"{{"mediaType":"{text}","#), 1);
    assert!(Document::parse(typed("application/vnd.oci.image.manifest.v1+json").as_bytes()).is_ok());
    for media_type in [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "text/html",
        "application/vnd.oci.image.manifest.v1+json\\r\\nX-Injected: 1",
    ] {
        assert!(Document::parse(typed(media_type).as_bytes()).is_err(), "{media_type}");
    }
    let both = good.replacen('{', r#"{"manifests":[],"#, 1);
    assert!(Document::parse(both.as_bytes()).is_err(), "both a manifest and an index");
    let twice = good.replacen('{', r#"{"config":{},"#, 1);
    assert!(Document::parse(twice.as_bytes()).is_err(), "a key twice");
    for digest in [
        "sha256:../../../../etc/passwd",
        "sha512:00",
        "",
        "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
    ] {
        let text = good.replace(Digest::of(b"").as_str(), digest);
        assert!(Document::parse(text.as_bytes()).is_err(), "{digest}");
    }
    let whole: Vec<Descriptor> = match Document::parse(good.as_bytes()) {
        Ok(Document::Manifest(manifest)) => manifest.blobs().cloned().collect(),
        other => panic!("{other:?}"),
    };
    assert_eq!(whole.len(), 2);
}

#[test]
fn names_lead_nowhere_else() {
    for name in [
        "quay.io/../a:1",
        "quay.io/a/..:1",
        "quay.io/./a:1",
        "../a:1",
        "quay.io//a:1",
        "quay.io/a:..",
        "quay.io/a:1/../b",
        "quay.io/a@sha256:../..",
        "-quay.io/a:1",
        "--help",
        "quay.io/a:1\nb",
        "quay.io/$(a):1",
        "quay.io/a;b:1",
        "quay.io/%2e%2e/a:1",
        "quay.io/a?x=1",
        "quay.io/a#b",
        "user@quay.io/a:1",
        "quay.io/.wh.a:1",
    ] {
        assert!(name.parse::<ImageRef>().is_err(), "{name}");
    }
}
