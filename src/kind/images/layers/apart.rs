//! Which blobs lie apart from the images that need them. Owns the rule that what other images do seldom moves a blob; does
//! not know the layers of images.
//!
//! A blob that several images need must lie somewhere, and where it lies must not change when one of them leaves it: if it
//! moved into the layer of the only image that is left, that layer would be pushed again, whatever its size. So the rule
//! looks at an image and its blobs, and as little as it can at other images:
//!
//! * The layer that an image stands on ([`that_count`]) lies apart, whether or not another image stands on it today.
//! * A shared blob that is small compared with an image is repeated: it lies in the layer of that image, whoever else has it.
//!   What is repeated in an image's layer is less than an [`REPEATED`]th of the image.
//! * Other shared blobs lie apart.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::layout::{self, Budget, Share, layout};
use crate::tree::identity::Identity;
use crate::tree::{Leaf, Unit, UnitId};

/// A layer that is less than one part of so many of its image does not count as the one that the image stands on.
const COUNTS: u64 = 32;
/// See the rule.
const REPEATED: u64 = 6;
/// Where there are more shared blobs than layers, so many layers are groups of the smallest.
const GROUPS: usize = 3;

/// What is needed to choose.
pub(super) struct Needs<'a> {
    pub(super) units: &'a [Unit],
    /// The bytes of each unit.
    pub(super) bulk: &'a [u64],
    /// The units with a layer of their own.
    pub(super) own: &'a BTreeSet<UnitId>,
    /// How many layers there may be.
    pub(super) room: usize,
}

/// The blobs of a scope, as indices.
pub(super) struct Apart {
    /// Those that lie apart.
    pub(super) blobs: Vec<Share>,
    /// Those that lie in layers of images, and of which.
    pub(super) carried: BTreeMap<usize, BTreeSet<UnitId>>,
}

/// Those of the layers of an image that are large enough to tell something of it; in order.
pub(in super::super) fn that_count<'a, T>(
    layers: impl Iterator<Item = (T, u64)> + Clone + 'a,
) -> impl Iterator<Item = T> + 'a
where
    T: 'a,
{
    let all = layers.clone().fold(0_u64, |all, (_, bytes)| all.saturating_add(bytes));
    layers.filter(move |(_, bytes)| *bytes > all / COUNTS).map(|(layer, _)| layer)
}

/// Chooses among the blobs of a scope, which are in the order of their paths.
pub(super) fn apart(blobs: &[(String, Leaf)], needs: &Needs<'_>) -> Apart {
    let mut carried = BTreeMap::<usize, BTreeSet<UnitId>>::new();
    let (mut shared, mut private) = (BTreeSet::new(), Vec::new());
    for (unit, mut has) in by_unit(blobs) {
        has.sort_by_key(|&at| blobs[at].1.size());
        let most = has.iter().fold(0, |all: u64, &at| all.saturating_add(blobs[at].1.size())) / REPEATED;
        let mut repeated = 0_u64;
        for at in has {
            let item = &blobs[at].1;
            let (alone, bottom) = (item.owners.len() == 1, item.bottom_of.contains(&unit));
            if !alone && !bottom {
                repeated = repeated.saturating_add(item.size());
            }
            match (alone, bottom) {
                (true, true) if needs.own.contains(&unit) => private.push((at, unit)),
                (false, true) => drop(shared.insert(at)),
                (false, false) if repeated > most => drop(shared.insert(at)),
                _ => drop(carried.entry(at).or_default().insert(unit)),
            }
        }
    }
    // Shared ones are ranked first: what does not get a layer is in a group. Another goes back to its image.
    let identity = |at: usize| Identity::exact(&blobs[at].0);
    let of_shared: Vec<usize> = shared.into_iter().collect();
    let items = of_shared.iter().map(|&at| item(identity(at), &blobs[at].0, blobs[at].1.size()));
    let mut chosen = Vec::new();
    let groups = if of_shared.len() > needs.room { GROUPS } else { 0 };
    for share in layout(&items.collect::<Vec<_>>(), Budget::of(needs.room.saturating_sub(groups), groups)) {
        chosen.push(match share {
            Share::Own(at) => Share::Own(of_shared[at]),
            Share::Group(number, members) => {
                Share::Group(number, members.into_iter().map(|at| of_shared[at]).collect())
            }
        });
    }
    let left = needs.room.saturating_sub(of_shared.len());
    let items = private
        .iter()
        .map(|&(at, unit)| item(needs.units[unit.index()].identity.clone(), &blobs[at].0, needs.bulk[unit.index()]));
    for share in layout(&items.collect::<Vec<_>>(), Budget::of(left, 1)) {
        match share {
            Share::Own(at) => chosen.push(Share::Own(private[at].0)),
            Share::Group(_, members) => {
                carried.extend(members.into_iter().map(|at| (private[at].0, BTreeSet::from([private[at].1]))));
            }
        }
    }
    Apart { blobs: chosen, carried }
}

fn by_unit(blobs: &[(String, Leaf)]) -> BTreeMap<UnitId, Vec<usize>> {
    let mut by_unit = BTreeMap::<UnitId, Vec<usize>>::new();
    for (at, (_, item)) in blobs.iter().enumerate() {
        for unit in &item.owners {
            by_unit.entry(*unit).or_default().push(at);
        }
    }
    by_unit
}

fn item(identity: Identity, path: &str, bytes: u64) -> layout::Item {
    layout::Item { identity, path: path.to_owned(), bytes: Some(bytes) }
}
