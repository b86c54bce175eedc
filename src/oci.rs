//! The documents of container images: manifests and indexes as registries serve them. Owns what their bytes say and
//! which of them are refused; does not know where they come from, nor what is done with them.
//!
//! The bytes may come from anybody. Nothing here panics or grows past a small multiple of them, and fields that are not
//! known are skipped. The rules are those of the OCI image specification 1.1 and of distribution's
//! `registry/storage/manifeststore.go` (v3), which must be able to serve what is stored.

mod choose;
mod descriptor;
mod document;

use thiserror::Error;

use crate::diagnostic::quoted;
use crate::name::Digest;

pub use crate::oci::choose::{Lacks, Needed, Needs, NotChosen, needed, runs_on, short};
pub use crate::oci::descriptor::Descriptor;
pub use crate::oci::document::{Document, Entry, Index, Manifest, image_platform};

/// The largest manifest or index, in bytes: what distribution and containerd accept.
pub const MAX_DOCUMENT_BYTES: usize = 4 << 20;

/// Why bytes are no manifest or index that can be served.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// It has more than [`MAX_DOCUMENT_BYTES`].
    #[error("a manifest of {0} bytes; the maximum is {most} MiB", most = MAX_DOCUMENT_BYTES >> 20)]
    TooLarge(u64),
    /// It is not JSON, or its fields have other types than they should.
    #[error("not a manifest: {0}")]
    Json(String),
    /// It is JSON, but neither a manifest nor an index, or both.
    #[error("neither a manifest nor an index: {0}")]
    Ambiguous(&'static str),
    /// Docker's first manifest format, which registries no longer store.
    #[error("a manifest of Docker's schema 1, which registries and runtimes no longer read")]
    Schema1,
    /// It says that it is something that registries do not store.
    #[error("a document of type {}, which registries do not store", quoted(.0))]
    MediaType(String),
    /// A layer that may not be distributed: its bytes are in no registry.
    #[error("the layer {0} is foreign: it may not be distributed, and no registry has it")]
    ForeignLayer(Digest),
    /// A digest that is invalid, or not SHA-256.
    #[error("{} is not a SHA-256 digest, and no other algorithm is supported", quoted(.0))]
    Digest(String),
    /// A blob has another size than its descriptor says, in bytes; or no client can read such a size.
    #[error("{}", wrong_size(*said, *found))]
    Size {
        /// What the descriptor says.
        said: u64,
        /// What there is; `None` where the size alone is no size.
        found: Option<u64>,
    },
    /// The bytes have another digest than they were asked for by.
    #[error("the bytes of {wanted} have the digest {found}")]
    Mismatch {
        /// What they were asked for by.
        wanted: Digest,
        /// What they have.
        found: Digest,
    },
}

fn wrong_size(said: u64, found: Option<u64>) -> String {
    match found {
        Some(found) => format!("it has {found} bytes, but its descriptor says {said}, so clients reject it"),
        None => format!("a descriptor of {said} bytes, which no client can read"),
    }
}

/// Checks that bytes have the digest that they were asked for by.
pub fn check_digest(bytes: &[u8], wanted: &Digest) -> Result<(), Error> {
    let found = Digest::of(bytes);
    if found == *wanted { Ok(()) } else { Err(Error::Mismatch { wanted: wanted.clone(), found }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_digest_that_they_were_asked_for_by() {
        let wanted = Digest::of(b"a");
        assert_eq!(check_digest(b"a", &wanted), Ok(()));
        assert_eq!(check_digest(b"b", &wanted), Err(Error::Mismatch { wanted, found: Digest::of(b"b") }));
    }
}
