//! What is known of a source before it is fetched. Does not ask for it.

use bollard_buildkit_proto::moby::buildkit::v1::frontend as proto;

/// The answer to [`super::Client::resolve_source_meta`]; each part is there for sources of its kind, where the daemon
/// gives it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceMetadata {
    /// The source as BuildKit will fetch it: the one asked for, unless a policy of the daemon changed it.
    pub identifier: String,
    /// Of a git repository.
    pub git: Option<GitMetadata>,
    /// Of an `http(s)` source.
    pub http: Option<HttpMetadata>,
}

/// What a git reference leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GitMetadata {
    /// The full name of the reference: `refs/tags/v1`.
    pub reference: String,
    /// The object that it names: a commit, or an annotated tag.
    pub checksum: String,
    /// The commit of an annotated tag; empty otherwise.
    pub commit_checksum: String,
}

impl GitMetadata {
    /// The commit; none where the daemon does not tell.
    pub fn commit(&self) -> Option<&str> {
        let commit = if self.commit_checksum.is_empty() { &self.checksum } else { &self.commit_checksum };
        Some(commit.as_str()).filter(|commit| !commit.is_empty())
    }
}

/// What a URL gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpMetadata {
    /// The digest of the body: `sha256:…`.
    pub checksum: String,
    /// The name of the file.
    pub filename: String,
}

impl From<proto::ResolveSourceMetaResponse> for SourceMetadata {
    fn from(response: proto::ResolveSourceMetaResponse) -> Self {
        Self {
            identifier: response.source.map(|source| source.identifier).unwrap_or_default(),
            git: response.git.map(|git| GitMetadata {
                reference: git.r#ref,
                checksum: git.checksum,
                commit_checksum: git.commit_checksum,
            }),
            http: response.http.map(|http| HttpMetadata { checksum: http.checksum, filename: http.filename }),
        }
    }
}
