//! The lock: every byte that a build takes from elsewhere, by its digest. Owns the file's shape, its reading and its
//! writing; does not know how anything is asked for, nor what is built.
//!
//! `kso.lock` is JSON, one block for each entry, sorted, so that a new version of one file is a diff of one block. The
//! same content gives the same bytes, whoever writes them. [`Lock::read`] proves everything again: a lock is a file that
//! people and merges change.

mod answers;
pub mod ask;
mod base;
mod fit;
mod read;
mod schema;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::kind::files::LockedFile;
use crate::kind::images::{self, LockedImage};
pub use crate::lock::answers::Answers;
pub use crate::lock::base::{LockedBase, assumed_bases};
pub use crate::lock::fit::Fit;
pub use crate::lock::read::{LockFile, Name};
pub use crate::lock::schema::json_schema;
use crate::name::{ImageRef, StoredPath};
use crate::producer::kubespray::LockedKubespray;

/// The version of the lock's schema that is written, and the only one that is read.
pub const VERSION: u32 = 1;
/// The largest lock that is read, in bytes.
pub const MAX_LOCK_BYTES: usize = 64 << 20;

/// What a definition was resolved to. Entries are unique by their key and sorted by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The version of the layer layout that images are built with.
    pub layout: u32,
    /// What the lists of Kubespray were rendered from, if they were.
    pub kubespray: Option<LockedKubespray>,
    bases: BTreeMap<ImageRef, LockedBase>,
    files: BTreeMap<StoredPath, LockedFile>,
    images: BTreeMap<ImageRef, LockedImage>,
}

impl Lock {
    /// A lock without entries.
    pub fn new(layout: u32) -> Self {
        Self { layout, kubespray: None, bases: BTreeMap::new(), files: BTreeMap::new(), images: BTreeMap::new() }
    }

    /// The base images, by their references.
    pub fn bases(&self) -> impl ExactSizeIterator<Item = &LockedBase> {
        self.bases.values()
    }

    /// The files, by their stored paths.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &LockedFile> {
        self.files.values()
    }

    /// The container images, by their references.
    pub fn images(&self) -> impl ExactSizeIterator<Item = &LockedImage> {
        self.images.values()
    }

    /// The base image that the definition calls `reference`.
    pub fn base(&self, reference: &ImageRef) -> Option<&LockedBase> {
        self.bases.get(reference)
    }

    /// The file that is stored at `path`.
    pub fn file(&self, path: &StoredPath) -> Option<&LockedFile> {
        self.files.get(path)
    }

    /// The container image that the definition calls `reference`.
    pub fn image(&self, reference: &ImageRef) -> Option<&LockedImage> {
        self.images.get(reference)
    }

    /// Adds a base image; returns the one that was there.
    pub fn put_base(&mut self, base: LockedBase) -> Option<LockedBase> {
        self.bases.insert(base.reference().clone(), base)
    }

    /// Adds a file; returns the one that was there.
    pub fn put_file(&mut self, file: LockedFile) -> Option<LockedFile> {
        self.files.insert(file.path.clone(), file)
    }

    /// Adds a container image; returns the one that was there.
    pub fn put_image(&mut self, image: LockedImage) -> Option<LockedImage> {
        self.images.insert(image.reference().clone(), image)
    }

    /// How many entries it has: files, images and base images.
    pub fn entries(&self) -> usize {
        self.files.len() + self.images.len() + self.bases.len()
    }

    /// The text of the file: the same for the same content.
    pub fn write(&self) -> String {
        let written = Written {
            version: VERSION,
            layout: self.layout,
            kubespray: self.kubespray.as_ref(),
            bases: self.bases().map(Into::into).collect(),
            files: self.files().collect(),
            images: self.images().map(Into::into).collect(),
        };
        let mut text =
            serde_json::to_string_pretty(&written).expect("maps with text for keys, and no number that JSON lacks");
        text.push('\n');
        text
    }
}

/// `sub/my.yaml` has its lock in `sub/my.lock`.
pub fn path_beside(definition: &str) -> String {
    let folder = definition.rfind('/').map_or(0, |slash| slash + 1);
    let end = definition[folder..].rfind('.').filter(|dot| *dot > 0).map_or(definition.len(), |dot| folder + dot);
    format!("{}.lock", &definition[..end])
}

/// Every file, container image and base image of a kso definition, by its digest.
// The keys of the file, in their order; `read.rs` reads the same ones.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "kso.lock", deny_unknown_fields)]
struct Written<'a> {
    /// The version of this file's schema.
    #[schemars(extend("const" = VERSION))]
    version: u32,
    /// The version of the layer layout that images are built with.
    #[schemars(range(min = 1))]
    layout: u32,
    /// What the lists of Kubespray were rendered from.
    #[serde(skip_serializing_if = "Option::is_none")]
    kubespray: Option<&'a LockedKubespray>,
    /// The base images, sorted by their references.
    bases: Vec<base::Written>,
    /// The files, sorted by their stored paths.
    files: Vec<&'a LockedFile>,
    /// The container images, sorted by their references.
    images: Vec<images::locked::Written>,
}

#[cfg(test)]
mod tests;
