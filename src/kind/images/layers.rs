//! Which entries of the registry's storage share a layer. Owns the rule that upgrading one image moves little else;
//! does not know the storage's paths.
//!
//! An entry has a *scope*, the platforms that hold it, and *owners*, the images that need it. A layer holds entries of one
//! scope only, so that it belongs to each platform of its scope whole; what both platforms hold is in layers of both.
//! Within a scope there are
//!
//! * the layers of images, as [`super::layout`] divides them: one each for the biggest, stable groups for the rest;
//! * the layers of blobs that lie *apart* from the images that need them: what [`apart`] chooses, by digest;
//! * the layers of documents: links and indexes of a wider scope than the rest of their image, or with several owners.
//!   They are small, and grouped by the identity of the image.
//!
//! Where there is one platform, the layers are those that it would have with another, except for the blobs that the other
//! would hold too: the caller gives what every platform holds a wide scope.
//!
//! The numbers here and in [`room`] are the layout of images, version [`VERSION`]: changing any of them makes every user's
//! next push a full one.

mod apart;
mod room;

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::counted;
use crate::kind::images::layers::apart::{Apart, Needs};
use crate::kind::images::layers::room::{ScopeRoom, Wide};
use crate::name::Arch;
use crate::plan::layout::{self, Share, group_of, layout};
use crate::plan::{Content, Entry, Layer};
use crate::tree::identity::Identity;
use crate::tree::{Leaf, Scope, Tree, Unit, UnitId};

pub(super) use crate::kind::images::layers::apart::that_count;
pub(super) use crate::kind::images::layers::room::Room;

/// The version of the rule in this module.
pub const VERSION: u32 = 1;

/// What goes into the layers of one scope, by path.
#[derive(Default)]
struct Sorted {
    /// Links and manifests that lie with the blobs of their unit.
    units: BTreeMap<UnitId, Vec<(String, Leaf)>>,
    blobs: Vec<(String, Leaf)>,
    documents: BTreeMap<Identity, Vec<(String, Leaf)>>,
}

/// Divides the entries among layers; each layer with its scope. A blob that is small compared with the images that need it may
/// lie in the layer of each of them.
pub(crate) fn layers(tree: Tree, room: &Room) -> Vec<(Scope, Layer)> {
    let (units, items) = tree.into_parts();
    let homes = homes(units.len(), &items);
    let bulk = bulk(units.len(), &items);
    let mut scopes = BTreeMap::<Scope, Sorted>::new();
    for (path, item) in items {
        let scope = scopes.entry(item.scope.clone()).or_default();
        let owner = item.owners.first().copied().filter(|_| item.owners.len() == 1);
        match (owner, &item.content) {
            (_, Content::Artifact(_)) => scope.blobs.push((path, item)),
            (Some(unit), _) if homes[unit.index()].has(&item.scope) => {
                scope.units.entry(unit).or_default().push((path, item));
            }
            (_, Content::Text(_)) => {
                let identity = item.owners.first().map(|unit| units[unit.index()].identity.clone());
                let identity = identity.unwrap_or_else(|| Identity::exact(""));
                scope.documents.entry(identity).or_default().push((path, item));
            }
        }
    }
    let widest = scopes.keys().map(BTreeSet::len).max().unwrap_or(0);
    let wide = |scope: &Scope| scope.len() == widest && widest > 1;
    let all = scopes.iter().find(|(scope, _)| wide(scope)).map(|(_, sorted)| Wide {
        images: sorted.owners().len(),
        apart: sorted.blobs.iter().filter(|(_, item)| item.owners.len() > 1).count(),
    });
    let mut layers = Vec::new();
    for (scope, sorted) in scopes {
        let room = room.of(wide(&scope), sorted.owners().len(), all.unwrap_or_default());
        let about = if wide(&scope) { String::new() } else { names(&scope) };
        layers.extend(sorted.layers(&units, &bulk, &room, &about).into_iter().map(|layer| (scope.clone(), layer)));
    }
    layers
}

/// ` for amd64`
fn names(scope: &Scope) -> String {
    let names: Vec<&str> = scope.iter().map(|arch| arch.as_str()).collect();
    format!(" for {}", names.join(" and "))
}

/// How big each unit is: the bytes of its blobs, if every architecture had as many as the platform that has most of them.
/// So it does not become another by a second platform.
fn bulk(units: usize, items: &BTreeMap<String, Leaf>) -> Vec<u64> {
    let mut bulk = vec![BTreeMap::<Arch, u64>::new(); units];
    for item in items.values().filter(|item| matches!(item.content, Content::Artifact(_))) {
        for unit in &item.owners {
            for platform in &item.scope {
                let bytes = bulk[unit.index()].entry(*platform).or_default();
                *bytes = bytes.saturating_add(item.size());
            }
        }
    }
    let all = Arch::ALL.len() as u64;
    bulk.into_iter().map(|platforms| platforms.into_values().max().unwrap_or(0).saturating_mul(all)).collect()
}

