//! The files of a directory tree, hashed. Owns the walk through directories; does not know what should be there.

pub mod layout;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::name::{Digest, Hasher};

/// The largest file (bytes) whose text is kept: links of a registry have 71.
const TEXT: usize = 128;
/// Bytes that are read at a time.
const PART: usize = 1 << 20;

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A file.
    File {
        /// What its bytes hash to.
        sha256: Digest,
        /// Its size in bytes.
        bytes: u64,
        /// What it holds, if that is a short text.
        text: Option<String>,
    },
    /// Something else, or what cannot be read: a fact about it.
    Other(String),
}

/// Files by their absolute paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    items: BTreeMap<String, Item>,
}

impl Item {
    /// Reads a file to its end.
    pub fn read(mut from: impl Read) -> io::Result<Self> {
        let (mut hasher, mut start) = (Hasher::default(), Vec::new());
        let mut part = vec![0; PART];
        loop {
            let length = match from.read(&mut part) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let read = part.get(..length).unwrap_or_default();
            hasher.update(read);
            if start.len() <= TEXT {
                start.extend_from_slice(read.get(..length.min(TEXT + 1)).unwrap_or_default());
            }
        }
        let text = if start.len() <= TEXT { String::from_utf8(start).ok() } else { None };
        let (sha256, bytes) = hasher.finish();
        Ok(Self::File { sha256, bytes, text })
    }
}

impl Tree {
    /// What lies at a path.
    pub fn get(&self, path: &str) -> Option<&Item> {
        self.items.get(path)
    }

    /// The paths below a directory, sorted.
    pub fn below<'a>(&'a self, folder: &str) -> impl Iterator<Item = &'a str> {
        let start = format!("{folder}/");
        let first = self.items.range(start.clone()..);
        first.map(|(path, _)| path.as_str()).take_while(move |path| path.starts_with(&start))
    }

    /// Whether a directory has any content.
    pub fn has(&self, folder: &str) -> bool {
        self.below(folder).next().is_some()
    }

    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.items.values().map(|item| if let Item::File { bytes, .. } = item { *bytes } else { 0 }).sum()
    }

    /// Puts something at a path, over what was there.
    pub fn put(&mut self, path: String, item: Item) {
        self.items.insert(path, item);
    }

    /// Removes what lies at a path and below it, except `kept`: a layer deletes it, and has these itself.
    pub fn remove(&mut self, path: &str, kept: &BTreeSet<String>) {
        let below: Vec<String> = self.below(path).map(str::to_owned).collect();
        for path in below.into_iter().chain([path.to_owned()]) {
            if !kept.contains(&path) {
                self.items.remove(&path);
            }
        }
    }

    /// Reads everything below these directories of an unpacked root, on all processors. `progress` is called for each file that
    /// was read, with its size in bytes. Links are not followed: they could lead out of the root.
    pub fn of_folder(root: &Path, folders: &[&str], progress: &(impl Fn(u64) + Sync)) -> io::Result<Self> {
        let mut found = Vec::new();
        for folder in folders {
            let start = root.join(folder.trim_start_matches('/'));
            if start.exists() {
                walk(&start, folder, &mut found)?;
            }
        }
        let (next, items) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
        let work = || {
            while let Some((path, file)) = found.get(next.fetch_add(1, Ordering::Relaxed)) {
                let item = match file {
                    Found::File(file) => File::open(file)
                        .and_then(Item::read)
                        .unwrap_or_else(|error| Item::Other(format!("cannot be read: {error}"))),
                    Found::Other(what) => Item::Other((*what).to_owned()),
                };
                if let Item::File { bytes, .. } = &item {
                    progress(*bytes);
                }
                items.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone(), item);
            }
        };
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(work);
            }
        });
        Ok(Self { items: items.into_inner().unwrap_or_else(PoisonError::into_inner) })
    }
}

enum Found {
    File(PathBuf),
    Other(&'static str),
}

/// Everything below a directory, except directories.
fn walk(folder: &Path, name: &str, found: &mut Vec<(String, Found)>) -> io::Result<()> {
    let mut folders = vec![(folder.to_owned(), name.to_owned())];
    while let Some((folder, name)) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let path = format!("{name}/{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push((entry.path(), path));
            } else if kind.is_file() {
                found.push((path, Found::File(entry.path())));
            } else if kind.is_symlink() {
                found.push((path, Found::Other("is a symbolic link")));
            } else {
                found.push((path, Found::Other("is not a regular file")));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
