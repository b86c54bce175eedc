//! The bytes behind a path of the origin: decided by its name and generation alone, so a test can know them. It does not
//! know how they are served.

use std::ops::RangeInclusive;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::hex;

/// The bytes of a path.
pub(super) struct File {
    /// The path with its query, as it stands in the request line.
    pub(super) path: String,
    /// How often it was changed.
    pub(super) generation: u64,
    /// Its size in bytes.
    pub(super) size: u64,
    /// Its bytes, where a test gave them.
    pub(super) exact: Option<Arc<[u8]>>,
}

impl File {
    /// Hands out the content in pieces: what a test gave, or the numbers of splitmix64, which do not compress.
    pub(super) fn chunks(&self, mut take: impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
        if let Some(exact) = &self.exact {
            return take(&exact[..usize::try_from(self.size).map_or(exact.len(), |size| size.min(exact.len()))]);
        }
        let mut state = seed(&self.path, self.generation + 1);
        let mut left = self.size;
        let mut chunk = Vec::with_capacity(64 << 10);
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(64 << 10);
            chunk.clear();
            while chunk.len() < wanted {
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                chunk.extend_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
            }
            take(&chunk[..wanted])?;
            left -= wanted as u64;
        }
        Ok(())
    }

    /// The SHA-256 of all of it, in hex.
    pub(super) fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        self.chunks(|chunk| {
            hash.update(chunk);
            Ok(())
        })
        .expect("hashing takes everything");
        hex(&hash.finalize())
    }

    /// Differs between paths and generations.
    pub(super) fn etag(&self) -> String {
        format!("\"{:016x}\"", seed(&self.path, self.generation))
    }

    /// A day later with each generation.
    pub(super) fn last_modified(&self) -> String {
        let day = self.generation % 28;
        let weekday = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"][usize::try_from(day % 7).unwrap_or(0)];
        format!("{weekday}, {:02} Jan 2024 00:00:00 GMT", day + 1)
    }
}

fn seed(path: &str, generation: u64) -> u64 {
    let hash = Sha256::new().chain_update(generation.to_le_bytes()).chain_update(path).finalize();
    u64::from_le_bytes(std::array::from_fn(|at| hash[at]))
}

/// Hands out so many bytes in pieces, decided by a name; they do not compress.
pub fn incompressible(name: &str, bytes: u64, take: impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
    File { path: name.to_owned(), generation: 0, size: bytes, exact: None }.chunks(take)
}

/// The size of a path in `range`: spread evenly over the powers of two, as real files are, and no multiple of anything.
pub(super) fn size(path: &str, range: &RangeInclusive<u64>) -> u64 {
    let (least, most) = (*range.start(), *range.end());
    let hash = seed(path, 0);
    let doublings = u64::from((most / least.max(1)).max(1).ilog2()) + 1;
    let wide = least << (hash % doublings);
    (wide + (hash >> 8) % wide.max(1)).clamp(least, most)
}
