//! From the parser's events to the tree. Owns anchors, merge keys, duplicate keys and the limits; does not know what a plain
//! scalar stands for.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use granit_parser::{ErrorKind as Broken, Event, Parser, ScalarStyle, Tag};

use crate::Stream;
use crate::error::{Error, ErrorKind, Problem, ProblemKind};
use crate::node::{Content, Entry, Key, Mapping, Node, Value};
use crate::options::{Documents, DuplicateKeys, Keys, Options, Tags};

pub(crate) fn parse(text: &str, options: &Options) -> Result<Stream, Error> {
    let limits = granit_parser::options! {
        flow_nesting_limit: options.limits.depth,
        block_nesting_limit: options.limits.depth,
    };
    let mut builder = Builder {
        text,
        options,
        frames: Vec::new(),
        anchors: HashMap::new(),
        count: 0,
        started: false,
        stream: Stream::default(),
    };
    for event in Parser::new_from_str_with_options(text, limits) {
        let done = match event {
            Ok((event, span)) => builder.event(event, span.byte_range().unwrap_or_default()),
            Err(error) => {
                let at = text.floor_char_boundary(error.marker().byte_offset().unwrap_or_default());
                Err((broken(error.kind(), options), at..text.ceil_char_boundary(at + 1)))
            }
        };
        match done {
            Ok(true) => {}
            Ok(false) => break,
            Err((kind, range)) => return Err(Error { kind, range, problems: builder.stream.problems }),
        }
    }
    Ok(builder.stream)
}

fn broken(kind: &Broken, options: &Options) -> ErrorKind {
    match kind {
        Broken::RecursionLimitExceeded => ErrorKind::TooDeep(options.limits.depth),
        Broken::UnknownAnchor => ErrorKind::UnknownAnchor,
        Broken::TabNotAllowed | Broken::TabInBlockIndentation | Broken::TabInIndentation => ErrorKind::Tab,
        Broken::MappingValueNotAllowed => ErrorKind::UnexpectedColon,
        Broken::ExpectedBlockSequenceEntry => ErrorKind::ExpectedItem,
        Broken::ExpectedBlockMappingKey => ErrorKind::ExpectedKey,
        kind => ErrorKind::Syntax(kind.to_string()),
    }
}

type Stopped = (ErrorKind, Range<usize>);

/// A sequence or mapping that is still open.
struct Frame {
    start: usize,
    anchor: usize,
    tag: Option<String>,
    count: usize,
    depth: usize,
    items: Items,
}

enum Items {
    Sequence(Vec<Node>),
    Mapping { mapping: Mapping, merges: Vec<Node>, key: Option<PendingKey> },
}

/// A key that waits for its value.
enum PendingKey {
    Key(Key, Range<usize>),
    Merge,
    /// Reported; its value is dropped.
    Unusable,
}

struct Builder<'a> {
    text: &'a str,
    options: &'a Options,
    frames: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    /// Values of the documents that are complete.
    count: usize,
    started: bool,
    stream: Stream,
}

