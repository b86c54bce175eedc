//! The storage of small sets as pictures, and what must hold for large ones.

mod fleet;
mod upgrades;

use std::fmt::Write as _;

use super::*;
use crate::artifact::ArtifactId;
use crate::definition::{Definition, Spec};
use crate::diagnostic::Source;
use crate::kind::images::resolved::{Blobs, Wanted as WantedImage};
use crate::kind::images::tree::tests::fleet::{many, real, sizes};
use crate::plan::{Layer, needed};

/// An image as a test writes it: its name, and the layers of each architecture with their sizes. An image with one
/// architecture `-` is an artifact without an index.
#[derive(Clone)]
struct Sample {
    name: String,
    manifests: Vec<(&'static str, Vec<(String, u64)>)>,
}

fn sample(name: &str, manifests: &[(&'static str, &[&str])]) -> Sample {
    let layers = |layers: &[&str]| layers.iter().map(|layer| ((*layer).to_owned(), 1000)).collect();
    let manifests = manifests.iter().map(|(arch, content)| (*arch, layers(content))).collect();
    Sample { name: name.to_owned(), manifests }
}

fn descriptor(media_type: &str, digest: &Digest, bytes: u64) -> serde_json::Value {
    serde_json::json!({ "mediaType": media_type, "digest": digest.as_str(), "size": bytes })
}

/// The document that an image's name leads to; what it needs is put into `have`.
fn publish(image: &Sample, have: &mut Blobs) -> Digest {
    let mut keep = |value: &serde_json::Value| {
        let bytes = value.to_string().into_bytes();
        let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
        have.insert(digest.clone(), bytes);
        (digest, size)
    };
    let mut manifests = Vec::new();
    for (arch, layers) in &image.manifests {
        let text = format!("{arch} {layers:?}");
        let kind = if *arch == "-" { "vnd.cncf.helm" } else { "vnd.oci.image" };
        let config = descriptor(&format!("application/{kind}.config.v1+json"), &Digest::of(text.as_bytes()), 500);
        let layers = layers.iter().map(|(layer, bytes)| descriptor("l", &Digest::of(layer.as_bytes()), *bytes));
        let manifest = serde_json::json!({
            "schemaVersion": 2, "config": config, "layers": layers.collect::<Vec<_>>()
        });
        let (digest, size) = keep(&manifest);
        if *arch == "-" {
            return digest;
        }
        let mut descriptor = descriptor("application/vnd.oci.image.manifest.v1+json", &digest, size);
        descriptor["platform"] = serde_json::json!({ "os": "linux", "architecture": arch });
        manifests.push(descriptor);
    }
    keep(&serde_json::json!({ "schemaVersion": 2, "manifests": manifests })).0
}

/// The specification of a definition (without its images) and images.
fn spec(definition: &str, images: &[Sample]) -> Spec {
    let names: String = images.iter().map(|image| format!("  - image: {}\n", image.name)).collect();
    let text = format!("apiVersion: kso/v1\n{definition}images:\n{names}");
    let mut diagnostics = Vec::new();
    let definition = Definition::parse(&Source::new("kso.yaml", text), &mut diagnostics).expect("a definition");
    let spec = definition.expand(&BTreeMap::new(), &mut diagnostics);
    assert_eq!(diagnostics.len(), 0, "{diagnostics:?}");
    spec
}

/// What an image of a specification stands for.
fn resolve(wanted: &Wanted, image: &Sample) -> Resolved {
    let mut have = Blobs::new();
    let digest = publish(image, &mut have);
    let (reference, architectures) = (wanted.reference.clone(), wanted.architectures.clone());
    WantedImage { reference, digest, architectures, attestations: false, configs: false }
        .resolve(&have)
        .expect("complete")
}

/// Bases of five layers.
fn bases(platforms: &[&str]) -> Vec<BaseImage> {
    let config = br#"{"config":{"Entrypoint":["/entrypoint.sh"],"Volumes":{"/var/lib/registry":{}}},
        "rootfs":{"diff_ids":[1,2,3,4,5]}}"#;
    let base = |platform: &&str| BaseImage {
        platform: platform.parse().expect("a platform"),
        reference: "registry:3".parse().expect("a name"),
        config: config.to_vec(),
    };
    platforms.iter().map(base).collect()
}

/// A plan, and what it is made of.
#[derive(Debug)]
struct Planned {
    plan: Plan,
    artifacts: Artifacts,
}

impl Planned {
    /// The digest of an artifact.
    fn digest(&self, id: ArtifactId) -> &Digest {
        self.artifacts[id].pin.as_ref().expect("a blob has a digest")
    }

    /// What a layer holds, by path: text, or the digest of a blob.
    fn content(&self, layer: &Layer) -> Vec<(String, String)> {
        let content = |content: &Content| match content {
            Content::Text(text) => text.clone(),
            Content::Artifact(id) => format!("blob {}", self.digest(*id)),
        };
        layer.entries.iter().map(|entry| (entry.path.clone(), content(&entry.content))).collect()
    }

    /// The layers of an image of the plan: their names, and what each holds.
    fn layers(&self, image: usize) -> Vec<(&str, Vec<(String, String)>)> {
        let layers = self.plan.images[image].layers.iter().map(|at| &self.plan.layers[*at]);
        layers.map(|layer| (layer.name.as_str(), self.content(layer))).collect()
    }
}

/// The plan of a definition (without its images) and images, for these platforms.
fn planned(definition: &str, images: &[Sample], platforms: &[&str]) -> Result<Planned, Error> {
    let spec = spec(definition, images);
    let by_name: BTreeMap<&str, &Sample> = images.iter().map(|image| (image.name.as_str(), image)).collect();
    let resolved: Vec<Resolved> =
        spec.images.iter().map(|wanted| resolve(wanted, by_name[wanted.spans[0].text()])).collect();
    let artifacts = artifacts(spec.image_section(), &resolved);
    let plan = plan(spec.image_section(), &resolved, &artifacts, &bases(platforms), &Options::default())?;
    Ok(Planned { plan, artifacts })
}

/// Paths and digests, short.
fn short(text: &str) -> String {
    let mut out = String::new();
    let mut digits = 0;
    for c in text.replace("/var/lib/registry/docker/registry/v2/", "").chars() {
        digits = if c.is_ascii_hexdigit() { digits + 1 } else { 0 };
        if digits <= 6 {
            out.push(c);
        }
    }
    out
}

fn shown(planned: &Planned, platforms: &[&str]) -> String {
    let (mut out, plan) = (String::new(), &planned.plan);
    for (at, layer) in plan.layers.iter().enumerate() {
        let on = plan.images.iter().zip(platforms).filter(|(image, _)| image.layers.contains(&at));
        let on: Vec<&str> = on.map(|(_, platform)| *platform).collect();
        let _ = writeln!(out, "{} [{}]", layer.name, on.join(" "));
        for entry in &layer.entries {
            let content = match &entry.content {
                Content::Text(text) if text.starts_with('{') => format!("{} bytes of text", text.len()),
                Content::Text(text) => short(text),
                Content::Artifact(id) => format!("blob {}", short(planned.digest(*id).as_str())),
            };
            let _ = writeln!(out, "  {} = {content}", short(&entry.path));
        }
    }
    out
}

const BOTH: [&str; 2] = ["linux/amd64", "linux/arm64"];

#[test]
fn the_storage_of_a_small_set() {
    let images = [
        sample(
            "quay.io/a:1",
            &[("amd64", &["base-amd64", "a-amd64"]), ("arm64", &["base-arm64", "a-arm64", "noarch"])],
        ),
        sample(
            "quay.io/b:1",
            &[("amd64", &["base-amd64", "b-amd64", "noarch"]), ("arm64", &["base-arm64", "b-arm64"])],
        ),
        sample("quay.io/chart:1", &[("-", &["chart"])]),
    ];
    let plan = planned("", &images, &BOTH).unwrap();
    insta::assert_snapshot!(shown(&plan, &BOTH));
    let config: serde_json::Value = serde_json::from_slice(&plan.plan.images[0].config).unwrap();
    insta::assert_json_snapshot!(config);
}

/// The layers of amd64 that another architecture in the definition moves, by their names.
fn moved(images: &[Sample]) -> Vec<String> {
    let alone = planned("architectures: [amd64]\n", images, &BOTH[..1]).unwrap();
    let beside = planned("", images, &BOTH).unwrap();
    let there: BTreeSet<_> = beside.plan.layers.iter().map(|layer| beside.content(layer)).collect();
    let moved = alone.plan.layers.iter().filter(|layer| !there.contains(&alone.content(layer)));
    moved.map(|layer| layer.name.clone()).collect()
}

#[test]
fn another_architecture_moves_nothing() {
    for images in [real(12, 1), real(57, 2), real(150, 3)] {
        assert_eq!(moved(&images), [""; 0], "{} images", images.len());
    }
    let images = [
        sample("quay.io/a:1", &[("amd64", &["a-amd64"]), ("arm64", &["a-arm64"])]),
        sample("quay.io/b:1", &[("amd64", &["b-amd64", "noarch"]), ("arm64", &["b-arm64", "noarch"])]),
        sample("quay.io/chart:1", &[("-", &["chart"])]),
    ];
    // That both hold the same blob is not known before: it leaves its image, and its link joins the documents of that one.
    assert_eq!(moved(&images), ["k8s/quay.io/b:1 for amd64", "group 2: indexes and links"]);
}

#[test]
fn one_digest_under_several_names_is_one_layer() {
    let mut image = sample("quay.io/a:1", &[("arm64", &["a"])]);
    let digest = publish(&image, &mut Blobs::new());
    let mut images = vec![image.clone()];
    for name in ["quay.io/a:1.0".to_owned(), "quay.io/b:1".to_owned(), format!("quay.io/c@{digest}")] {
        image.name = name;
        images.push(image.clone());
    }
    let platform = ["linux/arm64"];
    let plan = planned("architectures: [arm64]\n", &images, &platform).unwrap();
    insta::assert_snapshot!(shown(&plan, &platform));
}

#[test]
fn a_platform_that_is_not_defined_is_an_error() {
    let images = [sample("quay.io/a:1", &[("amd64", &["a"])])];
    let error = planned("architectures: [amd64]\n", &images, &["linux/arm64"]).unwrap_err();
    let problem = crate::diagnostic::Diagnostic::from(error);
    assert_eq!(problem.message, "no registry image for linux/arm64: the definition is for amd64");
}

#[test]
fn every_entry_lies_in_a_layer() {
    entries_lie_in_layers("");
}

#[test]
fn so_it_does_where_each_platform_has_all_architectures() {
    entries_lie_in_layers("registry: {architectures: all}\n");
}

fn entries_lie_in_layers(definition: &str) {
    for images in [many(1), many(2), many(57), many(150), real(150, 1)] {
        let count = images.len();
        let planned_both = planned(definition, &images, &BOTH).unwrap();
        let plan = &planned_both.plan;
        let mut content = BTreeMap::new();
        for layer in &plan.layers {
            assert!(!layer.entries.is_empty(), "{}", layer.name);
            assert!(layer.entries.is_sorted_by(|a, b| a.path < b.path), "{}", layer.name);
            for entry in &layer.entries {
                let first = *content.entry(&entry.path).or_insert(&entry.content);
                assert_eq!(first, &entry.content, "a path is the same wherever it lies");
            }
        }
        for image in &plan.images {
            assert!(image.layers.len() <= 115, "{count} images: {} layers", image.layers.len());
        }
        let sizes = sizes(&images);
        assert_eq!(needed(&plan.layers).len(), sizes.len());
        assert!(needed(&plan.layers).into_iter().all(|id| sizes.contains_key(planned_both.digest(id))));
        // What both platforms hold is in layers of both, and nothing else is.
        let alone = ["linux/amd64", "linux/arm64"].map(|platform| planned(definition, &images, &[platform]).unwrap());
        for (at, one) in alone.iter().enumerate() {
            assert_eq!(planned_both.layers(at), one.layers(0), "a platform has the same layers alone");
            assert_eq!(plan.images[at].config, one.plan.images[0].config);
        }
    }
}

#[test]
fn the_order_does_not_matter() {
    let images = many(100);
    let mut reversed = images.clone();
    reversed.reverse();
    assert_eq!(planned("", &images, &BOTH).unwrap().plan, planned("", &reversed, &BOTH).unwrap().plan);
}
