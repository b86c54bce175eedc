//! What a release downloads: its items, whether they are enabled, and what else an enabled feature pulls. Owns the names
//! that Kubespray gives its variables; does not know how a variable is rendered, nor what is made of the lists.

use std::collections::BTreeSet;
use std::sync::Arc;

use minijinja::value::{Value as Jinja, ValueKind};

use crate::artifact::PinnedAt;
use crate::diagnostic::{Diagnostic, Span, quoted};
use crate::name::{Arch, Digest};
use crate::producer::kubespray::fault::Fault;
use crate::producer::kubespray::hosts::Hosts;
use crate::producer::kubespray::release::Release;
use crate::producer::kubespray::scope::Scope;
use crate::producer::kubespray::template::words;
use crate::producer::kubespray::variables::Rank;
use crate::producer::kubespray::versions::{self, Unsupported};
use crate::producer::kubespray::yaml::{Map, Node, Value};
use crate::producer::kubespray::{beside, pin, play, python};

/// The images that kubeadm pulls by itself, and Kubespray's `downloads` therefore do not name.
const KUBEADM: [&str; 4] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"];
/// What the names of variables end with that hold a URL of a file.
const URL: &str = "_download_url";
/// What the names of variables end with that hold a whole image, in the older style.
const NAME: &str = "_image_name";

/// What an item calls its checksum; the first that it has counts.
const CHECKSUM: [&str; 3] = ["checksum", "sha256", "sha512"];

/// Which downloads are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Include {
    /// Those that are enabled.
    #[default]
    Enabled,
    /// Every one, whether it is enabled or not.
    All,
}

/// The checksum that a release has for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checksum {
    /// One that can be pinned.
    Sha256(Digest),
    /// Of another algorithm, with its name before it: `sha512:…`.
    Other(String),
    /// None.
    None,
}

/// A file to download.
#[derive(Debug, Clone)]
pub struct File {
    /// What Kubespray calls it: `downloads.kubelet`, or a variable.
    pub name: String,
    /// Where it comes from.
    pub url: String,
    /// What its bytes must hash to.
    pub checksum: Checksum,
    /// Where that is written, as far as it is known.
    pub pinned_at: Option<PinnedAt>,
    /// Where Kubespray says so.
    pub span: Span,
}

/// A container image.
#[derive(Debug, Clone)]
pub struct Image {
    /// What Kubespray calls it.
    pub name: String,
    /// Repository and tag, with the digest where Kubespray has one.
    pub reference: String,
    /// Where Kubespray says so.
    pub span: Span,
}

/// What is downloaded for one architecture: each URL and each image once, in the order of Kubespray's files.
#[derive(Debug, Clone, Default)]
pub struct Downloads {
    /// The files.
    pub files: Vec<File>,
    /// The container images.
    pub images: Vec<Image>,
}

impl Release {
    /// What is downloaded for an architecture, by any host. Every problem is reported; entries with problems are left out.
    pub fn downloads(&self, include: Include, arch: Arch, diagnostics: &mut Vec<Diagnostic>) -> Downloads {
        let hosts: Vec<&str> = self.inventory.hosts().collect();
        self.downloads_by(&hosts, include, arch, diagnostics)
    }

