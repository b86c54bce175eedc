//! Arguments: values that `--build-arg` may replace, and `${NAME}` in the texts of the definition. Owns which arguments there
//! are and where each of them stands; does not know what the texts name.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::decode::Decoder;
use crate::decode::yaml::{Node, Value, place};
use crate::diagnostic::{Diagnostic, Span, quoted};
use crate::name::{Invalid, suggest};

/// Build arguments that mean something to BuildKit, its clients or kso, whatever the definition declares.
pub(crate) const PREDEFINED: [&str; 6] =
    ["ALL_PROXY", "FTP_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SOURCE_DATE_EPOCH"];
/// What the names of others of them begin with.
pub(crate) const PREFIXES: [&str; 2] = ["BUILDKIT_", KSO_PREFIX];
/// What the names of kso's own begin with: those of this kso, and of others.
const KSO_PREFIX: &str = "KSO_";
/// How a build uses the lock.
pub(crate) const KSO_LOCK: &str = "KSO_LOCK";
/// Whether a build step may run kso.
pub(crate) const KSO_EXEC: &str = "KSO_EXEC";
/// kso's own.
const KSO: [&str; 2] = [KSO_EXEC, KSO_LOCK];

const HELP: &str = "write `${NAME}` for an argument in `args:`, or `$${` for a literal `${`";

/// An argument of a definition.
#[derive(Debug, Clone)]
pub struct Arg {
    /// Its value: the default, unless a build argument replaces it.
    pub value: String,
    /// The value without a build argument.
    pub default: String,
    /// Whether a build argument gave the value.
    pub given: bool,
    /// Where it is declared.
    pub span: Span,
}

/// The arguments of a definition, by name.
#[derive(Debug, Clone, Default)]
pub struct Args(BTreeMap<String, Arg>);

impl Args {
    /// Each by its name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arg)> {
        self.0.iter().map(|(name, arg)| (name.as_str(), arg))
    }

    /// The text with its arguments put in.
    pub(crate) fn expand(&self, text: &str) -> Result<Expanded<'_>, Invalid> {
        let mut expanded = Expanded::default();
        let mut at = 0;
        while let Some(dollar) = text[at..].find("${").map(|found| at + found) {
            // `$${` stands for `${`.
            if text[at..dollar].ends_with('$') {
                expanded.add(&text[at..dollar - 1], at..dollar - 1);
                expanded.add("${", dollar - 1..dollar + 2);
                at = dollar + 2;
                continue;
            }
            expanded.add(&text[at..dollar], at..dollar);
            let Some(end) = text[dollar..].find('}').map(|found| dollar + found + 1) else {
                return Err(Invalid::new("a `${` is not closed").help(HELP).within(dollar..dollar + 2));
            };
            let name = &text[dollar + 2..end - 1];
            let Some((name, arg)) = self.0.get_key_value(name) else {
                return Err(self.unknown(name).within(dollar..end));
            };
            let start = expanded.text.len();
            expanded.add(&arg.value, dollar..end);
            expanded.used.push((name, arg, start..expanded.text.len()));
            at = end;
        }
        expanded.add(&text[at..], at..text.len());
        Ok(expanded)
    }

    fn unknown(&self, name: &str) -> Invalid {
        let invalid = Invalid::new(format!("unknown argument {}", quoted(&format!("${{{name}}}"))));
        match name {
            "arch" | "uname" => {
                invalid.help(format!("an architecture placeholder is written without `$`: `{{{name}}}`"))
            }
            _ if !is_name(name) => match name.split_once(':').filter(|(name, _)| is_name(name)) {
                Some((name, _)) => invalid.help(format!("write `${{{name}}}`, with its default in `args:`")),
                None => invalid.help(HELP),
            },
            _ => match suggest(name, self.0.keys().map(String::as_str)) {
                Some(known) => invalid.help(format!("did you mean `${{{known}}}`?")),
                None => {
                    invalid.help(format!("declare it: `args: {{ {name}: … }}`, or write `$${{` for a literal `${{`"))
                }
            },
        }
    }

    /// Puts in what the command line gives, and reports what it gives that nobody declared. What only another kso knows is no
    /// error, so that one script may serve several releases of kso; but it may be a misspelled `KSO_LOCK=required`.
    fn take(&mut self, build_args: &BTreeMap<String, String>, diagnostics: &mut Vec<Diagnostic>) {
        for (name, value) in build_args {
            if let Some(arg) = self.0.get_mut(name) {
                arg.value.clone_from(value);
                arg.given = true;
            } else if name.starts_with(KSO_PREFIX) {
                if !KSO.contains(&name.as_str()) {
                    let problem = format!("the build argument {} is ignored: this kso does not know it", quoted(name));
                    diagnostics.push(Diagnostic::warning(problem).help(match suggest(name, KSO) {
                        Some(known) => format!("did you mean `{known}`?"),
                        None => format!("remove it; this kso knows {}", super::listed(&KSO)),
                    }));
                }
            } else if !is_predefined(name) {
                let known = suggest(name, self.0.keys().map(String::as_str).chain(KSO));
                let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
                diagnostics.push(Diagnostic::error(format!("unknown build argument {}", quoted(name))).help(
                    match (known, names.as_slice()) {
                        (Some(known), _) => format!("did you mean `{known}`?"),
                        (None, []) => format!("the definition declares none; add `args: {{ {name}: … }}`"),
                        (None, names) => format!("the definition declares {}", super::listed(names)),
                    },
                ));
            }
        }
    }
}

