//! Locks and images that real daemons make: the bytes of locks, as the command and the target write them, and the diff IDs
//! of every layer but that of kso itself.
//!
//! Nothing here is of this machine: base images are samples, downloads and images follow from their names, and hosts have no
//! ports. What does count is how `flate2` compresses the samples.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::read::MultiGzDecoder;

use super::compare;
use super::graph::short;
use super::world::digest;
use crate::harness::{Buildkitd, FRONTEND, Harness, Host, Kind, Origin, Recipe, Rules, Sample, Upstream};
use crate::trials::Test;

pub(super) const TESTS: &[Test] = &[("locks_and_layers", locks_and_layers), ("whole_lock", whole_lock)];

/// The internet of the record.
struct World {
    origin: Origin,
    upstream: Upstream,
}

/// The layers of a base image.
const BASE: [(&str, &str); 2] = [("library/nginx", "1.27-alpine"), ("library/registry", "3")];

/// Registries, all of which are one, and file servers.
const REGISTRIES: [&str; 3] = ["docker.io", "quay.io", "registry.k8s.io"];
const SERVERS: [&str; 4] = ["dl.k8s.io", "get.helm.sh", "github.com", "mirror.example"];

/// The frontend for both platforms: whichever this machine is, either image holds kso and the lock.
fn frontend() -> &'static str {
    Harness::get().frontend_of_both()
}

fn sample(kind: Kind, image: &str) -> Sample {
    let (name, version) = image.rsplit_once(':').expect("a tag");
    Sample::of(&Recipe { bases: vec![name.to_owned()], ..Recipe::new(kind, name, version) })
}

impl World {
    fn new() -> Self {
        let harness = Harness::get();
        let (origin, upstream) = (Origin::start(), harness.upstream(Rules::default()));
        origin.sizes(500..=3_000);
        for (name, version) in BASE {
            let image = format!("{name}:{version}");
            upstream.put(&image, &sample(Kind::OciPair, &image));
        }
        Self { origin, upstream }
    }

    fn daemon(&self) -> Buildkitd {
        let registries = REGISTRIES.iter().map(|host| (*host, Host::Registry(&self.upstream)));
        let servers = SERVERS.iter().map(|host| (*host, Host::Files(&self.origin)));
        Harness::get().daemon_online(&registries.chain(servers).collect::<Vec<_>>())
    }
}

/// A definition as a user has it.
struct Project {
    name: &'static str,
    directory: PathBuf,
    targets: &'static [&'static str],
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if entry.is_dir() {
            copy(&entry, &to);
        } else {
            let _ = fs::copy(&entry, &to).unwrap();
        }
    }
}

