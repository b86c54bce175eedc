//! The answer to `--call=kso.lists`: everything that a build downloads, one line for each, by architecture. Does not know
//! where it lies in an image.

use std::fmt::Write as _;

use buildkit::gateway::{BuildResult, subrequest};
use serde_json::{Map, Value, json};

use crate::definition::Spec;
use crate::kind::files::File;
use crate::kind::images::Image;
use crate::name::Arch;

/// The lists, as text that list files could hold, and as JSON with checksums and served names.
pub(super) fn answer(spec: &Spec) -> BuildResult {
    let mut text = String::new();
    let (mut files, mut images) = (Map::new(), Map::new());
    for &arch in &spec.architectures {
        let wanted: Vec<&File> = spec.files.iter().filter(|file| file.architectures.contains(&arch)).collect();
        section(&mut text, "files", arch, wanted.iter().map(|file| file.url.as_str()));
        files.insert(arch.to_string(), wanted.into_iter().map(file).collect());
    }
    for &arch in &spec.architectures {
        let wanted: Vec<&Image> = spec.images.iter().filter(|image| image.architectures.contains(&arch)).collect();
        section(&mut text, "images", arch, wanted.iter().map(|image| image.reference.as_str()));
        images.insert(arch.to_string(), wanted.into_iter().map(image).collect());
    }
    let json = json!({ "files": files, "images": images });
    subrequest::answer(serde_json::to_string_pretty(&json).unwrap_or_default(), text)
}

/// A comment, then one line for each.
fn section<'a>(text: &mut String, what: &str, arch: Arch, lines: impl ExactSizeIterator<Item = &'a str>) {
    if lines.len() == 0 {
        return;
    }
    let gap = if text.is_empty() { "" } else { "\n" };
    let _ = writeln!(text, "{gap}# {what} for {arch}: {}", lines.len());
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
}

fn file(file: &File) -> Value {
    json!({ "url": file.url.as_str(), "path": file.path.as_str(), "sha256": file.sha256.as_ref().map(ToString::to_string) })
}

fn image(image: &Image) -> Value {
    json!({ "image": image.reference.as_str(), "served": image.served.to_string() })
}
