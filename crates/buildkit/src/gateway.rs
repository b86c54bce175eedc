//! The conversation with BuildKit: gRPC over standard input and output, as a frontend. Does not
//! know what the frontend builds.

pub mod capability;
mod client;
mod context;
mod error;
pub mod excerpt;
mod git;
mod metadata;
mod named;
mod options;
mod path;
mod platform;
mod reference;
mod run;
mod solve;
mod status;
pub mod stdio;
pub mod subrequest;
mod tree;
mod warning;
mod watched;

pub use capability::Capabilities;
pub use client::{Client, MAX_MESSAGE, ResolvedImage};
pub use context::{BuildContext, Dockerfile};
pub use error::Error;
pub use git::GitRef;
pub use metadata::{GitMetadata, HttpMetadata, SourceMetadata};
pub use named::{NamedContext, Value};
pub use options::{Attestation, BuildkitVersion, NoCache, Options, ResolveMode, Worker};
pub use path::clean;
pub use platform::{own_platform, parse_platform};
pub use reference::{Content, Reference, Stat};
pub use run::{run, serve};
pub use solve::{BuildResult, CacheImport, Image, SolveRequest};
pub use status::{Code, Detail};
pub use tree::{Place, is_match};
pub use warning::Warning;
#[cfg(any(test, feature = "testing"))]
pub(crate) use watched::Watched;

pub use crate::llb::Platform;
