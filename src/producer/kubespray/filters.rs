//! Ansible's filters, tests and lookups, as far as Kubespray's downloads need them and a little further. Owns their
//! meaning; does not know variables.
#![expect(clippy::needless_pass_by_value, reason = "this is how minijinja hands arguments over")]

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};

use crate::producer::kubespray::bounds::{self, Budget};
use crate::producer::kubespray::jinja::UnknownLookup;
use crate::producer::kubespray::patterns::Patterns;
use crate::producer::kubespray::python::text;

/// Adds everything to an environment, under its short and its full name.
pub(super) fn register(environment: &mut Environment<'static>, budget: &Budget) {
    let patterns = || Patterns::new(budget);
    macro_rules! add {
        ($add:ident: $($name:literal => $function:expr,)*) => {$(
            environment.$add($name, budget.metered(Value::from_function($function)));
            environment.$add(concat!("ansible.builtin.", $name), budget.metered(Value::from_function($function)));
        )*};
    }
    add!(add_filter:
        "bool" => bool,
        "int" => int,
        "float" => float,
        "string" => |value: Value| text(&value),
        "split" => split,
        "regex_replace" => patterns().replace(),
        "regex_search" => patterns().search(),
        "regex_findall" => patterns().all(),
        "regex_escape" => |value: Value| regex_lite::escape(&text(&value)),
        "dict2items" => dict2items,
        "items2dict" => items2dict,
        "combine" => combine,
        "ternary" => ternary,
        "mandatory" => mandatory,
        "flatten" => |value: Value| { let mut flat = Vec::new(); flatten(&value, 0, &mut flat); flat },
        "union" => |a: Value, b: Value| Ok::<_, Error>(distinct(items(&a)?.into_iter().chain(items(&b)?))),
        "difference" => |a: Value, b: Value| { let b = set(&b)?; Ok::<_, Error>(distinct(items(&a)?.into_iter().filter(|item| !b.contains(item)))) },
        "intersect" => |a: Value, b: Value| { let b = set(&b)?; Ok::<_, Error>(distinct(items(&a)?.into_iter().filter(|item| b.contains(item)))) },
        "basename" => |value: Value| text(&value).rsplit('/').next().unwrap_or_default().to_owned(),
        "dirname" => |value: Value| text(&value).rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned()),
        "join" => join,
        "replace" => replace,
        "to_json" => |value: Value| json(&value),
        "version" => version,
        "version_compare" => version,
    );
    add!(add_test:
        "version" => version,
        "version_compare" => version,
        "match" => patterns().test(true),
        "search" => patterns().test(false),
        "regex" => patterns().test(false),
        "truthy" => |value: Value| value.is_true(),
        "falsy" => |value: Value| !value.is_true(),
        "contains" => |value: Value, item: Value| items(&value).map(|items| items.contains(&item)),
        "subset" => |a: Value, b: Value| { let b = set(&b)?; Ok::<_, Error>(items(&a)?.iter().all(|item| b.contains(item))) },
        "superset" => |a: Value, b: Value| { let a = set(&a)?; Ok::<_, Error>(items(&b)?.iter().all(|item| a.contains(item))) },
    );
    add!(add_function:
        "lookup" => lookup,
        "query" => lookup,
        "q" => lookup,
        "undef" => |_: Kwargs| Value::UNDEFINED,
    );
}

fn failed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

fn items(value: &Value) -> Result<Vec<Value>, Error> {
    Ok(value.try_iter()?.collect())
}

fn set(value: &Value) -> Result<BTreeSet<Value>, Error> {
    Ok(value.try_iter()?.collect())
}

