//! The files of an inventory. Owns which of them are read, and how; does not know what outranks what.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{ALL, Inventory, UNGROUPED, ini, mapping};
use crate::diagnostic::rules::UNREAD_INVENTORY;
use crate::diagnostic::{Diagnostic, Source, Span, quoted};
use crate::producer::kubespray::checkout::{HOST_VARS, INVENTORY_FOLDER, entity, is_variables};
use crate::producer::kubespray::release::{Folder, source};
use crate::producer::kubespray::variables::{Layer, Rank};
use crate::producer::kubespray::yaml;

/// The host of [`ONE_NODE`].
const NODE: &str = "node1";
/// The inventory of a user who has none, or none with a host: a cluster of one node that is in every group, those of the
/// directory `group_vars` included.
const ONE_NODE: &str = "\
[kube_control_plane]
node1 ansible_host=192.0.2.1 ip=192.0.2.1
[etcd:children]
kube_control_plane
[kube_node:children]
kube_control_plane
[calico_rr:children]
kube_control_plane
[k8s_cluster:children]
kube_control_plane
kube_node
calico_rr
";

impl Inventory {
    /// Reads an inventory, and reports every file of it that cannot be read. `asked` is where it is named.
    pub(in super::super) fn read(folder: &Folder, asked: Option<&Span>, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut inventory = Self::default();
        inventory.group(ALL);
        inventory.group(UNGROUPED);
        let files = folder.files.keys().filter(|path| may_name_hosts(path));
        let (ini, others): (Vec<&String>, Vec<&String>) = files.partition(|path| is_ini(path));
        for name in others.into_iter().chain(ini) {
            match source(folder, name, asked) {
                Ok(source) if is_ini(name) && !inventory.host_order.is_empty() => {
                    diagnostics.extend(not_in_a_directory(&source));
                }
                Ok(source) => inventory.read_hosts(&source, diagnostics),
                Err(problem) => diagnostics.push(problem),
            }
        }
        if let Some(problem) = inventory.circle() {
            diagnostics.push(problem);
            return Self::default();
        }
        if inventory.host_order.is_empty() {
            ini::read(&Source::new("an inventory of one node", ONE_NODE), &mut inventory, diagnostics);
            let directory = format!("{INVENTORY_FOLDER}/");
            for path in folder.files.keys().filter_map(|path| path.strip_prefix(&directory)) {
                let name = path.split(['/', '.']).next().unwrap_or(path);
                inventory.group(name);
                inventory.add_host(name, NODE);
            }
        }
        inventory.complete();
        inventory.read_variables(folder, asked, diagnostics);
        inventory
    }

    /// Adds what a file says, if it is an inventory.
    fn read_hosts(&mut self, source: &Arc<Source>, diagnostics: &mut Vec<Diagnostic>) {
        let name = source.name();
        if !is_ini(name) {
            let is_yaml = [".yml", ".yaml", ".json"].iter().any(|extension| name.ends_with(extension));
            match yaml::parse(source) {
                Ok(Some(root)) if mapping::is_inventory(&root) => return mapping::read(&root, self, diagnostics),
                Ok(_) if is_yaml => return,
                Err(problem) if is_yaml => return diagnostics.push(problem),
                Ok(_) | Err(_) => {}
            }
        }
        if source.text().starts_with("#!") {
            let message = format!("{} is a program, and kso runs none: its hosts are not read", quoted(name));
            let help = "write its hosts to a file: `ansible-inventory -i FILE --list --yaml --output hosts.yaml`";
            let first = Span::new(source, source.line(1));
            return diagnostics.push(Diagnostic::lint(&UNREAD_INVENTORY, message).at(first).help(help));
        }
        if ini::is_inventory(source.text()) {
            ini::read(source, self, diagnostics);
        }
    }

    /// Adds the variables of the directories `group_vars` and `host_vars`.
    fn read_variables(&mut self, folder: &Folder, asked: Option<&Span>, diagnostics: &mut Vec<Diagnostic>) {
        let mut taken = BTreeSet::new();
        let mut entries = |directory: &str, name: &str, diagnostics: &mut Vec<Diagnostic>| {
            let mut layer = Layer::default();
            for path in entity(&folder.files, &format!("{directory}/{name}"), true) {
                taken.insert(path);
                match source(folder, path, asked).and_then(|source| yaml::variables(&source)) {
                    Ok(found) => layer.extend(Rank::Inventory, found),
                    Err(problem) => diagnostics.push(problem),
                }
            }
            Arc::new(layer)
        };
        for (name, group) in &mut self.groups {
            group.variables.files = entries(INVENTORY_FOLDER, name, diagnostics);
        }
        for (name, host) in &mut self.hosts {
            host.variables.files = entries(HOST_VARS, name, diagnostics);
        }
        let unused = folder.files.keys().filter(|path| path.contains('/') && !taken.contains(path.as_str()));
        for path in unused {
            let what = if path.starts_with(HOST_VARS) { "host" } else { "group" };
            let message = format!("{} is not read: the inventory has no such {what}", quoted(&folder.path_of(path)));
            let place = source(folder, path, asked).ok().map(|source| Span::new(&source, source.line(1)));
            diagnostics.push(Diagnostic::lint(&UNREAD_INVENTORY, message).at(asked.cloned()).at(place));
        }
    }
}

/// Ansible skips `.ini` files in a directory. Usually it is given the file, so one that has the only hosts is read; this is one
/// next to others. The example that comes with Kubespray has no hosts.
fn not_in_a_directory(source: &Arc<Source>) -> Option<Diagnostic> {
    let mut alone = Inventory::default();
    ini::read(source, &mut alone, &mut Vec::new());
    let host = alone.host_order.first()?;
    let message = format!("{} is not read: another file of the directory has hosts", quoted(source.name()));
    let help = format!("to use it instead, name it: `inventory: {}`", source.name());
    let first = source.text().find(host.as_str()).map(|at| Span::new(source, at..at + host.len()));
    Some(Diagnostic::lint(&UNREAD_INVENTORY, message).at(first).help(help))
}

/// Whether a file next to `group_vars` may name hosts.
fn may_name_hosts(path: &str) -> bool {
    !path.contains('/') && (is_variables(path) || is_ini(path))
}

fn is_ini(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, extension)| extension == "ini")
}
