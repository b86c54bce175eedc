//! YAML as Ansible reads it: version 1.1, where `yes` is true and a key may be a number; the order of keys is kept, and of
//! two equal keys the last wins. Owns syntax, types and the budgets that stop a YAML bomb; does not know variables.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, Tag};

use crate::diagnostic::{Diagnostic, Source, Span, quoted};

/// Values in a file, those behind aliases counted as often as they are used. Kubespray's largest file has 3,000.
const MAX_VALUES: usize = 200_000;
/// Lists and mappings within one another.
const MAX_DEPTH: usize = 64;

/// A value and its place.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
    weight: usize,
    depth: usize,
}

impl Node {
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
    Text(String, bool),
    List(Vec<Arc<Node>>),
    Map(Map),
    /// A value that is encrypted, `!vault`.
    Vault,
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

/// A key. Numbers are equal as they are in Python: `1` is `1.0`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Null,
    Bool(bool),
    Int(i64),
    /// The bits of a number that is no integer.
    Float(u64),
    Text(String),
}

impl Key {
    pub(super) fn number(number: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "checked by going there and back")]
        let whole = number as i64;
        #[expect(clippy::cast_precision_loss, clippy::float_cmp, reason = "this is the check, and it is exact")]
        let same = whole as f64 == number;
        if same { Self::Int(whole) } else { Self::Float(number.to_bits()) }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(bits) => write!(f, "{}", f64::from_bits(*bits)),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Map {
    pub(super) fn get(&self, key: &Key) -> Option<&Arc<Node>> {
        self.index.get(key).map(|at| &self.entries[*at].value)
    }

    pub(super) fn text(&self, key: &str) -> Option<&Arc<Node>> {
        self.get(&Key::Text(key.to_owned()))
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Of two equal keys the value of the last stands at the place of the first, as in Python.
    fn put(&mut self, entry: Entry) {
        if let Some(at) = self.index.get(&entry.key) {
            self.entries[*at] = entry;
        } else {
            self.index.insert(entry.key.clone(), self.entries.len());
            self.entries.push(entry);
        }
    }
}

/// The tree of a text; `None` where it is empty.
pub(super) fn parse(source: &Arc<Source>) -> Result<Option<Arc<Node>>, Diagnostic> {
    let options = granit_parser::options! {
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut builder = Builder { source, frames: Vec::new(), root: None, anchors: HashMap::new(), documents: 0 };
    for event in Parser::new_from_str_with_options(source.text(), options) {
        let (event, span) = event.map_err(|error| {
            let at = error.marker().byte_offset().unwrap_or_default();
            Diagnostic::error(format!("not YAML: {}", error.kind())).at(Span::new(source, at..at + 1))
        })?;
        builder.event(event, span.byte_range().unwrap_or_default())?;
    }
    Ok(builder.root)
}

struct Frame {
    start: usize,
    anchor: usize,
    weight: usize,
    depth: usize,
    content: Content,
}

enum Content {
    List(Vec<Arc<Node>>),
    Map { map: Map, merges: Vec<Arc<Node>>, key: Option<Pending> },
}

enum Pending {
    Key(Key, Span),
    Merge,
}

struct Builder<'a> {
    source: &'a Arc<Source>,
    frames: Vec<Frame>,
    root: Option<Arc<Node>>,
    anchors: HashMap<usize, Arc<Node>>,
    documents: usize,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, range: Range<usize>) -> Result<(), Diagnostic> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Diagnostic::error("a second YAML document, where Ansible takes one")
                        .at(Span::new(self.source, range)));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let merge = style == ScalarStyle::Plain && text == "<<";
                let value = scalar(text.into_owned(), style, tag.as_deref());
                let node = self.node(value, range, 1, 1);
                self.define(anchor, &node);
                self.add(node, merge)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open(range.start, anchor, Content::List(Vec::new()));
                Ok(())
            }
            Event::MappingStart(_, anchor, _) => {
                self.open(range.start, anchor, Content::Map { map: Map::default(), merges: Vec::new(), key: None });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(range.end),
            Event::Alias(id) => match self.anchors.get(&id).cloned() {
                Some(node) => self.add(node, false),
                None => Err(Diagnostic::error("an alias within what it stands for").at(Span::new(self.source, range))),
            },
            _ => Ok(()),
        }
    }

    fn node(&self, value: Value, range: Range<usize>, weight: usize, depth: usize) -> Arc<Node> {
        Arc::new(Node { span: Span::new(self.source, range), value, weight, depth })
    }

    fn define(&mut self, anchor: usize, node: &Arc<Node>) {
        if anchor != 0 {
            self.anchors.insert(anchor, Arc::clone(node));
        }
    }

    fn open(&mut self, start: usize, anchor: usize, content: Content) {
        self.frames.push(Frame { start, anchor, weight: 1, depth: 1, content });
    }

    fn close(&mut self, end: usize) -> Result<(), Diagnostic> {
        let Some(Frame { start, anchor, weight, depth, content }) = self.frames.pop() else { return Ok(()) };
        let value = match content {
            Content::List(items) => Value::List(items),
            Content::Map { map, merges, .. } => Value::Map(merged(map, &merges)),
        };
        let text = self.source.text().get(start..end.max(start)).unwrap_or_default();
        let node = self.node(value, start..start + text.trim_end().len(), weight, depth);
        self.define(anchor, &node);
        self.add(node, false)
    }

    fn add(&mut self, node: Arc<Node>, merge: bool) -> Result<(), Diagnostic> {
        let place = node.span.clone();
        if node.depth > MAX_DEPTH {
            return Err(Diagnostic::error(format!("lists and mappings nested more than {MAX_DEPTH} deep")).at(place));
        }
        let Some(frame) = self.frames.last_mut() else {
            self.root.get_or_insert(node);
            return Ok(());
        };
        frame.weight = frame.weight.saturating_add(node.weight);
        frame.depth = frame.depth.max(node.depth + 1);
        if frame.weight > MAX_VALUES {
            let problem = format!("more than {MAX_VALUES} values, those behind aliases included");
            return Err(Diagnostic::error(problem).at(place));
        }
        match &mut frame.content {
            Content::List(items) => items.push(node),
            Content::Map { key: key @ None, .. } if merge => *key = Some(Pending::Merge),
            Content::Map { key: key @ None, .. } => {
                let name = match &node.value {
                    Value::Null => Key::Null,
                    Value::Bool(value) => Key::Bool(*value),
                    Value::Int(value) => Key::Int(*value),
                    Value::Float(value) => Key::number(*value),
                    Value::Text(text, _) => Key::Text(text.clone()),
                    Value::List(_) | Value::Map(_) | Value::Vault => {
                        return Err(Diagnostic::error("a key must be text or a number").at(place));
                    }
                };
                *key = Some(Pending::Key(name, place));
            }
            Content::Map { map, merges, key } => match key.take() {
                Some(Pending::Key(key, span)) => map.put(Entry { key, span, value: node }),
                Some(Pending::Merge) => merges.push(node),
                None => {}
            },
        }
        Ok(())
    }
}

