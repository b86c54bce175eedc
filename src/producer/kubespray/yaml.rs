//! YAML as Ansible reads it: version 1.1, where `yes` is true and a key may be a number; the order of keys is kept, and of
//! two equal keys the last wins. Owns Ansible's tags and how problems of the syntax are reported; does not know variables.

use std::collections::HashMap;
use std::sync::Arc;

pub(super) use spanned_yaml::Key;
use spanned_yaml::{
    Documents, DuplicateKeys, ErrorKind, Keys, Limits, Number, Options, Problem, ProblemKind, Schema, Tags,
};

use crate::diagnostic::{Diagnostic, Source, Span, quoted};

/// Kubespray's largest file has 3,000 values.
const OPTIONS: Options = Options {
    schema: Schema::V1_1,
    keys: Keys::Typed,
    duplicate_keys: DuplicateKeys::LastWins,
    tags: Tags::Keep,
    documents: Documents::One,
    limits: Limits { depth: 64, values: 200_000 },
};

/// A value and its place.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
    weight: usize,
}

impl Node {
    /// A value at a place.
    pub(super) fn new(span: Span, value: Value) -> Self {
        let weight = 1 + match &value {
            Value::List(items) => items.iter().map(|item| item.weight).sum(),
            Value::Map(map) => map.entries.iter().map(|entry| entry.value.weight).sum(),
            _ => 0,
        };
        Self { span, value, weight }
    }

    /// The values in it, itself included.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }
}

#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Text; whether it is a template, which it is unless it is tagged `!unsafe`.
    Text(Arc<str>, bool),
    List(Vec<Arc<Node>>),
    Map(Map),
    /// A value that is encrypted, `!vault`.
    Vault,
    /// A value that only a run would know, such as the result of a task; what it is of.
    Unknown(Arc<str>),
}

/// A mapping in the order of its keys.
#[derive(Debug, Default)]
pub(super) struct Map {
    entries: Vec<Entry>,
    index: HashMap<Key, usize>,
}

/// A key, its place and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) span: Span,
    pub(super) value: Arc<Node>,
}

