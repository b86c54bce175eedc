//! Documents of locks, and whether they are SPDX.

use super::*;
use crate::kind::files::ChecksumSource;
use crate::kind::images::locked::tests::sample;
use crate::lock::LockedBase;

/// A lock of two files, a base image and two images.
fn lock() -> Lock {
    let mut lock = Lock::new(1);
    for (name, checksum) in [("a b/helm.tgz", ChecksumSource::FirstUse), ("kubelet", ChecksumSource::Definition)] {
        lock.put_file(LockedFile {
            url: format!("https://dl.example/{}", name.replace(' ', "%20")).parse().expect("a URL"),
            path: format!("dl.example/{name}").parse().expect("a path"),
            sha256: Digest::of(name.as_bytes()),
            bytes: name.len() as u64,
            checksum,
        });
    }
    let configs = BTreeMap::from([(Platform::linux(Arch::Amd64), "{}".to_owned())]);
    let base = LockedBase::new("nginx:1.27".parse().expect("a name"), Digest::of(b"base"), configs);
    lock.put_base(base.expect("a base"));
    lock.put_image(sample("quay.io/a/B:1".to_lowercase().as_str()));
    lock.put_image(sample("quay.io/c:1"));
    lock
}

fn made(lock: &Lock, content: Content<'_>) -> Value {
    let (target, platform) = (if content == Content::Files { "files" } else { "images" }, Platform::linux(Arch::Arm64));
    let subject = Subject { target, platform: &platform, content, base: lock.bases().next() };
    let text = document(lock, &subject, 0);
    assert_eq!(text, document(&lock.clone(), &subject, 0), "the same bytes");
    serde_json::from_str(&text).expect("JSON")
}

/// What the specification demands (SPDX 2.3, clauses 6 to 11, and its JSON schema).
fn is_spdx(document: &Value) {
    let text = |value: &Value, key: &str| {
        let found = value[key].as_str().unwrap_or_else(|| panic!("{key} is missing in {value:#}"));
        assert!(!found.is_empty(), "{key} is empty");
        found.to_owned()
    };
    assert_eq!(text(document, "spdxVersion"), "SPDX-2.3");
    assert_eq!(text(document, "dataLicense"), "CC0-1.0");
    assert_eq!(text(document, "SPDXID"), "SPDXRef-DOCUMENT");
    let space = text(document, "documentNamespace");
    assert!(space.starts_with("https://") && !space.contains('#'), "{space}");
    let created = text(&document["creationInfo"], "created");
    assert!(created.len() == 20 && created.ends_with('Z'), "{created}");
    let creators = document["creationInfo"]["creators"].as_array().expect("creators");
    assert!(creators.iter().all(|it| it.as_str().is_some_and(|it| it.starts_with("Tool: "))) && !creators.is_empty());

    let mut known = BTreeSet::from(["SPDXRef-DOCUMENT".to_owned()]);
    for package in document["packages"].as_array().expect("packages") {
        let id = text(package, "SPDXID");
        let rest = id.strip_prefix("SPDXRef-").expect("the prefix");
        assert!(!rest.is_empty() && rest.bytes().all(|it| it.is_ascii_alphanumeric() || b".-".contains(&it)), "{id}");
        assert!(known.insert(id.clone()), "{id} is there twice");
        let (_, from) = (text(package, "name"), text(package, "downloadLocation"));
        assert!(from == "NOASSERTION" || from.starts_with("https://"), "{from}");
        assert_eq!(package["filesAnalyzed"], false, "else a verification code is needed");
        let purpose = text(package, "primaryPackagePurpose");
        assert!(["CONTAINER", "FILE", "ARCHIVE"].contains(&purpose.as_str()), "{purpose}");
        for checksum in package["checksums"].as_array().into_iter().flatten() {
            assert_eq!(text(checksum, "algorithm"), "SHA256");
            let hex = text(checksum, "checksumValue");
            assert!(
                hex.len() == 64 && hex.bytes().all(|it| it.is_ascii_hexdigit() && !it.is_ascii_uppercase()),
                "{hex}"
            );
        }
        for reference in package["externalRefs"].as_array().into_iter().flatten() {
            assert_eq!(text(reference, "referenceCategory"), "PACKAGE-MANAGER");
            assert_eq!(text(reference, "referenceType"), "purl");
            let purl = text(reference, "referenceLocator");
            assert!(purl.starts_with("pkg:") && !purl.contains([' ', '#']), "{purl}");
        }
    }
    let relationships = document["relationships"].as_array().expect("relationships");
    let mut described = 0;
    for relationship in relationships {
        for key in ["spdxElementId", "relatedSpdxElement"] {
            let id = text(relationship, key);
            assert!(known.contains(&id), "{id} is nothing");
        }
        let kind = text(relationship, "relationshipType");
        assert!(["DESCRIBES", "CONTAINS", "DESCENDANT_OF"].contains(&kind.as_str()), "{kind}");
        described += usize::from(kind == "DESCRIBES");
    }
    assert_eq!(described, 1);
}

#[test]
fn a_document_of_files() {
    let document = made(&lock(), Content::Files);
    is_spdx(&document);
    insta::assert_snapshot!(format!("{document:#}").replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[test]
fn a_document_of_images_names_what_its_platform_holds() {
    let lock = lock();
    let all = made(&lock, Content::Images(&Arch::ALL.into()));
    is_spdx(&all);
    let names = |document: &Value| -> BTreeSet<String> {
        let packages = document["packages"].as_array().expect("packages").iter();
        packages.filter_map(|package| Some(package["name"].as_str()?.to_owned())).collect()
    };
    for image in lock.images() {
        for held in image.resolved.manifests() {
            let blobs = held.manifest.blobs().map(|blob| blob.digest.to_string());
            for digest in blobs.chain([held.text.digest.to_string()]) {
                assert!(names(&all).contains(&digest), "{digest}");
            }
        }
    }
    let one = made(&lock, Content::Images(&BTreeSet::from([Arch::Arm64])));
    is_spdx(&one);
    assert!(names(&one).is_subset(&names(&all)) && names(&one).len() < names(&all).len());
    let space = |document: &Value| document["documentNamespace"].clone();
    assert_ne!(space(&one), space(&all));
    let about = one["packages"].as_array().expect("packages").iter();
    let comments: Vec<&str> = about.filter_map(|package| package["comment"].as_str()).collect();
    assert!(comments.iter().any(|it| it.starts_with("manifest for arm64")), "{comments:#?}");
    assert!(!comments.iter().any(|it| it.starts_with("manifest for amd64")), "{comments:#?}");
}

#[test]
fn package_urls_are_escaped() {
    let image = "Registry.example:5000/a/b:v1.0".to_lowercase().parse().expect("a name");
    assert_eq!(
        purl(&image, &Digest::of(b"")),
        "pkg:oci/b@sha256%3Ae3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\
         ?repository_url=registry.example%3A5000%2Fa%2Fb&tag=v1.0"
    );
}