    /// What is downloaded by some of the hosts.
    pub(super) fn downloads_by(
        &self,
        names: &[&str],
        include: Include,
        arch: Arch,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Downloads {
        let hosts = Hosts::new(self, arch);
        let mut rendered = Vec::<Scope>::new();
        let before = diagnostics.len();
        let asks_roles = self.has_downloads && include == Include::Enabled;
        let follows = asks_roles && play::exists(self);
        let mut reader = Reader::new(hosts.first(), arch, include, !follows);
        for host in names {
            let variables = self.variables(host);
            let is_like =
                |other: &Scope| other.has_same_variables(&variables) && other.has_same_facts(|| hosts.scope(host));
            if rendered.iter().any(is_like) {
                hosts.forget(host);
                continue;
            }
            let scope = hosts.scope(host);
            reader.scope = scope.clone();
            reader.read(self.has_downloads);
            if let Some(Unsupported { problem, supported }) = versions::unsupported(&reader.scope, arch) {
                // What fails with a supported version, too, does not follow from this one.
                let hosts = Hosts::new(&self.with_extra("kube_version", &supported), arch);
                let mut again = Reader::new(hosts.scope(host), arch, include, !follows);
                again.read(self.has_downloads);
                let also = again.faults.iter().map(Fault::diagnostic).collect::<Vec<_>>();
                reader.faults.retain(|fault| also.iter().any(|other| other.is_same(&fault.diagnostic())));
                reader.notes.clear();
                report(problem, diagnostics);
            }
            reader.report(diagnostics);
            rendered.push(scope);
        }
        // What is wrong with the variables would be reported of each role that asks for them.
        if diagnostics[before..].iter().any(Diagnostic::is_error) {
            return reader.found;
        }
        if follows {
            let roles = play::follow(self, &hosts, names);
            roles.notes.into_iter().for_each(|problem| report(problem, diagnostics));
            reader.add(roles.files, roles.images);
        } else if asks_roles {
            report(play::missing(self), diagnostics);
        }
        reader.found
    }
}

struct Reader {
    scope: Scope,
    arch: Arch,
    include: Include,
    /// Whether the names of variables say which images roles name, because no play does.
    guesses: bool,
    found: Downloads,
    urls: BTreeSet<String>,
    references: BTreeSet<String>,
    faults: Vec<Fault>,
    notes: Vec<Diagnostic>,
}

impl Reader {
    fn new(scope: Scope, arch: Arch, include: Include, guesses: bool) -> Self {
        Self {
            scope,
            arch,
            include,
            guesses,
            found: Downloads::default(),
            urls: BTreeSet::new(),
            references: BTreeSet::new(),
            faults: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds what the host of the scope downloads.
    fn read(&mut self, has_downloads: bool) {
        if has_downloads {
            self.items();
            self.urls_beside();
            self.kubeadm_images();
            if self.guesses {
                self.images_beside();
            }
        } else {
            self.older_style();
        }
    }

    /// The items of `downloads`.
    fn items(&mut self) {
        let Some(variable) = self.scope.definition("downloads") else { return };
        let node = Arc::clone(&variable.node);
        let Value::Map(items) = &node.value else {
            let problem = Diagnostic::error("`downloads` must be a mapping of items");
            return self.notes.push(problem.at(node.span.clone()));
        };
        for entry in items.entries() {
            let name = format!("downloads.{}", entry.key);
            if let Value::Map(item) = &entry.value.value {
                self.item(&name, item);
            } else {
                let problem = Diagnostic::error(format!("{} must be a mapping", quoted(&name)));
                self.notes.push(problem.at(entry.value.span.clone()));
            }
        }
    }

    fn item(&mut self, name: &str, item: &Map) {
        let enabled = self.include == Include::Enabled;
        if enabled
            && (!self.is_true(name, item, "enabled") || item.text("groups").is_some_and(|groups| is_empty(groups)))
        {
            return;
        }
        // Some are a file or an image, as the user likes; the checksum is that of the one.
        let container = self.is_true(name, item, "container");
        let file = !container && self.is_true(name, item, "file");
        if let Some(node) = item.text("url").filter(|_| file || !enabled)
            && let Some(url) = self.text(name, "url", node)
        {
            let checksum = if file { self.checksum(name, item) } else { self.checksum_beside(item) };
            let pinned_at = match &checksum {
                Checksum::Sha256(digest) => {
                    let fields = CHECKSUM.into_iter().find_map(|field| item.text(field));
                    fields.and_then(|node| pin::place(&self.scope, name, node, digest))
                }
                Checksum::Other(_) | Checksum::None => None,
            };
            self.file(File { name: name.to_owned(), url, checksum, pinned_at, span: self.place_of(node) });
        }
        if let (Some(repo), Some(tag)) = (item.text("repo").filter(|_| container || !enabled), item.text("tag")) {
            let (name_of, span) = (self.text(name, "repo", repo), self.place_of(repo));
            let tag = self.text(name, "tag", tag);
            let digest = if container { self.checksum(name, item) } else { Checksum::None };
            if let (Some(repo), Some(tag)) = (name_of, tag) {
                self.image(name, &repo, &tag, &digest, span);
            }
        }
    }

    /// What `generate_list.sh` looks for: the variables named like URLs, whether an item uses them or not.
    fn urls_beside(&mut self) {
        if self.include == Include::Enabled {
            return;
        }
        for (name, span) in self.ending(URL) {
            if let Some(url) = self.variable(&name) {
                self.file(File { name, url, checksum: Checksum::None, pinned_at: None, span });
            }
        }
    }

    /// The images that kubeadm pulls.
    fn kubeadm_images(&mut self) {
        let Some(version) = self.variable("kube_version") else { return };
        let repo =
            ["kubeadm_image_repo", "kube_image_repo"].into_iter().find(|name| self.scope.definition(name).is_some());
        let Some((repo, definition)) = repo.and_then(|name| Some((name, self.scope.definition(name)?.span.clone())))
        else {
            return;
        };
        let Some(repo) = self.variable(repo) else { return };
        let tag = if version.starts_with('v') { version } else { format!("v{version}") };
        for image in KUBEADM {
            self.image(image, &format!("{repo}/{image}"), &tag, &Checksum::None, definition.clone());
        }
    }

    /// Images whose variables exist, and that no item names: an enabled feature pulls them all the same.
    fn images_beside(&mut self) {
        for pair in beside::pairs(&self.scope) {
            if self.include == Include::Enabled {
                let switch =
                    pair.switch(&self.scope).map(|switch| self.scope.expression(&pair.name, &switch, &pair.span));
                let Some(value) = switch else { continue };
                if !value.map_err(|fault| self.faults.push(fault)).is_ok_and(|value| truth(&value)) {
                    continue;
                }
            }
            // Of all features, some do not go with the version of Kubernetes.
            let fails = |name: &String| self.scope.variable(name).is_err_and(|fault| fault.undefined);
            if self.include == Include::All && (fails(&pair.repo) || fails(&pair.tag)) {
                continue;
            }
            if let (Some(repo), Some(tag)) = (self.variable(&pair.repo), self.variable(&pair.tag))
                && !beside::NO_VERSION.contains(&tag.as_str())
            {
                self.image(&pair.name, &format!("{repo}{}", pair.suffix), &tag, &Checksum::None, pair.span);
            }
        }
    }

    /// One file of variables, of a project that grew around Kubespray: every URL, and every full name of an image.
    fn older_style(&mut self) {
        for (name, span) in self.ending(URL) {
            if let Some(url) = self.variable(&name) {
                self.file(File { name, url, checksum: Checksum::None, pinned_at: None, span });
            }
        }
        for (name, span) in self.ending(NAME) {
            if let Some(reference) = self.variable(&name) {
                // Without a registry of its own, what is left of `{{ registry_domain }}/` is the slash.
                let reference = reference.trim_start_matches('/').to_owned();
                if self.references.insert(reference.clone()) {
                    self.found.images.push(Image { name, reference, span });
                }
            }
        }
    }

    /// The variables whose names end so, and where each is defined.
    fn ending(&self, end: &'static str) -> Vec<(String, Span)> {
        let variables = self.scope.ending(end).into_iter();
        variables.map(|(name, variable)| (name.to_owned(), variable.span.clone())).collect()
    }

    fn file(&mut self, file: File) {
        if self.urls.insert(file.url.clone()) {
            self.notes.extend(versions::doubled(&self.scope, &file.url, &file.span));
            self.found.files.push(file);
        }
    }

    fn image(&mut self, name: &str, repo: &str, tag: &str, digest: &Checksum, span: Span) {
        let reference = match digest {
            Checksum::Sha256(digest) => format!("{repo}:{tag}@{digest}"),
            _ => format!("{repo}:{tag}"),
        };
        if self.references.insert(reference.clone()) {
            self.notes.extend(versions::doubled(&self.scope, &reference, &span));
            self.found.images.push(Image { name: name.to_owned(), reference, span });
        }
    }

    /// Adds what roles name beside the items.
    fn add(&mut self, files: Vec<File>, images: Vec<Image>) {
        self.found.files.extend(files.into_iter().filter(|file| self.urls.insert(file.url.clone())));
        self.found.images.extend(images.into_iter().filter(|image| self.references.insert(image.reference.clone())));
    }

    /// Where a field of an item gets its value: the user's own definition, where it is one variable that the user sets.
    fn place_of(&self, node: &Node) -> Span {
        let own = || {
            let Value::Text(text, true) = &node.value else { return None };
            let name = text.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
            self.scope.definition(name).filter(|variable| variable.rank > Rank::RoleDefaults)
        };
        own().map_or_else(|| node.span.clone(), |variable| variable.span.clone())
    }

    /// The text of a variable.
    fn variable(&mut self, name: &str) -> Option<String> {
        let value = self.scope.variable(name);
        self.text_of(name, value)
    }

    /// The text of a field of an item.
    fn text(&mut self, name: &str, field: &str, node: &Arc<Node>) -> Option<String> {
        let name = format!("{name}.{field}");
        let value = self.scope.part(node, &name);
        self.text_of(&name, value)
    }

    fn text_of(&mut self, name: &str, value: Result<Jinja, Fault>) -> Option<String> {
        let value = value.map_err(|fault| self.faults.push(fault)).ok()?;
        match value.kind() {
            // It becomes a line of a list.
            ValueKind::String | ValueKind::Number if !python::text(&value).contains(char::is_control) => {
                Some(python::text(&value))
            }
            kind => {
                let span = self.scope.definition(name).map(|variable| variable.span.clone());
                let problem = match kind {
                    ValueKind::String => format!("{} contains a control character, such as a line break", quoted(name)),
                    kind => format!("{} must be a string, but is {kind}", quoted(name)),
                };
                let problem = Diagnostic::error(problem);
                self.notes.push(match span {
                    Some(span) => problem.at(span),
                    None => problem,
                });
                None
            }
        }
    }

    fn is_true(&mut self, name: &str, item: &Map, field: &str) -> bool {
        let Some(node) = item.text(field) else { return false };
        let value = self.scope.part(node, &format!("{name}.{field}"));
        value.map_err(|fault| self.faults.push(fault)).is_ok_and(|value| truth(&value))
    }

    /// The checksum of an item. One that is missing is no error: then the file is not pinned.
    fn checksum(&mut self, name: &str, item: &Map) -> Checksum {
        for field in CHECKSUM {
            let Some(node) = item.text(field) else { continue };
            let value = match self.scope.part(node, &format!("{name}.{field}")) {
                Ok(value) => value,
                Err(fault) if fault.undefined && fault.respelled.is_none() => {
                    // That the version of Kubernetes is unknown is told once, as what it is.
                    let mut told = fault.diagnostic();
                    told.severity = crate::diagnostic::Severity::Warning;
                    told.message = format!("no checksum for {}: {}", quoted(name), told.message);
                    self.notes.push(told);
                    return Checksum::None;
                }
                Err(fault) => {
                    self.faults.push(fault);
                    return Checksum::None;
                }
            };
            if python::text(&value) == "0" {
                let arch = self.arch;
                let problem = format!("no checksum for {} on {arch}: the release has 0 there", quoted(name));
                let problem = Diagnostic::warning(problem).at(node.span.clone());
                self.notes.push(problem.help(format!(
                    "this often means that the file does not exist for {arch}: check the URL, or turn the feature off"
                )));
            }
            return parsed(&value).unwrap_or_else(|text| {
                let problem = format!("the checksum of {} is invalid: {}", quoted(name), quoted(&text));
                self.notes.push(Diagnostic::error(problem).at(node.span.clone()));
                Checksum::None
            });
        }
        Checksum::None
    }

    /// The checksum of a file where the item is an image instead: that of the variable which its template names.
    fn checksum_beside(&self, item: &Map) -> Checksum {
        let Some(Value::Text(template, _)) =
            CHECKSUM.into_iter().find_map(|field| item.text(field)).map(|node| &node.value)
        else {
            return Checksum::None;
        };
        let of_file = |word: &&str| word.ends_with("_checksum") && !word.ends_with("_digest_checksum");
        let value = words(template).find(of_file).and_then(|variable| self.scope.variable(variable).ok());
        value.and_then(|value| parsed(&value).ok()).unwrap_or(Checksum::None)
    }

    /// Hands over what went wrong, each once.
    fn report(&mut self, diagnostics: &mut Vec<Diagnostic>) {
        let faults = std::mem::take(&mut self.faults);
        let mut notes = std::mem::take(&mut self.notes);
        notes.extend(self.scope.take_notes());
        faults.iter().map(Fault::diagnostic).chain(notes).for_each(|problem| report(problem, diagnostics));
    }
}

/// Adds a problem that is not yet known at its place.
fn report(problem: Diagnostic, diagnostics: &mut Vec<Diagnostic>) {
    if !diagnostics.iter().any(|known| known.is_same(&problem)) {
        diagnostics.push(problem);
    }
}

/// Parses a checksum as Kubespray writes it; the error is the invalid text.
pub(super) fn parsed(value: &Jinja) -> Result<Checksum, String> {
    let text = python::text(value);
    match text.as_str() {
        "" | "0" | "None" | "False" => Ok(Checksum::None),
        text => match text.parse::<Digest>() {
            Ok(digest) => Ok(Checksum::Sha256(digest)),
            Err(_) if text.contains(':') && !text.starts_with("sha256:") => Ok(Checksum::Other(text.to_owned())),
            Err(_) if text.len() == 128 => Ok(Checksum::Other(format!("sha512:{text}"))),
            Err(_) => Err(text.to_owned()),
        },
    }
}

fn is_empty(node: &Node) -> bool {
    matches!(&node.value, Value::List(items) if items.is_empty())
}

/// Whether a condition holds, as the user means it: text that says no is no.
fn truth(value: &Jinja) -> bool {
    match value.as_str() {
        Some(text) => {
            !matches!(text.trim().to_lowercase().as_str(), "" | "no" | "n" | "off" | "false" | "f" | "0" | "none")
        }
        None => value.is_true(),
    }
}
