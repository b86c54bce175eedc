//! `kso/v1` as the user writes it, and how it is read. Owns the keys; does not know what the lists say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;

use super::arch::Arch;
use super::args::Args;
use super::decode::{Decoder, Fields};
use super::digest::Digest;
use super::file_url::FileUrl;
use super::folder::ContextPath;
use super::host::Host;
use super::image_ref::ImageRef;
use super::images::ImagesEntry;
use super::kubespray::{Kubespray, Rendered};
use super::mirror::{Mirror, Mirrors};
use super::registry::Registry;
use super::schema::Text;
use super::stored_path::StoredPath;
use super::template::Template;
use super::yaml::{self, Node, Value, place};
use super::{FileServer, schema, suggest};
use crate::diagnostic::{Diagnostic, Source, Span, Spanned, quoted};

/// The version of the definition that this kso reads.
pub(super) const API_VERSION: &str = "kso/v1";

/// What to build into images for installing Kubernetes without internet.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(title = "kso.yaml", deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("anyOf" = [{ "required": ["files"] }, { "required": ["images"] }, { "required": ["kubespray"] }]))]
pub struct Definition {
    /// The version of the definition's format.
    #[schemars(extend("const" = API_VERSION))]
    #[expect(dead_code, reason = "there is one version; the field is what the schema tells of it")]
    api_version: String,
    /// The architectures to download content for, independent of the platforms that the image runs on.
    #[schemars(default = "schema::optional", with = "Vec<Arch>", length(min = 1), extend("uniqueItems" = true, "default" = ["amd64", "arm64"]))]
    pub(super) architectures: Vec<Arch>,
    /// Arguments and their defaults, which `--build-arg` overrides. `${NAME}` is replaced by the value in every text of the
    /// definition; `$${` is a literal `${`.
    #[schemars(default = "schema::optional", with = "schema::ArgsText", extend("default" = {}))]
    pub(super) args: Args,
    /// Files and images of a Kubespray release, as its own variables define them.
    #[schemars(default = "schema::optional", with = "Kubespray")]
    pub(super) kubespray: Option<Kubespray>,
    /// What it downloads.
    #[schemars(skip)]
    pub(super) rendered: Rendered,
    /// The files to download and serve. Required if there are no `images` and no `kubespray`.
    #[schemars(default = "schema::optional", length(min = 1))]
    pub(super) files: Vec<FilesEntry>,
    /// The container images to serve from a registry. Required if there are no `files` and no `kubespray`.
    #[schemars(default = "schema::optional", length(min = 1))]
    pub(super) images: Vec<ImagesEntry>,
    /// Other locations to download from, by the prefix of a file's URL or of an image's full name. They need not be trusted:
    /// pinned content must match its checksum or digest, whoever sends it.
    #[schemars(default = "schema::optional", with = "Vec<Mirror>", extend("default" = [], "examples" = [[{ "from": "quay.io/", "to": ["mirror.example/quay.io/"] }]]))]
    pub(super) mirrors: Mirrors,
    /// Headers and secrets (as `Authorization`) to send to file servers. Registries use the
    /// login of `docker login` instead.
    #[schemars(default = "schema::optional", extend("default" = [], "examples" = [[{ "at": "https://files.example/", "secret": "files-token" }]]))]
    pub(super) hosts: Vec<Host>,
    /// The image that serves the files.
    #[schemars(default = "schema::optional", extend("default" = {}))]
    pub(super) file_server: FileServer,
    /// The image that serves the container images.
    #[schemars(default = "schema::optional", extend("default" = {}))]
    pub(super) registry: Registry,
    /// The path of the lock in the build context. Without it, the lock is next to the definition, with the same name and
    /// the ending `.lock`.
    #[schemars(default = "schema::optional", with = "Text<ContextPath>", extend("examples" = ["locks/kso.lock"]))]
    pub(super) lock: Option<Spanned<ContextPath>>,
}

