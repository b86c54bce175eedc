//! What is asked of a solve, and what a build gives: references by platform, and metadata. Does not send anything.

use std::collections::{BTreeMap, HashMap};

use bollard_buildkit_proto::moby::buildkit::v1::frontend as proto;
use prost::Message;
use serde_json::json;

use super::{Client, Error, Platform, Reference};
use crate::llb::{self, Graph};

/// The key of an image's OCI configuration; `/<platform>` follows where there are several.
const IMAGE_CONFIG: &str = "containerimage.config";
/// The key of the list of platforms.
const PLATFORMS: &str = "refs.platforms";
/// The key of the time that image and layers get, in seconds since 1970.
const EPOCH: &str = "source.date.epoch";

/// A request to solve a graph.
#[derive(Debug, Clone)]
pub struct SolveRequest {
    proto: proto::SolveRequest,
}

/// A cache to import (`--cache-from`).
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
pub struct CacheImport {
    /// `registry`, `local`, `gha`, …
    #[serde(rename = "Type", alias = "type", default)]
    pub kind: String,
    /// Its attributes.
    #[serde(rename = "Attrs", alias = "attrs", default, deserialize_with = "super::options::nullable")]
    pub attributes: HashMap<String, String>,
}

impl SolveRequest {
    /// Solves `definition`.
    pub fn new(definition: &llb::Definition) -> Self {
        Self::graph(definition.into())
    }

    /// Solves a graph that somebody else made: an input, or what a result was made of.
    pub fn graph(graph: Graph) -> Self {
        Self::of(proto::SolveRequest { definition: Some(graph.0), ..Default::default() })
    }

    /// Runs another frontend: `dockerfile.v0`, or `gateway.v0` with the option `source`.
    pub fn frontend(name: &str, options: impl IntoIterator<Item = (String, String)>) -> Self {
        let frontend_opt = options.into_iter().collect();
        Self::of(proto::SolveRequest { frontend: name.to_owned(), frontend_opt, ..Default::default() })
    }

    fn of(request: proto::SolveRequest) -> Self {
        Self { proto: proto::SolveRequest { allow_result_return: true, allow_result_array_ref: true, ..request } }
    }

    /// Whether the answer waits until everything is done, so that a failure is an error of this request.
    #[must_use]
    pub fn evaluate(mut self, evaluate: bool) -> Self {
        self.proto.evaluate = evaluate;
        self
    }

    /// Hands a graph to the other frontend.
    #[must_use]
    pub fn input(mut self, name: &str, graph: Graph) -> Self {
        self.proto.frontend_inputs.insert(name.to_owned(), graph.0);
        self
    }

