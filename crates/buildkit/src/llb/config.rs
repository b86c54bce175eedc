//! What an image says of how its programs run. Owns the reading of the OCI image configuration; does not know the image.

use serde::Deserialize;

/// The part of an OCI image configuration (`config` of the specification's `config.md`) that running a program needs:
/// environment, working directory, user. [`super::Exec::config`] applies it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    env: Vec<(String, String)>,
    working_dir: String,
    user: String,
}

/// Go writes an absent value as `null`.
#[derive(Deserialize)]
struct Document {
    config: Option<Config>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
}

/// An image configuration that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid image configuration: {0}")]
pub struct InvalidConfig(String);

impl ImageConfig {
    /// Reads the JSON that a registry has (`ResolvedImage::config` of the gateway).
    pub fn from_json(json: &[u8]) -> Result<Self, InvalidConfig> {
        let document: Document = serde_json::from_slice(json).map_err(|error| InvalidConfig(error.to_string()))?;
        let config = document.config.unwrap_or_default();
        let pair = |text: String| match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (text, String::new()),
        };
        Ok(Self {
            env: config.env.unwrap_or_default().into_iter().map(pair).collect(),
            working_dir: config.working_dir.unwrap_or_default(),
            user: config.user.unwrap_or_default(),
        })
    }

    /// The variables of the environment, in order.
    pub fn env(&self) -> impl Iterator<Item = (&str, &str)> {
        self.env.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The working directory; empty where the image has none.
    pub fn working_dir(&self) -> &str {
        &self.working_dir
    }

    /// The user, and perhaps a group after a colon; empty where the image has none.
    pub fn user(&self) -> &str {
        &self.user
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llb::{Exec, Image, Platform};

    #[test]
    fn what_an_image_says_is_what_a_program_gets() {
        let json = br#"{"architecture":"amd64","config":{"Env":["PATH=/bin","A=b=c"],"WorkingDir":"/w","User":"7:8","Cmd":null}}"#;
        let config = ImageConfig::from_json(json).expect("a configuration");
        let amd64 = Platform::linux("amd64");
        let root = Image::new("docker.io/library/x:1", &amd64).state();
        let exec = || Exec::new(&root, &amd64, ["x"]);
        let by_hand = exec().env("PATH", "/bin").env("A", "b=c").cwd("/w").user("7:8").root();
        assert_eq!(exec().config(&config).root().digest(), by_hand.digest());
        let above = exec().config(&config).user("9").root();
        assert_eq!(above.digest(), exec().env("PATH", "/bin").env("A", "b=c").cwd("/w").user("9").root().digest());
    }

    #[test]
    fn an_image_may_say_nothing() {
        for json in ["{}", r#"{"config":null}"#, r#"{"config":{"Env":null}}"#] {
            assert_eq!(ImageConfig::from_json(json.as_bytes()), Ok(ImageConfig::default()));
        }
        let error = ImageConfig::from_json(b"[").expect_err("not a configuration");
        assert!(error.to_string().starts_with("invalid image configuration: "), "{error}");
    }
}
