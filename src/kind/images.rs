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
pub(crate) use merge::disagreements;
use std::collections::{BTreeMap, BTreeSet};

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

/// The container images to ask for, sorted by their references: one for each, wanted for every architecture that any of
/// its names wants. The served name is that of one of them.
pub fn to_ask(wanted: &[Image]) -> Vec<Image> {
    let mut images = BTreeMap::<&ImageRef, Image>::new();
    for image in wanted {
        match images.get_mut(&image.reference) {
            Some(same) => {
                same.architectures.extend(&image.architectures);
                same.spans.extend(image.spans.iter().cloned());
            }
            None => drop(images.insert(&image.reference, image.clone())),
        }
    }
    images.into_values().collect()
}

/// The names that each image is served under.
pub(crate) fn served(images: &[Image]) -> BTreeMap<&ImageRef, BTreeSet<ServedName>> {
    let mut served = BTreeMap::<&ImageRef, BTreeSet<ServedName>>::new();
    for image in images {
        served.entry(&image.reference).or_default().insert(image.served.clone());
    }
    served
}
