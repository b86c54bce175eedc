//! Files: what is downloaded from file servers and served by one. Owns what a file is from its entry in the definition to its
//! proof at the other end; does not know the other kinds.

mod checksum;
pub(crate) mod entry;
mod expand;
mod locked;
mod merge;
mod problem;
pub(crate) mod server;
pub mod tree;
pub mod verify;

use std::collections::BTreeSet;

use crate::artifact::PinnedAt;
use crate::diagnostic::Span;
use crate::name::{Arch, Digest, FileUrl, StoredPath};

pub use checksum::{FileAnswer, checksum_of, checksum_url};
pub use entry::{Checksum, FilesEntry, ListEntry, UrlEntry};
pub(crate) use expand::expand;
pub use locked::{ChecksumSource, LockedFile};
pub use problem::problems;
pub use server::FileServer;

/// The part of a specification that is about files.
#[derive(Debug, Clone, Copy)]
pub struct Section<'a> {
    /// The files, sorted by their stored paths, one for each path.
    pub files: &'a [File],
    /// What serves them.
    pub server: &'a FileServer,
    /// The architectures that content is wanted for: sorted, each once.
    pub architectures: &'a [Arch],
}

/// A file to download and where to store it.
#[derive(Debug, Clone)]
pub struct File {
    /// Where it comes from, before mirrors.
    pub url: FileUrl,
    /// What its bytes must hash to, where the user said so, or a lock.
    pub sha256: Option<Digest>,
    /// Who said so, unless it was a lock.
    pub pinned_by: PinnedBy,
    /// Where the checksum is written, if not next to the URL.
    pub pinned_at: Option<PinnedAt>,
    /// Its size in bytes, where a lock says it.
    pub bytes: Option<u64>,
    /// Where it is stored, relative to `<root>/<path>/` of the file server.
    pub path: StoredPath,
    /// The architectures that it was asked for.
    pub architectures: BTreeSet<Arch>,
    /// Every line that asked for it, in the order of the definition; never empty.
    pub spans: Vec<Span>,
}

/// Where the checksum of a file comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum PinnedBy {
    /// The definition or one of its lists.
    #[default]
    Definition,
    /// Kubespray's own table of checksums.
    Kubespray,
}

/// A file that a producer asks for.
#[derive(Debug, Clone)]
pub struct RenderedFile {
    /// Where it comes from.
    pub url: String,
    /// What its bytes must hash to, where the producer says so.
    pub sha256: Option<Digest>,
    /// Where that is written, as far as it is known.
    pub pinned_at: Option<PinnedAt>,
    /// Who needs it.
    pub arch: Arch,
    /// Where the producer says so.
    pub span: Span,
}
