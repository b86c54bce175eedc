//! What a template sees of the variables: a mapping of all of them, and lists and mappings whose parts are rendered when they are
//! asked for. Owns how minijinja walks through them; does not know how a value is rendered.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Value as Jinja};

use crate::diagnostic::quoted;
use crate::producer::kubespray::fault::Fault;
use crate::producer::kubespray::scope::Scope;
use crate::producer::kubespray::yaml::{Key, Node, Value};
use crate::producer::kubespray::{jinja, python};

/// All variables, as what a template sees.
#[derive(Debug)]
pub(super) struct Root(pub(super) Scope);

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Jinja> {
        if self.0.definition(key).is_none() && self.0.0.environment.globals().any(|(name, _)| name == key) {
            return None;
        }
        self.0.found(self.0.variable(key))
    }
}

/// A list or a mapping whose parts are rendered when they are asked for.
#[derive(Debug)]
pub(super) struct Lazy {
    pub(super) scope: Scope,
    pub(super) node: Arc<Node>,
    pub(super) name: String,
}

impl Lazy {
    fn part(&self, node: &Arc<Node>, key: &dyn fmt::Display) -> Option<Jinja> {
        self.scope.found(self.scope.part(node, &format!("{}.{key}", self.name)))
    }

    /// Reports which key was looked for, and those that there are.
    fn no_key(&self, key: &str, keys: &[String]) {
        let message = format!("{} has no {}", quoted(&self.name), quoted(key));
        let respelled = respelled(key);
        let respelled = keys.contains(&respelled).then_some(respelled);
        let help = match &respelled {
            Some(known) => Some(format!("this release writes it as `{known}`")),
            None => some_of(keys),
        };
        let fault = Fault::undefined(message, &self.scope.chain()).help(help);
        self.scope.missed(Fault { respelled, ..fault });
    }
}

/// A version in the other of the two spellings of Kubespray's releases: with a `v`, or without.
pub(in super::super) fn respelled(version: &str) -> String {
    version.strip_prefix('v').map_or_else(|| format!("v{version}"), str::to_owned)
}

/// `it has a, b, c and 4 more`
fn some_of(keys: &[String]) -> Option<String> {
    const MOST: usize = 40;
    let shown: Vec<&str> = keys.iter().take(MOST).map(String::as_str).collect();
    let more = keys.len().saturating_sub(MOST);
    match (shown.is_empty(), more) {
        (true, _) => None,
        (_, 0) => Some(format!("it has {}", shown.join(", "))),
        _ => Some(format!("it has {} and {more} more", shown.join(", "))),
    }
}

impl Object for Lazy {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        match self.node.value {
            Value::List(_) => ObjectRepr::Seq,
            _ => ObjectRepr::Map,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        match &self.node.value {
            Value::List(items) => {
                let index = key.as_usize()?;
                self.part(items.get(index)?, &index)
            }
            Value::Map(map) => {
                let found = jinja::key(key).and_then(|key| map.get(&key));
                if found.is_none() {
                    let keys: Vec<String> = map.entries().iter().map(|entry| entry.key.to_string()).collect();
                    self.no_key(&key.to_string(), &keys);
                }
                self.part(found?, key)
            }
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match &self.node.value {
            Value::List(items) => Enumerator::Seq(items.len()),
            Value::Map(map) => {
                let key = |key: &Key| match key {
                    Key::Null => Jinja::from(()),
                    Key::Bool(value) => Jinja::from(*value),
                    Key::Int(value) => Jinja::from(*value),
                    Key::Float(bits) => Jinja::from(f64::from_bits(*bits)),
                    Key::String(text) => Jinja::from(&**text),
                };
                Enumerator::Values(map.entries().iter().map(|entry| key(&entry.key)).collect())
            }
            _ => Enumerator::Empty,
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&python::python(&Jinja::from_dyn_object(Arc::clone(self))))
    }
}
