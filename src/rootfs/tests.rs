//! Trees of directories and of layouts, with everything that a tar may hold.

use std::io::Write as _;
use std::os::unix::fs::symlink;

use super::layout::{Layout, LayoutImage};
use super::*;
use crate::report::Kind;

/// A reader that is interrupted before each byte that it gives.
struct Interrupted<'a> {
    left: &'a [u8],
    interrupted: bool,
}

impl Read for Interrupted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let Some((first, rest)) = self.left.split_first() else { return Ok(0) };
        into[0] = *first;
        self.left = rest;
        Ok(1)
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    match Item::read(bytes).unwrap() {
        Item::File { sha256, bytes: length, text } => {
            assert_eq!((sha256, length), (Digest::of(bytes), bytes.len() as u64));
            text
        }
        other @ Item::Other(_) => panic!("{other:?}"),
    }
}

#[test]
fn a_short_text_is_kept() {
    assert_eq!(text(b""), Some(String::new()));
    assert_eq!(text(b"sha256:00"), Some("sha256:00".into()));
    assert_eq!(text(&[b'a'; TEXT]), Some("a".repeat(TEXT)));
    assert_eq!(text(&[b'a'; TEXT + 1]), None);
    assert_eq!(text(&vec![b'a'; PART + 7]), None);
    assert_eq!(text(b"\xff"), None, "no text");
}

#[test]
fn a_file_is_read_however_its_bytes_come() {
    for bytes in [&b"abc"[..], &[b'a'; TEXT], &[b'a'; TEXT + 1]] {
        let item = Item::read(Interrupted { left: bytes, interrupted: false }).unwrap();
        assert_eq!(item, Item::read(bytes).unwrap());
    }
}

/// Fails once, and would go on.
struct Failing(bool);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0 = !self.0;
        if self.0 { Err(io::Error::other("broken")) } else { Ok(0) }
    }
}

#[test]
fn a_file_that_cannot_be_read_to_its_end_is_an_error() {
    assert_eq!(Item::read(Failing(false)).unwrap_err().to_string(), "broken");
}

#[test]
fn what_lies_in_a_tree() {
    let mut tree = Tree::default();
    for path in ["/a/b", "/a/c/d", "/a/c/e", "/ab", "/a/cd"] {
        tree.put(path.into(), Item::read(path.as_bytes()).unwrap());
    }
    tree.put("/a/link".into(), Item::Other("is a symbolic link".into()));
    let below = |tree: &Tree, folder: &str| tree.below(folder).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(below(&tree, "/a"), ["/a/b", "/a/c/d", "/a/c/e", "/a/cd", "/a/link"]);
    assert_eq!(below(&tree, "/ab"), [""; 0]);
    assert!(tree.has("/a/c") && !tree.has("/a/b") && !tree.has("/x"));
    assert_eq!(tree.bytes(), 4 + 6 + 6 + 3 + 5);
    assert_eq!((tree.get("/ab").is_some(), tree.get("/a")), (true, None));

    tree.remove("/a/c", &BTreeSet::from(["/a/c/e".into()]));
    assert_eq!(below(&tree, "/a"), ["/a/b", "/a/c/e", "/a/cd", "/a/link"]);
    tree.remove("/a/b", &BTreeSet::new());
    assert_eq!(tree.get("/a/b"), None);
}

#[test]
fn directories_are_read() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    fs::create_dir_all(path("served/deep/empty")).unwrap();
    fs::write(path("served/one"), "1").unwrap();
    fs::write(path("served/deep/two"), "22").unwrap();
    fs::write(path("beside"), "not looked at").unwrap();
    symlink("one", path("served/link")).unwrap();
    symlink("deep", path("served/linked")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path("served/socket")).unwrap();
    let sizes = Mutex::new(Vec::new());
    let progress = |bytes| sizes.lock().unwrap().push(bytes);
    let tree = Tree::of_folder(root.path(), &["/served", "/missing"], &progress).unwrap();
    let shown: Vec<String> = tree.items.iter().map(|(path, item)| format!("{path} {}", shown(item))).collect();
    assert_eq!(
        shown,
        [
            "/served/deep/two 22",
            "/served/link is a symbolic link",
            "/served/linked is a symbolic link",
            "/served/one 1",
            "/served/socket is not a regular file",
        ]
    );
    let mut sizes = sizes.into_inner().unwrap();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 2]);
}

fn shown(item: &Item) -> String {
    match item {
        Item::File { text, .. } => text.clone().unwrap_or_default(),
        Item::Other(what) => what.clone(),
    }
}

/// What a tar holds.
enum Part<'a> {
    File(&'a str, &'a str),
    Link(tar::EntryType, &'a str, &'a str),
    Other(tar::EntryType, &'a str),
}

