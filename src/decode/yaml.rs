//! YAML of the definition and of rename tables: version 1.2, one document, no duplicate keys. Owns how problems of the syntax
//! are reported; does not know what a definition may say.

use std::ops::Range;
use std::sync::Arc;

pub(crate) use spanned_yaml::{Entry, Node, Value};
use spanned_yaml::{Error, ErrorKind, Limits, Options, Problem, ProblemKind};

use crate::diagnostic::{Diagnostic, Source, Span, quoted};

/// A definition with 100,000 files of its own has 500,000 values.
const LIMITS: Limits = Limits { depth: 64, values: 1_000_000 };

/// A document: its root, unless it is empty, and the problems that did not stop the parser.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) root: Option<Node>,
    pub(crate) problems: Vec<Diagnostic>,
}

/// The tree of a text; `Err` where nothing can be said about its content: not YAML, or more of it than is sane.
pub(crate) fn parse(source: &Arc<Source>) -> Result<Document, Diagnostic> {
    let options = Options { limits: LIMITS, ..Options::default() };
    let stream = spanned_yaml::parse(source.text(), &options).map_err(|error| syntax_error(source, error))?;
    let problems = stream.problems.into_iter().map(|problem| diagnostic(source, problem)).collect();
    Ok(Document { root: stream.documents.into_iter().next(), problems })
}

/// The place of a value. The line that uses a text is the line that asks for what it names; a list or a mapping is reported where
/// its items are.
pub(crate) fn place(node: &Node) -> Range<usize> {
    match node.value() {
        Value::String(_) => node.alias().unwrap_or_else(|| node.range()),
        _ => node.range(),
    }
}

fn syntax_error(source: &Arc<Source>, error: Error) -> Diagnostic {
    let problem = match &error.kind {
        ErrorKind::Tab => Diagnostic::error("invalid YAML: a tab in the indentation").help("indent with spaces"),
        ErrorKind::UnexpectedColon => Diagnostic::error("invalid YAML: a `:` is not allowed here")
            .help("check the indentation, and quote text that contains `: `"),
        ErrorKind::ExpectedItem => {
            Diagnostic::error("invalid YAML: expected another item of the list above, or its end")
                .help("check the indentation; items start with `- `")
        }
        ErrorKind::ExpectedKey => {
            Diagnostic::error("invalid YAML: expected another key of the mapping above, or its end")
                .help("check the indentation")
        }
        ErrorKind::UnknownAnchor => Diagnostic::error("the anchor of this alias is not defined above it"),
        ErrorKind::RecursiveAlias => Diagnostic::error("the alias is inside its own anchor").help("remove the alias"),
        ErrorKind::TooDeep(limit) => Diagnostic::error(format!("lists and mappings are nested more than {limit} deep")),
        ErrorKind::TooManyValues(_) => {
            Diagnostic::error(error.kind.to_string()).help("use fewer aliases, or move URLs into a list file")
        }
        kind => Diagnostic::error(format!("invalid YAML: {kind}")),
    };
    problem.at(Span::new(source, error.range))
}

fn diagnostic(source: &Arc<Source>, problem: Problem) -> Diagnostic {
    let diagnostic = match problem.kind {
        ProblemKind::DuplicateKey { key, first } => Diagnostic::error(format!("duplicate key {}", quoted(&key)))
            .related(Span::new(source, first), "first defined here")
            .help("keep one of them"),
        ProblemKind::CollectionKey => Diagnostic::error("a key must be a string"),
        ProblemKind::InvalidMerge => Diagnostic::error("`<<` takes a mapping or a list of mappings"),
        ProblemKind::UnknownTag(tag) => {
            Diagnostic::error(format!("the YAML tag {} is not supported", quoted(&tag))).help("remove it")
        }
        ProblemKind::SecondDocument => Diagnostic::error("a second YAML document is not allowed")
            .help("a definition is one document: remove the `---` and what follows it"),
        kind => Diagnostic::error(kind.to_string()),
    };
    diagnostic.at(Span::new(source, problem.range))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn shape(node: &Node) -> String {
        match node.value() {
            Value::Null => "null".into(),
            Value::Bool(_) => "bool".into(),
            Value::Number(_) => "number".into(),
            Value::String(text) => format!("{text:?}"),
            Value::Sequence(items) => format!("[{}]", items.iter().map(shape).collect::<Vec<_>>().join(", ")),
            Value::Mapping(mapping) => {
                let entries = mapping.entries().iter().map(|e| format!("{}: {}", e.key, shape(&e.value)));
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
        assert_eq!(
            problems,
            ["duplicate key `a`", "a key must be a string", "the YAML tag `!custom` is not supported"]
        );
        assert_eq!(read("a: b\n---\nc: d\n").unwrap().1, ["a second YAML document is not allowed"]);
    }

    #[test]
    fn stops_bombs() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..10 {
            let previous = format!("*a{}", i - 1);
            let _ = writeln!(bomb, "a{i}: &a{i} [{}]", vec![previous; 10].join(", "));
        }
        assert_eq!(read(&bomb).unwrap_err(), "more than 1000000 values after expanding aliases");
        let deep = "lists and mappings are nested more than 64 deep";
        assert_eq!(read(&"[".repeat(100_000)).unwrap_err(), deep);
        assert_eq!(read(&"- ".repeat(100_000)).unwrap_err(), deep);
        let mut tower = "- &a0 x\n".to_owned();
        for i in 1..100 {
            let _ = writeln!(tower, "- &a{i} [*a{}]", i - 1);
        }
        assert_eq!(read(&tower).unwrap_err(), deep);
        assert_eq!(read("a: &a [*a]\n").unwrap_err(), "the alias is inside its own anchor");
        assert_eq!(read("a: *b\n").unwrap_err(), "the anchor of this alias is not defined above it");
    }

    #[test]
    fn a_text_is_where_its_alias_is_and_other_values_are_where_they_are_written() {
        let source = Source::new("x.yaml", "a: &t text\nb: &m {k: v}\nc: [*t, *m]\n");
        let root = parse(&source).unwrap().root.unwrap();
        let Value::Mapping(root) = root.value() else { panic!() };
        let Value::Sequence(items) = root.get("c").unwrap().value() else { panic!() };
        let texts: Vec<_> = items.iter().map(|node| &source.text()[place(node)]).collect();
        assert_eq!(texts, ["*t", "{k: v}"]);
    }
}
