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
use crate::resolve::expected::{Expected, Role};
use crate::resolve::image::{Resolved, Text};
use crate::spec::{Arch, Digest, Held, Image as Wanted, Repository, Spec};

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
    for (at, (image, resolved)) in spec.images.iter().zip(resolved).enumerate() {
        let documents = resolved.expected(&image.architectures);
        for Descriptor { digest, bytes, .. } in documents.iter().flat_map(Expected::blobs) {
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
    let tiers = spec.registry.architectures == Held::Match;
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
            tree.add_image(image, resolved, &wanted, Holder { unit, platform: *platform });
        }
        // Where there is one architecture, what would be the same on another lies as if there were: adding it moves little.
        if let ([_], Held::Match) = (&spec.architectures[..], spec.registry.architectures) {
            let others = Arch::ALL.into_iter().filter(|arch| !spec.architectures.contains(arch));
            others.for_each(|other| tree.add_common(image, resolved, Holder { unit, platform: other }));
        }
    }
    (list, tree.items)
}

/// Who holds an entry: an image, as a unit, on a platform.
#[derive(Debug, Clone, Copy)]
struct Holder {
    unit: usize,
    platform: Arch,
}

#[derive(Default)]
struct Tree {
    items: BTreeMap<String, Item>,
}

impl Tree {
    /// Adds what the image of `platform` holds of an image: its manifests for the architectures that are wanted.
    fn add_image(&mut self, image: &Wanted, resolved: &Resolved, wanted: &BTreeSet<Arch>, holder: Holder) {
        let documents = resolved.expected(wanted);
        if documents.is_empty() {
            return;
        }
        self.add_top(image, resolved, holder);
        let repository = &image.served.repository;
        for document in &documents {
            self.add_document(repository, document.text, holder);
            for Descriptor { digest, bytes, .. } in document.blobs() {
                self.add(storage::data(digest), *bytes, holder, || Content::Blob(digest.clone()));
                self.add_link(storage::layer(repository, digest), digest, holder);
            }
        }
        let manifests = documents.iter().filter(|document| matches!(document.role, Role::Manifest(_)));
        for bottom in manifests.filter_map(|document| bottom(document.manifest?)) {
            self.items.entry(storage::data(bottom)).and_modify(|item| _ = item.bottom_of.insert(holder.unit));
        }
    }

    /// Adds what the image of `platform` holds of an image whatever the platform: its index, or all of an artifact.
    fn add_common(&mut self, image: &Wanted, resolved: &Resolved, holder: Holder) {
        if resolved.index().is_some() {
            self.add_top(image, resolved, holder);
        } else if resolved.manifests().iter().all(|held| !held.manifest.is_image()) {
            self.add_image(image, resolved, &image.architectures, holder);
        }
    }

    /// Adds what the name of an image leads to, and the way there.
    fn add_top(&mut self, image: &Wanted, resolved: &Resolved, holder: Holder) {
        let (repository, top) = (&image.served.repository, resolved.top());
        self.add_document(repository, top, holder);
        for path in image.served.tag.iter().flat_map(|tag| storage::tag(repository, tag, &top.digest)) {
            self.add_link(path, &top.digest, holder);
        }
    }

    fn add_document(&mut self, repository: &Repository, Text { digest, text, .. }: &Text, holder: Holder) {
        self.add(storage::data(digest), text.len() as u64, holder, || Content::Text(text.clone()));
        self.add_link(storage::revision(repository, digest), digest, holder);
    }

    fn add_link(&mut self, path: String, digest: &Digest, holder: Holder) {
        let text = storage::link(digest);
        self.add(path, text.len() as u64, holder, || Content::Text(text));
    }

    fn add(&mut self, path: String, bytes: u64, holder: Holder, content: impl FnOnce() -> Content) {
        let item = self.items.entry(path).or_insert_with(|| Item::new(content(), bytes));
        item.owners.insert(holder.unit);
        item.scope.insert(holder.platform);
    }
}

/// The layer that an image stands on, likely another image's: its lowest that counts, if another one counts too.
fn bottom(manifest: &Manifest) -> Option<&Digest> {
    let mut counts = image_layers::that_count(manifest.layers.iter().map(|layer| (&layer.digest, layer.bytes)));
    let lowest = counts.next()?;
    counts.any(|other| other != lowest).then_some(lowest)
}

#[cfg(test)]
mod tests;
