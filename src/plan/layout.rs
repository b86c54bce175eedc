//! Which entries share a layer. Owns the rule that keeps layers few and stable; does not know what the entries
//! are, nor how layers are built.
//!
//! While there are few entries, each has a layer of its own. When the budget is short, the big ones keep theirs and
//! the small ones share groups. A group is chosen by the hash of the entry's *identity*, so neither the order of a list,
//! nor a new version, nor a neighbour that comes or goes moves an entry to another group. Bytes only decide who is big,
//! in coarse classes, so that a new version of much the same size stays where it was.
//!
//! The numbers below are the layer layout, version [`VERSION`]: changing any of them moves entries between layers, and
//! every user's next push is then a full one.

use sha2::{Digest, Sha256};

use crate::tree::identity::Identity;

/// The version of the rule in this file.
pub const VERSION: u32 = 1;

/// How many of them are kept for the base image, whatever it has today: the layout must not change when the base gets
/// another layer. Bases with more take the next multiple of [`BASE_STEP`].
const BASE_RESERVE: usize = 20;
/// See [`BASE_RESERVE`].
const BASE_STEP: usize = 10;

/// How many layers the content of an image may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Layers of one entry each.
    own: usize,
    /// Layers that entries share.
    groups: usize,
}

/// The base image leaves no room for content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom {
    /// Layers of the base image.
    pub base: usize,
    /// Layers that an image may have.
    pub budget: usize,
}

impl Budget {
    /// The budget of an image of at most `limit` layers, on top of a base image of `base` layers and `fixed` layers of our
    /// own (configuration).
    pub fn above(base: usize, fixed: usize, limit: usize) -> Result<Self, NoRoom> {
        let reserve = (base + fixed).next_multiple_of(BASE_STEP).max(BASE_RESERVE);
        let content = limit.checked_sub(reserve).filter(|content| *content >= 3);
        let content = content.ok_or(NoRoom { base, budget: limit })?;
        Ok(Self { own: content * 2 / 3, groups: content.div_ceil(3) })
    }

    /// So many layers of one entry each, and so many (at least one) that entries share.
    pub fn of(own: usize, groups: usize) -> Self {
        Self { own, groups: groups.max(1) }
    }

    /// Whether the layout of `entries` entries depends on their sizes.
    pub fn needs_bytes(self, entries: usize) -> bool {
        entries > self.own
    }
}

/// What the layout knows of an entry.
#[derive(Debug, Clone)]
pub struct Item {
    /// What it is, whatever its version.
    pub identity: Identity,
    /// What tells entries of the same identity apart: the path in the image.
    pub path: String,
    /// Its size in bytes, where it is known and [`Budget::needs_bytes`].
    pub bytes: Option<u64>,
}

/// The entries of one layer, as indices into the items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Share {
    /// One entry has the layer to itself.
    Own(usize),
    /// The group of that number has these entries, in the order of their paths.
    Group(usize, Vec<usize>),
}

/// Divides the items among layers: first those with a layer of their own, by path, then the groups by number.
pub fn layout(items: &[Item], budget: Budget) -> Vec<Share> {
    let hashes: Vec<[u8; 32]> = items.iter().map(|item| Sha256::digest(item.identity.as_str()).into()).collect();
    let mut ranked: Vec<usize> = (0..items.len()).collect();
    ranked.sort_by(|&a, &b| {
        let key = |at: usize| (std::cmp::Reverse(size_class(items[at].bytes)), hashes[at], &items[at].path);
        key(a).cmp(&key(b))
    });
    let rest = ranked.split_off(budget.own.min(ranked.len()));
    let by_path = |indices: &mut Vec<usize>| indices.sort_by(|&a, &b| items[a].path.cmp(&items[b].path));

    by_path(&mut ranked);
    let mut groups = vec![Vec::new(); budget.groups];
    for at in rest {
        groups[group(&hashes[at], budget.groups)].push(at);
    }
    groups.iter_mut().for_each(by_path);
    let own = ranked.into_iter().map(Share::Own);
    let groups = groups.into_iter().enumerate().filter(|(_, entries)| !entries.is_empty());
    own.chain(groups.map(|(number, entries)| Share::Group(number, entries))).collect()
}

/// The number of the group of an identity, of so many (at least one).
pub(crate) fn group_of(identity: &Identity, groups: usize) -> usize {
    group(&Sha256::digest(identity.as_str()).into(), groups)
}

/// The number of the group for an identity's hash.
fn group(hash: &[u8; 32], groups: usize) -> usize {
    let head = u64::from_be_bytes(hash[..8].try_into().expect("a SHA-256 has 32 bytes"));
    usize::try_from(head % groups as u64).expect("a remainder is smaller than its divisor")
}

