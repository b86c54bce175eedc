//! Images as others publish them, of every kind that registries hold. Their bytes are decided by name and version, so that
//! a test can know them. It does not know where they are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::ops::RangeInclusive;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::content::{File, size};
use super::image::{CONFIG, Entry, INDEX, LAYER, MANIFEST, Tree, digest, platform_of};

pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

const CREATED: &str = "2024-05-06T07:08:09Z";

/// How an image is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An OCI index: linux/amd64, linux/arm64, linux/s390x.
    OciIndex,
    /// An OCI index: linux/amd64, linux/arm64.
    OciPair,
    /// A Docker manifest list, pretty-printed as Docker does: linux/amd64, linux/arm64/v8, linux/arm/v7.
    DockerList,
    /// One OCI manifest of this architecture, no index.
    OciManifest(&'static str),
    /// One Docker schema 2 manifest of this architecture, no list.
    DockerManifest(&'static str),
    /// An OCI index of images with zstd layers: linux/amd64, linux/arm64.
    Zstd,
    /// An OCI index as buildx pushes it: linux/amd64, linux/arm64, and an attestation manifest for each.
    Attested,
    /// An OCI index that has linux/amd64 and linux/s390x, but no linux/arm64.
    WithoutArm64,
    /// A Helm chart: one OCI manifest whose config is the chart's metadata.
    Chart,
    /// A signature as cosign pushes it: one OCI manifest, its layers JSON, its config of no platform.
    Signature,
    /// One Docker schema 1 manifest. Registries of today neither take nor serve it.
    Schema1,
    /// One Docker schema 2 manifest for amd64 with a foreign layer: a URL elsewhere, no blob.
    Foreign,
}

/// An index or a manifest.
#[derive(Debug, Clone)]
pub struct Document {
    pub media_type: &'static str,
    pub bytes: Vec<u8>,
    /// `linux/arm64/v8`, or `unknown/unknown`; empty for the top document, and for a manifest without index.
    pub platform: String,
}

impl Document {
    pub fn digest(&self) -> String {
        digest(&self.bytes)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).expect("documents are made from JSON")
    }

    /// The digests of the config and the layers, if it is a manifest; each once.
    pub fn blobs(&self) -> BTreeSet<String> {
        let json = self.json();
        let layers = json["layers"].as_array().cloned().unwrap_or_default();
        let descriptors = layers.iter().filter(|layer| layer["urls"].is_null()).chain([&json["config"]]);
        descriptors.filter_map(|descriptor| descriptor["digest"].as_str().map(str::to_owned)).collect()
    }
}

/// A published image.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Configs and layers by digest.
    pub blobs: BTreeMap<String, Vec<u8>>,
    /// Manifests in the order of the index, which comes last.
    pub documents: Vec<Document>,
}

/// What an image is made of.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// How it is published.
    pub kind: Kind,
    /// Its name: what no other image has.
    pub name: String,
    /// Its version: the layers of its own change with it.
    pub version: String,
    /// Layers it shares with whatever names the same: `alpine`.
    pub bases: Vec<String>,
    /// How many layers of its own it has for each architecture.
    pub own: usize,
    /// One layer more, the same for every architecture.
    pub common: bool,
    /// The sizes of its layers in bytes, before compression; they do not compress.
    pub sizes: RangeInclusive<u64>,
}

impl Recipe {
    /// Two layers of its own above a base that all share; small.
    pub fn new(kind: Kind, name: &str, version: &str) -> Self {
        let (name, version) = (name.to_owned(), version.to_owned());
        Self { kind, name, version, bases: vec!["debian".to_owned()], own: 2, common: true, sizes: 500..=8_000 }
    }

