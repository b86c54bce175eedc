//! The entry of a file. Owns what is known of it; does not know how it was fetched.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{File, FileAnswer, PinnedBy};
use crate::artifact::PinnedAt;
use crate::diagnostic::{Span, quoted};
use crate::name::{Digest, FileUrl, StoredPath, text};

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct LockedFile {
    /// Where it comes from, before mirrors.
    #[serde(with = "text")]
    #[schemars(with = "String")]
    pub url: FileUrl,
    /// The path below the served directory. No two files have the same path.
    #[serde(with = "text")]
    #[schemars(with = "String")]
    pub path: StoredPath,
    /// The SHA-256 of its bytes.
    #[serde(with = "text")]
    #[schemars(with = "String", regex(pattern = text::DIGEST))]
    pub sha256: Digest,
    /// Its size in bytes.
    pub bytes: u64,
    /// The source of the checksum.
    pub checksum: ChecksumSource,
}

impl LockedFile {
    /// The entry of a file, from what is known of its bytes.
    pub(crate) fn of(file: &File, answer: FileAnswer) -> Self {
        let FileAnswer { sha256, bytes, vouched } = answer;
        let checksum = match (&file.sha256, vouched) {
            (Some(_), _) if file.pinned_by == PinnedBy::Kubespray => ChecksumSource::Kubespray,
            (Some(_), _) => ChecksumSource::Definition,
            (None, true) => ChecksumSource::Upstream,
            (None, false) => ChecksumSource::FirstUse,
        };
        Self { url: file.url.clone(), path: file.path.clone(), sha256, bytes, checksum }
    }

    /// Gives `file`, which is stored at the same path, the checksum and the size of this entry; `place` is where that stands.
    /// The error is a sentence: what the entry has otherwise.
    pub(crate) fn pin(&self, file: &mut File, place: Option<Span>) -> Result<(), String> {
        let Self { url, sha256, bytes, .. } = self;
        if *url != file.url {
            return Err(format!("the lock has a different URL for {}: {url}", quoted(file.path.as_str())));
        }
        if file.sha256.as_ref().is_some_and(|pin| pin != sha256) {
            return Err(format!("the lock has a different checksum for {url}: {sha256}"));
        }
        file.sha256 = Some(sha256.clone());
        file.pinned_at = place.map(PinnedAt::Lock);
        file.bytes = Some(*bytes);
        Ok(())
    }
}

/// The source of a file's checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChecksumSource {
    /// The definition.
    Definition,
    /// Kubespray's own table of checksums.
    Kubespray,
    /// A `.sha256` file next to it, on the same server.
    Upstream,
    /// The first download: it is not published anywhere kso looked.
    FirstUse,
}

impl ChecksumSource {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Definition => "definition",
            Self::Kubespray => "kubespray",
            Self::Upstream => "upstream",
            Self::FirstUse => "first-use",
        }
    }
}

impl std::fmt::Display for ChecksumSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
