//! Container images: what is pulled from registries and served by one. Owns what an image is from its entry in the definition
//! to its proof at the other end; does not know the other kinds.

pub(crate) mod entry;
mod expand;
pub mod expected;
mod layers;
pub(crate) mod locked;
mod merge;
mod rename;
pub mod resolve;
pub mod resolved;
pub(crate) mod server;
pub mod storage;
pub mod tree;
pub mod verify;

pub(crate) use expand::expand;
use std::collections::BTreeSet;

use crate::diagnostic::Span;
use crate::name::{Arch, ImageRef, ServedName};

pub use entry::{ImageEntry, ImageListEntry, ImagesEntry, RenameEntry};
pub use locked::LockedImage;
pub use server::{Held, Prefix, Registry};

/// The part of a specification that is about container images.
#[derive(Debug, Clone, Copy)]
pub struct Section<'a> {
    /// The images, sorted by the name that they are served under.
    pub images: &'a [Image],
    /// What serves them.
    pub server: &'a Registry,
    /// The architectures that content is wanted for: sorted, each once.
    pub architectures: &'a [Arch],
}

/// A container image and what it is served as.
#[derive(Debug, Clone)]
pub struct Image {
    /// Where it comes from.
    pub reference: ImageRef,
    /// What it is pulled by from the registry that is built.
    pub served: ServedName,
    /// The architectures that it was asked for.
    pub architectures: BTreeSet<Arch>,
    /// Every line that asked for it, in the order of the definition; never empty.
    pub spans: Vec<Span>,
}

/// An image that a producer asks for.
#[derive(Debug, Clone)]
pub struct RenderedImage {
    /// Its name.
    pub reference: String,
    /// Who needs it.
    pub arch: Arch,
    /// Where the producer says so.
    pub span: Span,
}