    /// The layers of one architecture, lowest first: diff ID and blob.
    fn layers(&self, arch: &str) -> Vec<(String, Vec<u8>)> {
        let mut seeds: Vec<String> = self.bases.iter().map(|base| format!("base/{base}/{arch}")).collect();
        seeds.extend(self.common.then(|| format!("{}/{}/noarch", self.name, self.version)));
        seeds.extend((0..self.own).map(|number| format!("{}/{}/{arch}/{number}", self.name, self.version)));
        let compress = if self.kind == Kind::Zstd { zstd } else { gzip };
        let layer = |seed: &String| {
            let tar = tar(seed, size(seed, &self.sizes));
            (digest(&tar), compress(&tar))
        };
        seeds.iter().map(layer).collect()
    }
}

impl Sample {
    /// An image of the default recipe.
    pub fn new(kind: Kind, name: &str, version: &str) -> Self {
        Self::of(&Recipe::new(kind, name, version))
    }

    /// Makes an image; the same recipe gives the same bytes.
    pub fn of(recipe: &Recipe) -> Self {
        let mut sample = Self::default();
        match recipe.kind {
            Kind::OciIndex => sample.index(recipe, &OCI, &["linux/amd64", "linux/arm64", "linux/s390x"]),
            Kind::OciPair => sample.index(recipe, &OCI, &["linux/amd64", "linux/arm64"]),
            Kind::WithoutArm64 => sample.index(recipe, &OCI, &["linux/amd64", "linux/s390x"]),
            Kind::Zstd => sample.index(recipe, &ZSTD, &["linux/amd64", "linux/arm64"]),
            Kind::DockerList => sample.index(recipe, &DOCKER, &["linux/amd64", "linux/arm64/v8", "linux/arm/v7"]),
            Kind::Attested => sample.attested(recipe),
            Kind::OciManifest(arch) => sample.single(recipe, &OCI, arch),
            Kind::DockerManifest(arch) => sample.single(recipe, &DOCKER, arch),
            Kind::Chart => sample.chart(recipe),
            Kind::Signature => sample.signature(recipe),
            Kind::Schema1 => sample.schema1(recipe),
            Kind::Foreign => sample.foreign(recipe),
        }
        sample
    }

    /// The document that a tag names.
    pub fn top(&self) -> &Document {
        self.documents.last().expect("a sample has a document")
    }

    /// The digest that a tag names.
    pub fn digest(&self) -> String {
        self.top().digest()
    }

    /// The manifest for a platform such as `linux/arm64`, whatever its variant; the only one, if there is no index.
    pub fn manifest(&self, platform: &str) -> Option<&Document> {
        match self.documents.as_slice() {
            [only] => Some(only),
            all => all.iter().find(|document| {
                document.platform.strip_prefix(platform).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }),
        }
    }

    /// Leaves out the manifests of all other platforms, and the blobs that only they name; the index stays as it is.
    #[must_use]
    pub fn keep(mut self, platforms: &[&str]) -> Self {
        let kept: BTreeSet<String> =
            platforms.iter().filter_map(|platform| self.manifest(platform)).map(Document::digest).collect();
        self.documents.retain(|document| document.platform.is_empty() || kept.contains(&document.digest()));
        let named: BTreeSet<String> = self.documents.iter().flat_map(Document::blobs).collect();
        self.blobs.retain(|digest, _| named.contains(digest));
        self
    }

    /// The bytes of all its blobs and documents.
    pub fn bytes(&self) -> u64 {
        let blobs = self.blobs.values().map(Vec::len).sum::<usize>();
        let documents: usize = self.documents.iter().map(|document| document.bytes.len()).sum();
        (blobs + documents) as u64
    }

    fn index(&mut self, recipe: &Recipe, format: &Format, platforms: &[&str]) {
        let descriptors: Vec<Value> = platforms.iter().map(|platform| self.image(recipe, format, platform)).collect();
        self.top_index(format, &descriptors);
    }

    fn top_index(&mut self, format: &Format, descriptors: &[Value]) {
        let index = json!({ "schemaVersion": 2, "mediaType": format.index, "manifests": descriptors });
        self.document(format, format.index, &index, "");
    }

