//! The logins of file servers: the file `.netrc`, which curl, wget and Ansible read too. Owns its grammar; does not know who
//! is sent them.

use std::fmt;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Url, is_near};

/// Logins by host.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Netrc {
    entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Eq)]
struct Entry {
    /// `None` for all hosts: `default`.
    host: Option<String>,
    login: String,
    password: String,
}

impl fmt::Debug for Netrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Netrc({} logins)", self.entries.len())
    }
}

impl Netrc {
    /// The text of such a file. What is in it that is no login is passed over, as curl does.
    pub fn parse(text: &str) -> Self {
        let mut entries = Vec::<Entry>::new();
        let mut words = words(text).into_iter();
        while let Some(word) = words.next() {
            let host = match word.as_str() {
                "machine" => match words.next() {
                    None => break,
                    host => host,
                },
                "default" => None,
                key => {
                    let value = if matches!(key, "login" | "password" | "account") { words.next() } else { None };
                    if let (Some(entry), Some(value)) = (entries.last_mut(), value) {
                        match key {
                            "login" => entry.login = value,
                            "password" => entry.password = value,
                            _ => {}
                        }
                    }
                    continue;
                }
            };
            entries.push(Entry { host, login: String::new(), password: String::new() });
        }
        Self { entries }
    }

    /// That of this user: `$NETRC`, or `.netrc` in the home directory. The error is a sentence.
    pub fn of_user() -> Result<Self, String> {
        let named = std::env::var_os("NETRC").filter(|file| !file.is_empty()).map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".netrc"));
        let Some(file) = named.or_else(home) else { return Ok(Self::default()) };
        match std::fs::read_to_string(&file) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("{} cannot be read: {error}", file.display())),
        }
    }

    /// The value of `Authorization` for a URL; `None` where there is no login for its host. The error is why the login is not
    /// sent.
    pub fn authorization(&self, url: &Url) -> Result<Option<String>, String> {
        let host = url.host_str().unwrap_or_default();
        let named = |entry: &&Entry| entry.host.as_deref().is_none_or(|name| name.eq_ignore_ascii_case(host));
        let Some(Entry { login, password, .. }) = self.entries.iter().find(named) else { return Ok(None) };
        if url.scheme() != "https" && !is_near(url) {
            return Err(format!("the login for {host} is not sent over plain HTTP"));
        }
        Ok(Some(format!("Basic {}", STANDARD.encode(format!("{login}:{password}")))))
    }
}

/// The words: separated by space, or in quotation marks; without comments and macros.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut rest = line.trim_start();
        // Only there: a password may begin with it.
        if rest.starts_with('#') {
            continue;
        }
        while !rest.is_empty() {
            let word = if let Some(quoted) = rest.strip_prefix('"') {
                let (word, after) = unquote(quoted);
                rest = after;
                word
            } else {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                let word = rest[..end].to_owned();
                rest = &rest[end..];
                word
            };
            if word == "macdef" {
                // A macro ends at an empty line.
                let _ = lines.by_ref().find(|line| line.trim().is_empty());
                break;
            }
            words.push(word);
            rest = rest.trim_start();
        }
    }
    words
}

/// The text before the closing quotation mark, and the rest after it.
fn unquote(text: &str) -> (String, &str) {
    let mut word = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (word, &text[at + 1..]),
            '\\' => word.extend(characters.next().map(|(_, escaped)| escaped)),
            other => word.push(other),
        }
    }
    (word, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: &str, url: &str) -> Result<Option<String>, String> {
        let sent = Netrc::parse(text).authorization(&url.parse().unwrap())?;
        let decoded = sent.map(|sent| STANDARD.decode(sent.trim_start_matches("Basic ")).unwrap());
        Ok(decoded.map(|bytes| String::from_utf8(bytes).unwrap()))
    }

    #[test]
    fn logins_are_found_by_host() {
        let text = "# files\nmachine files.example login u password #p1\nmacdef init\n  machine x login no\n\n\
                    machine\tB.example\n  login \"a b\"\n  password \"c\\\"d\" account none\n";
        for (url, expected) in [
            ("https://files.example:8443/k8s", Some("u:#p1")),
            ("https://b.example/", Some("a b:c\"d")),
            ("https://x/", None),
        ] {
            assert_eq!(sent(text, url), Ok(expected.map(str::to_owned)), "{url}");
        }
        assert_eq!(
            sent("machine a login b password c default login d password e", "https://z/"),
            Ok(Some("d:e".into()))
        );
        assert_eq!(sent("machine 127.0.0.1 login u", "http://127.0.0.1/"), Ok(Some("u:".into())));
        for text in ["", "machine", "login a password b", "machine files.example login", "\"", "macdef x"] {
            assert!(sent(text, "https://x/").is_ok_and(|sent| sent.is_none()), "{text}");
        }
    }

    #[test]
    fn no_password_goes_where_it_can_be_read() {
        let refused = sent("default login u password secret", "http://files.example/").unwrap_err();
        assert_eq!(refused, "the login for files.example is not sent over plain HTTP");
        assert!(!format!("{:?}", Netrc::parse("default login u password secret")).contains("secret"));
    }
}
