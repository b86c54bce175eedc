//! What holds between the keys of an object, as JSON Schema says it: with `if` and `then`, and never with `anyOf` or `oneOf`
//! around objects. So a validator marks the key or the value that is wrong, and not the object around it.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::decode::written::{ARGUMENT, PLACEHOLDER, StoredUrl, Text};
use crate::name::directory::SYSTEM;
use crate::name::{Arch, ContextPath, Digest, FileUrl, StoredPath, Template};

/// Puts the rules into the definitions that were derived from the types.
pub(super) fn add(definitions: &mut Map<String, Value>) {
    choices(definitions);
    // An entry that is still empty has no type.
    let has = |key: &str| json!({ "type": "object", "required": [key] });
    choose(definitions, "FilesEntry", &[("ListEntry", has("list"))], "UrlEntry");
    offer(definitions, "FilesEntry", &[("ListEntry", "list")]);
    let images = [("ImageListEntry", has("list")), ("ImageEntry", json!({ "not": has("rename") }))];
    choose(definitions, "ImagesEntry", &images, "RenameEntry");
    offer(definitions, "ImagesEntry", &[("ImageListEntry", "list"), ("RenameEntry", "rename")]);
    choose(definitions, "Mirror", &[("FileMirror", json!({ "not": of_images() }))], "ImageMirror");
    for name in ["Definition", "Kubespray", "UrlEntry", "ImageEntry", "FileMirror", "ImageMirror", "Host"] {
        required_where_all_keys_are_known(definition(definitions, name));
    }
    let url = reference::<Template<FileUrl>>();
    // No key is of this type alone.
    let stored = <Text<StoredUrl> as JsonSchema>::json_schema(&mut SchemaGenerator::default());
    definitions.insert(<Text<StoredUrl> as JsonSchema>::schema_name().into_owned(), stored.to_value());
    for rule in [stored_by_its_url(), one_checksum_for_one_file(&url)] {
        rules(definition(definitions, "UrlEntry")).push(rule);
    }
    rules(definition(definitions, "FileServer")).extend(halves_of_system_folders());
    let whole = definition(definitions, "Definition");
    rules(whole).extend(for_each_architecture(&url));
    if let Some(Value::Object(images)) = whole.get_mut("properties").and_then(|keys| keys.get_mut("images")) {
        images.insert("contains".into(), json!({ "not": renamed_only() }));
    }
}

/// One of the derived definitions.
fn definition<'a>(definitions: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    definitions.get_mut(name).and_then(Value::as_object_mut).expect("a type that the definition has is in its schema")
}

/// The rules of an object that was derived.
fn rules(object: &mut Map<String, Value>) -> &mut Vec<Value> {
    let all = object.entry("allOf").or_insert_with(|| json!([]));
    all.as_array_mut().expect("nothing but rules is put there")
}

/// The place in the schema where the name's type is.
pub(super) fn reference<T>() -> Value
where
    Text<T>: JsonSchema,
{
    json!({ "$ref": format!("#/definitions/{}", <Text<T> as JsonSchema>::schema_name()) })
}

/// Where words are given, an argument may stand for one.
fn choices(definitions: &mut Map<String, Value>) {
    for choice in definitions.values_mut().filter_map(Value::as_object_mut) {
        if let Some(Value::Array(mut words)) = choice.remove("oneOf") {
            words.push(json!({ "pattern": ARGUMENT }));
            choice.insert("type".into(), "string".into());
            choice.insert("anyOf".into(), words.into());
        }
    }
}

/// Makes of a choice between types the first whose condition holds, or else the last.
fn choose(definitions: &mut Map<String, Value>, name: &str, cases: &[(&str, Value)], last: &str) {
    let to = |name: &str| json!({ "$ref": format!("#/definitions/{name}") });
    let chosen = cases
        .iter()
        .rev()
        .fold(to(last), |otherwise, (name, condition)| json!({ "if": condition, "then": to(name), "else": otherwise }));
    let object = definition(definitions, name);
    object.remove("anyOf");
    object.insert("type".into(), "object".into());
    object.extend(chosen.as_object().cloned().unwrap_or_default());
}

/// Keys that choose a type when they are written, and that an editor shall offer before.
fn offer(definitions: &mut Map<String, Value>, name: &str, keys: &[(&str, &str)]) {
    let shown = keys.iter().map(|(of, key)| ((*key).to_owned(), super::shown(&definitions[*of]["properties"][key])));
    let shown: Map<String, Value> = shown.collect();
    definition(definitions, name).insert("properties".into(), shown.into());
}

/// A key that is not known may be the missing one, misspelled: then only that is reported.
fn required_where_all_keys_are_known(object: &mut Map<String, Value>) {
    let Some(Value::Object(properties)) = object.get("properties") else { return };
    let keys: Vec<String> = properties.keys().cloned().collect();
    let conditions = ["required", "anyOf"].into_iter().filter_map(|it| Some((it.to_owned(), object.remove(it)?)));
    let conditions: Map<String, Value> = conditions.collect();
    rules(object).push(json!({ "if": { "propertyNames": { "enum": keys } }, "then": conditions }));
}

