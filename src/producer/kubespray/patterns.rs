//! Python's regular expressions in templates: filters and tests. Owns what they may cost; does not know variables.

use minijinja::value::{Kwargs, Rest, Value};
use minijinja::{Error, ErrorKind};
use regex_lite::{Captures, Regex, RegexBuilder};

use crate::producer::kubespray::bounds::{self, Budget};
use crate::producer::kubespray::python::text;

/// The largest compiled regular expression, in bytes: a few hundred steps.
const MAX_REGEX: usize = 16 << 10;
/// What one look at a byte of a text costs, in bytes that are handled: a regular expression takes many steps there.
const LOOK: u64 = 64;

/// Regular expressions that take from a budget.
#[derive(Debug, Clone)]
pub(super) struct Patterns(Budget);

impl Patterns {
    pub(super) fn new(budget: &Budget) -> Self {
        Self(budget.clone())
    }

    /// `regex_replace`
    pub(super) fn replace(
        self,
    ) -> impl Fn(Value, Option<String>, Option<String>, Kwargs) -> Result<String, Error> + Send + Sync + 'static {
        move |value, pattern, replacement, options| {
            let pattern = pattern.or(options.get("pattern")?).unwrap_or_default();
            let replacement = replacement.or(options.get("replacement")?).unwrap_or_default();
            let (regex, text) = (regex(&pattern, &flags(&options)?)?, text(&value));
            self.replaced(&regex, &text, &replacement)
        }
    }

    fn replaced(&self, regex: &Regex, text: &str, replacement: &str) -> Result<String, Error> {
        let (mut out, mut end) = (String::new(), 0);
        self.look(text)?;
        for found in regex.captures_iter(text) {
            let Some(whole) = found.get(0) else { continue };
            self.look(&text[whole.end()..])?;
            out.push_str(&text[end..whole.start()]);
            out.push_str(&expanded(replacement, &found)?);
            bounds::fits(out.len())?;
            end = whole.end();
        }
        out.push_str(&text[end..]);
        Ok(out)
    }

    /// `regex_search`
    pub(super) fn search(self) -> impl Fn(Value, String, Rest<String>) -> Result<Value, Error> + Send + Sync + 'static {
        move |value, pattern, groups| {
            let value = text(&value);
            let regex = regex(&pattern, "")?;
            self.look(&value)?;
            let Some(found) = regex.captures(&value) else { return Ok(Value::from(())) };
            if groups.is_empty() {
                return Ok(Value::from(found.get(0).map_or("", |found| found.as_str())));
            }
            let mut parts = Vec::new();
            let mut bytes = 0;
            for group in groups.iter() {
                let part = expanded(group, &found)?;
                bytes += part.len();
                bounds::fits(bytes)?;
                parts.push(part);
            }
            Ok(Value::from(parts))
        }
    }

    /// `regex_findall`
    pub(super) fn all(self) -> impl Fn(Value, String) -> Result<Vec<Value>, Error> + Send + Sync + 'static {
        move |value, pattern| {
            let (value, regex) = (text(&value), regex(&pattern, "")?);
            let (mut all, mut bytes) = (Vec::new(), 0_usize);
            self.look(&value)?;
            for found in regex.captures_iter(&value) {
                let rest = found.get(0).map_or(0, |whole| whole.end());
                self.look(&value[rest..])?;
                let part = |at: usize| found.get(at).map_or("", |found| found.as_str()).to_owned();
                bytes += (0..found.len()).map(|at| found.get(at).map_or(0, |found| found.len())).sum::<usize>();
                bounds::fits(bytes)?;
                all.push(match found.len() {
                    1 => Value::from(part(0)),
                    2 => Value::from(part(1)),
                    groups => Value::from((1..groups).map(part).collect::<Vec<_>>()),
                });
            }
            Ok(all)
        }
    }

    /// The tests `match`, which looks at the start alone, and `search`.
    pub(super) fn test(self, at_start: bool) -> impl Fn(Value, String) -> Result<bool, Error> + Send + Sync + 'static {
        move |value, pattern| {
            let (value, regex) = (text(&value), regex(&pattern, "")?);
            self.look(&value)?;
            Ok(regex.find(&value).is_some_and(|found| !at_start || found.start() == 0))
        }
    }

    /// Takes what looking at a text costs.
    fn look(&self, text: &str) -> Result<(), Error> {
        self.0.take((text.len() as u64 + 1) * LOOK)
    }
}

fn regex(pattern: &str, flags: &str) -> Result<Regex, Error> {
    RegexBuilder::new(pattern)
        .case_insensitive(flags.contains('i'))
        .multi_line(flags.contains('m'))
        .size_limit(MAX_REGEX)
        .build()
        .map_err(|error| {
            Error::new(
                ErrorKind::InvalidOperation,
                format!("a regular expression that kso cannot parse, {pattern:?}: {error}"),
            )
        })
}

fn flags(options: &Kwargs) -> Result<String, Error> {
    let ignore_case = options.get::<Option<bool>>("ignorecase")?.unwrap_or(false);
    let lines = options.get::<Option<bool>>("multiline")?.unwrap_or(false);
    Ok([(ignore_case, 'i'), (lines, 'm')].into_iter().filter(|(on, _)| *on).map(|(_, flag)| flag).collect())
}

/// Python's replacement: `\1`, `\g<name>`, `\\`, `\n`.
fn expanded(replacement: &str, found: &Captures<'_>) -> Result<String, Error> {
    let mut out = String::new();
    let group = |name: &str| match name.parse::<usize>() {
        Ok(number) => found.get(number),
        Err(_) => found.name(name),
    };
    let mut rest = replacement;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let digits = rest.bytes().take(2).take_while(u8::is_ascii_digit).count();
        let taken = if digits > 0 {
            out.push_str(group(&rest[..digits]).map_or("", |found| found.as_str()));
            digits
        } else if let Some((name, _)) = rest.strip_prefix("g<").and_then(|rest| rest.split_once('>')) {
            out.push_str(group(name).map_or("", |found| found.as_str()));
            name.len() + 3
        } else {
            match rest.chars().next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('\\') | None => out.push('\\'),
                Some(other) => out.extend(['\\', other]),
            }
            rest.chars().next().map_or(0, char::len_utf8)
        };
        rest = &rest[taken..];
        bounds::fits(out.len())?;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_are_pythons() {
        let replace = |value: &str, pattern: &str, replacement: &str| {
            let options = Kwargs::from_iter(Vec::<(String, Value)>::new());
            Patterns::new(&Budget::new()).replace()(
                Value::from(value),
                Some(pattern.into()),
                Some(replacement.into()),
                options,
            )
            .unwrap()
        };
        assert_eq!(replace("v1.21.3", r"^v([0-9])+\.([0-9]+)\.[0-9]+", r"v\1.\2"), "v1.21");
        assert_eq!(replace("0.0.6", r"\.", "_"), "0_0_6");
        assert_eq!(replace("ab", "(?P<x>a)", r"\g<x>\g<1>$1\\"), r"aa$1\b");
    }
}
