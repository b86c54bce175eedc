//! What a registry must hold of a container image: one walk for the storage that is built, for the proof that it is
//! there, and for the bill of materials. Owns which documents and blobs belong to an image; does not know where they
//! lie.

use std::collections::BTreeSet;

use crate::kind::images::resolved::{Held, Resolved, Text};
use crate::name::Arch;
use crate::oci::{Descriptor, Manifest};

/// What a document is to its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role<'a> {
    /// The index that the reference leads to.
    Index,
    /// The manifest for these architectures.
    Manifest(&'a BTreeSet<Arch>),
    /// An attestation of the manifest before it.
    Attestation,
}

/// A document of an image, and the blobs that it names.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// What it is to the image.
    pub role: Role<'a>,
    /// Its exact bytes.
    pub text: &'a Text,
    /// What they say; `None` for an index.
    pub manifest: Option<&'a Manifest>,
}

impl<'a> Expected<'a> {
    /// The config and the layers that it names; none for an index.
    pub fn blobs(&self) -> impl Iterator<Item = &'a Descriptor> + use<'a> {
        self.manifest.into_iter().flat_map(Manifest::blobs)
    }
}

impl Resolved {
    /// The documents that a registry for these architectures holds of the image: the one that its reference leads to
    /// first, then each manifest followed by its attestations. Empty where the image has nothing for them.
    pub fn expected(&self, architectures: &BTreeSet<Arch>) -> Vec<Expected<'_>> {
        let held = self.manifests().iter().filter(|held| !held.architectures.is_disjoint(architectures));
        let mut documents: Vec<Expected<'_>> = held.flat_map(documents).collect();
        if let (false, Some(text)) = (documents.is_empty(), self.index()) {
            documents.insert(0, Expected { role: Role::Index, text, manifest: None });
        }
        documents
    }
}

fn documents(held: &Held) -> impl Iterator<Item = Expected<'_>> {
    let manifest = (Role::Manifest(&held.architectures), &held.text, &held.manifest);
    let attestations = held.attestations.iter().map(|(text, manifest)| (Role::Attestation, text, manifest));
    std::iter::once(manifest).chain(attestations).map(|(role, text, manifest)| Expected {
        role,
        text,
        manifest: Some(manifest),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::images::resolved::tests::{attestation, digest, image, index, wanted};
    use crate::kind::images::resolved::{Blobs, Unresolved, Wanted};

    fn resolved(wanted: &Wanted, all: &Blobs) -> Result<Resolved, Unresolved> {
        wanted.resolve(all)
    }

    /// The role and the blobs of each document.
    fn walk(image: &Resolved, architectures: &[Arch]) -> Vec<String> {
        let architectures = architectures.iter().copied().collect();
        let line = |document: &Expected<'_>| match document.role {
            Role::Index => format!("index {}", document.blobs().count()),
            Role::Manifest(of) => format!("manifest {of:?} {}", document.blobs().count()),
            Role::Attestation => format!("attestation {}", document.blobs().count()),
        };
        image.expected(&architectures).iter().map(line).collect()
    }

    #[test]
    fn an_index_comes_first_and_an_attestation_after_its_manifest() {
        let mut all = Blobs::new();
        let amd64 = image(&mut all, "amd64", &["base", "a"]);
        let arm64 = image(&mut all, "arm64", &["base", "b"]);
        let about = attestation(&mut all, &arm64);
        let top = index(&mut all, &[amd64, arm64, about]);
        let image = resolved(&wanted("x:1", &top, &Arch::ALL), &all).expect("complete");
        assert_eq!(walk(&image, &Arch::ALL), ["index 0", "manifest {Amd64} 3", "manifest {Arm64} 3", "attestation 2"]);
        assert_eq!(walk(&image, &[Arch::Amd64]), ["index 0", "manifest {Amd64} 3"]);
        assert_eq!(image.expected(&BTreeSet::from(Arch::ALL))[0].text, image.top());
    }

    #[test]
    fn a_manifest_alone_is_the_first() {
        let mut all = Blobs::new();
        let arm64 = digest(&image(&mut all, "arm64", &["a"]));
        let image = resolved(&wanted("x:1", &arm64, &[Arch::Arm64]), &all).expect("complete");
        assert_eq!(walk(&image, &[Arch::Arm64]), ["manifest {Arm64} 2"]);
        assert!(image.expected(&BTreeSet::from([Arch::Amd64])).is_empty());
    }
}
