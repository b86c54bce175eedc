//! The plan: which files lie in which layers of which images. Owns the trees, the layers and the OCI configs; does not
//! know BuildKit, nor where bytes come from.

pub mod config;
pub mod layout;

use std::collections::{BTreeMap, BTreeSet};

use crate::artifact::ArtifactId;
use crate::base::BaseImage;
use crate::diagnostic::Diagnostic;
use crate::name::{Arch, Platform};
use crate::plan::layout::NoRoom;
pub use crate::tree::Content;

/// The version of the layer layout, of all targets: a lock names the one that its images are built with.
pub const LAYOUT: u32 = layout::VERSION;

/// The largest lock (bytes) that lies in an image: its text is a part of the graph, of which BuildKit takes 16 MiB.
pub const LARGEST_LOCK: usize = 4 << 20;

/// The most layers that lie above the content: kso, and the lock.
pub(crate) const ABOVE: usize = 2;

/// What the user asked of the images, in addition to the specification.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Seconds since 1970 for everything that is dated.
    pub epoch: u64,
    /// Labels from the command line.
    pub labels: BTreeMap<String, String>,
    /// The names of the layers that an image gets above those of the plan, by platform.
    pub above: BTreeMap<Platform, Vec<String>>,
}

impl Options {
    /// What the history of an image says of its layers, of which the plan has these.
    pub(crate) fn history<'a>(&'a self, base: &BaseImage, layers: impl Iterator<Item = &'a str>) -> Vec<String> {
        let above = self.above.get(&base.platform).into_iter().flatten();
        layers.chain(above.map(String::as_str)).map(|name| format!("kso: {name}")).collect()
    }
}

/// What will be built for one target: layers, and an image for each platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The layers above the base images, each once.
    pub layers: Vec<Layer>,
    /// The images, in the order of the bases that were given.
    pub images: Vec<Image>,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// What a person calls it in the progress and in the image's history.
    pub name: String,
    /// What it holds, sorted by path, each path once. Never empty.
    pub entries: Vec<Entry>,
}

/// One file of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The absolute path in the image.
    pub path: String,
    /// What it holds.
    pub content: Content,
}

/// The artifacts that layers hold, each once.
pub fn needed<'a>(layers: impl IntoIterator<Item = &'a Layer>) -> BTreeSet<ArtifactId> {
    let entries = layers.into_iter().flat_map(|layer| &layer.entries);
    entries.filter_map(|entry| entry.content.artifact()).collect()
}

/// The image of one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Which of the plan's layers it has, the lowest first.
    pub layers: Vec<usize>,
    /// The OCI config, JSON; BuildKit fills in the diff IDs.
    pub config: Vec<u8>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The base image's config is not one.
    Config,
    /// The base image leaves no room for layers.
    NoRoom(NoRoom),
    /// The registry image is asked for a platform whose architecture the definition does not have.
    Platform {
        /// What was asked for, such as `linux/s390x`.
        platform: Platform,
        /// What the definition has.
        architectures: Vec<Arch>,
    },
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        match error {
            Error::Config => Self::error("the base image has no OCI config: it is not a runnable image"),
            Error::NoRoom(NoRoom { base, budget }) => {
                Self::error(format!("the base image has {base} layers, but an image may have {budget} in total"))
                    .help("use a base image with fewer layers, or a higher `layers:`")
            }
            Error::Platform { platform, architectures } => {
                let names: Vec<&str> = architectures.iter().map(|arch| arch.as_str()).collect();
                Self::error(format!("no registry image for {platform}: the definition is for {}", names.join(", ")))
                    .help("add it to `architectures:`, or remove it from `--platform`")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Artifacts;
    use crate::artifact::tests::file;

    /// BuildKit's limit is on the message, which also has the rest of the graph.
    #[test]
    fn the_largest_lock_leaves_room_in_a_message() {
        assert_eq!(LARGEST_LOCK, 4_194_304);
    }

    #[test]
    fn the_history_names_the_layers_of_the_plan_and_those_above_them() {
        let platforms = [Arch::Amd64, Arch::Arm64].map(Platform::linux);
        let above = BTreeMap::from([(platforms[0].clone(), vec!["kso.lock".to_owned()])]);
        let options = Options { above, ..Options::default() };
        let history = platforms.map(|platform| {
            let base = BaseImage { platform, reference: "nginx:1".parse().unwrap(), config: Vec::new() };
            options.history(&base, ["kubelet", "runc"].into_iter())
        });
        assert_eq!(history[0], ["kso: kubelet", "kso: runc", "kso: kso.lock"]);
        assert_eq!(history[1], ["kso: kubelet", "kso: runc"]);
    }

    #[test]
    fn what_layers_need_is_named_once() {
        let mut artifacts = Artifacts::default();
        let [used, unused] = ["https://a.example/x", "https://a.example/y"].map(|url| artifacts.push(file(url)));
        let entry = |path: &str, content| Entry { path: path.into(), content };
        let layers = ["/a", "/b"].map(|path| Layer {
            name: path.into(),
            entries: vec![entry(path, Content::Artifact(used)), entry("/c", Content::Text("text".into()))],
        });
        assert_eq!(needed(&layers), BTreeSet::from([used]));
        assert_ne!(used, unused);
    }

    #[test]
    fn why_there_is_no_plan() {
        let said = |error: Error| Diagnostic::from(error).message;
        assert_eq!(
            said(Error::NoRoom(NoRoom { base: 88, budget: 90 })),
            "the base image has 88 layers, but an image may have 90 in total"
        );
        let platform = "linux/s390x".parse().unwrap();
        assert_eq!(
            said(Error::Platform { platform, architectures: vec![Arch::Amd64, Arch::Arm64] }),
            "no registry image for linux/s390x: the definition is for amd64, arm64"
        );
        assert_eq!(said(Error::Config), "the base image has no OCI config: it is not a runnable image");
    }
}
