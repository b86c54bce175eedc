//! Container images against a lock. Owns which architectures a place must be complete for; does not know where it is.

mod registry;
mod storage;

use std::collections::BTreeSet;

use super::LockedImage;
use crate::name::{Arch, Digest, Repository};

pub use registry::RegistryServer;
pub use storage::check;

/// What a lock says of images that can be held and may not run.
pub fn notes(images: &[&LockedImage]) -> Vec<String> {
    images
        .iter()
        .flat_map(|image| image.resolved.mismatches().map(|why| format!("{} {why}", image.reference())))
        .collect()
}

/// The architectures that a storage or a registry must be complete for: each of which it has a manifest that is for no
/// other, and `architecture` in any case; all where neither says any. `holds` says whether a repository of it has a
/// document.
fn held_architectures(
    images: &[&LockedImage],
    architecture: Option<Arch>,
    holds: impl Fn(&Repository, &Digest) -> bool,
) -> BTreeSet<Arch> {
    let mut architectures: BTreeSet<Arch> = architecture.into_iter().collect();
    for image in images {
        for held in image.resolved.manifests().iter().filter(|held| held.architectures.len() == 1) {
            if image.served.iter().any(|name| holds(&name.repository, &held.text.digest)) {
                architectures.extend(&held.architectures);
            }
        }
    }
    if architectures.is_empty() { Arch::ALL.into_iter().collect() } else { architectures }
}
