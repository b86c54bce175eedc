//! Verification at the other end: whether everything in a lock is present and correct. Owns what is reported;
//! does not know where the bytes lie.

pub mod files;
pub mod layout;
pub mod listing;
pub mod registry;
mod storage;
pub mod tree;

use std::collections::BTreeSet;
use std::fmt;

use crate::diagnostic::counted;
use crate::lock::Lock;
use crate::plan::storage as paths;
use crate::spec::{Arch, Digest, Repository};
use tree::{Item, Tree};

/// How many requests a server gets at a time.
const AT_ONCE: usize = 16;

/// What is wrong with a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The lock names it, and it does not exist.
    Missing,
    /// It is there, and is not what the lock says.
    Wrong,
    /// It is there, and it is not in the lock.
    Extra,
}

/// Something that is not as the lock says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// What is wrong with it.
    pub kind: Kind,
    /// What it is: a URL, an image, a path.
    pub name: String,
    /// The fact.
    pub why: String,
}

/// What was found out about one place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// How many files of the lock were looked for.
    pub files: usize,
    /// How many container images of the lock were looked for.
    pub images: usize,
    /// How many bytes were hashed.
    pub bytes: u64,
    /// What is not as the lock says, sorted.
    pub problems: Vec<Problem>,
    /// What could not be looked at: facts that are no problems.
    pub notes: Vec<String>,
}

impl Kind {
    /// One word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Wrong => "wrong",
            Self::Extra => "extra",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Problem {
    pub(crate) fn new(kind: Kind, name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { kind, name: name.into(), why: why.into() }
    }
}

/// The directories of an image that are verified: where files are served from, and the storage of a registry.
pub fn folders(served: &str) -> [&str; 2] {
    [served, paths::ROOT]
}

/// Checks the tree of an image, or of a machine that runs it. It holds the files, the storage of the registry, or both:
/// what it has anything of must be complete. `served` is the directory that the lock's paths of files are relative to;
/// `architecture` is what the tree is for, where that is known.
pub fn check(lock: &Lock, tree: &Tree, served: &str, architecture: Option<Arch>) -> Report {
    let mut report = Report { bytes: tree.bytes(), ..Report::default() };
    let (files, storage) = (tree.has(served), tree.has(paths::ROOT));
    if files {
        report.files = lock.files().len();
        report.problems.extend(check_files(lock, tree, served));
    }
    if storage {
        report.images = lock.images().len();
        report.problems.extend(storage::check(lock, tree, architecture));
    }
    if !files && !storage {
        let why = format!("neither `{served}` nor `{}` exists", paths::ROOT);
        report.problems.push(Problem::new(Kind::Missing, "everything", why));
    }
    report.problems.sort();
    report
}

fn check_files(lock: &Lock, tree: &Tree, served: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut known = BTreeSet::new();
    for file in lock.files() {
        let path = format!("{served}/{}", file.path);
        let why = match tree.get(&path) {
            None => Some((Kind::Missing, format!("`{path}` does not exist"))),
            Some(Item::File { bytes, .. }) if *bytes != file.bytes => {
                Some((Kind::Wrong, format!("`{path}` has {} instead of {}", counted(*bytes, "byte"), file.bytes)))
            }
            Some(Item::File { sha256, .. }) if *sha256 != file.sha256 => {
                Some((Kind::Wrong, format!("`{path}` has {sha256} instead of {}", file.sha256)))
            }
            Some(Item::File { .. }) => None,
            Some(Item::Other(what)) => Some((Kind::Wrong, format!("`{path}` {what}"))),
        };
        problems.extend(why.map(|(kind, why)| Problem::new(kind, file.url.as_str(), why)));
        known.insert(path);
    }
    let extra = tree.below(served).filter(|path| !known.contains(*path));
    problems.extend(extra.map(|path| Problem::new(Kind::Extra, path, "it is not in the lock")));
    problems
}

/// The architectures that a storage or a registry must be complete for: each of which it has a manifest that is for no
/// other, and `architecture` in any case; all where neither says any. `holds` says whether a repository of it has a
/// document.
fn held_architectures(
    lock: &Lock,
    architecture: Option<Arch>,
    holds: impl Fn(&Repository, &Digest) -> bool,
) -> BTreeSet<Arch> {
    let mut architectures: BTreeSet<Arch> = architecture.into_iter().collect();
    for image in lock.images() {
        for held in image.resolved.manifests().iter().filter(|held| held.architectures.len() == 1) {
            if image.served.iter().any(|name| holds(&name.repository, &held.text.digest)) {
                architectures.extend(&held.architectures);
            }
        }
    }
    if architectures.is_empty() { Arch::ALL.into_iter().collect() } else { architectures }
}

/// `quay.io/a/b:1 and 3 more`
fn named(images: &BTreeSet<String>) -> String {
    let first = images.first().cloned().unwrap_or_default();
    match images.len() {
        0 | 1 => first,
        more => format!("{first} and {} more", more - 1),
    }
}

#[cfg(test)]
mod tests;
