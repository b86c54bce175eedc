//! Which entries of the registry's storage share a layer. Owns the rule that upgrading one image moves little else
//! (DESIGN §5.6); does not know the storage's paths.
//!
//! An entry has a *scope*, the platforms that hold it, and *owners*, the images that need it. A layer holds entries of one
//! scope only, so that it belongs to each platform of its scope whole; what both platforms hold is in layers of both.
//! Within a scope there are
//!
//! * the layers of images: what one image alone needs, as [`super::layout`] divides them: one each for the biggest, stable
//!   groups for the rest;
//! * the layers of shared blobs: placed by their own digest, so that it does not matter which images come and go as long
//!   as two are left;
//! * the layers of documents: links and indexes of a wider scope than the rest of their image, or with several owners.
//!   They are small, and grouped by the identity of the image.
//!
//! The numbers below are the layout of images, version [`VERSION`]: changing any of them makes every user's next push a
//! full one.

use std::collections::{BTreeMap, BTreeSet};

use super::identity::Identity;

use super::layout::{self, BUDGET, Budget, NoRoom, Share, group_of, layout};
use super::storage::Content;
use super::{Entry, Layer};
use crate::spec::Arch;

/// The version of the rule in this file.
pub const VERSION: u32 = 1;

/// Layers are kept for the base in steps of so many: the layout must not change when it gets another one.
const BASE_STEP: usize = 10;
/// The least that is left for content.
const LEAST: usize = 40;

/// Layers that small images share.
const GROUPS: usize = 8;
/// Layers of blobs that images share.
const SHARED: usize = 8;
/// Layers of links and indexes.
const DOCUMENTS: usize = 6;
/// How many of [`GROUPS`], [`SHARED`] and [`DOCUMENTS`] are for what all platforms hold, where platforms differ.
const WIDE: [usize; 3] = [2, 2, 4];

/// What changes together: the images with one digest.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    /// What it is, whatever its version.
    pub(super) identity: Identity,
    /// What a person calls it.
    pub(super) name: String,
}

/// An entry that has no layer yet.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) content: Content,
    /// Its size.
    pub(super) bytes: u64,
    /// The units that need it, never empty.
    pub(super) owners: BTreeSet<usize>,
    /// The platforms that hold it, never empty.
    pub(super) scope: Scope,
}

/// The platforms that hold something, by their architectures.
pub(super) type Scope = BTreeSet<Arch>;

/// How many layers there may be of which kind, on one platform.
#[derive(Debug, Clone)]
pub(super) struct Room {
    /// Layers of one image each.
    own: usize,
    /// Whether platforms hold different things.
    tiers: bool,
}

/// How many layers one scope may have.
struct ScopeRoom {
    images: Budget,
    shared: Budget,
    documents: usize,
}

impl Room {
    /// The room above a base image of `base` layers.
    pub(super) fn above(base: usize, tiers: bool) -> Result<Self, NoRoom> {
        let content = BUDGET.checked_sub(base.next_multiple_of(BASE_STEP).max(BASE_STEP));
        let content = content.filter(|content| *content >= LEAST).ok_or(NoRoom { base, budget: BUDGET })?;
        Ok(Self { own: content - GROUPS - SHARED - DOCUMENTS, tiers })
    }

    /// The room of what one platform alone holds (`wide` false) or all do, where so many images compete for it and
    /// `wide_images` images are the same on all platforms.
    fn of(&self, wide: bool, images: usize, wide_images: usize) -> ScopeRoom {
        let (groups, shared, documents) = (GROUPS, SHARED, DOCUMENTS);
        let [wide_groups, wide_shared, wide_documents] = WIDE;
        // Blobs that only a few images share get layers of their own where images leave room.
        let with_spare = |own: usize, groups: usize, spare: usize| Budget::of(own + spare, groups);
        if !self.tiers {
            let spare = self.own.saturating_sub(images);
            let images = Budget::of(self.own, groups);
            return ScopeRoom { images, shared: with_spare(shared - 3, 3, spare), documents };
        }
        let wide_own = wide_images.min(self.own / 4);
        if wide {
            let images = Budget::of(wide_own, wide_groups);
            return ScopeRoom { images, shared: Budget::of(1, wide_shared - 1), documents: wide_documents };
        }
        let own = self.own - wide_own;
        let spare = own.saturating_sub(images);
        ScopeRoom {
            images: Budget::of(own, groups - wide_groups),
            shared: with_spare(shared - wide_shared - 2, 2, spare),
            documents: documents - wide_documents,
        }
    }
}

/// What goes into the layers of one scope, by path.
#[derive(Default)]
struct Sorted {
    units: BTreeMap<usize, Vec<(String, Item)>>,
    shared: Vec<(String, Item)>,
    documents: BTreeMap<Identity, Vec<(String, Item)>>,
}

