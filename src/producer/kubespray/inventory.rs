//! An inventory of Ansible: hosts, their groups, and which variable of a host outranks which. Owns the tree of groups and the
//! order of precedence; does not know how a file writes an inventory, nor what a variable is for.
//!
//! The rules are those of `ansible.inventory` and `ansible.vars.manager`, the same from 2.9 to 2.18.

mod ini;
mod literal;
mod mapping;
mod pattern;
mod read;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Span, quoted};
use crate::producer::kubespray::variables::{Layer, Rank};
use crate::producer::kubespray::yaml::{Entry, Key, Value};

/// The group of every host.
const ALL: &str = "all";
/// The group of the hosts that are in no other.
const UNGROUPED: &str = "ungrouped";
/// The variable of a group that ranks it among those of its depth.
const PRIORITY: &str = "ansible_group_priority";
/// The largest number of hosts, which is that of Kubernetes' nodes. Ranges make many of few bytes.
const MAX_HOSTS: usize = 5_000;

/// Hosts and groups with their variables.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    groups: BTreeMap<String, Group>,
    hosts: BTreeMap<String, Host>,
    /// The hosts and the groups in the order in which they were named first.
    host_order: Vec<String>,
    group_order: Vec<String>,
    /// Where each group is among the others, once all are known.
    places: BTreeMap<String, Place>,
}

/// The place of a group among the others.
#[derive(Debug, Default)]
struct Place {
    /// The groups that it is a child of.
    parents: BTreeSet<String>,
    /// One more than that of the deepest of these; that of `all` is 0.
    depth: usize,
}

/// A group of hosts, and of other groups.
#[derive(Debug)]
struct Group {
    hosts: Vec<String>,
    children: Vec<Child>,
    variables: Layers,
    priority: i64,
}

/// A group within a group.
#[derive(Debug)]
struct Child {
    name: String,
    /// Where that is said; every group is in `all` without a word.
    span: Option<Span>,
}

#[derive(Debug, Default)]
struct Host {
    /// The groups that name it themselves.
    groups: BTreeSet<String>,
    variables: Layers,
}

/// The variables of a group or a host: those of the inventory's own files, and those of the directories beside them.
#[derive(Debug, Default)]
struct Layers {
    inline: Arc<Layer>,
    files: Arc<Layer>,
}

impl Default for Group {
    fn default() -> Self {
        Self { hosts: Vec::new(), children: Vec::new(), variables: Layers::default(), priority: 1 }
    }
}

