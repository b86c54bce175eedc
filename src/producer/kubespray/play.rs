//! The play that installs a cluster, followed as far as the variables say: which of a checkout's roles run, and which images and
//! URLs they name. Owns which hosts are looked at, and what counts as naming one; does not know the items of `downloads`.
//!
//! A role's own defaults outrank those that all roles share, its templates name images by themselves, and its tasks fetch
//! URLs: nothing of that is in `downloads`.

mod book;
mod condition;
mod images;
mod manifest;
mod role;
mod statement;
mod task;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use buildkit::gateway::is_match;

use crate::diagnostic::rules::INCOMPLETE_LISTS;
use crate::diagnostic::{Diagnostic, Source, Span, quoted};
use crate::name::ImageRef;
use crate::producer::kubespray::downloads::{Checksum, File, Image, parsed};
use crate::producer::kubespray::fault::Fault;
use crate::producer::kubespray::hosts::Hosts;
use crate::producer::kubespray::play::images::Line;
use crate::producer::kubespray::play::manifest::Manifest;
pub(super) use crate::producer::kubespray::play::role::Roles;
use crate::producer::kubespray::play::task::Action;
pub(super) use crate::producer::kubespray::play::walk::Layers;
use crate::producer::kubespray::play::walk::{Step, Visitor, Walk};
use crate::producer::kubespray::python;
use crate::producer::kubespray::release::Release;
use crate::producer::kubespray::scope::Scope;
use crate::producer::kubespray::variables::Variables;
use crate::producer::kubespray::yaml::{Node, Value};

/// The directory of a role's templates.
const TEMPLATES: &str = "templates";
/// Modules that run a program.
const COMMANDS: [&str; 3] = ["command", "raw", "shell"];
/// Modules that install a chart.
const CHARTS: [&str; 2] = ["kubernetes.core.helm", "community.kubernetes.helm"];
/// The program of Cilium, which installs the chart of the version that it is given.
const CILIUM: [&str; 2] = ["/cilium {{ cilium_action }}", " --version "];
/// The lookup that renders a template.
const LOOKUP: &str = "lookup('template',";
/// Hosts of the same groups that are followed.
const MAX_HOSTS: usize = 50;
/// Variables of which each host has its own, and no image hangs on.
const OF_ONE_HOST: [&str; 8] =
    ["access_ip", "access_ip6", "etcd_member_name", "ip", "ip6", "main_ip", "node_labels", "node_taints"];

/// What the roles name.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) images: Vec<Image>,
    pub(super) files: Vec<File>,
    pub(super) notes: Vec<Diagnostic>,
}

/// Whether the checkout has the playbook that installs a cluster.
pub(super) fn exists(release: &Release) -> bool {
    book::exists(&release.roles)
}

/// The problem of a checkout without it.
pub(super) fn missing(release: &Release) -> Diagnostic {
    let problem =
        "the checkout has no `playbooks/cluster.yml`, so images and files that only its roles name may be missing";
    let problem = Diagnostic::lint(&INCOMPLETE_LISTS, problem).help("use a whole checkout of Kubespray");
    problem.at(release.roles.asked().cloned())
}

/// Follows the plays of a checkout for the hosts that have these names.
pub(super) fn follow(release: &Release, hosts: &Hosts, names: &[&str]) -> Named {
    let roles = &*release.roles;
    let ((plays, notes), groups) = (book::plays(roles), release.inventory.groups());
    let mut finder = Finder { named: Named { notes, ..Named::default() }, seen: BTreeSet::new() };
    let mut kinds = BTreeMap::<BTreeSet<&str>, Vec<&str>>::new();
    for name in names {
        kinds.entry(release.inventory.group_names(name)).or_default().push(name);
    }
    for kind in kinds.values() {
        let mut followed = Vec::<Scope>::new();
        for (at, name) in kind.iter().enumerate() {
            // Roles ask which host of a group is the first, or the last.
            let is_at_end = at < 2 || at + 1 == kind.len();
            if !is_at_end && followed.iter().any(|other| is_like(other, &release.variables(name))) {
                continue;
            }
            if followed.len() >= MAX_HOSTS {
                finder.cut("more hosts than kso follows differ in variables that roles ask for", roles);
                break;
            }
            let host = hosts.scope(name);
            let layers = release.around_roles(name);
            let mut walk = Walk::new(roles, &host, &layers, &mut finder);
            for play in &plays {
                let pattern = host.part(&play.hosts, "hosts");
                let pattern = pattern.map_or_else(|_| "all".into(), |value| python::text(&value));
                if is_selected(&groups, &pattern, name) {
                    walk.play(play);
                }
            }
            if walk.is_cut() {
                finder.cut("the playbook runs more tasks than kso follows, or includes itself", roles);
            }
            followed.push(host);
        }
    }
    finder.named.notes.extend(roles.take_problems());
    finder.named
}

