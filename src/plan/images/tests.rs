//! The storage of small sets as pictures, and what must hold for large ones.

use std::fmt::Write as _;

use super::*;
use crate::diagnostic::Source;
use crate::plan::Layer;
use crate::resolve::image::{Blobs, Wanted as WantedImage};
use crate::spec::Definition;

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

/// The plan of a definition (without its images) and images, for these platforms.
fn planned(definition: &str, images: &[Sample], platforms: &[&str]) -> Result<Plan<Content>, Error> {
    let mut have = Blobs::new();
    let tops: BTreeMap<String, Digest> =
        images.iter().map(|image| (image.name.clone(), publish(image, &mut have))).collect();
    let names: String = images.iter().map(|image| format!("  - image: {}\n", image.name)).collect();
    let text = format!("apiVersion: kso/v1\n{definition}images:\n{names}");
    let mut diagnostics = Vec::new();
    let definition = Definition::parse(&Source::new("kso.yaml", text), &mut diagnostics).expect("a definition");
    let spec = definition.expand(&BTreeMap::new(), &mut diagnostics);
    assert_eq!(diagnostics.len(), 0, "{diagnostics:?}");
    let resolved: Vec<Resolved> = spec
        .images
        .iter()
        .map(|image| {
            let digest = tops[image.spans[0].text()].clone();
            let (reference, architectures) = (image.reference.clone(), image.architectures.clone());
            WantedImage { reference, digest, architectures, attestations: false }.resolve(&have).expect("complete")
        })
        .collect();
    let config = br#"{"config":{"Entrypoint":["/entrypoint.sh"],"Volumes":{"/var/lib/registry":{}}},
        "rootfs":{"diff_ids":[1,2,3,4,5]}}"#;
    let base = |platform: &&str| Base {
        platform: (*platform).to_owned(),
        reference: "registry@sha256:0".into(),
        config: config.to_vec(),
    };
    let bases: Vec<Base> = platforms.iter().map(base).collect();
    plan(&spec, &resolved, &bases, &Options::default())
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