impl Project {
    /// An example of the repository; its images are put into the registry.
    fn example(world: &World, name: &'static str, targets: &'static [&'static str]) -> Self {
        let directory = Harness::get().folder("unchanged");
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name), &directory);
        let text = fs::read_to_string(directory.join("kso.yaml")).unwrap();
        fs::write(directory.join("kso.yaml"), text.replace(FRONTEND, frontend())).unwrap();
        let images = fs::read_to_string(directory.join("temp/images.list")).unwrap_or_default();
        for (at, line) in images.lines().enumerate() {
            let (_, image) = line.split_once('/').expect("a host");
            let kind = if at % 3 == 0 { Kind::DockerList } else { Kind::OciIndex };
            world.upstream.put(image, &sample(kind, image));
        }
        Self { name, directory, targets }
    }

    /// A definition of every kind of entry: pins, a mirror, checksums that a server vouches for, and images of all kinds.
    fn everything(world: &World, registry: &str) -> Self {
        let directory = Harness::get().folder("unchanged");
        let kinds = [
            ("index", Kind::OciIndex),
            ("list", Kind::DockerList),
            ("zstd", Kind::Zstd),
            ("attested", Kind::Attested),
            ("chart", Kind::Chart),
            ("signature", Kind::Signature),
        ];
        let mut images = String::new();
        for (name, kind) in kinds {
            let image = format!("unchanged/{name}:1.0");
            world.upstream.put(&image, &sample(kind, &image));
            let _ = writeln!(images, "  - image: quay.io/{image}");
        }
        let helm = world.origin.sha256("/get.helm.sh/helm");
        world.origin.serve("/get.helm.sh/helm.sha256", format!("{helm}  helm\n").into_bytes());
        let pinned = world.origin.sha256("/get.helm.sh/pinned");
        let many: String = (0..60).map(|at| format!("  - url: https://github.com/tools/{at}/tool\n")).collect();
        let text = format!(
            "# syntax={}\napiVersion: kso/v1\nfiles:\n  - url: https://dl.k8s.io/{{arch}}/kubelet\n  \
             - url: https://get.helm.sh/helm\n  - {{ url: https://get.helm.sh/pinned, sha256: {pinned} }}\n  \
             - {{ url: https://away.example/a, path: elsewhere/b }}\n{many}fileServer: {{ layers: 50 }}\nimages:\n{images}\
             registry: {{ {registry} }}\nmirrors:\n  - {{ from: https://away.example/, to: [https://mirror.example/] }}\n",
            frontend()
        );
        fs::write(directory.join("kso.yaml"), text).unwrap();
        let name = if registry.contains("all") { "everything, all architectures" } else { "everything" };
        Self { name, directory, targets: &["files", "images"] }
    }

    /// A small release of Kubespray, in the build context.
    fn kubespray(world: &World) -> Self {
        let directory = Harness::get().folder("unchanged");
        let place = directory.join("kubespray/roles/kubespray_defaults/defaults/main");
        fs::create_dir_all(&place).unwrap();
        let checksum = |arch: &str| world.origin.sha256(&format!("/dl.k8s.io/v1.33.1/{arch}/kubelet"));
        let text = format!(
            r#"image_arch: "{{{{ {{'x86_64': 'amd64', 'aarch64': 'arm64'}}[ansible_architecture] }}}}"
kube_version: 1.33.1
kube_image_repo: registry.k8s.io
kubelet_checksums:
  amd64: {{ 1.33.1: {} }}
  arm64: {{ 1.33.1: {} }}
downloads:
  kubelet:
    enabled: true
    file: true
    url: "https://dl.k8s.io/v{{{{ kube_version }}}}/{{{{ image_arch }}}}/kubelet"
    sha256: "{{{{ kubelet_checksums[image_arch][kube_version] }}}}"
  helm:
    enabled: "{{{{ helm_enabled }}}}"
    file: true
    url: "https://get.helm.sh/helm-{{{{ image_arch }}}}.tar.gz"
  pause:
    enabled: true
    container: true
    repo: "{{{{ kube_image_repo }}}}/pause"
    tag: "3.10"
"#,
            checksum("amd64"),
            checksum("arm64")
        );
        fs::write(place.join("download.yml"), text).unwrap();
        let programs = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"];
        for image in programs.map(|name| format!("{name}:v1.33.1")).into_iter().chain(["pause:3.10".to_owned()]) {
            world.upstream.put(&image, &sample(Kind::OciIndex, &image));
        }
        let text = format!(
            "# syntax={}\napiVersion: kso/v1\nkubespray:\n  source: kubespray\n  vars: {{ helm_enabled: true }}\n",
            frontend()
        );
        fs::write(directory.join("kso.yaml"), text).unwrap();
        Self { name: "kubespray, a release", directory, targets: &["files", "images"] }
    }

    /// The lock of the command, which the target must write too.
    fn lock(&self, daemon: &Buildkitd) -> Vec<u8> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kso"));
        command.env_clear().envs(daemon.environment()).env("DOCKER_CONFIG", &self.directory);
        let output = command.arg("lock").current_dir(&self.directory).output().unwrap();
        assert!(output.status.success(), "{}: {}", self.name, String::from_utf8_lossy(&output.stderr));
        let lock = self.directory.join("kso.lock");
        let text = fs::read(&lock).unwrap();
        fs::remove_file(lock).unwrap();
        let (build, out) = daemon.buildx().build(&self.directory).file("kso.yaml").target("lock").output("local");
        let _ = build.run().success();
        assert_eq!(
            fs::read_to_string(out.join("kso.lock")).unwrap(),
            String::from_utf8_lossy(&text),
            "{}: the command and the target write the same",
            self.name
        );
        text
    }

    /// Builds a target; a line for each layer above the base.
    fn layers(&self, daemon: &Buildkitd, target: &str, what: &str, arguments: &[&str]) -> String {
        let image = format!("org/{}:1", self.directory.file_name().unwrap().to_string_lossy());
        let build = daemon.buildx().build(&self.directory).file("kso.yaml").target(target).args(arguments);
        let _ = build.arg("--provenance=false").platform("linux/amd64,linux/arm64").push(&image).run().success();
        let base = usize::from(target == "images");
        let base = format!("{}:{}", BASE[base].0, BASE[base].1);
        let (base, registry) = (sample(Kind::OciPair, &base), Harness::get().registry());
        let mut text = String::new();
        for platform in ["linux/amd64", "linux/arm64"] {
            let config = &base.blobs[base.manifest(platform).unwrap().json()["config"]["digest"].as_str().unwrap()];
            let config: serde_json::Value = serde_json::from_slice(config).unwrap();
            let below = config["rootfs"]["diff_ids"].as_array().unwrap();
            let pushed = registry.image(&image, platform);
            let diff_ids = pushed.diff_ids();
            assert!(below.iter().zip(&diff_ids).all(|(below, id)| below == id), "the layers of the base come first");
            let _ = writeln!(text, "{what} {target} {platform}");
            for (id, layer) in diff_ids.iter().zip(pushed.layers()).skip(below.len()) {
                let (name, _) = image.split_once(':').unwrap();
                let is_last = Some(id) == diff_ids.last();
                let shown = if is_last && is_kso(&registry.blob(name, &layer)) { "kso itself" } else { short(id) };
                let _ = writeln!(text, "  {shown}");
            }
        }
        text
    }
}

