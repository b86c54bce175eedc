//! A walk through the plays for one host: the roles that run, their tasks in order, and what these set. Owns which task runs,
//! and with which variables; does not know what an image or a URL is for.

use std::sync::Arc;

use buildkit::gateway::is_match;
use minijinja::value::{Value as Jinja, ValueKind};

use crate::diagnostic::Span;
use crate::producer::kubespray::fault::Fault;
use crate::producer::kubespray::play::book::{self, Call, Play};
use crate::producer::kubespray::play::condition::{self, Verdict};
use crate::producer::kubespray::play::manifest::unknown;
use crate::producer::kubespray::play::role::{Role, Roles};
use crate::producer::kubespray::play::task::{Action, Loop, Task};
use crate::producer::kubespray::scope::Scope;
use crate::producer::kubespray::variables::{Layer, Rank, Variable, Variables};
use crate::producer::kubespray::yaml::{Map, Node, Value};
use crate::producer::kubespray::{jinja, python};

/// Roles and files of tasks within one another.
const MAX_DEPTH: usize = 40;
/// Roles and tasks of one host, each turn of a loop counted. A release has 2,000.
const MAX_TASKS: usize = 100_000;

/// A role that is not walked: its `downloads` are read from the variables.
const DOWNLOAD: &str = "download";
/// The tasks that fetch a file: the item `download` says which.
const DOWNLOAD_FILE: &str = "roles/download/tasks/download_file.yml";

/// What is done with the tasks that run.
pub(super) trait Visitor {
    /// A task that runs, or may run, once or at one turn of a loop.
    fn task(&mut self, step: &Step<'_>);

    /// A file that is fetched as the items of `downloads` are; its item is the variable `download`.
    fn download(&mut self, step: &Step<'_>, span: &Span);

    /// A role or a file of tasks that is used and that the checkout does not have.
    fn missing(&mut self, what: &str, name: &str, role: &str, span: &Span);

    /// What is known only when the play runs, although it decides what runs.
    fn unknown(&mut self, what: &str, role: &str, span: &Span, fault: &Fault);
}

/// A task with all that it sees.
pub(super) struct Step<'a> {
    pub(super) roles: &'a Roles,
    /// The roles that it belongs to, the innermost last.
    pub(super) chain: &'a [Arc<Role>],
    /// The directory of its file.
    pub(super) directory: &'a str,
    pub(super) scope: &'a Scope,
    pub(super) action: &'a Action<'a>,
}

impl Step<'_> {
    /// The name of its role; empty for a task of a play.
    pub(super) fn role(&self) -> &str {
        self.chain.last().map_or("", |role| role.name.as_str())
    }

    /// The file that a task means, in the directory of its kind.
    pub(super) fn find(&self, kind: &str, name: &str) -> Option<String> {
        self.roles.find(self.chain, kind, self.directory, name)
    }

    /// The files of its role, in the directory of their kind, whose names match a pattern: what is before its first `*`, and
    /// what is behind its last.
    pub(super) fn matching(&self, kind: &str, pattern: &str) -> Vec<String> {
        let (start, _) = pattern.split_once('*').unwrap_or((pattern, ""));
        let (_, end) = pattern.rsplit_once('*').unwrap_or(("", pattern));
        let directory = format!("roles/{}/{kind}/", self.role());
        let paths = self.roles.below(&directory);
        paths.filter(|path| is_match(&format!("{start}*{end}"), &path[directory.len()..])).map(str::to_owned).collect()
    }
}

/// The layers below and above those of a play.
pub(in super::super) struct Layers {
    pub(in super::super) extra: Arc<Layer>,
    /// Those of the inventory, the highest first.
    pub(in super::super) inventory: Vec<Arc<Layer>>,
}

/// A walk for one host.
pub(super) struct Walk<'a, V> {
    roles: &'a Roles,
    /// The host, with its facts.
    host: &'a Scope,
    layers: &'a Layers,
    visitor: &'a mut V,
    /// What tasks set and registered.
    set: Arc<Layer>,
    tasks: usize,
    /// Whether there was more than a walk takes.
    is_cut: bool,
}

/// Where a walk is.
#[derive(Clone)]
struct Place {
    play: Arc<InPlay>,
    chain: Vec<Arc<Role>>,
    parameters: Vec<Arc<Layer>>,
    /// Those of blocks, of included files and of the task, the innermost last.
    variables: Vec<Arc<Layer>>,
    directory: String,
    verdict: Verdict,
    depth: usize,
}

/// What all tasks of a play see.
struct InPlay {
    variables: Arc<Layer>,
    /// The roles of the play with their dependencies, in order: the later outranks the earlier.
    roles: Vec<Arc<Role>>,
}

