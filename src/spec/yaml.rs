//! YAML as a tree in which every node knows its place. Owns syntax, duplicate keys, aliases, merge keys and the budgets
//! that stop a YAML bomb; does not know what a definition may say.
//!
//! The tree is built from the parser's events instead of being deserialized, because a deserializer stops at the first
//! problem and the user shall see all of them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Tag};

use crate::diagnostic::{Diagnostic, Source, Span, quoted};

/// Values in a document, those behind aliases counted as often as they are used. A definition with 100,000 files of its
/// own has 500,000.
const MAX_VALUES: usize = 1_000_000;
/// Lists and mappings within one another, through aliases too.
const MAX_DEPTH: usize = 64;

/// A value and its place.
#[derive(Debug)]
pub(super) struct Node {
    /// The bytes of the source; for an alias of a list or a mapping, those of what it stands for.
    pub(super) range: Range<usize>,
    pub(super) value: Value,
    /// Values in it, itself included.
    weight: usize,
    /// Levels below it, its own included.
    depth: usize,
}

#[derive(Debug)]
pub(super) enum Value {
    /// `null`, `~` or nothing at all.
    Null,
    /// `true` or `false`.
    Bool,
    /// What YAML 1.2 reads as a number; its digits are in the source.
    Number,
    Text(String),
    List(Vec<Arc<Node>>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_range: Range<usize>,
    pub(super) value: Arc<Node>,
}

/// A document: its root, unless it is empty, and the problems that did not stop the parser.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) root: Option<Arc<Node>>,
    pub(super) problems: Vec<Diagnostic>,
}

/// The tree of a text; `Err` where nothing can be said about its content: not YAML, or more of it than is sane.
pub(super) fn parse(source: &Arc<Source>) -> Result<Document, Diagnostic> {
    let options = granit_parser::options! {
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut builder =
        Builder { source, frames: Vec::new(), root: None, anchors: HashMap::new(), problems: Vec::new(), documents: 0 };
    for event in Parser::new_from_str_with_options(source.text(), options) {
        let (event, span) = event.map_err(|error| {
            let at = error.marker().byte_offset().unwrap_or_default();
            syntax_error(error.kind(), builder.span(at..at + 1))
        })?;
        let range = span.byte_range().unwrap_or_default();
        if !builder.event(event, range)? {
            break;
        }
    }
    Ok(Document { root: builder.root, problems: builder.problems })
}

fn syntax_error(kind: &ErrorKind, span: Span) -> Diagnostic {
    match kind {
        ErrorKind::RecursionLimitExceeded => too_deep(span),
        ErrorKind::UnknownAnchor => Diagnostic::error("an alias to an anchor that is not defined before it").at(span),
        ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation => {
            Diagnostic::error("not YAML: a tab in the indentation").at(span).help("indent with spaces")
        }
        ErrorKind::MappingValueNotAllowed => Diagnostic::error("not YAML: a `:` where no key can stand")
            .at(span)
            .help("check the indentation, and quote text that holds `: `"),
        ErrorKind::ExpectedBlockSequenceEntry => {
            Diagnostic::error("not YAML: this is no item of the list above, nor does it end it")
                .at(span)
                .help("check the indentation; items begin with `- `")
        }
        ErrorKind::ExpectedBlockMappingKey => {
            Diagnostic::error("not YAML: this is no key of the mapping above, nor does it end it")
                .at(span)
                .help("check the indentation")
        }
        kind => Diagnostic::error(format!("not YAML: {kind}")).at(span),
    }
}

fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::error(format!("lists and mappings nested more than {MAX_DEPTH} deep")).at(span)
}

/// A list or mapping that is still open.
struct Frame {
    start: usize,
    anchor: usize,
    weight: usize,
    depth: usize,
    content: Content,
}

enum Content {
    List(Vec<Arc<Node>>),
    Map { entries: Vec<Entry>, seen: HashMap<String, Range<usize>>, merges: Vec<Arc<Node>>, key: Option<Key> },
}

