//! The images of an OCI layout, as a directory or as a tar of it: what `buildx -o type=oci` writes. Owns how layers become a
//! tree; does not know what should be in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

use crate::name::{Arch, Digest, Hasher};
use crate::oci::{self, Descriptor, Document, MAX_DOCUMENT_BYTES};
use crate::report::{Kind, Problem};
use crate::rootfs::{Item, Tree};

/// The file that makes a directory an OCI layout.
const INDEX: &str = "index.json";
/// What deletes a file of the layers below (OCI image specification, "Whiteouts").
const WHITEOUT: &str = ".wh.";

/// A layout.
pub struct Layout {
    place: PathBuf,
    /// Of a tar: where each file begins, and its size in bytes.
    parts: Option<BTreeMap<String, (u64, u64)>>,
}

/// An image of a layout.
#[derive(Debug)]
pub struct LayoutImage {
    /// The platform as its config names it, `arm64`; empty where it names none.
    pub platform: String,
    /// The architecture, if it is one of ours.
    pub architecture: Option<Arch>,
    /// The files of the requested directories.
    pub tree: Tree,
    /// What is wrong with the image itself: a layer that is not that of its digest.
    pub problems: Vec<Problem>,
}

impl Layout {
    /// The layout in a directory, if it is one.
    pub fn of_folder(place: &Path) -> Option<Self> {
        place.join(INDEX).is_file().then(|| Self { place: place.to_owned(), parts: None })
    }

