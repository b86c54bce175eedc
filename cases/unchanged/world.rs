//! What the record's builds are given: files and images whose bytes follow from their names, and servers that fail as a
//! scenario says. The same on every machine. Knows nothing of BuildKit's protocol, nor of kso.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// What a source answers: bytes, or an error in BuildKit's words.
pub(crate) type Answer = Result<Vec<u8>, String>;

/// The platforms that images have.
const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

/// Everything there is outside of a build. Images stay once they were asked for: a locked build asks for blobs alone.
#[derive(Default)]
pub(crate) struct World {
    /// Blobs and documents, by digest.
    blobs: BTreeMap<String, Vec<u8>>,
    /// The digests of indexes, and of the manifests that each names.
    indexes: BTreeMap<String, Vec<String>>,
    /// What a source answers first, in order, by its identifier; after that it answers as usual.
    script: BTreeMap<String, VecDeque<Answer>>,
}

/// `sha256:` and 64 hex digits.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl World {
    /// Has a source answer so, before it answers as usual.
    pub(crate) fn script(mut self, identifier: &str, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.script.insert(identifier.to_owned(), answers.into_iter().collect());
        self
    }

    /// The digest of the image of a name.
    pub(crate) fn image(&mut self, name: &str) -> String {
        let mut entries = Vec::new();
        for arch in ARCHITECTURES {
            let layers = [format!("{name} {arch}"), format!("{name} noarch")].map(|seed| self.layer(&seed));
            let ids: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
            let config = json!({
                "architecture": arch, "os": "linux",
                "config": { "Cmd": ["/run"], "Env": ["PATH=/bin"], "Labels": { "name": name } },
                "rootfs": { "type": "layers", "diff_ids": ids },
            });
            let config = self.keep("application/vnd.oci.image.config.v1+json", config.to_string());
            let mut entry = self.manifest(&config, &layers);
            entry["platform"] = json!({ "os": "linux", "architecture": arch });
            entries.push(entry);
        }
        for subject in entries.clone() {
            let statement = json!({ "subject": subject["digest"] }).to_string();
            let layer = self.keep("application/vnd.in-toto+json", statement);
            let config =
                json!({ "architecture": "unknown", "os": "unknown", "rootfs": { "type": "layers", "diff_ids": [] } });
            let config = self.keep("application/vnd.oci.image.config.v1+json", config.to_string());
            let mut entry = self.manifest(&config, &[layer]);
            entry["annotations"] = json!({
                "vnd.docker.reference.digest": subject["digest"],
                "vnd.docker.reference.type": "attestation-manifest",
            });
            entry["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
            entries.push(entry);
        }
        let below = entries.iter().map(text_of).collect();
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
        let digest = text_of(&self.keep(INDEX, index.to_string()));
        self.indexes.insert(digest.clone(), below);
        digest
    }

    /// The digest of a layer of the image of a name.
    pub(crate) fn layer_of(&mut self, name: &str) -> String {
        let _ = self.image(name);
        text_of(&self.layer(&format!("{name} noarch")))
    }

    fn manifest(&mut self, config: &Value, layers: &[Value]) -> Value {
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
        self.keep(MANIFEST, manifest.to_string())
    }

    /// A layer of some hundred bytes, or some thousand.
    fn layer(&mut self, seed: &str) -> Value {
        let times = 1 + usize::from(Sha256::digest(seed)[0]) / 2;
        self.keep("application/vnd.oci.image.layer.v1.tar+gzip", format!("{seed}\n").repeat(times))
    }

    fn keep(&mut self, media_type: &str, text: String) -> Value {
        let digest = digest(text.as_bytes());
        let descriptor = json!({ "mediaType": media_type, "digest": digest, "size": text.len() });
        self.blobs.insert(digest, text.into_bytes());
        descriptor
    }

    /// The digest of an image reference and its config for an architecture.
    pub(crate) fn resolve(&mut self, reference: &str, arch: &str) -> Result<(String, Vec<u8>), String> {
        if let Some(answer) = self.scripted(&format!("docker-image://{reference}")) {
            return Err(answer.expect_err("an image fails, or is as usual"));
        }
        let digest = match reference.split_once('@') {
            Some((_, digest)) => digest.to_owned(),
            None => self.image(reference),
        };
        let at = ARCHITECTURES.iter().position(|known| *known == arch).ok_or("no match for platform in manifest")?;
        let below = self.indexes.get(&digest).ok_or_else(|| format!("{reference}: not found"))?;
        let manifest: Value = serde_json::from_slice(&self.blobs[&below[at]]).expect("a manifest is JSON");
        let config = self.blobs[&text_of(&manifest["config"])].clone();
        Ok((digest, config))
    }

    /// What a blob source answers. Registries called `accept.…` and `token.…` have no manifests for a client that sends no
    /// Accept header, as BuildKit's blob source does.
    pub(crate) fn blob(&mut self, identifier: &str) -> Answer {
        if let Some(answer) = self.scripted(identifier) {
            return answer;
        }
        let (_, name) = identifier.split_once("://").unwrap_or_default();
        let (name, digest) = name.split_once('@').unwrap_or_default();
        let shy = ["accept.", "token."].iter().any(|host| name.starts_with(host));
        match self.blobs.get(digest).filter(|_| !shy || !self.is_document(digest)) {
            Some(bytes) => Ok(bytes.clone()),
            None => Err(format!("{name}@{digest}: not found")),
        }
    }

    /// What an `http` source answers: the manifests of registries, which are called `token.…` where they want a token; no
    /// checksum files; for any other URL the URL itself.
    pub(crate) fn http(&mut self, url: &str) -> Answer {
        if let Some(answer) = self.scripted(url) {
            return answer;
        }
        if let Some((registry, reference)) = url.split_once("/manifests/").filter(|(it, _)| it.contains("/v2/")) {
            let name = registry.trim_start_matches("https://").replacen("/v2/", "/", 1);
            if name.starts_with("token.") {
                return Err("invalid response status 401".to_owned());
            }
            let digest =
                if reference.contains(':') { reference.to_owned() } else { self.image(&format!("{name}:{reference}")) };
            return self.blobs.get(&digest).cloned().ok_or_else(|| "invalid response status 404".to_owned());
        }
        let has = !url.ends_with(".sha256");
        if has { Ok(format!("{url}\n").into_bytes()) } else { Err("invalid response status 404".to_owned()) }
    }

    /// What `kso manifests` writes of an image: the digest, and each manifest by its 64 hex digits.
    pub(crate) fn manifests(&mut self, reference: &str) -> BTreeMap<String, Vec<u8>> {
        let digest = match reference.split_once('@') {
            Some((_, digest)) => digest.to_owned(),
            None => self.image(reference),
        };
        let documents = self.indexes[&digest].iter().chain([&digest]);
        let files =
            documents.map(|it| (format!("sha256/{}", it.trim_start_matches("sha256:")), self.blobs[it].clone()));
        files.chain([("digest".to_owned(), digest.clone().into_bytes())]).collect()
    }

    fn is_document(&self, digest: &str) -> bool {
        self.indexes.iter().any(|(index, below)| index == digest || below.iter().any(|it| it == digest))
    }

    fn scripted(&mut self, identifier: &str) -> Option<Answer> {
        self.script.get_mut(identifier)?.pop_front()
    }
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The digest of a descriptor.
fn text_of(descriptor: &Value) -> String {
    descriptor["digest"].as_str().unwrap_or_default().to_owned()
}