/// A value as Python's `json.dumps` writes it, other than ASCII as it is.
fn json(value: &Value) -> Result<String, Error> {
    let quote = |value: &Value| serde_json::Value::from(text(value)).to_string();
    Ok(match value.kind() {
        ValueKind::None => "null".into(),
        ValueKind::Bool => value.is_true().to_string(),
        ValueKind::Number => text(value),
        ValueKind::Seq => {
            let items = items(value)?.iter().map(json).collect::<Result<Vec<_>, _>>()?;
            format!("[{}]", items.join(", "))
        }
        ValueKind::Map => {
            let entry = |key: &Value| Ok(format!("{}: {}", quote(key), json(&value.get_item(key)?)?));
            let entries = items(value)?.iter().map(entry).collect::<Result<Vec<_>, Error>>()?;
            format!("{{{}}}", entries.join(", "))
        }
        _ => quote(value),
    })
}

/// Whether a value is true by Ansible's filter `bool`: what is not said to be true is false.
pub(super) fn bool(value: Value) -> Value {
    match value.kind() {
        ValueKind::None | ValueKind::Bool => value,
        ValueKind::Number => Value::from(value == Value::from(1)),
        _ => Value::from(matches!(text(&value).to_lowercase().as_str(), "yes" | "on" | "1" | "true")),
    }
}

/// As Jinja2: what is no number is the default.
fn int(value: Value, default: Option<i64>, options: Kwargs) -> Result<Value, Error> {
    let default = options.get::<Option<i64>>("default")?.or(default).unwrap_or(0);
    let base = options.get::<Option<u32>>("base")?.unwrap_or(10);
    let number = match value.kind() {
        ValueKind::Bool => Some(i64::from(value.is_true())),
        ValueKind::Number if value.is_integer() => value.as_i64(),
        ValueKind::Number => f64::try_from(value).ok().map(whole),
        _ => {
            let text = text(&value);
            let text = text.trim();
            let number = (2..=36).contains(&base).then(|| i64::from_str_radix(text, base).ok()).flatten();
            number.or_else(|| text.parse::<f64>().ok().filter(|number| number.is_finite()).map(whole))
        }
    };
    Ok(Value::from(number.unwrap_or(default)))
}

#[expect(clippy::cast_possible_truncation, reason = "this is what the filter does, and it saturates")]
fn whole(number: f64) -> i64 {
    number as i64
}

/// As Jinja2: what is no number is the default.
fn float(value: Value, default: Option<f64>) -> Value {
    let number = match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => f64::try_from(value).ok(),
        _ => text(&value).trim().parse().ok(),
    };
    Value::from(number.or(default).unwrap_or(0.0))
}

fn split(value: Value, separator: Option<String>, most: Option<i64>) -> Result<Vec<String>, Error> {
    let whole = value.as_str().ok_or_else(|| failed(format!("`split` takes text, and this is {}", value.kind())))?;
    let most = most.and_then(|most| usize::try_from(most).ok()).map_or(usize::MAX, |most| most.saturating_add(1));
    match separator.as_deref() {
        None => Ok(whole.split_whitespace().map(str::to_owned).collect()),
        Some("") => Err(failed("the separator of `split` must not be empty")),
        Some(separator) => Ok(whole.splitn(most, separator).map(str::to_owned).collect()),
    }
}

fn join(value: Value, separator: Option<String>) -> Result<String, Error> {
    let separator = separator.unwrap_or_default();
    let mut joined = String::new();
    for (at, item) in value.try_iter()?.enumerate() {
        let item = text(&item);
        bounds::fits(joined.len() + separator.len() + item.len())?;
        joined.push_str(if at > 0 { &separator } else { "" });
        joined.push_str(&item);
    }
    Ok(joined)
}

fn replace(value: Value, from: String, to: String) -> Result<String, Error> {
    let value = text(&value);
    let found = value.matches(&*from).count();
    bounds::fits(value.len().saturating_add(found.saturating_mul(to.len())))?;
    Ok(value.replace(&*from, &to))
}

