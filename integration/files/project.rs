//! A user's repository: a definition and its lists, with an origin behind every host. Does not know what is tested.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{Build, Harness, Origin};

/// The tag of the nginx stand-in.
pub(crate) const BASE: &str = "docker.io/library/nginx:1.27-alpine";
/// Both platforms, as `--platform` takes them.
pub(crate) const BOTH: &str = "linux/amd64,linux/arm64";

/// A folder with `kso.yaml` and `temp/files-{amd64,arm64}.list`.
pub(crate) struct Project {
    name: String,
    /// The build context.
    pub(crate) folder: PathBuf,
    /// Where the mirrors of the definition lead.
    pub(crate) origin: Origin,
    lists: BTreeMap<&'static str, Vec<String>>,
}

impl Project {
    /// A project of these URLs; the folder's name starts with `name`.
    pub(crate) fn new(name: &str, amd64: Vec<String>, arm64: Vec<String>) -> Self {
        let folder = Harness::get().folder(name);
        fs::create_dir(folder.join("temp")).unwrap();
        let project = Self {
            name: name.to_owned(),
            folder,
            origin: Origin::start(),
            lists: BTreeMap::from([("amd64", amd64), ("arm64", arm64)]),
        };
        project.write();
        project
    }

    /// `count` small tools of a host of their own, in one list for both architectures.
    pub(crate) fn tools(name: &str, count: usize) -> Self {
        let urls: Vec<String> = (0..count).map(|number| tool(name, number)).collect();
        let project = Self::new(name, urls.clone(), urls);
        project.origin.sizes(200..=2_000);
        project
    }

    /// The file lists of Kubespray v2.25.1, or our own where the shared data are absent.
    pub(crate) fn kubespray(name: &str) -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let shared = manifest.join("../shared/data/kubespray/v2.25.1/expected");
        let folder = if shared.is_dir() {
            eprintln!("using the lists of {}", shared.display());
            shared
        } else {
            eprintln!("{} is absent: using the list of examples/files", shared.display());
            manifest.join("examples/files/temp")
        };
        let read = |arch: &str| {
            let text = fs::read_to_string(folder.join(format!("files-{arch}.list"))).unwrap();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let project = Self::new(name, read("amd64"), read("arm64"));
        project.origin.sizes(20_000..=400_000);
        project
    }

    /// Changes both lists in the same way.
    pub(crate) fn edit_both(&mut self, change: impl Fn(&mut Vec<String>)) {
        self.lists.values_mut().for_each(change);
        self.write();
    }

    fn write(&self) {
        for (arch, urls) in &self.lists {
            let text: String = urls.iter().map(|url| format!("{url}\n")).collect();
            fs::write(self.folder.join(format!("temp/files-{arch}.list")), text).unwrap();
        }
        self.define("  - list: temp/files-{arch}.list\n");
    }

    /// Writes a definition with these entries of `files:` (YAML, indented), and mirrors for every host.
    pub(crate) fn define(&self, files: &str) {
        let mut text = format!("# syntax={}\napiVersion: kso/v1\nfiles:\n{files}", crate::harness::FRONTEND);
        let hosts: BTreeMap<String, String> = self
            .urls()
            .iter()
            .map(|url| (host_of(url).to_owned(), url.split_once("://").unwrap().0.to_owned()))
            .collect();
        if !hosts.is_empty() {
            text.push_str("mirrors:\n");
        }
        for (host, scheme) in hosts {
            writeln!(text, "  - {{ from: \"{scheme}://{host}/\", to: [\"{}\"] }}", self.origin.mirror(&host)).unwrap();
        }
        fs::write(self.folder.join("kso.yaml"), text).unwrap();
    }

    /// The entries of `files:` for all URLs, each with the checksum of what the origin has now.
    pub(crate) fn pinned(&self) -> String {
        let entry = |url: &String| format!("  - {{ url: \"{url}\", sha256: {} }}\n", self.origin.sha256(&path_of(url)));
        self.urls().iter().map(entry).collect()
    }

    /// The URL of a tool of this project.
    pub(crate) fn tool(&self, number: usize) -> String {
        tool(&self.name, number)
    }

    /// The path of that tool at the origin.
    pub(crate) fn tool_path(&self, number: usize) -> String {
        path_of(&self.tool(number))
    }

    /// All URLs, each once, sorted.
    pub(crate) fn urls(&self) -> Vec<String> {
        let mut urls: Vec<String> = self.lists.values().flatten().cloned().collect();
        urls.sort();
        urls.dedup();
        urls
    }

    /// A build of this project by the shared daemon.
    pub(crate) fn build(&self) -> Build {
        self.build_by(Harness::get().buildx())
    }

    /// A build of this project by another daemon.
    pub(crate) fn build_by(&self, buildx: &crate::harness::Buildx) -> Build {
        let _ = Harness::get().frontend();
        buildx.build(&self.folder).file("kso.yaml")
    }

    /// Builds for both platforms and pushes as `image`; the layers above the base, which both platforms share.
    pub(crate) fn push(&self, image: &str) -> Vec<String> {
        let _ = self.build().platform(BOTH).push(image).run().success();
        content_layers(image)
    }
}

/// The URL of a tool that does not exist. Each project has a host of its own: BuildKit knows content by its digest, and
/// would not fetch for one test what it fetched for another.
fn tool(project: &str, number: usize) -> String {
    format!("https://{project}.example/tool{number}x/v1.{}.0/tool{number}x-linux.tgz", number % 9)
}

/// `host[:port]` of a URL.
pub(crate) fn host_of(url: &str) -> &str {
    url.split_once("://").unwrap().1.split('/').next().unwrap()
}

/// The path at which the origin has a URL's file: `/host/path`. Also where the image serves it, below `/k8s`.
pub(crate) fn path_of(url: &str) -> String {
    format!("/{}", url.split_once("://").unwrap().1)
}

/// The content layers of a pushed image, above the base and below kso, which must be the same for both platforms.
pub(crate) fn content_layers(image: &str) -> Vec<String> {
    let registry = Harness::get().registry();
    let [amd64, arm64] = ["linux/amd64", "linux/arm64"].map(|platform| {
        let base = registry.image(BASE, platform).layers();
        let image = registry.image(image, platform);
        let history = image.config["history"].as_array().expect("a history");
        let carried = ["kso: kso verify", "kso: the lock"];
        let carried = history.iter().filter(|step| carried.iter().any(|name| step["created_by"] == *name)).count();
        let mut layers = image.layers();
        layers.truncate(layers.len() - carried);
        assert_eq!(layers[..base.len()], base, "the base's layers come first");
        layers[base.len()..].to_vec()
    });
    assert_eq!(amd64, arm64, "both platforms share the content");
    amd64
}

/// How many of `after`'s layers `before` has not.
pub(crate) fn new_layers(before: &[String], after: &[String]) -> usize {
    after.iter().filter(|layer| !before.contains(layer)).count()
}
