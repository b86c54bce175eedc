//! A user's repository with files, images and a lock. Does not know what is tested.

use std::fs;
use std::path::PathBuf;

use crate::harness::{Build, Buildkitd, FRONTEND, Harness, Kind, Origin, Recipe, Rules, Sample, Upstream};

/// Both platforms, as `--platform` takes them.
pub(super) const BOTH: &str = "linux/amd64,linux/arm64";

/// A folder with `kso.yaml`, and what is behind the names in it: files of `dl.NAME.example`, images of `quay.io`.
pub(super) struct Project {
    name: String,
    /// The build context.
    pub(super) folder: PathBuf,
    /// Where the files come from.
    pub(super) origin: Origin,
    /// Where the images come from.
    pub(super) upstream: Upstream,
}

/// The kinds of the images of a project, by their names.
const IMAGES: [(&str, Kind); 5] = [
    ("index", Kind::OciIndex),
    ("list", Kind::DockerList),
    ("zstd", Kind::Zstd),
    ("attested", Kind::Attested),
    ("chart", Kind::Chart),
];

/// A sample that shares nothing with other tests.
pub(super) fn sample(kind: Kind, repository: &str, version: &str) -> Sample {
    let mut recipe = Recipe::new(kind, repository, version);
    recipe.bases = vec![repository.split('/').next().unwrap_or_default().to_owned()];
    Sample::of(&recipe)
}

impl Project {
    /// A project whose images come from a registry of these rules.
    pub(super) fn new(name: &str, rules: Rules) -> Self {
        let harness = Harness::get();
        let _ = harness.frontend();
        let (origin, upstream) = (Origin::start(), harness.upstream(rules));
        origin.sizes(500..=3_000);
        let project = Self { name: name.to_owned(), folder: harness.folder(name), origin, upstream };
        project.publish(&project.upstream);
        project.define(FRONTEND, "");
        project
    }

    /// Puts the images of the project into a registry.
    pub(super) fn publish(&self, upstream: &Upstream) {
        for (image, kind) in IMAGES {
            upstream
                .put(&format!("{}/{image}:1.0", self.name), &sample(kind, &format!("{}/{image}", self.name), "1.0"));
        }
    }

    /// Writes the definition, with this frontend and more lines at its end.
    pub(super) fn define(&self, frontend: &str, more: &str) {
        let Self { name, origin, .. } = self;
        let host = format!("dl.{name}.example");
        let images: String = IMAGES.map(|(image, _)| format!("  - image: quay.io/{name}/{image}:1.0\n")).concat();
        let text = format!(
            "# syntax={frontend}\napiVersion: kso/v1\nfiles:\n  - url: https://{host}/{{arch}}/kubelet\n  \
             - url: https://{host}/helm\nimages:\n{images}mirrors:\n  \
             - {{ from: 'https://{host}/', to: ['{}'] }}\n{more}",
            origin.mirror(&host)
        );
        fs::write(self.folder.join("kso.yaml"), text).unwrap();
    }

    /// The path at the origin of a file of the definition: `amd64/kubelet`, `arm64/kubelet`, `helm`.
    pub(super) fn file(&self, file: &str) -> String {
        format!("/dl.{}.example/{file}", self.name)
    }

    /// A daemon with an empty cache that finds the project's images.
    pub(super) fn daemon(&self) -> Buildkitd {
        Harness::get().daemon_with(&[("quay.io", &self.upstream)])
    }

    /// A build of a target.
    pub(super) fn build(&self, daemon: &Buildkitd, target: &str) -> Build {
        daemon.buildx().build(&self.folder).file("kso.yaml").target(target)
    }

    /// The lock, written by the target `lock` and put beside the definition.
    pub(super) fn lock(&self, daemon: &Buildkitd) -> String {
        let (build, out) = self.build(daemon, "lock").output("local");
        let _ = build.run().success();
        let text = fs::read_to_string(out.join("kso.lock")).unwrap();
        fs::write(self.folder.join("kso.lock"), &text).unwrap();
        text
    }
}
