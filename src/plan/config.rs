//! The OCI config of an image: the base's, with what kso adds. Does not know what the layers hold.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value, json};

/// What kso adds to the config of a base image.
#[derive(Debug, Clone, Default)]
pub struct Additions {
    /// Seconds since 1970 that the image and its history are dated with.
    pub epoch: u64,
    /// Labels that the user gave; they win over the base's.
    pub labels: BTreeMap<String, String>,
    /// What made each of our layers, in order.
    pub layers: Vec<String>,
    /// Ports that the image serves on (`80/tcp`).
    pub ports: Vec<String>,
    /// Whether the base's volumes are taken out: one over the content would hide it, or copy it at each start.
    pub no_volumes: bool,
}

/// The base image's config is not a JSON object.
#[derive(Debug)]
pub struct NotAConfig;

/// The config of the base with `additions`.
///
/// Everything else of the base is kept, also what the OCI specification does not know. The diff IDs are BuildKit's to
/// fill in; a history entry for each layer is ours, or the exporter would date it by the clock.
pub fn image_config(base: &[u8], additions: &Additions) -> Result<Vec<u8>, NotAConfig> {
    let mut config: Map<String, Value> = serde_json::from_slice(base).map_err(|_| NotAConfig)?;
    let created = rfc3339(additions.epoch);
    config.insert("created".into(), json!(created));

    let history = object_entry(&mut config, "history", json!([]));
    let history = history.as_array_mut().ok_or(NotAConfig)?;
    history.extend(
        additions.layers.iter().map(|layer| json!({ "created": created, "created_by": layer, "comment": "kso" })),
    );

    let runtime = object_entry(&mut config, "config", json!({})).as_object_mut().ok_or(NotAConfig)?;
    if additions.no_volumes {
        runtime.shift_remove("Volumes");
    }
    insert_all(runtime, "ExposedPorts", additions.ports.iter().map(|port| (port.clone(), json!({}))))?;
    insert_all(runtime, "Labels", additions.labels.iter().map(|(key, value)| (key.clone(), json!(value))))?;
    Ok(serde_json::to_vec(&config).expect("a JSON object has a JSON form"))
}

/// The number of layers that a config tells of.
pub fn layer_count(config: &[u8]) -> usize {
    let config: Value = serde_json::from_slice(config).unwrap_or_default();
    config["rootfs"]["diff_ids"].as_array().map_or(0, Vec::len)
}

/// The value of `key`, which is set to `default` where it is missing or null.
fn object_entry<'a>(object: &'a mut Map<String, Value>, key: &str, default: Value) -> &'a mut Value {
    let value = object.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = default;
    }
    value
}

fn insert_all(
    object: &mut Map<String, Value>,
    key: &str,
    entries: impl Iterator<Item = (String, Value)>,
) -> Result<(), NotAConfig> {
    let mut entries = entries.peekable();
    if entries.peek().is_some() {
        object_entry(object, key, json!({})).as_object_mut().ok_or(NotAConfig)?.extend(entries);
    }
    Ok(())
}

/// A time as configs and documents write it.
pub(crate) fn rfc3339(epoch: u64) -> String {
    // The last second of the year 9999, the last one that the format can write.
    let seconds = epoch.min(253_402_300_799);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_kept_and_added_to() {
        let base = br#"{"architecture":"arm64","os":"linux","config":{"Cmd":["nginx"],"Labels":{"a":"old","m":"kept"},
            "Healthcheck":{"Test":["NONE"]}},"history":[{"created_by":"base"}],"rootfs":{"type":"layers","diff_ids":["x"]}}"#;
        let additions = Additions {
            epoch: 0,
            labels: BTreeMap::from([("a".into(), "new".into())]),
            layers: vec!["kso: kubelet".into()],
            ports: vec!["80/tcp".into()],
            no_volumes: false,
        };
        let config: Value = serde_json::from_slice(&image_config(base, &additions).unwrap()).unwrap();
        insta::assert_json_snapshot!(config, @r#"
        {
          "architecture": "arm64",
          "os": "linux",
          "config": {
            "Cmd": [
              "nginx"
            ],
            "Labels": {
              "a": "new",
              "m": "kept"
            },
            "Healthcheck": {
              "Test": [
                "NONE"
              ]
            },
            "ExposedPorts": {
              "80/tcp": {}
            }
          },
          "history": [
            {
              "created_by": "base"
            },
            {
              "created": "1970-01-01T00:00:00Z",
              "created_by": "kso: kubelet",
              "comment": "kso"
            }
          ],
          "rootfs": {
            "type": "layers",
            "diff_ids": [
              "x"
            ]
          },
          "created": "1970-01-01T00:00:00Z"
        }
        "#);
    }

    #[test]
    fn volumes_are_taken_out() {
        let base = br#"{"config":{"Entrypoint":["/entrypoint.sh"],"Volumes":{"/var/lib/registry":{}},"Cmd":["c"]}}"#;
        let config = |no_volumes| {
            let additions = Additions { no_volumes, ..Additions::default() };
            let config: Value = serde_json::from_slice(&image_config(base, &additions).unwrap()).unwrap();
            config["config"].to_string()
        };
        assert_eq!(config(true), r#"{"Entrypoint":["/entrypoint.sh"],"Cmd":["c"]}"#);
        assert!(config(false).contains("Volumes"));
    }

    #[test]
    fn a_config_that_is_none_is_refused() {
        for bytes in [&b"[]"[..], b"", b"{\"config\": 3}", b"{\"history\": {}}"] {
            assert!(image_config(bytes, &Additions::default()).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn layers_are_counted_where_there_are_any() {
        assert_eq!(layer_count(br#"{"rootfs":{"diff_ids":["a","b","c"]}}"#), 3);
        for none in ["", "{}", r#"{"rootfs":{"diff_ids":null}}"#] {
            assert_eq!(layer_count(none.as_bytes()), 0, "{none}");
        }
    }

    #[test]
    fn a_time_past_the_format_is_cut() {
        assert_eq!(rfc3339(u64::MAX), "9999-12-31T23:59:59Z");
    }
}
