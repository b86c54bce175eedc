//! The plan of the target `images`: a registry whose storage is filled. Owns which entries the storage has on which
//! platform; does not know how blobs are fetched, nor which entries share a layer.

use std::collections::{BTreeMap, BTreeSet};

use super::Section;
use crate::artifact::{Artifact, Artifacts, Origin};
use crate::base::BaseImage;
use crate::kind::images::expected::{Expected, Role};
use crate::kind::images::layers::Room;
pub use crate::kind::images::layers::VERSION;
use crate::kind::images::resolved::{Resolved, Text};
use crate::kind::images::{Held, Image as Wanted, layers as image_layers, storage};
use crate::name::{Arch, Digest, Repository};
use crate::oci::{Descriptor, Manifest};
use crate::plan::config::{self, Additions, image_config};
use crate::plan::{ABOVE, Content, Error, Image, Options, Plan};
use crate::tree::identity::Identity;
use crate::tree::{Leaf, Tree, Unit, UnitId};

/// Every blob of the images, sorted by digest, with the images that have it. `resolved` is parallel to the images of the
/// specification.
pub fn artifacts(section: Section<'_>, resolved: &[Resolved]) -> Artifacts {
    let mut blobs = BTreeMap::<&Digest, (u64, Vec<&Wanted>)>::new();
    for (image, resolved) in section.images.iter().zip(resolved) {
        let documents = resolved.expected(&image.architectures);
        for Descriptor { digest, bytes, .. } in documents.iter().flat_map(Expected::blobs) {
            let (_, images) = blobs.entry(digest).or_insert((*bytes, Vec::new()));
            if images.last().is_none_or(|last| !std::ptr::eq(*last, image)) {
                images.push(image);
            }
        }
    }
    let mut artifacts = Artifacts::default();
    for (digest, (bytes, images)) in blobs {
        artifacts.push(Artifact {
            label: digest.to_string(),
            pin: Some(digest.clone()),
            bytes: Some(bytes),
            spans: images.iter().filter_map(|image| image.spans.first().cloned()).collect(),
            pinned_at: None,
            origin: Origin::Blob {
                digest: digest.clone(),
                images: images.into_iter().map(|image| image.reference.clone()).collect(),
            },
        });
    }
    artifacts
}

/// The plan for `section` above `bases`, one for each platform; `resolved` is parallel to its images, and `artifacts` are the
/// [`artifacts`] of both. The layers of a platform do not depend on which others are built.
pub fn plan(
    section: Section<'_>,
    resolved: &[Resolved],
    artifacts: &Artifacts,
    bases: &[BaseImage],
    options: &Options,
) -> Result<Plan, Error> {
    let arches = bases.iter().map(|base| arch(section, base)).collect::<Result<Vec<Arch>, _>>()?;
    let base_layers = bases.iter().map(|base| config::layer_count(&base.config)).max().unwrap_or(0);
    let tiers = section.server.architectures == Held::Match;
    let room = Room::above(base_layers + ABOVE, section.server.layers.get(), tiers).map_err(Error::NoRoom)?;

    let layers = image_layers::layers(tree(section, resolved, artifacts), &room);
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
fn arch(section: Section<'_>, base: &BaseImage) -> Result<Arch, Error> {
    base.platform.content_arch().filter(|arch| section.architectures.contains(arch)).ok_or_else(|| Error::Platform {
        platform: base.platform.clone(),
        architectures: section.architectures.to_vec(),
    })
}

/// The storage of all platforms, with the images as units: those with one digest are one, whatever their names.
fn tree(section: Section<'_>, resolved: &[Resolved], artifacts: &Artifacts) -> Tree {
    // The first image of each name and digest: what a person calls the unit.
    let mut first = BTreeMap::<(Identity, &Digest), &Wanted>::new();
    for (image, resolved) in section.images.iter().zip(resolved) {
        // A version is in the tag: numbers in a name tell images apart.
        let identity = Identity::exact(image.reference.name());
        first.entry((identity, &resolved.top().digest)).or_insert(image);
    }
    let mut storage = Storage { tree: Tree::default(), artifacts };
    // One digest under names of several repositories is one unit: the first's.
    let mut units = BTreeMap::<&Digest, UnitId>::new();
    for ((identity, digest), image) in first {
        units.entry(digest).or_insert_with(|| storage.tree.unit(Unit { identity, name: image.served.to_string() }));
    }
    for (image, resolved) in section.images.iter().zip(resolved) {
        let unit = units[&resolved.top().digest];
        for platform in section.architectures {
            let wanted: BTreeSet<Arch> = match section.server.architectures {
                Held::All => image.architectures.clone(),
                Held::Match => image.architectures.iter().copied().filter(|arch| arch == platform).collect(),
            };
            storage.add_image(image, resolved, &wanted, Holder { unit, platform: *platform });
        }
        // Where there is one architecture, what would be the same on another lies as if there were: adding it moves little.
        if let ([_], Held::Match) = (section.architectures, section.server.architectures) {
            let others = Arch::ALL.into_iter().filter(|arch| !section.architectures.contains(arch));
            others.for_each(|other| storage.add_common(image, resolved, Holder { unit, platform: other }));
        }
    }
    storage.tree
}

/// Who holds an entry: an image, as a unit, on a platform.
#[derive(Debug, Clone, Copy)]
struct Holder {
    unit: UnitId,
    platform: Arch,
}

/// The storage, as it grows.
struct Storage<'a> {
    tree: Tree,
    artifacts: &'a Artifacts,
}

impl Storage<'_> {
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
                // Every blob of what was resolved is an artifact.
                let Some(artifact) = self.artifacts.blob(digest) else { continue };
                self.add(storage::data(digest), *bytes, holder, || Content::Artifact(artifact));
                self.add_link(storage::layer(repository, digest), digest, holder);
            }
        }
        let manifests = documents.iter().filter(|document| matches!(document.role, Role::Manifest(_)));
        for bottom in manifests.filter_map(|document| bottom(document.manifest?)) {
            if let Some(leaf) = self.tree.get_mut(&storage::data(bottom)) {
                leaf.bottom_of.insert(holder.unit);
            }
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
        let leaf = self.tree.at(path, || Leaf::new(content(), Some(bytes)));
        leaf.owners.insert(holder.unit);
        leaf.scope.insert(holder.platform);
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