/// What is mirrored is told by the scheme of `from`, or else of the first place. Where `from` is an argument, it is told by
/// any place that has a scheme.
fn of_images() -> Value {
    let name = json!({ "type": "string", "not": { "pattern": "://" } });
    let open = json!({ "type": "string", "pattern": r"\$\{", "not": { "pattern": "://" } });
    json!({
        "anyOf": [
            { "required": ["from"], "properties": { "from": { "allOf": [name, { "not": { "pattern": r"\$\{" } }] } } },
            {
                "required": ["from"],
                "properties": { "from": open, "to": { "not": { "contains": { "type": "string", "pattern": "://" } } } }
            },
            {
                "required": ["to"],
                "properties": {
                    "from": { "not": { "type": "string" } },
                    "to": { "type": "array", "minItems": 1, "items": [name] }
                }
            }
        ]
    })
}

fn stored_by_its_url() -> Value {
    json!({ "if": { "required": ["path"] }, "else": { "properties": { "url": reference::<StoredUrl>() } } })
}

/// A good text of this kind that has a placeholder, or has none, whatever arguments are given.
fn good(kind: &Value, placeholder: bool) -> Value {
    let has = json!({ "pattern": PLACEHOLDER });
    let has = if placeholder { has } else { json!({ "not": has }) };
    json!({ "allOf": [kind, has, { "not": { "pattern": r"\$\{" } }] })
}

fn one_checksum_for_one_file(url: &Value) -> Value {
    json!({
        "if": { "required": ["url"], "properties": { "url": good(url, false) } },
        "then": { "properties": { "sha256": { "not": { "type": "object" } } } }
    })
}

/// The files of several architectures have a checksum and a place each.
fn for_each_architecture(url: &Value) -> Vec<Value> {
    let wanted = |arch: &Arch| json!({ "type": "array", "contains": { "const": arch.as_str() } });
    let where_wanted = |arches: &[Arch], entry: Value| {
        let wanted: Vec<Value> = arches.iter().map(wanted).collect();
        json!({
            "if": { "properties": { "architectures": { "allOf": wanted } } },
            "then": { "properties": { "files": { "items": entry } } }
        })
    };
    // An entry for one URL that has a file for each architecture, with what else it must have.
    let entry = |required: &[&str], mut properties: Map<String, Value>, then: Value| {
        properties.insert("url".into(), good(url, true));
        properties.insert("list".into(), false.into());
        json!({ "if": { "type": "object", "required": required, "properties": properties }, "then": then })
    };
    let with = |key: &str, value: Value| Map::from_iter([(key.to_owned(), value)]);
    let digest = reference::<Digest>();
    let each = json!({
        "type": "object",
        "properties": { "amd64": digest, "arm64": digest },
        "additionalProperties": false
    });
    let one = json!({ "allOf": [{ "type": "string" }, digest] });
    let mut all: Vec<Value> = Vec::new();
    for arch in Arch::ALL {
        let then = json!({ "properties": { "sha256": { "required": [arch.as_str()] } } });
        all.push(where_wanted(&[arch], entry(&["url", "sha256"], with("sha256", each.clone()), then)));
    }
    let then = json!({ "properties": { "sha256": { "type": "object" } } });
    all.push(where_wanted(&Arch::ALL, entry(&["url", "sha256"], with("sha256", one), then)));
    let mut one_place = with("path", good(&reference::<Template<StoredPath>>(), false));
    // With checksums it may be the same file for all.
    one_place.insert("sha256".into(), false.into());
    let message = "the files of several architectures have the same path: add `{arch}` to its `path:`";
    let then = json!({ "properties": { "url": { "pattern": "^[^{]*$", "patternErrorMessage": message } } });
    all.push(where_wanted(&Arch::ALL, entry(&["url", "path"], one_place, then)));
    all
}

/// An entry that names a table, and no image.
fn renamed_only() -> Value {
    json!({
        "type": "object",
        "required": ["rename"],
        "properties": { "rename": reference::<Template<ContextPath>>(), "list": false }
    })
}

/// `/usr` and `lib` may each be fine, but joined be a system directory, or one that contains such a directory.
fn halves_of_system_folders() -> Vec<Value> {
    let mut roots = std::collections::BTreeMap::<&str, Vec<String>>::new();
    for folder in SYSTEM {
        for (at, _) in folder.match_indices('/') {
            let (root, rest) = (&folder[..at], &folder[at + 1..]);
            let forbidden = roots.entry(root).or_default();
            forbidden.push(format!("{rest}(?:/|$)"));
            forbidden.extend(rest.match_indices('/').map(|(end, _)| format!("{}$", &rest[..end])));
        }
    }
    let rule = |(root, mut forbidden): (&str, Vec<String>)| {
        forbidden.sort();
        forbidden.dedup();
        json!({
            "if": { "required": ["root"], "properties": { "root": { "const": format!("/{root}") } } },
            "then": { "properties": { "path": { "not": { "pattern": format!("^(?:{})", forbidden.join("|")) } } } }
        })
    };
    roots.into_iter().map(rule).collect()
}

#[cfg(test)]
mod tests;
