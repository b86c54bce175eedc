//! What a container image was resolved to: the exact bytes of its index and manifests, and every blob that they name.
//! Owns what must hold between them; does not know how bytes are asked for, nor how a lock is written.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::name::{Arch, Digest, ImageRef, Platform};
use crate::oci::{self, Descriptor, Document, Lacks, Manifest, Needs, NotChosen};

/// An image, resolved. Whatever is in it has been proved to have the digest that it is filed under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    reference: ImageRef,
    /// `None` where the reference leads to a manifest.
    index: Option<Text>,
    manifests: Vec<Held>,
}

/// The exact bytes of a manifest or an index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text {
    /// Their digest.
    pub digest: Digest,
    /// The media type.
    pub media_type: String,
    /// The bytes: JSON, so text.
    pub text: String,
}

/// A manifest that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The architectures that it is for: one, or all that were wanted of an artifact.
    pub architectures: BTreeSet<Arch>,
    /// Its bytes.
    pub text: Text,
    /// What they say.
    pub manifest: Manifest,
    /// The attestations of it, if they were asked for; in the order of the index.
    pub attestations: Vec<(Text, Manifest)>,
    /// What its config says that it runs on, if an index says that too and the config was asked for.
    pub config: Option<Platform>,
}

/// What is wanted of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What names it.
    pub reference: ImageRef,
    /// What the reference leads to.
    pub digest: Digest,
    /// The architectures; at least one.
    pub architectures: BTreeSet<Arch>,
    /// Whether attestations are wanted too.
    pub attestations: bool,
    /// Whether configs are wanted too, to compare them with what the index says.
    pub configs: bool,
}

/// A blob whose bytes are needed to go on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes, where it is known.
    pub bytes: Option<u64>,
    /// What to ask the registry for.
    pub kind: Kind,
}

/// How a registry is asked for a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// As a manifest, with all types accepted.
    Manifest,
    /// As a blob.
    Blob,
}

/// Why an image is not resolved: what follows its name, `lacks arm64; it has amd64`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unresolved {
    /// These are needed first; all can be asked for at once.
    #[error("is not complete: {} manifests are missing", .0.len())]
    Missing(BTreeSet<Missing>),
    /// It is missing for an architecture.
    #[error("{0}")]
    Lacks(Lacks),
    /// A manifest or an index is not usable.
    #[error("has a manifest that cannot be served, {0}: {1}")]
    Document(Digest, oci::Error),
}

/// Bytes by their digest, as they were received.
pub type Blobs = BTreeMap<Digest, Vec<u8>>;

impl Wanted {
    /// The image, from the bytes of its documents. Pure: [`Unresolved::Missing`] says what to ask for before the next
    /// call, so that a caller loops: nothing, the top document, the manifests, and for a manifest of which no index says
    /// the architecture its config.
    pub fn resolve(&self, have: &Blobs) -> Result<Resolved, Unresolved> {
        let (text, document) = read_document(&self.digest, None, have)?;
        match document {
            Document::Manifest(manifest) => {
                check_platform(&manifest, &self.architectures, have)?;
                let architectures = self.architectures.clone();
                let held = Held { architectures, text, manifest, attestations: Vec::new(), config: None };
                Ok(Resolved { reference: self.reference.clone(), index: None, manifests: vec![held] })
            }
            Document::Index(index) => {
                let needed = oci::needed(&index, &self.architectures, self.attestations).map_err(|why| match why {
                    NotChosen::Lacks(lacks) => Unresolved::Lacks(lacks),
                    NotChosen::Unusable(error) => Unresolved::Document(self.digest.clone(), error),
                })?;
                let manifests = read_manifests(needed.manifests, self.configs, have)?;
                Ok(Resolved { reference: self.reference.clone(), index: Some(text), manifests })
            }
        }
    }
}

/// The manifests of an index; reports all that are missing at once.
fn read_manifests(needed: BTreeMap<Arch, Needs>, configs: bool, have: &Blobs) -> Result<Vec<Held>, Unresolved> {
    let mut missing = BTreeSet::new();
    let mut manifests = Vec::<Held>::new();
    for (arch, needs) in needed {
        if let Some(same) = manifests.iter_mut().find(|held| held.text.digest == needs.manifest.digest) {
            same.architectures.insert(arch);
        }
        let held = read_held(arch, &needs, configs, have);
        match held {
            Ok(held) if manifests.iter().any(|other| other.text.digest == held.text.digest) => {}
            Ok(held) => manifests.push(held),
            Err(Unresolved::Missing(more)) => missing.extend(more),
            Err(other) => return Err(other),
        }
    }
    if missing.is_empty() { Ok(manifests) } else { Err(Unresolved::Missing(missing)) }
}