fn layer(parts: &[Part<'_>]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for part in parts {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(0);
        match part {
            Part::File(path, text) => {
                header.set_size(text.len() as u64);
                archive.append_data(&mut header, path, text.as_bytes()).unwrap();
            }
            Part::Link(kind, path, target) => {
                header.set_entry_type(*kind);
                archive.append_link(&mut header, path, target).unwrap();
            }
            Part::Other(kind, path) => {
                header.set_entry_type(*kind);
                archive.append_data(&mut header, path, &[][..]).unwrap();
            }
        }
    }
    archive.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A layout that is being written, as a directory.
struct Written {
    root: tempfile::TempDir,
    manifests: Vec<String>,
}

impl Written {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("blobs/sha256")).unwrap();
        Self { root, manifests: Vec::new() }
    }

    fn blob(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.put(&digest, bytes);
        digest
    }

    /// Puts bytes where the blob with this digest lies, whatever theirs is.
    fn put(&self, digest: &Digest, bytes: &[u8]) {
        fs::write(self.root.path().join("blobs/sha256").join(digest.hex()), bytes).unwrap();
    }

    fn manifest(&self, config: &str, layers: &[Vec<u8>]) -> Digest {
        let descriptor = |bytes: &[u8]| format!(r#"{{"digest":"{}","size":{}}}"#, self.blob(bytes), bytes.len());
        let layers: Vec<String> = layers.iter().map(|layer| descriptor(layer)).collect();
        let config = descriptor(config.as_bytes());
        let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{}]}}"#, layers.join(","));
        self.blob(manifest.as_bytes())
    }

    fn add(&mut self, digest: &Digest, more: &str) {
        self.manifests.push(format!(r#"{{"digest":"{digest}","size":1{more}}}"#));
    }

    fn images(&self) -> io::Result<Vec<LayoutImage>> {
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, self.manifests.join(","));
        fs::write(self.root.path().join("index.json"), index).unwrap();
        Layout::of_folder(self.root.path()).unwrap().images(&["/served"], &|_| {})
    }
}

const ARM64: &str = r#"{"architecture":"arm64","os":"linux"}"#;

fn paths(image: &LayoutImage) -> Vec<String> {
    image.tree.items.iter().map(|(path, item)| format!("{path} {}", shown(item))).collect()
}

#[test]
fn layers_lie_on_one_another() {
    let mut written = Written::new();
    let lower = layer(&[
        Part::File("served/kept", "kept"),
        Part::File("./served/gone", "gone"),
        Part::File("served/dir/a", "a"),
        Part::File("served/opaque/lower", "lower"),
        Part::File("beside/x", "x"),
        Part::File("servedtoo/x", "x"),
    ]);
    let upper = layer(&[
        Part::Other(tar::EntryType::Directory, "served/dir/"),
        Part::File("served/.wh.gone", ""),
        Part::File("served/.wh.dir", ""),
        // What is of the same layer stays, on both sides of the whiteout.
        Part::File("served/opaque/before", "before"),
        Part::File("served/opaque/.wh..wh..opq", ""),
        Part::File("served/opaque/behind", "behind"),
        Part::Link(tar::EntryType::Symlink, "served/symlink", "kept"),
        Part::Link(tar::EntryType::Link, "served/hardlink", "served/kept"),
        Part::Link(tar::EntryType::Link, "served/dangling", "served/nothing"),
        Part::Other(tar::EntryType::Fifo, "served/fifo"),
    ]);
    let manifest = written.manifest(ARM64, &[gzip(&lower), upper]);
    written.add(&manifest, "");
    let images = written.images().unwrap();
    assert_eq!(images.len(), 1);
    assert_eq!((images[0].platform.as_str(), images[0].architecture), ("arm64", Some(crate::name::Arch::Arm64)));
    assert_eq!(images[0].problems, []);
    assert_eq!(
        paths(&images[0]),
        [
            "/served/dangling is a dangling link",
            "/served/fifo is not a regular file",
            "/served/hardlink kept",
            "/served/kept kept",
            "/served/opaque/before before",
            "/served/opaque/behind behind",
            "/served/symlink is a symbolic link",
        ]
    );
}

#[test]
fn layers_are_read_however_they_are_compressed() {
    let mut written = Written::new();
    let [plain, gzipped, zstd] =
        ["plain", "gzipped", "zstd"].map(|name| layer(&[Part::File(&format!("served/{name}"), name)]));
    let zstd = ruzstd::encoding::compress_to_vec(&*zstd, ruzstd::encoding::CompressionLevel::Fastest);
    let manifest = written.manifest(ARM64, &[plain, gzip(&gzipped), zstd]);
    written.add(&manifest, "");
    let images = written.images().unwrap();
    assert_eq!(images[0].problems, []);
    assert_eq!(paths(&images[0]), ["/served/gzipped gzipped", "/served/plain plain", "/served/zstd zstd"]);
}