/// Where the bulk of an image is.
#[derive(Clone, Default)]
struct Home {
    /// Every platform that holds some of it.
    all: Scope,
    /// Whether the platforms hold different blobs of it.
    split: bool,
}

impl Home {
    /// Whether an entry of that scope lies with the bulk.
    fn has(&self, scope: &Scope) -> bool {
        if self.split { scope.len() == 1 } else { *scope == self.all }
    }
}

fn homes(units: usize, items: &BTreeMap<String, Leaf>) -> Vec<Home> {
    let mut homes = vec![Home::default(); units];
    for item in items.values() {
        for unit in &item.owners {
            homes[unit.index()].all.extend(item.scope.iter().copied());
        }
    }
    // A blob's scope is wider than its image's where another image needs it on more platforms.
    for item in items.values().filter(|item| matches!(item.content, Content::Artifact(_))) {
        for unit in &item.owners {
            homes[unit.index()].split |=
                item.scope != homes[unit.index()].all && item.scope.is_subset(&homes[unit.index()].all);
        }
    }
    homes
}

impl Sorted {
    /// The units that have something here.
    fn owners(&self) -> BTreeSet<UnitId> {
        let blobs = self.blobs.iter().flat_map(|(_, item)| item.owners.iter().copied());
        self.units.keys().copied().chain(blobs).collect()
    }

    fn layers(mut self, units: &[Unit], bulk: &[u64], room: &ScopeRoom, about: &str) -> Vec<Layer> {
        let numbers: Vec<UnitId> = self.owners().into_iter().collect();
        // Big is what the whole image has, not its part in this scope: so a big image has a layer of its own in every scope.
        let items = numbers.iter().map(|unit| layout::Item {
            identity: units[unit.index()].identity.clone(),
            path: units[unit.index()].name.clone(),
            bytes: Some(bulk[unit.index()]),
        });
        let items: Vec<layout::Item> = items.collect();
        let shares = layout(&items, room.images);
        let own: BTreeSet<UnitId> = shares
            .iter()
            .filter_map(|share| if let Share::Own(at) = share { Some(numbers[*at]) } else { None })
            .collect();

        let needs = Needs { units, bulk, own: &own, room: room.apart };
        let Apart { blobs: apart, carried } = apart::apart(&self.blobs, &needs);
        for (at, owners) in carried {
            let (path, item) = &self.blobs[at];
            for unit in owners {
                self.units.entry(unit).or_default().push((path.clone(), item.clone()));
            }
        }

        let mut layers = Vec::new();
        for share in shares {
            let (name, members) = match share {
                Share::Own(at) => (format!("{}{about}", items[at].path), vec![at]),
                Share::Group(number, members) => {
                    (format!("group {number}: {}{about}", counted(members.len(), "smaller image")), members)
                }
            };
            let contents = members.into_iter().flat_map(|at| self.units.remove(&numbers[at]).unwrap_or_default());
            layers.extend(layer(name, contents));
        }
        for share in apart {
            let (name, members) = match share {
                Share::Own(at) => {
                    (format!("a blob of {}{about}", counted(self.blobs[at].1.owners.len(), "image")), vec![at])
                }
                Share::Group(number, members) => {
                    (format!("group {number}: {}{about}", counted(members.len(), "shared blob")), members)
                }
            };
            layers.extend(layer(name, members.into_iter().map(|at| self.blobs[at].clone())));
        }
        let mut groups = vec![Vec::new(); room.documents];
        for (identity, entries) in self.documents {
            groups[group_of(&identity, room.documents)].extend(entries);
        }
        for (number, entries) in groups.into_iter().enumerate() {
            layers.extend(layer(format!("group {number}: indexes and links{about}"), entries.into_iter()));
        }
        layers
    }
}

/// A layer, unless it would be empty.
fn layer(name: String, entries: impl Iterator<Item = (String, Leaf)>) -> Option<Layer> {
    // Images of one group may have the same blob.
    let entries: BTreeMap<String, Content> = entries.map(|(path, item)| (path, item.content)).collect();
    let entries: Vec<_> = entries.into_iter().map(|(path, content)| Entry { path, content }).collect();
    (!entries.is_empty()).then_some(Layer { name, entries })
}
