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