#[test]
fn images_come_in_the_order_of_their_platforms_and_each_once() {
    let mut written = Written::new();
    for architecture in ["s390x", "amd64"] {
        let config = format!(r#"{{"architecture":"{architecture}","os":"linux"}}"#);
        let manifest = written.manifest(&config, &[]);
        written.add(&manifest, "");
        written.add(&manifest, "");
    }
    let nested = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, written.manifests.join(","));
    let nested = written.blob(nested.as_bytes());
    written.manifests.clear();
    written.add(&nested, "");
    let images = written.images().unwrap();
    let platforms: Vec<_> = images.iter().map(|image| (image.platform.as_str(), image.architecture)).collect();
    assert_eq!(platforms, [("amd64", Some(crate::name::Arch::Amd64)), ("s390x", None)]);
}

#[test]
fn what_is_broken_is_a_problem_of_its_image() {
    let mut written = Written::new();
    let good = layer(&[Part::File("served/a", "a")]);
    let manifest = written.manifest(ARM64, &[good.clone(), b"no tar".to_vec()]);
    written.add(&manifest, "");
    written.put(&Digest::of(&good), b"other");
    let attestation = written.manifest(r#"{"a":1}"#, &[b"signed".to_vec()]);
    let signed = Digest::of(b"signed");
    let annotations = format!(
        r#","annotations":{{"vnd.docker.reference.type":"attestation-manifest","vnd.docker.reference.digest":"{manifest}"}}"#
    );
    written.add(&attestation, &annotations);
    assert_eq!(written.images().unwrap()[0].problems.len(), 2, "the attestation is good");
    written.put(&signed, b"forged");
    let missing = Digest::of(b"missing");
    written.add(&missing, "");

    let images = written.images().unwrap();
    let of = |platform: &str| {
        let image = images.iter().find(|image| image.platform == platform).unwrap();
        let problems = image.problems.iter().map(|problem| {
            assert_eq!(problem.kind, Kind::Wrong);
            format!("{}: {}", problem.name, problem.why)
        });
        problems.collect::<Vec<_>>()
    };
    let mut broken = of("arm64");
    assert!(broken.remove(1).starts_with(&format!("the layer {}: ", Digest::of(b"no tar"))));
    let other = format!("its content has the digest {}", Digest::of(b"other"));
    let forged = format!("its content has the digest {}", Digest::of(b"forged"));
    assert_eq!(
        broken,
        [format!("the layer {}: {other}", Digest::of(&good)), format!("the attestation {signed}: {forged}")]
    );
    assert_eq!(of("").len(), 1);
    assert!(of("")[0].starts_with(&format!("the manifest {missing}: ")));
}

#[test]
fn a_layout_is_also_read_from_its_tar() {
    let mut written = Written::new();
    let manifest = written.manifest(ARM64, &[layer(&[Part::File("served/a", "a")])]);
    written.add(&manifest, "");
    written.images().unwrap();
    let root = written.root.path();
    let tar = root.join("layout.tar");
    let mut archive = tar::Builder::new(File::create(&tar).unwrap());
    archive.append_dir_all("./blobs", root.join("blobs")).unwrap();
    assert!(Layout::of_folder(&root.join("blobs")).is_none());
    archive.append_path_with_name(root.join("index.json"), "index.json").unwrap();
    archive.finish().unwrap();
    let read = std::cell::Cell::new(0);
    let images = Layout::of_tar(&tar).unwrap().images(&["/served"], &|bytes| read.set(read.get() + bytes)).unwrap();
    assert_eq!(paths(&images[0]), ["/served/a a"]);
    assert!(read.get() > 0, "the progress");

    let mut archive = tar::Builder::new(File::create(&tar).unwrap());
    archive.append_dir_all("blobs", root.join("blobs")).unwrap();
    archive.finish().unwrap();
    let error = Layout::of_tar(&tar).err().unwrap().to_string();
    assert_eq!(error, "it has no `index.json`, so it is not an OCI layout");
}

#[test]
fn what_is_no_layout_is_an_error() {
    let written = Written::new();
    let root = written.root.path();
    fs::write(
        root.join("index.json"),
        r#"{"schemaVersion":2,"config":{"digest":"DIGEST","size":1}}"#.replace("DIGEST", Digest::of(b"").as_str()),
    )
    .unwrap();
    let error = Layout::of_folder(root).unwrap().images(&["/served"], &|_| {}).unwrap_err();
    assert_eq!(error.to_string(), "it is a manifest, but must be an index");
    fs::write(root.join("index.json"), "x".repeat(crate::oci::MAX_DOCUMENT_BYTES + 1)).unwrap();
    let error = Layout::of_folder(root).unwrap().images(&["/served"], &|_| {}).unwrap_err();
    assert!(error.to_string().contains("the maximum is 4 MiB"), "{error}");
}
