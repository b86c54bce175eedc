//! The OCI config of a base image: what kso makes of it is one.

use std::collections::BTreeMap;

use kso::plan::config::{Additions, image_config, layer_count};

/// What is added is there, once.
pub fn holds(data: &[u8]) {
    let additions = Additions {
        epoch: 1,
        labels: BTreeMap::from([("a".into(), "\"b\n".into())]),
        layers: vec!["kso: x".into()],
        ports: vec!["80/tcp".into()],
        no_volumes: true,
    };
    layer_count(data);
    let Ok(config) = image_config(data, &additions) else { return };
    assert_eq!(image_config(data, &additions).ok().as_ref(), Some(&config));
    let made: serde_json::Value = serde_json::from_slice(&config).expect("JSON");
    assert_eq!(made["config"]["Labels"]["a"], "\"b\n");
    assert!(made["config"]["Volumes"].is_null());
    let history = made["history"].as_array().expect("a history");
    assert_eq!(history.last().map(|last| &last["created_by"]), Some(&"kso: x".into()));
    assert_eq!(layer_count(&config), layer_count(data));
}