/// Whether a layer holds kso, and nothing else.
fn is_kso(layer: &[u8]) -> bool {
    let mut tar = tar::Archive::new(MultiGzDecoder::new(layer));
    let Ok(mut entries) = tar.entries() else { return false };
    let first = entries.next().and_then(Result::ok).and_then(|entry| Some(entry.path().ok()?.into_owned()));
    first.is_some_and(|path| path == Path::new("kso")) && entries.next().is_none()
}

/// Locks, and what is built with them and without.
fn locks_and_layers() {
    let world = World::new();
    let projects = [
        Project::example(&world, "files", &["files"]),
        Project::example(&world, "kubespray", &["files", "images"]),
        Project::everything(&world, "architectures: match"),
        Project::everything(&world, "architectures: all, attestations: true"),
        Project::kubespray(&world),
    ];
    let daemon = world.daemon();
    let mut text = String::new();
    for project in &projects {
        let lock = project.lock(&daemon);
        let _ = writeln!(text, "# {}\nlock {} bytes {}", project.name, lock.len(), short(&digest(&lock)));
        if project.name == "everything" {
            text += &project.layers(&daemon, "files", "open", &[]);
            text += &project.layers(&daemon, "images", "open", &[]);
            text += &project.layers(&daemon, "images", "never", &["--build-arg", "KSO_EXEC=never"]);
            text += &project.layers(&daemon, "files", "dated", &["--build-arg", "SOURCE_DATE_EPOCH=86400"]);
        }
        fs::write(project.directory.join("kso.lock"), lock).unwrap();
        for target in project.targets {
            text += &project.layers(&daemon, target, "locked", &[]);
        }
        text.push('\n');
    }
    compare("layers", &text);
}

/// One lock with everything, whole: to see what moved.
fn whole_lock() {
    let world = World::new();
    let project = Project::everything(&world, "architectures: all, attestations: true");
    let lock = project.lock(&world.daemon());
    compare("lock", &String::from_utf8(lock).unwrap());
}
