//! From nodes to values, collecting every problem. Owns how wrong types and keys are reported; does not know which keys
//! there are.

pub(crate) mod args;
mod layer_limit;
pub(crate) mod list;
pub(crate) mod schema;
pub(crate) mod written;
pub(crate) mod yaml;

use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use crate::decode::yaml::{Entry, Node, Value, place};
use crate::diagnostic::{Diagnostic, Source, Span, Spanned, quoted};
use crate::name::{Arch, Invalid, suggest};

pub use args::{Arg, Args};
pub(crate) use args::{KSO_EXEC, KSO_LOCK};
pub use layer_limit::LayerLimit;
pub(crate) use list::LIST_KEYS;
pub use list::ListText;
pub(crate) use written::Text;

/// Keys that later versions of `kso/v1` may have: not a misspelling, but nothing this version can do.
const LATER: [&str; 2] = ["layers", "packages"];

/// Reads nodes of one source; what is unusable becomes a diagnostic and `None`.
pub(crate) struct Decoder<'a> {
    pub(crate) source: &'a Arc<Source>,
    /// The arguments that texts may name; `None` where `${NAME}` means nothing.
    pub(crate) args: Option<&'a Args>,
    pub(crate) diagnostics: &'a mut Vec<Diagnostic>,
}

/// The entries of a mapping whose keys were checked.
pub(crate) struct Fields<'n> {
    entries: &'n [Entry],
    range: Range<usize>,
    /// Keys that are probably there, but misspelled, and were reported as such.
    misspelled: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The key and its value.
    pub(crate) fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == *key)
    }

    /// Whether the key is there, perhaps misspelled.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some() || self.misspelled.contains(&key)
    }

    /// The place to tell a missing key at: the first key, or the braces of an empty mapping.
    pub(crate) fn range(&self) -> Range<usize> {
        self.entries.first().map_or(self.range.clone(), |entry| entry.key_range.clone())
    }
}

