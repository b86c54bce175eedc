//! Trees, places and problems of texts that show one thing each.

mod properties;

use std::fmt::Write;

use crate::{
    Documents, DuplicateKeys, ErrorKind, Key, Keys, Limits, Node, Number, Options, Schema, Tags, Value, parse,
};

/// A node as text: strings quoted, tags in front.
fn shape(node: &Node) -> String {
    let shape = match node.value() {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(Number::Int(value)) => value.to_string(),
        Value::Number(Number::Float(value)) => format!("{value:?}"),
        Value::Number(Number::BigInt(text)) => text.clone(),
        Value::String(text) => format!("{text:?}"),
        Value::Sequence(items) => format!("[{}]", items.iter().map(shape).collect::<Vec<_>>().join(", ")),
        Value::Mapping(mapping) => {
            let entries = mapping.entries().iter().map(|entry| format!("{:?}: {}", entry.key, shape(&entry.value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", ")).replace("String(\"", "").replace("\"): ", ": ")
        }
    };
    node.tag().map(|tag| format!("{tag} ")).unwrap_or_default() + &shape
}

/// The roots and the problems with their places.
fn read(text: &str, options: &Options) -> (Vec<String>, Vec<String>) {
    let stream = parse(text, options).unwrap();
    let problems = stream.problems.iter().map(|problem| format!("{problem} @ {}", &text[problem.range.clone()]));
    (stream.documents.iter().map(shape).collect(), problems.collect())
}

/// The one root of a text without problems.
fn clean(text: &str) -> String {
    let (documents, problems) = read(text, &Options::default());
    assert_eq!(problems, Vec::<String>::new());
    documents.join(" --- ")
}

fn error(text: &str) -> ErrorKind {
    parse(text, &Options::default()).unwrap_err().kind
}

#[test]
fn values() {
    assert_eq!(clean(""), "");
    assert_eq!(clean("# only a comment\n"), "");
    assert_eq!(clean("---\n"), "null");
    assert_eq!(
        clean("\u{feff}a: 1\r\nb: [x, 'y', \"1\", 1.30, ~, yes, true]\r\n"),
        r#"{a: 1, b: ["x", "y", "1", 1.3, null, "yes", true]}"#
    );
    assert_eq!(clean("a: |\n  x\n  y\nb: >-\n  x\n  y\n"), r#"{a: "x\ny\n", b: "x y"}"#);
    assert_eq!(clean("a: !!str 1.30\nb: ! 1\nc: !!seq []\nd: !!map {}\n"), r#"{a: "1.30", b: "1", c: [], d: {}}"#);
}

#[test]
fn the_order_of_keys_is_kept() {
    assert_eq!(clean("b: 1\na: 2\nc: 3\n"), "{b: 1, a: 2, c: 3}");
    let many: String = (0..100).rev().fold(String::new(), |text, n| text + &format!("k{n}: {n}\n"));
    let stream = parse(&many, &Options::default()).unwrap();
    let Value::Mapping(mapping) = stream.documents[0].value() else { panic!() };
    assert_eq!(mapping.entries()[0].key, "k99");
    assert!(matches!(mapping.get("k7").unwrap().value(), Value::Number(Number::Int(7))));
    assert!(mapping.get("k100").is_none());
}

#[test]
fn aliases_and_merge_keys() {
    assert_eq!(clean("a: &x {b: c}\nd: *x\ne: {<<: *x, f: g}\n"), r#"{a: {b: "c"}, d: {b: "c"}, e: {f: "g", b: "c"}}"#);
    assert_eq!(clean("x: {<<: [{a: b}, {a: c, d: e}], d: f}\n"), r#"{x: {d: "f", a: "b"}}"#);
    assert_eq!(clean("{'<<': 1}"), "{<<: 1}");
    let (documents, problems) = read("a: {<<: 1, b: c}\n", &Options::default());
    assert_eq!(documents, [r#"{a: {b: "c"}}"#]);
    assert_eq!(problems, ["`<<` takes a mapping or a sequence of mappings @ 1"]);
}

#[test]
fn an_alias_has_the_place_of_its_own_and_that_of_the_value() {
    let text = "a: &x [1]\nb: *x\n";
    let stream = parse(text, &Options::default()).unwrap();
    let Value::Mapping(mapping) = stream.documents[0].value() else { panic!() };
    let (a, b) = (mapping.get("a").unwrap(), mapping.get("b").unwrap());
    assert_eq!((&text[b.range()], &text[b.alias().unwrap()]), ("[1]", "*x"));
    assert_eq!(a.alias(), None);
    assert_eq!(a.id(), b.id());
    assert_eq!((b.count(), b.depth()), (2, 2));
    assert_eq!(stream.documents[0].count(), 7);
}

#[test]
fn places_are_those_of_the_text() {
    let text = "\u{feff}# ä\r\nfirst:\r\n  - \"a b\"   # c\r\n  - {k: v}\r\n\r\nlast: 1\r\n";
    let stream = parse(text, &Options::default()).unwrap();
    let Value::Mapping(mapping) = stream.documents[0].value() else { panic!() };
    let [first, last] = mapping.entries() else { panic!() };
    assert_eq!(&text[first.key_range.clone()], "first");
    assert_eq!(&text[last.value.range()], "1");
    assert_eq!(&text[first.value.range()], "- \"a b\"   # c\r\n  - {k: v}");
    let Value::Sequence(items) = first.value.value() else { panic!() };
    assert_eq!(&text[items[0].range()], "\"a b\"");
    assert_eq!(&text[items[1].range()], "{k: v}");
    assert!(last.value.is_plain() && !items[0].is_plain() && !items[1].is_plain());
}

#[test]
fn problems_do_not_stop_the_parser() {
    let (documents, problems) = read("a: b\na: c\n? [x]\n: y\nz: !custom 1\n", &Options::default());
    assert_eq!(documents, [r#"{a: "b", z: 1}"#]);
    assert_eq!(problems, ["duplicate key `a` @ a", "a key must be a scalar @ [x]", "unknown tag `!custom` @ 1"]);
    let (documents, problems) = read("a: b\n---\nc: d\n", &Options::default());
    assert_eq!(documents, [r#"{a: "b"}"#]);
    assert_eq!(problems, ["a second document @ ---"]);
    let error = parse("a: b\na: c\nd: [\n", &Options::default()).unwrap_err();
    assert_eq!(error.problems.len(), 1, "{error}");
}

#[test]
fn a_duplicate_is_found_among_many_keys() {
    let text: String = (0..100).fold(String::new(), |text, n| text + &format!("k{n}: x\n")) + "k3: y\n";
    assert_eq!(read(&text, &Options::default()).1, ["duplicate key `k3` @ k3"]);
}

#[test]
fn the_last_of_two_keys_wins_at_the_place_of_the_first() {
    let options = Options { duplicate_keys: DuplicateKeys::LastWins, ..Options::default() };
    assert_eq!(read("b: 1\na: 2\nb: 3\n", &options), (vec!["{b: 3, a: 2}".into()], vec![]));
}

#[test]
fn keys_are_texts_or_have_types() {
    let text = "1: a\n1.0: b\n'1': c\n~: d\nyes: e\n";
    let (documents, problems) = read(text, &Options::default());
    assert_eq!(documents, [r#"{1: "a", 1.0: "b", ~: "d", yes: "e"}"#]);
    assert_eq!(problems, ["duplicate key `1` @ '1'"]);
    let options = Options { keys: Keys::Typed, schema: Schema::V1_1, ..Options::default() };
    let (documents, problems) = read(text, &options);
    assert_eq!(documents, [r#"{Int(1): "a", 1: "c", Null: "d", Bool(true): "e"}"#]);
    assert_eq!(problems, ["duplicate key `1` @ 1.0"]);
    let stream = parse("{1: a, 1.5: b}", &options).unwrap();
    let Value::Mapping(mapping) = stream.documents[0].value() else { panic!() };
    assert!(mapping.get_key(&Key::number(1.0)).is_some() && mapping.get_key(&Key::number(1.5)).is_some());
    assert!(mapping.get("1").is_none());
}

#[test]
fn tags_stay_where_they_are_wanted() {
    let options = Options { tags: Tags::Keep, ..Options::default() };
    let (documents, problems) = read("a: !vault 1\nb: !x [!!int '1']\nc: !!str 1\n", &options);
    assert_eq!(documents, [r#"{a: !vault "1", b: !x [!!int "1"], c: "1"}"#]);
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn many_documents_where_they_are_wanted() {
    let options = Options { documents: Documents::Many, ..Options::default() };
    assert_eq!(read("a: 1\n---\n---\n- x\n", &options).0, ["{a: 1}", "null", r#"["x"]"#]);
    assert_eq!(parse("a: &x 1\n---\nb: *x\n", &options).unwrap_err().kind, ErrorKind::UnknownAnchor);
    let limits = Limits { values: 7, ..Limits::default() };
    assert_eq!(parse("[1, 2]\n---\n[1, 2, 3]\n", &Options { limits, ..options.clone() }).unwrap().documents.len(), 2);
    let limits = Limits { values: 6, ..limits };
    let error = parse("[1, 2]\n---\n[1, 2, 3]\n", &Options { limits, ..options }).unwrap_err();
    assert_eq!((error.kind, error.range), (ErrorKind::TooManyValues(6), 18..19));
}

#[test]
fn a_broken_syntax_has_a_kind_and_a_place() {
    assert_eq!(error("a:\n\tb: c\n"), ErrorKind::Tab);
    assert_eq!(error("a: b: c\n"), ErrorKind::UnexpectedColon);
    assert_eq!(error("a:\n  - b\n  c: d\n"), ErrorKind::ExpectedItem);
    assert_eq!(error("a: b\n- c\n"), ErrorKind::ExpectedKey);
    assert_eq!(error("a: *b\n"), ErrorKind::UnknownAnchor);
    assert_eq!(error("a: &a [*a]\n"), ErrorKind::RecursiveAlias);
    let error = parse("a: \"b", &Options::default()).unwrap_err();
    assert_eq!((error.to_string().as_str(), error.range), ("unclosed quote", 3..4));
}

#[test]
fn bombs_are_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..10 {
        let previous = format!("*a{}", i - 1);
        let _ = writeln!(bomb, "a{i}: &a{i} [{}]", vec![previous; 10].join(", "));
    }
    assert_eq!(error(&bomb), ErrorKind::TooManyValues(1_000_000));
    let deep = ErrorKind::TooDeep(64);
    assert_eq!(error(&"[".repeat(100_000)), deep);
    assert_eq!(error(&"- ".repeat(100_000)), deep);
    let mut tower = "- &a0 x\n".to_owned();
    for i in 1..100 {
        let _ = writeln!(tower, "- &a{i} [*a{}]", i - 1);
    }
    assert_eq!(error(&tower), deep);
}

/// A text of a megabyte, used half a million times, would be 500 gigabytes.
#[test]
fn a_long_text_behind_aliases_is_in_memory_once() {
    let text = format!(
        "a: &a {}\nb: [{}]\nc: [{}]\n",
        "x".repeat(1 << 20),
        "*a, ".repeat(200_000),
        "{*a : 1}, ".repeat(50_000)
    );
    assert_eq!(parse(&text, &Options::default()).unwrap().documents[0].count(), 350_007);
}