/// The mapping with the entries of `<<: *other` added, unless it has them itself.
fn merged(mut map: Map, merges: &[Arc<Node>]) -> Map {
    for merge in merges {
        let sources = match &merge.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(merge),
        };
        for source in sources {
            let Value::Map(other) = &source.value else { continue };
            for entry in other.entries().iter().filter(|entry| !map.index.contains_key(&entry.key)).collect::<Vec<_>>()
            {
                map.put(entry.clone());
            }
        }
    }
    map
}

fn scalar(text: String, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    if let Some(tag) = tag {
        match tag.original().trim_start_matches('!') {
            "vault" | "vault-encrypted" => return Value::Vault,
            "unsafe" => return Value::Text(text, false),
            _ if tag.core_suffix() == Some("str") || tag.original() == "!" => return Value::Text(text, true),
            _ => {}
        }
    }
    if style == ScalarStyle::Plain { plain(&text) } else { Value::Text(text, true) }
}

/// What YAML 1.1 makes of an unquoted text. Dates are left as text, which is what they are printed as.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Value::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Value::Bool(false),
        _ => {}
    }
    if let Some(value) = integer(text) {
        return Value::Int(value);
    }
    float(text).map_or_else(|| Value::Text(text.to_owned(), true), Value::Float)
}

fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = sign(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let parse = |digits: &str, radix| i64::from_str_radix(&digits.replace('_', ""), radix).ok();
    let value = if let Some(binary) = digits.strip_prefix("0b") {
        parse(binary, 2)
    } else if let Some(hex) = digits.strip_prefix("0x") {
        parse(hex, 16)
    } else if digits.len() > 1 && digits.starts_with('0') && !digits.contains(':') {
        parse(digits, 8)
    } else if digits.contains(':') {
        let (first, rest) = digits.split_once(':')?;
        let base60 = |total: i64, part: &str| {
            let part = part.parse::<i64>().ok().filter(|value| part.len() <= 2 && (0..60).contains(value))?;
            total.checked_mul(60)?.checked_add(part)
        };
        rest.split(':').try_fold(parse(first, 10).filter(|_| !first.starts_with('0'))?, base60)
    } else {
        parse(digits, 10)
    }?;
    if negative { value.checked_neg() } else { Some(value) }
}