/// A key that waits for its value.
enum Key {
    Name(String, Range<usize>),
    Merge,
    /// Already reported.
    Unusable,
}

struct Builder<'a> {
    source: &'a Arc<Source>,
    frames: Vec<Frame>,
    root: Option<Arc<Node>>,
    anchors: HashMap<usize, Arc<Node>>,
    problems: Vec<Diagnostic>,
    documents: usize,
}

impl Builder<'_> {
    fn span(&self, range: Range<usize>) -> Span {
        Span::new(self.source, range)
    }

    /// Whether to go on.
    fn event(&mut self, event: Event<'_>, range: Range<usize>) -> Result<bool, Diagnostic> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.problems.push(
                        Diagnostic::error("a second YAML document")
                            .at(self.span(range))
                            .help("a definition is one document: remove the `---` and what follows it"),
                    );
                    return Ok(false);
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain_key = style == ScalarStyle::Plain && text == "<<";
                let value = self.scalar(text.into_owned(), style, tag.as_deref(), &range);
                let node = Arc::new(Node { range, value, weight: 1, depth: 1 });
                self.define(anchor, &node);
                self.add(node, plain_key)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.collection_tag(tag.as_deref(), "seq", &range);
                self.open(range.start, anchor, Content::List(Vec::new()));
            }
            Event::MappingStart(_, anchor, tag) => {
                self.collection_tag(tag.as_deref(), "map", &range);
                let content = Content::Map { entries: Vec::new(), seen: HashMap::new(), merges: Vec::new(), key: None };
                self.open(range.start, anchor, content);
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(range.end)?,
            Event::Alias(id) => match self.anchors.get(&id) {
                Some(node) => {
                    let node = match &node.value {
                        // The line that uses a text is the line that asks for what it names.
                        Value::Text(text) => {
                            Arc::new(Node { range, value: Value::Text(text.clone()), weight: 1, depth: 1 })
                        }
                        _ => Arc::clone(node),
                    };
                    self.add(node, false)?;
                }
                None => return Err(Diagnostic::error("an alias within what it stands for").at(self.span(range))),
            },
            _ => {}
        }
        Ok(true)
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, tag: Option<&Tag>, range: &Range<usize>) -> Value {
        match tag {
            Some(tag) if tag.core_suffix() == Some("str") || tag.original() == "!" => return Value::Text(text),
            Some(tag) => self.unknown_tag(tag, range),
            None => {}
        }
        if style != ScalarStyle::Plain {
            return Value::Text(text);
        }
        match text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => Value::Null,
            "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Value::Bool,
            text if is_number(text) => Value::Number,
            _ => Value::Text(text),
        }
    }

    fn collection_tag(&mut self, tag: Option<&Tag>, kind: &str, range: &Range<usize>) {
        if let Some(tag) = tag
            && tag.core_suffix() != Some(kind)
            && tag.original() != "!"
        {
            self.unknown_tag(tag, range);
        }
    }

    fn unknown_tag(&mut self, tag: &Tag, range: &Range<usize>) {
        let problem = Diagnostic::error(format!("the YAML tag {} means nothing here", quoted(&tag.original())));
        self.problems.push(problem.at(self.span(range.clone())).help("leave it out"));
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
        let mut range = start..end.max(start);
        let value = match content {
            Content::List(items) => Value::List(items),
            Content::Map { entries, seen, merges, .. } => Value::Map(self.merged(entries, seen, &merges)),
        };
        // A block collection ends where the next token begins; what lies between is not part of it.
        range.end = start + self.source.text().get(range.clone()).map_or(0, |text| text.trim_end().len());
        let node = Arc::new(Node { range, value, weight, depth });
        self.define(anchor, &node);
        self.add(node, false)
    }

    /// The entries with those of `<<: *other` added, unless they are written out.
    fn merged(
        &mut self,
        mut entries: Vec<Entry>,
        mut seen: HashMap<String, Range<usize>>,
        merges: &[Arc<Node>],
    ) -> Vec<Entry> {
        for merge in merges {
            let sources: &[Arc<Node>] = match &merge.value {
                Value::List(items) => items,
                _ => std::slice::from_ref(merge),
            };
            for source in sources {
                let Value::Map(others) = &source.value else {
                    let problem = Diagnostic::error("`<<` takes a mapping or a list of mappings");
                    self.problems.push(problem.at(self.span(source.range.clone())));
                    continue;
                };
                for other in others {
                    if !seen.contains_key(&other.key) {
                        seen.insert(other.key.clone(), other.key_range.clone());
                        entries.push(other.clone());
                    }
                }
            }
        }
        entries
    }

    /// Puts a complete node where the next one belongs.
    fn add(&mut self, node: Arc<Node>, merge_key: bool) -> Result<(), Diagnostic> {
        let place = Span::new(self.source, node.range.clone());
        if node.depth > MAX_DEPTH {
            return Err(too_deep(place));
        }
        let Some(frame) = self.frames.last_mut() else {
            self.root.get_or_insert(node);
            return Ok(());
        };
        frame.weight = frame.weight.saturating_add(node.weight);
        frame.depth = frame.depth.max(node.depth + 1);
        if frame.weight > MAX_VALUES {
            return Err(Diagnostic::error(format!("more than {MAX_VALUES} values, those behind aliases included"))
                .at(place)
                .help("use fewer aliases, or move URLs into a list file"));
        }
        match &mut frame.content {
            Content::List(items) => items.push(node),
            Content::Map { key: key @ None, .. } if merge_key => *key = Some(Key::Merge),
            Content::Map { seen, key: key @ None, .. } => {
                let name = match &node.value {
                    Value::Text(text) => text.clone(),
                    Value::Null | Value::Bool | Value::Number => place.text().to_owned(),
                    Value::List(_) | Value::Map(_) => {
                        self.problems.push(Diagnostic::error("a key must be text").at(place));
                        *key = Some(Key::Unusable);
                        return Ok(());
                    }
                };
                if let Some(first) = seen.get(&name) {
                    self.problems.push(
                        Diagnostic::error(format!("duplicate key {}", quoted(&name)))
                            .at(place)
                            .related(Span::new(self.source, first.clone()), "first written here")
                            .help("keep one of them"),
                    );
                    *key = Some(Key::Unusable);
                } else {
                    seen.insert(name.clone(), node.range.clone());
                    *key = Some(Key::Name(name, node.range.clone()));
                }
            }
            Content::Map { entries, merges, key, .. } => match key.take() {
                Some(Key::Name(key, key_range)) => entries.push(Entry { key, key_range, value: node }),
                Some(Key::Merge) => merges.push(node),
                Some(Key::Unusable) | None => {}
            },
        }
        Ok(())
    }
}

