//! The entry of a container image. Owns how it is written and that it agrees with itself; does not know the file it lies
//! in.
//!
//! Exact bytes are text, written as the list of its lines; what else stands there is for people to read, follows from the
//! bytes, and must not contradict them.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Image;
use crate::diagnostic::quoted;
use crate::kind::images::resolved::{Held, Resolved, Text};
use crate::name::text::{self, Lines};
use crate::name::{Arch, Digest, ImageRef, Platform, ServedName};
use crate::oci::{Descriptor, Document, Manifest};

/// A container image: what a name was resolved to, and the names that it is served under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedImage {
    /// The names that it is served under.
    pub served: BTreeSet<ServedName>,
    /// What it was resolved to, for every architecture that any of the names wants.
    pub resolved: Resolved,
}

impl LockedImage {
    /// What the definition calls it.
    pub fn reference(&self) -> &ImageRef {
        self.resolved.reference()
    }

    /// What this entry says of `image`, of which it is the reference; `served` are all names that the definition serves the
    /// reference under. The error is a sentence: what the entry has otherwise.
    pub(crate) fn part(
        &self,
        image: &Image,
        served: &BTreeSet<ServedName>,
        attestations: bool,
    ) -> Result<Resolved, String> {
        let Image { reference, served: name, architectures, .. } = image;
        if self.served != *served {
            let name = quoted(&name.to_string());
            return Err(format!("the lock has other served names for {reference} (definition: {name})"));
        }
        self.resolved.part(architectures, attestations).map_err(|why| format!("the lock's entry for {reference} {why}"))
    }
}

/// A container image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[schemars(rename = "LockedImage")]
pub(crate) struct Written {
    /// The full name in the definition. No two images have one reference.
    #[serde(with = "text")]
    #[schemars(with = "String")]
    reference: ImageRef,
    /// The names that the built registry serves it under, sorted.
    #[schemars(length(min = 1))]
    served: Vec<Served>,
    /// The digest of the reference: of its index, or of its only manifest.
    #[serde(with = "text")]
    #[schemars(with = "String", regex(pattern = text::DIGEST))]
    digest: Digest,
    /// The index, if the reference leads to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<WrittenText>,
    /// The manifests of the requested architectures.
    #[schemars(length(min = 1))]
    manifests: Vec<WrittenManifest>,
}

/// A repository, and a tag unless it is pulled by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
struct Served(
    #[serde(with = "text")]
    #[schemars(with = "String")]
    ServedName,
);

/// An architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
struct Architecture(
    #[serde(with = "text")]
    #[schemars(with = "Arch")]
    Arch,
);

/// Exact bytes of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[schemars(rename = "LockedIndex")]
struct WrittenText {
    /// The digest of the bytes.
    #[serde(with = "text")]
    #[schemars(with = "String", regex(pattern = text::DIGEST))]
    digest: Digest,
    /// The media type.
    media_type: String,
    /// The bytes, line by line.
    lines: Lines,
}

/// A manifest: its exact bytes and their content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[schemars(rename = "LockedManifest")]
struct WrittenManifest {
    /// The architectures of the manifest; absent for attestations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    architectures: Vec<Architecture>,
    /// The digest of the bytes.
    #[serde(with = "text")]
    #[schemars(with = "String", regex(pattern = text::DIGEST))]
    digest: Digest,
    /// The media type.
    media_type: String,
    /// The bytes, line by line.
    lines: Lines,
    /// The config.
    config: WrittenBlob,
    /// The layers, the lowest first.
    layers: Vec<WrittenBlob>,
    /// Its attestations, if the definition requests them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attestations: Vec<WrittenManifest>,
    /// The platform that its config names, if it is not one of the architectures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    config_platform: Option<String>,
}

/// A config or a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[schemars(rename = "LockedBlob")]
struct WrittenBlob {
    /// The digest of its bytes.
    #[serde(with = "text")]
    #[schemars(with = "String", regex(pattern = text::DIGEST))]
    digest: Digest,
    /// The media type.
    media_type: String,
    /// Its size in bytes.
    bytes: u64,
}

impl From<&Text> for WrittenText {
    fn from(Text { digest, media_type, text }: &Text) -> Self {
        Self { digest: digest.clone(), media_type: media_type.clone(), lines: Lines::of(text) }
    }
}

impl From<&Descriptor> for WrittenBlob {
    fn from(Descriptor { media_type, digest, bytes }: &Descriptor) -> Self {
        Self { digest: digest.clone(), media_type: media_type.clone(), bytes: *bytes }
    }
}

