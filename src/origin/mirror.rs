//! `mirrors:` as the user writes it, and how it is read: other places to ask. Owns which place stands for which; does
//! not know how any is asked.
//!
//! One key for files and for images: what is mirrored is told by the scheme of `from`, which a file's URL has and an
//! image's name has not.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use crate::decode::yaml::{Node, Value, place};
use crate::decode::{Decoder, Text};
use crate::diagnostic::{Diagnostic, Span, Spanned, quoted};
use crate::name::{FileUrl, ImagePrefix, ImageRef, UrlPrefix};

pub(crate) const MIRROR_KEYS: [&str; 2] = ["from", "to"];

/// Other places for files or for container images. What begins with `from` is asked for at each of `to` until one has it
/// with the right checksum or digest.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum Mirror {
    /// For files: URLs.
    Files(FileMirror),
    /// For images: registries and repositories.
    Images(ImageMirror),
}

/// Other locations for the URLs with a prefix.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct FileMirror {
    /// The URL prefix to replace, such as `https://dl.k8s.io/`. Of several matching mirrors, the longest
    /// prefix wins. Files are stored under the path of their original URL.
    #[schemars(with = "Text<UrlPrefix>", extend("examples" = ["https://dl.k8s.io/"]))]
    pub from: Spanned<UrlPrefix>,
    /// The replacements, in the order to try them. The original is tried only if it is listed.
    #[schemars(with = "Vec<Text<UrlPrefix>>", length(min = 1), extend("examples" = [["https://mirror.example/dl.k8s.io/", "https://dl.k8s.io/"]]))]
    pub to: Vec<Spanned<UrlPrefix>>,
}

/// Other locations for the images with a prefix.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ImageMirror {
    /// The prefix of the images' full names, without a scheme: a registry, or a part of one, such as `quay.io/`
    /// or `docker.io/library/`. Of several matching mirrors, the longest prefix wins. Images keep the name that they are
    /// served under.
    #[schemars(with = "Text<ImagePrefix>", extend("examples" = ["quay.io/", "docker.io/library/"]))]
    pub from: Spanned<ImagePrefix>,
    /// The replacements, in the order to try them. The original is tried only if it is listed.
    #[schemars(with = "Vec<Text<ImagePrefix>>", length(min = 1), extend("examples" = [["mirror.example/quay.io/", "quay.io/"]]))]
    pub to: Vec<Spanned<ImagePrefix>>,
}

impl FileMirror {
    /// The URL below each of the other places; empty where it does not begin with the mirror's prefix.
    pub fn candidates(&self, url: &FileUrl) -> Vec<FileUrl> {
        self.to.iter().filter_map(|to| self.from.value.rebase(url, &to.value)).collect()
    }
}

impl ImageMirror {
    /// The image below each of the other places; empty where it does not begin with the mirror's prefix.
    pub fn candidates(&self, image: &ImageRef) -> Vec<ImageRef> {
        self.to.iter().filter_map(|to| self.from.value.rebase(image, &to.value)).collect()
    }
}

/// All mirrors of a definition.
#[derive(Debug, Clone, Default)]
pub struct Mirrors {
    all: Vec<Mirror>,
    /// Images that are to be had at one other place, whatever mirrors there are.
    replaced: BTreeMap<ImageRef, ImageRef>,
}

impl Mirrors {
    /// Those of files.
    pub fn for_files(&self) -> impl Iterator<Item = &FileMirror> {
        self.all.iter().filter_map(|mirror| if let Mirror::Files(files) = mirror { Some(files) } else { None })
    }

    /// Those of images.
    pub fn for_images(&self) -> impl Iterator<Item = &ImageMirror> {
        self.all.iter().filter_map(|mirror| if let Mirror::Images(images) = mirror { Some(images) } else { None })
    }

    /// The mirror of a URL: the one with the longest prefix that fits.
    pub fn of_file(&self, url: &FileUrl) -> Option<&FileMirror> {
        let fitting = self.for_files().filter(|files| files.from.value.holds(url));
        fitting.max_by_key(|files| files.from.value.as_str().len())
    }

    /// The mirror of an image: the one with the longest prefix that fits.
    pub fn of_image(&self, image: &ImageRef) -> Option<&ImageMirror> {
        let fitting = self.for_images().filter(|images| images.from.value.holds(image));
        fitting.max_by_key(|images| images.from.value.as_str().len())
    }

