//! Names and exact bytes as JSON. Owns their spelling; does not know which entry they belong to.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name::{Digest, Invalid};

/// What digests look like.
pub(crate) const DIGEST: &str = "^sha256:[0-9a-f]{64}$";

/// Writes a name: `#[serde(with = "text")]`.
pub(crate) fn serialize<T: Display, S: Serializer>(name: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(name)
}

/// Reads a name.
pub(crate) fn deserialize<'de, T: FromStr<Err = Invalid>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    let text = Cow::<'_, str>::deserialize(from)?;
    text.parse().map_err(|invalid: Invalid| D::Error::custom(invalid.message))
}

/// Exact bytes of a text, as the list of its lines, so that a diff of two locks shows what changed in the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Lines(Vec<String>);

impl Lines {
    /// Only `\n` ends a line: all else is kept in it.
    pub(crate) fn of(text: &str) -> Self {
        Self(text.split('\n').map(Into::into).collect())
    }

    /// The text.
    pub(crate) fn text(&self) -> String {
        self.0.join("\n")
    }
}

/// Text with its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct Exact {
    /// The digest of the bytes.
    #[serde(with = "self")]
    #[schemars(with = "String", regex(pattern = DIGEST))]
    pub(crate) digest: Digest,
    /// The bytes, line by line.
    pub(crate) lines: Lines,
}

impl Exact {
    pub(crate) fn of(text: &str) -> Self {
        Self { digest: Digest::of(text.as_bytes()), lines: Lines::of(text) }
    }

    /// The text, if it has the digest.
    pub(crate) fn read(&self) -> Option<String> {
        let text = self.lines.text();
        (Digest::of(text.as_bytes()) == self.digest).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_every_byte() {
        for text in ["", "\n", "a", "a\nb\n", "a\r\nb", "\n\na"] {
            assert_eq!(Lines::of(text).text(), text, "{text:?}");
            assert_eq!(Exact::of(text).read().as_deref(), Some(text), "{text:?}");
        }
    }

    #[test]
    fn text_that_has_not_its_digest_is_not_read() {
        let changed = Exact { lines: Lines::of("other"), ..Exact::of("text") };
        assert_eq!(changed.read(), None);
    }
}
