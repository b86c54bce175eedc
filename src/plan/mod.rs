//! The plan: which files lie in which layers of which images. Owns the trees, the layers and the OCI configs; does not
//! know BuildKit, nor where bytes come from.

pub mod config;
pub mod files;
pub mod identity;
pub mod layout;

use crate::diagnostic::Diagnostic;
use layout::NoRoom;

/// What will be built for one target: layers that all platforms share, and an image for each platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The layers above the base image, the same for every platform.
    pub layers: Vec<Layer>,
    /// The images, in the order of the bases that were given.
    pub images: Vec<Image>,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// What a person calls it in the progress and in the image's history.
    pub name: String,
    /// What it holds, sorted by path, each path once. Never empty.
    pub entries: Vec<Entry>,
}

/// One file of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The absolute path in the image.
    pub path: String,
    /// What it holds.
    pub content: Content,
}

/// Where the bytes of an entry come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The file of the specification with this index, as it was fetched.
    File(usize),
    /// Text that kso wrote.
    Text(String),
}

/// The image of one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The OCI config, JSON; BuildKit fills in the diff IDs.
    pub config: Vec<u8>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The base image's config is not one.
    Config,
    /// The base image leaves no room for layers.
    NoRoom(NoRoom),
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        match error {
            Error::Config => Self::error("the base image has no OCI config: it is no image that can be run"),
            Error::NoRoom(NoRoom { base, budget }) => {
                Self::error(format!("the base image has {base} layers, and an image may have {budget} in all"))
                    .help("choose a base image with fewer layers")
            }
        }
    }
}

#[cfg(test)]
mod tests;
