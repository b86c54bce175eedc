//! Where a registry keeps things: the file system layout of the distribution project (v3, `registry/storage/paths.go`).
//! Owns paths and the text of links; does not know which images there are.

use crate::name::{Digest, Repository};

/// The directory that the registry image keeps its storage in.
pub const ROOT: &str = "/var/lib/registry/docker/registry/v2";

/// The bytes of a blob, a manifest or an index.
pub fn data(digest: &Digest) -> String {
    let hex = digest.hex();
    let shard = hex.get(..2).unwrap_or_default();
    format!("{ROOT}/blobs/sha256/{shard}/{hex}/data")
}

/// Says that a repository has this manifest or index.
pub fn revision(repository: &Repository, digest: &Digest) -> String {
    format!("{ROOT}/repositories/{repository}/_manifests/revisions/sha256/{}/link", digest.hex())
}

/// Says which manifest or index a tag leads to, and that it once led there.
pub fn tag(repository: &Repository, tag: &str, digest: &Digest) -> [String; 2] {
    let tag = format!("{ROOT}/repositories/{repository}/_manifests/tags/{tag}");
    [format!("{tag}/current/link"), format!("{tag}/index/sha256/{}/link", digest.hex())]
}

/// Says that a repository has this blob: a config or a layer.
pub fn layer(repository: &Repository, digest: &Digest) -> String {
    format!("{ROOT}/repositories/{repository}/_layers/sha256/{}/link", digest.hex())
}

/// What a link holds: the digest and nothing else, no newline.
pub fn link(digest: &Digest) -> String {
    digest.to_string()
}
