//! More than one machine: a builder with a node for each platform, and builders that share a cache in a registry.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;

use libtest_mimic::Trial;

use crate::files::content_layers;
use crate::harness::{Build, Buildx, Document, FRONTEND, Harness, Kind, Origin, Rules, Sample, Upstream};
use crate::images::project::{BOTH, digests, sample};
use crate::trials::{Test, trials};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    const TESTS: &[Test] = &[
        ("two_nodes_build_one_image", two_nodes_build_one_image),
        ("a_fresh_node_takes_the_files_from_the_cache", a_fresh_node_takes_the_files_from_the_cache),
    ];
    trials("nodes", TESTS)
}

const FILES: usize = 6;
const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// A definition of pinned files and of images.
struct Project {
    folder: std::path::PathBuf,
    origin: Origin,
    upstream: Upstream,
    images: Vec<Sample>,
}

impl Project {
    fn new(name: &str) -> Self {
        let harness = Harness::get();
        let _ = harness.frontend();
        let origin = Origin::start();
        origin.sizes(200_000..=900_000);
        let upstream = harness.upstream(Rules::default());
        let mut definition = format!("# syntax={FRONTEND}\napiVersion: kso/v1\nfiles:\n");
        for number in 0..FILES {
            let path = format!("/{name}.example/tool{number}.tgz");
            let sha256 = origin.sha256(&path);
            writeln!(definition, "  - {{ url: \"https:/{path}\", sha256: {sha256} }}").unwrap();
        }
        definition += "images:\n";
        let mut images = Vec::new();
        for kind in [Kind::OciIndex, Kind::DockerList, Kind::Zstd] {
            let image = format!("{name}/{}:1.0", format!("{kind:?}").to_lowercase());
            let sample = sample(kind, &image);
            upstream.put(&image, &sample);
            writeln!(definition, "  - image: {}", upstream.reference(&image)).unwrap();
            images.push(sample);
        }
        let host = format!("{name}.example");
        writeln!(definition, "mirrors:\n  - {{ from: \"https://{host}/\", to: [\"{}\"] }}", origin.mirror(&host))
            .unwrap();
        let folder = harness.folder(name);
        fs::write(folder.join("kso.yaml"), definition).unwrap();
        Self { folder, origin, upstream, images }
    }

    fn build(&self, buildx: &Buildx, target: &str) -> Build {
        buildx.build(&self.folder).file("kso.yaml").target(target).platform(BOTH)
    }

    /// The layers that a platform's registry image holds.
    fn blobs_of(&self, platform: &str) -> BTreeSet<String> {
        let documents = self.images.iter().flat_map(|image| &image.documents);
        documents
            .filter(|document| document.platform.starts_with(platform))
            .flat_map(Document::blobs)
            .filter(|digest| !self.configs().contains(digest))
            .collect()
    }

    fn configs(&self) -> BTreeSet<String> {
        let documents = self.images.iter().flat_map(|image| &image.documents);
        documents.filter_map(|document| Some(document.json()["config"]["digest"].as_str()?.to_owned())).collect()
    }

    fn bytes(&self, blobs: &BTreeSet<String>) -> usize {
        blobs
            .iter()
            .filter_map(|digest| self.images.iter().find_map(|image| image.blobs.get(digest)))
            .map(Vec::len)
            .sum()
    }
}

/// The guide has these numbers: bytes of files and of blobs.
fn documented(rows: &[(&str, usize, usize)]) {
    let mut table = "| fetched by | bytes of files | bytes of blobs |\n|---|---|---|\n".to_owned();
    for (who, files, blobs) in rows {
        writeln!(table, "| {who} | {} | {} |", grouped(*files), grouped(*blobs)).unwrap();
    }
    let guide = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guide.md")).unwrap();
    assert!(guide.contains(&table), "docs/guide.md, \"Several builders\", must have what was measured:\n{table}");
}

/// `1,234,567`
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    groups.map(String::from_utf8_lossy).collect::<Vec<_>>().join(",")
}

/// Each node downloads what its platform's image holds: the files twice, an architecture's blobs once.
fn two_nodes_build_one_image() {
    let harness = Harness::get();
    let project = Project::new("two-nodes");
    let daemons = [harness.fresh_daemon(), harness.fresh_daemon()];
    let [amd64, arm64] = [daemons[0].address(), daemons[1].address()];
    let nodes = [("linux/amd64", amd64.as_str()), ("linux/arm64", arm64.as_str())];
    let buildx = Buildx::nodes(harness.tools(), harness.folder("nodes-home"), &nodes).unwrap();

    let _ = project.build(&buildx, "files").push("org/two-nodes-files:1").run().success();
    let layers = content_layers("org/two-nodes-files:1");
    assert_eq!(layers.len(), FILES + 1, "one image of both nodes: the files, and the configuration");
    let bodies = project.origin.bodies();
    assert_eq!(bodies.len(), FILES);
    assert!(bodies.values().all(|count| *count == 2), "each node fetches for itself: {bodies:?}");

    let _ = project.build(&buildx, "images").push("org/two-nodes-images:1").run().success();
    let [amd64, arm64] = digests("org/two-nodes-images:1");
    assert_ne!(amd64, arm64);
    let each = PLATFORMS.map(|platform| project.blobs_of(platform));
    let needed = |digest: &String| each.iter().filter(|blobs| blobs.contains(digest)).count();
    let expected: BTreeMap<String, usize> =
        each.iter().flatten().map(|digest| (digest.clone(), needed(digest))).collect();
    assert!(expected.values().any(|count| *count == 2) && expected.values().any(|count| *count == 1));
    // To learn what a tag means, BuildKit reads a config, of the platform it runs on.
    let mut asked = project.upstream.blobs();
    asked.retain(|digest, _| !project.configs().contains(digest));
    assert_eq!(asked, expected);
    let files: usize = bodies.keys().map(|path| project.origin.bytes(path).len()).sum();
    let [amd, arm] = [project.bytes(&each[0]), project.bytes(&each[1])];
    documented(&[
        ("two nodes: the `linux/amd64` node", files, amd),
        ("two nodes: the `linux/arm64` node", files, arm),
        ("two nodes: both together", 2 * files, amd + arm),
        ("one node for both", files, project.bytes(&(&each[0] | &each[1]))),
    ]);

    // The same as one node makes of it.
    let single = harness.fresh_daemon();
    let _ = project.build(single.buildx(), "files").push("org/two-nodes-files:2").run().success();
    assert_eq!(content_layers("org/two-nodes-files:2"), layers);
    let _ = project.build(single.buildx(), "images").push("org/two-nodes-images:2").run().success();
    assert_eq!(digests("org/two-nodes-images:2"), [amd64, arm64]);
}

/// A second builder that is given the first one's cache asks the origin of pinned files for nothing.
fn a_fresh_node_takes_the_files_from_the_cache() {
    let harness = Harness::get();
    let mut project = Project::new("shared-cache");
    let cache = format!("type=registry,ref={}", harness.registry().reference("org/shared-cache:files"));
    let first = harness.fresh_daemon();
    let build = project.build(first.buildx(), "files").args(["--cache-to", &format!("{cache},mode=max")]);
    let _ = build.push("org/shared-files:1").run().success();
    project.origin.forget();
    project.origin.off();
    let second = harness.fresh_daemon();
    let build = project.build(second.buildx(), "files").args(["--cache-from", &cache]);
    let _ = build.push("org/shared-files:2").run().success();
    assert_eq!(digests("org/shared-files:1"), digests("org/shared-files:2"));
    assert_eq!(project.origin.requests().len(), 0);
}
