//! A root with everything that a lock promises, and each fault that may befall it.

mod servers;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use super::*;
use crate::kind::files::{ChecksumSource, LockedFile};
use crate::kind::images::resolved::tests::{image, index, wanted};
use crate::kind::images::resolved::{Blobs, Resolved};
use crate::kind::images::{LockedImage, storage as paths};
use crate::name::{Arch, Digest};
use crate::rootfs::layout::Layout;

const SERVED: &str = "/opt/k8s/k8s";

/// A lock of two files and two images that share a blob, and the bytes of all blobs.
fn lock() -> (Lock, Blobs) {
    let mut lock = Lock::new(1);
    for name in ["a/x", "b"] {
        lock.put_file(LockedFile {
            url: format!("https://h.example/{name}").parse().expect("a URL"),
            path: format!("h.example/{name}").parse().expect("a path"),
            sha256: Digest::of(name.as_bytes()),
            bytes: name.len() as u64,
            checksum: ChecksumSource::FirstUse,
        });
    }
    let mut have = Blobs::new();
    for name in ["one", "two"] {
        let manifests = [image(&mut have, "amd64", &["base", name]), image(&mut have, "arm64", &["base", name])];
        let top = index(&mut have, &manifests);
        let resolved = wanted(&format!("quay.io/{name}:1"), &top, &Arch::ALL).resolve(&have).expect("complete");
        let served = BTreeSet::from([format!("k8s/quay.io/{name}:1").parse().expect("a name")]);
        lock.put_image(LockedImage { served, resolved });
    }
    (lock, have)
}

fn put(root: &Path, path: &str, bytes: &[u8]) {
    let file = root.join(path.trim_start_matches('/'));
    fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    fs::write(file, bytes).expect("written");
}

fn put_image(root: &Path, image: &Resolved, name: &crate::name::ServedName, have: &Blobs, arch: Arch) {
    let link = |path: String, digest: &Digest| put(root, &path, digest.as_str().as_bytes());
    let top = &image.top().digest;
    for path in name.tag.iter().flat_map(|tag| paths::tag(&name.repository, tag, top)) {
        link(path, top);
    }
    let held = image.manifests().iter().find(|held| held.architectures.contains(&arch)).expect("held");
    for digest in [top, &held.text.digest] {
        link(paths::revision(&name.repository, digest), digest);
        put(root, &paths::data(digest), &have[digest]);
    }
    for blob in held.manifest.blobs() {
        put(root, &paths::layer(&name.repository, &blob.digest), blob.digest.as_str().as_bytes());
        put(root, &paths::data(&blob.digest), &have[&blob.digest]);
    }
}

/// A root that has everything for amd64.
fn root() -> (Lock, Blobs, tempfile::TempDir) {
    let (lock, have) = lock();
    let root = tempfile::tempdir().expect("a folder");
    for name in ["a/x", "b"] {
        put(root.path(), &format!("{SERVED}/h.example/{name}"), name.as_bytes());
    }
    for image in lock.images() {
        for name in &image.served {
            put_image(root.path(), &image.resolved, name, &have, Arch::Amd64);
        }
    }
    put(root.path(), "/etc/passwd", b"not looked at");
    (lock, have, root)
}

fn told(lock: &Lock, root: &Path, architecture: Option<Arch>) -> String {
    let tree = Tree::of_folder(root, &folders(SERVED), &|_| {}).expect("read");
    let report = check(lock, &tree, SERVED, architecture);
    assert_eq!((report.files, report.images), (2, 2));
    let lines = report.problems.iter().map(|problem| format!("{} {}: {}\n", problem.kind, problem.name, problem.why));
    lines.collect()
}

#[test]
fn what_is_complete_is_good() {
    let (lock, have, root) = root();
    for architecture in [None, Some(Arch::Amd64)] {
        assert_eq!(told(&lock, root.path(), architecture), "");
    }
    let other = told(&lock, root.path(), Some(Arch::Arm64));
    assert_eq!(other.lines().filter(|line| line.starts_with("missing ")).count(), 8, "it is for amd64");
    for image in lock.images() {
        for name in &image.served {
            put_image(root.path(), &image.resolved, name, &have, Arch::Arm64);
        }
    }
    assert_eq!(told(&lock, root.path(), None), "", "of both architectures");
}