/// Files to download: those of a list, or one URL.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum FilesEntry {
    /// A list of URLs.
    List(ListEntry),
    /// One URL.
    Url(UrlEntry),
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
    #[schemars(default = "schema::optional", with = "schema::ChecksumText")]
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

pub(super) const KEYS: [&str; 11] = [
    "apiVersion",
    "architectures",
    "args",
    "kubespray",
    "files",
    "images",
    "mirrors",
    "hosts",
    "fileServer",
    "registry",
    "lock",
];
pub(super) const LIST_KEYS: [&str; 1] = ["list"];
pub(super) const URL_KEYS: [&str; 3] = ["url", "sha256", "path"];
pub(super) const FILE_SERVER_KEYS: [&str; 4] = ["image", "root", "path", "layers"];

impl Definition {
    /// Reads a definition. `apiVersion` is checked first, alone: if it is missing, unknown or newer, that is the only
    /// error, since nothing else can be judged. All other problems are told at once; what is unusable is left out.
    /// `None` where nothing is usable.
    pub fn parse(source: &Arc<Source>, diagnostics: &mut Vec<Diagnostic>) -> Option<Self> {
        Self::parse_with(source, &BTreeMap::new(), diagnostics)
    }

    /// [`Self::parse`], with the arguments of the command line (`--build-arg`).
    pub fn parse_with(
        source: &Arc<Source>,
        build_args: &BTreeMap<String, String>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let document = match yaml::parse(source) {
            Ok(document) => document,
            Err(problem) => {
                diagnostics.push(problem);
                return None;
            }
        };
        if let Err(problem) = check_version(source, document.root.as_ref()) {
            diagnostics.push(problem);
            return None;
        }
        diagnostics.extend(document.problems);
        let root = document.root.as_ref()?;
        let mut decoder = Decoder { source, args: None, diagnostics };
        let declared = match root.value() {
            Value::Mapping(mapping) => mapping.get("args"),
            _ => None,
        };
        let args = decoder.args(declared, build_args);
        let definition = Decoder { source, args: Some(&args), diagnostics }.definition(root)?;
        Some(Self { args, ..definition })
    }

    /// The paths of the lists and of the tables of names, relative to the build context.
    pub fn lists(&self) -> BTreeSet<String> {
        let files = self.files.iter().filter_map(|entry| match entry {
            FilesEntry::List(entry) => Some(&entry.list.value),
            FilesEntry::Url(_) => None,
        });
        let images = self.images.iter().filter_map(|entry| match entry {
            ImagesEntry::List(entry) => Some(&entry.list.value),
            ImagesEntry::Rename(entry) => Some(&entry.rename.value),
            ImagesEntry::Image(_) => None,
        });
        files
            .chain(images)
            .flat_map(|list| self.architectures.iter().map(|arch| list.get(*arch).as_str().to_owned()))
            .collect()
    }

    /// The paths of the lists of architectures that are not wanted, which would be read if they were. None of them needs
    /// to be there.
    pub fn unwanted_lists(&self) -> BTreeSet<String> {
        let used = self.lists();
        let names = self.unwanted().map(|(name, ..)| name.to_owned());
        names.filter(|name| !used.contains(name)).collect()
    }

    /// Lists of architectures that are not wanted: name, architecture, and where the definition names them.
    pub(super) fn unwanted(&self) -> impl Iterator<Item = (&str, Arch, &Span)> {
        let files = self.files.iter().filter_map(|entry| match entry {
            FilesEntry::List(entry) => Some(&entry.list),
            FilesEntry::Url(_) => None,
        });
        let images = self.images.iter().filter_map(|entry| match entry {
            ImagesEntry::List(entry) => Some(&entry.list),
            ImagesEntry::Rename(_) | ImagesEntry::Image(_) => None,
        });
        let unwanted = Arch::ALL.into_iter().filter(|arch| !self.architectures.contains(arch));
        let unwanted: Vec<Arch> = unwanted.collect();
        files.chain(images).filter(|list| list.value.per_arch()).flat_map(move |list| {
            unwanted.clone().into_iter().map(move |arch| (list.value.get(arch).as_str(), arch, &list.span))
        })
    }