impl WrittenManifest {
    fn of(architectures: &BTreeSet<Arch>, text: &Text, manifest: &Manifest) -> Self {
        Self {
            architectures: architectures.iter().copied().map(Architecture).collect(),
            digest: text.digest.clone(),
            media_type: text.media_type.clone(),
            lines: Lines::of(&text.text),
            config: (&manifest.config).into(),
            layers: manifest.layers.iter().map(Into::into).collect(),
            attestations: Vec::new(),
            config_platform: None,
        }
    }

    /// The manifest, if what is written next to its bytes is what they say.
    fn read(self) -> Result<(Self, Text, Manifest), String> {
        let (text, document) = read(&self.digest, &self.lines)?;
        let Document::Manifest(manifest) = document else {
            return Err(format!("has an index in place of its manifest {}", text.digest));
        };
        let layers = manifest.layers.iter().map(WrittenBlob::from);
        let agrees = self.media_type == text.media_type
            && self.config == WrittenBlob::from(&manifest.config)
            && layers.eq(self.layers.iter().cloned());
        if agrees { Ok((self, text, manifest)) } else { Err(contradiction(&text.digest)) }
    }
}

impl WrittenText {
    fn read(&self) -> Result<(Text, Document), String> {
        let (text, document) = read(&self.digest, &self.lines)?;
        if text.media_type == self.media_type { Ok((text, document)) } else { Err(contradiction(&text.digest)) }
    }
}

fn contradiction(digest: &Digest) -> String {
    format!("has values for {digest} that contradict its lines")
}

fn read(digest: &Digest, lines: &Lines) -> Result<(Text, Document), String> {
    Text::read(digest, lines.text().as_bytes()).map_err(|error| format!("is not usable: {error}"))
}

impl From<&LockedImage> for Written {
    fn from(LockedImage { served, resolved }: &LockedImage) -> Self {
        let manifests = resolved.manifests().iter().map(|held| {
            let manifest = WrittenManifest::of(&held.architectures, &held.text, &held.manifest);
            let attestations = held.attestations.iter();
            let attestations = attestations.map(|(text, about)| WrittenManifest::of(&BTreeSet::new(), text, about));
            // What cannot be written so is no platform that anybody has.
            let config = held.mismatch().map(as_text).filter(|text| text.parse::<Platform>().is_ok());
            WrittenManifest { attestations: attestations.collect(), config_platform: config, ..manifest }
        });
        Self {
            reference: resolved.reference().clone(),
            served: served.iter().cloned().map(Served).collect(),
            digest: resolved.top().digest.clone(),
            index: resolved.index().map(Into::into),
            manifests: manifests.collect(),
        }
    }
}

/// A platform with its operating system: a config that names none is for Linux.
fn as_text(platform: &Platform) -> String {
    let os = if platform.os.is_empty() { "linux".to_owned() } else { platform.os.clone() };
    Platform { os, ..platform.clone() }.to_string()
}

impl TryFrom<Written> for LockedImage {
    type Error = String;