impl<'a, V: Visitor> Walk<'a, V> {
    pub(super) fn new(roles: &'a Roles, host: &'a Scope, layers: &'a Layers, visitor: &'a mut V) -> Self {
        Self { roles, host, layers, visitor, set: Arc::default(), tasks: 0, is_cut: false }
    }

    /// Whether it did not get to the end.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Counts a task; whether it may still run.
    fn counts(&mut self, depth: usize) -> bool {
        self.tasks += 1;
        self.is_cut |= self.tasks > MAX_TASKS || depth > MAX_DEPTH;
        !self.is_cut
    }

    /// Walks through a play.
    pub(super) fn play(&mut self, play: &Play) {
        let mut place = Place {
            play: Arc::new(InPlay { variables: Arc::clone(&play.variables), roles: Vec::new() }),
            chain: Vec::new(),
            parameters: Vec::new(),
            variables: Vec::new(),
            directory: play.directory.clone(),
            verdict: Verdict::Yes,
            depth: 0,
        };
        let scope = self.scope(&place);
        let mut roles = Vec::new();
        for call in &play.roles {
            let name = scope.part(&call.name, "a role").ok();
            if let Some(role) = name.and_then(|name| self.roles.role(&python::text(&name))) {
                self.with_dependencies(&role, &mut roles, 0);
            }
        }
        place.play = Arc::new(InPlay { variables: Arc::clone(&play.variables), roles });
        for condition in &play.conditions {
            place.verdict = place.verdict.and(condition::of_node(&self.scope(&place), condition));
        }
        if place.verdict == Verdict::No {
            return;
        }
        self.list(&play.before, &place);
        for call in &play.roles {
            self.call(call, &place);
        }
        self.list(&play.after, &place);
    }

    fn with_dependencies(&self, role: &Arc<Role>, roles: &mut Vec<Arc<Role>>, depth: usize) {
        for dependency in role.dependencies.iter().filter(|_| depth < MAX_DEPTH) {
            if let Value::Text(name, _) = &dependency.name.value
                && let Some(role) = self.roles.role_from(Some(role), name)
                && !roles.iter().any(|known| Arc::ptr_eq(known, &role))
            {
                self.with_dependencies(&role, roles, depth + 1);
            }
        }
        if !roles.iter().any(|known| Arc::ptr_eq(known, role)) {
            roles.push(Arc::clone(role));
        }
    }

    /// The variables at a place. What outranks what is from `ansible.vars.manager`.
    fn scope(&self, place: &Place) -> Scope {
        let mut layers = vec![Arc::clone(&self.layers.extra)];
        layers.extend(place.parameters.iter().rev().cloned());
        layers.push(Arc::clone(&self.set));
        layers.extend(place.variables.iter().rev().cloned());
        let own = place.chain.iter().rev();
        layers.extend(own.clone().map(|role| Arc::clone(&role.variables)));
        layers.extend(place.play.roles.iter().rev().map(|role| Arc::clone(&role.variables)));
        layers.push(Arc::clone(&place.play.variables));
        layers.extend(self.layers.inventory.iter().cloned());
        layers.extend(own.map(|role| Arc::clone(&role.defaults)));
        layers.extend(place.play.roles.iter().rev().map(|role| Arc::clone(&role.defaults)));
        layers.retain(|layer| !layer.is_empty());
        self.host.step(Variables::new(layers))
    }

    /// Walks through a role of a list.
    fn call(&mut self, call: &Call, place: &Place) {
        if call.never {
            return;
        }
        let mut place = place.clone();
        place.depth += 1;
        place.variables.push(Arc::clone(&call.variables));
        place.parameters.push(Arc::clone(&call.parameters));
        let scope = self.scope(&place);
        let name = match scope.part(&call.name, "a role") {
            Ok(name) => python::text(&name),
            Err(fault) => return self.unknown("the name of a role", &place, &call.span, &fault),
        };
        let condition = call.condition.as_deref();
        if let Some(role) = self.roles.role_from(place.chain.last(), &name) {
            self.role(&role, condition, "main", place);
        } else {
            let verdict = condition.map_or(Verdict::Yes, |condition| condition::of_node(&scope, condition));
            place.verdict = place.verdict.and(verdict);
            self.missing("the role", &name, &place, &call.span);
        }
    }

    /// Walks through a role's dependencies and its tasks.
    fn role(&mut self, role: &Arc<Role>, condition: Option<&Node>, tasks: &str, mut place: Place) {
        if role.name == DOWNLOAD || !self.counts(place.depth) {
            return;
        }
        place.chain.push(Arc::clone(role));
        if let Some(condition) = condition {
            place.verdict = place.verdict.and(condition::of_node(&self.scope(&place), condition));
            if place.verdict == Verdict::No {
                return;
            }
        }
        for dependency in &role.dependencies {
            self.call(dependency, &place);
        }
        if let Some(path) = self.roles.tasks(&role.name, tasks) {
            self.file(&path, place);
        }
    }

