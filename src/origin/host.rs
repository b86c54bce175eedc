//! `hosts:` as the user writes it, and how it is read: what is sent to a server in addition to the URL. Owns which headers there
//! can be, and the names of secrets; never knows what a secret is.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::decode::written::Written;
use crate::decode::yaml::{Node, Value};
use crate::decode::{Decoder, Text, schema};
use crate::diagnostic::{Diagnostic, Span, Spanned, quoted};
use crate::name::{FileUrl, Invalid, UrlPrefix};

pub(crate) const HOST_KEYS: [&str; 3] = ["at", "secret", "headers"];

/// The headers that BuildKit sends where it is told to, in lower case; all others it drops without a word
/// (`supportedUserDefinedHeaders` of `source/http/source.go`, v0.28 to v0.32).
const HEADERS: [&str; 2] = ["accept", "user-agent"];

/// What to send with the requests for files below a URL.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(extend("anyOf" = [{ "required": ["secret"] }, { "required": ["headers"] }]))]
pub struct Host {
    /// The prefix of the requested URLs, those of the files or of their mirrors. Of several matching entries, the
    /// longest prefix wins.
    #[schemars(with = "Text<UrlPrefix>", extend("examples" = ["https://files.example/"]))]
    pub at: Spanned<UrlPrefix>,
    /// The id of a build secret that contains the whole value of the `Authorization` header, such as `Bearer …` or
    /// `Basic …`, without a line break: `docker buildx build --secret id=ID,src=FILE`.
    #[schemars(default = "schema::optional", with = "Text<SecretId>", extend("examples" = ["files-token"]))]
    pub secret: Option<Spanned<SecretId>>,
    /// Headers that are not secret. BuildKit sends only these two.
    #[schemars(default = "schema::optional", with = "HeadersText", extend("examples" = [{ "user-agent": "kso" }]))]
    pub headers: BTreeMap<&'static str, HeaderValue>,
}

impl Host {
    /// Whether it is about this URL.
    pub fn holds(&self, url: &FileUrl) -> bool {
        self.at.value.holds(url)
    }

    /// The id of its secret.
    pub fn secret(&self) -> Option<&str> {
        self.secret.as_ref().map(|secret| secret.value.as_str())
    }
}

/// The id of a secret that the client of a build has: letters, digits, `_`, `.` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretId(String);

impl SecretId {
    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SecretId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        let begins = text.bytes().next().is_some_and(|b| known(b) && b != b'.' && b != b'-');
        if begins && text.bytes().all(known) {
            return Ok(Self(text.to_owned()));
        }
        // What it is instead is not repeated: it may be the secret itself.
        Err(Invalid::new("a secret id contains only letters, digits, `_`, `.` and `-`").help(
            "write an id of your choice, such as `secret: files-token`, and pass the secret to the build: `--secret id=files-token,src=FILE`",
        ))
    }
}

/// The value of a header: printable ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderValue(String);

impl HeaderValue {
    /// The value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HeaderValue {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let printable = |b: u8| matches!(b, b' '..=b'~');
        if text.trim() == text && !text.is_empty() && text.bytes().all(printable) {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new("a header value must be printable ASCII, without leading or trailing spaces"))
    }
}

/// What is sent to a URL that is asked: the entry with the longest prefix that fits.
pub fn host_of<'a>(hosts: &'a [Host], url: &FileUrl) -> Option<&'a Host> {
    let fitting = hosts.iter().filter(|host| host.holds(url));
    fitting.max_by_key(|host| host.at.value.as_str().len())
}

