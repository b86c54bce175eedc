//! A task as its file writes it: what it does, what it is repeated for, what it registers. Owns the keys of a task; does not know
//! variables.

use std::sync::Arc;

use crate::producer::kubespray::yaml::{Entry, Key, Map, Node, Value};

/// The keys of a task that are not its module.
const KEYWORDS: [&str; 37] = [
    "any_errors_fatal",
    "args",
    "async",
    "become",
    "become_flags",
    "become_method",
    "become_user",
    "changed_when",
    "check_mode",
    "collections",
    "connection",
    "debugger",
    "delay",
    "delegate_facts",
    "delegate_to",
    "diff",
    "environment",
    "failed_when",
    "ignore_errors",
    "ignore_unreachable",
    "listen",
    "loop",
    "loop_control",
    "module_defaults",
    "name",
    "no_log",
    "notify",
    "poll",
    "port",
    "register",
    "remote_user",
    "retries",
    "run_once",
    "tags",
    "throttle",
    "timeout",
    "until",
];
/// What a task is that has other tasks.
const BLOCK: [&str; 2] = ["block", "always"];

/// A task.
pub(super) struct Task<'a> {
    pub(super) action: Action<'a>,
    pub(super) repeats: Option<Loop<'a>>,
    /// The variable of a loop.
    pub(super) item: String,
    /// The variable of the result.
    pub(super) registers: Option<&'a str>,
}

/// What a task is repeated for.
pub(super) struct Loop<'a> {
    /// `loop`, `with_items` or another such key.
    pub(super) kind: &'a str,
    pub(super) node: &'a Arc<Node>,
}

/// What a task does.
pub(super) enum Action<'a> {
    /// The lists of tasks of a block that run unless it fails.
    Block(Vec<&'a [Arc<Node>]>),
    SetFact(&'a Map),
    IncludeVars(&'a Arc<Node>),
    IncludeTasks(&'a Arc<Node>),
    /// A role, and the name of its file of tasks.
    IncludeRole(&'a Arc<Node>, Option<&'a Arc<Node>>),
    /// A module, by its short name, and its arguments.
    Other(&'a str, &'a Arc<Node>),
}

impl<'a> Task<'a> {
    /// The task of a mapping, which `node` holds.
    pub(super) fn of(map: &'a Map, node: &'a Arc<Node>) -> Self {
        let text = |key: &str| match map.text(key).map(|node| &node.value) {
            Some(Value::Text(text, _)) => Some(&**text),
            _ => None,
        };
        let loop_variable = match map.text("loop_control").map(|node| &node.value) {
            Some(Value::Map(control)) => match control.text("loop_var").map(|node| &node.value) {
                Some(Value::Text(name, _)) => Some(name.to_string()),
                _ => None,
            },
            _ => None,
        };
        let repeats = map.entries().iter().find_map(|entry| match &entry.key {
            Key::String(key) if &**key == "loop" || key.starts_with("with_") => {
                Some(Loop { kind: key, node: &entry.value })
            }
            _ => None,
        });
        Self {
            action: Action::of(map, node),
            repeats,
            item: loop_variable.unwrap_or_else(|| "item".into()),
            registers: text("register"),
        }
    }
}

impl<'a> Action<'a> {
    fn of(map: &'a Map, node: &'a Arc<Node>) -> Self {
        if map.text(BLOCK[0]).is_some() {
            let lists = BLOCK.iter().filter_map(|key| match &map.text(key)?.value {
                Value::List(tasks) => Some(tasks.as_slice()),
                _ => None,
            });
            return Self::Block(lists.collect());
        }
        let is_module =
            |key: &str| !KEYWORDS.contains(&key) && !matches!(key, "when" | "vars") && !key.starts_with("with_");
        let module = map.entries().iter().find_map(|Entry { key, value, .. }| match key {
            Key::String(key) if is_module(key) => Some((&**key, value)),
            _ => None,
        });
        let Some((name, arguments)) = module else { return Self::Other("", node) };
        let short = ["ansible.builtin.", "ansible.legacy."].iter().find_map(|prefix| name.strip_prefix(prefix));
        let name = short.unwrap_or(name);
        let argument = |key: &str| match &arguments.value {
            Value::Map(map) => map.text(key),
            _ => None,
        };
        match (name, &arguments.value) {
            ("set_fact", Value::Map(map)) => Self::SetFact(map),
            ("include_vars", _) => Self::IncludeVars(argument("file").unwrap_or(arguments)),
            ("include_tasks" | "import_tasks" | "include", _) => {
                Self::IncludeTasks(argument("file").unwrap_or(arguments))
            }
            ("include_role" | "import_role", _) => match argument("name") {
                Some(role) => Self::IncludeRole(role, argument("tasks_from")),
                None => Self::Other(name, arguments),
            },
            _ => Self::Other(name, arguments),
        }
    }

    /// The directory of a role in which the files lie that such a task means.
    pub(super) fn directory(&self) -> &'static str {
        match self {
            Self::IncludeVars(_) => "vars",
            Self::IncludeTasks(_) => "tasks",
            Self::Other("template", _) => "templates",
            _ => "files",
        }
    }
}