    fn file(&mut self, path: &str, mut place: Place) {
        path.rsplit_once('/').map_or("", |(directory, _)| directory).clone_into(&mut place.directory);
        place.depth += 1;
        self.list(&self.roles.list(path), &place);
    }

    fn list(&mut self, tasks: &[Arc<Node>], place: &Place) {
        for node in tasks {
            if let Value::Map(map) = &node.value {
                self.task(map, node, place);
            }
        }
    }

    fn task(&mut self, map: &Map, node: &Arc<Node>, place: &Place) {
        if book::is_never(map) || !self.counts(place.depth) {
            return;
        }
        let mut place = place.clone();
        let own = book::layer(map, "vars", Rank::Task);
        if !own.is_empty() {
            place.variables.push(Arc::new(own));
        }
        let task = Task::of(map, node);
        let condition = map.text("when");
        if let Action::Block(parts) = &task.action {
            if let Some(condition) = condition {
                place.verdict = place.verdict.and(condition::of_node(&self.scope(&place), condition));
            }
            if place.verdict != Verdict::No {
                place.depth += 1;
                for tasks in parts {
                    self.list(tasks, &place);
                }
            }
            return;
        }
        match &task.repeats {
            None => self.turn(&task, condition, &place),
            Some(repeats) => {
                let scope = self.scope(&place);
                let items = self.items(repeats, &task, &place, &scope);
                for item in items {
                    if !self.counts(place.depth) {
                        return;
                    }
                    let mut layer = Layer::default();
                    let span = item.span.clone();
                    layer.insert(&task.item, Variable { node: item, span, rank: Rank::Task });
                    let mut place = place.clone();
                    place.variables.push(Arc::new(layer));
                    self.turn(&task, condition, &place);
                }
            }
        }
        if let Some(name) = task.registers {
            self.set(name, unknown(&node.span, &format!("the result `{name}`")));
        }
    }

    /// Runs a task once.
    fn turn(&mut self, task: &Task<'_>, condition: Option<&Arc<Node>>, place: &Place) {
        let scope = self.scope(place);
        let verdict = condition.map_or(Verdict::Yes, |condition| condition::of_node(&scope, condition));
        let mut place = place.clone();
        place.verdict = place.verdict.and(verdict);
        if place.verdict == Verdict::No {
            return;
        }
        match &task.action {
            Action::SetFact(map) => self.set_facts(map, &place, &scope),
            Action::IncludeVars(name) => self.include_vars(name, &place, &scope),
            Action::IncludeTasks(name) => match scope.part(name, "a file of tasks") {
                Ok(text) => {
                    let text = python::text(&text);
                    match self.roles.find(&place.chain, "tasks", &place.directory, &text) {
                        Some(path) if path == DOWNLOAD_FILE => {
                            let Place { chain, directory, .. } = &place;
                            let step =
                                Step { roles: self.roles, chain, directory, scope: &scope, action: &task.action };
                            self.visitor.download(&step, &name.span);
                        }
                        Some(path) => self.file(&path, place),
                        None => self.missing("the file of tasks", &text, &place, &name.span),
                    }
                }
                Err(fault) => self.unknown("the name of a file of tasks", &place, &name.span, &fault),
            },
            Action::IncludeRole(name, tasks) => {
                let text = |node: &Arc<Node>| scope.part(node, "a role").map(|value| python::text(&value));
                let names = text(name).and_then(|name| Ok((name, tasks.map_or(Ok("main".to_owned()), text)?)));
                place.depth += 1;
                match names {
                    Ok((role, tasks)) => match self.roles.role_from(place.chain.last(), &role) {
                        Some(role) => self.role(&role, None, &tasks, place),
                        None => self.missing("the role", &role, &place, &name.span),
                    },
                    Err(fault) => self.unknown("the name of a role", &place, &name.span, &fault),
                }
            }
            Action::Block(_) => {}
            Action::Other(..) => {
                let Place { chain, directory, .. } = &place;
                let step = Step { roles: self.roles, chain, directory, scope: &scope, action: &task.action };
                self.visitor.task(&step);
            }
        }
    }

    fn missing(&mut self, what: &str, name: &str, place: &Place, span: &Span) {
        // Ansible does not look for what does not run.
        if place.verdict == Verdict::Yes {
            self.visitor.missing(what, name, place.chain.last().map_or("", |role| &role.name), span);
        }
    }