/// A text with its arguments put in.
#[derive(Debug, Default)]
pub(crate) struct Expanded<'a> {
    pub(crate) text: String,
    /// Which bytes of the text came from which bytes of what was written.
    pieces: Vec<(Range<usize>, Range<usize>)>,
    used: Vec<Use<'a>>,
}

/// An argument, and where its value is in the text.
type Use<'a> = (&'a String, &'a Arg, Range<usize>);

impl Expanded<'_> {
    fn add(&mut self, text: &str, written: Range<usize>) {
        let start = self.text.len();
        self.text.push_str(text);
        self.pieces.push((start..self.text.len(), written));
    }

    /// The bytes of what was written that these bytes of the text came from: all of an argument where they are a part of
    /// its value.
    pub(crate) fn written(&self, range: &Range<usize>) -> Range<usize> {
        let place = |at: usize, is_end: bool| {
            let holds = |(here, _): &&(Range<usize>, Range<usize>)| {
                if is_end { here.start < at && at <= here.end } else { here.start <= at && at < here.end }
            };
            let (here, written) = self.pieces.iter().find(holds).or(self.pieces.last())?;
            let same = here.len() == written.len();
            Some(match (same, is_end) {
                (true, _) => written.start + at.saturating_sub(here.start).min(here.len()),
                (false, false) => written.start,
                (false, true) => written.end,
            })
        };
        let start = place(range.start, false).unwrap_or_default();
        let end = if range.is_empty() { start } else { place(range.end, true).unwrap_or_default() };
        start..end.max(start)
    }

    /// The text with only defaults put in; `None` where that is the same.
    pub(crate) fn with_defaults(&self) -> Option<String> {
        let mut text = self.text.clone();
        for (_, arg, range) in self.used.iter().rev() {
            text.replace_range(range.clone(), &arg.default);
        }
        self.used.iter().any(|(_, arg, _)| arg.given).then_some(text)
    }

    /// What to write instead of the build arguments that were given.
    pub(crate) fn correct(&self) -> String {
        let given = self.used.iter().filter(|(_, arg, _)| arg.given);
        let given: BTreeSet<_> = given.map(|(name, ..)| format!("`--build-arg {name}=…`")).collect();
        format!("correct {}", given.into_iter().collect::<Vec<_>>().join(" or "))
    }

    /// The problem, with the values that led to it.
    pub(crate) fn explain(&self, problem: Diagnostic) -> Diagnostic {
        self.used.iter().fold(problem, |problem, (name, arg, _)| {
            let by = if arg.given { " (set by `--build-arg`; the default is here)" } else { "" };
            problem.related(arg.span.clone(), format!("`{name}` is {}{by}", quoted(&arg.value)))
        })
    }
}