/// Whether the core schema of YAML 1.2 (§10.3.2) reads it as a number.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if let Some(octal) = text.strip_prefix("0o") {
        return !octal.is_empty() && octal.bytes().all(|b| matches!(b, b'0'..=b'7'));
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
    }
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return true;
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let exponent_is_good =
        exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)));
    let mantissa_is_good = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    exponent_is_good && mantissa_is_good
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn numbers_of_the_core_schema() {
        for text in ["0", "1.30", "-1", "+1", "1.", ".5", "1e3", "1.5E-3", "0x1F", "0o17", ".inf", "-.INF", ".nan"] {
            assert!(is_number(text), "{text}");
        }
        for text in ["", "-", ".", "1.2.3", "v1", "1_000", "0b1", "e3", "1e", "nan", "0x", "1.30-rc"] {
            assert!(!is_number(text), "{text}");
        }
    }

    fn shape(node: &Node) -> String {
        match &node.value {
            Value::Null => "null".into(),
            Value::Bool => "bool".into(),
            Value::Number => "number".into(),
            Value::Text(text) => format!("{text:?}"),
            Value::List(items) => format!("[{}]", items.iter().map(|n| shape(n)).collect::<Vec<_>>().join(", ")),
            Value::Map(entries) => {
                let entries = entries.iter().map(|e| format!("{}: {}", e.key, shape(&e.value)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn read(text: &str) -> Result<(String, Vec<String>), String> {
        let document = parse(&Source::new("x.yaml", text)).map_err(|d| d.message)?;
        let root = document.root.map_or("nothing".into(), |root| shape(&root));
        Ok((root, document.problems.into_iter().map(|d| d.message).collect()))
    }

    fn clean(text: &str) -> String {
        let (shape, problems) = read(text).unwrap();
        assert_eq!(problems, Vec::<String>::new());
        shape
    }

    #[test]
    fn reads_values() {
        assert_eq!(clean(""), "nothing");
        assert_eq!(clean("# only a comment\n"), "nothing");
        assert_eq!(
            clean("\u{feff}a: 1\r\nb: [x, 'y', \"1\", 1.30, ~, yes, true]\r\n"),
            r#"{a: number, b: ["x", "y", "1", number, null, "yes", bool]}"#
        );
        assert_eq!(clean("a: !!str 1.30\n"), r#"{a: "1.30"}"#);
        assert_eq!(
            clean("a: &x {b: c}\nd: *x\ne: {<<: *x, f: g}\n"),
            r#"{a: {b: "c"}, d: {b: "c"}, e: {f: "g", b: "c"}}"#
        );
        assert_eq!(clean("x: {<<: [{a: b}, {a: c, d: e}], d: f}\n"), r#"{x: {d: "f", a: "b"}}"#);
    }

    #[test]
    fn tells_problems_and_goes_on() {
        let (shape, problems) = read("a: b\na: c\n? [x]\n: y\nz: !custom 1\n").unwrap();
        assert_eq!(shape, r#"{a: "b", z: number}"#);
        assert_eq!(problems, ["duplicate key `a`", "a key must be text", "the YAML tag `!custom` means nothing here"]);
        assert_eq!(read("a: b\n---\nc: d\n").unwrap().1, ["a second YAML document"]);
    }

    #[test]
    fn stops_bombs() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..10 {
            let previous = format!("*a{}", i - 1);
            let _ = writeln!(bomb, "a{i}: &a{i} [{}]", vec![previous; 10].join(", "));
        }
        assert_eq!(read(&bomb).unwrap_err(), "more than 1000000 values, those behind aliases included");
        let deep = "lists and mappings nested more than 64 deep";
        assert_eq!(read(&"[".repeat(100_000)).unwrap_err(), deep);
        assert_eq!(read(&"- ".repeat(100_000)).unwrap_err(), deep);
        let mut tower = "- &a0 x\n".to_owned();
        for i in 1..100 {
            let _ = writeln!(tower, "- &a{i} [*a{}]", i - 1);
        }
        assert_eq!(read(&tower).unwrap_err(), deep);
        assert_eq!(read("a: &a [*a]\n").unwrap_err(), "an alias within what it stands for");
        assert_eq!(read("a: *b\n").unwrap_err(), "an alias to an anchor that is not defined before it");
    }

    #[test]
    fn spans_are_those_of_the_text() {
        let source =
            Source::new("x.yaml", "\u{feff}# ä\r\nfirst:\r\n  - \"a b\"   # c\r\n  - {k: v}\r\n\r\nlast: 1\r\n");
        let document = parse(&source).unwrap();
        let root = document.root.unwrap();
        let text = |range: &Range<usize>| source.text()[range.clone()].to_owned();
        let Value::Map(entries) = &root.value else { panic!() };
        assert_eq!(text(&entries[0].key_range), "first");
        assert_eq!(text(&entries[1].value.range), "1");
        let Value::List(items) = &entries[0].value.value else { panic!() };
        assert_eq!(text(&items[0].range), "\"a b\"");
        assert_eq!(text(&items[1].range), "{k: v}");
    }
}
