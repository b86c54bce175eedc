//! The JSON Schema of the definition, for editors. Owns how it is written out; it is derived from the types, with rules of
//! its own where several keys belong together.

mod rules;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::definition::{API_VERSION, Definition};

/// Where editors get the schemas from, each followed by its file.
const ADDRESS: &str = "https://raw.githubusercontent.com/org/kso/main/frontends/kso/schema/";

/// The JSON Schema of `kso/v1` (draft 7, the latest that editors know whole), ending with a newline.
pub fn json_schema() -> String {
    let mut whole = derived::<Definition>();
    let mut definitions = match whole.remove("definitions") {
        Some(Value::Object(definitions)) => definitions,
        _ => Map::new(),
    };
    whole.remove("$schema");
    let title = whole.remove("title");
    definitions.insert("Definition".into(), whole.into());
    for (object, keys) in KEYS {
        let Some(properties) = definitions.get_mut(*object).and_then(|object| object.get_mut("properties")) else {
            continue;
        };
        for (key, title, example) in *keys {
            let Some(Value::Object(property)) = properties.get_mut(*key) else { continue };
            property.insert("title".into(), (*title).into());
            // They are ours, and a test reads them. What the type says of itself stays.
            let example = serde_json::from_str(example).unwrap_or_default();
            property.entry("examples").or_insert(Value::Array(vec![example]));
        }
    }
    rules::add(&mut definitions);
    definitions.sort_keys();
    let whole = &definitions["Definition"];
    // Nothing is judged before the version is right, and no other key is offered.
    let version = json!({ "apiVersion": { "const": API_VERSION } });
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": format!("{ADDRESS}v1.json"),
        "title": title,
        "description": whole["description"],
        "type": "object",
        "properties": { "apiVersion": shown(&whole["properties"]["apiVersion"]) },
        "if": { "required": ["apiVersion"], "properties": version },
        "then": { "$ref": "#/definitions/Definition" },
        "else": { "required": ["apiVersion"], "properties": version },
        "definitions": definitions
    });
    written(&schema)
}

/// The JSON Schema of a type (draft 7) as an object.
fn derived<T: JsonSchema>() -> Map<String, Value> {
    let schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<T>();
    schema.as_object().cloned().unwrap_or_default()
}

/// The JSON Schema of a type that is written by programs (draft 7), which lies in `file` next to that of the definition.
pub(crate) fn json_schema_of<T: JsonSchema>(file: &str) -> String {
    let mut schema = derived::<T>();
    schema.shift_insert(1, "$id".into(), format!("{ADDRESS}{file}").into());
    written(&schema.into())
}

fn written(schema: &Value) -> String {
    let mut text = serde_json::to_string_pretty(schema).unwrap_or_default();
    text.push('\n');
    text
}

/// What an editor shows of a key, without what it checks.
fn shown(property: &Value) -> Value {
    let said = ["title", "description", "default", "examples"];
    said.into_iter().filter_map(|it| Some((it.to_owned(), property.get(it)?.clone()))).collect()
}

/// The keys that an object must have, where all others are known.
pub(crate) fn required(object: &Value) -> impl Iterator<Item = &str> {
    let rules = object["allOf"].as_array().into_iter().flatten();
    let conditional = rules.filter(|rule| rule["if"].get("propertyNames").is_some()).map(|rule| &rule["then"]);
    let all = std::iter::once(object).chain(conditional);
    all.flat_map(|it| it["required"].as_array().into_iter().flatten()).filter_map(Value::as_str)
}

/// Of each object, its keys, each with a title and an example (JSON), which editors show.
type Keys = &'static [(&'static str, &'static [(&'static str, &'static str, &'static str)])];

