//! The tree: nodes, values, mappings and keys. Owns their shape and the order of keys; does not know the syntax.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A value and its place. A clone shares the value, so it costs little.
#[derive(Debug, Clone)]
pub struct Node {
    pub(crate) range: Range<usize>,
    pub(crate) alias: Option<Range<usize>>,
    pub(crate) content: Arc<Content>,
}

#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) value: Value,
    pub(crate) tag: Option<String>,
    pub(crate) is_plain: bool,
    pub(crate) count: usize,
    pub(crate) depth: usize,
}

impl Node {
    /// The bytes of the text that the value is written in: quotes and brackets included; tag, anchor and the comment behind it
    /// excluded. Where the node is an alias, those of what it stands for.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// The bytes of the alias (`*name`) that stands for the value here, if one does.
    pub fn alias(&self) -> Option<Range<usize>> {
        self.alias.clone()
    }

    /// The value.
    pub fn value(&self) -> &Value {
        &self.content.value
    }

    /// Its tag as written (`!vault`), if it is one that was not applied: see [`Tags::Keep`](crate::Tags::Keep).
    pub fn tag(&self) -> Option<&str> {
        self.content.tag.as_deref()
    }

    /// Whether it is a scalar without quotes that is no block (`|`, `>`): one that a schema gives a type to.
    pub fn is_plain(&self) -> bool {
        self.content.is_plain
    }

    /// How many values there are in it, itself and keys included; those behind aliases as often as they are used.
    pub fn count(&self) -> usize {
        self.content.count
    }

    /// How many levels of nodes there are in it: 1 for a scalar.
    pub fn depth(&self) -> usize {
        self.content.depth
    }

    /// A number that two nodes of one tree share where they are one value: written once, and used through aliases.
    pub fn id(&self) -> usize {
        Arc::as_ptr(&self.content).addr()
    }
}

/// What a node stands for.
#[derive(Debug)]
pub enum Value {
    /// `null`, `~` or nothing at all.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text. Shared, so that keys and values behind aliases do not copy it.
    String(Arc<str>),
    /// The items in order.
    Sequence(Vec<Node>),
    /// The keys and values in order.
    Mapping(Mapping),
}

/// A number.
#[derive(Debug, Clone, PartialEq)]
pub enum Number {
    /// An integer.
    Int(i64),
    /// An integer that an `i64` does not hold, as it is written.
    BigInt(String),
    /// A number with a fraction or an exponent, an infinity, or not a number.
    Float(f64),
}

/// A mapping in the order of its keys, each of which is there once.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    entries: Vec<Entry>,
    /// Where each key is, once there are more than [`FEW`].
    index: HashMap<Key, usize>,
}

/// How many keys are compared one by one: most mappings have fewer, and need no index.
const FEW: usize = 16;

/// A key and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The bytes of the text that the key is written in; where it is an alias, those of the alias.
    pub key_range: Range<usize>,
    /// The value.
    pub value: Node,
}

impl Mapping {
    /// The keys and values in order. The entries that a merge key (`<<`) added come after those that are written in the mapping.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The value of the [`Key::String`] of this text.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let at = if self.index.is_empty() {
            self.entries.iter().position(|entry| entry.key == *key)
        } else {
            self.index.get(&Key::String(key.into())).copied()
        };
        at.map(|at| &self.entries[at].value)
    }

    /// The value of a key of any type.
    pub fn get_key(&self, key: &Key) -> Option<&Node> {
        self.position(key).map(|at| &self.entries[at].value)
    }

    /// The entry of a key.
    pub(crate) fn entry(&self, key: &Key) -> Option<&Entry> {
        self.position(key).map(|at| &self.entries[at])
    }

    /// Adds an entry, or replaces that of the same key where it is.
    pub(crate) fn put(&mut self, entry: Entry) {
        if let Some(at) = self.position(&entry.key) {
            self.entries[at] = entry;
            return;
        }
        if !self.index.is_empty() {
            self.index.insert(entry.key.clone(), self.entries.len());
        }
        self.entries.push(entry);
        if self.index.is_empty() && self.entries.len() > FEW {
            self.index = self.entries.iter().enumerate().map(|(at, entry)| (entry.key.clone(), at)).collect();
        }
    }

    fn position(&self, key: &Key) -> Option<usize> {
        if self.index.is_empty() {
            self.entries.iter().position(|entry| entry.key == *key)
        } else {
            self.index.get(key).copied()
        }
    }
}

/// A key. Numbers of equal value are equal, whatever their type: `1` and `1.0`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// `null`, `~` or nothing at all.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer; [`Key::number`] makes one of a float without a fraction.
    Int(i64),
    /// The bits of a number that is no integer.
    Float(u64),
    /// Text.
    String(Arc<str>),
}

impl Key {
    /// The key of a number.
    pub fn number(number: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "checked by going there and back")]
        let whole = number as i64;
        #[expect(clippy::cast_precision_loss, clippy::float_cmp, reason = "this is the check, and it is exact")]
        let same = whole as f64 == number;
        if same { Self::Int(whole) } else { Self::Float(number.to_bits()) }
    }
}

impl PartialEq<str> for Key {
    fn eq(&self, other: &str) -> bool {
        matches!(self, Self::String(text) if **text == *other)
    }
}

impl PartialEq<&str> for Key {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(bits) => write!(f, "{}", f64::from_bits(*bits)),
            Self::String(text) => f.write_str(text),
        }
    }
}
