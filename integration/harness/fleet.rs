//! Many images at once: the ones Kubespray installs, with stand-in contents, and as many more as a test wants. It does not
//! know where they are put.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;

use super::content::size;
use super::sample::{Kind, Recipe, Sample};
use super::upstream::Upstream;

/// The hosts of the names.
pub const HOSTS: [&str; 4] = ["docker.io", "ghcr.io", "quay.io", "registry.k8s.io"];

/// Used where the shared data are absent: the images of a small cluster.
const FALLBACK: &str = include_str!("fleet.list");

/// An image of the fleet.
#[derive(Debug, Clone)]
pub struct Member {
    /// `quay.io/calico/node:v3.27.4`
    pub name: String,
    recipe: Recipe,
}

impl Member {
    fn new(name: &str) -> Self {
        let (repository, version) = name.rsplit_once(':').unwrap_or((name, "latest"));
        // What a name decides, from 0 to below `most`; another number for each purpose.
        let pick = |purpose: &str, most: u64| size(&format!("{name}/{purpose}"), &(1..=1 << 20)) % most;
        // registry.k8s.io's programs stand on distroless, which has many small layers; the others on a few distributions.
        let bases: Vec<String> = if repository.starts_with("registry.k8s.io") {
            (0..4).map(|layer| format!("distroless-{layer}")).collect()
        } else {
            vec![format!("distribution-{}", pick("base", 5))]
        };
        let recipe = Recipe {
            kind: if pick("kind", 3) == 0 { Kind::DockerList } else { Kind::OciIndex },
            name: repository.to_owned(),
            version: version.to_owned(),
            bases,
            own: usize::try_from(3 + pick("own", 6)).expect("a small number"),
            common: pick("common", 3) == 0,
            sizes: 1_000..=60_000,
        };
        Self { name: name.to_owned(), recipe }
    }

    /// `(host, path:tag)`
    pub fn split(&self) -> (&str, &str) {
        self.name.split_once('/').expect("every name has a host")
    }

    /// The same image with layers of these sizes in bytes, for two platforms and no other: whoever copies all of it finds all
    /// of it.
    #[must_use]
    pub fn for_two_platforms(mut self, sizes: RangeInclusive<u64>) -> Self {
        self.recipe.kind = Kind::OciPair;
        self.recipe.sizes = sizes;
        self
    }

    /// Another version of it: the bases stay, its own layers change.
    #[must_use]
    pub fn upgraded(&self, version: &str) -> Self {
        let mut member = self.clone();
        member.name = format!("{}:{version}", self.recipe.name);
        version.clone_into(&mut member.recipe.version);
        member
    }

    /// Another version of it on bases that no other image has.
    #[must_use]
    pub fn rebased(&self, version: &str) -> Self {
        let mut member = self.upgraded(version);
        member.recipe.bases.iter_mut().for_each(|base| base.push_str("-next"));
        member
    }

    /// What is published under its name, as far as it concerns the two architectures.
    pub fn sample(&self) -> Sample {
        Sample::of(&self.recipe).keep(&["linux/amd64", "linux/arm64"])
    }
}

/// The images of Kubespray v2.25.1, or our own list where the shared data are absent.
pub fn kubespray() -> Vec<Member> {
    let shared =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/kubespray/v2.25.1/expected/images-amd64.list");
    let text = std::fs::read_to_string(&shared).unwrap_or_else(|_| {
        eprintln!("{} is absent: using integration/harness/fleet.list", shared.display());
        FALLBACK.to_owned()
    });
    text.lines().filter(|line| !line.trim().is_empty()).map(Member::new).collect()
}

/// The images of a list.
pub fn named(names: &[String]) -> Vec<Member> {
    names.iter().map(|name| Member::new(name)).collect()
}

/// `count` images: Kubespray's, then images of no one's.
pub fn of(count: usize) -> Vec<Member> {
    let mut members = kubespray();
    members.truncate(count);
    let more = members.len()..count;
    members.extend(more.map(|number| Member::new(&format!("quay.io/fleet/app-{number:03}:v1.{}.0", number % 7))));
    members
}

/// Puts them all into one registry, which is to be found under every one of [`HOSTS`]; returns how many distinct blobs and
/// documents that were, and their bytes.
pub fn put(members: &[Member], upstream: &Upstream) -> (usize, u64) {
    let (mut digests, mut bytes) = (BTreeSet::new(), 0);
    for member in members {
        let sample = member.sample();
        upstream.put(member.split().1, &sample);
        for (digest, blob) in &sample.blobs {
            bytes += if digests.insert(digest.clone()) { blob.len() as u64 } else { 0 };
        }
        for document in &sample.documents {
            bytes += if digests.insert(document.digest()) { document.bytes.len() as u64 } else { 0 };
        }
    }
    (digests.len(), bytes)
}