    /// The path of the lock in the build context, where it has another than that beside the definition.
    pub fn lock(&self) -> Option<&Spanned<ContextPath>> {
        self.lock.as_ref()
    }

    /// What is wanted of Kubespray.
    pub fn kubespray(&self) -> Option<&Kubespray> {
        self.kubespray.as_ref()
    }

    /// Adds what Kubespray's release downloads.
    pub fn render(&mut self, rendered: Rendered) {
        self.rendered = rendered;
    }

    /// The architectures that content is wanted for: sorted, each once.
    pub fn architectures(&self) -> &[Arch] {
        &self.architectures
    }
}

fn check_version(source: &Arc<Source>, root: Option<&Node>) -> Result<(), Diagnostic> {
    let span = |range| Span::new(source, range);
    let help = format!("write `apiVersion: {API_VERSION}`");
    let entries = match root.map(|root| (root.value(), root)) {
        None => return Err(Diagnostic::error("the definition is empty").at(span(0..0)).help(help)),
        Some((Value::Mapping(mapping), _)) => mapping.entries(),
        Some((_, root)) => {
            return Err(Diagnostic::error("a definition must be a mapping of keys to values")
                .at(span(place(root)))
                .help(help));
        }
    };
    let Some(entry) = entries.iter().find(|entry| entry.key == "apiVersion") else {
        let similar = entries.iter().find(|entry| suggest(&entry.key.to_string(), ["apiVersion"]).is_some());
        let place = similar.or(entries.first()).map_or(0..0, |entry| entry.key_range.clone());
        let problem = Diagnostic::error("missing key `apiVersion`").at(span(place));
        return Err(match similar {
            Some(entry) => problem.help(format!("write `apiVersion` instead of {}", quoted(&entry.key.to_string()))),
            None => problem.help(help),
        });
    };
    let place = span(place(&entry.value));
    let Value::String(version) = entry.value.value() else {
        return Err(Diagnostic::error("`apiVersion` must be text").at(place).help(help));
    };
    if **version == *API_VERSION {
        return Ok(());
    }
    let number = version.strip_prefix("kso/v").filter(|number| number.starts_with(|c: char| c.is_ascii_digit()));
    let newer = number.is_some_and(|number| number.parse::<f64>().is_ok_and(|number| number > 1.0));
    Err(if newer {
        Diagnostic::error(format!(
            "`apiVersion` {} is newer than this kso, which supports `{API_VERSION}`",
            quoted(version)
        ))
        .at(place)
        .help("use a newer kso: its version is set in the first line, `# syntax=…`")
    } else {
        Diagnostic::error(format!("unknown `apiVersion` {}", quoted(version))).at(place).help(help)
    })
}