    fn single(&mut self, recipe: &Recipe, format: &Format, arch: &str) {
        self.image(recipe, format, &format!("linux/{arch}"));
        self.documents[0].platform.clear();
    }

    /// Adds the image of one platform; returns its entry of the index.
    fn image(&mut self, recipe: &Recipe, format: &Format, platform: &str) -> Value {
        let object = platform_of(platform);
        let layers = recipe.layers(object["architecture"].as_str().unwrap_or_default());
        let diff_ids: Vec<&str> = layers.iter().map(|(id, _)| id.as_str()).collect();
        let mut config = json!({
            "created": CREATED,
            "architecture": object["architecture"],
            "os": object["os"],
            "config": { "Cmd": [format!("/{}", recipe.name)], "Labels": { "version": recipe.version } },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": layers.iter().map(|_| json!({ "created": CREATED, "created_by": "COPY" })).collect::<Vec<_>>(),
        });
        if let Some(variant) = object.get("variant") {
            config["variant"] = variant.clone();
        }
        let config = self.blob(format.config, config.to_string().into_bytes());
        let layers: Vec<Value> = layers.into_iter().map(|(_, blob)| self.blob(format.layer, blob)).collect();
        let manifest = json!({ "schemaVersion": 2, "mediaType": format.manifest, "config": config, "layers": layers });
        let mut entry = self.document(format, format.manifest, &manifest, platform);
        entry["platform"] = object;
        entry
    }

    fn attested(&mut self, recipe: &Recipe) {
        let mut entries: Vec<Value> =
            ["linux/amd64", "linux/arm64"].iter().map(|platform| self.image(recipe, &OCI, platform)).collect();
        for subject in entries.clone() {
            let statement = json!({
                "_type": "https://in-toto.io/Statement/v0.1",
                "predicateType": "https://slsa.dev/provenance/v0.2",
                "subject": [{ "name": recipe.name, "digest": { "sha256": subject["digest"] } }],
                "predicate": { "buildType": "https://mobyproject.org/buildkit@v1" },
            });
            let statement = statement.to_string().into_bytes();
            let id = digest(&statement);
            let mut layer = self.blob("application/vnd.in-toto+json", statement);
            layer["annotations"] = json!({ "in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2" });
            let rootfs = json!({ "type": "layers", "diff_ids": [id] });
            let config = json!({ "architecture": "unknown", "os": "unknown", "config": {}, "rootfs": rootfs });
            let config = self.blob(CONFIG, config.to_string().into_bytes());
            let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
            let mut entry = self.document(&OCI, MANIFEST, &manifest, "unknown/unknown");
            entry["annotations"] = json!({
                "vnd.docker.reference.digest": subject["digest"],
                "vnd.docker.reference.type": "attestation-manifest",
            });
            entry["platform"] = platform_of("unknown/unknown");
            entries.push(entry);
        }
        self.top_index(&OCI, &entries);
    }

