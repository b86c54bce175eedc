//! The variables of a host: which of several definitions of a name counts. Owns what outranks what; does not know where a
//! definition is read, nor how it is rendered.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crate::diagnostic::Span;
use crate::producer::kubespray::yaml::{Entry, Key, Node};

/// What outranks what, from the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    RoleDefaults,
    Inventory,
    /// `vars` of a play.
    Play,
    RoleVars,
    /// `vars` of a task, and what a loop is at.
    Task,
    /// What a task set or registered.
    Set,
    /// What the caller of a role says.
    Parameters,
    Extra,
}

/// A definition of a variable.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    pub(super) node: Arc<Node>,
    /// Where it is defined: its key.
    pub(super) span: Span,
    pub(super) rank: Rank,
}

/// Definitions of one rank by their names: of a file, of a group, of the roles.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer(BTreeMap<String, Variable>);

impl Layer {
    /// Adds a definition, in place of an earlier one of that name. A key that is no string names no variable.
    pub(super) fn add(&mut self, rank: Rank, entry: Entry) {
        if let Key::String(name) = &entry.key {
            self.0.insert(name.to_string(), Variable { node: entry.value, span: entry.span, rank });
        }
    }

    /// Adds definitions of one rank.
    pub(super) fn extend(&mut self, rank: Rank, entries: impl IntoIterator<Item = Entry>) {
        for entry in entries {
            self.add(rank, entry);
        }
    }

    /// Adds a definition, in place of an earlier one of that name.
    pub(super) fn insert(&mut self, name: &str, variable: Variable) {
        self.0.insert(name.to_owned(), variable);
    }

    /// Adds all of another, in place of earlier ones.
    pub(super) fn extend_with(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The definitions by their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Variable)> {
        self.0.iter().map(|(name, variable)| (name.as_str(), variable))
    }
}

/// The layers of a host, the highest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables(Vec<Arc<Layer>>);

impl Variables {
    /// Those of `layers`, the highest first.
    pub(super) fn new(layers: Vec<Arc<Layer>>) -> Self {
        Self(layers)
    }

    /// These, below another layer.
    #[must_use]
    pub(super) fn below(&self, layer: Arc<Layer>) -> Self {
        Self(std::iter::once(layer).chain(self.0.iter().cloned()).collect())
    }

    /// The definition of a name that counts.
    pub(super) fn get(&self, name: &str) -> Option<&Variable> {
        self.0.iter().find_map(|layer| layer.0.get(name))
    }

    /// Every name with the definition that counts, sorted by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Variable)> {
        let mut all = BTreeMap::new();
        for layer in &self.0 {
            for (name, variable) in layer.iter() {
                all.entry(name).or_insert(variable);
            }
        }
        all.into_iter()
    }

    /// The names that may have another definition in `other`: those of the layers that only one of the two has. The layers
    /// that both have must be in the same order.
    pub(super) fn differing<'a>(&'a self, other: &'a Self) -> BTreeSet<&'a str> {
        let only = |these: &'a Self, those: &'a Self| {
            let known: HashSet<_> = those.0.iter().map(Arc::as_ptr).collect();
            let lacks = move |layer: &&Arc<Layer>| !known.contains(&Arc::as_ptr(layer));
            these.0.iter().filter(lacks).flat_map(|layer| layer.0.keys().map(String::as_str))
        };
        only(self, other).chain(only(other, self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;
    use crate::producer::kubespray::yaml;

    fn layer(rank: Rank, text: &str) -> Arc<Layer> {
        let mut layer = Layer::default();
        layer.extend(rank, yaml::variables(&Source::new("vars.yml", text)).unwrap());
        Arc::new(layer)
    }

    fn text(variables: &Variables, name: &str) -> Option<String> {
        variables.get(name).map(|variable| variable.node.span.text().to_owned())
    }

    #[test]
    fn the_highest_definition_counts() {
        let (high, low) = (layer(Rank::Extra, "a: 1\n2: no name\n"), layer(Rank::Inventory, "a: 2\nb: 3\nb: 4\n"));
        let variables = Variables::new(vec![high, low]);
        assert_eq!(
            ["a", "b", "2", "c"].map(|name| text(&variables, name)),
            [Some("1".into()), Some("4".into()), None, None]
        );
        let all: Vec<_> = variables.iter().map(|(name, variable)| (name, variable.rank)).collect();
        assert_eq!(all, [("a", Rank::Extra), ("b", Rank::Inventory)]);
    }

    #[test]
    fn what_two_hosts_share_does_not_differ() {
        let shared = layer(Rank::RoleDefaults, "a: 1\nb: 1\n");
        let one = Variables::new(vec![layer(Rank::Inventory, "b: 2\n"), Arc::clone(&shared)]);
        let other = Variables::new(vec![layer(Rank::Inventory, "b: 2\nc: 3\n"), shared]);
        assert_eq!(one.differing(&other), BTreeSet::from(["b", "c"]));
        assert_eq!(one.differing(&one), BTreeSet::new());
    }
}