impl Decoder<'_> {
    pub(crate) fn hosts(&mut self, node: &Node) -> Vec<Host> {
        const WHAT: &str = "an entry of `hosts`";
        let mut hosts = Vec::<Host>::new();
        for item in self.items(node, "`hosts`").unwrap_or_default() {
            let Some(fields) = self.fields(item, WHAT, &HOST_KEYS) else { continue };
            let at = self.required(&fields, WHAT, "at", "write `at:` with a URL prefix: `https://HOST/`");
            let at = at.and_then(|node| self.name::<UrlPrefix>(node, "`at`"));
            let secret = fields.get("secret").and_then(|node| self.name::<SecretId>(node, "`secret`"));
            let headers = fields.get("headers").map(|node| self.headers(node)).unwrap_or_default();
            if !fields.has("secret") && !fields.has("headers") {
                let span = self.span(fields.range());
                self.error(
                    Diagnostic::error(format!("{WHAT} sends nothing: it has neither `secret` nor `headers`"))
                        .at(span)
                        .help("write `secret: ID`, and pass `--secret id=ID,src=FILE` to the build"),
                );
            }
            let Some(at) = at else { continue };
            if let Some(first) = hosts.iter().find(|host| host.at.value == at.value) {
                let first = first.at.span.clone();
                self.error(
                    Diagnostic::error(format!("duplicate entry for {}", quoted(at.value.as_str())))
                        .at(at.span)
                        .related(first, "first defined here")
                        .help("keep one of them"),
                );
                continue;
            }
            if let Some(secret) = secret.as_ref().filter(|_| at.value.is_open()) {
                self.error(open_secret(secret, &at.span));
            }
            hosts.push(Host { at, secret, headers });
        }
        hosts
    }

    fn headers(&mut self, node: &Node) -> BTreeMap<&'static str, HeaderValue> {
        let mut headers = BTreeMap::new();
        let Value::Mapping(mapping) = node.value() else {
            self.wrong_type(node, "`headers`", "a mapping");
            return headers;
        };
        for entry in mapping.entries() {
            let span = self.span(entry.key_range.clone());
            let lower = entry.key.to_string().to_ascii_lowercase();
            let Some(name) = HEADERS.into_iter().find(|name| *name == lower) else {
                let problem =
                    Diagnostic::error(format!("BuildKit does not send the header {}", quoted(&entry.key.to_string())));
                self.error(
                    problem
                        .at(span)
                        .help("only `accept` and `user-agent` can be set; for a token, use `secret:`, which is sent as `Authorization`"),
                );
                continue;
            };
            if headers.contains_key(name) {
                let problem = Diagnostic::error(format!("duplicate header `{name}`")).at(span);
                self.error(problem.help("keep one of them"));
            } else if let Some(value) = self.name::<HeaderValue>(&entry.value, "a header") {
                headers.insert(name, value.value);
            }
        }
        headers
    }
}

/// A secret that everybody on the way can read.
fn open_secret(secret: &Spanned<SecretId>, at: &Span) -> Diagnostic {
    Diagnostic::warning(format!("the secret `{}` is sent without encryption", secret.value))
        .at(at.clone())
        .help("use `https://` if the server supports it")
}

/// How the headers of a [`Host`] are written.
pub(crate) struct HeadersText;

impl JsonSchema for HeadersText {
    fn schema_name() -> Cow<'static, str> {
        "Headers".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<Text<HeaderValue>>();
        json_schema!({
            "type": "object",
            "properties": { "accept": value, "user-agent": value },
            "patternProperties": { "^([Aa][Cc][Cc][Ee][Pp][Tt]|[Uu][Ss][Ee][Rr]-[Aa][Gg][Ee][Nn][Tt])$": value },
            "additionalProperties": false
        })
    }
}

impl Written for SecretId {
    const NAME: &'static str = "SecretId";
    const HELP: &'static str =
        "write the id of a build secret, `files-token`; pass its value with `--secret id=files-token,src=FILE`";

    fn pattern() -> String {
        "[A-Za-z0-9_][A-Za-z0-9_.-]*".into()
    }
}

impl Written for HeaderValue {
    const NAME: &'static str = "HeaderValue";
    const HELP: &'static str = "write printable ASCII, without leading or trailing spaces";

    fn pattern() -> String {
        "[!-~](?:[ -~]*[!-~])?".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_named_and_not_written() {
        for id in ["files-token", "HTTP_AUTH_TOKEN_files.example", "_", "0"] {
            assert_eq!(id.parse::<SecretId>().map(|id| id.to_string()), Ok(id.into()));
        }
        for text in ["", "Bearer hunter2", "a/b", "-a", ".a", "a,src=b", "ä", "a\n"] {
            let invalid = text.parse::<SecretId>().unwrap_err();
            let told = format!("{}{:?}", invalid.message, invalid.help);
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn values_of_headers() {
        for text in ["curl/8.5.0", "application/octet-stream, */*;q=0.1"] {
            assert!(text.parse::<HeaderValue>().is_ok(), "{text}");
        }
        for text in ["", " a", "a ", "a\r\nb: c", "ä", "\u{7f}"] {
            assert!(text.parse::<HeaderValue>().is_err(), "{text:?}");
        }
    }
}
