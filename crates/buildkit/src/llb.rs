//! The low-level build graph (LLB) as plain values. Owns vertices, their bytes and their digests; knows nothing
//! of a connection to BuildKit.
//!
//! A [`State`] is one output of one vertex. Its bytes and digest are known at birth, building one cannot fail, and
//! cloning is cheap. Names, source lines, progress groups and the capabilities a vertex needs stand next to its bytes
//! and never change its digest.
//!
//! ```
//! use buildkit::llb::{Copy, File, Http, merge};
//! let tool = Http::new("https://example.org/tool-1.0.tar.gz").filename("tool.tgz").state();
//! let layer = File::scratch().copy(Copy::new(&tool, "/tool.tgz", "/srv/tool.tgz").create_parents()).state();
//! let definition = merge([layer.clone(), layer.named("twice")]).marshal();
//! assert!(definition.head().as_str().starts_with("sha256:"));
//! ```

mod config;
mod definition;
mod digest;
mod encode;
mod exec;
mod file;
mod foreign;
mod location;
mod merge;
mod platform;
mod raw;
mod source;
mod text;

pub use config::{ImageConfig, InvalidConfig};
pub use definition::Definition;
pub use digest::{Digest, InvalidDigest};
pub use exec::{Cache, ContentCache, Exec, Mount, Network, Output, Proxy, Readonly, Secret, Ssh, Writable};
pub use file::{Copy, File, Mkdir, Mkfile, Owner, Rm, Symlink};
pub use foreign::{Graph, NotAGraph};
pub use location::{Location, SourceFile};
pub use merge::{diff, merge};
pub use platform::Platform;
pub use raw::RawOp;
pub use source::{Git, Http, Image, ImageBlob, Local};

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use bollard_buildkit_proto::pb;
use prost::Message;

/// Vertices that the progress shows as one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressGroup {
    /// What makes it the same group.
    pub id: String,
    /// What the user sees.
    pub name: String,
    /// Whether the group is shown only when it holds more than one vertex that ran.
    pub weak: bool,
}

/// What stands next to a vertex: never part of its bytes, so never part of its digest.
#[derive(Debug, Clone, Default)]
struct Beside {
    name: Option<String>,
    group: Option<ProgressGroup>,
    ignore_cache: bool,
    locations: Vec<Location>,
}

/// One op, encoded, with what it is made from.
#[derive(Debug)]
struct Vertex {
    bytes: Vec<u8>,
    digest: Digest,
    inputs: Vec<State>,
    capabilities: BTreeSet<Cow<'static, str>>,
}

/// One output of a vertex, with its name and source lines.
#[derive(Debug, Clone)]
pub struct State {
    vertex: Arc<Vertex>,
    output: i64,
    beside: Arc<Beside>,
}

impl State {
    /// The vertex of `op`, whose inputs are `inputs` in order.
    fn new(op: pb::op::Op, platform: Option<&Platform>, inputs: Vec<State>, capabilities: &[&'static str]) -> Self {
        let oneof = pb::Op { op: Some(op), ..pb::Op::default() };
        let capabilities = capabilities.iter().copied().map(Cow::Borrowed);
        Self::encoded(&oneof.encode_to_vec(), platform, inputs, capabilities)
    }

    /// [`Self::new`] of an encoded oneof.
    fn encoded(
        oneof: &[u8],
        platform: Option<&Platform>,
        inputs: Vec<State>,
        capabilities: impl IntoIterator<Item = Cow<'static, str>>,
    ) -> Self {
        let op = pb::Op {
            inputs: inputs.iter().map(State::as_input).collect(),
            platform: platform.map(Platform::to_pb),
            // The Go client always writes the message, even when it is empty.
            constraints: Some(pb::WorkerConstraints::default()),
            op: None,
        };
        let bytes = encode::with_oneof(&op, oneof);
        let mut capabilities: BTreeSet<_> = capabilities.into_iter().collect();
        capabilities.insert("constraints".into());
        if platform.is_some() {
            capabilities.insert("platform".into());
        }
        let digest = Digest::of(&bytes);
        Self { vertex: Arc::new(Vertex { bytes, digest, inputs, capabilities }), output: 0, beside: Arc::default() }
    }

    fn as_input(&self) -> pb::Input {
        pb::Input { digest: self.vertex.digest.clone().into(), index: self.output }
    }

    /// The digest of the op.
    pub fn digest(&self) -> &Digest {
        &self.vertex.digest
    }

    /// Whether the other one is a clone of this one, with the same things next to it.
    pub fn is_same(&self, other: &Self) -> bool {
        let same = Arc::ptr_eq(&self.vertex, &other.vertex) && Arc::ptr_eq(&self.beside, &other.beside);
        same && self.output == other.output
    }

    /// The name in the progress.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.beside).name = Some(name.into());
        self
    }

    /// A place in the user's files that asked for this vertex. A vertex may have several.
    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        if !self.beside.locations.contains(&location) {
            Arc::make_mut(&mut self.beside).locations.push(location);
        }
        self
    }

    /// The group in the progress.
    #[must_use]
    pub fn grouped(mut self, group: ProgressGroup) -> Self {
        Arc::make_mut(&mut self.beside).group = Some(group);
        self
    }

    /// Whether the vertex is to run although its result is cached.
    #[must_use]
    pub fn ignore_cache(mut self, ignore: bool) -> Self {
        if self.beside.ignore_cache != ignore {
            Arc::make_mut(&mut self.beside).ignore_cache = ignore;
        }
        self
    }

    /// The definition whose result this state is.
    pub fn marshal(&self) -> Definition {
        Definition::of(self)
    }
}

#[cfg(test)]
mod golden;
