//! `kso/v1` as the user writes it, and how it is read. Owns the keys; does not know what the lists say.
//!
//! [`Definition::parse`] reads `kso.yaml`, [`Definition::lists`] names the lists to read, and [`Definition::expand`] makes the
//! [`Spec`] of them. Each goes on past a problem, so that one run reports all of them.

mod expand;
mod produce;
mod reference;
mod schema;
mod spec;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;

use crate::decode::args::ArgsText;
use crate::decode::schema::optional;
use crate::decode::yaml::{self, Node, Value, place};
use crate::decode::{Args, Decoder, Text};
use crate::diagnostic::hints::NEWER_KSO;
use crate::diagnostic::{Diagnostic, Source, Span, Spanned, quoted};
use crate::kind::files::{FileServer, FilesEntry};
use crate::kind::images::{ImagesEntry, Registry};
use crate::name::{Arch, ContextPath, Template, suggest};
use crate::origin::{Host, Mirror, Mirrors};
use crate::producer::kubespray::{Kubespray, Rendered};

pub use reference::reference;
pub use schema::json_schema;
pub(crate) use schema::json_schema_of;
pub use spec::Spec;

/// The largest definition that is read, in bytes.
pub const MAX_DEFINITION_BYTES: usize = 8 << 20;
/// The largest list that is read, in bytes.
pub const MAX_LIST_BYTES: usize = MAX_DEFINITION_BYTES;

/// The version of the definition that this kso reads.
pub(crate) const API_VERSION: &str = "kso/v1";

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
    #[schemars(default = "optional", with = "Vec<Arch>", length(min = 1), extend("uniqueItems" = true, "default" = ["amd64", "arm64"]))]
    pub(crate) architectures: Vec<Arch>,
    /// Arguments and their defaults, which `--build-arg` overrides. `${NAME}` is replaced by the value in every text of the
    /// definition; `$${` is a literal `${`.
    #[schemars(default = "optional", with = "ArgsText", extend("default" = {}))]
    pub(crate) args: Args,
    /// Files and images of a Kubespray release, as its own variables define them.
    #[schemars(default = "optional", with = "Kubespray")]
    pub(crate) kubespray: Option<Kubespray>,
    /// What it downloads.
    #[schemars(skip)]
    pub(crate) rendered: Rendered,
    /// The files to download and serve. Required if there are no `images` and no `kubespray`.
    #[schemars(default = "optional", length(min = 1))]
    pub(crate) files: Vec<FilesEntry>,
    /// The container images to serve from a registry. Required if there are no `files` and no `kubespray`.
    #[schemars(default = "optional", length(min = 1))]
    pub(crate) images: Vec<ImagesEntry>,
    /// Other locations to download from, by the prefix of a file's URL or of an image's full name. They need not be trusted:
    /// pinned content must match its checksum or digest, whoever sends it.
    #[schemars(default = "optional", with = "Vec<Mirror>", extend("default" = [], "examples" = [[{ "from": "quay.io/", "to": ["mirror.example/quay.io/"] }]]))]
    pub(crate) mirrors: Mirrors,
    /// Headers and secrets (as `Authorization`) to send to file servers. Registries use the
    /// login of `docker login` instead.
    #[schemars(default = "optional", extend("default" = [], "examples" = [[{ "at": "https://files.example/", "secret": "files-token" }]]))]
    pub(crate) hosts: Vec<Host>,
    /// The image that serves the files.
    #[schemars(default = "optional", extend("default" = {}))]
    pub(crate) file_server: FileServer,
    /// The image that serves the container images.
    #[schemars(default = "optional", extend("default" = {}))]
    pub(crate) registry: Registry,
    /// The path of the lock in the build context. Without it, the lock is next to the definition, with the same name and
    /// the ending `.lock`.
    #[schemars(default = "optional", with = "Text<ContextPath>", extend("examples" = ["locks/kso.lock"]))]
    pub(crate) lock: Option<Spanned<ContextPath>>,
}

pub(crate) const KEYS: [&str; 11] = [
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
impl Definition {
    /// Reads a definition. `apiVersion` is checked first, alone: if it is missing, unknown or newer, that is the only
    /// error, since nothing else can be judged. All other problems are reported at once; what is unusable is left out.
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
        let tables = self.images.iter().filter_map(ImagesEntry::table);
        let all = self.list_entries().chain(tables);
        all.flat_map(|list| self.architectures.iter().map(|arch| list.value.get(*arch).as_str().to_owned())).collect()
    }

    /// The lists of every kind, as the entries name them.
    fn list_entries(&self) -> impl Iterator<Item = &Spanned<Template<ContextPath>>> {
        let files = self.files.iter().filter_map(FilesEntry::list);
        files.chain(self.images.iter().filter_map(ImagesEntry::list))
    }

    /// The paths of the lists of architectures that are not wanted, which would be read if they were. None of them needs
    /// to be there.
    pub fn unwanted_lists(&self) -> BTreeSet<String> {
        let used = self.lists();
        let names = self.unwanted().map(|(name, ..)| name.to_owned());
        names.filter(|name| !used.contains(name)).collect()
    }

    /// Lists of architectures that are not wanted: name, architecture, and where the definition names them.
    pub(crate) fn unwanted(&self) -> impl Iterator<Item = (&str, Arch, &Span)> {
        let unwanted = Arch::ALL.into_iter().filter(|arch| !self.architectures.contains(arch));
        let unwanted: Vec<Arch> = unwanted.collect();
        self.list_entries().filter(|list| list.value.per_arch()).flat_map(move |list| {
            unwanted.clone().into_iter().map(move |arch| (list.value.get(arch).as_str(), arch, &list.span))
        })
    }

    /// The path of the lock in the build context, where it has another than that next to the definition.
    pub fn lock(&self) -> Option<&Spanned<ContextPath>> {
        self.lock.as_ref()
    }

    /// Adds what Kubespray's release downloads.
    pub fn render(&mut self, rendered: Rendered) {
        self.rendered = rendered;
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
        return Err(Diagnostic::error("`apiVersion` must be a string").at(place).help(help));
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
        .help(NEWER_KSO)
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
