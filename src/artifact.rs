//! Everything that is fetched, whoever asked for it. Owns what is known of an artifact before it is there; does not know
//! which kind of content it belongs to, how it is fetched, nor what is made of it.

use std::collections::BTreeMap;
use std::ops::Index;

use crate::diagnostic::Span;
use crate::name::{Digest, FileUrl, ImageRef};
use crate::origin::Mirrors;

/// An artifact of an [`Artifacts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtifactId(u32);

/// Where the bytes of an artifact come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file server, by the URL before mirrors.
    Url(FileUrl),
    /// A registry.
    Blob {
        /// The digest that the registry is asked for.
        digest: Digest,
        /// The images that have the blob, in the order of the specification; never empty.
        images: Vec<ImageRef>,
    },
}

/// Something to fetch.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// Where it comes from.
    pub origin: Origin,
    /// What its bytes must hash to, where that is known. Always known for a blob.
    pub pin: Option<Digest>,
    /// Its size in bytes, where that is known.
    pub bytes: Option<u64>,
    /// What the progress calls it: `[files 3/46] amd64 kubelet`.
    pub label: String,
    /// The lines that asked for it, in the order of the definition; for a blob, the first line of each image that has it.
    pub spans: Vec<Span>,
    /// Where the pin is written, if not where the artifact is asked for.
    pub pinned_at: Option<PinnedAt>,
}

/// Where a pin is written.
#[derive(Debug, Clone)]
pub enum PinnedAt {
    /// In a lock.
    Lock(Span),
    /// In a variable of a producer.
    Variable {
        /// What the variable is called.
        name: String,
        /// The line that has the pin.
        span: Span,
    },
}

/// Artifacts, each by its id. Those of one build never mix with those of another.
#[derive(Debug, Clone, Default)]
pub struct Artifacts {
    all: Vec<Artifact>,
    blobs: BTreeMap<Digest, ArtifactId>,
}

impl Artifact {
    /// Its URL, if it comes from a file server.
    pub fn url(&self) -> Option<&FileUrl> {
        match &self.origin {
            Origin::Url(url) => Some(url),
            Origin::Blob { .. } => None,
        }
    }

    /// The images that have it, if it is a blob of a registry; in the order of the specification.
    pub fn images(&self) -> &[ImageRef] {
        match &self.origin {
            Origin::Url(_) => &[],
            Origin::Blob { images, .. } => images,
        }
    }

    /// What it is in an error: its URL, or the first image that has it.
    pub fn name(&self) -> &str {
        match &self.origin {
            Origin::Url(url) => url.as_str(),
            Origin::Blob { images, .. } => images.first().map(ImageRef::as_str).unwrap_or_default(),
        }
    }
}

impl Artifacts {
    /// Adds an artifact. A blob of a digest that is there already must not be added again.
    pub fn push(&mut self, artifact: Artifact) -> ArtifactId {
        let id = ArtifactId(u32::try_from(self.all.len()).expect("a definition has less than 4 GiB of lines"));
        if let Origin::Blob { digest, .. } = &artifact.origin {
            self.blobs.insert(digest.clone(), id);
        }
        self.all.push(artifact);
        id
    }

    /// The blob of a digest.
    pub fn blob(&self, digest: &Digest) -> Option<ArtifactId> {
        self.blobs.get(digest).copied()
    }

    /// All of them, in the order in which they were added.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ArtifactId, &Artifact)> {
        self.ids().zip(&self.all)
    }

    /// Their ids, in the same order.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = ArtifactId> + use<> {
        (0..u32::try_from(self.all.len()).expect("ids are 32 bits")).map(ArtifactId)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The same, with sizes in bytes that were found when the artifacts were fetched.
    #[must_use]
    pub fn measured(&self, found: impl IntoIterator<Item = (ArtifactId, Option<u64>)>) -> Self {
        let mut measured = self.clone();
        for (id, bytes) in found {
            let known = &mut measured.all[id.0 as usize].bytes;
            *known = known.or(bytes);
        }
        measured
    }

    /// Those of file servers, each with the URLs to try for it, in order.
    pub fn downloads(&self, mirrors: &Mirrors) -> Vec<(ArtifactId, Vec<FileUrl>)> {
        self.iter().filter_map(|(id, artifact)| Some((id, mirrors.files(artifact.url()?)))).collect()
    }
}

impl Index<ArtifactId> for Artifacts {
    type Output = Artifact;

    fn index(&self, id: ArtifactId) -> &Artifact {
        &self.all[id.0 as usize]
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An artifact of which only its origin is known.
    pub(crate) fn artifact(origin: Origin) -> Artifact {
        Artifact { origin, pin: None, bytes: None, label: String::new(), spans: Vec::new(), pinned_at: None }
    }

    /// A file of a file server.
    pub(crate) fn file(url: &str) -> Artifact {
        artifact(Origin::Url(url.parse().expect("a URL")))
    }

    #[test]
    fn blobs_are_found_by_their_digest() {
        let mut artifacts = Artifacts::default();
        assert_eq!((artifacts.len(), artifacts.is_empty()), (0, true));
        let digest = Digest::of(b"blob");
        let images = vec!["quay.io/a:1".parse().expect("a name")];
        let file = artifacts.push(file("https://a.example/x"));
        let blob = artifacts.push(artifact(Origin::Blob { digest: digest.clone(), images }));
        assert_eq!(artifacts.blob(&digest), Some(blob));
        assert_eq!(artifacts.ids().collect::<Vec<_>>(), [file, blob]);
        assert_eq!((artifacts.len(), artifacts.is_empty()), (2, false));
        assert_eq!((artifacts[file].images().len(), artifacts[blob].images().len()), (0, 1));
        assert_eq!((artifacts[file].name(), artifacts[blob].name()), ("https://a.example/x", "quay.io/a:1"));
        assert_eq!(artifacts.downloads(&Mirrors::default()).len(), 1);
        let measured = artifacts.measured([(file, Some(7))]);
        assert_eq!((measured[file].bytes, measured[blob].bytes), (Some(7), None));
    }
}