impl Map {
    /// The mapping of these entries. Of two with one key, the last counts and the first gives the place in the order.
    pub(super) fn new(entries: Vec<Entry>) -> Self {
        let mut map = Self::default();
        for entry in entries {
            if let Some(at) = map.index.get(&entry.key) {
                map.entries[*at] = entry;
            } else {
                map.index.insert(entry.key.clone(), map.entries.len());
                map.entries.push(entry);
            }
        }
        map
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Arc<Node>> {
        self.index.get(key).map(|at| &self.entries[*at].value)
    }

    pub(super) fn text(&self, key: &str) -> Option<&Arc<Node>> {
        self.get(&Key::String(key.into()))
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// The tree of a text; `None` where it is empty.
pub(super) fn parse(source: &Arc<Source>) -> Result<Option<Arc<Node>>, Diagnostic> {
    let stream = spanned_yaml::parse(source.text(), &OPTIONS).map_err(|error| {
        let problem = match &error.kind {
            ErrorKind::RecursiveAlias => "the alias is inside its own anchor".to_owned(),
            ErrorKind::TooDeep(limit) => format!("lists and mappings are nested more than {limit} deep"),
            kind @ ErrorKind::TooManyValues(_) => kind.to_string(),
            kind => format!("invalid YAML: {kind}"),
        };
        diagnostic(source, &error.problems)
            .unwrap_or_else(|| Diagnostic::error(problem).at(Span::new(source, error.range)))
    })?;
    match diagnostic(source, &stream.problems) {
        Some(problem) => Err(problem),
        None => Ok(stream.documents.first().map(|root| Tree { source, shared: HashMap::new() }.node(root))),
    }
}

/// The first of the problems that stop Ansible.
fn diagnostic(source: &Arc<Source>, problems: &[Problem]) -> Option<Diagnostic> {
    problems.iter().find_map(|problem| {
        let message = match problem.kind {
            ProblemKind::SecondDocument => "the file has a second YAML document, but Ansible reads one",
            ProblemKind::CollectionKey => "a key must be a string or a number",
            _ => return None,
        };
        Some(Diagnostic::error(message).at(Span::new(source, problem.range.clone())))
    })
}

/// Gives the nodes of a tree their source.
struct Tree<'a> {
    source: &'a Arc<Source>,
    /// What is behind aliases: it is shared here, too, or a small file would fill the memory.
    shared: HashMap<usize, Arc<Node>>,
}

impl Tree<'_> {
    fn node(&mut self, node: &spanned_yaml::Node) -> Arc<Node> {
        if node.alias().is_some()
            && let Some(known) = self.shared.get(&node.id())
        {
            return Arc::clone(known);
        }
        let value = self.value(node);
        let new = Arc::new(Node { span: Span::new(self.source, node.range()), value, weight: node.count() });
        if node.alias().is_some() {
            self.shared.insert(node.id(), Arc::clone(&new));
        }
        new
    }

    fn value(&mut self, node: &spanned_yaml::Node) -> Value {
        match node.value() {
            spanned_yaml::Value::Sequence(items) => Value::List(items.iter().map(|item| self.node(item)).collect()),
            spanned_yaml::Value::Mapping(mapping) => {
                let entry = |entry: &spanned_yaml::Entry| Entry {
                    key: entry.key.clone(),
                    span: Span::new(self.source, entry.key_range.clone()),
                    value: self.node(&entry.value),
                };
                let entries: Vec<_> = mapping.entries().iter().map(entry).collect();
                let index = entries.iter().enumerate().map(|(at, entry)| (entry.key.clone(), at)).collect();
                Value::Map(Map { entries, index })
            }
            spanned_yaml::Value::String(text) => match node.tag().map(|tag| tag.trim_start_matches('!')) {
                Some("vault" | "vault-encrypted") => Value::Vault,
                Some("unsafe") => Value::Text(Arc::clone(text), false),
                // Other tags mean nothing here.
                Some(_) if node.is_plain() => scalar(&Schema::V1_1.resolve(text)),
                _ => Value::Text(Arc::clone(text), true),
            },
            other => scalar(other),
        }
    }
}

/// The value of a scalar without a tag. Dates are left as text, which is what they are printed as, and so are integers that
/// are too large.
fn scalar(value: &spanned_yaml::Value) -> Value {
    match value {
        spanned_yaml::Value::Bool(value) => Value::Bool(*value),
        spanned_yaml::Value::Number(Number::Int(value)) => Value::Int(*value),
        spanned_yaml::Value::Number(Number::Float(value)) => Value::Float(*value),
        spanned_yaml::Value::Number(Number::BigInt(text)) => Value::Text(text.as_str().into(), true),
        spanned_yaml::Value::String(text) => Value::Text(Arc::clone(text), true),
        _ => Value::Null,
    }
}

/// The variables of a file: the entries of its mapping.
pub(super) fn variables(source: &Arc<Source>) -> Result<Vec<Entry>, Diagnostic> {
    let Some(root) = parse(source)? else { return Ok(Vec::new()) };
    match &root.value {
        Value::Null => Ok(Vec::new()),
        Value::Map(map) => Ok(map.entries().to_vec()),
        _ => Err(Diagnostic::error(format!("{} contains no variables: it is not a mapping", quoted(source.name())))
            .at(root.span.clone())),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn order_of_keys_is_kept_and_the_last_of_two_wins() {
        let source = Source::new("x.yml", "b: 1\na: 2\n1.20: 3\nb: 4\n");
        let entries = variables(&source).unwrap();
        let keys: Vec<_> = entries.iter().map(|entry| entry.key.to_string()).collect();
        assert_eq!(keys, ["b", "a", "1.2"]);
        assert!(matches!(entries[0].value.value, Value::Int(4)));
    }

    #[test]
    fn a_bomb_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            let _ = writeln!(text, "a{level}: &a{level} [{aliases}]");
        }
        assert!(variables(&Source::new("x.yml", text)).unwrap_err().message.contains("values"));
        let deep = format!("a: {}{}", "[".repeat(5000), "]".repeat(5000));
        assert!(variables(&Source::new("x.yml", deep)).is_err());
    }

    #[test]
    fn tags_of_ansible() {
        let source = Source::new("x.yml", "a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  61\nb: !unsafe '{{ x }}'\n");
        let entries = variables(&source).unwrap();
        assert!(matches!(entries[0].value.value, Value::Vault));
        assert!(matches!(&entries[1].value.value, Value::Text(text, false) if **text == *"{{ x }}"));
    }

    #[test]
    fn values_are_what_ansible_makes_of_them() {
        let text = "a: yes\nb: 0755\nc: 1.20\nd: 99999999999999999999\ne: !foo 1\nf: !foo '1'\ng: ~\nh: 2019-04-05\n";
        let shown: Vec<_> =
            variables(&Source::new("x.yml", text)).unwrap().iter().map(|e| format!("{:?}", e.value.value)).collect();
        assert_eq!(
            shown,
            [
                "Bool(true)",
                "Int(493)",
                "Float(1.2)",
                "Text(\"99999999999999999999\", true)",
                "Int(1)",
                "Text(\"1\", true)",
                "Null",
                "Text(\"2019-04-05\", true)"
            ]
        );
    }

    #[test]
    fn what_is_behind_an_alias_is_in_memory_once() {
        let entries = variables(&Source::new("x.yml", "a: &a {b: c}\nd: *a\ne: [*a]\n")).unwrap();
        let Value::List(items) = &entries[2].value.value else { panic!() };
        assert!(Arc::ptr_eq(&entries[1].value, &items[0]));
        assert_eq!(entries[1].value.span.text(), "{b: c}");
    }

    #[test]
    fn what_stops_ansible_is_told() {
        let told = |text: &str| variables(&Source::new("x.yml", text)).unwrap_err().message;
        assert_eq!(told("a: 1\n---\nb: 2\n"), "the file has a second YAML document, but Ansible reads one");
        assert_eq!(told("[a]: 1\nb: [\n"), "a key must be a string or a number");
        assert_eq!(told("a: &a [*a]\n"), "the alias is inside its own anchor");
    }
}