/// Every fault has a picture.
#[test]
fn every_fault_is_found() {
    let (lock, _) = lock();
    let blob = |text: &str| paths::data(&Digest::of(text.as_bytes()));
    let one = lock.images().next().expect("an image");
    let name = one.served.first().expect("a name");
    let top = &one.resolved.top().digest;
    let manifest = &one.resolved.manifests()[0].text.digest;
    let tag = paths::tag(&name.repository, "1", top)[0].clone();
    let file = format!("{SERVED}/h.example/b");
    let faults: [(&str, String, Option<&[u8]>); 10] = [
        ("a flipped byte in a file", file.clone(), Some(b"c")),
        ("a truncated file", file.clone(), Some(b"")),
        ("a missing file", file.clone(), None),
        ("an extra file", format!("{SERVED}/h.example/c"), Some(b"c")),
        ("a flipped byte in a blob of both images", blob("base"), Some(b"bose")),
        ("a missing blob", blob("one"), None),
        ("a flipped byte in a manifest", paths::data(manifest), Some(b"{}")),
        ("a missing tag", tag.clone(), None),
        ("a tag that leads elsewhere", tag, Some(manifest.as_str().as_bytes())),
        ("an extra blob", blob("extra"), Some(b"extra")),
    ];
    let mut pictures = Vec::new();
    for (what, path, bytes) in faults {
        let (lock, _, root) = root();
        match bytes {
            Some(bytes) => put(root.path(), &path, bytes),
            None => fs::remove_file(root.path().join(path.trim_start_matches('/'))).expect("removed"),
        }
        pictures.push(format!("--- {what}\n{}", told(&lock, root.path(), Some(Arch::Amd64))));
    }
    insta::assert_snapshot!(pictures.concat());
}

#[test]
fn links_are_not_followed_and_nothing_is_nothing() {
    let (lock, _, root) = root();
    let file = root.path().join("opt/k8s/k8s/h.example/b");
    fs::remove_file(&file).expect("removed");
    std::os::unix::fs::symlink("/etc/hostname", &file).expect("linked");
    let said = told(&lock, root.path(), None);
    assert_eq!(said, "wrong https://h.example/b: `/opt/k8s/k8s/h.example/b` is a symbolic link\n");
    let empty = check(&lock, &Tree::default(), SERVED, None);
    assert_eq!(empty.problems[0].name, "everything");
}

/// Blobs of an OCI layout, and their descriptor.
fn store(folder: &Path, kind: &str, bytes: &[u8]) -> serde_json::Value {
    let digest = Digest::of(bytes);
    put(folder, &format!("blobs/sha256/{}", digest.hex()), bytes);
    serde_json::json!({ "mediaType": kind, "digest": digest.as_str(), "size": bytes.len() })
}

/// What an attestation says.
const STATEMENT: &[u8] = br#"{"predicateType":"x"}"#;

