//! What holds for every text, valid or not.

use proptest::prelude::*;

use crate::{Documents, DuplicateKeys, Keys, Limits, Lines, Node, Options, Schema, Stream, Tags, Value as Yaml, parse};

const LIMITS: Limits = Limits { depth: 8, values: 100 };

/// Texts of the pieces that YAML is made of: most are nearly valid.
fn yamlish() -> impl Strategy<Value = String> {
    let pieces = [
        "a",
        "b",
        ": ",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "&x ",
        "*x",
        "<<: ",
        "? ",
        "'",
        "\"",
        "|\n  ",
        ">\n",
        "!t ",
        "!!str ",
        "---\n",
        "...\n",
        "# c\n",
        "1",
        "1.0",
        "~",
        "yes",
        "0o7",
        "ä",
        "\t",
        "\r\n",
        "\u{feff}",
        "\0",
        "%YAML 1.1\n",
    ];
    prop_oneof![
        prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..40).prop_map(|pieces| pieces.concat()),
        any::<String>(),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(a, b, c, d, e)| Options {
        schema: if a { Schema::V1_1 } else { Schema::V1_2 },
        keys: if b { Keys::Typed } else { Keys::Text },
        duplicate_keys: if c { DuplicateKeys::LastWins } else { DuplicateKeys::Report },
        tags: if d { Tags::Keep } else { Tags::Report },
        documents: if e { Documents::Many } else { Documents::One },
        limits: LIMITS,
    })
}

/// Every node of a tree, those behind aliases as often as they are used; the keys are not nodes.
fn nodes(node: &Node) -> Vec<&Node> {
    let mut all = vec![node];
    match node.value() {
        Yaml::Sequence(items) => all.extend(items.iter().flat_map(nodes)),
        Yaml::Mapping(mapping) => all.extend(mapping.entries().iter().flat_map(|entry| nodes(&entry.value))),
        _ => {}
    }
    all
}

fn holds(text: &str, stream: &Stream, options: &Options) -> Result<(), TestCaseError> {
    let mut count = 0;
    for node in stream.documents.iter().flat_map(nodes) {
        count += 1;
        prop_assert!(text.get(node.range()).is_some(), "{node:?}");
        prop_assert!(node.depth() <= LIMITS.depth);
        prop_assert!(node.tag().is_none() || options.tags == Tags::Keep);
        if let Some(alias) = node.alias() {
            prop_assert!(text[alias].starts_with('*'), "{node:?}");
        }
        // What is written at the place of a plain scalar is what it stands for.
        if node.is_plain() && !matches!(node.value(), Yaml::String(_)) {
            prop_assert_eq!(
                format!("{:?}", options.schema.resolve(&text[node.range()])),
                format!("{:?}", node.value())
            );
        }
        if let Yaml::Mapping(mapping) = node.value() {
            for entry in mapping.entries() {
                prop_assert!(text.get(entry.key_range.clone()).is_some());
                prop_assert_eq!(mapping.get_key(&entry.key).map(Node::id), Some(entry.value.id()));
            }
        }
    }
    let said: usize = stream.documents.iter().map(Node::count).sum();
    prop_assert!(count <= said && said <= LIMITS.values, "{count} {said}");
    for problem in &stream.problems {
        prop_assert!(text.get(problem.range.clone()).is_some(), "{problem:?}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_a_tree_within_the_limits_or_an_error_at_a_place(text in yamlish(), options in options()) {
        match parse(&text, &options) {
            Ok(stream) => holds(&text, &stream, &options)?,
            Err(error) => {
                prop_assert!(text.get(error.range.clone()).is_some(), "{error:?}");
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }

    /// What JSON writes, YAML reads, and to the same value.
    #[test]
    fn quoted_texts_are_read_back(texts in prop::collection::vec("[a-z \\\\n\\\\t\"'#:,\\[\\]{}äß-]{0,12}", 0..6)) {
        let written: Vec<_> = texts.iter().map(|text| format!("{text:?}")).collect();
        let stream = parse(&format!("[{}]", written.join(", ")), &Options::default()).unwrap();
        let Yaml::Sequence(items) = stream.documents[0].value() else { panic!() };
        let read: Vec<_> = items.iter().map(|item| match item.value() { Yaml::String(text) => text.to_string(), _ => panic!() }).collect();
        prop_assert_eq!(read, texts);
    }

    #[test]
    fn integers_and_floats_are_read_back(int in any::<i64>(), float in any::<f64>().prop_filter("written as a number", |f| f.is_finite())) {
        use crate::Number;
        for schema in [Schema::V1_1, Schema::V1_2] {
            let Yaml::Number(number) = schema.resolve(&int.to_string()) else { panic!() };
            prop_assert_eq!(number, Number::Int(int));
        }
        let Yaml::Number(number) = Schema::V1_2.resolve(&format!("{float:e}")) else { panic!() };
        prop_assert_eq!(number, Number::Float(float));
    }

    #[test]
    fn a_position_is_where_its_line_and_column_say(text in "[a\u{e4}\n\r]{0,30}", offset in 0_usize..64) {
        let (line, column) = Lines::new(&text).position(offset);
        let before: String = text.split_inclusive('\n').take(line - 1).collect();
        let rest: String = text[before.len()..].chars().take(column - 1).collect();
        prop_assert_eq!(before.len() + rest.len(), text.floor_char_boundary(offset.min(text.len())));
    }
}