fn dict2items(value: Value, options: Kwargs) -> Result<Vec<Value>, Error> {
    if value.kind() != ValueKind::Map {
        return Err(failed(format!("`dict2items` takes a mapping, and this is {}", value.kind())));
    }
    let name = |option: &str| {
        options.get::<Option<String>>(&format!("{option}_name")).map(|name| name.unwrap_or_else(|| option.to_owned()))
    };
    let (key_name, value_name) = (name("key")?, name("value")?);
    let item = |key: Value| {
        let item = value.get_item(&key)?;
        Ok(Value::from_pairs([(key_name.as_str(), key), (value_name.as_str(), item)]))
    };
    value.try_iter()?.map(item).collect()
}

fn items2dict(value: Value) -> Result<Value, Error> {
    let pair = |item: Value| Ok::<_, Error>((item.get_attr("key")?, item.get_attr("value")?));
    let pairs = items(&value)?.into_iter().map(pair).collect::<Result<Vec<_>, _>>()?;
    Ok(Value::from_pairs(pairs))
}

fn combine(value: Value, others: Rest<Value>) -> Result<Value, Error> {
    let mut pairs = Vec::<(Value, Value)>::new();
    let mut places = BTreeMap::<Value, usize>::new();
    for map in std::iter::once(&value).chain(others.iter()).filter(|map| !map.is_kwargs()) {
        for key in map.try_iter()? {
            let item = map.get_item(&key)?;
            if let Some(at) = places.get(&key) {
                pairs[*at].1 = item;
            } else {
                places.insert(key.clone(), pairs.len());
                pairs.push((key, item));
            }
        }
    }
    Ok(Value::from_pairs(pairs))
}

fn ternary(value: Value, yes: Value, no: Value, none: Option<Value>) -> Value {
    match none {
        Some(none) if value.is_none() => none,
        _ if value.is_true() => yes,
        _ => no,
    }
}

fn mandatory(value: Value) -> Result<Value, Error> {
    if value.is_undefined() { Err(Error::from(ErrorKind::UndefinedError)) } else { Ok(value) }
}

fn flatten(value: &Value, depth: usize, flat: &mut Vec<Value>) {
    match value.try_iter() {
        Ok(items) if depth < 32 && matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) => {
            for item in items {
                flatten(&item, depth + 1, flat);
            }
        }
        _ => flat.push(value.clone()),
    }
}

fn distinct(values: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    values.filter(|value| seen.insert(value.clone())).collect()
}

/// `lookup('vars', name, default=…)`. The environment of the process that builds is not a variable: `lookup('env', …)` is
/// empty.
fn lookup(state: &State<'_, '_>, plugin: String, names: Rest<Value>) -> Result<Value, Error> {
    let (options, names): (Vec<&Value>, Vec<&Value>) = names.iter().partition(|value| value.is_kwargs());
    let default = || options.first().and_then(|options| options.get_attr("default").ok()).unwrap_or_default();
    match plugin.strip_prefix("ansible.builtin.").unwrap_or(&plugin) {
        "vars" => {
            let found: Vec<Value> =
                names.iter().map(|name| state.lookup(&text(name)).unwrap_or_else(default)).collect();
            Ok(if let [only] = &found[..] { only.clone() } else { Value::from(found) })
        }
        "env" => Ok(Value::from("")),
        other => Err(failed("the lookup is unknown").with_source(UnknownLookup(other.into()))),
    }
}

