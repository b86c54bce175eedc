//! minijinja as Ansible's Jinja2: its settings, its words for what failed. Owns the differences
//! between the two; does not know variables.

use std::sync::Arc;

use minijinja::value::{Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};

use crate::diagnostic::Span;
use crate::producer::kubespray::bounds::{self, Budget, MAX_NESTED};
use crate::producer::kubespray::yaml::{self, Entry, Key, Map, Node};
use crate::producer::kubespray::{filters, python};

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
    environment.set_formatter(|out, _, value| out.write_str(&python::text(value)).map_err(Error::from));
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

/// A value as a part of the variables, at a place. What cannot be one is unknown.
pub(super) fn node(value: &Value, span: &Span) -> Arc<Node> {
    let unknown = || yaml::Value::Unknown("a part of this value".into());
    let made = match value.kind() {
        ValueKind::None => yaml::Value::Null,
        ValueKind::Bool => yaml::Value::Bool(value.is_true()),
        ValueKind::Number => match value.as_i64() {
            Some(number) => yaml::Value::Int(number),
            None => f64::try_from(value.clone()).map_or_else(|_| unknown(), yaml::Value::Float),
        },
        ValueKind::String => value.as_str().map_or_else(unknown, |text| yaml::Value::Text(text.into(), false)),
        ValueKind::Seq | ValueKind::Iterable => match value.try_iter() {
            Ok(items) => yaml::Value::List(items.map(|item| node(&item, span)).collect()),
            Err(_) => unknown(),
        },
        ValueKind::Map => match value.try_iter() {
            Ok(keys) => {
                let entry = |name: Value| {
                    let value = value.get_item(&name).unwrap_or_default();
                    Some(Entry { key: key(&name)?, span: span.clone(), value: node(&value, span) })
                };
                yaml::Value::Map(Map::new(keys.filter_map(entry).collect()))
            }
            Err(_) => unknown(),
        },
        _ => unknown(),
    };
    Arc::new(Node::new(span.clone(), made))
}

/// The source of an error: the template asks for a lookup that kso does not have.
#[derive(Debug, thiserror::Error)]
#[error("unknown lookup `{0}`")]
pub(super) struct UnknownLookup(pub(super) String);

/// Why a template failed, and what to do about it.
pub(super) fn explain(error: &Error) -> (String, Option<String>) {
    let detail = error.detail().unwrap_or_default();
    let name = detail.split_whitespace().nth(1).unwrap_or_default();
    let own = "kso supports only the filters, tests and lookups that Kubespray's downloads use; give the variable another value";
    if let Some(unknown) = std::error::Error::source(error).and_then(|source| source.downcast_ref::<UnknownLookup>()) {
        return (unknown.to_string(), Some(own.into()));
    }
    match error.kind() {
        ErrorKind::UndefinedError => ("something in this template is not defined".into(), None),
        ErrorKind::UnknownFilter => (format!("unknown filter `{name}`"), Some(own.into())),
        ErrorKind::UnknownTest => (format!("unknown test `{name}`"), Some(own.into())),
        ErrorKind::UnknownFunction => (format!("unknown function `{name}`"), Some(own.into())),
        ErrorKind::UnknownMethod => (format!("unknown method: {detail}"), Some(own.into())),
        ErrorKind::OutOfFuel => ("this template takes too many steps".into(), None),
        ErrorKind::SyntaxError => (format!("kso cannot read this template: {detail}"), None),
        _ if detail.is_empty() => (format!("this template fails: {}", error.kind()), None),
        _ => (format!("this template fails: {detail}"), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_and_other_texts_left() {
        assert!(literal("True").is_true());
        assert_eq!(literal("['a', 'b']").len(), Some(2));
        assert_eq!(literal("{'a': 1}").get_attr("a").unwrap(), Value::from(1));
        for other in ["true", "[a", "[x]", "{{ x }}", "['a'|upper]", "a", "[1].pop()"] {
            assert_eq!(literal(other), Value::from(other), "{other}");
        }
        assert_eq!(
            python::python(&literal("{'a': [1.5, None, True, \"it's\"]}")),
            "{'a': [1.5, None, True, \"it's\"]}"
        );
    }
}