/// Letters, digits and `_`, not a digit first.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_predefined(name: &str) -> bool {
    PREDEFINED.iter().any(|known| *known == name || known.ends_with("_PROXY") && known.to_lowercase() == name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

impl Decoder<'_> {
    /// Reads `args:`, where it is there, and what the command line gives.
    pub(crate) fn args(&mut self, node: Option<&Node>, build_args: &BTreeMap<String, String>) -> Args {
        let mut args = Args::default();
        let entries = match node.map(|node| (node.value(), node)) {
            None => &[][..],
            Some((Value::Mapping(mapping), _)) => mapping.entries(),
            Some((_, node)) => {
                self.wrong_type(node, "`args`", "a mapping");
                return args;
            }
        };
        for entry in entries {
            let (name, span) = (entry.key.to_string(), self.span(entry.key_range.clone()));
            if !is_name(&name) {
                let problem = Diagnostic::error(format!("{} is not a valid argument name", quoted(&name))).at(span);
                self.error(problem.help("use letters, digits and `_`, such as `KUBE_VERSION`"));
            } else if is_predefined(&name) {
                let problem = Diagnostic::error(format!("`{name}` cannot be declared: the name is reserved"));
                self.error(problem.at(span).help("use another name"));
            } else if let Value::String(value) = entry.value.value() {
                let span = self.span(entry.key_range.start..place(&entry.value).end);
                args.0.insert(name, Arg { value: value.to_string(), default: value.to_string(), given: false, span });
            } else {
                self.wrong_type(&entry.value, &format!("the default of `{name}`"), "a string");
                // It is declared; what uses it is not wrong too.
                args.0.insert(name, Arg { value: String::new(), default: String::new(), given: false, span });
            }
        }
        args.take(build_args, self.diagnostics);
        args
    }
}

/// How [`Args`] are written: names that mean something to BuildKit or kso are not declared.
pub(crate) struct ArgsText;

