//! Where bytes come from instead of their own address: mirrors, and what is sent to a server. Owns which entry of the definition
//! holds for a URL or an image; does not know how anything is fetched.

pub(crate) mod host;
pub(crate) mod mirror;

pub use host::{HeaderValue, Host, SecretId, host_of};
pub use mirror::{FileMirror, ImageMirror, Mirror, Mirrors};

#[cfg(test)]
mod tests;
