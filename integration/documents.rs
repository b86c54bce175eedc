//! The documents, as a reader would use them: each of README.md and docs/ in a folder of its own, its files written, its
//! commands run in their order, its images started. CONTRIBUTING.md has the convention. Does not know what any of them says.
//!
//! What surrounds the commands is an internet of this process: the names of [`FILES`], [`REGISTRIES`] and `registry.example`,
//! over TLS, for the daemon and for the commands alike.

#[allow(dead_code, reason = "the tests of cases/ use more of it")]
#[path = "../cases/markdown.rs"]
mod markdown;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use libtest_mimic::Trial;

use crate::harness::{Buildkitd, Container, Harness, Host, Kind, Origin, Rules, Upstream, architecture, run};
use crate::images::project::sample;
use markdown::{Block, Document, documents};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    let runnable = documents().into_iter().filter(Document::is_for_users);
    let runnable = runnable.filter(|document| document.blocks().iter().any(|block| block.language == "sh"));
    let mut trials: Vec<Trial> = runnable
        .map(|document| {
            Trial::test(format!("documents::{}", document.path), move || {
                follow(&document);
                Ok(())
            })
        })
        .collect();
    trials.push(Trial::test("documents::options_of_buildx_exist", || {
        options_of_buildx_exist();
        Ok(())
    }));
    trials
}

/// File servers that the documents name. Any path there has bytes.
const FILES: [&str; 5] = ["dl.k8s.io", "get.helm.sh", "github.com", "mirror.example", "storage.googleapis.com"];

/// Registries that the documents name, all with the same images.
const REGISTRIES: [&str; 4] = ["docker.io", "ghcr.io", "quay.io", "registry.k8s.io"];

/// Where the documents push to and pull from.
const OWN: &str = "registry.example";

/// What the registries have. Another image in a document has to be put here.
const IMAGES: [&str; 17] = [
    "quay.io/coreos/etcd:v3.5.16",
    "quay.io/calico/node:v3.27.4",
    "quay.io/calico/cni:v3.27.4",
    "quay.io/calico/kube-controllers:v3.27.4",
    "docker.io/library/nginx:1.25.2-alpine",
    "registry.k8s.io/pause:3.9",
    "registry.k8s.io/coredns/coredns:v1.11.1",
    "registry.k8s.io/metrics-server/metrics-server:v0.7.0",
    "registry.k8s.io/kube-apiserver:v1.29.10",
    "registry.k8s.io/kube-controller-manager:v1.29.10",
    "registry.k8s.io/kube-scheduler:v1.29.10",
    "registry.k8s.io/kube-proxy:v1.29.10",
    "quay.io/cilium/cilium:v1.15.4",
    "docker.io/library/busybox:1.36",
    "docker.io/flannel/flannel:v0.25.1",
    "ghcr.io/kube-vip/kube-vip:v0.8.0",
    "registry.k8s.io/ingress-nginx/controller:v1.10.1",
];

/// A release as small as a release of Kubespray can be; the real ones are proved in `kubespray.rs`.
const RELEASE: &str = r#"
image_arch: "{{ {'x86_64': 'amd64', 'aarch64': 'arm64'}[ansible_architecture] }}"
kube_version: v1.29.10
kube_network_plugin: calico
helm_enabled: false
kube_image_repo: registry.k8s.io
quay_image_repo: quay.io
kubelet_checksums:
  amd64: { v1.29.10: KUBELET-amd64 }
  arm64: { v1.29.10: KUBELET-arm64 }
kubelet_download_url: "https://dl.k8s.io/release/{{ kube_version }}/bin/linux/{{ image_arch }}/kubelet"
helm_download_url: "https://get.helm.sh/helm-v3.14.4-linux-{{ image_arch }}.tar.gz"
downloads:
  kubelet:
    enabled: true
    file: true
    url: "{{ kubelet_download_url }}"
    sha256: "{{ kubelet_checksums[image_arch][kube_version] }}"
  helm:
    enabled: "{{ helm_enabled }}"
    file: true
    url: "{{ helm_download_url }}"
  calico:
    enabled: "{{ kube_network_plugin == 'calico' }}"
    container: true
    repo: "{{ quay_image_repo }}/calico/node"
    tag: v3.27.4
  cilium:
    enabled: "{{ kube_network_plugin == 'cilium' }}"
    container: true
    repo: "{{ quay_image_repo }}/cilium/cilium"
    tag: v1.15.4
  pause:
    enabled: true
    container: true
    repo: "{{ kube_image_repo }}/pause"
    tag: "3.9"
