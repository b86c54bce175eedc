//! The JSON Schema of the definition, for editors. Owns how it is written out; it is derived from the types.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::definition::Definition;

/// The JSON Schema of `kso/v1` (draft 2020-12), ending with a newline.
pub fn json_schema() -> String {
    let schema = schemars::schema_for!(Definition);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// Marks a field as one that may be left out. What it returns has no JSON form, so the schema names no default by it.
pub(super) fn optional() -> impl Sized {
    struct Optional;
    Optional
}

/// How [`super::Checksum`] is written.
pub(super) struct ChecksumText;

impl JsonSchema for ChecksumText {
    fn schema_name() -> Cow<'static, str> {
        "Checksum".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let digest = json_schema!({ "type": "string", "pattern": "^(sha256:)?[0-9A-Fa-f]{64}$" });
        json_schema!({
            "anyOf": [
                digest,
                {
                    "type": "object",
                    "properties": { "amd64": digest, "arm64": digest },
                    "additionalProperties": false
                }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::super::definition::{FILE_SERVER_KEYS, KEYS, LIST_KEYS, MIRROR_KEYS, URL_KEYS};
    use super::super::images::{IMAGE_KEYS, RENAME_KEYS};
    use super::super::kubespray::KUBESPRAY_KEYS;
    use super::super::registry::REGISTRY_KEYS;
    use super::json_schema;

    /// Where editors get it from: `# yaml-language-server: $schema=…/frontends/kso/schema/v1.json`.
    const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/frontends/kso/schema/v1.json");

    #[test]
    fn the_committed_schema_is_fresh() {
        let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
        assert!(committed == json_schema(), "run `make schema`: {COMMITTED} is not what `kso schema` prints");
    }

    #[test]
    fn the_schema_has_the_keys_that_are_read() {
        let schema: Value = serde_json::from_str(&json_schema()).unwrap();
        let keys = |object: &Value| -> BTreeSet<String> {
            assert_eq!(object["additionalProperties"], Value::Bool(false), "unknown keys are refused");
            object["properties"].as_object().unwrap().keys().cloned().collect()
        };
        let set = |keys: &[&str]| keys.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        assert_eq!(keys(&schema), set(&KEYS));
        assert_eq!(keys(&schema["$defs"]["ListEntry"]), set(&LIST_KEYS));
        assert_eq!(keys(&schema["$defs"]["UrlEntry"]), set(&URL_KEYS));
        assert_eq!(keys(&schema["$defs"]["Kubespray"]), set(&KUBESPRAY_KEYS));
        assert_eq!(keys(&schema["$defs"]["Mirror"]), set(&MIRROR_KEYS));
        assert_eq!(keys(&schema["$defs"]["FileServer"]), set(&FILE_SERVER_KEYS));
        assert_eq!(keys(&schema["$defs"]["ImageListEntry"]), set(&LIST_KEYS));
        assert_eq!(keys(&schema["$defs"]["ImageEntry"]), set(&IMAGE_KEYS));
        assert_eq!(keys(&schema["$defs"]["RenameEntry"]), set(&RENAME_KEYS));
        assert_eq!(keys(&schema["$defs"]["Registry"]), set(&REGISTRY_KEYS));
    }
}
