//! The digest of a file that BuildKit has. Owns how much of it is read at a time; does not know what the file is.

use buildkit::gateway::{Error, Reference};

use crate::name::{Digest, Hasher};

/// Bytes that are read at a time.
const PART: u64 = 4 << 20;

/// The SHA-256 of a file, and its size in bytes.
pub(super) async fn hash(reference: &Reference, path: &str) -> Result<(Digest, u64), Error> {
    let bytes = reference.stat(path).await?.map_or(0, |stat| stat.size);
    let mut hasher = Hasher::default();
    while hasher.bytes() < bytes {
        let part = reference.read_range(path, hasher.bytes(), PART).await?;
        if part.is_empty() {
            return Err(Error::new("BuildKit returned only a part of a file"));
        }
        hasher.update(&part);
    }
    Ok((hasher.finish().0, bytes))
}
