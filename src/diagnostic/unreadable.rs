//! Why a text cannot be read. Owns the words; does not know who reads it.

use thiserror::Error;

/// Why a text that the user named cannot be read: a fact about it, to be written after "it".
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// It has more than this number of bytes.
    #[error("is larger than {} MiB", .0 >> 20)]
    TooLarge(usize),
    /// It begins with the byte order mark of UTF-16.
    #[error("is UTF-16, but must be UTF-8")]
    Utf16,
    /// A line, counted from 1, is not UTF-8.
    #[error("is not UTF-8 on line {0}")]
    NotUtf8(usize),
    /// A directory has no text.
    #[error("is a directory")]
    Directory,
    /// A pipe, a socket or a device.
    #[error("is not a regular file")]
    NotRegular,
    /// A build would not find it.
    #[error("is behind a link that leads out of the build context")]
    OutOfContext,
    /// The operating system forbids it.
    #[error("is not readable by this user")]
    Denied,
    /// What else the operating system says.
    #[error("returned an error: {0}")]
    Failed(String),
}
