//! Lists of URLs, of images, and tables of names, separated by NUL, in one definition; and what holds for every spec.

use std::collections::BTreeMap;

use kso::base::BaseImage;
use kso::definition::{Definition, MAX_LIST_BYTES, Spec};
use kso::diagnostic::{Diagnostic, Source};
use kso::kind::files::tree as files;
use kso::name::{Arch, FileUrl, ImageRef, Platform, ServedName, StoredPath};
use kso::plan::{Content, Plan};

use super::told;

const DEFINITION: &str = "apiVersion: kso/v1\nfiles:\n- list: a.list\n- list: b-{arch}.list\nimages:\n- list: c.list\n\
    - rename: d.yaml\n";
const NAMES: [&str; 5] = ["a.list", "b-amd64.list", "b-arm64.list", "c.list", "d.yaml"];

/// What lists ask for is told or becomes a spec, the same each time.
pub fn holds(data: &[u8]) {
    let mut diagnostics = Vec::new();
    let definition = Definition::parse(&Source::new("kso.yaml", DEFINITION), &mut diagnostics).expect("it is valid");
    let parts = data.split(|byte| *byte == 0).chain(std::iter::repeat(&b""[..]));
    let lists: BTreeMap<_, _> = NAMES
        .iter()
        .zip(parts)
        .map(|(name, part)| ((*name).to_owned(), Source::from_bytes(*name, part.to_vec(), MAX_LIST_BYTES)))
        .collect();
    let expand = || {
        let mut diagnostics = Vec::new();
        (definition.expand(&lists, &mut diagnostics), diagnostics)
    };
    let (made, diagnostics) = expand();
    let shown = told(&diagnostics);
    let again = expand();
    assert_eq!(format!("{made:?}"), format!("{:?}", again.0));
    assert_eq!(shown, told(&again.1));
    spec(&made, &diagnostics);
}

/// What holds for every spec: names can be read again, nothing is requested twice, and no path leaves its place.
pub(crate) fn spec(spec: &Spec, diagnostics: &[Diagnostic]) {
    assert!(spec.files.is_sorted_by(|a, b| a.path < b.path), "each path once");
    for file in &spec.files {
        assert_eq!(file.url.as_str().parse::<FileUrl>().as_ref(), Ok(&file.url));
        assert_eq!(file.path.as_str().parse::<StoredPath>().as_ref(), Ok(&file.path));
        clean(file.path.as_str());
        assert!(!file.spans.is_empty() && !file.architectures.is_empty());
        file.spans.iter().for_each(super::place);
    }
    for image in &spec.images {
        assert_eq!(image.reference.as_str().parse::<ImageRef>().as_ref(), Ok(&image.reference));
        assert_eq!(image.served.to_string().parse::<ServedName>().as_ref(), Ok(&image.served));
        clean(image.served.repository.as_str());
    }
    if diagnostics.iter().any(Diagnostic::is_error) {
        return;
    }
    assert!(!spec.architectures.is_empty());
    let config = br#"{"config":{},"rootfs":{"diff_ids":["a"]}}"#.to_vec();
    let base = BaseImage { platform: Platform::linux(Arch::Amd64), reference: "a:1".parse().expect("a name"), config };
    if let Ok(plan) = files::plan(
        spec.file_section(),
        &files::artifacts(spec.file_section()),
        &[base],
        &kso::plan::Options::default(),
    ) {
        confined(spec, &plan);
    }
}

/// Every file of a plan lies below the served folder, but for nginx's configuration, which says nothing but that folder.
pub(crate) fn confined(spec: &Spec, plan: &Plan) {
    let served = format!("{}/{}/", spec.file_server.root, spec.file_server.path);
    let mut held = 0;
    for entry in plan.layers.iter().flat_map(|layer| &layer.entries) {
        match &entry.content {
            Content::Artifact(_) => {
                clean(entry.path.strip_prefix(&served).expect("below the served folder"));
                held += 1;
            }
            Content::Text(text) => {
                assert_eq!(entry.path, "/etc/nginx/conf.d/default.conf");
                nginx(spec, text);
            }
        }
    }
    assert_eq!(held, spec.files.len(), "each file once");
}

/// A server block has the shape of the template, whatever the definition says.
fn nginx(spec: &Spec, text: &str) {
    let safe = |word: &str| word.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
    let (root, path) = (spec.file_server.root.as_str(), format!("/{}/", spec.file_server.path.as_str()));
    assert!(safe(root) && safe(&path), "{root} {path}");
    let plain = text.replacen(&path, "PATH", 1).replacen(root, "ROOT", 1);
    let expected: Vec<&str> =
        include_str!("../../src/kind/files/files.conf").lines().filter(|line| !line.contains("{{")).collect();
    let found: Vec<&str> = plain.lines().filter(|line| !line.contains("PATH") && !line.contains("ROOT")).collect();
    assert_eq!(found, expected, "{text}");
}

/// A relative path without anything that leads elsewhere.
pub(crate) fn clean(path: &str) {
    let bad = |part: &str| part.is_empty() || part == "." || part == ".." || part.starts_with(".wh.");
    assert!(!path.split('/').any(bad) && !path.contains(char::is_control), "{path:?}");
}
