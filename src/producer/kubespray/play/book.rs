//! The playbook that installs a cluster: its plays, in order. Owns how a playbook is written; does not know what a role does.

use std::sync::Arc;

use buildkit::gateway::clean;

use crate::diagnostic::rules::INCOMPLETE_LISTS;
use crate::diagnostic::{Diagnostic, Span, quoted};
use crate::producer::kubespray::play::role::Roles;
use crate::producer::kubespray::variables::{Layer, Rank};
use crate::producer::kubespray::yaml::{Key, Map, Node, Value};

/// Where a checkout has the playbook, in any release since v2.16.
const BOOKS: [&str; 2] = ["cluster.yml", "playbooks/cluster.yml"];
/// Playbooks within one another.
const MAX_DEPTH: usize = 10;
/// The keys of a role's entry that are none of its parameters.
const KEYWORDS: [&str; 16] = [
    "any_errors_fatal",
    "become",
    "become_user",
    "check_mode",
    "delegate_to",
    "environment",
    "ignore_errors",
    "name",
    "no_log",
    "role",
    "run_once",
    "src",
    "tags",
    "vars",
    "version",
    "when",
];

/// A play.
#[derive(Debug)]
pub(super) struct Play {
    /// The pattern of its hosts.
    pub(super) hosts: Arc<Node>,
    pub(super) variables: Arc<Layer>,
    /// What must hold for each of its tasks.
    pub(super) conditions: Vec<Arc<Node>>,
    pub(super) roles: Vec<Call>,
    /// The tasks before the roles, and those after.
    pub(super) before: Vec<Arc<Node>>,
    pub(super) after: Vec<Arc<Node>>,
    /// The directory of its file.
    pub(super) directory: String,
}

/// An entry of `roles` or `dependencies`.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// The role's name, which may be a template.
    pub(super) name: Arc<Node>,
    pub(super) span: Span,
    pub(super) condition: Option<Arc<Node>>,
    pub(super) variables: Arc<Layer>,
    /// Other keys: they outrank the variables.
    pub(super) parameters: Arc<Layer>,
    /// Whether it runs only when a tag asks for it.
    pub(super) never: bool,
}

/// Whether a checkout has the playbook.
pub(super) fn exists(roles: &Roles) -> bool {
    BOOKS.iter().any(|path| roles.has(path))
}

/// The plays of a checkout, none where it has no playbook; and what is reported of the playbooks.
pub(super) fn plays(roles: &Roles) -> (Vec<Play>, Vec<Diagnostic>) {
    let mut book = Book { roles, plays: Vec::new(), problems: Vec::new() };
    if let Some(path) = BOOKS.iter().find(|path| roles.has(path)) {
        book.add(path, &Imported::default(), 0);
    }
    (book.plays, book.problems)
}

struct Book<'a> {
    roles: &'a Roles,
    plays: Vec<Play>,
    problems: Vec<Diagnostic>,
}

/// What the playbooks say that import another.
#[derive(Debug, Clone, Default)]
struct Imported {
    variables: Layer,
    conditions: Vec<Arc<Node>>,
}

impl Book<'_> {
    /// Adds the plays of a playbook, and of those that it imports.
    fn add(&mut self, path: &str, imported: &Imported, depth: usize) {
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        for item in self.roles.list(path) {
            let Value::Map(map) = &item.value else { continue };
            let mut inherited = imported.clone();
            // What an import says outranks the play, as `ansible.playbook.playbook_include` has it.
            inherited.variables = layer(map, "vars", Rank::Play);
            inherited.variables.extend_with(imported.variables.clone());
            inherited.conditions.extend(map.text("when").cloned());
            if let Some(import) = import(map) {
                match self.imported(directory, import, depth) {
                    Ok(path) => self.add(&path, &inherited, depth + 1),
                    Err(why) => {
                        let problem = format!("{why}, so images and files that its roles name may be missing");
                        self.problems.push(Diagnostic::lint(&INCOMPLETE_LISTS, problem).at(import.span.clone()));
                    }
                }
                continue;
            }
            let Some(hosts) = map.text("hosts") else { continue };
            if is_never(map) {
                continue;
            }
            let before = list(map, "pre_tasks");
            let after = [list(map, "tasks"), list(map, "post_tasks")].concat();
            let roles = map.text("roles").map_or_else(Vec::new, |list| calls(list));
            self.plays.push(Play {
                hosts: Arc::clone(hosts),
                variables: Arc::new(inherited.variables),
                conditions: inherited.conditions,
                roles,
                before,
                after,
                directory: directory.to_owned(),
            });
        }
    }

    /// The path of a playbook that one in `directory` imports. The error is the beginning of a sentence.
    fn imported(&self, directory: &str, import: &Node, depth: usize) -> Result<String, String> {
        let Value::Text(name, is_template) = &import.value else {
            return Err("the imported playbook is not a path".to_owned());
        };
        if *is_template && name.contains("{{") {
            return Err(format!("the name of the imported playbook is a template, {}", quoted(name)));
        }
        let path = clean(&format!("{directory}/{name}"));
        if !self.roles.has(&path) {
            return Err(format!("the checkout has no playbook {}", quoted(&path)));
        }
        if depth >= MAX_DEPTH {
            return Err(format!("playbooks import one another more than {MAX_DEPTH} deep"));
        }
        Ok(path)
    }
}

fn import(map: &Map) -> Option<&Arc<Node>> {
    ["import_playbook", "ansible.builtin.import_playbook"].iter().find_map(|key| map.text(key))
}

fn list(map: &Map, key: &str) -> Vec<Arc<Node>> {
    match map.text(key).map(|node| &node.value) {
        Some(Value::List(items)) => items.clone(),
        _ => Vec::new(),
    }
}

/// The entries of a list of roles.
pub(super) fn calls(list: &Node) -> Vec<Call> {
    let Value::List(items) = &list.value else { return Vec::new() };
    items.iter().filter_map(call).collect()
}

fn call(item: &Arc<Node>) -> Option<Call> {
    let Value::Map(map) = &item.value else {
        let none = Arc::<Layer>::default();
        let (name, span) = (Arc::clone(item), item.span.clone());
        return Some(Call { name, span, condition: None, variables: none.clone(), parameters: none, never: false });
    };
    let name = map.text("role").or_else(|| map.text("name"))?;
    let mut parameters = Layer::default();
    let is_parameter = |key: &Key| matches!(key, Key::String(key) if !KEYWORDS.contains(&&**key));
    parameters.extend(Rank::Parameters, map.entries().iter().filter(|entry| is_parameter(&entry.key)).cloned());
    Some(Call {
        name: Arc::clone(name),
        span: name.span.clone(),
        condition: map.text("when").cloned(),
        variables: Arc::new(layer(map, "vars", Rank::Task)),
        parameters: Arc::new(parameters),
        never: is_never(map),
    })
}

/// The variables of a key.
pub(super) fn layer(map: &Map, key: &str, rank: Rank) -> Layer {
    let mut layer = Layer::default();
    if let Some(Value::Map(variables)) = map.text(key).map(|node| &node.value) {
        layer.extend(rank, variables.entries().iter().cloned());
    }
    layer
}

/// Whether something runs only when a tag asks for it.
pub(super) fn is_never(map: &Map) -> bool {
    let is_never =
        |node: &Node| matches!(&node.value, Value::Text(text, _) if text.split(',').any(|tag| tag.trim() == "never"));
    map.text("tags").is_some_and(|tags| match &tags.value {
        Value::List(tags) => tags.iter().any(|tag| is_never(tag)),
        _ => is_never(tags),
    })
}
