//! Where a checksum is written that templates lead to. Owns that search; does not know what has the checksum.

use std::sync::Arc;

use super::scope::Scope;
use super::template::words;
use super::yaml::{Node, Value};
use crate::artifact::PinnedAt;
use crate::name::Digest;

/// How many templates and mappings may lie between a field and its checksum.
const DEPTH: usize = 12;
/// How many nodes are looked at: the tables of a release have a few thousand.
const NODES: usize = 50_000;

/// The variable that holds `digest`, for the field `node` of what is called `name`: `{{ kubelet_binary_checksum }}` leads to an
/// entry of `kubelet_checksums`. `None` where it is written otherwise than as digits.
pub(super) fn place(scope: &Scope, name: &str, node: &Arc<Node>, digest: &Digest) -> Option<PinnedAt> {
    let mut search = Search { scope, hex: digest.hex(), nodes: NODES };
    search.node(name, node, DEPTH)
}

struct Search<'a> {
    scope: &'a Scope,
    hex: &'a str,
    nodes: usize,
}

impl Search<'_> {
    fn node(&mut self, name: &str, node: &Node, depth: usize) -> Option<PinnedAt> {
        self.nodes = self.nodes.checked_sub(1)?;
        let depth = depth.checked_sub(1)?;
        let found = || Some(PinnedAt::Variable { name: name.to_owned(), span: node.span.clone() });
        match &node.value {
            Value::Text(text, _) if text.to_ascii_lowercase().contains(self.hex) => found(),
            // Digits alone are a number.
            Value::Int(_) | Value::Float(_) if node.span.text() == self.hex => found(),
            Value::Text(text, true) => words(text).find_map(|word| {
                let variable = self.scope.definition(word)?;
                self.node(word, &variable.node, depth)
            }),
            Value::Map(map) => map.entries().iter().find_map(|entry| self.node(name, &entry.value, depth)),
            _ => None,
        }
    }
}
