//! `files:` as the user writes it. Owns its keys; does not know what the lists say.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::decode::yaml::{Node, Value, place};
use crate::decode::{Decoder, Fields, LIST_KEYS, Text, schema};
use crate::diagnostic::{Diagnostic, Spanned};
use crate::name::{Arch, ContextPath, Digest, FileUrl, StoredPath, Template};

pub(crate) const URL_KEYS: [&str; 3] = ["url", "sha256", "path"];

/// Files to download: those of a list, or one URL.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum FilesEntry {
    /// A list of URLs.
    List(ListEntry),
    /// One URL.
    Url(UrlEntry),
}

impl FilesEntry {
    /// The list that it names, if it names one.
    pub(crate) fn list(&self) -> Option<&Spanned<Template<ContextPath>>> {
        match self {
            Self::List(entry) => Some(&entry.list),
            Self::Url(_) => None,
        }
    }
}

/// A file in the build context with one URL per line.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ListEntry {
    /// The path of the list in the build context. `{arch}` stands for `amd64` and `arm64`, `{uname}` for `x86_64` and
    /// `aarch64`; with one of them, each architecture has its own list. Blank lines and lines that start with `#` are skipped.
    #[schemars(with = "Text<Template<ContextPath>>", extend("examples" = ["temp/files-{arch}.list"]))]
    pub list: Spanned<Template<ContextPath>>,
}

/// A single URL; with `{arch}` or `{uname}` in it, one for each architecture.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct UrlEntry {
    /// An `http` or `https` URL. `{arch}` stands for `amd64` and `arm64`, `{uname}` for `x86_64` and `aarch64`.
    #[schemars(with = "Text<Template<FileUrl>>")]
    pub url: Spanned<Template<FileUrl>>,
    /// The SHA-256 of the file; with a placeholder in the URL, one for each architecture.
    #[schemars(default = "schema::optional", with = "ChecksumText")]
    pub sha256: Checksum,
    /// Where to store the file below the served directory, instead of `HOST/PATH` of its URL. Required if a file server
    /// cannot serve the URL: because of a query, an encoded slash, or a missing file name.
    #[schemars(default = "schema::optional", with = "Text<Template<StoredPath>>", extend("examples" = ["get.helm.sh/helm-{arch}.tar.gz"]))]
    pub path: Template<StoredPath>,
}

/// The checksums of an entry.
#[derive(Debug, Clone)]
pub enum Checksum {
    /// None was given.
    None,
    /// The same for every architecture.
    One(Spanned<Digest>),
    /// One for each architecture.
    PerArch(BTreeMap<Arch, Spanned<Digest>>),
}

impl Checksum {
    /// The checksum for an architecture.
    pub fn get(&self, arch: Arch) -> Option<&Spanned<Digest>> {
        match self {
            Self::None => None,
            Self::One(digest) => Some(digest),
            Self::PerArch(digests) => digests.get(&arch),
        }
    }
}

