//! What an editor shows of a definition by the JSON Schema: its YAML as JSON, where each value stands, and the places of what
//! a validator refuses. It asks kso nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle};
use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Value};

/// A value with its bytes in the text.
#[derive(Debug, Clone)]
struct Node {
    range: Range<usize>,
    value: Parsed,
}

#[derive(Debug, Clone)]
enum Parsed {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<(String, Range<usize>, Node)>),
}

/// A YAML document as JSON, with the places of its keys and values.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) json: Value,
    /// The first byte of each value, by JSON pointer.
    values: BTreeMap<String, usize>,
    /// The first byte of each key, by the JSON pointer of its value.
    keys: BTreeMap<String, usize>,
    /// The bytes of every key and every value, and where it is said to stand.
    nodes: Vec<(Range<usize>, usize)>,
}

impl Document {
    /// Reads a text as an editor does: what its YAML parser says of it is the editor's own business.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut events = Parser::new_from_str(text).map(|event| {
            let (event, span) = event.map_err(|error| error.to_string())?;
            Ok((event, span.byte_range().unwrap_or_default()))
        });
        let root = loop {
            match events.next() {
                Some(Ok((Event::StreamStart | Event::DocumentStart(..), _))) => {}
                Some(Ok((Event::StreamEnd | Event::DocumentEnd, _))) | None => {
                    break Node { range: 0..0, value: Parsed::Scalar(Value::Null) };
                }
                Some(event) => break node(event?, &mut events, &mut HashMap::new())?,
            }
        };
        let mut document =
            Self { json: Value::Null, values: BTreeMap::new(), keys: BTreeMap::new(), nodes: Vec::new() };
        document.json = document.place(&root, "");
        Ok(document)
    }

    /// The JSON of a node, whose places are noted. An object stands where its first key does: of `- {url: …}` people say
    /// "here" of either.
    fn place(&mut self, node: &Node, pointer: &str) -> Value {
        let start = match &node.value {
            Parsed::Map(entries) => entries.first().map_or(node.range.start, |(_, key, _)| key.start),
            _ => node.range.start,
        };
        self.values.insert(pointer.to_owned(), start);
        self.nodes.push((node.range.clone(), start));
        match &node.value {
            Parsed::Scalar(value) => value.clone(),
            Parsed::List(items) => {
                let items = items.iter().enumerate();
                items.map(|(number, item)| self.place(item, &format!("{pointer}/{number}"))).collect()
            }
            Parsed::Map(entries) => {
                let mut object = Map::new();
                for (key, range, value) in entries {
                    let pointer = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                    self.keys.insert(pointer.clone(), range.start);
                    self.nodes.push((range.clone(), range.start));
                    object.insert(key.clone(), self.place(value, &pointer));
                }
                object.into()
            }
        }
    }

    /// The first byte of the key or value that a byte lies in: the smallest one.
    pub(crate) fn at(&self, byte: usize) -> usize {
        let around = self.nodes.iter().filter(|(range, _)| range.contains(&byte) || range.start == byte);
        around.min_by_key(|(range, _)| range.len()).map_or(byte, |(_, start)| *start)
    }

    /// The first byte of each key or value that the validator refuses.
    pub(crate) fn refused(&self, validator: &Validator) -> BTreeSet<usize> {
        validator.iter_errors(&self.json).flat_map(|error| self.places(&error)).collect()
    }

    /// Where an editor marks an error: at the value, but for keys that are not wanted, which are marked themselves.
    fn places(&self, error: &ValidationError<'_>) -> Vec<usize> {
        let pointer = error.instance_path().as_str();
        let value = |pointer: &str| self.values[pointer];
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let escaped = unexpected.iter().map(|key| key.replace('~', "~0").replace('/', "~1"));
                escaped.map(|key| self.keys[&format!("{pointer}/{key}")]).collect()
            }
            // A validator speaks of the list; the items that are written again are meant.
            ValidationErrorKind::UniqueItems => {
                let items = error.instance().as_array().cloned().unwrap_or_default();
                let again = items.iter().enumerate().filter(|(at, item)| items[..*at].contains(item));
                again.map(|(at, _)| value(&format!("{pointer}/{at}"))).collect()
            }
            _ => vec![value(pointer)],
        }
    }
}

type Item<'a> = Result<(Event<'a>, Range<usize>), String>;

/// The node that begins with an event.
fn node<'a>(
    (event, range): (Event<'a>, Range<usize>),
    events: &mut impl Iterator<Item = Item<'a>>,
    anchors: &mut HashMap<usize, Node>,
) -> Result<Node, String> {
    let (anchor, node) = match event {
        Event::Scalar(text, style, anchor, tag) => {
            let plain = style == ScalarStyle::Plain && tag.is_none();
            let value = if plain { scalar(&text) } else { text.into_owned().into() };
            (anchor, Node { range, value: Parsed::Scalar(value) })
        }
        Event::Alias(id) => {
            let node = anchors.get(&id).cloned().ok_or("an alias within what it stands for")?;
            let here = matches!(node.value, Parsed::Scalar(_));
            (0, if here { Node { range, ..node } } else { node })
        }
        Event::SequenceStart(_, anchor, _) => {
            let mut items = Vec::new();
            loop {
                match events.next().ok_or("an open list")?? {
                    (Event::SequenceEnd, end) => {
                        let range = range.start..end.end;
                        break (anchor, Node { range, value: Parsed::List(items) });
                    }
                    event => items.push(self::node(event, events, anchors)?),
                }
            }
        }
        Event::MappingStart(_, anchor, _) => {
            let mut entries = Vec::new();
            let mut merged = Vec::new();
            let end = loop {
                let key = match events.next().ok_or("an open mapping")?? {
                    (Event::MappingEnd, end) => break end.end,
                    event => self::node(event, events, anchors)?,
                };
                let value = events.next().ok_or("a key without a value")??;
                let value = self::node(value, events, anchors)?;
                match (key.value, value.value) {
                    (Parsed::Scalar(Value::String(text)), Parsed::Map(others)) if text == "<<" => merged.extend(others),
                    (Parsed::Scalar(key_value), parsed) => {
                        let text = key_value.as_str().map_or_else(|| key_value.to_string(), str::to_owned);
                        entries.push((text, key.range, Node { range: value.range, value: parsed }));
                    }
                    _ => return Err("a key that is no text".into()),
                }
            };
            merged.retain(|(name, ..)| entries.iter().all(|(written, ..)| written != name));
            entries.extend(merged);
            (anchor, Node { range: range.start..end, value: Parsed::Map(entries) })
        }
        other => return Err(format!("{other:?} where a value is wanted")),
    };
    if anchor != 0 {
        anchors.insert(anchor, node.clone());
    }
    Ok(node)
}

/// A plain scalar by the core schema of YAML 1.2.
fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => true.into(),
        "false" | "False" | "FALSE" => false.into(),
        _ => {
            let digits = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
            let hexadecimal = text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
            let whole = text.trim_start_matches('+').parse::<i64>().ok();
            match (hexadecimal, whole, text.parse::<f64>().ok().filter(|_| digits)) {
                (Some(number), ..) => number.into(),
                (_, Some(number), _) => number.into(),
                (.., Some(number)) => number.into(),
                _ => text.into(),
            }
        }
    }
}
