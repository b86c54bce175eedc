//! The storage of distribution as a folder: writing images into it, and listing what it holds. It follows distribution's
//! own layout, and nothing of kso.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::sample::Sample;

/// A folder that holds `docker/registry/v2`.
#[derive(Debug, Clone)]
pub struct Storage(PathBuf);

impl Storage {
    /// The storage in `root`: what distribution calls `rootdirectory`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// What distribution is told as `rootdirectory`.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// Writes an image as a push would, under a tag: `calico/node:v1`; or, to be known by digest only, under none:
    /// `calico/node`.
    pub fn write(&self, image: &str, sample: &Sample) {
        let (name, tag) = image.split_once(':').map_or((image, None), |(name, tag)| (name, Some(tag)));
        let repository = self.repository(name);
        for (digest, bytes) in &sample.blobs {
            self.blob(digest, bytes);
            link(&repository.join("_layers").join(place(digest)), digest);
        }
        for document in &sample.documents {
            let digest = document.digest();
            self.blob(&digest, &document.bytes);
            link(&repository.join("_manifests/revisions").join(place(&digest)), &digest);
        }
        if let Some(tag) = tag {
            let (tag, digest) = (repository.join("_manifests/tags").join(tag), sample.digest());
            link(&tag.join("current"), &digest);
            link(&tag.join("index").join(place(&digest)), &digest);
        }
    }

    /// The size in bytes of every blob (manifests are blobs too), by digest.
    pub fn blobs(&self) -> BTreeMap<String, u64> {
        let mut blobs = BTreeMap::new();
        for algorithm in names(&self.v2().join("blobs")) {
            let folder = self.v2().join("blobs").join(&algorithm);
            for hex in names(&folder).iter().flat_map(|prefix| names(&folder.join(prefix))) {
                let data = folder.join(&hex[..2]).join(&hex).join("data");
                let size = data.metadata().unwrap_or_else(|error| panic!("{}: {error}", data.display())).len();
                blobs.insert(format!("{algorithm}:{hex}"), size);
            }
        }
        blobs
    }

    /// The bytes of a blob.
    pub fn read(&self, digest: &str) -> Vec<u8> {
        let path = self.data(digest);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The names of all repositories.
    pub fn repositories(&self) -> BTreeSet<String> {
        fn walk(folder: &Path, name: &str, found: &mut BTreeSet<String>) {
            for below in names(folder) {
                if below == "_manifests" {
                    found.insert(name.to_owned());
                } else if !below.starts_with('_') {
                    let name = if name.is_empty() { below.clone() } else { format!("{name}/{below}") };
                    walk(&folder.join(&below), &name, found);
                }
            }
        }
        let mut found = BTreeSet::new();
        walk(&self.v2().join("repositories"), "", &mut found);
        found
    }

    /// The tags of a repository.
    pub fn tags(&self, repository: &str) -> BTreeSet<String> {
        names(&self.repository(repository).join("_manifests/tags")).into_iter().collect()
    }

    fn v2(&self) -> PathBuf {
        self.0.join("docker/registry/v2")
    }

    fn repository(&self, name: &str) -> PathBuf {
        self.v2().join("repositories").join(name)
    }

    fn data(&self, digest: &str) -> PathBuf {
        let (algorithm, hex) = digest.split_once(':').unwrap_or_else(|| panic!("{digest} is no digest"));
        self.v2().join("blobs").join(algorithm).join(&hex[..2]).join(hex).join("data")
    }

    fn blob(&self, digest: &str, bytes: &[u8]) {
        let path = self.data(digest);
        if !path.exists() {
            write(&path, bytes);
        }
    }
}

/// `sha256/HEX`
fn place(digest: &str) -> String {
    digest.replacen(':', "/", 1)
}

fn link(folder: &Path, digest: &str) {
    write(&folder.join("link"), digest.as_bytes());
}

/// Whoever reads meanwhile finds the old file or the new one, whole.
fn write(path: &Path, bytes: &[u8]) {
    let folder = path.parent().expect("a file lies in a folder");
    let done = fs::create_dir_all(folder)
        .and_then(|()| tempfile::NamedTempFile::new_in(folder))
        .and_then(|file| fs::write(file.path(), bytes).and_then(|()| file.persist(path).map_err(Into::into)));
    done.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// The names in a folder, sorted; none if there is no such folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