fn shown(plan: &Plan<Content>, platforms: &[&str]) -> String {
    let mut out = String::new();
    for (at, layer) in plan.layers.iter().enumerate() {
        let on = plan.images.iter().zip(platforms).filter(|(image, _)| image.layers.contains(&at));
        let on: Vec<&str> = on.map(|(_, platform)| *platform).collect();
        let _ = writeln!(out, "{} [{}]", layer.name, on.join(" "));
        for entry in &layer.entries {
            let content = match &entry.content {
                Content::Text(text) if text.starts_with('{') => format!("{} bytes of text", text.len()),
                Content::Text(text) => short(text),
                Content::Blob(digest) => format!("blob {}", short(digest.as_str())),
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
    let config: serde_json::Value = serde_json::from_slice(&plan.images[0].config).unwrap();
    insta::assert_json_snapshot!(config);
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

/// A set of images with bases, some of them common, of many sizes; the same for each call.
fn many(count: u64) -> Vec<Sample> {
    let mut state = 7_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let image = |at: u64| {
        let base = random(count / 4 + 1);
        let base_layers = 1 + base % 3;
        let layers = 1 + random(4);
        // From 50 kB to 100 MB, each power as likely.
        let sizes: Vec<u64> = (0..layers).map(|_| 50_000 << random(11)).collect();
        let arch = |arch: &'static str| {
            let shared = (0..base_layers).map(|n| (format!("base {base} {n} {arch}"), 500_000 << (base % 6)));
            let own = sizes.iter().enumerate().map(|(n, size)| (format!("{at} {n} {arch}"), *size));
            let noarch = at.is_multiple_of(9).then(|| (format!("noarch {at}"), 20_000));
            (arch, shared.chain(own).chain(noarch).collect())
        };
        let manifests = if at % 17 == 16 { vec![arch("-")] } else { vec![arch("amd64"), arch("arm64")] };
        Sample { name: format!("registry.example/team{}/image{at}x:v1.0.{at}", at % 5), manifests }
    };
    (0..count).map(image).collect()
}

/// The next version of an image: its own layers are others of the same size; those of its base too, if asked.
fn upgraded(images: &[Sample], at: usize, base_too: bool) -> Vec<Sample> {
    let mut images = images.to_vec();
    images[at].name = images[at].name.replace(":v1.0.", ":v1.1.");
    for (layer, _) in images[at].manifests.iter_mut().flat_map(|(_, layers)| layers) {
        if base_too || !layer.starts_with("base") {
            layer.insert_str(0, "new ");
        }
    }
    images
}

/// The layers by their content, with their sizes.
fn contents(plan: &Plan<Content>, blobs: &BTreeMap<Digest, u64>) -> BTreeMap<Vec<(String, String)>, u64> {
    let one = |layer: &Layer<Content>| {
        let entries = layer.entries.iter().map(|entry| match &entry.content {
            Content::Text(text) => ((entry.path.clone(), text.clone()), text.len() as u64),
            Content::Blob(digest) => ((entry.path.clone(), String::new()), blobs[digest]),
        });
        let (entries, bytes): (Vec<_>, Vec<u64>) = entries.unzip();
        (entries, bytes.iter().sum())
    };
    plan.layers.iter().map(one).collect()
}

/// The sizes of all blobs.
fn sizes(images: &[Sample]) -> BTreeMap<Digest, u64> {
    let mut sizes = BTreeMap::new();
    for image in images {
        for (arch, layers) in &image.manifests {
            sizes.insert(Digest::of(format!("{arch} {layers:?}").as_bytes()), 500);
            sizes.extend(layers.iter().map(|(layer, bytes)| (Digest::of(layer.as_bytes()), *bytes)));
        }
    }
    sizes
}

/// What the upgrade of an image moves.
struct Moved {
    /// As a multiple of the image's own bytes.
    ratio: f64,
    /// As a part of all bytes.
    part: f64,
}

/// What the upgrades of every `step`th image move.
#[expect(clippy::cast_precision_loss, reason = "sizes in tests are small")]
fn moved(images: &[Sample], step: usize, base_too: bool) -> Vec<Moved> {
    let before = contents(&planned("", images, &BOTH).unwrap(), &sizes(images));
    let total: u64 = before.values().sum();
    let one = |at: usize| {
        let after = upgraded(images, at, base_too);
        let own: u64 = sizes(&after[at..=at]).values().sum();
        let layers = contents(&planned("", &after, &BOTH).unwrap(), &sizes(&after));
        let moved: u64 = layers.iter().filter(|(layer, _)| !before.contains_key(*layer)).map(|(_, bytes)| bytes).sum();
        Moved { ratio: moved as f64 / own as f64, part: moved as f64 / total as f64 }
    };
    (0..images.len()).step_by(step).map(one).collect()
}

#[test]
fn upgrading_one_of_57_moves_little_else() {
    for moved in moved(&many(57), 3, false) {
        assert!(moved.ratio <= 1.5, "{}", moved.ratio);
    }
}

/// Another image's layer moves only where two shared something and one is left.
#[test]
fn a_new_base_moves_little_else() {
    let moved = moved(&many(57), 3, true);
    let more: Vec<f64> = moved.iter().map(|moved| moved.ratio).filter(|ratio| *ratio > 1.5).collect();
    assert!(more.len() <= 2, "{more:?}");
}

/// There are fewer layers than images: the biggest have their own, and what moves with the others is small.
#[test]
fn upgrading_one_of_150_moves_little_else() {
    let moved = moved(&many(150), 10, false);
    let own = moved.iter().filter(|moved| moved.ratio <= 1.5).count();
    assert!(own >= 5, "{own}");
    assert!(moved.iter().all(|moved| moved.ratio <= 1.5 || moved.part < 0.1));
}

#[test]
fn every_entry_lies_in_one_layer() {
    for definition in ["", "registry: {architectures: all}\n"] {
        for count in [1, 2, 57, 150] {
            let images = many(count);
            let plan = planned(definition, &images, &BOTH).unwrap();
            let mut paths = BTreeSet::new();
            for layer in &plan.layers {
                assert!(!layer.entries.is_empty(), "{}", layer.name);
                assert!(layer.entries.is_sorted_by(|a, b| a.path < b.path), "{}", layer.name);
                assert!(layer.entries.iter().all(|entry| paths.insert(&entry.path)), "{}", layer.name);
            }
            for image in &plan.images {
                assert!(image.layers.len() <= 80, "{count} images: {} layers", image.layers.len());
            }
            let sizes = sizes(&images);
            assert_eq!(needed(&plan).len(), sizes.len());
            assert!(needed(&plan).into_iter().all(|digest| sizes.contains_key(digest)));
            // What both platforms hold is in layers of both, and nothing else is.
            let only = |at: usize| -> BTreeSet<&str> {
                let plan = &plan;
                plan.images[at]
                    .layers
                    .iter()
                    .flat_map(|at| &plan.layers[*at].entries)
                    .map(|e| e.path.as_str())
                    .collect()
            };
            let alone =
                ["linux/amd64", "linux/arm64"].map(|platform| planned(definition, &images, &[platform]).unwrap());
            for (at, one) in alone.iter().enumerate() {
                let paths: BTreeSet<&str> =
                    one.layers.iter().flat_map(|l| &l.entries).map(|e| e.path.as_str()).collect();
                assert_eq!(only(at), paths, "a platform has the same entries alone");
                let mine: Vec<_> = plan.images[at].layers.iter().map(|at| &plan.layers[*at]).collect();
                assert_eq!(mine, one.layers.iter().collect::<Vec<_>>(), "and the same layers");
                assert_eq!(plan.images[at].config, one.images[0].config);
            }
        }
    }
}

#[test]
fn the_order_does_not_matter() {
    let images = many(100);
    let mut reversed = images.clone();
    reversed.reverse();
    assert_eq!(planned("", &images, &BOTH), planned("", &reversed, &BOTH));
}
