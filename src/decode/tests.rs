//! What is read of nodes and lines, and what is said of those that cannot be used.

use std::collections::BTreeMap;

use super::list::{Line, Lists, parse};
use super::*;
use crate::diagnostic::Unreadable;
use crate::name::{ContextPath, FileUrl};

/// What `decode` makes of a text with these arguments, and every problem.
pub(crate) fn diagnosed<T>(
    text: &str,
    args: &Args,
    decode: impl FnOnce(&mut Decoder<'_>, &Node) -> T,
) -> (T, Vec<Diagnostic>) {
    let source = Source::new("kso.yaml", text);
    let root = yaml::parse(&source).unwrap().root.unwrap();
    let mut diagnostics = Vec::new();
    let found = decode(&mut Decoder { source: &source, args: Some(args), diagnostics: &mut diagnostics }, &root);
    (found, diagnostics)
}

/// The same without arguments; of each problem what is marked, the message and the help.
fn read<T>(text: &str, decode: impl FnOnce(&mut Decoder<'_>, &Node) -> T) -> (T, Vec<String>) {
    let (found, diagnostics) = diagnosed(text, &Args::default(), decode);
    (found, diagnostics.iter().map(shown).collect())
}

fn shown(problem: &Diagnostic) -> String {
    let marked = problem.span.as_ref().map(Span::text).unwrap_or_default();
    let help = problem.help.as_ref().map(|help| format!(" | {help}")).unwrap_or_default();
    format!("{marked} | {}{help}", problem.message)
}

#[test]
fn keys_are_known_or_reported() {
    let (found, problems) = read("{ url: a, pth: b, sha512: c, packages: d }", |decoder, node| {
        let fields = decoder.fields(node, "`x`", &["url", "path"]).unwrap();
        let url = decoder.required(&fields, "`x`", "url", "write it").is_some();
        // It is there, only misspelled: that was said.
        let path = decoder.required(&fields, "`x`", "path", "write it").is_some();
        (url, path, fields.has("path"), fields.has("other"))
    });
    assert_eq!(found, (true, false, true, false));
    assert_eq!(
        problems,
        [
            "pth | unknown key `pth` | did you mean `path`?",
            "sha512 | unknown key `sha512` | `x` has `url` and `path`",
            &format!(
                "packages | unknown key `packages` | `packages` is not supported by kso {}",
                env!("CARGO_PKG_VERSION")
            ),
        ]
    );
}

/// A key that is written already was not meant by another.
#[test]
fn a_key_is_suggested_only_where_it_is_missing() {
    let (_, problems) = read("{ path: a, paht: b }", |decoder, node| decoder.fields(node, "`x`", &["path"]).map(drop));
    assert_eq!(problems, ["paht | unknown key `paht` | `x` has `path`"]);
}

#[test]
fn a_missing_key_is_reported_at_the_first_one_or_the_braces() {
    for (text, marked) in [("{ path: a }", "path"), ("{}", "{}")] {
        let (_, problems) = read(text, |decoder, node| {
            let fields = decoder.fields(node, "`x`", &["url", "path"]).unwrap();
            decoder.required(&fields, "`x`", "url", "write it").is_some()
        });
        assert_eq!(problems, [format!("{marked} | missing key `url` in `x` | write it")]);
    }
}

#[test]
fn lists_are_lists() {
    let list = |text: &str| read(text, |decoder, node| decoder.list(node, "`x`").map(<[Node]>::len));
    let items = |text: &str| read(text, |decoder, node| decoder.items(node, "`x`").map(<[Node]>::len));
    assert_eq!((list("[a, b]"), items("[]")), ((Some(2), vec![]), (Some(0), vec![])));
    assert_eq!(list("[]"), (None, vec!["[] | `x` is empty".into()]));
    let help = "start each item with `- `, or write `[…]`";
    assert_eq!(list("a"), (None, vec![format!("a | `x` must be a list, but this is a string | {help}")]));
    assert_eq!(items("{}"), (None, vec![format!("{{}} | `x` must be a list, but this is a mapping | {help}")]));
    assert_eq!(items("7"), (None, vec!["7 | `x` must be a list, but YAML reads this as a number".into()]));
}

#[test]
fn what_is_of_another_type() {
    let said =
        |text: &str, wanted: &str| read(text, |decoder, node| decoder.wrong_type(node, "`x`", wanted)).1.remove(0);
    assert_eq!(said("~", "a string"), "~ | `x` must be a string, but has no value");
    assert_eq!(
        said("true", "a string"),
        "true | `x` must be a string, but YAML reads this as a boolean | write it in quotes: \"true\""
    );
    assert_eq!(
        said("1.20", "a string"),
        "1.20 | `x` must be a string, but YAML reads this as a number | write it in quotes: \"1.20\""
    );
    assert_eq!(said("1", "a mapping"), "1 | `x` must be a mapping, but YAML reads this as a number");
    assert_eq!(said("[]", "a string"), "[] | `x` must be a string, but this is a list");
    assert_eq!(
        said("'7'", "a number from 1 to 9"),
        "'7' | `x` must be a number from 1 to 9, but this is a string | remove the quotes: `7`"
    );
    assert_eq!(said("a", "a number from 1 to 9"), "a | `x` must be a number from 1 to 9, but this is a string");
    assert_eq!(said("'7'", "a mapping"), "'7' | `x` must be a mapping, but this is a string");
}

#[test]
fn a_text_where_a_mapping_is_expected_may_be_one_of_its_keys() {
    let ((), problems) = read("a.list", |decoder, node| decoder.not_a_mapping("an entry", node, "list"));
    assert_eq!(problems, ["a.list | an entry must be a mapping, but this is a string | add `list: ` in front"]);
}

#[test]
fn names_are_parsed() {
    let name = |text: &str| {
        let (name, problems) = read(text, |decoder, node| decoder.name::<ContextPath>(node, "`path`"));
        (name.map(|name| (name.value.as_str().to_owned(), name.span.text().to_owned())), problems)
    };
    assert_eq!(name("a/b"), (Some(("a/b".into(), "a/b".into())), vec![]));
    let (found, problems) = name("'/a'");
    assert_eq!((found, problems.len()), (None, 1));
    assert_eq!(
        name("7"),
        (None, vec!["7 | `path` must be a string, but YAML reads this as a number | write it in quotes: \"7\"".into()])
    );
    // No argument has that name.
    let (found, problems) = name("a/${NAME}");
    assert_eq!((found, problems.len()), (None, 1));
}

/// Where the default is fine, what the command line gives is not.
#[test]
fn an_argument_that_makes_a_wrong_name_is_marked_and_named() {
    let said = |given: &str, text: &str| {
        let given = BTreeMap::from([("KEY".to_owned(), given.to_owned())]);
        let (args, _) = read("{ KEY: fine }", |decoder, node| decoder.args(Some(node), &given));
        let (name, diagnostics) = diagnosed(text, &args, |decoder, node| decoder.name::<FileUrl>(node, "`url`"));
        assert!(name.is_none());
        shown(&diagnostics[0])
    };
    assert_eq!(
        said("^", "https://a.example/${KEY}/x"),
        "${KEY} | a URL cannot contain `^` | correct `--build-arg KEY=…`"
    );
    assert_eq!(said("fine", "https://a.example/${KEY}/x^"), "^ | a URL cannot contain `^` | write it as `%5E`");
}

#[test]
fn names_in_a_row() {
    assert_eq!(listed(&[""; 0]), "nothing");
    assert_eq!(listed(&["a"]), "`a`");
    assert_eq!(listed(&["a", "b"]), "`a` and `b`");
    assert_eq!(listed(&["a", "b", "c"]), "`a`, `b` and `c`");
}

#[test]
fn how_many_layers() {
    let limit = |text: &str| {
        read(text, |decoder, node| decoder.layer_limit(node).map(|limit| (limit.get(), limit.to_string())))
    };
    for layers in [50, 125, 400] {
        assert_eq!(limit(&layers.to_string()), (Some((layers, layers.to_string())), vec![]));
    }
    let range = "`layers` must be a number from 50 to 400";
    let few = "write at least 50: the layers of the base image count too";
    let many = "write at most 125 for Docker's classic image store, or at most 400 for containerd and Podman";
    for (text, help) in [("49", few), ("0", few), ("-1", few), ("60.5", few), ("401", many), ("65537", many)] {
        assert_eq!(limit(text), (None, vec![format!("{text} | {range} | {help}")]));
    }
    assert_eq!(limit("'90'"), (None, vec![format!("'90' | {range}, but this is a string | remove the quotes: `90`")]));
}

#[test]
fn arguments_have_names_and_defaults() {
    let given = BTreeMap::from([("KEY".to_owned(), "given".to_owned())]);
    let args = |text: &str| {
        let (args, problems) = read(text, |decoder, node| decoder.args(Some(node), &given));
        let value = args.expand("${KEY}").map(|expanded| expanded.text.clone()).ok();
        (value, problems)
    };
    assert_eq!(args("{ KEY: default }"), (Some("given".into()), vec![]));
    let (value, problems) = args("{ KEY: 1 }");
    assert_eq!(value.as_deref(), Some("given"), "it is declared");
    assert_eq!(
        problems,
        ["1 | the default of `KEY` must be a string, but YAML reads this as a number | write it in quotes: \"1\""]
    );
    for (text, said) in [
        (
            "{ KEY: a, '1A': b }",
            "'1A' | `1A` is not a valid argument name | use letters, digits and `_`, such as `KUBE_VERSION`",
        ),
        (
            "{ KEY: a, HTTP_PROXY: b }",
            "HTTP_PROXY | `HTTP_PROXY` cannot be declared: the name is reserved | use another name",
        ),
        (
            "{ KEY: a, no_proxy: b }",
            "no_proxy | `no_proxy` cannot be declared: the name is reserved | use another name",
        ),
    ] {
        assert_eq!(args(text), (Some("given".into()), vec![said.to_owned()]), "{text}");
    }
    assert_eq!(args("[]").1[0], "[] | `args` must be a mapping, but this is a list");
}

/// A line of digits.
#[derive(Debug, PartialEq, Eq)]
struct Digits(u64);

impl Line for Digits {
    fn parse(text: &str) -> Result<Self, Invalid> {
        text.parse().map(Self).map_err(|_| Invalid::new(format!("{} is no number", quoted(text))))
    }
}

fn lines(text: &str) -> (Option<Vec<(u64, String)>>, Vec<String>) {
    let mut diagnostics = Vec::new();
    let found = parse::<Digits>(&Source::new("a.list", text), &mut diagnostics);
    let found = found.map(|lines| lines.into_iter().map(|line| (line.value.0, line.span.text().to_owned())).collect());
    (found, diagnostics.iter().map(|problem| problem.message.clone()).collect())
}

#[test]
fn lines_have_comments_and_spaces_around_them() {
    let one = Some(vec![(1, "1".to_owned())]);
    for text in ["1", "1\n", " 1 \r\n", "\u{feff}1", "# a\n1", "  # a\n1", "1 # a", "1\t# a # b", "\n\n1\n\n"] {
        assert_eq!(lines(text), (one.clone(), vec![]), "{text:?}");
    }
    assert_eq!(lines("1#2").1, ["`1#2` is no number"]);
    for text in ["", "\n", "# a", " \r\n#"] {
        assert_eq!(lines(text), (None, vec![]), "{text:?}");
    }
}

#[test]
fn bad_lines_are_reported_until_there_are_too_many() {
    let bad = |count: usize| "x\n".repeat(count);
    assert_eq!(lines(&bad(10)).1.len(), 10);
    let none = lines(&bad(11));
    assert_eq!(none, (Some(vec![]), vec!["`x` is no number; 10 more lines of this list are invalid".into()]));
    let some = lines(&format!("1\n{}", bad(100)));
    assert_eq!((some.1.len(), some.1[99].as_str()), (100, "`x` is no number"));
    let more = lines(&format!("1\n{}", bad(102)));
    assert_eq!((more.1.len(), more.1[99].as_str()), (100, "`x` is no number; 2 more lines of this list are invalid"));
}

#[test]
fn a_list_is_parsed_once_and_its_problems_are_reported_once() {
    let source = |text: &str| Ok(Source::new("a.list", text));
    let texts = BTreeMap::from([
        ("good".to_owned(), source("1\nx\n")),
        ("empty".to_owned(), source("")),
        ("directory".to_owned(), Err(Unreadable::Directory)),
        ("broken".to_owned(), Err(Unreadable::Utf16)),
    ]);
    let mut lists = Lists::new(&texts, "list", "write a line", parse::<Digits>);
    let asked = Source::new("kso.yaml", "list");
    let span = Span::new(&asked, 0..4);
    let mut diagnostics = Vec::new();
    for (name, count) in
        [("good", 1), ("good", 1), ("empty", 0), ("empty", 0), ("directory", 0), ("broken", 0), ("missing", 0)]
    {
        assert_eq!(lists.get(name, &span, &mut diagnostics).len(), count, "{name}");
    }
    assert_eq!(
        diagnostics.iter().map(shown).collect::<Vec<_>>(),
        [
            "x | `x` is no number",
            "list | the list `empty` is empty | write a line",
            "list | the list `directory` cannot be read: it is a directory | write the path of a file",
            "list | the list `broken` cannot be read: it is UTF-16, but must be UTF-8",
            "list | the list `missing` is not in the build context | the path of a list is relative to the build context",
        ]
    );
}