    fn unknown(&mut self, what: &str, place: &Place, span: &Span, fault: &Fault) {
        self.visitor.unknown(what, place.chain.last().map_or("", |role| &role.name), span, fault);
    }

    fn set_facts(&mut self, map: &Map, place: &Place, scope: &Scope) {
        for entry in map.entries() {
            let name = entry.key.to_string();
            if name == "cacheable" {
                continue;
            }
            let value = scope.part(&entry.value, &name).ok().filter(|_| place.verdict == Verdict::Yes);
            let unknown = || unknown(&entry.span, &format!("`{name}`"));
            self.set(&name, value.map_or_else(unknown, |value| jinja::node(&value, &entry.span)));
        }
    }

    fn include_vars(&mut self, name: &Arc<Node>, place: &Place, scope: &Scope) {
        let Ok(text) = scope.part(name, "a file of variables") else { return };
        let path = self.roles.find(&place.chain, "vars", &place.directory, &python::text(&text));
        if let Some(path) = path {
            let mut set = Layer::clone(&self.set);
            set.extend_with(self.roles.variables(&path, Rank::Set));
            self.set = Arc::new(set);
        }
    }

    fn set(&mut self, name: &str, node: Arc<Node>) {
        let span = node.span.clone();
        Arc::make_mut(&mut self.set).insert(name, Variable { node, span, rank: Rank::Set });
    }

    /// What a task is repeated for. Where that is unknown, it is one item, and unknown.
    fn items(&self, repeats: &Loop<'_>, task: &Task<'_>, place: &Place, scope: &Scope) -> Vec<Arc<Node>> {
        let span = &repeats.node.span;
        let one = || vec![unknown(span, &format!("`{}`", task.item))];
        let list = |value: &Jinja| {
            let items = value.try_iter().ok()?;
            Some(items.map(|item| jinja::node(&item, span)).collect::<Vec<_>>())
        };
        let value = |node: &Arc<Node>| scope.part(node, "a loop").ok();
        match repeats.kind {
            "loop" | "with_list" => value(repeats.node).as_ref().and_then(list).unwrap_or_else(one),
            "with_items" => {
                let Some(items) = value(repeats.node) else { return one() };
                if items.kind() != ValueKind::Seq {
                    return vec![jinja::node(&items, span)];
                }
                let flat = items.try_iter().map(|items| {
                    items.flat_map(|item| match item.kind() {
                        ValueKind::Seq => list(&item).unwrap_or_else(one),
                        _ => vec![jinja::node(&item, span)],
                    })
                });
                flat.map_or_else(|_| one(), Iterator::collect)
            }
            "with_dict" => {
                let items = value(repeats.node).and_then(|value| {
                    let pair = |key: Jinja| {
                        let of_key = value.get_item(&key).unwrap_or_default();
                        jinja::node(&Jinja::from_pairs([("key", key), ("value", of_key)]), span)
                    };
                    Some(value.try_iter().ok()?.map(pair).collect())
                });
                items.unwrap_or_else(one)
            }
            "with_first_found" => self.first_found(repeats.node, task, place, scope).unwrap_or_else(one),
            _ => one(),
        }
    }

    /// The first of several files that there is: a list of names, or of mappings with `files` and `paths`. None where all
    /// names are known and no file is there.
    fn first_found(&self, node: &Arc<Node>, task: &Task<'_>, place: &Place, scope: &Scope) -> Option<Vec<Arc<Node>>> {
        let texts = |value: &Jinja| match value.kind() {
            ValueKind::String => Some(vec![python::text(value)]),
            _ => Some(value.try_iter().ok()?.map(|item| python::text(&item)).collect::<Vec<_>>()),
        };
        let all = scope.part(node, "a loop").ok()?;
        let all = if all.kind() == ValueKind::Map { Jinja::from(vec![all]) } else { all };
        let kind = task.action.directory();
        for one in all.try_iter().ok()? {
            let (files, paths) = if one.kind() == ValueKind::Map {
                let part = |name: &str| one.get_attr(name).ok().filter(|part| !part.is_undefined());
                (texts(&part("files")?)?, part("paths").map_or(Some(vec![String::new()]), |paths| texts(&paths))?)
            } else {
                (texts(&one)?, vec![String::new()])
            };
            for path in &paths {
                for file in &files {
                    let name = if path.is_empty() { file.clone() } else { format!("{path}/{file}") };
                    if let Some(found) = self.roles.find(&place.chain, kind, &place.directory, &name) {
                        return Some(vec![jinja::node(&Jinja::from(found), &node.span)]);
                    }
                }
            }
        }
        Some(Vec::new())
    }
}