"#;

/// The internet of the documents, and a daemon in it.
struct World {
    daemon: Buildkitd,
    bin: PathBuf,
    /// Kept running.
    _origin: Origin,
    _upstream: Upstream,
}

static WORLD: LazyLock<World> = LazyLock::new(World::new);

impl World {
    fn new() -> Self {
        let harness = Harness::get();
        let _ = harness.frontend();
        let origin = Origin::start();
        origin.sizes(1_000..=50_000);
        let release = harness.folder("kubespray");
        let defaults = release.join("roles/kubespray-defaults/defaults/main");
        fs::create_dir_all(&defaults).unwrap();
        let kubelet = |arch: &str| origin.sha256(&format!("/dl.k8s.io/release/v1.29.10/bin/linux/{arch}/kubelet"));
        let text = ["amd64", "arm64"]
            .iter()
            .fold(RELEASE.to_owned(), |text, arch| text.replace(&format!("KUBELET-{arch}"), &kubelet(arch)));
        fs::write(defaults.join("download.yml"), text).unwrap();
        origin.repository("/github.com/kubernetes-sigs/kubespray.git", &release, "v2.25.1");

        let upstream = harness.upstream(Rules::default());
        for name in IMAGES {
            let (_, image) = name.split_once('/').expect("a host");
            upstream.put(image, &sample(Kind::DockerList, name));
        }
        let files = FILES.map(|host| (host, Host::Files(&origin)));
        let registries = REGISTRIES.map(|host| (host, Host::Registry(&upstream)));
        let names: Vec<_> = files.into_iter().chain(registries).chain([(OWN, Host::Own)]).collect();
        let daemon = harness.daemon_online(&names);
        let bin = bin(&daemon);
        Self { daemon, bin, _origin: origin, _upstream: upstream }
    }

    /// A shell as a reader has it, in `folder`.
    fn shell(&self, folder: &Path) -> Command {
        let buildx = self.daemon.buildx().command();
        let mut command = Command::new("sh");
        command.current_dir(folder).arg("-eu").env_clear();
        command.envs(buildx.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let path = crate::harness::search_path();
        let paths = std::iter::once(self.bin.clone()).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(paths).unwrap()).env("BUILDX_PROGRESS", "plain");
        command.env("BUILDKIT_PROGRESS", "plain").envs(self.daemon.environment());
        command
    }
}

/// `docker`, which is buildx and nothing else; `kso`, `skopeo` and `crane`.
fn bin(daemon: &Buildkitd) -> PathBuf {
    let tools = Harness::get().tools();
    let bin = Harness::get().folder("bin");
    let only = "[ \"$1\" = buildx ] || { echo \"there is only docker buildx here\" >&2; exit 2; }\nshift\n";
    let kso = Path::new(env!("CARGO_BIN_EXE_kso"));
    for (name, before, program) in [
        ("docker", only, tools.path("buildx")),
        ("kso", "", kso),
        ("skopeo", "", tools.path("skopeo")),
        ("crane", "", tools.path("crane")),
    ] {
        let script = format!("#!/bin/sh\n{before}exec {} \"$@\"\n", program.display());
        fs::write(bin.join(name), script).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    // skopeo's rule for signatures, as distributions ship it.
    let buildx = daemon.buildx().command();
    let home =
        buildx.get_envs().find_map(|(name, value)| (name == "HOME").then_some(value?)).expect("buildx has a home");
    let config = Path::new(home).join(".config/containers");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("policy.json"), r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).unwrap();
    bin
}

/// Documents push images of the same names.
static FOLLOWED: Mutex<()> = Mutex::new(());

