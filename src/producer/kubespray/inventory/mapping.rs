//! An inventory as YAML or JSON: a mapping of groups. Owns its keys, as Ansible's plugin `yaml` reads them; does not know what
//! outranks what.

use std::sync::Arc;

use super::{Inventory, MAX_HOSTS, pattern};
use crate::diagnostic::rules::UNREAD_INVENTORY;
use crate::diagnostic::{Diagnostic, Span, quoted};
use crate::producer::kubespray::yaml::{Entry, Key, Node, Value};

/// The keys of a group.
const KEYS: [&str; 3] = ["vars", "children", "hosts"];
/// Groups within one another.
const MAX_DEPTH: usize = 32;

/// Whether a file is an inventory: one of its keys is a group with hosts, children or variables, or a plugin makes it.
pub(super) fn is_inventory(root: &Node) -> bool {
    let Value::Map(groups) = &root.value else { return false };
    groups.text("plugin").is_some()
        || groups.entries().iter().any(|group| match &group.value.value {
            Value::Map(group) => KEYS.iter().any(|key| group.text(key).is_some()),
            _ => false,
        })
}

/// Adds what the file with this `root` says to `inventory`, and every entry that Ansible would refuse to `diagnostics`.
pub(super) fn read(root: &Arc<Node>, inventory: &mut Inventory, diagnostics: &mut Vec<Diagnostic>) {
    let Value::Map(groups) = &root.value else {
        return diagnostics.push(Diagnostic::error("an inventory must be a mapping of groups").at(root.span.clone()));
    };
    if let Some(plugin) = groups.text("plugin") {
        let problem = Diagnostic::error("a plugin makes this inventory, and kso runs none");
        let help = "write its hosts to a file: `ansible-inventory -i FILE --list --yaml --output hosts.yaml`";
        return diagnostics.push(problem.at(plugin.span.clone()).help(help));
    }
    let mut reader = Reader { inventory, diagnostics };
    for group in groups.entries() {
        reader.group(group, 0);
    }
}

struct Reader<'a> {
    inventory: &'a mut Inventory,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    /// Reads a group; `None` where its name is none.
    fn group(&mut self, entry: &Entry, depth: usize) -> Option<Arc<str>> {
        let name = self.name(entry, "group")?;
        if depth > MAX_DEPTH {
            self.error(format!("groups are nested more than {MAX_DEPTH} deep"), &entry.span);
            return None;
        }
        let group = match &entry.value.value {
            Value::Null => None,
            Value::Map(group) => Some(group),
            _ => {
                self.skipped(format!("{} is not a group: its value is not a mapping", quoted(&name)), &entry.span);
                return Some(name);
            }
        };
        self.inventory.group(&name);
        for part in group.iter().flat_map(|group| group.entries()) {
            let key = part.key.to_string();
            let Some(key) = KEYS.into_iter().find(|known| *known == key) else {
                let message = format!("{} of the group {} is skipped, as Ansible does", quoted(&key), quoted(&name));
                self.skipped(message, &part.span);
                continue;
            };
            for item in self.items(part) {
                match key {
                    "vars" => {
                        if let Err(problem) = self.inventory.set_of_group(&name, item) {
                            self.diagnostics.push(problem);
                        }
                    }
                    "children" => {
                        if let Some(child) = self.group(&item, depth + 1) {
                            self.inventory.add_child(&name, &child, item.span);
                        }
                    }
                    _ => self.hosts(&name, &item),
                }
            }
        }
        Some(name)
    }

    /// The entries of `vars`, `children` or `hosts`: a mapping, nothing, or one name.
    fn items(&mut self, part: &Entry) -> Vec<Entry> {
        match &part.value.value {
            Value::Map(items) => items.entries().to_vec(),
            Value::Null => Vec::new(),
            Value::Text(name, _) => {
                let span = part.value.span.clone();
                let value = Arc::new(Node::new(span.clone(), Value::Null));
                vec![Entry { key: Key::String(Arc::clone(name)), span, value }]
            }
            _ => {
                self.error(format!("`{}` must be a mapping", part.key), &part.value.span);
                Vec::new()
            }
        }
    }

    fn hosts(&mut self, group: &str, entry: &Entry) {
        let Some(name) = self.name(entry, "host") else { return };
        let hosts = match pattern::hosts(&name, MAX_HOSTS) {
            Ok(hosts) => hosts.names,
            Err(why) => return self.error(format!("{} {why}", quoted(&name)), &entry.span),
        };
        let variables = match &entry.value.value {
            Value::Map(variables) => variables.entries(),
            Value::Null => &[],
            _ => return self.error(format!("the variables of {} must be a mapping", quoted(&name)), &entry.value.span),
        };
        for host in &hosts {
            if !self.inventory.add_host(group, host) {
                return self.error(format!("at most {MAX_HOSTS} hosts can be read"), &entry.span);
            }
            for variable in variables {
                self.inventory.set_of_host(host, variable.clone());
            }
        }
    }

    fn name(&mut self, entry: &Entry, what: &str) -> Option<Arc<str>> {
        match &entry.key {
            Key::String(name) if !name.is_empty() => Some(Arc::clone(name)),
            key => {
                let problem = Diagnostic::error(format!("the name of a {what} must be a string, but is {key}"));
                self.diagnostics
                    .push(problem.at(entry.span.clone()).help(format!("write it in quotation marks: `\"{key}\"`")));
                None
            }
        }
    }

    fn error(&mut self, message: String, span: &Span) {
        self.diagnostics.push(Diagnostic::error(message).at(span.clone()));
    }

    fn skipped(&mut self, message: String, span: &Span) {
        self.diagnostics.push(Diagnostic::lint(&UNREAD_INVENTORY, message).at(span.clone()));
    }
}
