//! OCI images as bytes: making layers and manifests, reading them, unpacking them. It does not know where they are kept.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::{Context, Error, Result, sha256};

pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// One entry of a tree.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A folder, 0755.
    Folder,
    /// A file: its permissions and content.
    File(u32, Vec<u8>),
    /// A symbolic link and where it points.
    Link(String),
}

/// The files of a layer by path (`etc/nginx/nginx.conf`); folders that are not named are made.
#[derive(Debug, Clone, Default)]
pub struct Tree(BTreeMap<String, Entry>);

impl Tree {
    /// Adds an entry, and the folders above it. A path may start with `/`.
    pub fn add(&mut self, path: &str, entry: Entry) -> &mut Self {
        let path = path.trim_matches('/');
        for (at, _) in path.match_indices('/') {
            self.0.entry(path[..at].to_owned()).or_insert(Entry::Folder);
        }
        self.0.insert(path.to_owned(), entry);
        self
    }

    /// Adds a file with text, 0644.
    pub fn text(&mut self, path: &str, text: &str) -> &mut Self {
        self.add(path, Entry::File(0o644, text.as_bytes().to_vec()))
    }

    /// Adds a file of this machine, under its own path or another, with its permissions.
    pub fn copy(&mut self, from: &Path, to: &str) -> Result<&mut Self> {
        use std::os::unix::fs::PermissionsExt;
        let what = || format!("{} could not be read", from.display());
        let mode = from.metadata().context(what())?.permissions().mode() & 0o7777;
        Ok(self.add(to, Entry::File(mode, std::fs::read(from).context(what())?)))
    }

    pub(super) fn tar(&self) -> std::io::Result<Vec<u8>> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, entry) in &self.0 {
            let mut header = tar::Header::new_gnu();
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            match entry {
                Entry::Folder => {
                    header.set_entry_type(tar::EntryType::Directory);
                    header.set_mode(0o755);
                    header.set_size(0);
                    tar.append_data(&mut header, format!("{path}/"), std::io::empty())?;
                }
                Entry::File(mode, content) => {
                    header.set_mode(*mode);
                    header.set_size(content.len() as u64);
                    tar.append_data(&mut header, path, content.as_slice())?;
                }
                Entry::Link(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_mode(0o777);
                    header.set_size(0);
                    tar.append_link(&mut header, path, target)?;
                }
            }
        }
        tar.into_inner()
    }
}

/// A layer ready to be pushed.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The digest of the tar.
    pub diff_id: String,
    /// The tar, gzipped.
    pub blob: Vec<u8>,
}

impl Layer {
    /// Packs a tree; the same tree gives the same bytes.
    pub fn of(tree: &Tree) -> Result<Self> {
        let tar = tree.tar().context("a layer could not be packed")?;
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&tar).context("a layer could not be compressed")?;
        let blob = gzip.finish().context("a layer could not be compressed")?;
        Ok(Self { diff_id: digest(&tar), blob })
    }
}

/// An image as a set of blobs, its manifests and its index: what a registry or a layout holds.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// Layers and configs by digest.
    pub blobs: BTreeMap<String, Vec<u8>>,
    /// The manifests in the order they were added.
    pub manifests: Vec<Vec<u8>>,
    descriptors: Vec<Value>,
}

impl Image {
    /// Adds the image of a platform such as `linux/amd64`: `config` lacks only `architecture`, `os` and `rootfs`.
    pub fn add(&mut self, platform: &str, mut config: Value, layers: &[Layer]) -> &mut Self {
        let platform = platform_of(platform);
        config["os"] = platform["os"].clone();
        config["architecture"] = platform["architecture"].clone();
        let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        config["rootfs"] = json!({ "type": "layers", "diff_ids": diff_ids });
        let config = self.blob(CONFIG, config.to_string().into_bytes());
        let layers: Vec<Value> = layers.iter().map(|layer| self.blob(LAYER, layer.blob.clone())).collect();
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
        let manifest = manifest.to_string().into_bytes();
        let mut descriptor = descriptor(MANIFEST, &manifest);
        descriptor["platform"] = platform;
        self.descriptors.push(descriptor);
        self.manifests.push(manifest);
        self
    }

    /// The index that names every platform.
    pub fn index(&self) -> Vec<u8> {
        json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": self.descriptors }).to_string().into_bytes()
    }

    fn blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let descriptor = descriptor(media_type, &bytes);
        self.blobs.insert(digest(&bytes), bytes);
        descriptor
    }
}

/// Unpacks a layer (tar, or gzipped tar) over what lies in `root`, whiteouts included.
pub fn unpack(blob: &[u8], root: &Path) -> Result<()> {
    let what = "a layer could not be unpacked";
    let tar: Box<dyn Read + '_> = match blob {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(blob)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => return Err(Error("the layer is zstd, which the harness does not read".into())),
        _ => Box::new(Cursor::new(blob)),
    };
    let mut archive = tar::Archive::new(tar);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(true);
    for entry in archive.entries().context(what)? {
        let mut entry = entry.context(what)?;
        let path = entry.path().context(what)?.into_owned();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let folder = root.join(path.parent().unwrap_or(Path::new("")));
        if name == ".wh..wh..opq" {
            for below in folder.read_dir().context(what)? {
                remove(&below.context(what)?.path())?;
            }
        } else if let Some(gone) = name.strip_prefix(".wh.") {
            remove(&folder.join(gone))?;
        } else {
            entry.unpack_in(root).context(what)?;
        }
    }
    Ok(())
}

fn remove(path: &PathBuf) -> Result<()> {
    let folder = path.symlink_metadata().is_ok_and(|found| found.is_dir());
    if folder { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
        .context(format_args!("{} could not be removed", path.display()))
}

/// `sha256:` and the hex of `bytes`.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes))
}

/// `linux/arm64` as the object that OCI documents hold.
pub fn platform_of(platform: &str) -> Value {
    let mut parts = platform.splitn(3, '/');
    let mut object = json!({ "os": parts.next(), "architecture": parts.next() });
    if let Some(variant) = parts.next() {
        object["variant"] = variant.into();
    }
    object
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
}
