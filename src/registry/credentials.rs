//! The logins that Docker keeps: `config.json`, and the programs that it names. Owns where they are looked for; does not
//! know who is sent them.

use std::fmt;
use std::path::PathBuf;

use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};

/// The content of Docker's `config.json`; empty if the file does not exist.
#[derive(Clone, Default)]
pub struct Credentials {
    config: Option<Vec<u8>>,
}

/// A login. It is printed nowhere: it has no form to print.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A user and a password.
    Password(String, String),
    /// What the token server gives tokens for.
    IdentityToken(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.config.is_some() { "Credentials(..)" } else { "Credentials(none)" })
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

impl Credentials {
    /// The content of a `config.json`. The error is a fact about it.
    pub fn from_config(bytes: &[u8]) -> Result<Self, String> {
        // Read once here, so that a file that is none is told at once; its message would quote the file.
        let map: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_slice(bytes);
        map.map_err(|_| "is not a valid Docker configuration")?;
        Ok(Self { config: Some(bytes.to_vec()) })
    }

    /// What `docker login` of this user keeps: `$DOCKER_CONFIG/config.json`, or that of the home directory. The error is
    /// a sentence.
    pub fn of_user() -> Result<Self, String> {
        let folder = std::env::var_os("DOCKER_CONFIG").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
        let Some(file) = folder.or_else(home).map(|folder| folder.join("config.json")) else {
            return Ok(Self::default());
        };
        match std::fs::read(&file) {
            Ok(bytes) => Self::from_config(&bytes).map_err(|why| format!("{} {why}", file.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("{} cannot be read: {error}", file.display())),
        }
    }

    /// The login for a registry, as image names have it; `None` where none is kept. It may run a program
    /// (`docker-credential-…`). The error is why a login that is kept cannot be had.
    pub fn of(&self, domain: &str) -> Result<Option<Credential>, String> {
        let Some(config) = &self.config else { return Ok(None) };
        // Docker's own registry is kept under the address of its first API.
        let key = if domain == "docker.io" { "https://index.docker.io/v1/" } else { domain };
        match get_credential_from_reader(config.as_slice(), key) {
            Ok(DockerCredential::UsernamePassword(user, _)) if user.is_empty() => Ok(None),
            Ok(DockerCredential::UsernamePassword(user, password)) => Ok(Some(Credential::Password(user, password))),
            Ok(DockerCredential::IdentityToken(token)) => Ok(Some(Credential::IdentityToken(token))),
            Err(error) => match error {
                CredentialRetrievalError::NoCredentialConfigured => Ok(None),
                // What each of Docker's helpers says where it knows nothing of a registry.
                CredentialRetrievalError::HelperFailure { stdout, .. } if stdout.contains("not found") => Ok(None),
                CredentialRetrievalError::HelperFailure { helper, .. } => Err(format!("{helper} failed")),
                CredentialRetrievalError::HelperCommunicationError => {
                    Err("it is stored in a credential helper, which cannot be run here".into())
                }
                CredentialRetrievalError::MalformedHelperResponse => {
                    Err("it is stored in a credential helper, which returned an invalid answer".into())
                }
                CredentialRetrievalError::ConfigReadError | CredentialRetrievalError::ConfigNotFound => {
                    Err("no readable Docker configuration contains it".into())
                }
                CredentialRetrievalError::CredentialDecodingError
                | CredentialRetrievalError::CredentialMismatchError => Err("its `auth` entry is invalid".into()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(config: &str, domain: &str) -> Result<Option<(String, String)>, String> {
        let found = Credentials::from_config(config.as_bytes())?.of(domain)?;
        Ok(found.map(|found| match found {
            Credential::Password(user, password) => (user, password),
            Credential::IdentityToken(token) => (String::new(), token),
        }))
    }

    fn login(user: &str, password: &str) -> (String, String) {
        (user.into(), password.into())
    }

    #[test]
    fn what_docker_keeps() {
        // dTpw is `u:p`.
        let config = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"},"quay.io":{"auth":"dTpw"},
            "127.0.0.1:5000":{"username":"a","password":"b:c"},"azure.example":{"auth":"dTpw","identitytoken":"t"},
            "https://old.example/v2/":{"auth":"dTpw"},"empty.example":{}},"credHelpers":{"gcr.io":"kso-test-none"}}"#;
        assert_eq!(of(config, "docker.io"), Ok(Some(login("u", "p"))));
        assert_eq!(of(config, "quay.io"), Ok(Some(login("u", "p"))));
        assert_eq!(of(config, "old.example"), Ok(Some(login("u", "p"))));
        assert_eq!(of(config, "127.0.0.1:5000"), Ok(Some(login("a", "b:c"))));
        assert_eq!(of(config, "azure.example"), Ok(Some(login("", "t"))));
        for domain in ["ghcr.io", "empty.example", "127.0.0.1:5001"] {
            assert_eq!(of(config, domain), Ok(None), "{domain}");
        }
        assert_eq!(of(config, "gcr.io"), Err("it is stored in a credential helper, which cannot be run here".into()));
    }

    #[test]
    fn nothing_of_a_bad_file_is_quoted() {
        for config in ["", "[]", "{\"auths\": {\"quay.io\": \"secret", "secret"] {
            assert_eq!(of(config, "quay.io"), Err("is not a valid Docker configuration".into()));
        }
        let wrong = of(r#"{"auths":{"quay.io":"secret"}}"#, "quay.io").unwrap_err();
        assert!(!wrong.contains("secret"), "{wrong}");
        let wrong = of(r#"{"auths":{"quay.io":{"auth":"!secret"}}}"#, "quay.io").unwrap_err();
        assert!(!wrong.contains("secret"), "{wrong}");
    }

    #[test]
    fn no_login_is_printed() {
        let config =
            Credentials::from_config(br#"{"auths":{"quay.io":{"username":"u","password":"secret"}}}"#).unwrap();
        assert!(!format!("{config:?} {:?}", config.of("quay.io")).contains("secret"));
    }
}
