//! BuildKit frontends in Rust: the build graph as plain values, the conversation with BuildKit, and a fake daemon for
//! tests. Knows nothing of what a frontend builds.

pub mod gateway;
pub mod llb;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