#[rustfmt::skip]
const KEYS: Keys = &[
    ("Definition", &[
        ("apiVersion", "Format version", r#""kso/v1""#),
        ("architectures", "Architectures of the content", r#"["amd64", "arm64"]"#),
        ("args", "Arguments", r#"{ "KUBE_VERSION": "v1.29.10" }"#),
        ("kubespray", "Kubespray", r#"{ "source": "https://github.com/kubernetes-sigs/kubespray.git#v2.25.1" }"#),
        ("files", "Files", r#"[{ "list": "temp/files-{arch}.list" }]"#),
        ("images", "Container images", r#"[{ "list": "temp/images.list" }]"#),
        ("mirrors", "Mirrors", r#"[{ "from": "https://dl.k8s.io/", "to": ["https://mirror.example/dl.k8s.io/"] }]"#),
        ("hosts", "File servers", r#"[{ "at": "https://files.example/", "secret": "files-token" }]"#),
        ("fileServer", "File server image", r#"{ "image": "nginx:1.27-alpine", "root": "/opt/k8s", "path": "k8s" }"#),
        ("registry", "Registry image", r#"{ "image": "registry:3", "prefix": "k8s" }"#),
        ("lock", "Lock", r#""locks/kso.lock""#),
    ]),
    ("Kubespray", &[
        ("source", "Checkout", r#""https://github.com/kubernetes-sigs/kubespray.git#v2.25.1""#),
        ("inventory", "Inventory", r#""inventory/mycluster""#),
        ("vars", "Variables", r#"{ "kube_network_plugin": "cilium", "helm_enabled": true }"#),
        ("include", "Scope", r#""enabled""#),
    ]),
    ("ListEntry", &[("list", "List of URLs", r#""temp/files-{arch}.list""#)]),
    ("UrlEntry", &[
        ("url", "URL", r#""https://get.helm.sh/helm-v3.14.4-linux-{arch}.tar.gz""#),
        ("sha256", "Checksum", r#"{ "amd64": "a5844ef2c38ef6ddf3b5a8f7d91e7e0e8ebc39a38bb3fc8013d629c1ef29c259", "arm64": "113ccc53b7c57c2aba0cd0aa560b5500841b18b5210d78641acfddc53dac8ab2" }"#),
        ("path", "Stored path", r#""get.helm.sh/helm-{arch}.tar.gz""#),
    ]),
    ("ImageListEntry", &[("list", "List of images", r#""temp/images.list""#)]),
    ("ImageEntry", &[
        ("image", "Image", r#""quay.io/calico/node:v3.27.3""#),
        ("as", "Served name", r#""library/calico-node:v3.27.3""#),
        ("architectures", "Architectures of the image", r#"["amd64"]"#),
    ]),
    ("RenameEntry", &[("rename", "Rename table", r#""images_origin.yaml""#)]),
    ("FileMirror", &[
        ("from", "URL prefix", r#""https://dl.k8s.io/""#),
        ("to", "Replacements", r#"["https://mirror.example/dl.k8s.io/"]"#),
    ]),
    ("ImageMirror", &[
        ("from", "Image prefix", r#""quay.io/""#),
        ("to", "Replacements", r#"["mirror.example/quay.io/"]"#),
    ]),
    ("Host", &[
        ("at", "URL prefix", r#""https://files.example/""#),
        ("secret", "Secret", r#""files-token""#),
        ("headers", "Headers", r#"{ "user-agent": "kso" }"#),
    ]),
    ("FileServer", &[
        ("image", "Base image", r#""nginx:1.27-alpine""#),
        ("root", "Served directory", r#""/opt/k8s""#),
        ("path", "URL path", r#""k8s""#),
        ("layers", "Maximum layers", "90"),
    ]),
    ("Registry", &[
        ("image", "Base image", r#""registry:3""#),
        ("prefix", "Prefix of repositories", r#""k8s""#),
        ("architectures", "Content of a platform", r#""match""#),
        ("attestations", "Attestations", "true"),
        ("layers", "Maximum layers", "120"),
    ]),
];

#[cfg(test)]
mod written;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use crate::decode::LIST_KEYS;
    use crate::definition::KEYS;
    use crate::definition::schema::{Definition, json_schema};
    use crate::kind::files::entry::URL_KEYS;
    use crate::kind::files::server::FILE_SERVER_KEYS;
    use crate::kind::images::entry::{IMAGE_KEYS, RENAME_KEYS};
    use crate::kind::images::server::REGISTRY_KEYS;
    use crate::origin::host::HOST_KEYS;
    use crate::origin::mirror::MIRROR_KEYS;
    use crate::producer::kubespray::entry::KUBESPRAY_KEYS;

    /// Its file.
    const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/frontends/kso/schema/v1.json");

    #[test]
    fn the_committed_schema_is_fresh() {
        let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
        assert!(committed == json_schema(), "run `make schema`: {COMMITTED} is not what `kso schema` prints");
    }

    /// Keys that may be left out, and then stand for nothing.
    const WITHOUT_DEFAULT: [&str; 10] =
        ["as", "files", "headers", "images", "inventory", "kubespray", "lock", "path", "secret", "sha256"];

    #[test]
    fn every_key_has_a_title_a_description_an_example_and_a_default() {
        let schema: Value = serde_json::from_str(&json_schema()).unwrap();
        let mut count = 0;
        for (name, object) in schema["definitions"].as_object().unwrap() {
            let required: Vec<&str> = super::required(object).collect();
            for (key, property) in object["properties"].as_object().into_iter().flatten() {
                count += 1;
                for what in ["title", "description"] {
                    assert!(property[what].as_str().is_some_and(|text| !text.is_empty()), "{name}.{key}: {what}");
                }
                assert!(property["examples"].as_array().is_some_and(|all| !all[0].is_null()), "{name}.{key}: examples");
                let optional = !name.ends_with("sEntry") && !required.contains(&key.as_str());
                let wanted = optional && (name == "FileServer" || !WITHOUT_DEFAULT.contains(&key.as_str()));
                assert_eq!(property.get("default").is_some(), wanted, "{name}.{key}: default");
            }
        }
        assert!(count > 30, "{count} keys");
    }

    #[test]
    fn the_examples_of_the_keys_make_a_definition() {
        let schema: Value = serde_json::from_str(&json_schema()).unwrap();
        let example = |object: &Value| -> Value {
            let properties = object["properties"].as_object().unwrap().iter();
            properties.map(|(key, property)| (key.clone(), property["examples"][0].clone())).collect()
        };
        let of = |name: &str| example(&schema["definitions"][name]);
        let mut whole = of("Definition");
        whole["kubespray"] = of("Kubespray");
        whole["files"] = [of("ListEntry"), of("UrlEntry")].into();
        whole["images"] = [of("ImageListEntry"), of("ImageEntry"), of("RenameEntry")].into();
        whole["mirrors"] = [of("FileMirror"), of("ImageMirror")].into();
        whole["hosts"] = [of("Host")].into();
        (whole["fileServer"], whole["registry"]) = (of("FileServer"), of("Registry"));
        let validator = jsonschema::validator_for(&schema).unwrap();
        assert_eq!(validator.iter_errors(&whole).map(|error| error.to_string()).collect::<Vec<_>>(), [""; 0]);
        let mut problems = Vec::new();
        let source = crate::diagnostic::Source::new("kso.yaml", whole.to_string());
        assert!(Definition::parse(&source, &mut problems).is_some());
        assert!(problems.is_empty(), "{problems:?}");
    }

    #[test]
    fn the_schema_has_the_keys_that_are_read() {
        let schema: Value = serde_json::from_str(&json_schema()).unwrap();
        let keys = |object: &Value| -> BTreeSet<String> {
            assert_eq!(object["additionalProperties"], Value::Bool(false), "unknown keys are refused");
            object["properties"].as_object().unwrap().keys().cloned().collect()
        };
        let set = |keys: &[&str]| keys.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        assert_eq!(keys(&schema["definitions"]["Definition"]), set(&KEYS));
        assert_eq!(keys(&schema["definitions"]["ListEntry"]), set(&LIST_KEYS));
        assert_eq!(keys(&schema["definitions"]["UrlEntry"]), set(&URL_KEYS));
        assert_eq!(keys(&schema["definitions"]["Kubespray"]), set(&KUBESPRAY_KEYS));
        assert_eq!(keys(&schema["definitions"]["FileMirror"]), set(&MIRROR_KEYS));
        assert_eq!(keys(&schema["definitions"]["ImageMirror"]), set(&MIRROR_KEYS));
        assert_eq!(keys(&schema["definitions"]["Host"]), set(&HOST_KEYS));
        assert_eq!(keys(&schema["definitions"]["FileServer"]), set(&FILE_SERVER_KEYS));
        assert_eq!(keys(&schema["definitions"]["ImageListEntry"]), set(&LIST_KEYS));
        assert_eq!(keys(&schema["definitions"]["ImageEntry"]), set(&IMAGE_KEYS));
        assert_eq!(keys(&schema["definitions"]["RenameEntry"]), set(&RENAME_KEYS));
        assert_eq!(keys(&schema["definitions"]["Registry"]), set(&REGISTRY_KEYS));
    }
}