/// `value is version('1.2', '>=')`, by the rules of Python's `LooseVersion`.
fn version(value: Value, other: Value, operator: Option<String>, options: Kwargs) -> Result<bool, Error> {
    let operator = operator.or(options.get("operator")?).unwrap_or_else(|| "==".into());
    let strict = options.get::<Option<String>>("version_type")?.is_some_and(|kind| kind != "loose")
        || options.get::<Option<bool>>("strict")?.unwrap_or(false);
    let (value, other) = (text(&value), text(&other));
    if value.is_empty() || other.is_empty() {
        return Err(failed("`version` cannot compare an empty version"));
    }
    let order = if strict { semantic(&value).cmp(&semantic(&other)) } else { loose(&value, &other)? };
    Ok(match operator.as_str() {
        "==" | "=" | "eq" => order == Ordering::Equal,
        "!=" | "<>" | "ne" => order != Ordering::Equal,
        "<" | "lt" => order == Ordering::Less,
        "<=" | "le" => order != Ordering::Greater,
        ">" | "gt" => order == Ordering::Greater,
        ">=" | "ge" => order != Ordering::Less,
        other => return Err(failed(format!("`version` does not support the operator `{other}`"))),
    })
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u128),
    Word(String),
}

/// Runs of digits, runs of lower-case letters, and what stands between them, without the dots.
fn parts(version: &str) -> Vec<Part> {
    let class = |c: char| match c {
        '0'..='9' => 0,
        'a'..='z' => 1,
        '.' => 2,
        _ => 3,
    };
    let mut parts = Vec::new();
    let mut rest = version;
    while let Some(first) = rest.chars().next() {
        let same = |c: char| class(c) == class(first) && class(first) != 2;
        let end = rest.char_indices().skip(1).find(|(_, c)| !same(*c)).map_or(rest.len(), |(at, _)| at);
        let (part, after) = rest.split_at(end);
        rest = after;
        match class(first) {
            0 => parts.push(part.parse().map_or_else(|_| Part::Word(part.into()), Part::Number)),
            2 => {}
            _ => parts.push(Part::Word(part.into())),
        }
    }
    parts
}

fn loose(one: &str, two: &str) -> Result<Ordering, Error> {
    let (a, b) = (parts(one), parts(two));
    for pair in a.iter().zip(&b) {
        match pair {
            (Part::Number(_), Part::Word(_)) | (Part::Word(_), Part::Number(_)) => {
                return Err(failed(format!("`version` cannot compare `{one}` with `{two}`")));
            }
            (a, b) if a != b => return Ok(a.cmp(b)),
            _ => {}
        }
    }
    Ok(a.len().cmp(&b.len()))
}

/// The numbers of a semantic version, whether it is a release, and what orders those before it.
fn semantic(version: &str) -> (Vec<Part>, bool, Vec<Part>) {
    let version = version.trim_start_matches('v');
    let version = version.split_once('+').map_or(version, |(version, _)| version);
    let (numbers, before) = version.split_once('-').map_or((version, None), |(numbers, rest)| (numbers, Some(rest)));
    (parts(numbers), before.is_none(), parts(before.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_pythons() {
        let value = Value::from_pairs([
            ("a", Value::from(vec![Value::from(1), Value::from(()), Value::from(true)])),
            ("b", Value::from("\"x")),
        ]);
        assert_eq!(json(&value).unwrap(), r#"{"a": [1, null, true], "b": "\"x"}"#);
        assert_eq!(json(&Value::from(1.5)).unwrap(), "1.5");
    }

    #[test]
    fn versions_are_compared_loosely() {
        let is = |a: &str, operator: &str, b: &str| {
            let options = Kwargs::from_iter(Vec::<(String, Value)>::new());
            version(Value::from(a), Value::from(b), Some(operator.into()), options)
        };
        for (a, operator, b) in [
            ("1.29.10", ">", "1.29.9"),
            ("v1.29.0", ">=", "v1.29.0"),
            ("1.30", "<", "1.30.0"),
            ("1.7.1-flannel1", ">", "1.7.1"),
            ("3.22.3", "<", "3.27.4"),
            ("1.2", "ne", "1.3"),
        ] {
            assert!(is(a, operator, b).unwrap(), "{a} {operator} {b}");
        }
        assert!(is("v1.29", "<", "1.30").is_err());
        assert!(is("", "<", "1").is_err());
        assert!(is("1", "~", "1").is_err());
    }
}