    fn chart(&mut self, recipe: &Recipe) {
        let config =
            json!({ "name": recipe.name, "version": recipe.version, "apiVersion": "v2", "type": "application" });
        let config = self.blob("application/vnd.cncf.helm.config.v1+json", config.to_string().into_bytes());
        let chart = gzip(&tar(&format!("chart/{}/{}", recipe.name, recipe.version), 3_000));
        let chart = self.blob("application/vnd.cncf.helm.chart.content.v1.tar+gzip", chart);
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [chart],
            "annotations": { "org.opencontainers.image.title": recipe.name } });
        self.document(&OCI, MANIFEST, &manifest, "");
    }

    fn signature(&mut self, recipe: &Recipe) {
        let payload = json!({ "critical": { "identity": { "docker-reference": recipe.name },
            "type": "cosign container image signature" }, "optional": null });
        let payload = payload.to_string().into_bytes();
        let rootfs = json!({ "type": "layers", "diff_ids": [digest(&payload)] });
        let config =
            json!({ "architecture": "", "created": "0001-01-01T00:00:00Z", "os": "", "rootfs": rootfs, "config": {} });
        let config = self.blob(CONFIG, config.to_string().into_bytes());
        let mut layer = self.blob("application/vnd.dev.cosign.simplesigning.v1+json", payload);
        layer["annotations"] = json!({ "dev.cosignproject.cosign/signature": "MEUCIQDharness" });
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
        self.document(&OCI, MANIFEST, &manifest, "");
    }

    fn schema1(&mut self, recipe: &Recipe) {
        let (_, layer) = recipe.layers("amd64").swap_remove(0);
        let layer = self.blob("", layer);
        let compatible = json!({ "id": "0".repeat(64), "architecture": "amd64", "os": "linux" }).to_string();
        let manifest = json!({
            "schemaVersion": 1, "name": recipe.name, "tag": recipe.version, "architecture": "amd64",
            "fsLayers": [{ "blobSum": layer["digest"] }],
            "history": [{ "v1Compatibility": compatible }],
            "signatures": [],
        });
        self.document(&DOCKER, SCHEMA1, &manifest, "");
    }

    fn foreign(&mut self, recipe: &Recipe) {
        self.single(recipe, &DOCKER, "amd64");
        let mut manifest = self.documents.remove(0).json();
        let foreign = json!({
            "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "digest": digest(b"foreign"), "size": 7, "urls": ["https://layers.example/foreign"],
        });
        manifest["layers"].as_array_mut().expect("a manifest has layers").insert(0, foreign);
        self.document(&DOCKER, DOCKER_MANIFEST, &manifest, "");
    }

    fn blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let descriptor = json!({ "mediaType": media_type, "size": bytes.len(), "digest": digest(&bytes) });
        self.blobs.insert(digest(&bytes), bytes);
        descriptor
    }

    /// Adds a document; returns its descriptor.
    fn document(&mut self, format: &Format, media_type: &'static str, json: &Value, platform: &str) -> Value {
        let bytes = if format.pretty { serde_json::to_vec_pretty(json) } else { serde_json::to_vec(json) };
        let bytes = bytes.expect("JSON can be written");
        let descriptor = json!({ "mediaType": media_type, "size": bytes.len(), "digest": digest(&bytes) });
        self.documents.push(Document { media_type, bytes, platform: platform.to_owned() });
        descriptor
    }
}

/// The media types of a family, and how its documents are printed.
struct Format {
    index: &'static str,
    manifest: &'static str,
    config: &'static str,
    layer: &'static str,
    pretty: bool,
}

const OCI: Format = Format { index: INDEX, manifest: MANIFEST, config: CONFIG, layer: LAYER, pretty: false };
const ZSTD: Format = Format { layer: "application/vnd.oci.image.layer.v1.tar+zstd", ..OCI };
const DOCKER: Format = Format {
    index: DOCKER_LIST,
    manifest: DOCKER_MANIFEST,
    config: "application/vnd.docker.container.image.v1+json",
    layer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
    pretty: true,
};

fn tar(seed: &str, size: u64) -> Vec<u8> {
    let mut content = Vec::new();
    let file = File { path: seed.to_owned(), generation: 0, size, exact: None };
    file.chunks(|chunk| content.write_all(chunk)).expect("a vector takes everything");
    Tree::default().add(&format!("opt/{seed}"), Entry::File(0o755, content)).tar().expect("a vector takes everything")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).and_then(|()| gzip.finish()).expect("a vector takes everything")
}

/// A zstd frame of raw blocks (RFC 8878): nothing is compressed, and every reader takes it.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 128 << 10;
    let size = u32::try_from(bytes.len()).expect("layers are small");
    // One segment, its size in four bytes, no checksum.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend_from_slice(&size.to_le_bytes());
    let blocks = bytes.len().div_ceil(BLOCK);
    for (number, block) in bytes.chunks(BLOCK).enumerate() {
        let last = usize::from(number + 1 == blocks);
        let header = u32::try_from(last | block.len() << 3).expect("a block is small");
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.extend_from_slice(block);
    }
    frame
}
