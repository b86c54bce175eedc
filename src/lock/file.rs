//! The entry of a file. Owns what is known of it; does not know how it was fetched.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text;
use crate::spec::{Digest, FileUrl, StoredPath};

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct LockedFile {
    /// Where it comes from, before mirrors.
    #[serde(with = "text")]
    #[schemars(with = "String")]
    pub url: FileUrl,
    /// Where it is stored below the served folder. No two files have one path.
    #[serde(with = "text")]
    #[schemars(with = "String")]
    pub path: StoredPath,
    /// What its bytes hash to.
    #[serde(with = "text")]
    #[schemars(with = "String", regex(pattern = text::DIGEST))]
    pub sha256: Digest,
    /// Its size in bytes.
    pub bytes: u64,
    /// Where the checksum came from.
    pub checksum: ChecksumSource,
}

/// Where the checksum of a file came from: who vouches for its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChecksumSource {
    /// The definition.
    Definition,
    /// Kubespray's own table of checksums.
    Kubespray,
    /// A `.sha256` beside the file, from the same server.
    Upstream,
    /// Nobody: it is what the server sent when the lock was written.
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
