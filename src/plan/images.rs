//! The plan of the target `images`: a registry whose storage is filled. Owns which entries the storage has on which
//! platform; does not know how blobs are fetched, nor which entries share a layer.

use std::collections::{BTreeMap, BTreeSet};

use super::config::{self, Additions, image_config};
use super::files::Options;
use super::identity::Identity;
pub use super::image_layers::VERSION;
use super::image_layers::{self, Item, Room, Unit};
pub use super::storage::Content;
use super::{Error, Image, Layer, Plan, storage};
use crate::oci::{Descriptor, Manifest};
use crate::resolve::Base;
use crate::resolve::image::{Held as HeldManifest, Resolved, Text};
use crate::spec::{Arch, Digest, Held, Image as Wanted, Spec};

/// A blob that registries are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Its size in bytes, as manifests tell it.
    pub bytes: u64,
    /// The images that have it, as indices into those of the specification; never empty.
    pub images: BTreeSet<usize>,
}

/// Every blob of the images, with those that have it. `resolved` is parallel to the images of the specification.
pub fn blobs(spec: &Spec, resolved: &[Resolved]) -> BTreeMap<Digest, Blob> {
    let mut blobs = BTreeMap::<Digest, Blob>::new();
    for (at, (_, resolved)) in spec.images.iter().zip(resolved).enumerate() {
        for Descriptor { digest, bytes, .. } in resolved.manifests().iter().flat_map(descriptors) {
            let blob = blobs.entry(digest.clone()).or_insert(Blob { bytes: *bytes, images: BTreeSet::new() });
            blob.images.insert(at);
        }
    }
    blobs
}

/// The blobs that layers hold, each once.
pub fn needed<'a>(layers: impl IntoIterator<Item = &'a Layer<Content>>) -> BTreeSet<&'a Digest> {
    let entries = layers.into_iter().flat_map(|layer| &layer.entries);
    let blobs = entries.filter_map(|entry| match &entry.content {
        Content::Blob(digest) => Some(digest),
        Content::Text(_) => None,
    });
    blobs.collect()
}

/// The plan for `spec` above `bases`, one for each platform; `resolved` is parallel to its images. The layers of a
/// platform do not depend on which others are built.
pub fn plan(spec: &Spec, resolved: &[Resolved], bases: &[Base], options: &Options) -> Result<Plan<Content>, Error> {
    let arches = bases.iter().map(|base| arch(spec, base)).collect::<Result<Vec<Arch>, _>>()?;
    let base_layers = bases.iter().map(|base| config::layer_count(&base.config)).max().unwrap_or(0);
    let tiers = spec.registry.architectures == Held::Match && spec.architectures.len() > 1;
    let room = Room::above(base_layers + super::ABOVE, spec.registry.layers.get(), tiers).map_err(Error::NoRoom)?;

    let (units, items) = tree(spec, resolved);
    let layers = image_layers::layers(&units, items, &room);
    let layers: Vec<_> =
        layers.into_iter().filter(|(scope, _)| arches.iter().any(|arch| scope.contains(arch))).collect();
    let images = bases.iter().zip(arches).map(|(base, arch)| {
        let own: Vec<usize> = (0..layers.len()).filter(|at| layers[*at].0.contains(&arch)).collect();
        let additions = Additions {
            epoch: options.epoch,
            labels: options.labels.clone(),
            layers: options.history(base, own.iter().map(|at| layers[*at].1.name.as_str())),
            ports: Vec::new(),
            no_volumes: true,
        };
        let config = image_config(&base.config, &additions).map_err(|_| Error::Config)?;
        Ok(Image { layers: own, config })
    });
    let images = images.collect::<Result<_, _>>()?;
    Ok(Plan { layers: layers.into_iter().map(|(_, layer)| layer).collect(), images })
}

/// The architecture of a platform, which must be one of the definition's.
fn arch(spec: &Spec, base: &Base) -> Result<Arch, Error> {
    let name = base.platform.split('/').nth(1).unwrap_or_default();
    spec.architectures
        .iter()
        .copied()
        .find(|arch| arch.as_str() == name)
        .ok_or_else(|| Error::Platform { platform: base.platform.clone(), architectures: spec.architectures.clone() })
}

