//! What an image is made of, read back from its registry with `buildx imagetools`. Does not know how it was built.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// A layer as a manifest lists it.
struct Layer {
    digest: String,
    /// Compressed, in bytes.
    bytes: u64,
    /// What made it, from the image's history.
    name: String,
}

/// Prints the platforms of `image`, their layers, and what they share. `buildx` makes a buildx command.
pub(crate) fn show(buildx: impl Fn() -> Command, image: &str) -> Result<(), String> {
    let inspect = |arguments: &[&str]| -> Result<Value, String> {
        let mut command = buildx();
        command.args(["imagetools", "inspect"]).args(arguments);
        let output = command.output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        serde_json::from_slice(&output.stdout).map_err(|error| format!("imagetools inspect printed no JSON: {error}"))
    };
    let index = inspect(&["--raw", image])?;
    let configs = inspect(&["--format", "{{json .Image}}", image])?;
    let repository = image.rsplit_once(':').map_or(image, |(repository, _)| repository);
    let mut platforms: Vec<(String, Vec<Layer>)> = Vec::new();
    for descriptor in index["manifests"].as_array().into_iter().flatten() {
        let platform = &descriptor["platform"];
        if platform["architecture"] == "unknown" {
            continue; // an attestation
        }
        let name = format!("{}/{}", text(&platform["os"]), text(&platform["architecture"]));
        let manifest = inspect(&["--raw", &format!("{repository}@{}", text(&descriptor["digest"]))])?;
        platforms.push((name.clone(), layers(&manifest, &configs[&name])));
    }
    let shared: BTreeSet<&str> = match platforms.as_slice() {
        [] => return Err(format!("{image} is no image of several platforms")),
        [(_, first), rest @ ..] => first
            .iter()
            .map(|layer| layer.digest.as_str())
            .filter(|digest| rest.iter().all(|(_, layers)| layers.iter().any(|layer| layer.digest == *digest)))
            .collect(),
    };

    println!("\n{image}\n");
    for layer in platforms[0].1.iter().filter(|layer| shared.contains(layer.digest.as_str())) {
        println!("  {:>10}  {}  {}", size(layer.bytes), &layer.digest[..19.min(layer.digest.len())], layer.name);
    }
    let total = |layers: &[Layer], in_shared: bool| {
        let chosen = layers.iter().filter(|layer| shared.contains(layer.digest.as_str()) == in_shared);
        chosen.fold((0, 0), |(count, bytes), layer| (count + 1, bytes + layer.bytes))
    };
    let (count, bytes) = total(&platforms[0].1, true);
    println!("\n{:14}{count:3} layers  {:>10}   stored and pushed once", "all platforms", size(bytes));
    for (name, layers) in &platforms {
        let (count, bytes) = total(layers, false);
        println!("{name:14}{count:3} layers  {:>10}   its own (the base image)", size(bytes));
    }
    let files = platforms[0].1.iter().filter(|layer| layer.name.starts_with("kso: ")).count().saturating_sub(1);
    println!("{files} files, each in a layer of its own and fetched once");
    Ok(())
}

/// The layers of a manifest with their names from the config's history, whose empty entries made no layer.
fn layers(manifest: &Value, config: &Value) -> Vec<Layer> {
    let history = config["history"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names = history.iter().filter(|entry| entry["empty_layer"] != true).map(|entry| text(&entry["created_by"]));
    let descriptors = manifest["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names = names.chain(std::iter::repeat(""));
    let layer = |(descriptor, name): (&Value, &str)| Layer {
        digest: text(&descriptor["digest"]).to_owned(),
        bytes: descriptor["size"].as_u64().unwrap_or(0),
        name: name.to_owned(),
    };
    descriptors.iter().zip(names).map(layer).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Bytes as a person reads them.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{}.{} kB", bytes / 1_000, bytes % 1_000 / 100),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}