/// Divides the entries among layers; each layer with its scope.
pub(super) fn layers(units: &[Unit], items: BTreeMap<String, Item>, room: &Room) -> Vec<(Scope, Layer<Content>)> {
    let homes = homes(units.len(), &items);
    let mut bulk = vec![0_u64; units.len()];
    for item in items.values() {
        if let (1, Some(unit)) = (item.owners.len(), item.owners.first()) {
            bulk[*unit] = bulk[*unit].saturating_add(item.bytes);
        }
    }
    let mut scopes = BTreeMap::<Scope, Sorted>::new();
    for (path, item) in items {
        let scope = scopes.entry(item.scope.clone()).or_default();
        let owner = item.owners.first().copied().filter(|_| item.owners.len() == 1);
        match (owner, &item.content) {
            (Some(unit), Content::Blob(_)) => scope.units.entry(unit).or_default().push((path, item)),
            (Some(unit), _) if homes[unit].has(&item.scope) => scope.units.entry(unit).or_default().push((path, item)),
            (_, Content::Blob(_)) => scope.shared.push((path, item)),
            (_, Content::Text(_)) => {
                let identity = item.owners.first().map(|unit| units[*unit].identity.clone());
                let identity = identity.unwrap_or_else(|| Identity::exact(""));
                scope.documents.entry(identity).or_default().push((path, item));
            }
        }
    }
    let widest = scopes.keys().map(BTreeSet::len).max().unwrap_or(0);
    let wide = |scope: &Scope| scope.len() == widest && widest > 1;
    let wide_images = scopes.iter().find(|(scope, _)| wide(scope)).map_or(0, |(_, sorted)| sorted.units.len());
    let mut layers = Vec::new();
    for (scope, sorted) in scopes {
        let room = room.of(wide(&scope), sorted.units.len(), wide_images);
        let about = if wide(&scope) { String::new() } else { names(&scope) };
        layers.extend(sorted.layers(units, &bulk, &room, &about).into_iter().map(|layer| (scope.clone(), layer)));
    }
    layers
}

/// ` for amd64`
fn names(scope: &Scope) -> String {
    let names: Vec<&str> = scope.iter().map(|arch| arch.as_str()).collect();
    format!(" for {}", names.join(" and "))
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

fn homes(units: usize, items: &BTreeMap<String, Item>) -> Vec<Home> {
    let mut homes = vec![Home::default(); units];
    for item in items.values() {
        for unit in &item.owners {
            homes[*unit].all.extend(item.scope.iter().copied());
        }
    }
    // A blob's scope is wider than its image's where another image needs it on more platforms.
    for item in items.values().filter(|item| matches!(item.content, Content::Blob(_))) {
        for unit in &item.owners {
            homes[*unit].split |= item.scope != homes[*unit].all && item.scope.is_subset(&homes[*unit].all);
        }
    }
    homes
}

impl Sorted {
    fn layers(self, units: &[Unit], bulk: &[u64], room: &ScopeRoom, about: &str) -> Vec<Layer<Content>> {
        let Self { units: by_unit, shared, documents } = self;
        let mut layers = Vec::new();

        let (numbers, mut contents): (Vec<usize>, Vec<_>) = by_unit.into_iter().unzip();
        // Big is what the whole image has, on all platforms: so a big image has a layer of its own in every scope.
        let items: Vec<layout::Item> = numbers
            .iter()
            .map(|unit| layout::Item {
                identity: units[*unit].identity.clone(),
                path: units[*unit].name.clone(),
                bytes: Some(bulk[*unit]),
            })
            .collect();
        for share in layout(&items, room.images) {
            let (name, members) = match share {
                Share::Own(at) => (format!("{}{about}", items[at].path), vec![at]),
                Share::Group(number, members) => {
                    (format!("group {number}: {}{about}", counted(members.len(), "smaller image")), members)
                }
            };
            layers.push(layer(name, members.into_iter().flat_map(|at| std::mem::take(&mut contents[at]))));
        }

        let items: Vec<layout::Item> = shared
            .iter()
            .map(|(path, item)| layout::Item {
                identity: Identity::exact(path),
                path: path.clone(),
                bytes: Some(item.bytes),
            })
            .collect();
        let mut shared: Vec<Option<(String, Item)>> = shared.into_iter().map(Some).collect();
        for share in layout(&items, room.shared) {
            let (name, members) = match share {
                Share::Own(at) => {
                    let of = shared[at].as_ref().map_or(0, |(_, item)| item.owners.len());
                    (format!("a blob of {}{about}", counted(of, "image")), vec![at])
                }
                Share::Group(number, members) => {
                    (format!("group {number}: {}{about}", counted(members.len(), "shared blob")), members)
                }
            };
            layers.push(layer(name, members.into_iter().filter_map(|at| shared[at].take())));
        }

        let mut groups = vec![Vec::new(); room.documents];
        for (identity, entries) in documents {
            groups[group_of(&identity, room.documents)].extend(entries);
        }
        for (number, entries) in groups.into_iter().enumerate().filter(|(_, entries)| !entries.is_empty()) {
            layers.push(layer(format!("group {number}: indexes and links{about}"), entries.into_iter()));
        }
        layers
    }
}

fn layer(name: String, entries: impl Iterator<Item = (String, Item)>) -> Layer<Content> {
    let mut entries: Vec<_> = entries.map(|(path, item)| Entry { path, content: item.content }).collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Layer { name, entries }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