/// The root as a layout of one image with an attestation, in two layers, of which the second deletes what only the first has.
fn layout(root: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    first.append_dir_all(".", root).expect("packed");
    let mut add = |path: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_cksum();
        first.append_data(&mut header, path, &b"x"[..]).expect("packed");
    };
    add("opt/k8s/k8s/h.example/gone");
    add("opt/k8s/k8s/old/x");
    let first = first.into_inner().and_then(|mut gz| gz.flush().and_then(|()| gz.finish())).expect("compressed");
    let mut second = tar::Builder::new(Vec::new());
    for path in ["opt/k8s/k8s/h.example/.wh.gone", "opt/k8s/k8s/.wh.old"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_cksum();
        second.append_data(&mut header, path, &b""[..]).expect("packed");
    }
    let layers = [
        store(folder.path(), "application/vnd.oci.image.layer.v1.tar+gzip", &first),
        store(folder.path(), "application/vnd.oci.image.layer.v1.tar", &second.into_inner().expect("packed")),
    ];
    let config = br#"{"architecture":"amd64","os":"linux"}"#;
    let config = store(folder.path(), "application/vnd.oci.image.config.v1+json", config);
    let manifest = serde_json::json!({ "schemaVersion": 2, "config": config, "layers": layers }).to_string();
    let manifest = store(folder.path(), "application/vnd.oci.image.manifest.v1+json", manifest.as_bytes());
    let statement = store(folder.path(), "application/vnd.in-toto+json", STATEMENT);
    let empty = store(folder.path(), "application/vnd.oci.image.config.v1+json", b"{}");
    let about = serde_json::json!({ "schemaVersion": 2, "config": empty, "layers": [statement] }).to_string();
    let mut about = store(folder.path(), "application/vnd.oci.image.manifest.v1+json", about.as_bytes());
    about["platform"] = serde_json::json!({ "os": "unknown", "architecture": "unknown" });
    about["annotations"] = serde_json::json!({ "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": manifest["digest"] });
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [manifest, about] }).to_string();
    let index = store(folder.path(), "application/vnd.oci.image.index.v1+json", index.as_bytes());
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [index] }).to_string();
    put(folder.path(), "index.json", index.as_bytes());
    folder
}

fn of_layout(lock: &Lock, layout: &Layout) -> String {
    let images = layout.images(&folders(SERVED), &|_| {}).expect("a layout");
    let [image] = images.as_slice() else { panic!("{} images", images.len()) };
    let report = check(lock, &image.tree, SERVED, image.architecture);
    let problems = image.problems.iter().chain(&report.problems);
    problems.map(|problem| format!("{} {}: {}\n", problem.kind, problem.name, problem.why)).collect()
}

#[test]
fn layouts_are_read_as_folders_and_as_tars() {
    let (lock, _, root) = root();
    let folder = layout(root.path());
    assert_eq!(of_layout(&lock, &Layout::of_folder(folder.path()).expect("a layout")), "");
    let statement = Digest::of(STATEMENT);
    let blob = folder.path().join("blobs/sha256").join(statement.hex());
    fs::write(&blob, &STATEMENT[1..]).expect("written");
    let said = of_layout(&lock, &Layout::of_folder(folder.path()).expect("a layout"));
    assert!(
        said.starts_with(&format!("wrong the attestation {statement}: its content has the digest sha256:")),
        "{said}"
    );
    fs::write(&blob, STATEMENT).expect("written");
    let packed = root.path().join("layout.tar");
    let mut tar = tar::Builder::new(fs::File::create(&packed).expect("made"));
    tar.append_dir_all(".", folder.path()).and_then(|()| tar.finish()).expect("packed");
    assert_eq!(of_layout(&lock, &Layout::of_tar(&packed).expect("a layout")), "");
    assert!(Layout::of_folder(root.path()).is_none(), "a root is no layout");

    let mut bytes = fs::read(&packed).expect("read");
    let largest = fs::read_dir(folder.path().join("blobs/sha256")).expect("read").map(|it| it.expect("read"));
    let largest = largest.max_by_key(|it| it.metadata().map_or(0, |it| it.len())).expect("blobs");
    let blob = fs::read(largest.path()).expect("read");
    let at = bytes.windows(blob.len()).position(|part| part == blob).expect("it is packed");
    bytes[at + blob.len() / 2] ^= 1;
    fs::write(&packed, bytes).expect("written");
    let said = of_layout(&lock, &Layout::of_tar(&packed).expect("a layout"));
    assert!(
        said.starts_with(&format!(
            "wrong the layer sha256:{}: its content has the digest ",
            largest.file_name().display()
        )),
        "{said}"
    );
    fs::remove_file(largest.path()).expect("removed");
    let said = of_layout(&lock, &Layout::of_folder(folder.path()).expect("a layout"));
    assert!(said.contains("No such file"), "{said}");
}
