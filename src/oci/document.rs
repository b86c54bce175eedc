//! Manifests and indexes. Owns how their bytes are read; does not know which manifest of an index is wanted.

use serde::Deserialize;

use super::descriptor::{Descriptor, Written, WrittenPlatform, strict_digest};
use super::{Error, MAX_DOCUMENT_BYTES};
use crate::name::{Digest, Platform};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+";

/// Configs that name an architecture.
const IMAGE_CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// How BuildKit marks the manifest of an attestation in an index, and what it is about.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
const ATTESTATION: &str = "attestation-manifest";
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// What a tag or a digest leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// An OCI index or a Docker manifest list.
    Index(Index),
    /// An OCI or Docker (schema 2) manifest.
    Manifest(Manifest),
}

/// An OCI index or a Docker manifest list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// What it is served as.
    pub media_type: String,
    /// What it names, in its order.
    pub entries: Vec<Entry>,
}

/// What an index says of one manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The manifest; the error matters only if it is needed.
    pub manifest: Result<Descriptor, Error>,
    /// What it runs on, where that is said.
    pub platform: Option<Platform>,
    /// The manifest that it attests, where it is an attestation.
    pub attests: Option<Digest>,
}

/// The manifest of one image or artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What it is served as.
    pub media_type: String,
    /// The config, whatever its kind.
    pub config: Descriptor,
    /// The layers, the lowest first; a blob may be listed twice.
    pub layers: Vec<Descriptor>,
}

/// All documents at once: what is there decides which it is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
struct Raw {
    schema_version: Option<u64>,
    media_type: Option<String>,
    manifests: Option<Vec<Written>>,
    config: Option<Written>,
    layers: Option<Vec<Written>>,
    fs_layers: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Reads a manifest or an index. Its type is what it says itself, or else what it holds; bytes that could be read
    /// as both are refused (CVE-2021-41190).
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_DOCUMENT_BYTES {
            return Err(Error::TooLarge(bytes.len() as u64));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Error::Json("it is not UTF-8".into()))?;
        let raw: Raw = serde_json::from_str(text).map_err(|error| Error::Json(error.to_string()))?;
        let said = raw.media_type.as_deref().unwrap_or_default();
        if raw.schema_version == Some(1) || raw.fs_layers.is_some() || said.starts_with(DOCKER_SCHEMA_1) {
            return Err(Error::Schema1);
        }
        let index = raw.manifests.is_some();
        if index && (raw.config.is_some() || raw.layers.is_some()) {
            return Err(Error::Ambiguous("it contains both `manifests` and `config` or `layers`"));
        }
        let media_type = match (said, index) {
            ("" | OCI_INDEX, true) => OCI_INDEX,
            ("" | OCI_MANIFEST, false) => OCI_MANIFEST,
            (DOCKER_LIST, true) => DOCKER_LIST,
            (DOCKER_MANIFEST, false) => DOCKER_MANIFEST,
            (OCI_INDEX | DOCKER_LIST, false) => return Err(Error::Ambiguous("an index without `manifests`")),
            (OCI_MANIFEST | DOCKER_MANIFEST, true) => return Err(Error::Ambiguous("a manifest with `manifests`")),
            (other, _) => return Err(Error::MediaType(other.to_owned())),
        };
        if raw.schema_version != Some(2) {
            return Err(Error::Ambiguous("its `schemaVersion` is not 2"));
        }
        let media_type = media_type.to_owned();
        match (raw.manifests, raw.config) {
            (Some(entries), _) => {
                Ok(Self::Index(Index { media_type, entries: entries.into_iter().map(Entry::of).collect() }))
            }
            (None, Some(config)) => Ok(Self::Manifest(Manifest::of(media_type, &config, raw.layers.as_deref())?)),
            (None, None) => Err(Error::Ambiguous("it has no `config`")),
        }
    }

    /// What it is served as.
    pub fn media_type(&self) -> &str {
        match self {
            Self::Index(index) => &index.media_type,
            Self::Manifest(manifest) => &manifest.media_type,
        }
    }
}

impl Entry {
    fn of(written: Written) -> Self {
        let attestation = written.annotation(REFERENCE_TYPE) == Some(ATTESTATION);
        let attests = written.annotation(REFERENCE_DIGEST).filter(|_| attestation);
        Self {
            manifest: written.descriptor(),
            attests: attests.and_then(|digest| strict_digest(digest).ok()),
            platform: written.platform.map(WrittenPlatform::platform),
        }
    }

