//! The documents of container images: manifests and indexes as registries serve them. Owns what their bytes say and
//! which of them are refused; does not know where they come from, nor what is done with them.
//!
//! The bytes may come from anybody. Nothing here panics or grows past a small multiple of them, and fields that are not
//! known are skipped. The rules are those of the OCI image specification 1.1 and of distribution's
//! `registry/storage/manifeststore.go` (v3), which must be able to serve what is stored.

mod choose;
mod descriptor;
mod document;

use crate::name::Digest;

pub use crate::oci::choose::{Lacks, Needed, Needs, NotChosen, needed, runs_on};
pub use crate::oci::descriptor::Descriptor;
pub use crate::oci::document::{Document, Entry, Index, Manifest, image_platform};

/// The largest manifest or index, in bytes: what distribution and containerd accept.
pub const MAX_DOCUMENT_BYTES: usize = 4 << 20;

/// Why bytes are no manifest or index that can be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// It has more than [`MAX_DOCUMENT_BYTES`].
    TooLarge(u64),
    /// It is not JSON, or its fields have other types than they should.
    Json(String),
    /// It is JSON, but neither a manifest nor an index, or both.
    Ambiguous(&'static str),
    /// Docker's first manifest format, which registries no longer store.
    Schema1,
    /// It says that it is something that registries do not store.
    MediaType(String),
    /// A layer that may not be distributed: its bytes are in no registry.
    ForeignLayer(Digest),
    /// A digest that is invalid, or not SHA-256.
    Digest(String),
    /// A blob has another size than its descriptor says, in bytes; or no client can read such a size.
    Size {
        /// What the descriptor says.
        said: u64,
        /// What there is; `None` where the size alone is no size.
        found: Option<u64>,
    },
    /// The bytes have another digest than they were asked for by.
    Mismatch {
        /// What they were asked for by.
        wanted: Digest,
        /// What they have.
        found: Digest,
    },
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge(bytes) => {
                write!(f, "a manifest of {bytes} bytes; the maximum is {} MiB", MAX_DOCUMENT_BYTES >> 20)
            }
            Self::Json(why) => write!(f, "not a manifest: {why}"),
            Self::Ambiguous(why) => write!(f, "neither a manifest nor an index: {why}"),
            Self::Schema1 => {
                f.write_str("a manifest of Docker's schema 1, which registries and runtimes no longer read")
            }
            Self::MediaType(media_type) => {
                write!(f, "a document of type {}, which registries do not store", crate::diagnostic::quoted(media_type))
            }
            Self::ForeignLayer(digest) => {
                write!(f, "the layer {digest} is foreign: it may not be distributed, and no registry has it")
            }
            Self::Digest(digest) => {
                write!(
                    f,
                    "{} is not a SHA-256 digest, and no other algorithm is supported",
                    crate::diagnostic::quoted(digest)
                )
            }
            Self::Size { said, found: Some(found) } => {
                write!(f, "it has {found} bytes, but its descriptor says {said}, so clients reject it")
            }
            Self::Size { said, found: None } => write!(f, "a descriptor of {said} bytes, which no client can read"),
            Self::Mismatch { wanted, found } => write!(f, "the bytes of {wanted} have the digest {found}"),
        }
    }
}

impl std::error::Error for Error {}

/// Checks that bytes have the digest that they were asked for by.
pub fn check_digest(bytes: &[u8], wanted: &Digest) -> Result<(), Error> {
    let found = Digest::of(bytes);
    if found == *wanted { Ok(()) } else { Err(Error::Mismatch { wanted: wanted.clone(), found }) }
}