/// The storage of all platforms: the units that entries belong to, and the entries by their path.
///
/// A unit is what changes together: the images with one digest, whatever their names.
fn tree(spec: &Spec, resolved: &[Resolved]) -> (Vec<Unit>, BTreeMap<String, Item>) {
    let mut units = BTreeMap::<(Identity, &Digest), Vec<usize>>::new();
    for (at, (image, resolved)) in spec.images.iter().zip(resolved).enumerate() {
        // A version is in the tag: numbers in a name tell images apart.
        let identity = Identity::exact(image.reference.name());
        units.entry((identity, &resolved.top().digest)).or_default().push(at);
    }
    // One digest under names of several repositories is one unit: the first's.
    let mut numbers = BTreeMap::<&Digest, usize>::new();
    let mut list = Vec::<Unit>::new();
    for ((identity, digest), images) in &units {
        let first = images.first().map(|at| spec.images[*at].served.to_string()).unwrap_or_default();
        numbers.entry(digest).or_insert_with(|| {
            list.push(Unit { identity: identity.clone(), name: first });
            list.len() - 1
        });
    }
    let mut tree = Tree::default();
    for (image, resolved) in spec.images.iter().zip(resolved) {
        let unit = numbers[&resolved.top().digest];
        for platform in &spec.architectures {
            let wanted: BTreeSet<Arch> = match spec.registry.architectures {
                Held::All => image.architectures.clone(),
                Held::Match => image.architectures.iter().copied().filter(|arch| arch == platform).collect(),
            };
            tree.add_image(image, resolved, &wanted, unit, *platform);
        }
    }
    (list, tree.items)
}

#[derive(Default)]
struct Tree {
    items: BTreeMap<String, Item>,
}

impl Tree {
    /// Adds what the image of `platform` holds of an image: its manifests for the architectures that are wanted.
    fn add_image(&mut self, image: &Wanted, resolved: &Resolved, wanted: &BTreeSet<Arch>, unit: usize, platform: Arch) {
        let repository = &image.served.repository;
        let manifests: Vec<&HeldManifest> =
            resolved.manifests().iter().filter(|held| !held.architectures.is_disjoint(wanted)).collect();
        if manifests.is_empty() {
            return;
        }
        let top = resolved.top();
        let mut documents: Vec<&Text> = vec![top];
        documents.extend(manifests.iter().map(|held| &held.text));
        documents.extend(manifests.iter().flat_map(|held| held.attestations.iter().map(|(text, _)| text)));
        let blobs = || manifests.iter().copied().flat_map(descriptors);

        let mut add = |path: String, bytes: u64, content: &dyn Fn() -> Content| {
            let item = self.items.entry(path).or_insert_with(|| Item::new(content(), bytes));
            item.owners.insert(unit);
            item.scope.insert(platform);
        };
        for Text { digest, text, .. } in &documents {
            add(storage::data(digest), text.len() as u64, &|| Content::Text(text.clone()));
        }
        for Descriptor { digest, bytes, .. } in blobs() {
            add(storage::data(digest), *bytes, &|| Content::Blob(digest.clone()));
        }
        let mut link = |path: String, digest: &Digest| {
            let text = storage::link(digest);
            add(path, text.len() as u64, &|| Content::Text(text.clone()));
        };
        for Text { digest, .. } in &documents {
            link(storage::revision(repository, digest), digest);
        }
        for path in image.served.tag.iter().flat_map(|tag| storage::tag(repository, tag, &top.digest)) {
            link(path, &top.digest);
        }
        for Descriptor { digest, .. } in blobs() {
            link(storage::layer(repository, digest), digest);
        }
        for bottom in manifests.iter().filter_map(|held| bottom(&held.manifest)) {
            self.items.entry(storage::data(bottom)).and_modify(|item| _ = item.bottom_of.insert(unit));
        }
    }
}

/// The layer that an image stands on, likely another image's: its lowest that counts, if another one counts too.
fn bottom(manifest: &Manifest) -> Option<&Digest> {
    let mut counts = image_layers::that_count(manifest.layers.iter().map(|layer| (&layer.digest, layer.bytes)));
    let lowest = counts.next()?;
    counts.any(|other| other != lowest).then_some(lowest)
}

/// The blobs of a manifest and of its attestations.
fn descriptors(held: &HeldManifest) -> impl Iterator<Item = &Descriptor> {
    held.manifest.blobs().chain(held.attestations.iter().flat_map(|(_, manifest)| manifest.blobs()))
}

#[cfg(test)]
mod tests;