/// Powers of four: a new version seldom leaves its class.
fn size_class(bytes: Option<u64>) -> u32 {
    bytes.and_then(|bytes| bytes.checked_ilog(4)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// What a layer holds; equal content means an equal layer.
    type Contents = BTreeSet<BTreeSet<(String, u64)>>;

    fn contents(entries: &[(String, u64)]) -> Contents {
        let budget = Budget::above(8, 1, 90).expect("there is room");
        let items: Vec<Item> = entries
            .iter()
            .map(|(path, bytes)| Item { identity: Identity::of(path), path: path.clone(), bytes: Some(*bytes) })
            .collect();
        layout(&items, budget)
            .into_iter()
            .map(|share| match share {
                Share::Own(at) => BTreeSet::from([entries[at].clone()]),
                Share::Group(_, group) => group.into_iter().map(|at| entries[at].clone()).collect(),
            })
            .collect()
    }

    /// `n` files of many sizes.
    fn files(n: u64) -> Vec<(String, u64)> {
        (0..n).map(|at| (format!("host.example/tool{at}x/v1.2.{at}/file"), 1000 + at * at * 977 % 50_000_000)).collect()
    }

    fn new_layers(before: &Contents, after: &Contents) -> usize {
        after.difference(before).count()
    }

    #[test]
    fn few_entries_have_a_layer_each() {
        assert_eq!(contents(&files(44)).len(), 44);
    }

    #[test]
    fn many_entries_keep_the_budget() {
        for n in [46, 47, 100, 1_000, 5_000] {
            assert!(contents(&files(n)).len() <= 90 - BASE_RESERVE, "{n}");
        }
    }

    #[test]
    fn the_order_does_not_matter() {
        let mut reversed = files(300);
        reversed.reverse();
        assert_eq!(contents(&files(300)), contents(&reversed));
    }

    #[test]
    fn one_entry_more_or_less_changes_at_most_two_layers() {
        for n in [45, 46, 47, 48, 90, 200, 1_000] {
            let all = files(n);
            for gone in (0..all.len()).step_by(1 + all.len() / 50) {
                let mut fewer = all.clone();
                fewer.remove(gone);
                let (with, without) = (contents(&all), contents(&fewer));
                assert!(new_layers(&with, &without) <= 2, "{n} without {gone}");
                assert!(new_layers(&without, &with) <= 2, "{n} with {gone}");
            }
        }
    }

    #[test]
    fn a_new_version_of_about_the_same_size_changes_one_layer() {
        let all = files(1_000);
        for at in (0..all.len()).step_by(7) {
            let mut bumped = all.clone();
            bumped[at].0 = bumped[at].0.replace("/v1.2.", "/v1.3.0-rc.");
            bumped[at].1 += 3;
            assert_eq!(new_layers(&contents(&all), &contents(&bumped)), 1, "{at}");
        }
    }

    /// The promise where a new version is of another size class: it gets a layer of its own, its group loses it, and the
    /// entry that makes room joins another group; or the other way round.
    #[test]
    fn a_new_version_of_another_size_changes_at_most_three_layers() {
        let mut most = 0;
        for n in [60, 200, 1_000] {
            let all = files(n);
            let before = contents(&all);
            for at in (0..all.len()).step_by(1 + all.len() / 60) {
                for bytes in [0, 1_000, 40_000, 1 << 20, 1 << 30] {
                    let mut bumped = all.clone();
                    bumped[at].0 = bumped[at].0.replace("/v1.2.", "/v1.3.0-rc.");
                    bumped[at].1 = bytes;
                    let after = contents(&bumped);
                    most = most.max(new_layers(&before, &after)).max(new_layers(&after, &before));
                }
            }
        }
        assert_eq!(most, 3);
    }

    /// Numbers of groups are in users' registries: they never change.
    #[test]
    fn the_group_of_an_identity_is_fixed() {
        let groups = |count: usize| ["a", "b", "dl.k8s.io/kubelet"].map(|name| group_of(&Identity::exact(name), count));
        assert_eq!(groups(1), [0, 0, 0]);
        assert_eq!(groups(24), [10, 10, 21]);
        assert_eq!(groups(1_000), [250, 946, 501]);
    }

    #[test]
    fn what_the_base_may_take_is_kept_free_in_steps() {
        assert_eq!(Budget::above(8, 1, 90), Ok(Budget { own: 46, groups: 24 }));
        assert_eq!(Budget::above(19, 1, 90), Ok(Budget { own: 46, groups: 24 }));
        assert_eq!(Budget::above(19, 2, 90), Ok(Budget { own: 40, groups: 20 }));
        assert_eq!(Budget::above(8, 1, 23), Ok(Budget { own: 2, groups: 1 }));
        assert_eq!(Budget::above(8, 1, 22), Err(NoRoom { base: 8, budget: 22 }));
    }

    #[test]
    fn sizes_matter_only_where_entries_share_layers() {
        assert!(!Budget::of(3, 1).needs_bytes(3));
        assert!(Budget::of(3, 1).needs_bytes(4));
    }

    #[test]
    fn a_base_that_fills_the_budget_is_refused() {
        assert_eq!(Budget::above(88, 1, 90), Err(NoRoom { base: 88, budget: 90 }));
        assert_eq!(Budget::above(8, 1, 90), Budget::above(11, 1, 90));
    }
}
