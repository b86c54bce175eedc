//! `offline.yml`: variables that point every download of a release at the servers that are built. Owns which variable is
//! overridden and how; does not know what is enabled, nor what an image holds.

mod registry;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::diagnostic::rules::OFFLINE_INVENTORY;
use crate::diagnostic::{Diagnostic, Source, counted};
use crate::kind::files::FileServer;
use crate::kind::images;
use crate::name::{Arch, FileUrl, ImageRef, ServedName};
use crate::producer::kubespray::downloads::Downloads;
use crate::producer::kubespray::hosts::Hosts;
use crate::producer::kubespray::release::Release;
use crate::producer::kubespray::template::words;
use crate::producer::kubespray::variables::Rank;
use crate::producer::kubespray::yaml::{self, Value};
use crate::producer::kubespray::{beside, python};

/// Placeholders for the servers until their addresses are set.
const FILES_HOST: &str = "http://files.example:8080";
pub(super) const REGISTRY_HOST: &str = "registry.example:5000";

/// Where the servers that are built have what they serve.
#[derive(Debug, Clone)]
pub struct Address {
    /// The path of the file server: `k8s`.
    path: String,
    /// What repositories of the registry begin with: `k8s`; may be empty.
    prefix: String,
    /// The images that are served under other names.
    served: BTreeMap<ImageRef, ServedName>,
}

impl Default for Address {
    fn default() -> Self {
        Self { path: "k8s".into(), prefix: "k8s".into(), served: BTreeMap::new() }
    }
}

impl Address {
    /// That of the images of a definition.
    pub fn of(files: &FileServer, images: images::Section<'_>) -> Self {
        Self {
            path: files.path.to_string(),
            prefix: images.server.prefix.as_str().to_owned(),
            served: images.images.iter().map(|image| (image.reference.clone(), image.served.clone())).collect(),
        }
    }

    pub(super) fn files_repo(&self) -> String {
        format!("{FILES_HOST}/{}", self.path)
    }

    /// Where the registry serves an image: its repository, with the host.
    fn repository(&self, image: &ImageRef) -> Option<String> {
        let served = self.served.get(image).cloned().or_else(|| ServedName::of(image, &self.prefix).ok())?;
        Some(format!("{REGISTRY_HOST}/{}", served.repository.as_str()))
    }

    /// Where the file server serves a file.
    pub(super) fn file(&self, url: &str) -> Option<String> {
        let path = url.parse::<FileUrl>().ok()?.stored_path().ok()?;
        Some(format!("{}/{}", self.files_repo(), path.as_str()))
    }
}

/// One value for each architecture.
pub(super) type PerArch = BTreeMap<Arch, String>;

/// A release seen from each architecture.
pub(super) struct View(pub(super) BTreeMap<Arch, Hosts>);

impl View {
    pub(super) fn of(release: &Release) -> Self {
        Self(Arch::ALL.into_iter().map(|arch| (arch, Hosts::new(release, arch))).collect())
    }

    /// The text of a variable; `None` where it has none on some architecture.
    pub(super) fn text(&self, name: &str) -> Option<PerArch> {
        let text = |hosts: &Hosts| {
            hosts.first().variable(name).ok().filter(|value| value.as_str().is_some() || value.is_number())
        };
        self.0.iter().map(|(arch, hosts)| Some((*arch, python::text(&text(hosts)?)))).collect()
    }
}

/// The variables of a release that name downloads.
pub(super) struct Named {
    /// Variables of URLs.
    pub(super) urls: Vec<String>,
    /// Variables of repositories, each with that of the tag and what templates write between them.
    pub(super) repositories: Vec<(String, String, &'static str)>,
}

impl Named {
    pub(super) fn of(release: &Release) -> Self {
        let variables = release.of_first();
        let own = |name: &String| variables.get(name).is_some_and(|variable| variable.rank != Rank::Extra);
        let names = variables.iter().map(|(name, _)| name.to_owned());
        let mut urls: BTreeSet<String> = names.filter(|name| name.ends_with("_download_url")).collect();
        let mut repositories = BTreeMap::new();
        if let Some(Value::Map(items)) = variables.get("downloads").map(|variable| &variable.node.value) {
            for entry in items.entries() {
                let Value::Map(item) = &entry.value.value else { continue };
                let words_of = |field: &str| match item.text(field).map(|node| &node.value) {
                    Some(Value::Text(text, _)) => words(text).map(str::to_owned).filter(own).collect(),
                    _ => Vec::new(),
                };
                urls.extend(words_of("url"));
                if let ([repo], [tag]) = (&words_of("repo")[..], &words_of("tag")[..]) {
                    repositories.insert(repo.clone(), (tag.clone(), ""));
                }
            }
        }
        for pair in beside::all(&Hosts::new(release, Arch::ALL[0]).first()).into_values() {
            repositories.entry(pair.repo).or_insert((pair.tag, pair.suffix));
        }
        let repositories = repositories.into_iter().map(|(repo, (tag, suffix))| (repo, tag, suffix)).collect();
        Self { urls: urls.into_iter().filter(own).collect(), repositories }
    }

