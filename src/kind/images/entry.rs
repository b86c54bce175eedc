//! `images:` as the user writes it, and how it is read. Owns its keys; does not know what the lists say.

use std::collections::BTreeSet;

use schemars::JsonSchema;

use crate::decode::yaml::{Node, Value, place};
use crate::decode::{Decoder, Fields, LIST_KEYS, Text, schema};
use crate::diagnostic::{Diagnostic, Spanned};
use crate::name::{Arch, ContextPath, ImageRef, ServedName, Template};

pub(crate) const IMAGE_KEYS: [&str; 3] = ["image", "as", "architectures"];
pub(crate) const RENAME_KEYS: [&str; 1] = ["rename"];

/// Container images to serve: those of a list, or one; or a table of the names to serve them under.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum ImagesEntry {
    /// A list of images.
    List(ImageListEntry),
    /// One image.
    Image(ImageEntry),
    /// A table of names.
    Rename(RenameEntry),
}

impl ImagesEntry {
    /// The list of images that it names, if it names one.
    pub(crate) fn list(&self) -> Option<&Spanned<Template<ContextPath>>> {
        match self {
            Self::List(entry) => Some(&entry.list),
            Self::Rename(_) | Self::Image(_) => None,
        }
    }

    /// The rename table that it names, if it names one.
    pub(crate) fn table(&self) -> Option<&Spanned<Template<ContextPath>>> {
        match self {
            Self::Rename(entry) => Some(&entry.rename),
            Self::List(_) | Self::Image(_) => None,
        }
    }
}

/// A file in the build context with one image per line.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ImageListEntry {
    /// The path of the list in the build context. `{arch}` stands for `amd64` and `arm64`, `{uname}` for `x86_64` and
    /// `aarch64`; with one of them, each architecture has its own list. The same applies to the lines of the list. Blank
    /// lines and lines that start with `#` are skipped.
    #[schemars(with = "Text<Template<ContextPath>>", extend("examples" = ["temp/images.list", "temp/images-{arch}.list"]))]
    pub list: Spanned<Template<ContextPath>>,
}

/// A single image; with `{arch}` or `{uname}` in it, one for each architecture.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ImageEntry {
    /// The name of the image, as in `docker pull`. `{arch}` stands for `amd64` and `arm64`, `{uname}` for `x86_64`
    /// and `aarch64`.
    #[schemars(with = "Text<Template<ImageRef>>", extend("examples" = ["quay.io/calico/node:v3.27.3"]))]
    pub image: Spanned<Template<ImageRef>>,
    /// The repository, and optionally the tag, to serve it as, instead of `PREFIX/REGISTRY/REPOSITORY:TAG`.
    #[schemars(rename = "as", default = "schema::optional", with = "Text<Template<ServedName>>", extend("examples" = ["library/calico-node:v3.27.3"]))]
    pub served: Option<Template<ServedName>>,
    /// The architectures that the image is needed for, if not for all of the definition. Others than those of the definition are
    /// skipped.
    #[schemars(default = "schema::optional", with = "Vec<Arch>", length(min = 1), extend("uniqueItems" = true, "default" = ["amd64", "arm64"], "examples" = [["amd64"]]))]
    pub architectures: BTreeSet<Arch>,
}

/// A YAML file in the build context: a list of `{ src: REPOSITORY, dest: REPOSITORY }`.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RenameEntry {
    /// The path of the table in the build context. `src` is a repository, or a repository and a tag, as it is written in
    /// `image:` and in lists; `dest` is the repository to serve it as.
    #[schemars(with = "Text<Template<ContextPath>>", extend("examples" = ["images_origin.yaml"]))]
    pub rename: Spanned<Template<ContextPath>>,
}

impl Decoder<'_> {
    pub(crate) fn images(&mut self, node: &Node) -> Vec<ImagesEntry> {
        let entries = self.list(node, "`images`").unwrap_or_default();
        let images: Vec<_> = entries.iter().filter_map(|node| self.images_entry(node)).collect();
        let only_names = images.iter().all(|entry| matches!(entry, ImagesEntry::Rename(_)));
        if only_names && !images.is_empty() && images.len() == entries.len() {
            let span = self.span(place(node));
            let problem = Diagnostic::error("`images` has only rename tables, and no image").at(span);
            self.error(problem.help("add a `- list:` or an `- image:`"));
        }
        images
    }

    fn images_entry(&mut self, node: &Node) -> Option<ImagesEntry> {
        const WHAT: &str = "an entry of `images`";
        if let Value::String(text) = node.value() {
            let key = if text.contains([':', '@']) { "image" } else { "list" };
            self.not_a_mapping(WHAT, node, key);
            return None;
        }
        let all: Vec<_> = LIST_KEYS.into_iter().chain(IMAGE_KEYS).chain(RENAME_KEYS).collect();
        let fields = self.fields(node, WHAT, &all)?;
        if let Some(node) = fields.get("list") {
            self.alone(&fields, "list", &all);
            return Some(ImagesEntry::List(ImageListEntry { list: self.name(node, "`list`")? }));
        }
        if let Some(node) = fields.get("rename") {
            self.alone(&fields, "rename", &all);
            return Some(ImagesEntry::Rename(RenameEntry { rename: self.name(node, "`rename`")? }));
        }
        if !["list", "image", "rename"].into_iter().any(|key| fields.has(key)) {
            let span = self.span(fields.range());
            self.error(
                Diagnostic::error(format!("missing key `list`, `image` or `rename` in {WHAT}"))
                    .at(span)
                    .help("write `list: FILE`, `image: NAME:TAG` or `rename: FILE`"),
            );
        }
        let image = fields.get("image").and_then(|node| self.image(node));
        let served = fields.get("as").map(|node| self.name::<Template<ServedName>>(node, "`as`"));
        let served = match served {
            Some(served) => Some(served?.value),
            None => None,
        };
        let architectures = match fields.get("architectures") {
            Some(node) => self.architectures(node),
            None => Arch::ALL.to_vec(),
        };
        let architectures = architectures.into_iter().collect();
        Some(ImagesEntry::Image(ImageEntry { image: image?, served, architectures }))
    }

    fn image(&mut self, node: &Node) -> Option<Spanned<Template<ImageRef>>> {
        if let Value::Number(_) = node.value() {
            let span = self.span(place(node));
            let problem = Diagnostic::error("`image` must be the name of an image, but YAML reads this as a number");
            self.error(problem.at(span).help("add the repository in front: `REPOSITORY:1.30`"));
            return None;
        }
        self.name(node, "`image`")
    }

    /// Reports the keys that cannot stand next to `key`.
    fn alone(&mut self, fields: &Fields<'_>, key: &str, keys: &[&str]) {
        for entry in keys.iter().filter(|other| **other != key).filter_map(|other| fields.entry(other)) {
            let other = &entry.key;
            let beside = ["as", "architectures"].iter().any(|key| *other == **key);
            let help = if beside { "use it next to `image`" } else { "split them into two entries" };
            let span = self.span(entry.key_range.clone());
            self.error(Diagnostic::error(format!("`{other}` cannot be combined with `{key}`")).at(span).help(help));
        }
    }
}
