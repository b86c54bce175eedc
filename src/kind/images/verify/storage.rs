//! The storage of a registry against a lock. Owns what an image needs there; does not know how the tree was read.

use std::collections::{BTreeMap, BTreeSet};

use super::held_architectures;
use crate::diagnostic::counted;
use crate::kind::images::LockedImage;
use crate::kind::images::expected::Role;
use crate::kind::images::storage::{self, ROOT};
use crate::name::{Arch, Digest, Repository};
use crate::report::{Kind, Problem, named};
use crate::rootfs::{Item, Tree};

/// What is not as the lock says. The storage may be that of one architecture or of several: each of which it has
/// anything must be complete, and `architecture` in any case.
pub fn check(images: &[&LockedImage], tree: &Tree, architecture: Option<Arch>) -> Vec<Problem> {
    let mut check = Check { tree, wanted: BTreeMap::new() };
    let holds = |repository: &Repository, digest: &Digest| tree.get(&storage::revision(repository, digest)).is_some();
    let architectures = held_architectures(images, architecture, holds);
    for image in images {
        for name in &image.served {
            check.image(image, &name.repository, name.tag.as_deref(), &architectures);
        }
    }
    check.problems()
}

/// What a path must hold.
struct Want {
    /// What the bytes hash to; those of a link are its text.
    digest: Digest,
    /// The description in messages: `the tag`.
    what: String,
    /// The images that need it.
    images: BTreeSet<String>,
}

struct Check<'a> {
    tree: &'a Tree,
    wanted: BTreeMap<String, Want>,
}

impl Check<'_> {
    fn image(&mut self, image: &LockedImage, repository: &Repository, tag: Option<&str>, wanted: &BTreeSet<Arch>) {
        let name = image.reference().as_str();
        let documents = image.resolved.expected(wanted);
        let Some(top) = documents.first().map(|document| &document.text.digest) else { return };
        for path in tag.iter().flat_map(|tag| storage::tag(repository, tag, top)) {
            self.link(name, path, top, &format!("the tag of {top}"));
        }
        for document in documents {
            let what = match document.role {
                Role::Index => "the index",
                Role::Manifest(_) => "the manifest",
                Role::Attestation => "the attestation",
            };
            self.document(name, repository, &document.text.digest, what);
            for blob in document.blobs() {
                let digest = &blob.digest;
                self.link(name, storage::layer(repository, digest), digest, &format!("the link to {digest}"));
                self.want(name, storage::data(digest), digest.clone(), &format!("the blob {digest}"));
            }
        }
    }

    fn document(&mut self, image: &str, repository: &Repository, digest: &Digest, what: &str) {
        self.link(image, storage::revision(repository, digest), digest, &format!("the link to {what} {digest}"));
        self.want(image, storage::data(digest), digest.clone(), &format!("{what} {digest}"));
    }

    fn link(&mut self, image: &str, path: String, to: &Digest, what: &str) {
        self.want(image, path, Digest::of(storage::link(to).as_bytes()), what);
    }

    fn want(&mut self, image: &str, path: String, digest: Digest, what: &str) {
        let want =
            self.wanted.entry(path).or_insert_with(|| Want { digest, what: what.to_owned(), images: BTreeSet::new() });
        want.images.insert(image.to_owned());
    }

    fn problems(self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (path, want) in &self.wanted {
            let why = match self.tree.get(path) {
                None => Some((Kind::Missing, format!("{} is missing", want.what))),
                Some(Item::File { sha256, .. }) if *sha256 == want.digest => None,
                Some(Item::File { text: Some(text), .. }) => {
                    Some((Kind::Wrong, format!("{} contains {}", want.what, crate::diagnostic::quoted(text))))
                }
                Some(Item::File { sha256, bytes, .. }) => Some((
                    Kind::Wrong,
                    format!("{} has {} with the digest {sha256}", want.what, counted(*bytes, "byte")),
                )),
                Some(Item::Other(what)) => Some((Kind::Wrong, format!("{} {what}", want.what))),
            };
            problems.extend(why.map(|(kind, why)| Problem::new(kind, named(&want.images), why)));
        }
        let extra = self.tree.below(ROOT).filter(|path| !self.wanted.contains_key(*path));
        problems.extend(extra.map(|path| Problem::new(Kind::Extra, path, "the file is not in the lock")));
        problems
    }
}