impl Builder<'_> {
    fn problem(&mut self, kind: ProblemKind, range: Range<usize>) {
        self.stream.problems.push(Problem { kind, range });
    }

    /// Whether to go on.
    fn event(&mut self, event: Event<'_>, range: Range<usize>) -> Result<bool, Stopped> {
        match event {
            Event::DocumentStart(..) => {
                if self.started && self.options.documents == Documents::One {
                    self.problem(ProblemKind::SecondDocument, range);
                    return Ok(false);
                }
                self.started = true;
                self.anchors.clear();
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain;
                let is_merge = is_plain && text == "<<";
                let (value, tag) = self.scalar(&text, is_plain, tag.as_deref(), &range);
                let node = node(range, Content { value, tag, is_plain, count: 1, depth: 1 });
                self.define(anchor, &node);
                self.add(node, is_merge)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                let tag = self.collection_tag(tag.as_deref(), "seq", &range);
                self.open(range.start, anchor, tag, Items::Sequence(Vec::new()));
            }
            Event::MappingStart(_, anchor, tag) => {
                let tag = self.collection_tag(tag.as_deref(), "map", &range);
                let items = Items::Mapping { mapping: Mapping::default(), merges: Vec::new(), key: None };
                self.open(range.start, anchor, tag, items);
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(range.end)?,
            Event::Alias(id) => match self.anchors.get(&id) {
                Some(node) => self.add(Node { alias: Some(range), ..node.clone() }, false)?,
                // The parser knows the anchor, so its value is not complete yet.
                None => return Err((ErrorKind::RecursiveAlias, range)),
            },
            _ => {}
        }
        Ok(true)
    }

    /// The value of a scalar, and its tag if it stays.
    fn scalar(
        &mut self,
        text: &str,
        is_plain: bool,
        tag: Option<&Tag>,
        range: &Range<usize>,
    ) -> (Value, Option<String>) {
        if let Some(tag) = tag {
            if tag.core_suffix() == Some("str") || tag.original() == "!" {
                return (Value::String(text.into()), None);
            }
            if let Some(tag) = self.unknown_tag(tag, range) {
                return (Value::String(text.into()), Some(tag));
            }
        }
        if is_plain { (self.options.schema.resolve(text), None) } else { (Value::String(text.into()), None) }
    }

    fn collection_tag(&mut self, tag: Option<&Tag>, kind: &str, range: &Range<usize>) -> Option<String> {
        let tag = tag.filter(|tag| tag.core_suffix() != Some(kind) && tag.original() != "!")?;
        self.unknown_tag(tag, range)
    }

    /// The tag where it stays at its node; otherwise it is reported.
    fn unknown_tag(&mut self, tag: &Tag, range: &Range<usize>) -> Option<String> {
        match self.options.tags {
            Tags::Keep => Some(tag.original()),
            Tags::Report => {
                self.problem(ProblemKind::UnknownTag(tag.original()), range.clone());
                None
            }
        }
    }

    fn define(&mut self, anchor: usize, node: &Node) {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
    }

    fn open(&mut self, start: usize, anchor: usize, tag: Option<String>, items: Items) {
        self.frames.push(Frame { start, anchor, tag, count: 1, depth: 1, items });
    }

    fn close(&mut self, end: usize) -> Result<(), Stopped> {
        let Some(Frame { start, anchor, tag, count, depth, items }) = self.frames.pop() else { return Ok(()) };
        let value = match items {
            Items::Sequence(items) => Value::Sequence(items),
            Items::Mapping { mapping, merges, .. } => Value::Mapping(self.merged(mapping, &merges)),
        };
        // A block collection ends where the next token begins; what lies between is not part of it.
        let written = self.text.get(start..end.max(start)).unwrap_or_default();
        let range = start..start + written.trim_end().len();
        let node = node(range, Content { value, tag, is_plain: false, count, depth });
        self.define(anchor, &node);
        self.add(node, false)
    }

    /// The mapping with the entries of `<<: *other` added, except those whose keys it has.
    fn merged(&mut self, mut mapping: Mapping, merges: &[Node]) -> Mapping {
        for merge in merges {
            let sources = match merge.value() {
                Value::Sequence(items) => items.as_slice(),
                _ => std::slice::from_ref(merge),
            };
            for source in sources {
                let Value::Mapping(other) = source.value() else {
                    self.problem(ProblemKind::InvalidMerge, source.range());
                    continue;
                };
                for entry in other.entries() {
                    if mapping.entry(&entry.key).is_none() {
                        mapping.put(entry.clone());
                    }
                }
            }
        }
        mapping
    }

    /// Puts a complete node where the next one belongs.
    fn add(&mut self, node: Node, is_merge: bool) -> Result<(), Stopped> {
        let (text, options) = (self.text, self.options);
        // A collection is reported where its items are.
        let place = match node.value() {
            Value::Sequence(_) | Value::Mapping(_) => node.range(),
            _ => node.alias().unwrap_or_else(|| node.range()),
        };
        if node.depth() > options.limits.depth {
            return Err((ErrorKind::TooDeep(options.limits.depth), place));
        }
        let Some(frame) = self.frames.last_mut() else {
            self.count = self.count.saturating_add(node.count());
            self.stream.documents.push(node);
            return self.check_count(0, place);
        };
        frame.count = frame.count.saturating_add(node.count());
        frame.depth = frame.depth.max(node.depth() + 1);
        let count = frame.count;
        match &mut frame.items {
            Items::Sequence(items) => items.push(node),
            Items::Mapping { key: key @ None, .. } if is_merge => *key = Some(PendingKey::Merge),
            Items::Mapping { mapping, key: key @ None, .. } => {
                let problem = match name(&node, text, options.keys) {
                    None => ProblemKind::CollectionKey,
                    Some(name) => match mapping.entry(&name) {
                        Some(first) if options.duplicate_keys == DuplicateKeys::Report => {
                            ProblemKind::DuplicateKey { key: name.to_string(), first: first.key_range.clone() }
                        }
                        _ => {
                            *key = Some(PendingKey::Key(name, place.clone()));
                            return self.check_count(count, place);
                        }
                    },
                };
                *key = Some(PendingKey::Unusable);
                self.stream.problems.push(Problem { kind: problem, range: place.clone() });
            }
            Items::Mapping { mapping, merges, key } => match key.take() {
                Some(PendingKey::Key(key, key_range)) => mapping.put(Entry { key, key_range, value: node }),
                Some(PendingKey::Merge) => merges.push(node),
                Some(PendingKey::Unusable) | None => {}
            },
        }
        self.check_count(count, place)
    }

    /// Checks the values of the complete documents and `open` more.
    fn check_count(&self, open: usize, place: Range<usize>) -> Result<(), Stopped> {
        let limit = self.options.limits.values;
        if self.count.saturating_add(open) > limit { Err((ErrorKind::TooManyValues(limit), place)) } else { Ok(()) }
    }
}

fn node(range: Range<usize>, content: Content) -> Node {
    Node { range, alias: None, content: Arc::new(content) }
}

/// The key that a node is; `None` where it is a collection.
fn name(node: &Node, text: &str, keys: Keys) -> Option<Key> {
    use crate::node::Number::{BigInt, Float, Int};

    Some(match (node.value(), keys) {
        (Value::Sequence(_) | Value::Mapping(_), _) => return None,
        (Value::String(text), _) => Key::String(text.clone()),
        // What is no text is plain, and so is what is written.
        (_, Keys::Text) => Key::String(text.get(node.range()).unwrap_or_default().into()),
        (Value::Null, Keys::Typed) => Key::Null,
        (Value::Bool(value), Keys::Typed) => Key::Bool(*value),
        (Value::Number(Int(value)), Keys::Typed) => Key::Int(*value),
        (Value::Number(Float(value)), Keys::Typed) => Key::number(*value),
        (Value::Number(BigInt(text)), Keys::Typed) => Key::String(text.as_str().into()),
    })
}