impl Decoder<'_> {
    pub(crate) fn files_entry(&mut self, node: &Node, architectures: &[Arch]) -> Option<FilesEntry> {
        const WHAT: &str = "an entry of `files`";
        if let Value::String(text) = node.value() {
            let key = if text.contains("://") { "url" } else { "list" };
            self.not_a_mapping(WHAT, node, key);
            return None;
        }
        let all: Vec<_> = LIST_KEYS.into_iter().chain(URL_KEYS).collect();
        let fields = self.fields(node, WHAT, &all)?;
        if fields.has("list") {
            for entry in URL_KEYS.iter().filter_map(|key| fields.entry(key)) {
                let key = &entry.key;
                let help = if *key == "url" { "split them into two entries" } else { "use it next to `url`" };
                let span = self.span(entry.key_range.clone());
                self.error(Diagnostic::error(format!("`{key}` cannot be combined with `list`")).at(span).help(help));
            }
            let list = self.name(fields.get("list")?, "`list`")?;
            return Some(FilesEntry::List(ListEntry { list }));
        }
        if !fields.has("url") {
            let span = self.span(fields.range());
            self.error(
                Diagnostic::error(format!("missing key `list` or `url` in {WHAT}"))
                    .at(span)
                    .help("write `list:` with a file of URLs, or `url:` with one URL"),
            );
        }
        self.url_entry(&fields, architectures).map(FilesEntry::Url)
    }

    fn url_entry(&mut self, fields: &Fields<'_>, architectures: &[Arch]) -> Option<UrlEntry> {
        let url = fields.get("url").and_then(|node| self.name::<Template<FileUrl>>(node, "`url`"));
        let per_arch = url.as_ref().is_none_or(|url| url.value.per_arch());
        let sha256 = fields.get("sha256").map_or(Some(Checksum::None), |node| {
            let checksum = self.checksum(node)?;
            self.checksum_fits(node, &checksum, url.is_some().then_some(per_arch), architectures).then_some(checksum)
        });
        let path = fields.get("path").map(|node| self.name::<Template<StoredPath>>(node, "`path`"));
        let url = url?;
        let path = match path {
            Some(path) => path?.value,
            None => match url.value.try_map(FileUrl::stored_path) {
                Ok(path) => path,
                Err(invalid) => {
                    let problem = Diagnostic::error(invalid.message).at(url.span.clone());
                    self.error(problem.help("set where to store it: `path: HOST/DIRECTORY/FILE`"));
                    return None;
                }
            },
        };
        // An entry whose checksum is wrong is kept: its place can still be checked against the others.
        Some(UrlEntry { url, sha256: sha256.unwrap_or(Checksum::None), path })
    }

    fn checksum(&mut self, node: &Node) -> Option<Checksum> {
        if !matches!(node.value(), Value::Mapping(_)) {
            return self.name(node, "`sha256`").map(Checksum::One);
        }
        let fields = self.fields(node, "`sha256`", &Arch::ALL.map(Arch::as_str))?;
        let mut digests = BTreeMap::new();
        let mut complete = true;
        for arch in Arch::ALL {
            if let Some(node) = fields.get(arch.as_str()) {
                match self.name(node, "a checksum") {
                    Some(digest) => drop(digests.insert(arch, digest)),
                    None => complete = false,
                }
            } else if fields.has(arch.as_str()) {
                complete = false;
            }
        }
        complete.then_some(Checksum::PerArch(digests))
    }

    /// Whether there is one checksum for each file. `per_arch` is unknown where the URL was unusable.
    fn checksum_fits(&mut self, node: &Node, checksum: &Checksum, per_arch: Option<bool>, wanted: &[Arch]) -> bool {
        let (message, help) = match (checksum, per_arch) {
            (Checksum::One(_), Some(true)) if wanted.len() > 1 => (
                "one checksum for several architectures, whose files differ".to_owned(),
                "write `sha256: { amd64: …, arm64: … }`".to_owned(),
            ),
            (Checksum::PerArch(_), Some(false)) => (
                "a checksum for each architecture, but the URL is a single file: it has no `{arch}` or `{uname}`"
                    .to_owned(),
                "write one checksum, or add a placeholder to the URL".to_owned(),
            ),
            (Checksum::PerArch(digests), Some(true)) => {
                let Some(missing) = wanted.iter().find(|arch| !digests.contains_key(arch)) else { return true };
                (format!("no checksum for `{missing}`"), format!("add `{missing}: …`"))
            }
            _ => return true,
        };
        let span = self.span(place(node));
        self.error(Diagnostic::error(message).at(span).help(help));
        false
    }
}

/// How [`Checksum`] is written.
pub(crate) struct ChecksumText;

impl JsonSchema for ChecksumText {
    fn schema_name() -> Cow<'static, str> {
        "Checksum".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let digest = generator.subschema_for::<Text<Digest>>();
        json_schema!({
            "if": { "not": { "type": "object" } },
            "then": digest,
            "else": {
                "type": "object",
                "properties": { "amd64": digest, "arm64": digest },
                "additionalProperties": false
            }
        })
    }
}