    /// Whether it is an image or an artifact: no attestation, and no index within the index.
    pub(super) fn is_content(&self) -> bool {
        let nested = |manifest: &Descriptor| [OCI_INDEX, DOCKER_LIST].contains(&manifest.media_type.as_str());
        // What attests something broken is no content either.
        let unknown = self.platform.as_ref().is_some_and(|platform| platform.architecture == "unknown");
        self.attests.is_none() && !unknown && !self.manifest.as_ref().is_ok_and(nested)
    }
}

impl Manifest {
    fn of(media_type: String, config: &Written, layers: Option<&[Written]>) -> Result<Self, Error> {
        let layers: Vec<Descriptor> =
            layers.unwrap_or_default().iter().map(Written::descriptor).collect::<Result<_, _>>()?;
        if let Some(layer) = layers.iter().find(|layer| is_foreign(&layer.media_type)) {
            return Err(Error::ForeignLayer(layer.digest.clone()));
        }
        Ok(Self { media_type, config: config.descriptor()?, layers })
    }

    /// Whether its config is that of an image, and names an architecture.
    pub fn is_image(&self) -> bool {
        IMAGE_CONFIGS.contains(&self.config.media_type.as_str())
    }

    /// The config and the layers: every blob that a pull asks for.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        std::iter::once(&self.config).chain(&self.layers)
    }
}

/// `application/vnd.oci.image.layer.nondistributable.v1.tar+gzip`, `application/vnd.docker.image.rootfs.foreign.…`
fn is_foreign(media_type: &str) -> bool {
    media_type.contains(".nondistributable.") || media_type.contains(".foreign.")
}