impl Inventory {
    /// The hosts in the order in which they were named.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &str> {
        self.host_order.iter().map(String::as_str)
    }

    /// The groups by their names, each with its hosts and those of the groups in it: Ansible's variable `groups`.
    pub(super) fn groups(&self) -> BTreeMap<&str, Vec<&str>> {
        self.groups.keys().map(|name| (name.as_str(), self.hosts_of(name))).collect()
    }

    /// The groups that a host is in, directly or through another group, without `all`, sorted: Ansible's `group_names`.
    pub(super) fn group_names(&self, host: &str) -> BTreeSet<&str> {
        let mut names = self.direct(host);
        let mut left: Vec<&str> = names.iter().copied().collect();
        while let Some(name) = left.pop() {
            left.extend(self.parents(name).filter(|parent| names.insert(parent)));
        }
        names
    }

    /// The variables of a host, the highest first: those of `host_vars`, those of the host in the inventory's files, those of
    /// the directory `group_vars`, those of groups in the inventory's files.
    pub(super) fn layers(&self, host: &str) -> Vec<Arc<Layer>> {
        let mut groups: Vec<&str> = self.group_names(host).into_iter().collect();
        groups.sort_by_key(|name| {
            let priority = self.groups.get(*name).map_or(1, |group| group.priority);
            (self.places.get(*name).map_or(0, |place| place.depth), priority, *name)
        });
        groups.insert(0, ALL);
        let groups = || groups.iter().rev().filter_map(|name| self.groups.get(*name)).map(|group| &group.variables);
        let host = self.hosts.get(host).map(|host| &host.variables);
        let of_host = host.into_iter().flat_map(|host| [&host.files, &host.inline]);
        let of_groups = groups().map(|group| &group.files).chain(groups().map(|group| &group.inline));
        of_host.chain(of_groups).map(Arc::clone).collect()
    }

    /// Whether there is such a host.
    pub(super) fn has(&self, host: &str) -> bool {
        self.hosts.contains_key(host)
    }

    /// The first host: the one that stands for all where they do not differ.
    pub(super) fn first(&self) -> &str {
        self.host_order.first().map_or("", String::as_str)
    }

    fn hosts_of(&self, group: &str) -> Vec<&str> {
        let mut hosts = Vec::new();
        let (mut seen, mut named) = (BTreeSet::from([group]), BTreeSet::new());
        let mut level = vec![group];
        while !level.is_empty() {
            let groups: Vec<&Group> = level.iter().filter_map(|name| self.groups.get(*name)).collect();
            let of_level = groups.iter().flat_map(|group| group.hosts.iter().map(String::as_str));
            hosts.extend(of_level.filter(|host| named.insert(*host)));
            let children = groups.iter().flat_map(|group| group.children.iter().map(|child| child.name.as_str()));
            level = children.filter(|child| seen.insert(*child)).collect();
        }
        hosts
    }

    /// The groups that name a host themselves, without `all`.
    fn direct(&self, host: &str) -> BTreeSet<&str> {
        let groups = self.hosts.get(host).into_iter().flat_map(|host| &host.groups);
        groups.map(String::as_str).filter(|group| *group != ALL).collect()
    }

    /// The groups that have a group as their child, without `all`.
    fn parents(&self, group: &str) -> impl Iterator<Item = &str> {
        let parents = self.places.get(group).into_iter().flat_map(|place| &place.parents);
        parents.map(String::as_str).filter(|name| *name != ALL)
    }

    /// Notes where each group is. There is no circle.
    fn place(&mut self) {
        self.places.clear();
        for (name, group) in &self.groups {
            for child in &group.children {
                self.places.entry(child.name.clone()).or_default().parents.insert(name.clone());
            }
        }
        let (mut level, mut depth) = (BTreeSet::from([ALL.to_owned()]), 0);
        while !level.is_empty() && depth <= self.groups.len() {
            let groups = level.iter().filter_map(|name| self.groups.get(name));
            let next = groups.flat_map(|group| group.children.iter().map(|child| child.name.clone())).collect();
            for name in std::mem::replace(&mut level, next) {
                self.places.entry(name).or_default().depth = depth;
            }
            depth += 1;
        }
    }

    fn group(&mut self, name: &str) -> &mut Group {
        self.groups.entry(name.to_owned()).or_insert_with(|| {
            self.group_order.push(name.to_owned());
            Group::default()
        })
    }

    /// Completes the tree once everything is read: `all` has the groups that are in no other, and `ungrouped` the hosts.
    fn complete(&mut self) {
        self.place();
        let is_root = |name: &&String| *name != ALL && self.parents(name).next().is_none();
        let roots: Vec<String> = self.group_order.iter().filter(is_root).cloned().collect();
        for root in roots {
            self.group(ALL).children.push(Child { name: root, span: None });
        }
        let mut alone = Vec::new();
        for name in &self.host_order {
            let Some(host) = self.hosts.get_mut(name) else { continue };
            host.groups.remove(UNGROUPED);
            if host.groups.iter().all(|group| group == ALL) {
                host.groups.insert(UNGROUPED.to_owned());
                alone.push(name.clone());
            }
        }
        self.group(UNGROUPED).hosts = alone;
        self.place();
    }

    /// Adds a host to a group; `false` where there are too many hosts.
    fn add_host(&mut self, group: &str, host: &str) -> bool {
        if !self.hosts.contains_key(host) {
            if self.hosts.len() >= MAX_HOSTS {
                return false;
            }
            self.host_order.push(host.to_owned());
        }
        if self.hosts.entry(host.to_owned()).or_default().groups.insert(group.to_owned()) {
            self.group(group).hosts.push(host.to_owned());
        }
        true
    }

    fn set_of_host(&mut self, host: &str, variable: Entry) {
        if let Some(host) = self.hosts.get_mut(host) {
            Arc::make_mut(&mut host.variables.inline).add(Rank::Inventory, variable);
        }
    }

    /// Sets a variable of a group. The error is a priority that is no number.
    fn set_of_group(&mut self, group: &str, variable: Entry) -> Result<(), Diagnostic> {
        if variable.key != Key::String(PRIORITY.into()) {
            Arc::make_mut(&mut self.group(group).variables.inline).add(Rank::Inventory, variable);
            return Ok(());
        }
        let priority = match &variable.value.value {
            Value::Int(number) => Some(*number),
            Value::Bool(value) => Some(i64::from(*value)),
            Value::Text(text, _) => text.trim().parse().ok(),
            _ => None,
        };
        let invalid = || Diagnostic::error(format!("`{PRIORITY}` must be an integer")).at(variable.value.span.clone());
        self.group(group).priority = priority.ok_or_else(invalid)?;
        Ok(())
    }

    fn add_child(&mut self, group: &str, child: &str, span: Span) {
        self.group(child);
        let children = &mut self.group(group).children;
        if !children.iter().any(|known| known.name == child) {
            children.push(Child { name: child.to_owned(), span: Some(span) });
        }
    }

    /// The first group that is within itself, as a problem at the line that closes the circle.
    fn circle(&self) -> Option<Diagnostic> {
        let mut done = BTreeSet::new();
        for start in self.groups.keys() {
            // The groups on the way here, each with the number of its children that were followed.
            let mut way = vec![(start.as_str(), 0)];
            while let Some((name, next)) = way.last_mut() {
                let (name, at) = (*name, *next);
                *next += 1;
                let child =
                    self.groups.get(name).and_then(|group| group.children.get(at)).filter(|_| !done.contains(name));
                let Some(child) = child else {
                    done.insert(name);
                    way.pop();
                    continue;
                };
                if let Some(from) = way.iter().position(|(known, _)| *known == child.name) {
                    let ring: Vec<&str> =
                        way[from..].iter().map(|(name, _)| *name).chain([child.name.as_str()]).collect();
                    let problem = format!("the group {} is within itself: {}", quoted(&child.name), ring.join(" → "));
                    return Some(
                        Diagnostic::error(problem).at(child.span.clone()).help("remove one of these children"),
                    );
                }
                way.push((&child.name, 0));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