impl JsonSchema for ArgsText {
    fn schema_name() -> Cow<'static, str> {
        "Args".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names = PREDEFINED.iter().flat_map(|name| {
            let lower = name.ends_with("_PROXY").then(|| name.to_lowercase());
            std::iter::once((*name).to_owned()).chain(lower)
        });
        let (names, prefixes) = (names.collect::<Vec<_>>().join("|"), PREFIXES.join("|"));
        let name = format!("^(?!{prefixes})(?!(?:{names})$)[A-Za-z_][A-Za-z0-9_]*$");
        json_schema!({ "type": "object", "patternProperties": { name: { "type": "string" } }, "additionalProperties": false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;

    fn args(pairs: &[(&str, &str)]) -> Args {
        let span = Span::new(&Source::new("kso.yaml", ""), 0..0);
        let arg =
            |value: &str| Arg { value: value.to_owned(), default: value.to_owned(), given: false, span: span.clone() };
        Args(pairs.iter().map(|(name, value)| ((*name).to_owned(), arg(value))).collect())
    }

    #[test]
    fn texts_are_expanded_once() {
        let args = args(&[("A", "x"), ("LONG", "${A}yz"), ("EMPTY", "")]);
        for (text, expanded) in [
            ("", ""),
            ("plain $A $$ $", "plain $A $$ $"),
            ("${A}", "x"),
            ("a${A}${LONG}b{arch}", "ax${A}yzb{arch}"),
            ("$${A}", "${A}"),
            ("$$${A}", "$${A}"),
            ("${EMPTY}.", "."),
            ("ä${A}ä", "äxä"),
        ] {
            assert_eq!(args.expand(text).unwrap().text, expanded, "{text}");
        }
        for (text, message, range) in [
            ("a${", "a `${` is not closed", 1..3),
            ("a${B}", "unknown argument `${B}`", 1..5),
            ("${A:-x}", "unknown argument `${A:-x}`", 0..7),
            ("${}", "unknown argument `${}`", 0..3),
        ] {
            let invalid = args.expand(text).unwrap_err();
            assert_eq!((invalid.message.as_str(), invalid.range), (message, Some(range)));
        }
    }

    #[test]
    fn what_to_write_instead_of_an_unknown_argument() {
        let args = args(&[("KUBE_VERSION", "1")]);
        let help = |text: &str| args.expand(text).unwrap_err().help.unwrap();
        assert_eq!(help("${arch}"), "an architecture placeholder is written without `$`: `{arch}`");
        assert_eq!(help("${KUBE_VERSION:-1}"), "write `${KUBE_VERSION}`, with its default in `args:`");
        assert_eq!(help("${KUBE_VERISON}"), "did you mean `${KUBE_VERSION}`?");
        assert_eq!(help("${OTHER}"), "declare it: `args: { OTHER: … }`, or write `$${` for a literal `${`");
        assert_eq!(help("${a b}"), HELP);
        assert_eq!(help("${"), HELP);
    }

    #[test]
    fn what_is_given_must_be_declared() {
        let reported = |mut args: Args, name: &str| {
            let mut diagnostics = Vec::new();
            args.take(&BTreeMap::from([(name.to_owned(), "given".to_owned())]), &mut diagnostics);
            let reported = diagnostics.into_iter().map(|problem| problem.help.unwrap()).collect::<Vec<_>>();
            (args.iter().map(|(_, arg)| (arg.value.clone(), arg.given)).collect::<Vec<_>>(), reported)
        };
        let one = || args(&[("KUBE_VERSION", "1")]);
        assert_eq!(reported(one(), "KUBE_VERSION"), (vec![("given".into(), true)], vec![]));
        let unchanged = vec![("1".to_owned(), false)];
        assert_eq!(reported(one(), "HTTP_PROXY"), (unchanged.clone(), vec![]));
        assert_eq!(reported(one(), "KUBE_VERISON"), (unchanged.clone(), vec!["did you mean `KUBE_VERSION`?".into()]));
        assert_eq!(reported(one(), "KSO_LOCK"), (unchanged.clone(), vec![]));
        assert_eq!(reported(one(), "KSO_LOKC"), (unchanged.clone(), vec!["did you mean `KSO_LOCK`?".into()]));
        let known = "remove it; this kso knows `KSO_EXEC` and `KSO_LOCK`";
        assert_eq!(reported(one(), "KSO_WHO_KNOWS"), (unchanged.clone(), vec![known.into()]));
        assert_eq!(reported(one(), "KS_LOCK"), (unchanged.clone(), vec!["did you mean `KSO_LOCK`?".into()]));
        assert_eq!(reported(one(), "OTHER"), (unchanged, vec!["the definition declares `KUBE_VERSION`".into()]));
        let none = "the definition declares none; add `args: { OTHER: … }`".to_owned();
        assert_eq!(reported(Args::default(), "OTHER"), (vec![], vec![none]));
    }

    #[test]
    fn each_has_its_name() {
        let args = args(&[("B", "2"), ("A", "1")]);
        let all: Vec<_> = args.iter().map(|(name, arg)| (name, arg.value.as_str())).collect();
        assert_eq!(all, [("A", "1"), ("B", "2")]);
    }

    #[test]
    fn places_lead_back_to_what_was_written() {
        let args = args(&[("A", "123456"), ("E", "")]);
        let written = |text: &str, wrong: &str| {
            let expanded = args.expand(text).unwrap();
            let at = expanded.text.find(wrong).unwrap();
            text[expanded.written(&(at..at + wrong.len()))].to_owned()
        };
        assert_eq!(written("ab${A}cd", "b"), "b");
        assert_eq!(written("ab${A}cd", "c"), "c");
        assert_eq!(written("ab${A}cd", "34"), "${A}");
        assert_eq!(written("ab${A}cd", "b1"), "b${A}");
        assert_eq!(written("ab${A}cd", "6c"), "${A}c");
        assert_eq!(written("a${E}b${A}", "b"), "b");
        assert_eq!(written("a$${b", "${b"), "$${b");
        assert_eq!(written("xyz$${b", "y"), "y");
        assert_eq!(written("xyz$${b", "${"), "$${");
        assert_eq!(written("ab", "ab"), "ab");
    }

    #[test]
    fn what_has_a_meaning_needs_no_declaration() {
        for name in ["HTTP_PROXY", "https_proxy", "no_proxy", "BUILDKIT_X", "KSO_LOCK", "SOURCE_DATE_EPOCH"] {
            assert!(is_predefined(name), "{name}");
        }
        for name in ["Http_Proxy", "kso_lock", "source_date_epoch", "PROXY", "KUBE_VERSION"] {
            assert!(!is_predefined(name), "{name}");
        }
    }
}