/// What the config of an image says that it runs on.
pub fn image_platform(config: &[u8]) -> Result<Platform, Error> {
    if config.len() > MAX_DOCUMENT_BYTES {
        return Err(Error::TooLarge(config.len() as u64));
    }
    let written: WrittenPlatform =
        serde_json::from_slice(config).map_err(|error| Error::Json(format!("its config: {error}")))?;
    Ok(written.platform())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn error(text: &str) -> String {
        Document::parse(text.replace("DIGEST", D).as_bytes()).unwrap_err().to_string()
    }

    fn parse(text: &str) -> Document {
        Document::parse(text.replace("DIGEST", D).as_bytes()).unwrap()
    }

    #[test]
    fn every_kind_is_read() {
        let config = r#""config":{"mediaType":"c","digest":"DIGEST","size":2},"unknown":[{}]"#;
        for (said, served) in [
            (String::new(), OCI_MANIFEST),
            (format!(r#""mediaType":"{OCI_MANIFEST}","#), OCI_MANIFEST),
            (format!(r#""mediaType":"{DOCKER_MANIFEST}","#), DOCKER_MANIFEST),
        ] {
            let layers = r#""layers":[{"digest":"DIGEST","size":9,"mediaType":"l","data":"x","urls":null}]"#;
            let document = parse(&format!(r#"{{"schemaVersion":2,{said}{config},{layers}}}"#));
            assert_eq!(document.media_type(), served);
            let Document::Manifest(manifest) = document else { panic!("{document:?}") };
            assert_eq!(manifest.blobs().map(|blob| blob.bytes).collect::<Vec<_>>(), [2, 9]);
            assert!(!manifest.is_image(), "an artifact");
        }
        for (said, served) in [("", OCI_INDEX), (OCI_INDEX, OCI_INDEX), (DOCKER_LIST, DOCKER_LIST)] {
            let document = parse(&format!(r#"{{"schemaVersion":2,"mediaType":"{said}","manifests":[]}}"#));
            assert_eq!(document.media_type(), served);
        }
        let Document::Manifest(manifest) = parse(&format!(r#"{{"schemaVersion":2,{config},"layers":null}}"#)) else {
            panic!("no manifest");
        };
        assert_eq!(manifest.layers, []);
    }

    #[test]
    fn attestations_are_recognised() {
        let text = r#"{"schemaVersion":2,"manifests":[
            {"digest":"DIGEST","size":1,"platform":{"os":"linux","architecture":"arm64","variant":"v8"}},
            {"digest":"DIGEST","size":1,"platform":{"os":"unknown","architecture":"unknown"},"annotations":
                {"vnd.docker.reference.type":"attestation-manifest","vnd.docker.reference.digest":"DIGEST"}},
            {"digest":"sha512:12","size":1,"platform":null,"annotations":null},
            {"digest":"DIGEST","size":1,"annotations":{"vnd.docker.reference.digest":"DIGEST"}},
            {"digest":"DIGEST","size":1,"annotations":
                {"vnd.docker.reference.type":"attestation-manifest","vnd.docker.reference.digest":"broken"},
                "platform":{"os":"unknown","architecture":"unknown"}},
            {"digest":"DIGEST","size":1,"mediaType":"application/vnd.oci.image.index.v1+json"},
            {"digest":"DIGEST","size":1,"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json"}]}"#;
        let Document::Index(index) = parse(text) else { panic!("no index") };
        let seen: Vec<_> =
            index.entries.iter().map(|e| (e.is_content(), e.attests.is_some(), e.manifest.is_ok())).collect();
        assert_eq!(
            seen,
            [
                (true, false, true),
                (false, true, true),
                (true, false, false),
                (true, false, true),
                (false, false, true),
                (false, false, true),
                (false, false, true),
            ]
        );
    }

    #[test]
    fn the_rest_is_refused() {
        let errors = [
            "",
            "<html>",
            "[]",
            "{}",
            r#"{"schemaVersion":1,"fsLayers":[]}"#,
            r#"{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v1+prettyjws"}"#,
            r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#,
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json"}"#,
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}"#,
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.artifact.manifest.v1+json"}"#,
            r#"{"manifests":[]}"#,
            r#"{"schemaVersion":2,"config":{"digest":"sha512:00","size":1}}"#,
            r#"{"schemaVersion":2,"config":{"digest":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":1}}"#,
            r#"{"schemaVersion":2,"config":{"digest":"DIGEST"}}"#,
            r#"{"schemaVersion":2,"config":{"digest":"DIGEST","size":-1}}"#,
            r#"{"schemaVersion":2,"config":{"digest":"DIGEST","size":9223372036854775808}}"#,
            r#"{"schemaVersion":2,"config":{"digest":"sha256:../../../etc/passwd","size":1}}"#,
            r#"{"schemaVersion":2,"config":{"digest":"DIGEST","size":1},"layers":[{"digest":"DIGEST","size":1,
                "mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"}]}"#,
            r#"{"schemaVersion":2,"config":{"digest":"DIGEST","size":1},"config":{}}"#,
            r#"{"schemaVersion":1}"#,
            r#"{"fsLayers":[]}"#,
        ]
        .map(error);
        insta::assert_snapshot!(errors.join("\n"));
        let large = |bytes: usize| format!(r#"{{"schemaVersion":2,"manifests":[],"a":"{}"}}"#, "x".repeat(bytes - 41));
        assert!(Document::parse(large(MAX_DOCUMENT_BYTES).as_bytes()).is_ok(), "{}", large(41).len());
        let too_large = Error::TooLarge(MAX_DOCUMENT_BYTES as u64 + 1);
        assert_eq!(Document::parse(large(MAX_DOCUMENT_BYTES + 1).as_bytes()), Err(too_large));
        let deep = "[".repeat(100_000);
        assert!(Document::parse(format!("{{\"x\":{deep}").as_bytes()).is_err());
        assert!(Document::parse(b"{\"schemaVersion\":2,\"x\":\"\xff\",\"manifests\":[]}").is_err(), "not UTF-8");
    }

    #[test]
    fn configs() {
        let platform = |config: &[u8]| image_platform(config).map(|platform| platform.short());
        assert_eq!(platform(br#"{"architecture":"arm64","os":"linux","variant":"v8","rootfs":{}}"#).unwrap(), "arm64");
        assert_eq!(platform(br#"{"architecture":"arm","os":"linux","variant":"v7"}"#).unwrap(), "arm/v7");
        assert_eq!(platform(br#"{"architecture":"amd64","os":"windows"}"#).unwrap(), "windows/amd64");
        assert!(platform(b"{\"architecture\":7}").is_err());
        let large = |bytes: usize| format!(r#"{{"architecture":"{}"}}"#, "x".repeat(bytes - 19));
        assert!(platform(large(MAX_DOCUMENT_BYTES).as_bytes()).is_ok());
        let too_large = Error::TooLarge(MAX_DOCUMENT_BYTES as u64 + 1);
        assert_eq!(platform(large(MAX_DOCUMENT_BYTES + 1).as_bytes()), Err(too_large));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(pieces in proptest::collection::vec(prop_oneof![
            Just("{\"schemaVersion\":2"), Just(",\"manifests\":["), Just(",\"config\":"), Just("null"), Just("}"),
            Just("{\"digest\":\"sha256:00\",\"size\":1}"), Just("]"), Just(",\"layers\":["), Just("{}"), Just(","),
            Just("\"mediaType\":\"\""), Just("1e999"), Just("\\u0000"), Just("ä"), Just(",\"annotations\":{\"a\":null}"),
        ], 0..12)) {
            let _ = Document::parse(pieces.concat().as_bytes());
            let _ = image_platform(pieces.concat().as_bytes());
        }
    }
}