/// Whether roles find the same at a host with these variables as at one that was followed, but for what each host has of its
/// own.
fn is_like(followed: &Scope, variables: &Variables) -> bool {
    let counts = |name: &str| !name.starts_with("ansible_") && !OF_ONE_HOST.contains(&name);
    followed.differs_at(variables, counts).is_none()
}

/// Whether a pattern of hosts, such as `k8s_cluster:etcd:!calico_rr` or `kube_control_plane[0]`, selects a host.
fn is_selected(groups: &BTreeMap<&str, Vec<&str>>, pattern: &str, host: &str) -> bool {
    let is_in = |term: &str| {
        let (name, index) = match term.split_once('[') {
            Some((name, index)) => (name, index.trim_end_matches(']').parse::<usize>().ok()),
            None => (term, None),
        };
        let members = groups.iter().filter(|(group, _)| is_match(name, group) || (**group == "all" && name == "*"));
        let mut members = members.flat_map(|(_, hosts)| match index {
            Some(index) => hosts.get(index).into_iter().copied().collect::<Vec<_>>(),
            None => hosts.clone(),
        });
        is_match(name, host) || members.any(|member| member == host)
    };
    let terms: Vec<&str> = pattern.split([':', ',']).map(str::trim).filter(|term| !term.is_empty()).collect();
    let plain = |term: &&&str| !term.starts_with(['!', '&']);
    terms.iter().filter(plain).any(|term| is_in(term))
        && terms.iter().filter_map(|term| term.strip_prefix('&')).all(is_in)
        && !terms.iter().filter_map(|term| term.strip_prefix('!')).any(is_in)
}

/// A text with `*` in the place of what is unknown.
fn pattern(text: &str, scope: &Scope) -> String {
    let source = Source::new("a name", text);
    let manifest = Manifest::new(&source, scope);
    let line = manifest.lines().first().map(manifest::Line::pattern);
    line.unwrap_or_default()
}

/// Finds what tasks name.
struct Finder {
    named: Named,
    /// The references and the URLs that are known already.
    seen: BTreeSet<String>,
}

impl Visitor for Finder {
    fn task(&mut self, step: &Step<'_>) {
        let Action::Other(module, arguments) = step.action else { return };
        let argument = |key: &str| match &arguments.value {
            Value::Map(map) => map.text(key),
            _ => None,
        };
        match *module {
            "template" => self.file(step, TEMPLATES, argument("src")),
            "copy" if argument("remote_src").is_none() => self.file(step, "files", argument("src")),
            "get_url" => self.url(step, argument("url")),
            // A request that keeps nothing is one to the cluster.
            "uri" if argument("dest").is_some() => self.url(step, argument("url")),
            "unarchive" => self.url(step, argument("src")),
            name if COMMANDS.contains(&name) => self.command(step, arguments),
            name if CHARTS.contains(&name) => self.release(step, arguments),
            _ => {}
        }
    }

    fn download(&mut self, step: &Step<'_>, span: &Span) {
        let part = |name: &str| step.scope.expression(name, name, span);
        let checksum = ["download.checksum", "download.sha256"].into_iter().find_map(|name| part(name).ok());
        let checksum = checksum.and_then(|value| parsed(&value).ok()).unwrap_or(Checksum::None);
        match part("download.url") {
            Ok(url) => self.fetched(step, &python::text(&url), checksum, span),
            Err(fault) => self.unknown("a URL", step.role(), span, &fault),
        }
    }

    fn missing(&mut self, what: &str, name: &str, role: &str, span: &Span) {
        let used = if role.is_empty() { String::new() } else { format!(", which the role {} uses,", quoted(role)) };
        let problem = format!("{what} {}{used} is missing", quoted(name));
        self.report(problem, span.clone());
    }

