//! The entries of a lock for images and base images. Owns how they are written and that they agree with themselves;
//! does not know the file they lie in.
//!
//! An entry is JSON, sorted and diffable. Exact bytes are text, written as the list of its lines; what else stands there
//! is for people to read, follows from the bytes, and must not contradict them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Base;
use super::image::{Held, Resolved, Text};
use crate::diagnostic::quoted;
use crate::oci::{self, Descriptor, Document, Manifest};
use crate::spec::{Arch, Digest};

/// An image in a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LockedImage {
    reference: String,
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<LockedText>,
    manifests: Vec<LockedManifest>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LockedText {
    digest: String,
    media_type: String,
    lines: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LockedManifest {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    architectures: Vec<String>,
    digest: String,
    media_type: String,
    lines: Vec<String>,
    config: LockedBlob,
    layers: Vec<LockedBlob>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attestations: Vec<LockedManifest>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LockedBlob {
    digest: String,
    media_type: String,
    bytes: u64,
}

/// A base image in a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedBase {
    platform: String,
    reference: String,
    config: Vec<String>,
}

/// Why an entry of a lock cannot be used: a fact about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadEntry(pub String);

impl std::fmt::Display for BadEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn lines(text: &str) -> Vec<String> {
    text.split('\n').map(Into::into).collect()
}

impl From<&Text> for LockedText {
    fn from(Text { digest, media_type, text }: &Text) -> Self {
        Self { digest: digest.to_string(), media_type: media_type.clone(), lines: lines(text) }
    }
}

impl From<&Descriptor> for LockedBlob {
    fn from(Descriptor { media_type, digest, bytes }: &Descriptor) -> Self {
        Self { digest: digest.to_string(), media_type: media_type.clone(), bytes: *bytes }
    }
}

impl LockedManifest {
    fn of(architectures: &BTreeSet<Arch>, text: &Text, manifest: &Manifest) -> Self {
        Self {
            architectures: architectures.iter().map(ToString::to_string).collect(),
            digest: text.digest.to_string(),
            media_type: text.media_type.clone(),
            lines: lines(&text.text),
            config: (&manifest.config).into(),
            layers: manifest.layers.iter().map(Into::into).collect(),
            attestations: Vec::new(),
        }
    }

    fn read(&self) -> Result<(Text, Manifest), BadEntry> {
        match read(&self.digest, &self.lines)? {
            (text, Document::Manifest(manifest)) => {
                let mut same = Self::of(&BTreeSet::new(), &text, &manifest);
                same.architectures.clone_from(&self.architectures);
                same.attestations.clone_from(&self.attestations);
                if same == *self {
                    Ok((text, manifest))
                } else {
                    Err(BadEntry(format!("the entry of {} contradicts its bytes", text.digest)))
                }
            }
            (text, Document::Index(_)) => Err(BadEntry(format!("{} is an index, not a manifest", text.digest))),
        }
    }
}

impl LockedText {
    fn read(&self) -> Result<(Text, Document), BadEntry> {
        let (text, document) = read(&self.digest, &self.lines)?;
        if text.media_type == self.media_type {
            Ok((text, document))
        } else {
            Err(BadEntry(format!("the entry of {} contradicts its bytes", text.digest)))
        }
    }
}

fn read(digest: &str, lines: &[String]) -> Result<(Text, Document), BadEntry> {
    let digest: Digest = digest.parse().map_err(|_| BadEntry(format!("{} is no digest", quoted(digest))))?;
    Text::read(&digest, lines.join("\n").as_bytes()).map_err(|error| BadEntry(error.to_string()))
}

impl From<&Resolved> for LockedImage {
    fn from(image: &Resolved) -> Self {
        let manifests = image.manifests.iter().map(|held| {
            let manifest = LockedManifest::of(&held.architectures, &held.text, &held.manifest);
            let attestations = held.attestations.iter();
            let attestations = attestations.map(|(text, about)| LockedManifest::of(&BTreeSet::new(), text, about));
            LockedManifest { attestations: attestations.collect(), ..manifest }
        });
        Self {
            reference: image.reference.to_string(),
            digest: image.top().digest.to_string(),
            index: image.index.as_ref().map(Into::into),
            manifests: manifests.collect(),
        }
    }
}

impl TryFrom<&LockedImage> for Resolved {
    type Error = BadEntry;

    /// Everything is proved again: a lock is a file that people and merges change.
    fn try_from(locked: &LockedImage) -> Result<Self, BadEntry> {
        let bad = |why: &str| BadEntry(format!("the entry of {} {why}", locked.reference));
        let reference = locked.reference.parse().map_err(|_| bad("has no image's name"))?;
        let index = locked.index.as_ref().map(LockedText::read).transpose()?;
        let mut manifests = Vec::new();
        for entry in &locked.manifests {
            let (text, manifest) = entry.read()?;
            let architectures = entry.architectures.iter().map(|arch| arch.parse()).collect::<Result<_, _>>();
            let architectures: BTreeSet<Arch> = architectures.map_err(|_| bad("names an unknown architecture"))?;
            let attestations = entry.attestations.iter().map(LockedManifest::read).collect::<Result<_, _>>()?;
            manifests.push(Held { architectures, text, manifest, attestations });
        }
        manifests.sort_by(|a, b| a.architectures.cmp(&b.architectures));
        let image = match index {
            None if matches!(&manifests[..], [one] if !one.architectures.is_empty()) => {
                Self { reference, index: None, manifests }
            }
            None => return Err(bad("must have an index or one manifest")),
            Some((text, Document::Index(index))) => {
                named_by(&index, &manifests)
                    .then_some(())
                    .ok_or_else(|| bad("has manifests that its index has not"))?;
                Self { reference, index: Some(text), manifests }
            }
            Some((_, Document::Manifest(_))) => return Err(bad("has a manifest for its index")),
        };
        if image.top().digest.as_str() == locked.digest {
            Ok(image)
        } else {
            Err(bad("has another digest than its bytes"))
        }
    }
}

/// Whether the index names each manifest for its architectures, and each attestation for its manifest.
fn named_by(index: &oci::Index, manifests: &[Held]) -> bool {
    let wanted = manifests.iter().flat_map(|held| held.architectures.iter().copied()).collect();
    let Ok(needed) = oci::needed(index, &wanted, true) else { return false };
    manifests.iter().all(|held| {
        !held.architectures.is_empty()
            && held.architectures.iter().all(|arch| {
                let needs = &needed.manifests[arch];
                let known = |digest: &Digest| needs.attestations.iter().any(|about| about.digest == *digest);
                needs.manifest.digest == held.text.digest
                    && held.attestations.iter().all(|(text, _)| known(&text.digest))
            })
    })
}

impl LockedBase {
    /// The entry of a base image; `None` where its config is no text, and so no JSON.
    pub fn of(base: &Base) -> Option<Self> {
        let config = lines(std::str::from_utf8(&base.config).ok()?);
        Some(Self { platform: base.platform.clone(), reference: base.reference.clone(), config })
    }

    /// The base image.
    pub fn base(&self) -> Base {
        let config = self.config.join("\n").into_bytes();
        Base { platform: self.platform.clone(), reference: self.reference.clone(), config }
    }
}

#[cfg(test)]
mod tests {
    use super::super::image::Blobs;
    use super::super::image::tests::{digest, image, index, wanted};
    use super::*;

    fn sample() -> Resolved {
        let mut have = Blobs::new();
        let amd64 = image(&mut have, "amd64", &["base", "a"]);
        let arm64 = image(&mut have, "arm64", &["base", "b"]);
        let top = index(&mut have, &[amd64, arm64]);
        wanted("nginx:1.27", &top, &Arch::ALL).resolve(&have).expect("complete")
    }

    fn single() -> Resolved {
        let mut have = Blobs::new();
        let top = digest(&image(&mut have, "arm64", &["a"]));
        wanted("nginx:1.27", &top, &[Arch::Arm64]).resolve(&have).expect("complete")
    }

    fn written(image: &Resolved) -> String {
        serde_json::to_string_pretty(&LockedImage::from(image)).expect("JSON")
    }

    fn read(text: &str) -> Result<Resolved, String> {
        let locked: LockedImage = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Resolved::try_from(&locked).map_err(|error| error.to_string())
    }

    #[test]
    fn entries_are_read_back() {
        for image in [sample(), single()] {
            assert_eq!(read(&written(&image)), Ok(image));
        }
        insta::assert_snapshot!(written(&single()));
    }

    #[test]
    fn every_change_is_noticed() {
        let good = written(&sample());
        for (from, to) in [
            ("nginx:1.27", "Nginx"),
            ("\"bytes\": 4", "\"bytes\": 5"),
            ("\"amd64\"\n", "\"arm64\"\n"),
            ("\"amd64\"\n", "\"s390x\"\n"),
            ("\"lines\": [", "\"lines\": [\"\","),
            ("{\n  \"reference\"", "{\n  \"more\": 1, \"reference\""),
            ("\"index\":", "\"indexes\":"),
            ("layer.v1.tar+gzip\",\n          \"bytes\"", "layer.v1.tar\",\n          \"bytes\""),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{from}");
            assert!(read(&bad).is_err(), "{from} -> {to}");
        }
    }

    #[test]
    fn base_images() {
        let base =
            Base { platform: "linux/amd64".into(), reference: "r@sha256:0".into(), config: b"{\n\r}\n".to_vec() };
        let text = serde_json::to_string(&LockedBase::of(&base).expect("text")).expect("JSON");
        let locked: LockedBase = serde_json::from_str(&text).expect("an entry");
        assert_eq!(locked.base(), base);
    }
}