fn read_held(arch: Arch, needs: &Needs, configs: bool, have: &Blobs) -> Result<Held, Unresolved> {
    let manifest = read_manifest(&needs.manifest, have);
    let attestations: Vec<_> = needs.attestations.iter().map(|about| read_manifest(about, have)).collect();
    let mut missing = BTreeSet::new();
    for result in std::iter::once(&manifest).chain(&attestations) {
        if let Err(Unresolved::Missing(more)) = result {
            missing.extend(more.clone());
        }
    }
    if !missing.is_empty() {
        return Err(Unresolved::Missing(missing));
    }
    let (text, manifest) = manifest?;
    let mut config = None;
    if needs.unnamed {
        check_platform(&manifest, &BTreeSet::from([arch]), have)?;
    } else if configs && manifest.config.bytes <= oci::MAX_DOCUMENT_BYTES as u64 {
        config = match config_platform(&manifest, have) {
            // That nobody can read it is no reason to refuse what the index says.
            Err(Unresolved::Document(_, oci::Error::Json(_))) => None,
            platform => platform?,
        };
    }
    let attestations = attestations.into_iter().collect::<Result<_, _>>()?;
    Ok(Held { architectures: BTreeSet::from([arch]), text, manifest, attestations, config })
}

fn read_manifest(descriptor: &Descriptor, have: &Blobs) -> Result<(Text, Manifest), Unresolved> {
    let digest = &descriptor.digest;
    let read = read_document(digest, Some(descriptor.bytes), have)?;
    let found = read.0.text.len() as u64;
    if found != descriptor.bytes {
        let error = oci::Error::Size { said: descriptor.bytes, found: Some(found) };
        return Err(Unresolved::Document(digest.clone(), error));
    }
    match read {
        (text, Document::Manifest(manifest)) => Ok((text, manifest)),
        (_, Document::Index(_)) => {
            let error = oci::Error::Ambiguous("an index, but the index above lists a manifest");
            Err(Unresolved::Document(digest.clone(), error))
        }
    }
}

fn read_document(digest: &Digest, bytes: Option<u64>, have: &Blobs) -> Result<(Text, Document), Unresolved> {
    let Some(found) = have.get(digest) else {
        return Err(missing(digest, bytes, Kind::Manifest));
    };
    Text::read(digest, found).map_err(|error| Unresolved::Document(digest.clone(), error))
}

/// Whether the index names each manifest for its architectures, each architecture once, and all of each manifest's
/// attestations or none.
fn named_by(index: &oci::Index, manifests: &[Held]) -> bool {
    let wanted: BTreeSet<Arch> = manifests.iter().flat_map(|held| held.architectures.iter().copied()).collect();
    let once = manifests.iter().map(|held| held.architectures.len()).sum::<usize>() == wanted.len();
    let Ok(needed) = oci::needed(index, &wanted, true) else { return false };
    once && !manifests.is_empty()
        && manifests.iter().all(|held| {
            let attestations = || held.attestations.iter().map(|(text, _)| &text.digest);
            !held.architectures.is_empty()
                && held.architectures.iter().all(|arch| {
                    let needs = &needed.manifests[arch];
                    needs.manifest.digest == held.text.digest
                        && (held.attestations.is_empty()
                            || attestations().eq(needs.attestations.iter().map(|it| &it.digest)))
                })
        })
}

impl Held {
    /// Whether it can be held without an index.
    fn is_alone(&self) -> bool {
        !self.architectures.is_empty() && self.attestations.is_empty()
    }

    /// What its config says that it runs on, if that is not what the index says. A config that names nothing says nothing.
    pub fn mismatch(&self) -> Option<&Platform> {
        let config = self.config.as_ref().filter(|config| !config.short().is_empty())?;
        self.architectures.iter().any(|arch| config.arch() != Some(*arch)).then_some(config)
    }
}

/// See [`oci::runs_on`]; needs the config of an image.
fn check_platform(manifest: &Manifest, wanted: &BTreeSet<Arch>, have: &Blobs) -> Result<(), Unresolved> {
    let platform = config_platform(manifest, have)?;
    oci::runs_on(manifest, platform.as_ref(), wanted).map_err(Unresolved::Lacks)
}

/// What the config of a manifest says that it runs on; `None` if it is not that of an image.
fn config_platform(manifest: &Manifest, have: &Blobs) -> Result<Option<Platform>, Unresolved> {
    if !manifest.is_image() {
        return Ok(None);
    }
    let Descriptor { digest, bytes, .. } = &manifest.config;
    let Some(config) = have.get(digest) else {
        return Err(missing(digest, Some(*bytes), Kind::Blob));
    };
    let unusable = |error| Unresolved::Document(digest.clone(), error);
    oci::check_digest(config, digest).map_err(unusable)?;
    let found = config.len() as u64;
    if found != *bytes {
        return Err(unusable(oci::Error::Size { said: *bytes, found: Some(found) }));
    }
    oci::image_platform(config).map(Some).map_err(unusable)
}