    /// The URLs to try for a file, in order; never empty.
    pub fn files(&self, url: &FileUrl) -> Vec<FileUrl> {
        self.of_file(url).map_or_else(|| vec![url.clone()], |mirror| mirror.candidates(url))
    }

    /// From now on `image` is asked for as `other`, and nowhere else.
    pub fn replace(&mut self, image: &ImageRef, other: &ImageRef) {
        self.replaced.insert(image.clone(), other.clone());
    }

    /// The names to ask for an image by, in order; never empty.
    pub fn images(&self, image: &ImageRef) -> Vec<ImageRef> {
        if let Some(other) = self.replaced.get(image) {
            return vec![other.clone()];
        }
        self.of_image(image).map_or_else(|| vec![image.clone()], |mirror| mirror.candidates(image))
    }
}

impl Decoder<'_> {
    /// Whether a place is a URL: files have one.
    fn is_url(&self, node: &Node) -> Option<bool> {
        let Value::String(text) = node.value() else { return None };
        let expanded = self.args.and_then(|args| args.expand(text).ok());
        Some(expanded.map_or_else(|| text.contains("://"), |expanded| expanded.text.contains("://")))
    }

    pub(crate) fn mirrors(&mut self, node: &Node) -> Mirrors {
        const WHAT: &str = "an entry of `mirrors`";
        let mut seen = BTreeMap::new();
        let mut mirrors = Vec::new();
        for item in self.items(node, "`mirrors`").unwrap_or_default() {
            let Some(fields) = self.fields(item, WHAT, &MIRROR_KEYS) else { continue };
            let help = "write `from:` with the prefix of the URLs or image names to replace";
            let from = self.required(&fields, WHAT, "from", help);
            let to = self.required(&fields, WHAT, "to", "write `to: [https://mirror.example/]`");
            let to = to.and_then(|node| self.list(node, "`to`")).unwrap_or_default();
            let first = to.first();
            let files = from.into_iter().chain(first).find_map(|node| self.is_url(node)).unwrap_or(true);
            let mirror = if files {
                let (from, to) = self.places::<UrlPrefix>(from, to, files);
                from.map(|from| Mirror::Files(FileMirror { from, to }))
            } else {
                let (from, to) = self.places::<ImagePrefix>(from, to, files);
                from.map(|from| Mirror::Images(ImageMirror { from, to }))
            };
            let Some(mirror) = mirror else { continue };
            let (from, span, places) = match &mirror {
                Mirror::Files(files) => (files.from.value.as_str(), &files.from.span, files.to.len()),
                Mirror::Images(images) => (images.from.value.as_str(), &images.from.span, images.to.len()),
            };
            if let Some(first) = seen.get(from) {
                self.error(
                    Diagnostic::error(format!("duplicate mirror for {}", quoted(from)))
                        .at(span.clone())
                        .related(Span::clone(first), "first defined here")
                        .help("merge the entries: list all mirrors in one `to`"),
                );
                continue;
            }
            seen.insert(from.to_owned(), span.clone());
            if places > 0 {
                mirrors.push(mirror);
            }
        }
        Mirrors { all: mirrors, replaced: BTreeMap::new() }
    }

    /// The places of a mirror, of one kind.
    fn places<T: std::str::FromStr<Err = crate::name::Invalid>>(
        &mut self,
        from: Option<&Node>,
        to: &[Node],
        files: bool,
    ) -> (Option<Spanned<T>>, Vec<Spanned<T>>) {
        let from = from.and_then(|node| self.name(node, "`from`"));
        let to = to.iter().filter_map(|node| match self.is_url(node) {
            Some(url) if url != files && looks_like_the_other(node, files) => {
                let span = self.span(place(node));
                self.error(mixed(files).at(span));
                None
            }
            _ => self.name(node, "a mirror"),
        });
        let to = to.collect();
        (from, to)
    }
}

/// Whether the text is a place of the kind that does not belong here, and no misspelled one of the kind that does.
fn looks_like_the_other(node: &Node, files: bool) -> bool {
    let Value::String(text) = node.value() else { return false };
    if files { text.parse::<ImagePrefix>().is_ok() } else { true }
}

fn mixed(files: bool) -> Diagnostic {
    if files {
        Diagnostic::error("`to` is an image prefix, but `from` is a URL; use the same kind in both")
            .help("add the scheme, `https://`; or, to mirror images, remove the scheme from `from`")
    } else {
        Diagnostic::error("`to` is a URL, but `from` is an image prefix; use the same kind in both")
            .help("remove the scheme; or, to mirror files, add one to `from`: `https://…/`")
    }
}