    fn unknown(&mut self, what: &str, role: &str, span: &Span, fault: &Fault) {
        let of = if role.is_empty() { String::new() } else { format!(" in the role {}", quoted(role)) };
        let problem = format!("{what}{of} cannot be determined: {}", fault.message);
        self.report(problem, span.clone());
    }
}

impl Finder {
    /// Reports that the lists end before the play does.
    fn cut(&mut self, why: &str, roles: &Roles) {
        self.report(why, roles.asked().cloned());
    }

    /// Reports once what the lists may lack.
    fn report(&mut self, problem: impl Into<String>, span: impl Into<Option<Span>>) {
        let problem = Diagnostic::lint(&INCOMPLETE_LISTS, problem).at(span);
        if !self.named.notes.iter().any(|known| known.is_same(&problem)) {
            self.named.notes.push(problem);
        }
    }

    /// A template or a file that a task puts on a host.
    fn file(&mut self, step: &Step<'_>, kind: &str, name: Option<&Arc<Node>>) {
        let Some(node) = name else { return };
        match step.scope.part(node, "src") {
            Ok(name) => self.named_file(step, kind, &python::text(&name), &node.span),
            // That stops Ansible, too.
            Err(fault) if fault.undefined => {
                self.unknown("the name of a template", step.role(), &node.span, &fault);
            }
            Err(fault) => {
                let name = if let Value::Text(text, _) = &node.value { pattern(text, step.scope) } else { "*".into() };
                let paths = step.matching(kind, &name);
                if paths.is_empty() && kind == TEMPLATES {
                    self.unknown("the name of a template", step.role(), &node.span, &fault);
                }
                for path in &paths {
                    self.read(step, kind, path);
                }
            }
        }
    }

    /// A template or a file with this name, where the checkout has it.
    fn named_file(&mut self, step: &Step<'_>, kind: &str, name: &str, span: &Span) {
        match step.find(kind, name) {
            Some(path) => self.read(step, kind, &path),
            None if kind == TEMPLATES => self.missing("the template", name, step.role(), span),
            // Most are files that other tasks put there.
            None => {}
        }
    }

    /// A file of the checkout.
    fn read(&mut self, step: &Step<'_>, kind: &str, path: &str) {
        let Some(source) = step.roles.source(path) else { return };
        if source.text().contains("image") {
            let is_template = kind == TEMPLATES;
            let manifest = if is_template { Manifest::new(&source, step.scope) } else { Manifest::verbatim(&source) };
            self.manifest(step, &manifest);
        }
    }

    /// The images of a manifest.
    fn manifest(&mut self, step: &Step<'_>, manifest: &Manifest<'_>) {
        if manifest.is_cut() {
            self.report("the template makes more text than kso follows", manifest.first_line());
        }
        let lines = manifest.lines();
        let outlines: Vec<String> = lines.iter().map(manifest::Line::outline).collect();
        for (at, line) in lines.iter().enumerate() {
            if !images::is_name(&outlines[at]) {
                continue;
            }
            match line.text() {
                Ok(text) => match images::of(&text) {
                    Some(Line::Name(name)) => self.image(step, name, &line.span()),
                    Some(Line::Opens) => self.mapping(step, &lines, &outlines, at),
                    Some(Line::Part(..)) | None => {}
                },
                Err(fault) => self.unknown("an image", step.role(), &line.span(), &fault),
            }
        }
    }