fn missing(digest: &Digest, bytes: Option<u64>, kind: Kind) -> Unresolved {
    Unresolved::Missing(BTreeSet::from([Missing { digest: digest.clone(), bytes, kind }]))
}

impl Text {
    /// Reads the bytes that were asked for by `digest`.
    pub fn read(digest: &Digest, bytes: &[u8]) -> Result<(Self, Document), oci::Error> {
        let document = Document::parse(bytes);
        oci::check_digest(bytes, digest)?;
        let document = document?;
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| oci::Error::Json("it is not UTF-8".into()))?;
        let media_type = document.media_type().to_owned();
        Ok((Self { digest: digest.clone(), media_type, text }, document))
    }
}

impl Resolved {
    /// An image of documents that were read before, in any order. `Err` is a fact about them: they do not belong
    /// together.
    pub fn new(
        reference: ImageRef,
        index: Option<(Text, Document)>,
        mut manifests: Vec<Held>,
    ) -> Result<Self, &'static str> {
        manifests.sort_by(|a, b| a.architectures.cmp(&b.architectures));
        let index = match index {
            None if matches!(&manifests[..], [one] if one.is_alone()) => None,
            None => return Err("must have an index, or one manifest without attestations"),
            Some((_, Document::Manifest(_))) => return Err("has a manifest in place of its index"),
            Some((_, Document::Index(index))) if !named_by(&index, &manifests) => {
                return Err("has manifests that its index does not list for these architectures");
            }
            Some((text, Document::Index(_))) => Some(text),
        };
        let image = Self { reference, index, manifests };
        match image.reference.digest() {
            Some(named) if named != image.top().digest => Err("has a different digest than its reference"),
            _ => Ok(image),
        }
    }

    /// The part of it that is for these architectures, with attestations or without. `Err` is a fact about it: what it
    /// does not hold.
    pub fn part(&self, architectures: &BTreeSet<Arch>, attestations: bool) -> Result<Self, String> {
        let held: BTreeSet<Arch> = self.manifests.iter().flat_map(|held| &held.architectures).copied().collect();
        if let Some(missing) = architectures.difference(&held).next() {
            return Err(format!("has no manifest for {missing}"));
        }
        let wanted = |held: &Held| held.architectures.intersection(architectures).copied().collect::<BTreeSet<_>>();
        let manifests = self.manifests.iter().filter(|held| !wanted(held).is_empty());
        let manifests: Vec<Held> = manifests
            .map(|held| {
                let about = if attestations { held.attestations.clone() } else { Vec::new() };
                Held { architectures: wanted(held), attestations: about, ..held.clone() }
            })
            .collect();
        let index = self.index.as_ref().filter(|_| attestations).map(|text| Document::parse(text.text.as_bytes()));
        if let Some(Ok(Document::Index(index))) = index {
            let needed = oci::needed(&index, architectures, true).map(|needed| needed.manifests).unwrap_or_default();
            let lacks = |held: &Held| {
                held.architectures.iter().any(|arch| {
                    needed.get(arch).is_none_or(|needs| needs.attestations.len() != held.attestations.len())
                })
            };
            if manifests.iter().any(lacks) {
                return Err("lacks the attestations".into());
            }
        }
        Ok(Self { reference: self.reference.clone(), index: self.index.clone(), manifests })
    }

    /// What names it.
    pub fn reference(&self) -> &ImageRef {
        &self.reference
    }

    /// The document that the reference leads to: what a pull by tag asks for first.
    pub fn top(&self) -> &Text {
        match (&self.index, self.manifests.first()) {
            (Some(index), _) => index,
            (None, Some(held)) => &held.text,
            (None, None) => unreachable!("without an index there is one manifest"),
        }
    }

    /// The index, if the reference leads to one.
    pub fn index(&self) -> Option<&Text> {
        self.index.as_ref()
    }

    /// The manifests, in the order of their architectures.
    pub fn manifests(&self) -> &[Held] {
        &self.manifests
    }

    /// A sentence for each manifest whose config names another architecture than the index; the name of the image stands before it.
    pub fn mismatches(&self) -> impl Iterator<Item = String> {
        self.manifests.iter().filter_map(|held| {
            let config = oci::short(&held.mismatch()?.short());
            let architectures: Vec<&str> = held.architectures.iter().map(|arch| arch.as_str()).collect();
            Some(format!("has an image for {} whose config says {config}", architectures.join(" and ")))
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