    /// Proves everything again. `Err` is a fact about the entry.
    fn try_from(written: Written) -> Result<Self, String> {
        let index = written.index.as_ref().map(WrittenText::read).transpose()?;
        let mut manifests = Vec::new();
        for entry in written.manifests {
            let (entry, text, manifest) = entry.read()?;
            let config = entry.config_platform.as_deref().map(str::parse::<Platform>).transpose();
            let config = config.map_err(|_| contradiction(&manifest.config.digest))?;
            let architectures = entry.architectures.into_iter().map(|Architecture(arch)| arch).collect();
            let mut attestations = Vec::new();
            for about in entry.attestations {
                let (about, text, manifest) = about.read()?;
                let more = !about.attestations.is_empty() || about.config_platform.is_some();
                if !about.architectures.is_empty() || more {
                    return Err(format!("has unexpected values for the attestation {}", text.digest));
                }
                attestations.push((text, manifest));
            }
            manifests.push(Held { architectures, text, manifest, attestations, config });
        }
        let resolved = Resolved::new(written.reference, index, manifests)?;
        if resolved.top().digest != written.digest {
            return Err("has a different digest than its bytes".into());
        }
        if written.served.is_empty() {
            return Err("has no served name".into());
        }
        Ok(Self { served: written.served.into_iter().map(|Served(name)| name).collect(), resolved })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::kind::images::resolved::Blobs;
    use crate::kind::images::resolved::tests::{attestation, digest, image, index, wanted};

    /// An image of two architectures, one with an attestation.
    pub(crate) fn sample(reference: &str) -> LockedImage {
        let mut have = Blobs::new();
        let amd64 = image(&mut have, "amd64", &["base", "a"]);
        let arm64 = image(&mut have, "arm64", &["base", reference]);
        let about = attestation(&mut have, &arm64);
        let top = index(&mut have, &[amd64, arm64, about]);
        let resolved = wanted(reference, &top, &Arch::ALL).resolve(&have).expect("complete");
        LockedImage { served: BTreeSet::from(["k8s/a:1".parse().expect("a name")]), resolved }
    }

    /// An image without an index.
    pub(crate) fn single() -> LockedImage {
        let mut have = Blobs::new();
        let top = digest(&image(&mut have, "arm64", &["a"]));
        let resolved = wanted("nginx:1.27", &top, &[Arch::Arm64]).resolve(&have).expect("complete");
        let served = ["k8s/docker.io/library/nginx:1.27", "library/nginx:1"];
        LockedImage { served: served.iter().map(|name| name.parse().expect("a name")).collect(), resolved }
    }

    fn written(image: &LockedImage) -> String {
        serde_json::to_string_pretty(&Written::from(image)).expect("JSON")
    }

    fn read(text: &str) -> Result<LockedImage, String> {
        let written: Written = serde_json::from_str(text).map_err(|error| error.to_string())?;
        LockedImage::try_from(written)
    }

    #[test]
    fn entries_are_read_back() {
        for image in [sample("quay.io/a/b:1"), single()] {
            assert_eq!(read(&written(&image)), Ok(image));
        }
        insta::assert_snapshot!(written(&single()));
    }

    #[test]
    fn a_config_of_another_architecture_is_kept() {
        let mut image = sample("nginx:1.27");
        let with = |config: Option<Platform>| {
            let index =
                image.resolved.index().map(|text| Text::read(&text.digest, text.text.as_bytes()).expect("an index"));
            let mut manifests = image.resolved.manifests().to_vec();
            manifests[1].config = config;
            Resolved::new(image.reference().clone(), index, manifests).expect("they belong together")
        };
        let (right, wrong) =
            (Platform::linux(Arch::Arm64), Platform { os: String::new(), ..Platform::linux(Arch::Amd64) });
        let (right, wrong) = (with(Some(right)), with(Some(wrong)));
        image.resolved = wrong;
        let text = written(&image);
        assert!(text.contains("\"configPlatform\": \"linux/amd64\""), "{text}");
        let read_back = read(&text).expect("it is read");
        assert_eq!(
            read_back.resolved.mismatches().collect::<Vec<_>>(),
            ["has an image for arm64 whose config says amd64"]
        );
        assert!(read(&text.replace("linux/amd64", "amd64")).is_err());
        image.resolved = right;
        assert!(!written(&image).contains("configPlatform"), "what fits is not written");
    }

    #[test]
    fn every_change_is_noticed() {
        let good = written(&sample("nginx:1.27"));
        for (from, to) in [
            ("nginx:1.27", "Nginx"),
            ("nginx:1.27", &format!("nginx@{}", Digest::of(b""))),
            ("\"bytes\": 4", "\"bytes\": 5"),
            ("\"amd64\"\n", "\"arm64\"\n"),
            ("\"amd64\"\n", "\"s390x\"\n"),
            ("\"lines\": [", "\"lines\": [\"\","),
            ("{\n  \"reference\"", "{\n  \"more\": 1, \"reference\""),
            ("\"index\":", "\"indexes\":"),
            ("\"attestations\": [", "\"attestations\": [], \"attestations\": ["),
            ("layer.v1.tar+gzip\",\n          \"bytes\"", "layer.v1.tar\",\n          \"bytes\""),
            ("\"k8s/a:1\"", "\"K8s\""),
            ("\"k8s/a:1\"", ""),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{from}");
            assert!(read(&bad).is_err(), "{from} -> {to}");
        }
    }

    #[test]
    fn all_attestations_are_held_or_none() {
        let mut without: Written = (&sample("nginx:1.27")).into();
        without.manifests[1].attestations.clear();
        assert!(LockedImage::try_from(without.clone()).is_ok(), "they were not wanted");
        let mut twice: Written = (&sample("nginx:1.27")).into();
        let about = twice.manifests[1].attestations.clone();
        twice.manifests[1].attestations.extend(about.clone());
        assert!(LockedImage::try_from(twice).is_err());
        without.manifests[0].attestations = about;
        assert!(LockedImage::try_from(without).is_err(), "that of another manifest");
    }
}