    /// Caches to look into ([`super::Options::cache_imports`]).
    #[must_use]
    pub fn cache_imports(mut self, imports: impl IntoIterator<Item = CacheImport>) -> Self {
        let imports = imports
            .into_iter()
            .map(|import| proto::CacheOptionsEntry { r#type: import.kind, attrs: import.attributes });
        self.proto.cache_imports.extend(imports);
        self
    }

    /// How large (bytes) it is on its way; BuildKit takes [`super::MAX_MESSAGE`].
    pub fn size(&self) -> usize {
        self.proto.encoded_len()
    }

    pub(super) fn into_proto(self) -> proto::SolveRequest {
        self.proto
    }
}

/// The result of a solve, or of the whole build: a reference or several by name, and metadata.
#[derive(Debug, Clone, Default)]
pub struct BuildResult {
    /// The only reference; an empty result has none.
    pub reference: Option<Reference>,
    /// References by platform. Where there are any, they are the result.
    pub references: BTreeMap<String, Option<Reference>>,
    /// What clients and exporters read.
    pub metadata: BTreeMap<String, Vec<u8>>,
    attestations: HashMap<String, proto::Attestations>,
}

/// One platform of an image to return.
#[derive(Debug, Clone)]
pub struct Image {
    /// What it runs on.
    pub platform: Platform,
    /// Its root filesystem.
    pub reference: Reference,
    /// Its OCI configuration, as JSON.
    pub config: Vec<u8>,
}

impl BuildResult {
    /// A result that is one reference.
    pub fn single(reference: Reference) -> Self {
        Self { reference: Some(reference), ..Self::default() }
    }

    /// An image of one or several platforms, as exporters expect it. Where `multi_platform` is false there must be
    /// one: a map of one entry is an index, which some exporters refuse.
    ///
    /// # Errors
    /// When there are no images, or several without `multi_platform`.
    pub fn images(images: Vec<Image>, multi_platform: bool) -> Result<Self, Error> {
        let written = |image: &Image| {
            let Platform { os, architecture, variant } = &image.platform;
            let mut platform = json!({ "architecture": architecture, "os": os });
            if !variant.is_empty() {
                platform["variant"] = json!(variant);
            }
            json!({ "ID": image.platform.to_string(), "Platform": platform })
        };
        let platforms = json!({ "Platforms": images.iter().map(written).collect::<Vec<_>>() });
        let mut result = Self::default().with_metadata(PLATFORMS, platforms.to_string());
        if multi_platform && !images.is_empty() {
            for image in images {
                let id = image.platform.to_string();
                result.metadata.insert(format!("{IMAGE_CONFIG}/{id}"), image.config);
                result.references.insert(id, Some(image.reference));
            }
        } else {
            let [image] = <[Image; 1]>::try_from(images).map_err(|images| {
                Error::new(format!("a plain result has one image, but there are {}", images.len()))
            })?;
            result.metadata.insert(IMAGE_CONFIG.to_owned(), image.config);
            result.reference = Some(image.reference);
        }
        Ok(result)
    }

    /// Adds metadata.
    #[must_use]
    pub fn with_metadata(mut self, key: &str, value: impl Into<Vec<u8>>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }

    /// The time (seconds since 1970) that exporters give to the image and cut its files' times to.
    #[must_use]
    pub fn with_epoch(mut self, seconds: i64) -> Self {
        let platforms: Vec<String> = self.references.keys().map(|id| format!("{EPOCH}/{id}")).collect();
        for key in platforms.into_iter().chain([EPOCH.to_owned()]) {
            self.metadata.insert(key, seconds.to_string().into_bytes());
        }
        self
    }

    /// Attaches a bill of materials to the image of a platform: the document at `path` of `reference`, whose type is
    /// `predicate` (`https://spdx.dev/Document`).
    ///
    /// BuildKit makes the in-toto statement of it, and then runs no scanner. Without its `sbom-core` it also leaves the
    /// document as it is (`exporter/containerimage/attestations.go`, v0.32).
    #[must_use]
    pub fn with_sbom(mut self, platform: &str, reference: Reference, path: &str, predicate: &str) -> Self {
        let attestation = proto::Attestation {
            kind: proto::AttestationKind::InToto.into(),
            metadata: HashMap::from([("reason".to_owned(), b"sbom".to_vec())]),
            r#ref: Some(reference.into_proto()),
            path: path.to_owned(),
            in_toto_predicate_type: predicate.to_owned(),
            in_toto_subjects: Vec::new(),
        };
        self.attestations.entry(platform.to_owned()).or_default().attestation.push(attestation);
        self
    }

    pub(super) fn from_proto(client: &Client, result: proto::Result) -> Result<Self, Error> {
        use proto::result::Result as Refs;
        let reference = |r: proto::Ref| (!r.id.is_empty()).then(|| Reference::new(client, r));
        let (single, several) = match result.result {
            None => (None, BTreeMap::new()),
            Some(Refs::Ref(r)) => (reference(r), BTreeMap::new()),
            Some(Refs::Refs(map)) => (None, map.refs.into_iter().map(|(key, r)| (key, reference(r))).collect()),
            Some(Refs::RefDeprecated(_) | Refs::RefsDeprecated(_)) => {
                return Err(Error::new("this BuildKit is too old: version 0.7 or newer is required"));
            }
        };
        Ok(Self {
            reference: single,
            references: several,
            metadata: result.metadata.into_iter().collect(),
            attestations: result.attestations,
        })
    }

    pub(super) fn into_proto(self) -> proto::Result {
        let to_ref = |r: Option<Reference>| r.map_or_else(proto::Ref::default, Reference::into_proto);
        let result = if self.references.is_empty() {
            proto::result::Result::Ref(to_ref(self.reference))
        } else {
            let refs = self.references.into_iter().map(|(key, r)| (key, to_ref(r))).collect();
            proto::result::Result::Refs(proto::RefMap { refs })
        };
        proto::Result {
            result: Some(result),
            metadata: self.metadata.into_iter().collect(),
            attestations: self.attestations,
        }
    }
}
