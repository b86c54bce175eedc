//! Where bytes lie in an image: the paths, what each holds, and who needs it. Owns these facts; does not know which kind
//! of content they came from, nor which of them share a layer.

pub mod identity;

use std::collections::{BTreeMap, BTreeSet};

use crate::artifact::ArtifactId;
use crate::name::Arch;
use identity::Identity;

/// What a path holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The bytes of an artifact, as they were fetched.
    Artifact(ArtifactId),
    /// Text that kso writes.
    Text(String),
}

/// A unit of a [`Tree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnitId(usize);

/// What changes together from one release to the next: a file, or the images with one digest.
#[derive(Debug, Clone)]
pub struct Unit {
    /// What it is, whatever its version.
    pub identity: Identity,
    /// What a person calls it.
    pub name: String,
}

/// The architectures whose images hold something.
pub type Scope = BTreeSet<Arch>;

/// What is known of a path.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// What it holds.
    pub content: Content,
    /// Its size in bytes, where that is known.
    pub bytes: Option<u64>,
    /// The units that need it. Empty for what belongs to the image as a whole.
    pub owners: BTreeSet<UnitId>,
    /// Those of them that stand on it: it is their lowest layer that counts.
    pub bottom_of: BTreeSet<UnitId>,
    /// The platforms that hold it; never empty.
    pub scope: Scope,
}

/// The content of an image above its base, for all platforms.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    units: Vec<Unit>,
    leaves: BTreeMap<String, Leaf>,
}

impl Content {
    /// The artifact that it is, if it is one.
    pub fn artifact(&self) -> Option<ArtifactId> {
        match self {
            Self::Artifact(id) => Some(*id),
            Self::Text(_) => None,
        }
    }
}

impl UnitId {
    /// Its place among the units of its tree.
    pub fn index(self) -> usize {
        self.0
    }
}

impl Leaf {
    /// Its size in bytes; 0 where that is not known.
    pub fn size(&self) -> u64 {
        self.bytes.unwrap_or(0)
    }

    /// What nobody needs yet.
    pub fn new(content: Content, bytes: Option<u64>) -> Self {
        Self { content, bytes, owners: BTreeSet::new(), bottom_of: BTreeSet::new(), scope: BTreeSet::new() }
    }
}

impl Tree {
    /// Adds a unit.
    pub fn unit(&mut self, unit: Unit) -> UnitId {
        self.units.push(unit);
        UnitId(self.units.len() - 1)
    }

    /// What lies at an absolute path of the image; it is made by `leaf` where nothing does.
    pub fn at(&mut self, path: String, leaf: impl FnOnce() -> Leaf) -> &mut Leaf {
        self.leaves.entry(path).or_insert_with(leaf)
    }

    /// What lies at an absolute path of the image, if anything does.
    pub fn get_mut(&mut self, path: &str) -> Option<&mut Leaf> {
        self.leaves.get_mut(path)
    }

    /// The units, in the order in which they were added, and the leaves by their paths.
    pub fn into_parts(self) -> (Vec<Unit>, BTreeMap<String, Leaf>) {
        (self.units, self.leaves)
    }

    /// The path of each artifact; the first where there are several.
    pub fn paths(&self) -> BTreeMap<ArtifactId, String> {
        let mut paths = BTreeMap::new();
        for (path, leaf) in &self.leaves {
            if let Some(id) = leaf.content.artifact() {
                paths.entry(id).or_insert_with(|| path.clone());
            }
        }
        paths
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Artifacts;
    use crate::artifact::tests::file;

    #[test]
    fn what_lies_where_and_who_needs_it() {
        let mut artifacts = Artifacts::default();
        let id = artifacts.push(file("https://a.example/x"));
        let mut tree = Tree::default();
        let units = ["one", "two", "three"].map(|name| {
            let identity = Identity::exact(name);
            tree.unit(Unit { identity, name: name.to_owned() })
        });
        assert_eq!(units.map(UnitId::index), [0, 1, 2]);
        for path in ["/b", "/a"] {
            tree.at(path.into(), || Leaf::new(Content::Artifact(id), Some(7))).owners.insert(units[1]);
        }
        let text = tree.at("/text".into(), || Leaf::new(Content::Text("text".into()), None));
        assert_eq!((text.size(), text.content.artifact()), (0, None));
        let known = tree.at("/a".into(), || panic!("it is there"));
        assert_eq!((known.size(), known.content.artifact()), (7, Some(id)));
        assert!(tree.get_mut("/c").is_none());
        tree.get_mut("/b").unwrap().bytes = Some(8);
        assert_eq!(tree.paths(), BTreeMap::from([(id, "/a".to_owned())]));

        let (units, leaves) = tree.into_parts();
        assert_eq!(units.iter().map(|unit| unit.name.as_str()).collect::<Vec<_>>(), ["one", "two", "three"]);
        let sizes: Vec<_> = leaves.iter().map(|(path, leaf)| (path.as_str(), leaf.bytes)).collect();
        assert_eq!(sizes, [("/a", Some(7)), ("/b", Some(8)), ("/text", None)]);
        assert_eq!(leaves["/a"].owners.first().map(|unit| unit.index()), Some(1));
    }
}
