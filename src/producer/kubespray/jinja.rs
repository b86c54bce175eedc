//! minijinja as Ansible's Jinja2: its settings, its printing of values, its words for what failed. Owns the differences
//! between the two; does not know variables.

use std::cell::Cell;

use minijinja::value::{Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};

use crate::producer::kubespray::bounds::{self, Budget, MAX_BYTES, MAX_NESTED};
use crate::producer::kubespray::filters;
use crate::producer::kubespray::yaml::Key;

/// The longest text that is read as a list or a mapping, in bytes.
const MAX_LITERAL: usize = 64 << 10;

/// An environment with Ansible's settings, filters, tests and functions, whose filters take from `budget`.
pub(super) fn environment(budget: &Budget) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(bounds::FUEL));
    environment.set_recursion_limit(MAX_NESTED);
    let syntax = environment.syntax().to_builder().trim_blocks(true).keep_trailing_newline(true).build();
    environment.set_syntax(syntax.unwrap_or_default());
    budget.apply(&mut environment);
    environment.set_formatter(|out, _, value| out.write_str(&text(value)).map_err(Error::from));
    filters::register(&mut environment, budget);
    environment
}

/// What Ansible makes of a rendered text: one that looks like a list, a mapping or a truth value is one.
pub(super) fn literal(text: &str) -> Value {
    match text {
        "True" => return Value::from(true),
        "False" => return Value::from(false),
        _ => {}
    }
    let looks = text.starts_with('[') || text.starts_with('{') && !text.starts_with("{{");
    if !looks || text.len() > MAX_LITERAL || !bounds::is_literal(text) {
        return Value::from(text);
    }
    let value = Environment::empty().compile_expression(text).and_then(|literal| literal.eval(()));
    match value {
        Ok(value) if matches!(value.kind(), ValueKind::Seq | ValueKind::Map) && is_whole(&value) => value,
        _ => Value::from(text),
    }
}

/// Whether everything in a literal has a value: it named no variable.
fn is_whole(value: &Value) -> bool {
    let item = |item: Value| {
        let value = if value.kind() == ValueKind::Map { value.get_item(&item).unwrap_or_default() } else { item };
        is_whole(&value)
    };
    match value.kind() {
        ValueKind::Undefined => false,
        ValueKind::Seq | ValueKind::Map => value.try_iter().is_ok_and(|mut items| items.all(item)),
        _ => true,
    }
}

/// A value as a key of a mapping; `None` where it can be none.
pub(super) fn key(value: &Value) -> Option<Key> {
    match value.kind() {
        ValueKind::None => Some(Key::Null),
        ValueKind::Bool => Some(Key::Bool(value.is_true())),
        ValueKind::String => value.as_str().map(|text| Key::String(text.into())),
        ValueKind::Number => match value.as_i64() {
            Some(number) => Some(Key::Int(number)),
            None => f64::try_from(value.clone()).ok().map(Key::number),
        },
        _ => None,
    }
}

/// A value as Python's `str` writes it; nothing for `None`, as in Ansible.
pub(super) fn text(value: &Value) -> String {
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => String::new(),
        ValueKind::String => value.as_str().unwrap_or_default().to_owned(),
        _ => python(value),
    }
}

/// A value as Python's `repr` writes it, cut where it is too long or too deep: see [`was_cut`].
pub(super) fn python(value: &Value) -> String {
    let mut out = String::new();
    write_python(value, &mut out, 0);
    out
}

thread_local! {
    static CUT: Cell<bool> = const { Cell::new(false) };
}

/// Whether a value was cut since this was asked the last time, in this thread. minijinja prints values itself, and
/// cannot be told of a failure.
pub(super) fn was_cut() -> bool {
    CUT.take()
}

fn write_python(value: &Value, out: &mut String, depth: usize) {
    if out.len() > MAX_BYTES || depth > MAX_NESTED {
        return CUT.set(true);
    }
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
            let escaped = text.replace('\\', "\\\\").replace('\n', "\\n");
            let escaped = if quote == '\'' { escaped.replace('\'', "\\'") } else { escaped };
            out.extend([quote]);
            out.push_str(&escaped);
            out.extend([quote]);
        }
        ValueKind::Number if value.is_integer() => out.push_str(&value.to_string()),
        ValueKind::Number => out.push_str(&f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float)),
        kind @ (ValueKind::Map | ValueKind::Seq | ValueKind::Iterable) => {
            let is_map = kind == ValueKind::Map;
            out.push(if is_map { '{' } else { '[' });
            for (at, item) in value.try_iter().into_iter().flatten().enumerate() {
                if out.len() > MAX_BYTES {
                    return CUT.set(true);
                }
                out.push_str(if at > 0 { ", " } else { "" });
                write_python(&item, out, depth + 1);
                if is_map {
                    out.push_str(": ");
                    write_python(&value.get_item(&item).unwrap_or_default(), out, depth + 1);
                }
            }
            out.push(if is_map { '}' } else { ']' });
        }
        _ => out.push_str(&value.to_string()),
    }
}

/// As Python writes a float: `1.0`, `1.19`, `1e-07`.
fn float(number: f64) -> String {
    let size = number.abs();
    if number.is_finite() && (size >= 1e16 || size > 0.0 && size < 1e-4) {
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    match number {
        number if number.is_nan() => "nan".into(),
        number if number.is_infinite() => if number > 0.0 { "inf" } else { "-inf" }.into(),
        number => format!("{number:?}"),
    }
}

/// Why a template failed, and what to do about it.
pub(super) fn explain(error: &Error) -> (String, Option<String>) {
    let detail = error.detail().unwrap_or_default();
    let name = detail.split_whitespace().nth(1).unwrap_or_default();
    let own = "kso supports only the filters, tests and lookups that Kubespray's downloads use; give the variable another value";
    match error.kind() {
        ErrorKind::UndefinedError => ("something in this template is not defined".into(), None),
        ErrorKind::UnknownFilter => (format!("unknown filter `{name}`"), Some(own.into())),
        ErrorKind::UnknownTest => (format!("unknown test `{name}`"), Some(own.into())),
        ErrorKind::UnknownFunction => (format!("unknown function `{name}`"), Some(own.into())),
        ErrorKind::UnknownMethod => (format!("unknown method: {detail}"), Some(own.into())),
        ErrorKind::OutOfFuel => ("a template that takes too many steps".into(), None),
        ErrorKind::SyntaxError => (format!("not a template that kso can read: {detail}"), None),
        _ if detail.is_empty() => (format!("this template fails: {}", error.kind()), None),
        _ => (format!("this template fails: {detail}"), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_does() {
        for (number, text) in [(1.19, "1.19"), (1.0, "1.0"), (1e16, "1e+16"), (0.00001, "1e-05"), (-2.5, "-2.5")] {
            assert_eq!(float(number), text);
        }
    }

    #[test]
    fn literals_are_read_and_other_texts_left() {
        assert!(literal("True").is_true());
        assert_eq!(literal("['a', 'b']").len(), Some(2));
        assert_eq!(literal("{'a': 1}").get_attr("a").unwrap(), Value::from(1));
        for other in ["true", "[a", "[x]", "{{ x }}", "['a'|upper]", "a", "[1].pop()"] {
            assert_eq!(literal(other), Value::from(other), "{other}");
        }
        assert_eq!(python(&literal("{'a': [1.5, None, True, \"it's\"]}")), "{'a': [1.5, None, True, \"it's\"]}");
    }
}
