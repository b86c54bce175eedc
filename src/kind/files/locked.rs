//! The entry of a file. Owns what is known of it; does not know how it was fetched.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
