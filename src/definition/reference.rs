//! The reference of `kso/v1` for people, made of its JSON Schema: every key with its type, default, examples and
//! description. Owns how it is written; does not know the keys.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::definition::json_schema;
use crate::definition::schema::required;

/// The reference as Markdown, ending with a newline.
pub fn reference() -> String {
    let schema: Value = serde_json::from_str(&json_schema()).expect("the schema is JSON");
    let mut reference = Reference { schema: &schema, sections: Vec::new(), todo: Vec::new() };
    reference.section("The definition", &schema["definitions"]["Definition"]);
    while !reference.todo.is_empty() {
        let (heading, object) = reference.todo.remove(0);
        reference.section(&heading, object);
    }
    let mut text = String::from(
        "# Reference\n\nEvery key of `kso/v1`. Generated from the JSON Schema that editors use, \
         [v1.json](../frontends/kso/schema/v1.json), by `make schema`.\nA key without a default is optional, unless it is \
         **required**. The [guide](guide.md) shows how they are used.\n",
    );
    for section in reference.sections {
        text.push_str(&section);
    }
    text
}

struct Reference<'a> {
    schema: &'a Value,
    sections: Vec<String>,
    /// Objects that were named, each with its heading.
    todo: Vec<(String, &'a Value)>,
}

impl<'a> Reference<'a> {
    /// An object with a table of its keys.
    fn section(&mut self, heading: &str, object: &'a Value) {
        let mut text = format!("\n## {heading}\n\n{}\n", sentence(object));
        text.push_str("\n| key | type | default | example | |\n|---|---|---|---|---|\n");
        for (key, value) in properties(object) {
            let required = required(object).any(|name| name == key);
            let default = value.get("default").filter(|default| **default != Value::Object(Map::new()));
            let default = match default {
                Some(default) => code(default),
                None if required => "**required**".to_owned(),
                None => String::new(),
            };
            let examples: Vec<String> = list(value, "examples").map(code).collect();
            let kind = self.kind(key, value);
            let examples = examples.join(", ");
            let _ = writeln!(text, "| `{key}` | {kind} | {default} | {examples} | {} |", sentence(value));
        }
        self.sections.push(text);
    }

    /// What a value is. Objects are linked, and get a section of their own.
    fn kind(&mut self, key: &str, value: &'a Value) -> String {
        if let Some(constant) = value.get("const") {
            return code(constant);
        }
        if let Some(name) = value["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
            let definition = &self.schema["definitions"][name];
            return self.kind(key, definition);
        }
        // A type that is named beside a description.
        if let Some([only]) = value["allOf"].as_array().map(Vec::as_slice)
            && only.get("$ref").is_some()
        {
            return self.kind(key, only);
        }
        if let (Some(then), Some(otherwise)) = (value.get("then"), value.get("else")) {
            let (one, others) = (self.kind(key, then), self.kind(key, otherwise));
            return if one == others { one } else { format!("{one} or {others}") };
        }
        if value["anyOf"].is_array() {
            let words: Vec<String> = list(value, "anyOf").filter_map(|it| it.get("const")).map(code).collect();
            return words.join(" or ");
        }
        match value["type"].as_str() {
            Some("array") => match self.kind(&format!("an entry of {key}"), &value["items"]) {
                item if item == "string" => "list of strings".to_owned(),
                item => format!("list of {item}"),
            },
            Some("object") if properties(value).next().is_some() && value.get("description").is_some() => {
                self.object(key, value)
            }
            Some("object") => {
                let keys: Vec<String> = properties(value).map(|(key, _)| format!("`{key}`")).collect();
                if keys.is_empty() { "mapping".to_owned() } else { format!("mapping of {}", keys.join(", ")) }
            }
            Some("integer") => match (value["minimum"].as_i64(), value["maximum"].as_i64()) {
                (Some(least), Some(most)) => format!("number from {least} to {most}"),
                _ => "number".to_owned(),
            },
            Some("boolean") => "boolean".to_owned(),
            _ => "string".to_owned(),
        }
    }

    /// A link to the section of an object. Where there are several for one key, each is told by the key that it must have.
    fn object(&mut self, key: &str, value: &'a Value) -> String {
        let name = key.rsplit(' ').next().unwrap_or(key);
        let entry = key.strip_suffix(name).unwrap_or_default();
        let with = required(value).next().filter(|_| !entry.is_empty());
        let with = with.map(|with| format!(" with `{with}`")).unwrap_or_default();
        let shown = format!("{entry}`{name}`{with}");
        let heading = match shown.strip_prefix('a') {
            Some(rest) => format!("A{rest}"),
            None => shown.clone(),
        };
        if self.todo.iter().all(|(known, _)| *known != heading) {
            self.todo.push((heading.clone(), value));
        }
        let anchor: String = heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || *c == ' ').collect();
        format!("[{shown}](#{})", anchor.replace(' ', "-"))
    }
}

fn properties(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object["properties"].as_object().into_iter().flatten()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value[key].as_array().into_iter().flatten()
}

/// A value as it is written in a definition.
fn code(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "`\"\"`".to_owned(),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{}`", flow(other)),
    }
}

/// A value in the flow style of YAML; text that would end there is quoted.
fn flow(value: &Value) -> String {
    let joined = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Array(items) => format!("[{}]", joined(items.iter().map(flow).collect())),
        Value::Object(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Object(entries) => {
            format!("{{ {} }}", joined(entries.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect()))
        }
        Value::String(text) if text.contains(['{', '}', '[', ']', ',', '#']) => format!("\"{text}\""),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The description on one line, fit for a table.
fn sentence(value: &Value) -> String {
    value["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_reference_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference.md");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == reference(), "run `make schema`: {path} is not what `kso schema --markdown` prints");
    }

    #[test]
    fn every_key_is_there_and_has_a_description() {
        let schema: Value = serde_json::from_str(&json_schema()).unwrap();
        let text = reference();
        let objects = schema["definitions"].as_object().unwrap().values();
        for (key, _) in objects.flat_map(properties) {
            let row = text.lines().find(|line| line.starts_with(&format!("| `{key}` | "))).unwrap_or_default();
            assert!(row.ends_with(". |"), "{key}: {row}");
        }
    }
}
