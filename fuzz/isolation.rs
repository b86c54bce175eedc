//! Nothing that a definition or a list says leaves its place in the image, or is more than a path in nginx's
//! configuration; and nothing that is built runs anything but kso, or has the network by itself.

use std::collections::{BTreeMap, BTreeSet};

use kso::base::BaseImage;
use kso::definition::{Definition, Spec};
use kso::diagnostic::{Diagnostic, Source};
use kso::kind::images::resolved::{Blobs, Resolved, Wanted};
use kso::kind::images::{storage, tree as images};
use kso::name::{Arch, Digest, Platform};
use proptest::prelude::*;
use serde_json::Value;

use crate::properties::lists::{clean, spec as holds};

/// Words that mean something to a shell, to nginx, to a path, a URL or YAML, between plain ones.
fn hostile() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        3 => "[a-z0-9]{1,6}",
        1 => prop::sample::select(vec![
            "..", ".", "/", "//", "../", "/..", ".wh.x", ".wh..wh..opq", "%2e%2e", "%2f", "%00", "%0a", "\\", "\0", "\n",
            "\r\n", "\t", " ", ";", "{", "}", "$host", "${IFS}", "$(id)", "`id`", "'", "\"", "#", "|", "&", "<", ">", "*",
            "?", "~", "-", "--", "@", ":", "{arch}", "{uname}", "{{ x }}", "{% x %}", "server{}", "include /etc/passwd;",
            "alias", "proxy_pass http://h;", "ä", "\u{202e}", "\u{feff}", "latest", "sha256:", "etc", "proc", "dev",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(word, 1..6).prop_map(|words| words.concat())
}

/// The spec of a definition, with what was told of it.
fn spec(definition: &Value, lists: &[(&str, &str)]) -> Option<(Spec, Vec<Diagnostic>)> {
    let mut diagnostics = Vec::new();
    let source = Source::new("kso.yaml", definition.to_string());
    let definition = Definition::parse(&source, &mut diagnostics)?;
    let lists: BTreeMap<_, _> =
        lists.iter().map(|(name, text)| ((*name).to_owned(), Ok(Source::new(*name, *text)))).collect();
    let spec = definition.expand(&lists, &mut diagnostics);
    Some((spec, diagnostics))
}

/// An image without an index, and its documents.
fn resolved(spec: &Spec) -> Vec<Resolved> {
    let config = br#"{"os":"linux","architecture":"amd64"}"#.to_vec();
    let descriptor = |bytes: &[u8], kind: &str| serde_json::json!({ "mediaType": kind, "digest": Digest::of(bytes).as_str(), "size": bytes.len() });
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "config": descriptor(&config, "application/vnd.oci.image.config.v1+json"),
        "layers": [descriptor(b"layer", "application/vnd.oci.image.layer.v1.tar")],
    });
    let manifest = manifest.to_string().into_bytes();
    let digest = Digest::of(&manifest);
    let have = Blobs::from([(digest.clone(), manifest), (Digest::of(&config), config)]);
    let one = |image: &kso::kind::images::Image| {
        let reference = image.reference.clone();
        let architectures = BTreeSet::from([Arch::Amd64]);
        let wanted = Wanted { digest: digest.clone(), reference, architectures, attestations: false, configs: false };
        wanted.resolve(&have).expect("complete")
    };
    spec.images.iter().map(one).collect()
}

fn base() -> BaseImage {
    let config = br#"{"config":{},"rootfs":{"diff_ids":["a"]}}"#.to_vec();
    BaseImage { platform: Platform::linux(Arch::Amd64), reference: "a:1".parse().expect("a name"), config }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn files_stay_below_the_served_folder(
        root in hostile(), path in hostile(), url in hostile(), stored in hostile(), list in prop::collection::vec(hostile(), 0..4)
    ) {
        let with = |server: Value| serde_json::json!({
            "apiVersion": "kso/v1",
            "files": [{ "url": format!("https://h.example/{url}"), "path": stored }, { "list": "a.list" }],
            "fileServer": server,
        });
        let list: String = list.iter().map(|line| format!("https://h.example/{line}\n")).collect();
        for server in [serde_json::json!({}), serde_json::json!({ "root": format!("/{root}"), "path": path })] {
            if let Some((spec, diagnostics)) = spec(&with(server), &[("a.list", &list)]) {
                holds(&spec, &diagnostics);
            }
        }
    }

    #[test]
    fn images_stay_in_the_storage(
        repository in hostile(), tag in hostile(), served in hostile(), prefix in hostile(), list in hostile(), plain in any::<bool>()
    ) {
        let (repository, tag) = if plain { ("a".to_owned(), "1".to_owned()) } else { (repository, tag) };
        let definition = serde_json::json!({
            "apiVersion": "kso/v1",
            "architectures": ["amd64"],
            "images": [{ "image": format!("quay.io/{repository}:{tag}"), "as": served }, { "list": "a.list" }],
            "registry": { "prefix": prefix },
        });
        if let Some((spec, diagnostics)) = spec(&definition, &[("a.list", &list)]) {
            holds(&spec, &diagnostics);
            let resolved = resolved(&spec);
            let artifacts = images::artifacts(spec.image_section(), &resolved);
            let plan = images::plan(spec.image_section(), &resolved, &artifacts, &[base()], &kso::plan::Options::default());
            for entry in plan.iter().flat_map(|plan| &plan.layers).flat_map(|layer| &layer.entries) {
                clean(entry.path.strip_prefix(storage::ROOT).and_then(|path| path.strip_prefix('/')).expect("in the storage"));
            }
        }
    }
}

/// What runs while an image is built, as the graph says it.
#[test]
fn a_graph_runs_nothing_but_kso_and_without_network() {
    let graph = |definition: &str, target: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("kso.yaml"), definition).expect("a file");
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_kso"))
            .args(["llb", "--target", target])
            .current_dir(folder.path())
            .output()
            .expect("the binary starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let files = "apiVersion: kso/v1\nfiles:\n- url: https://h.example/$(id)/a%20b;c\n";
    let text = graph(files, "files");
    assert!(!text.contains("exec"), "{text}");
    assert!(text.contains("https://h.example/$(id)/a%20b;c"), "{text}");
}
