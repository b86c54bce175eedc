//! The files of a checkout's roles: variables, dependencies, tasks and templates. Owns where each lies; does not know what its
//! tasks do.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use buildkit::gateway::clean;

use crate::diagnostic::{Diagnostic, Source, Span};
use crate::producer::kubespray::checkout::entity;
use crate::producer::kubespray::play::book::{Call, calls};
use crate::producer::kubespray::release::{Folder, source};
use crate::producer::kubespray::variables::{Layer, Rank};
use crate::producer::kubespray::yaml::{self, Node, Value};

/// A role.
#[derive(Debug)]
pub(super) struct Role {
    /// Its path below `roles/`, such as `kubernetes-apps/csi_driver/cinder`.
    pub(super) name: String,
    pub(super) defaults: Arc<Layer>,
    pub(super) variables: Arc<Layer>,
    /// The roles that run before it.
    pub(super) dependencies: Vec<Call>,
}

/// The roles and the playbooks of a checkout, each file parsed once.
pub(in super::super) struct Roles {
    checkout: Folder,
    asked: Option<Span>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    sources: BTreeMap<String, Option<Arc<Source>>>,
    trees: BTreeMap<String, Option<Arc<Node>>>,
    roles: BTreeMap<String, Option<Arc<Role>>>,
    problems: Vec<Diagnostic>,
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the roles of {}", self.checkout.name)
    }
}

impl Roles {
    /// Those of a checkout, which `asked` names.
    pub(in super::super) fn new(checkout: Folder, asked: Option<Span>) -> Self {
        Self { checkout, asked, known: Mutex::default() }
    }

    /// What the files that cannot be read are reported as, since the last call.
    pub(super) fn take_problems(&self) -> Vec<Diagnostic> {
        std::mem::take(&mut self.lock().problems)
    }

    /// Where the checkout is named.
    pub(in super::super) fn asked(&self) -> Option<&Span> {
        self.asked.as_ref()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the checkout has a file.
    pub(super) fn has(&self, path: &str) -> bool {
        self.checkout.files.contains_key(path)
    }

    /// The files below a directory, whose path ends with a slash.
    pub(super) fn below(&self, directory: &str) -> impl Iterator<Item = &str> {
        let files = self.checkout.files.range(directory.to_owned()..);
        files.map(|(path, _)| path.as_str()).take_while(move |path| path.starts_with(directory))
    }

    /// Whether a file below a directory, whose path ends with a slash, has this text.
    pub(in super::super) fn mentions(&self, directory: &str, text: &str) -> bool {
        let has = |bytes: &Vec<u8>| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        self.below(directory).any(|path| self.checkout.files.get(path).is_some_and(has))
    }

    /// The text of a file; `None` where it cannot be read, which is reported.
    pub(super) fn source(&self, path: &str) -> Option<Arc<Source>> {
        if let Some(known) = self.lock().sources.get(path) {
            return known.clone();
        }
        let read = source(&self.checkout, path, self.asked.as_ref());
        let mut known = self.lock();
        let read = read.map_err(|problem| known.problems.push(problem)).ok();
        known.sources.insert(path.to_owned(), read.clone());
        read
    }

    /// The items of a file that holds a list: of tasks, of plays.
    pub(super) fn list(&self, path: &str) -> Vec<Arc<Node>> {
        match self.tree(path).as_deref().map(|node| &node.value) {
            Some(Value::List(items)) => items.clone(),
            _ => Vec::new(),
        }
    }

    fn tree(&self, path: &str) -> Option<Arc<Node>> {
        if let Some(known) = self.lock().trees.get(path) {
            return known.clone();
        }
        let parsed = self.source(path).map_or(Ok(None), |source| yaml::parse(&source));
        let mut known = self.lock();
        let parsed = parsed.unwrap_or_else(|problem| {
            known.problems.push(problem);
            None
        });
        known.trees.insert(path.to_owned(), parsed.clone());
        parsed
    }

    /// The variables of a file.
    pub(super) fn variables(&self, path: &str, rank: Rank) -> Layer {
        let mut layer = Layer::default();
        if let Some(Value::Map(map)) = self.tree(path).as_deref().map(|node| &node.value) {
            layer.extend(rank, map.entries().iter().cloned());
        }
        layer
    }

    /// A role by its name; `None` where the checkout has none.
    pub(super) fn role(&self, name: &str) -> Option<Arc<Role>> {
        if let Some(known) = self.lock().roles.get(name) {
            return known.clone();
        }
        let directory = format!("roles/{name}/");
        let role = self.below(&directory).next().is_some().then(|| {
            let layer = |kind: &str, rank| {
                let mut layer = Layer::default();
                for path in entity(&self.checkout.files, &format!("{directory}{kind}/main"), false) {
                    layer.extend_with(self.variables(path, rank));
                }
                Arc::new(layer)
            };
            let meta = self.file(&directory, "meta", "main");
            let meta = meta.and_then(|path| self.tree(&path));
            let dependencies = match meta.as_deref().map(|node| &node.value) {
                Some(Value::Map(map)) => map.text("dependencies").map_or_else(Vec::new, |list| calls(list)),
                _ => Vec::new(),
            };
            Arc::new(Role {
                name: name.to_owned(),
                defaults: layer("defaults", Rank::RoleDefaults),
                variables: layer("vars", Rank::RoleVars),
                dependencies,
            })
        });
        self.lock().roles.insert(name.to_owned(), role.clone());
        role
    }

    /// A role as another one names it: by its path below `roles/`, or next to the other
    /// (`ansible.playbook.role.definition`).
    pub(super) fn role_from(&self, user: Option<&Arc<Role>>, name: &str) -> Option<Arc<Role>> {
        let beside = || {
            let (directory, _) = user?.name.rsplit_once('/')?;
            self.role(&format!("{directory}/{name}"))
        };
        self.role(name).or_else(beside)
    }

    /// The file of a role's tasks with this name.
    pub(super) fn tasks(&self, role: &str, name: &str) -> Option<String> {
        let directory = format!("roles/{role}/");
        let stem = [".yml", ".yaml"].iter().find_map(|extension| name.strip_suffix(extension)).unwrap_or(name);
        self.file(&directory, "tasks", stem)
    }

    fn file(&self, directory: &str, kind: &str, stem: &str) -> Option<String> {
        let mut paths =
            [".yml", ".yaml"].iter().map(|extension| clean(&format!("{directory}{kind}/{stem}{extension}")));
        paths.find(|path| self.has(path))
    }

    /// The file that a task of a role means: in the directory of its kind (`templates`, `files`, `vars`, `tasks`), next to the
    /// file of the task, or in the role. A role within another finds what the outer one has.
    pub(super) fn find(&self, roles: &[Arc<Role>], kind: &str, beside: &str, name: &str) -> Option<String> {
        let within = |role: &Arc<Role>| {
            let directory = format!("roles/{}", role.name);
            [format!("{directory}/{kind}/{name}"), format!("{directory}/{name}")]
        };
        let mut places: Vec<String> = roles.iter().rev().flat_map(within).collect();
        if kind == "tasks" {
            places.insert(0, format!("{beside}/{name}"));
        } else {
            places.push(format!("{beside}/{name}"));
        }
        places.push(name.to_owned());
        places.into_iter().map(|path| clean(&path)).find(|path| self.has(path))
    }
}
