//! How many layers there may be of which kind. Owns the numbers; does not know what goes into them.

use crate::plan::layout::{Budget, NoRoom};

/// Layers are kept for the base in steps of so many: the layout must not change when it gets another one.
const BASE_STEP: usize = 8;
/// The least that is left for content.
const LEAST: usize = 40;

/// Layers of links and indexes of what all platforms hold, and of what one platform alone does.
const DOCUMENTS: usize = 4;
const NARROW_DOCUMENTS: usize = 1;
/// Where platforms differ: the part of the layers that images get of what all hold, the groups that the smallest of them
/// share beyond that, and the layers of blobs apart of what all hold.
const WIDE_PART: usize = 4;
const WIDE_GROUPS: usize = 2;
const WIDE_APART: usize = 4;

/// How many layers there may be of which kind, on one platform.
#[derive(Debug, Clone)]
pub(in super::super) struct Room {
    /// Layers for content.
    content: usize,
    /// Whether platforms hold different things.
    tiers: bool,
}

/// How many layers one scope may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScopeRoom {
    /// Layers of images.
    pub(super) images: Budget,
    /// Layers of blobs apart.
    pub(super) apart: usize,
    /// Layers of documents.
    pub(super) documents: usize,
}

impl Room {
    /// The room above a base image of `base` layers, in an image of at most `limit`.
    pub(in super::super) fn above(base: usize, limit: usize, tiers: bool) -> Result<Self, NoRoom> {
        let content = limit.checked_sub(base.next_multiple_of(BASE_STEP).max(BASE_STEP));
        let content = content.filter(|content| *content >= LEAST).ok_or(NoRoom { base, budget: limit })?;
        Ok(Self { content, tiers })
    }

    /// The room of what one platform alone holds (`wide` false) or all do, where so many images compete for it, and
    /// `all` is what all platforms hold.
    pub(super) fn of(&self, wide: bool, images: usize, all: Wide) -> ScopeRoom {
        if !self.tiers {
            return ScopeRoom::of(self.content - DOCUMENTS, images, DOCUMENTS);
        }
        let own = all.images.min(self.content / WIDE_PART);
        let groups = if all.images > own { WIDE_GROUPS } else { 0 };
        let apart = all.apart.min(WIDE_APART);
        if wide {
            return ScopeRoom { images: Budget::of(own, WIDE_GROUPS), apart, documents: DOCUMENTS };
        }
        let kept = own + groups + apart + DOCUMENTS + NARROW_DOCUMENTS;
        ScopeRoom::of(self.content - kept, images, NARROW_DOCUMENTS)
    }
}

/// What all platforms hold, where they differ.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wide {
    /// The images that have some of it.
    pub(super) images: usize,
    /// The blobs of it that lie apart, at most.
    pub(super) apart: usize,
}

impl ScopeRoom {
    /// Divides `layers`: up to three quarters for images, and what they leave for blobs apart. Where there are more images,
    /// five eighths for the biggest of them, and a quarter for groups of the others: few of them then share a layer.
    fn of(layers: usize, images: usize, documents: usize) -> Self {
        let alone = layers * 3 / 4;
        if images <= alone {
            return Self { images: Budget::of(alone, 1), apart: layers - images, documents };
        }
        let (own, groups) = (layers * 5 / 8, layers / 4);
        Self { images: Budget::of(own, groups), apart: layers - own - groups, documents }
    }
}