    /// An image that is a mapping, as in the values of a chart. What these switch off is not pulled.
    fn mapping(&mut self, step: &Step<'_>, lines: &[manifest::Line<'_>], outlines: &[String], at: usize) {
        let is_off = |at: &usize| lines[*at].text().is_ok_and(|text| images::switches_off(&text));
        if images::switches(outlines, at).iter().any(is_off) {
            return;
        }
        let mut parts = images::Parts::default();
        let mut failed = None;
        for line in images::within(outlines, at).map(|at| &lines[at]) {
            match line.text() {
                Ok(text) => parts.add(&text),
                Err(fault) => failed = failed.or(Some((line.span(), fault))),
            }
        }
        match (parts.name(), failed) {
            (_, Some((span, fault))) => self.unknown("an image", step.role(), &span, &fault),
            (Some(name), None) => self.image(step, &name, &lines[at].span()),
            (None, None) => {}
        }
    }

    fn image(&mut self, step: &Step<'_>, name: &str, span: &Span) {
        if name.parse::<ImageRef>().is_err() {
            let problem =
                format!("the role {} names the image {}, which is invalid", quoted(step.role()), quoted(name));
            return self.report(problem, span.clone());
        }
        if self.seen.insert(name.to_owned()) {
            let (name, reference, span) = (step.role().to_owned(), name.to_owned(), span.clone());
            self.named.images.push(Image { name, reference, span });
        }
    }

    fn url(&mut self, step: &Step<'_>, node: Option<&Arc<Node>>) {
        let Some(node) = node else { return };
        match step.scope.part(node, "url") {
            Ok(url) => self.fetched(step, &python::text(&url), Checksum::None, &node.span),
            Err(fault) => self.unknown("a URL", step.role(), &node.span, &fault),
        }
    }

    fn fetched(&mut self, step: &Step<'_>, url: &str, checksum: Checksum, span: &Span) {
        let is_url = ["http://", "https://"].iter().any(|scheme| url.starts_with(scheme));
        if is_url && self.seen.insert(url.to_owned()) {
            let (name, url, span) = (step.role().to_owned(), url.to_owned(), span.clone());
            self.named.files.push(File { name, url, checksum, pinned_at: None, span });
        }
    }

    /// The templates that a command is given, and the URLs that it fetches.
    fn command(&mut self, step: &Step<'_>, arguments: &Arc<Node>) {
        let texts: Vec<&Arc<Node>> = match &arguments.value {
            Value::Map(map) => map.entries().iter().map(|entry| &entry.value).collect(),
            _ => vec![arguments],
        };
        for node in texts {
            let Value::Text(text, _) = &node.value else { continue };
            for (at, _) in text.match_indices(LOOKUP) {
                let rest = &text[at + LOOKUP.len()..];
                let name = rest.split([')', ',']).next().unwrap_or_default().trim();
                match step.scope.expression("a template", name, &node.span) {
                    Ok(name) => self.named_file(step, TEMPLATES, &python::text(&name), &node.span),
                    Err(fault) => self.unknown("the name of a template", step.role(), &node.span, &fault),
                }
            }
            if text.contains(CILIUM[0]) && text.contains(CILIUM[1]) {
                let version =
                    step.scope.variable("cilium_version").map(|version| format!(" {}", python::text(&version)));
                self.chart(step, Some(format!("cilium{}", version.unwrap_or_default())), &node.span);
            }
            let fetches = ["curl ", "wget ", "kubectl apply", "kubectl create"].iter().any(|word| text.contains(word));
            if fetches && text.contains("://") {
                match step.scope.part(node, "a command") {
                    Ok(text) => {
                        let text = python::text(&text);
                        let words = text.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
                        words.for_each(|word| self.fetched(step, word, Checksum::None, &node.span));
                    }
                    Err(fault) => self.unknown("a URL", step.role(), &node.span, &fault),
                }
            }
        }
    }

    /// A chart that the module of Helm installs.
    fn release(&mut self, step: &Step<'_>, arguments: &Arc<Node>) {
        let Ok(release) = step.scope.part(arguments, "a chart") else {
            return self.chart(step, None, &arguments.span);
        };
        let part = |key: &str| release.get_attr(key).ok().filter(|part| !part.is_undefined());
        // Without a chart, it removes one, or reads the repositories again.
        if let Some(name) = part("chart_ref") {
            let version =
                part("chart_version").map(|version| format!(" {}", python::text(&version))).unwrap_or_default();
            self.chart(step, Some(format!("{}{version}", python::text(&name))), &arguments.span);
        }
    }

    fn chart(&mut self, step: &Step<'_>, name: Option<String>, span: &Span) {
        let name = name.map_or_else(|| "a chart".to_owned(), |name| format!("the chart {}", quoted(&name)));
        let problem = format!(
            "the role {} installs {name}: the lists have no charts, nor the images that only a chart names",
            quoted(step.role())
        );
        self.report(problem, span.clone());
    }
}