    /// A tar of a layout.
    pub fn of_tar(place: &Path) -> io::Result<Self> {
        let mut archive = tar::Archive::new(File::open(place)?);
        let mut parts = BTreeMap::new();
        for entry in archive.entries_with_seek()? {
            let entry = entry?;
            if entry.header().entry_type().is_file() {
                let path = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
                parts.insert(path, (entry.raw_file_position(), entry.size()));
            }
        }
        if parts.contains_key(INDEX) {
            Ok(Self { place: place.to_owned(), parts: Some(parts) })
        } else {
            Err(io::Error::other(format!("it has no `{INDEX}`, so it is not an OCI layout")))
        }
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read>> {
        let Some(parts) = &self.parts else { return Ok(Box::new(File::open(self.place.join(path))?)) };
        let missing = || io::Error::new(io::ErrorKind::NotFound, "it does not exist");
        let (start, bytes) = parts.get(path).copied().ok_or_else(missing)?;
        let mut file = File::open(&self.place)?;
        file.seek(SeekFrom::Start(start))?;
        Ok(Box::new(file.take(bytes)))
    }

    fn blob(&self, digest: &Digest) -> io::Result<Box<dyn Read>> {
        self.open(&format!("blobs/sha256/{}", digest.hex()))
    }

    /// A small blob, proved.
    fn document(&self, digest: &Digest) -> Result<Vec<u8>, String> {
        let read = self.blob(digest).and_then(read_document).map_err(|error| error.to_string())?;
        oci::check_digest(&read, digest).map_err(|error| error.to_string())?;
        Ok(read)
    }

    /// The images, each with its content below these directories. `progress` is called with the number of bytes read.
    /// Fails if the layout is invalid.
    pub fn images(&self, folders: &[&str], progress: &impl Fn(u64)) -> io::Result<Vec<LayoutImage>> {
        let index = read_document(self.open(INDEX)?)?;
        let mut images = BTreeMap::new();
        let mut about = Vec::new();
        let mut documents = entries(&index).map_err(io::Error::other)?;
        let mut seen = BTreeSet::new();
        while let Some((digest, attests)) = documents.pop() {
            if !seen.insert(digest.clone()) {
                continue;
            }
            let document = self.document(&digest).and_then(|bytes| {
                let document = Document::parse(&bytes).map_err(|error| error.to_string())?;
                Ok((bytes, document))
            });
            match (document, attests) {
                (Ok((bytes, Document::Index(_))), _) => documents.extend(entries(&bytes).map_err(io::Error::other)?),
                (Ok((_, Document::Manifest(manifest))), None) => {
                    let image = self.image(&manifest.config, &manifest.layers, folders, progress);
                    images.insert(digest, image);
                }
                (Ok((_, Document::Manifest(manifest))), Some(attested)) => {
                    let broken = manifest.blobs().filter_map(|blob| {
                        let why = self.prove(blob, progress).err()?;
                        Some(Problem::new(Kind::Wrong, format!("the attestation {}", blob.digest), why))
                    });
                    about.extend(broken.map(|problem| (attested.clone(), problem)));
                }
                (Err(why), attests) => {
                    let what = if attests.is_some() { "attestation" } else { "manifest" };
                    let problem = Problem::new(Kind::Wrong, format!("the {what} {digest}"), why);
                    about.push((attests.unwrap_or(digest), problem));
                }
            }
        }
        for (digest, problem) in about {
            images.entry(digest).or_insert_with(LayoutImage::broken).problems.push(problem);
        }
        let mut images: Vec<LayoutImage> = images.into_values().collect();
        images.sort_by(|a, b| a.platform.cmp(&b.platform));
        Ok(images)
    }

    /// Whether a blob has its digest; the error is a fact about it.
    fn prove(&self, blob: &Descriptor, read: &impl Fn(u64)) -> Result<(), String> {
        let mut hasher = Hasher::default();
        let copied = self.blob(&blob.digest).and_then(|mut blob| io::copy(&mut blob, &mut hasher));
        copied.map_err(|error| error.to_string())?;
        read(blob.bytes);
        match hasher.finish().0 {
            found if found == blob.digest => Ok(()),
            found => Err(format!("its content has the digest {found}")),
        }
    }

    fn image(&self, config: &Descriptor, layers: &[Descriptor], folders: &[&str], read: &impl Fn(u64)) -> LayoutImage {
        let mut image = LayoutImage::broken();
        let platform = self
            .document(&config.digest)
            .and_then(|config| oci::image_platform(&config).map_err(|error| error.to_string()));
        match platform {
            Ok(platform) => {
                image.architecture = platform.arch();
                image.platform = platform.short();
            }
            Err(why) => {
                image.problems.push(Problem::new(Kind::Wrong, format!("the config {}", config.digest), why));
            }
        }
        for layer in layers {
            if let Err(why) = self.layer(layer, folders, &mut image.tree) {
                image.problems.push(Problem::new(Kind::Wrong, format!("the layer {}", layer.digest), why));
            }
            read(layer.bytes);
        }
        image
    }

    /// Puts what a layer holds into a tree; the error is a fact about the layer.
    fn layer(&self, layer: &Descriptor, folders: &[&str], tree: &mut Tree) -> Result<(), String> {
        let blob = self.blob(&layer.digest).map_err(|error| error.to_string())?;
        let mut hashed = Hashed { from: BufReader::with_capacity(1 << 20, blob), hasher: Hasher::default() };
        let unpacked = unpack(&mut hashed, folders, tree);
        // The rest belongs to the digest too.
        io::copy(&mut hashed, &mut io::sink()).map_err(|error| error.to_string())?;
        let found = hashed.hasher.finish().0;
        if found != layer.digest {
            return Err(format!("its content has the digest {found}"));
        }
        unpacked.map_err(|error| error.to_string())
    }
}

impl LayoutImage {
    fn broken() -> Self {
        Self { platform: String::new(), architecture: None, tree: Tree::default(), problems: Vec::new() }
    }
}

/// What an index names, each with the manifest that it attests, if it does.
fn entries(index: &[u8]) -> Result<Vec<(Digest, Option<Digest>)>, String> {
    match Document::parse(index) {
        Ok(Document::Index(index)) => {
            let entries = index.entries.into_iter();
            Ok(entries.filter_map(|entry| Some((entry.manifest.ok()?.digest, entry.attests))).collect())
        }
        Ok(Document::Manifest(_)) => Err("it is a manifest, but must be an index".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn read_document(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_DOCUMENT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a layer, compressed or not.
fn unpack(from: &mut impl Read, folders: &[&str], tree: &mut Tree) -> io::Result<()> {
    let mut magic = Vec::new();
    from.by_ref().take(4).read_to_end(&mut magic)?;
    let from = io::Cursor::new(magic.clone()).chain(from);
    match magic.as_slice() {
        [0x1f, 0x8b, ..] => files(MultiGzDecoder::new(from), folders, tree),
        [0x28, 0xb5, 0x2f, 0xfd] => files(StreamingDecoder::new(from).map_err(io::Error::other)?, folders, tree),
        _ => files(from, folders, tree),
    }
}

fn files(from: impl Read, folders: &[&str], tree: &mut Tree) -> io::Result<()> {
    // A whiteout deletes what the layers below have, wherever it stands in its own layer.
    let mut own = BTreeSet::new();
    for entry in tar::Archive::new(from).entries()? {
        let entry = entry?;
        let path = entry.path()?.to_string_lossy().trim_start_matches("./").trim_start_matches('/').to_owned();
        let path = format!("/{}", path.trim_end_matches('/'));
        let (folder, name) = path.rsplit_once('/').unwrap_or_default();
        if let Some(deleted) = name.strip_prefix(WHITEOUT) {
            // `.wh..wh..opq` empties the folder.
            let deleted = if deleted == ".wh..opq" { folder.to_owned() } else { format!("{folder}/{deleted}") };
            tree.remove(&deleted, &own);
            continue;
        }
        if !folders.iter().any(|folder| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))) {
            continue;
        }
        let item = match entry.header().entry_type() {
            tar::EntryType::Directory => continue,
            kind if kind.is_file() => Item::read(entry)?,
            kind if kind.is_symlink() => Item::Other("is a symbolic link".into()),
            kind if kind.is_hard_link() => {
                let target = entry.link_name()?.map(|it| format!("/{}", it.to_string_lossy().trim_start_matches('/')));
                let item = target.and_then(|target| tree.get(&target).cloned());
                item.unwrap_or_else(|| Item::Other("is a dangling link".into()))
            }
            _ => Item::Other("is not a regular file".into()),
        };
        own.insert(path.clone());
        tree.put(path, item);
    }
    Ok(())
}

/// A reader that hashes what it gives.
struct Hashed<R> {
    from: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(into)?;
        self.hasher.update(into.get(..length).unwrap_or_default());
        Ok(length)
    }
}
