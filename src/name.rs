//! Names that a definition, a lock, a build and a command share: each parsed once, by one rule, and valid ever after. Owns the
//! rules; does not know who uses a name.

mod arch;
mod digest;
pub(crate) mod directory;
mod file_url;
mod image_prefix;
pub(crate) mod image_ref;
mod invalid;
mod loopback;
mod platform;
mod served;
mod stored_path;
mod suggest;
mod template;
pub(crate) mod text;

#[cfg(test)]
mod tests;

pub use arch::Arch;
pub use digest::{Digest, Hasher};
pub use directory::{ContextPath, ServerPath, ServerRoot};
pub use file_url::{FileUrl, UrlPrefix};
pub use image_prefix::ImagePrefix;
pub use image_ref::ImageRef;
pub use invalid::Invalid;
pub use loopback::is_loopback;
pub use platform::{InvalidPlatform, Platform};
pub use served::{Repository, ServedName};
pub use stored_path::StoredPath;
pub(crate) use stored_path::clean_relative;
pub(crate) use suggest::suggest;
pub use template::Template;
