//! Verification at the other end: whether everything in a lock is present and correct. Owns what is reported;
//! does not know where the bytes lie.

use crate::kind::images::storage::ROOT;
use crate::kind::{files, images};
use crate::lock::Lock;
use crate::name::Arch;
use crate::report::{Kind, Problem, Report};
use crate::rootfs::Tree;

/// The directories of an image that are verified: where files are served from, and the storage of a registry.
pub fn folders(served: &str) -> [&str; 2] {
    [served, ROOT]
}

/// Checks the tree of an image, or of a machine that runs it. It holds the files, the storage of the registry, or both:
/// what it has anything of must be complete. `served` is the directory that the lock's paths of files are relative to;
/// `architecture` is what the tree is for, where that is known.
pub fn check(lock: &Lock, tree: &Tree, served: &str, architecture: Option<Arch>) -> Report {
    let mut report = Report { bytes: tree.bytes(), ..Report::default() };
    let (served_files, storage) = (tree.has(served), tree.has(ROOT));
    if served_files {
        report.files = lock.files().len();
        report.problems.extend(files::verify::check(&lock.files().collect::<Vec<_>>(), tree, served));
    }
    if storage {
        report.images = lock.images().len();
        let images: Vec<_> = lock.images().collect();
        report.problems.extend(images::verify::check(&images, tree, architecture));
        report.notes = images::verify::notes(&images);
    }
    if !served_files && !storage {
        let why = format!("neither `{served}` nor `{ROOT}` exists");
        report.problems.push(Problem::new(Kind::Missing, "everything", why));
    }
    report.problems.sort();
    report
}

#[cfg(test)]
mod tests;
