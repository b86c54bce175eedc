//! The files of a tree against a lock. Owns what is reported of each; does not know how the tree was read.

pub mod listing;
mod server;

use std::collections::BTreeSet;

use super::LockedFile;
use crate::diagnostic::counted;
use crate::report::{Kind, Problem};
use crate::rootfs::{Item, Tree};

pub use server::FileServer;

/// What is not as the lock says below `served`, the directory that the stored paths are relative to.
pub fn check(files: &[&LockedFile], tree: &Tree, served: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut known = BTreeSet::new();
    for file in files {
        let path = format!("{served}/{}", file.path);
        let why = match tree.get(&path) {
            None => Some((Kind::Missing, format!("`{path}` does not exist"))),
            Some(Item::File { bytes, .. }) if *bytes != file.bytes => {
                Some((Kind::Wrong, format!("`{path}` has {} instead of {}", counted(*bytes, "byte"), file.bytes)))
            }
            Some(Item::File { sha256, .. }) if *sha256 != file.sha256 => {
                Some((Kind::Wrong, format!("`{path}` has the digest {sha256} instead of {}", file.sha256)))
            }
            Some(Item::File { .. }) => None,
            Some(Item::Other(what)) => Some((Kind::Wrong, format!("`{path}` {what}"))),
        };
        problems.extend(why.map(|(kind, why)| Problem::new(kind, file.url.as_str(), why)));
        known.insert(path);
    }
    let extra = tree.below(served).filter(|path| !known.contains(*path));
    problems.extend(extra.map(|path| Problem::new(Kind::Extra, path, "the file is not in the lock")));
    problems
}