impl Decoder<'_> {
    fn definition(&mut self, root: &Node) -> Option<Definition> {
        let fields = self.fields(root, "a definition", &KEYS)?;
        let architectures = match fields.get("architectures") {
            Some(node) => self.architectures(node),
            None => Arch::ALL.to_vec(),
        };
        if !["files", "images", "kubespray"].into_iter().any(|key| fields.has(key)) {
            let span = self.span(fields.range());
            self.error(
                Diagnostic::error("missing key `files`, `images` or `kubespray` in the definition").at(span).help(
                    "write `files:` with a `- list:` or a `- url:`, `images:` with a `- list:` or an `- image:`, or `kubespray:` with a `source:`",
                ),
            );
        }
        let files = fields.get("files").and_then(|node| self.list(node, "`files`")).unwrap_or_default();
        let images = fields.get("images").map(|node| self.images(node)).unwrap_or_default();
        let kubespray = fields.get("kubespray").and_then(|node| self.kubespray(node));
        let registry = fields.get("registry").map(|node| self.registry(node)).unwrap_or_default();
        let files = files.iter().filter_map(|node| self.files_entry(node, &architectures)).collect();
        let mirrors = fields.get("mirrors").map(|node| self.mirrors(node)).unwrap_or_default();
        let hosts = fields.get("hosts").map(|node| self.hosts(node)).unwrap_or_default();
        let file_server = fields.get("fileServer").map(|node| self.file_server(node)).unwrap_or_default();
        let lock = fields.get("lock").and_then(|node| self.name(node, "`lock`"));
        let api_version = API_VERSION.into();
        let rendered = Rendered::default();
        Some(Definition {
            api_version,
            architectures,
            args: Args::default(),
            kubespray,
            rendered,
            files,
            images,
            mirrors,
            hosts,
            file_server,
            registry,
            lock,
        })
    }

    fn architectures(&mut self, node: &Node) -> Vec<Arch> {
        let mut seen = BTreeMap::<Arch, Span>::new();
        for item in self.list(node, "`architectures`").unwrap_or_default() {
            let Some(Spanned { value: arch, span }) = self.name::<Arch>(item, "an architecture") else { continue };
            if let Some(first) = seen.get(&arch) {
                let first = first.clone();
                self.error(
                    Diagnostic::error(format!("duplicate architecture `{arch}`"))
                        .at(span)
                        .related(first, "first defined here")
                        .help("keep one of them"),
                );
            } else {
                seen.insert(arch, span);
            }
        }
        seen.into_keys().collect()
    }

    fn files_entry(&mut self, node: &Node, architectures: &[Arch]) -> Option<FilesEntry> {
        const WHAT: &str = "an entry of `files`";
        if let Value::String(text) = node.value() {
            let key = if text.contains("://") { "url" } else { "list" };
            let span = self.span(place(node));
            self.error(
                Diagnostic::error(format!("{WHAT} must be a mapping, but this is text"))
                    .at(span)
                    .help(format!("add `{key}: ` in front")),
            );
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

    fn file_server(&mut self, node: &Node) -> FileServer {
        let mut server = FileServer::default();
        let Some(fields) = self.fields(node, "`fileServer`", &FILE_SERVER_KEYS) else { return server };
        let mut place = self.span(place(node));
        if let Some(image) = fields.get("image").and_then(|node| self.name::<ImageRef>(node, "`image`")) {
            server.image = image.value;
            server.image_span = Some(image.span);
        }
        if let Some(root) = fields.get("root").and_then(|node| self.name(node, "`root`")) {
            server.root = root.value;
            place = root.span;
        }
        if let Some(path) = fields.get("path").and_then(|node| self.name(node, "`path`")) {
            server.path = path.value;
            place = path.span;
        }
        if let Some(layers) = fields.get("layers").and_then(|node| self.layer_limit(node)) {
            server.layers = layers;
        }
        if let Err(why) = server.root.holds(&server.path) {
            self.error(why.at("", &place));
        }
        server
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) -> Vec<String> {
        let mut diagnostics = Vec::new();
        let source = Source::new("kso.yaml", text);
        if let Some(definition) = Definition::parse(&source, &mut diagnostics) {
            definition.expand(&BTreeMap::new(), &mut diagnostics);
        }
        // The excerpts must not fail either.
        crate::diagnostic::render(&diagnostics, usize::MAX);
        diagnostics.into_iter().map(|diagnostic| diagnostic.message).collect()
    }

    #[test]
    fn only_a_number_is_newer() {
        let newer = |version: &str| check(&format!("apiVersion: {version}"))[0].contains("is newer");
        assert!(newer("kso/v2") && newer("kso/v1.1") && newer("kso/v10"));
        assert!(!newer("kso/vinf") && !newer("kso/v+2") && !newer("kso/v0") && !newer("kso/vinfinity"));
    }

    #[test]
    fn a_boolean_is_read_however_it_is_written() {
        let attestations = |value: &str| {
            let text = format!("apiVersion: kso/v1\nimages: [nginx]\nregistry: {{attestations: {value}}}\n");
            Definition::parse(&Source::new("kso.yaml", text), &mut Vec::new()).unwrap().registry.attestations
        };
        assert!(attestations("true") && attestations("True") && attestations("TRUE"));
        assert!(!attestations("false") && !attestations("False"));
    }

    #[test]
    fn a_version_problem_is_the_only_one() {
        for version in [
            "",
            "apiVersion: kso/v2",
            "apiVersion: kso/v1.1",
            "apiVersion: v1",
            "apiVersion: [kso/v1]",
            "apiversion: kso/v1",
        ] {
            let problems = check(&format!("{version}\nfile: 7\nfile: 8\n\"x\": !y z\n"));
            assert_eq!(problems.len(), 1, "{version}: {problems:?}");
            assert!(problems[0].contains("apiVersion"), "{problems:?}");
        }
    }

    #[test]
    fn lists_are_named_once() {
        let text = "apiVersion: kso/v1\nfiles: [{list: '{arch}.list'}, {list: ./a.list}, {list: a.list}, {url: 'https://h/a'}]";
        let definition = Definition::parse(&Source::new("kso.yaml", text), &mut Vec::new()).unwrap();
        assert_eq!(definition.lists(), ["a.list", "amd64.list", "arm64.list"].map(String::from).into());
    }

    #[test]
    fn lists_are_checked_though_the_rest_is_wrong() {
        let text = "apiVersion: kso/v1\nfile: x\nfiles: [{list: a.list}, {url: 7}]\nmirrors: {}\nfileServer: []\n";
        let mut diagnostics = Vec::new();
        let definition = Definition::parse(&Source::new("kso.yaml", text), &mut diagnostics).unwrap();
        let lists = BTreeMap::from([("a.list".to_owned(), Ok(Source::new("a.list", "x\nhttps://h/a\n")))]);
        let spec = definition.expand(&lists, &mut diagnostics);
        assert_eq!(spec.files.len(), 1);
        let names: BTreeSet<_> =
            diagnostics.iter().filter_map(|d| d.span.as_ref()).map(|span| span.source().name()).collect();
        assert_eq!((diagnostics.len(), names.len()), (5, 2), "{diagnostics:?}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
            prop_assert!(!check(&text).is_empty());
        }

        /// Pieces of definitions in any order: deep in the decoder, where plain noise does not reach.
        #[test]
        fn any_tree_is_read_or_refused(pieces in proptest::collection::vec(prop_oneof![
            Just("files:\n"), Just("  - url: https://h/{arch}\n"), Just("    sha256: "), Just("{amd64: 1, arm64: }\n"),
            Just("  - list: a-{uname}.list\n"), Just("    path: a/b\n"), Just("mirrors: [{from: https://h/, to: ["),
            Just("]}]\n"), Just("  - {from: quay.io/, to: [a.b/"), Just("hosts: [{at: https://h/, secret: "), Just("headers: {accept: "),
            Just("fileServer: "), Just("{image: x, root: /a, path: b, layers: 99}\n"), Just("architectures: "),
            Just("[amd64, "), Just("arm64]\n"), Just("&a "), Just("*a "), Just("<<: *a\n"), Just("images:\n"), Just("  - image: a/b@{uname}:1\n"), Just("    as: x\n"),
            Just("  - rename: n.yaml\n"), Just("registry: {prefix: , architectures: all, attestations: true, layers: 4}\n"),
            Just("\n"), Just(": "),
            Just("- "), Just("\"ä\\0\""), Just("{"), Just("}"), Just("# x\n"), Just("\t"), Just("---\n"), Just("!x "),
        ], 0..20)) {
            check(&format!("apiVersion: kso/v1\n{}", pieces.concat()));
        }
    }
}
