//! From a specification and what the world answered to a lock. Pure: whoever asked, the same answers give the same lock.

use std::collections::{BTreeMap, BTreeSet};

use super::{ChecksumSource, Lock, LockedBase, LockedFile, LockedImage, LockedKubespray};
use crate::artifact::Artifact;
use crate::diagnostic::{Diagnostic, Span};
use crate::resolve::image::Resolved;
use crate::spec::{Digest, FileUrl, Image, ImageRef, PinnedBy, Platform, ServedName, Spec};

/// What the world answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// What the lists of Kubespray were rendered from, if they were.
    pub kubespray: Option<LockedKubespray>,
    /// The base images, for those of [`bases`].
    pub bases: Vec<LockedBase>,
    /// The files, parallel to those of the specification.
    pub files: Vec<FileAnswer>,
    /// The container images, parallel to those of [`images`].
    pub images: Vec<Resolved>,
}

/// What is known of a file that was fetched or asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileAnswer {
    /// What its bytes hash to.
    pub sha256: Digest,
    /// Its size in bytes.
    pub bytes: u64,
    /// Whether a `.sha256` file next to it has the same checksum.
    pub vouched: bool,
}

impl FileAnswer {
    /// The answer for a file whose bytes were read. `said` is what the `.sha256` beside it says, if there is one.
    pub fn judge(file: &Artifact, sha256: Digest, bytes: u64, said: Option<&Digest>) -> Result<Self, Diagnostic> {
        match said {
            Some(said) if *said != sha256 => {
                let problem = Diagnostic::error(format!(
                    "{} has {sha256}, but the `.sha256` file next to it says {said}",
                    file.name()
                ));
                let problem = problem.at(file.spans.first().cloned());
                Err(problem.help("if the file is correct, pin it with `sha256:` next to its `url:`"))
            }
            said => Ok(Self { sha256, bytes, vouched: said.is_some() }),
        }
    }
}

/// The URL where a checksum of the file may be: the same with `.sha256` appended.
pub fn checksum_url(url: &FileUrl) -> Option<FileUrl> {
    let named = url.query().is_none() && !url.path().ends_with('/');
    named.then(|| format!("{url}.sha256").parse().ok()).flatten()
}

/// The digest that a checksum file has: of one file, the digits alone or as `sha256sum` prints them.
pub fn checksum_of(text: &[u8]) -> Option<Digest> {
    let mut lines = std::str::from_utf8(text).ok()?.lines().filter(|line| !line.trim().is_empty());
    let (line, None) = (lines.next()?, lines.next()) else { return None };
    line.split_whitespace().next()?.parse().ok()
}

impl Lock {
    /// The lock of a specification. `layout` is the version of the layer layout that it is built with.
    pub fn of(spec: &Spec, layout: u32, answers: Answers) -> Self {
        let mut lock = Self::new(layout);
        lock.kubespray = answers.kubespray;
        for base in answers.bases {
            lock.put_base(base);
        }
        for (file, FileAnswer { sha256, bytes, vouched }) in spec.files.iter().zip(answers.files) {
            let checksum = match (&file.sha256, vouched) {
                (Some(_), _) if file.pinned_by == PinnedBy::Kubespray => ChecksumSource::Kubespray,
                (Some(_), _) => ChecksumSource::Definition,
                (None, true) => ChecksumSource::Upstream,
                (None, false) => ChecksumSource::FirstUse,
            };
            lock.put_file(LockedFile { url: file.url.clone(), path: file.path.clone(), sha256, bytes, checksum });
        }
        let mut served = served(spec);
        for resolved in answers.images {
            let served = served.remove(resolved.reference()).unwrap_or_default();
            lock.put_image(LockedImage { served, resolved });
        }
        lock
    }
}

/// The names that each image is served under.
pub(super) fn served(spec: &Spec) -> BTreeMap<&ImageRef, BTreeSet<ServedName>> {
    let mut served = BTreeMap::<&ImageRef, BTreeSet<ServedName>>::new();
    for image in &spec.images {
        served.entry(&image.reference).or_default().insert(image.served.clone());
    }
    served
}

/// The container images to ask for, sorted by their references: one for each, wanted for every architecture that any of
/// its names wants. The served name is that of one of them.
pub fn images(spec: &Spec) -> Vec<Image> {
    let mut images = BTreeMap::<&ImageRef, Image>::new();
    for image in &spec.images {
        match images.get_mut(&image.reference) {
            Some(same) => {
                same.architectures.extend(&image.architectures);
                same.spans.extend(image.spans.iter().cloned());
            }
            None => drop(images.insert(&image.reference, image.clone())),
        }
    }
    images.into_values().collect()
}

/// The base images of the targets that a specification has, each with the place where it is named, unless it is a
/// default.
pub fn bases(spec: &Spec) -> BTreeMap<ImageRef, Option<Span>> {
    let server = &spec.file_server;
    let files = (!spec.files.is_empty()).then(|| (server.image.clone(), server.image_span.clone()));
    let registry = &spec.registry;
    let images = (!spec.images.is_empty()).then(|| (registry.image.clone(), registry.image_span.clone()));
    images.into_iter().chain(files).collect()
}

/// The platforms that base images are locked for, whatever a build is for.
pub fn platforms(spec: &Spec) -> Vec<Platform> {
    spec.architectures.iter().copied().map(Platform::linux).collect()
}