impl Decoder<'_> {
    pub(crate) fn span(&self, range: Range<usize>) -> Span {
        Span::new(self.source, range)
    }

    /// Reports a text where `what`, a mapping, is expected: its key `key` would take the text.
    pub(crate) fn not_a_mapping(&mut self, what: &str, text: &Node, key: &str) {
        let problem = Diagnostic::error(format!("{what} must be a mapping, but this is a string"));
        let span = self.span(place(text));
        self.error(problem.at(span).help(format!("add `{key}: ` in front")));
    }

    pub(crate) fn error(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// A mapping; keys that are not among `keys` are reported. `what` is how the user knows it (`` `fileServer` ``).
    pub(crate) fn fields<'n>(&mut self, node: &'n Node, what: &str, keys: &[&'static str]) -> Option<Fields<'n>> {
        let Value::Mapping(mapping) = node.value() else {
            self.wrong_type(node, what, "a mapping");
            return None;
        };
        let entries = mapping.entries();
        let mut misspelled = Vec::new();
        // What is written already was not meant.
        let free: Vec<_> = keys.iter().copied().filter(|key| entries.iter().all(|entry| entry.key != *key)).collect();
        for entry in entries.iter().filter(|entry| keys.iter().all(|key| entry.key != *key)) {
            let name = entry.key.to_string();
            let problem =
                Diagnostic::error(format!("unknown key {}", quoted(&name))).at(self.span(entry.key_range.clone()));
            let problem = if LATER.contains(&name.as_str()) {
                problem.help(format!("`{name}` is not supported by kso {}", env!("CARGO_PKG_VERSION")))
            } else if let Some(key) = suggest(&name, free.iter().copied()) {
                misspelled.push(key);
                problem.help(format!("did you mean `{key}`?"))
            } else {
                problem.help(format!("{what} has {}", listed(keys)))
            };
            self.error(problem);
        }
        Some(Fields { entries, range: place(node), misspelled })
    }

    /// A key that must be there.
    pub(crate) fn required<'n>(&mut self, fields: &Fields<'n>, what: &str, key: &str, help: &str) -> Option<&'n Node> {
        let node = fields.get(key);
        if !fields.has(key) {
            let span = self.span(fields.range());
            self.error(Diagnostic::error(format!("missing key `{key}` in {what}")).at(span).help(help));
        }
        node
    }

    /// A list that may be empty.
    pub(crate) fn items<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        let Value::Sequence(items) = node.value() else {
            self.wrong_type(node, what, "a list");
            return None;
        };
        Some(items)
    }

    /// A list that is not empty.
    pub(crate) fn list<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        let items = self.items(node, what)?;
        if items.is_empty() {
            let span = self.span(place(node));
            self.error(Diagnostic::error(format!("{what} is empty")).at(span));
            return None;
        }
        Some(items)
    }

    /// A list of architectures, each once; sorted.
    pub(crate) fn architectures(&mut self, node: &Node) -> Vec<Arch> {
        let mut seen = BTreeMap::<Arch, Span>::new();
        for item in self.list(node, "`architectures`").unwrap_or_default() {
            let Some(Spanned { value: arch, span }) = self.name::<Arch>(item, "an architecture") else { continue };
            if let Some(first) = seen.get(&arch) {
                let first = first.clone();
                self.error(
                    Diagnostic::error(format!("duplicate architecture `{arch}`"))
                        .at(span)
                        .related(first, "first defined here")
                        .help("keep one of them"),
                );
            } else {
                seen.insert(arch, span);
            }
        }
        seen.into_keys().collect()
    }

    /// Text that is parsed into a name.
    pub(crate) fn name<T: FromStr<Err = Invalid>>(&mut self, node: &Node, what: &str) -> Option<Spanned<T>> {
        let Value::String(text) = node.value() else {
            self.wrong_type(node, what, "a string");
            return None;
        };
        let span = self.span(place(node));
        let Some(args) = self.args.filter(|_| text.contains("${")) else {
            let value = text.parse().map_err(|invalid: Invalid| self.error(invalid.at(text, &span)));
            return value.ok().map(|value| Spanned::new(value, span));
        };
        let expanded = args.expand(text).map_err(|invalid| self.error(invalid.at(text, &span))).ok()?;
        match expanded.text.parse() {
            Ok(value) => Some(Spanned::new(value, span)),
            Err(invalid) => {
                let invalid: Invalid = invalid;
                let range = invalid.range.as_ref().map(|range| expanded.written(range));
                // Where the defaults are fine, what was given is not.
                let given = expanded.with_defaults().is_some_and(|text| text.parse::<T>().is_ok());
                let help = if given { Some(expanded.correct()) } else { invalid.help.clone() };
                self.error(expanded.explain(Invalid { help, range, ..invalid }.at(text, &span)));
                None
            }
        }
    }

    /// Reports that a node is not what is wanted.
    pub(crate) fn wrong_type(&mut self, node: &Node, what: &str, wanted: &str) {
        let span = self.span(place(node));
        let found = match node.value() {
            Value::Null => {
                return self.error(Diagnostic::error(format!("{what} must be {wanted}, but has no value")).at(span));
            }
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        };
        let help = match (node.value(), wanted) {
            (Value::Bool(_) | Value::Number(_), "a string") => Some(format!("write it in quotes: \"{}\"", span.text())),
            (Value::String(text), wanted) if wanted.starts_with("a number") && text.parse::<u64>().is_ok() => {
                Some(format!("remove the quotes: `{text}`"))
            }
            (Value::String(_) | Value::Mapping(_), "a list") => {
                Some("start each item with `- `, or write `[…]`".to_owned())
            }
            _ => None,
        };
        let reads =
            if matches!(node.value(), Value::Bool(_) | Value::Number(_)) { "YAML reads this as" } else { "this is" };
        let problem = Diagnostic::error(format!("{what} must be {wanted}, but {reads} {found}")).at(span);
        self.error(match help {
            Some(help) => problem.help(help),
            None => problem,
        });
    }
}

/// `` `a`, `b` and `c` ``
pub(crate) fn listed(names: &[impl std::fmt::Display]) -> String {
    match names {
        [] => "nothing".into(),
        [one] => format!("`{one}`"),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(|name| format!("`{name}`")).collect();
            format!("{} and `{last}`", first.join(", "))
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
