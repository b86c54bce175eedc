//! What is built: which files and images, and how big they are. Owns the sizes; does not know who builds them.
//!
//! The lists are those of Kubespray v2.25.1 where the shared data are there, else those of the examples. Contents are made
//! up and do not compress, as most real ones do not: they are archives, and layers that are compressed already.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::harness::fleet::{self, Member};
use crate::harness::{Error, Result};
use crate::record::Work;

/// How much is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// What the sample inventory enables, all of it half as big as it is: about 1 GB.
    Small,
    /// Everything that the release knows.
    Kubespray,
}

impl Size {
    /// The value of `SIZE`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        match text {
            "small" => Ok(Self::Small),
            "kubespray" => Ok(Self::Kubespray),
            _ => Err(Error(format!("SIZE is small or kubespray, not {text}"))),
        }
    }

    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Kubespray => "kubespray",
        }
    }

    /// What everything's size is divided by.
    fn part(self) -> u64 {
        if self == Self::Small { 2 } else { 1 }
    }

    fn list(self, what: &str) -> Result<Vec<String>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let variant = if self == Self::Small { "variants/sample." } else { "" };
        let shared = root.join(format!("../shared/data/kubespray/v2.25.1/expected/{variant}{what}.list"));
        let own = root.join(format!("examples/kubespray/temp/{}.list", what.replace("images-amd64", "images")));
        let text = fs::read_to_string(&shared).or_else(|_| {
            eprintln!("{} is absent: using {}", shared.display(), own.display());
            fs::read_to_string(&own).map_err(|error| Error(format!("{}: {error}", own.display())))
        })?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Ok(lines.map(str::to_owned).collect())
    }
}

/// The sizes of real files in megabytes, by a part of the name; the first that fits counts.
const MEGABYTES: &[(&str, u64)] = &[
    ("kubelet", 106),
    ("kubectl", 48),
    ("kubeadm", 46),
    ("etcd-", 19),
    ("cni-plugins", 42),
    ("calicoctl", 60),
    ("cilium-linux", 38),
    ("crictl", 23),
    ("cri-o.", 32),
    ("helm-", 16),
    ("runc.", 10),
    ("crun-", 3),
    ("youki", 4),
    ("kata-static", 270),
    ("containerd-shim", 34),
    ("runsc", 56),
    ("nerdctl", 9),
    ("krew-", 4),
    ("cri-dockerd", 14),
    ("containerd-", 47),
    ("skopeo", 30),
    ("yq_", 10),
];

/// Of anything else.
const OTHER_MEGABYTES: u64 = 8;

/// The sizes of layers in bytes.
const LAYERS: std::ops::RangeInclusive<u64> = 150_000..=12_000_000;

/// What one build is to hold.
#[derive(Debug, Clone)]
pub(crate) struct Inputs {
    /// The paths of the files at the origin, `/dl.k8s.io/…`, for each architecture.
    pub(crate) files: BTreeMap<&'static str, Vec<String>>,
    /// The images.
    pub(crate) images: Vec<Member>,
    size: Size,
}

impl Inputs {
    /// The lists of a size.
    pub(crate) fn of(size: Size) -> Result<Self> {
        let path = |url: String| format!("/{}", url.trim_start_matches("https://"));
        let files = |arch| Ok((arch, size.list(&format!("files-{arch}"))?.into_iter().map(path).collect()));
        let files = ["amd64", "arm64"].into_iter().map(files).collect::<Result<_>>()?;
        let layers = LAYERS.start() / size.part()..=LAYERS.end() / size.part();
        let images = fleet::named(&size.list("images-amd64")?);
        let images = images.into_iter().map(|member| member.for_two_platforms(layers.clone())).collect();
        Ok(Self { files, images, size })
    }

    /// These files alone, for amd64.
    pub(crate) fn programs(files: Vec<String>) -> Self {
        Self { files: BTreeMap::from([("amd64", files)]), images: Vec::new(), size: Size::Small }
    }

    /// The size of a file in bytes.
    pub(crate) fn bytes(&self, path: &str) -> u64 {
        let known = MEGABYTES.iter().find(|(part, _)| path.rsplit('/').next().unwrap_or(path).contains(part));
        // No file of the world is a multiple of anything.
        let bytes = known.map_or(OTHER_MEGABYTES, |(_, megabytes)| *megabytes) * 1_000_000 + path.len() as u64 * 1_009;
        bytes / self.size.part()
    }

    /// The architectures of the content.
    pub(crate) fn architectures(&self) -> Vec<&'static str> {
        self.files.keys().copied().collect()
    }

    /// The same for one architecture.
    pub(crate) fn only(&self, arch: &str) -> Self {
        let mut inputs = self.clone();
        inputs.files.retain(|other, _| *other == arch);
        inputs
    }

    /// The same with one thing of another version: kubectl of arm64, which is the last step of a Dockerfile; or an image of the
    /// middle of the list.
    pub(crate) fn changed(&self, work: Work) -> Self {
        let mut inputs = self.clone();
        if work == Work::Images {
            let at = inputs.images.len() / 2;
            inputs.images[at] = inputs.images[at].upgraded("v99.0.0");
        } else if let Some(file) =
            inputs.files.get_mut("arm64").and_then(|files| files.iter_mut().find(|file| file.ends_with("/kubectl")))
        {
            *file = file.replace("/release/v", "/release/v99.");
        }
        inputs
    }

    /// All paths, each once.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &String> {
        self.files.values().flatten()
    }
}