fn float(text: &str) -> Option<f64> {
    let (negative, digits) = sign(text);
    let value = match digits {
        ".inf" | ".Inf" | ".INF" => f64::INFINITY,
        ".nan" | ".NaN" | ".NAN" => f64::NAN,
        _ => {
            let (whole, rest) = digits.split_once('.')?;
            let (fraction, exponent) =
                rest.find(['e', 'E']).map_or((rest, None), |at| (&rest[..at], Some(&rest[at + 1..])));
            let digits_only = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
            let starts = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
            if !(digits_only(whole) && digits_only(fraction) && (starts(whole) || whole.is_empty() && starts(fraction)))
            {
                return None;
            }
            // An exponent has a sign, or this is text.
            let exponent_is_good = exponent.is_none_or(|exponent| {
                exponent.strip_prefix(['+', '-']).is_some_and(|digits| starts(digits) && digits_only(digits))
            });
            exponent_is_good.then(|| digits.replace('_', "").parse::<f64>().ok())??
        }
    };
    Some(if negative { -value } else { value })
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// The variables of a file: the entries of its mapping.
pub(super) fn variables(source: &Arc<Source>) -> Result<Vec<Entry>, Diagnostic> {
    let Some(root) = parse(source)? else { return Ok(Vec::new()) };
    match &root.value {
        Value::Null => Ok(Vec::new()),
        Value::Map(map) => Ok(map.entries().to_vec()),
        _ => Err(Diagnostic::error(format!("{} holds no variables: it is no mapping", quoted(source.name())))
            .at(root.span.clone())),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn shown(text: &str) -> String {
        match plain(text) {
            Value::Text(text, _) => format!("text {text}"),
            Value::Int(value) => format!("int {value}"),
            Value::Float(value) => format!("float {value}"),
            Value::Bool(value) => format!("bool {value}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn plain_texts_are_what_yaml_1_1_says() {
        for (text, value) in [
            ("1.19", "float 1.19"),
            ("1.20", "float 1.2"),
            ("0.19", "float 0.19"),
            ("1.", "float 1"),
            (".5", "float 0.5"),
            ("1.5e+3", "float 1500"),
            ("1.5e3", "text 1.5e3"),
            ("1e3", "text 1e3"),
            ("0", "int 0"),
            ("-7", "int -7"),
            ("1_000", "int 1000"),
            ("0755", "int 493"),
            ("0x1F", "int 31"),
            ("0b11", "int 3"),
            ("1:30", "int 90"),
            ("1.6.32", "text 1.6.32"),
            ("v1.29.10", "text v1.29.10"),
            ("2019-04-05", "text 2019-04-05"),
            ("99999999999999999999", "text 99999999999999999999"),
            ("089", "text 089"),
            ("yes", "bool true"),
            ("Off", "bool false"),
            ("y", "text y"),
            ("~", "Null"),
            ("", "Null"),
        ] {
            assert_eq!(shown(text), value, "{text}");
        }
    }

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
        assert!(matches!(&entries[1].value.value, Value::Text(text, false) if text == "{{ x }}"));
    }
}
