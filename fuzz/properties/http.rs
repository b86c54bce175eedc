//! What servers answer beside content, and what Docker keeps to log in with. The first byte says which it is.

use std::time::Duration;

use kso::kind::files::checksum_of;
use kso::registry::{Challenge, Credentials, token};
use kso::web::retry_after;

/// Nothing of it is more than it says.
pub fn holds(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    let text = std::str::from_utf8(data);
    match (kind, text) {
        (b'w', Ok(text)) => {
            let challenge = Challenge::read_all(text.split('\n'));
            if let Some(Challenge::Bearer { realm, .. }) = &challenge {
                assert!(!realm.is_empty());
            }
            assert_eq!(challenge, Challenge::read_all(text.split('\n')));
        }
        (b'r', Ok(text)) => {
            if let (Some(wait), Ok(seconds)) = (retry_after(text), text.trim().parse()) {
                assert_eq!(wait, Duration::from_secs(seconds));
            }
        }
        (b't', _) => assert!(token(data).is_none_or(|token| !token.is_empty())),
        (b's', _) => {
            if let Some(digest) = checksum_of(data) {
                assert!(data.to_ascii_lowercase().windows(64).any(|part| part == digest.hex().as_bytes()));
            }
        }
        (b'd', _) => docker_config(data),
        _ => {}
    }
}

/// A config of Docker; not one that names programs, which would be run.
fn docker_config(data: &[u8]) {
    let programs = |config: &serde_json::Value| {
        let keys = config.as_object().into_iter().flat_map(|config| config.keys());
        keys.into_iter().any(|key| key.to_lowercase().starts_with("cred"))
    };
    let config = serde_json::from_slice::<serde_json::Value>(data);
    match (config, Credentials::from_config(data)) {
        (Ok(config), Ok(credentials)) if !programs(&config) => {
            for domain in ["docker.io", "quay.io", "127.0.0.1:5000", "a"] {
                drop(credentials.of(domain));
            }
        }
        (config, Ok(_)) => assert!(config.is_ok_and(|config| config.is_object())),
        (_, Err(why)) => assert!(why.len() < 100, "it is quoted: {why}"),
    }
}
