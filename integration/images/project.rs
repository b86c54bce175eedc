//! A user's repository with a definition of images, and what the registry image must then serve. Does not know what is
//! tested.

use std::fs;
use std::path::PathBuf;

use crate::harness::{Build, Buildx, Container, Harness, Kind, Recipe, Sample, Unpacked, Upstream};

/// Both platforms, as `--platform` takes them.
pub(crate) const BOTH: &str = "linux/amd64,linux/arm64";

/// Where the storage lies in the image.
pub(super) const STORAGE: &str = "var/lib/registry";

/// A folder with `kso.yaml`.
pub(super) struct Project {
    /// The build context.
    pub(super) folder: PathBuf,
}

impl Project {
    /// A folder whose name starts with `name`, with these entries of `images:` (YAML, indented), from line 4 on.
    pub(super) fn new(name: &str, images: &str) -> Self {
        let project = Self { folder: Harness::get().folder(name) };
        project.define(images, "");
        project
    }

    /// Writes the definition; `registry` is the content of `registry: { }` but for the prefix.
    pub(super) fn define(&self, images: &str, registry: &str) {
        let text = format!(
            "# syntax={}\napiVersion: kso/v1\nimages:\n{images}registry: {{ prefix: k8s{registry} }}\n",
            crate::harness::FRONTEND
        );
        fs::write(self.folder.join("kso.yaml"), text).unwrap();
    }

    /// A build by the shared daemon.
    pub(super) fn build(&self) -> Build {
        self.build_by(Harness::get().buildx())
    }

    /// A build by another daemon.
    pub(super) fn build_by(&self, buildx: &Buildx) -> Build {
        let _ = Harness::get().frontend();
        buildx.build(&self.folder).file("kso.yaml").target("images")
    }
}

/// The registry image of a platform, ready to be started. The stand-in for `registry:3` holds programs of this machine for
/// either platform, so both can be.
pub(crate) fn unpack(image: &str, platform: &str) -> Unpacked {
    Container::unpack(Harness::get(), image, platform).port(5000)
}

/// A sample that shares nothing with other tests: a daemon knows a blob by its digest alone, wherever it came from.
pub(crate) fn sample(kind: Kind, image: &str) -> Sample {
    let (name, version) = image.rsplit_once(':').unwrap_or((image, "1"));
    let mut recipe = Recipe::new(kind, name, version);
    recipe.bases = vec![name.split('/').next().unwrap_or_default().to_owned()];
    Sample::of(&recipe)
}

/// Puts a sample of a kind into a registry and returns it.
pub(super) fn put(upstream: &Upstream, image: &str, kind: Kind) -> Sample {
    let sample = sample(kind, image);
    upstream.put(image, &sample);
    sample
}

/// The manifest digests of both platforms of a pushed image.
pub(crate) fn digests(image: &str) -> [String; 2] {
    ["linux/amd64", "linux/arm64"].map(|platform| Harness::get().registry().image(image, platform).digest)
}