    /// Whether a variable names the repository of an image, rather than a prefix of several.
    pub(super) fn has_repository(&self, name: &str) -> bool {
        self.repositories.iter().any(|(repo, ..)| repo == name)
    }
}

/// What an `offline.yml` begins with, whichever kso wrote it: this may not change.
const MARK: &str = "# Points every download of this release of Kubespray at the images that kso builds";

/// Whether a file of variables is an `offline.yml` that kso wrote.
pub(super) fn is_offline(text: &[u8]) -> bool {
    text.starts_with(MARK.as_bytes())
}

/// The variables of an inventory that lead downloads to the user's own servers, by Kubespray's example of an `offline.yml`.
const SERVERS: [&str; 2] = ["files_repo", "registry_host"];

/// Reports the servers of the user's own that downloads come from: an inventory for the installation, given to a build.
pub(super) fn report_servers(
    release: &Release,
    downloads: &BTreeMap<Arch, Downloads>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let variables = release.of_first();
    let hosts = Hosts::new(release, downloads.keys().next().copied().unwrap_or(Arch::ALL[0]));
    for name in SERVERS {
        let Some(variable) = variables.get(name).filter(|variable| variable.rank == Rank::Inventory) else { continue };
        let Ok(value) = hosts.first().variable(name) else { continue };
        let value = python::text(&value);
        let server = format!("{}/", value.trim_end_matches('/'));
        let comes = |place: &str| server != "/" && place.starts_with(&server);
        let count = |found: &Downloads| {
            found.files.iter().filter(|file| comes(&file.url)).count()
                + found.images.iter().filter(|image| comes(&image.reference)).count()
        };
        let most = downloads.values().map(count).max().unwrap_or_default();
        if most > 0 {
            let (source, downloads) = (crate::diagnostic::quoted(&value), counted(most, "download"));
            let message = format!("{downloads} would come from `{name}`, which is {source}");
            diagnostics.push(Diagnostic::lint(&OFFLINE_INVENTORY, message).at(variable.span.clone()));
        }
    }
}

/// The text of `offline.yml` for a release.
pub fn offline(release: &Release, address: &Address) -> String {
    let overrides = overrides(release, address);
    let mut text = format!(
        "{MARK}: copy it to the inventory, as\n# group_vars/all/offline.yml, and set the addresses of your servers.\n"
    );
    let _ = writeln!(text, "files_repo: {}", quoted(&address.files_repo()));
    let _ = writeln!(text, "registry_host: {}", quoted(REGISTRY_HOST));
    for (title, wanted) in [("Files", false), ("Images", true)] {
        let of_kind: Vec<_> = overrides.iter().filter(|(_, value)| value.contains("registry_host") == wanted).collect();
        if !of_kind.is_empty() {
            let _ = writeln!(text, "\n# {title}");
        }
        for (name, value) in of_kind {
            let _ = writeln!(text, "{name}: {}", quoted(value));
        }
    }
    text + &registry::settings(release, &Hosts::new(release, Arch::ALL[0]).first())
}

/// Double-quoted, as YAML and JSON both read it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The variables to override, and the templates to write into them.
fn overrides(release: &Release, address: &Address) -> BTreeMap<String, String> {
    let (before, named) = (View::of(release), Named::of(release));
    let mut overrides = bases(release, &before, &named, address);
    let goals = goals(&before, &named, address);
    // A variable that the common ones do not lead where they should is overridden itself: its template with another
    // beginning where that is enough, else its values.
    for attempt in 0..2 {
        let after = View::of(&apply(release, address, &overrides));
        for (name, (goal, host)) in &goals {
            if after.text(name).as_ref() == Some(goal) {
                continue;
            }
            let template = (attempt == 0).then(|| beginning_replaced(release, name, host)).flatten();
            overrides.insert(name.clone(), template.unwrap_or_else(|| values(goal, address, host)));
        }
    }
    overrides
}

/// Where each variable must lead, and the variable of the server.
fn goals(before: &View, named: &Named, address: &Address) -> BTreeMap<String, (PerArch, &'static str)> {
    let mut goals = BTreeMap::new();
    for name in &named.urls {
        let goal = before.text(name).and_then(|urls| {
            urls.into_iter().map(|(arch, url)| Some((arch, address.file(&url)?))).collect::<Option<PerArch>>()
        });
        goals.extend(goal.map(|goal| (name.clone(), (goal, "files_repo"))));
    }
    for (repo, tag, suffix) in &named.repositories {
        let Some((repos, tags)) = before.text(repo).zip(before.text(tag)) else { continue };
        let goal = repos.iter().map(|(arch, repo)| {
            let image: ImageRef = format!("{repo}{suffix}:{}", tags.get(arch)?).parse().ok()?;
            Some((*arch, address.repository(&image)?.strip_suffix(suffix)?.to_owned()))
        });
        goals.extend(goal.collect::<Option<PerArch>>().map(|goal| (repo.clone(), (goal, "registry_host"))));
    }
    goals
}

/// The variables that many others begin with: the address of a host, or the name of a registry or of a part of it.
fn bases(release: &Release, before: &View, named: &Named, address: &Address) -> BTreeMap<String, String> {
    let mut bases = BTreeMap::new();
    for (name, variable) in release.of_first().iter().filter(|(_, variable)| variable.rank != Rank::Extra) {
        // Only what is written out: what is made of others follows them.
        let Value::Text(text, _) = &variable.node.value else { continue };
        let Some(value) = before.text(name).and_then(|values| values.into_values().next()) else { continue };
        if *value != **text {
            continue;
        }
        let host = |text: &str| text.contains('.') && !text.contains(['/', ' ', ':', '@']);
        let url = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        if let Some(url) = url.map(|url| url.trim_end_matches('/')).filter(|url| name.ends_with("_url") && host(url)) {
            bases.insert(name.to_owned(), format!("{{{{ files_repo }}}}/{url}"));
        } else if name.ends_with("_image_repo")
            && (host(text) || text.split_once('/').is_some_and(|(first, _)| host(first) && !named.has_repository(name)))
        {
            let prefix = if address.prefix.is_empty() { String::new() } else { format!("{}/", address.prefix) };
            bases.insert(name.to_owned(), format!("{{{{ registry_host }}}}/{prefix}{text}"));
        }
    }
    bases
}

/// A URL's template with the file server before it: `https://host/…` becomes `{{ files_repo }}/host/…`.
fn beginning_replaced(release: &Release, name: &str, host: &str) -> Option<String> {
    let variables = release.of_first();
    let Value::Text(text, true) = &variables.get(name)?.node.value else { return None };
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    (host == "files_repo").then(|| format!("{{{{ files_repo }}}}/{rest}"))
}

/// The values themselves, for each architecture where they differ.
fn values(goal: &PerArch, address: &Address, host: &str) -> String {
    let server = if host == "files_repo" { address.files_repo() } else { REGISTRY_HOST.to_owned() };
    let rest = |text: &String| text.strip_prefix(&server).unwrap_or(text).to_owned();
    let texts: BTreeSet<String> = goal.values().map(rest).collect();
    match texts.iter().next() {
        Some(only) if texts.len() == 1 => format!("{{{{ {host} }}}}{only}"),
        _ => {
            let pairs: Vec<String> = goal.iter().map(|(arch, text)| format!("'{arch}': '{}'", rest(text))).collect();
            format!("{{{{ {host} }}}}{{{{ {{{}}}[image_arch] }}}}", pairs.join(", "))
        }
    }
}

/// The release with an `offline.yml` of these variables.
fn apply(release: &Release, address: &Address, overrides: &BTreeMap<String, String>) -> Release {
    let mut text = format!("files_repo: {}\nregistry_host: {}\n", quoted(&address.files_repo()), quoted(REGISTRY_HOST));
    for (name, value) in overrides {
        let _ = writeln!(text, "{name}: {}", quoted(value));
    }
    release.with_group_vars(yaml::variables(&Source::new("offline.yml", text)).unwrap_or_default())
}

impl Address {
    /// Where the registry serves an image, with its tag.
    pub(super) fn image(&self, image: &ImageRef) -> Option<String> {
        let repository = self.repository(image)?;
        let tag = image.tag().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = image.digest().map(|digest| format!("@{digest}")).unwrap_or_default();
        Some(format!("{repository}{tag}{digest}"))
    }
}
