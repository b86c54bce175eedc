//! What the lists of Kubespray were rendered from. Owns the comparison; does not know how they are rendered.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text;
use crate::spec::Digest;

/// The source of Kubespray, and a hash of everything that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct LockedKubespray {
    /// As the definition writes it: a git URL with its reference, or a folder of the build context.
    pub source: String,
    /// The commit that it led to; none where the source is a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9a-f]{40}([0-9a-f]{24})?$"))]
    pub commit: Option<String>,
    /// The digest of each thing that was read, by its name: variable files, the inventory's files, `vars`.
    #[serde(serialize_with = "write", deserialize_with = "read")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub inputs: BTreeMap<String, Digest>,
}

impl LockedKubespray {
    /// What is not as it was when `self` was locked, in the user's words: `the commit`, `inventory/all.yml`. Sorted;
    /// empty where the same lists would be rendered.
    pub fn changed(&self, now: &Self) -> Vec<String> {
        let mut changed = Vec::new();
        if self.source != now.source {
            changed.push("the source".to_owned());
        }
        if self.commit != now.commit {
            changed.push("the commit".to_owned());
        }
        let names: BTreeSet<&String> = self.inputs.keys().chain(now.inputs.keys()).collect();
        changed.extend(names.into_iter().filter(|name| self.inputs.get(*name) != now.inputs.get(*name)).cloned());
        changed
    }
}

/// A digest in a map.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Value(#[serde(with = "text")] Digest);

fn write<S: Serializer>(inputs: &BTreeMap<String, Digest>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(inputs.iter().map(|(name, digest)| (name, Value(digest.clone()))))
}

/// A key that stands there twice is an error: which of them would count?
fn read<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Digest>, D::Error> {
    struct Inputs;
    impl<'de> serde::de::Visitor<'de> for Inputs {
        type Value = BTreeMap<String, Digest>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
            let mut inputs = BTreeMap::new();
            while let Some((name, Value(digest))) = from.next_entry::<String, Value>()? {
                if inputs.insert(name.clone(), digest).is_some() {
                    return Err(A::Error::custom(format!("duplicate key {}", crate::diagnostic::quoted(&name))));
                }
            }
            Ok(inputs)
        }
    }
    from.deserialize_map(Inputs)
}