/// Does what a document says, while no other one is followed.
fn follow(document: &Document) {
    let _alone = FOLLOWED.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Harness::get().folder("document");
    for block in document.blocks() {
        let place = format!("{}:{}", document.path, block.line);
        if let Some(title) = &block.title {
            let file = folder.join(title);
            fs::create_dir_all(file.parent().expect("a file lies in a folder")).unwrap();
            fs::write(file, &block.text).unwrap();
        } else if block.language == "sh" {
            let output = run(WORLD.shell(&folder), block.text.as_bytes(), Duration::from_mins(5));
            let output = output.unwrap_or_else(|error| panic!("{place}: {error}"));
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{place} failed:\n{}\n{said}\n{}", block.text, output.stderr);
        } else if block.language == "console" {
            start(&block, &place);
        }
    }
}

/// Starts the images of `docker run -p HOST:PORT IMAGE`, and asks them what the block's `curl` asks.
fn start(block: &Block, place: &str) {
    let commands = block.commands();
    for command in commands.iter().filter(|command| command.starts_with("docker run ")) {
        let words: Vec<&str> = command.split_whitespace().collect();
        let published = words.iter().skip_while(|word| **word != "-p").nth(1).and_then(|ports| ports.split_once(':'));
        let (Some((outside, inside)), Some(image)) =
            (published, words.last().and_then(|last| last.strip_prefix("registry.example/")))
        else {
            continue;
        };
        let platform = format!("linux/{}", architecture());
        let port: u16 = inside.parse().unwrap_or_else(|_| panic!("{place}: {inside} is not a valid port"));
        let container = Container::unpack(Harness::get(), image, &platform).port(port).start();
        let asked = commands.iter().filter_map(|command| command.strip_prefix("curl "));
        let mut urls =
            asked.flat_map(str::split_whitespace).filter_map(|word| word.split_once(&format!("localhost:{outside}")));
        let mut count = 0;
        urls.by_ref().for_each(|(_, path)| {
            let answer = container.request("GET", &format!("127.0.0.1:{port}"), path, &[]);
            assert_eq!(answer.status, 200, "{place}: {path} of {image}");
            count += 1;
        });
        assert!(count > 0, "{place}: nothing is asked of {image}");
    }
}

/// What `docker buildx build`, and the other commands that the documents name, can be told.
fn options_of_buildx_exist() {
    let commands = ["build", "bake", "create", "imagetools create", "imagetools inspect"];
    let options = |command: &str| -> BTreeSet<String> {
        let mut buildx = Harness::get().buildx().command();
        buildx.args(command.split(' ')).arg("--help");
        let output = run(buildx, b"", Duration::from_mins(1)).unwrap();
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        let words = help.split(|c: char| c.is_whitespace() || ",[]=\"".contains(c));
        words.filter(|word| word.starts_with('-')).map(str::to_owned).collect()
    };
    let mut told = Vec::new();
    let mut all = BTreeSet::new();
    for command in commands {
        let options = options(command);
        assert!(options.contains("--help"), "{command}: {options:?}");
        let begin = format!("docker buildx {command} ");
        for document in documents() {
            for used in document.blocks().iter().flat_map(Block::commands).filter(|used| used.contains(&begin)) {
                let rest = used.split_once(&begin).map(|(_, rest)| rest).unwrap_or_default();
                let rest = rest.split(['|', ';']).next().unwrap_or_default();
                let words = rest.split_whitespace().map(|word| word.split('=').next().unwrap_or(word));
                let unknown = words.filter(|word| word.starts_with('-') && *word != "-" && !options.contains(*word));
                told.extend(unknown.map(|word| format!("{}: docker buildx {command} has no {word}", document.path)));
            }
        }
        all.extend(options);
    }
    all.extend(kso::cli::options());
    for document in documents() {
        for (code, line) in document.code() {
            let option = code.split(['=', ' ']).next().unwrap_or_default();
            if option.starts_with("--") && option.len() > 2 && !all.contains(option) {
                told.push(format!("{}:{line}: nobody has the option {option}", document.path));
            }
        }
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
}
