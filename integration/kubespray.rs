//! A definition with nothing but `kubespray:`, from a folder of the build context, from an archive in it, and from a git
//! server: both images and the lists.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;

use crate::harness::{Client, Container, FRONTEND, GitServer, Harness, Kind, Origin, Rules, Sample, Upstream, digest};
use crate::images::project::{sample, unpack};
use crate::trials::{Test, trials};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    const TESTS: &[Test] = &[
        ("from_a_folder", from_a_folder),
        ("from_git", from_git),
        ("from_an_archive", from_an_archive),
        ("a_lock_has_the_lists", a_lock_has_the_lists),
        ("inventories_are_read_alike", inventories_are_read_alike),
    ];
    trials("kubespray", TESTS)
}

const KUBELET: &str = "/dl.k8s.io/release/v1.33.1/bin/linux";

/// A world in which a small release of Kubespray can be built: its files and images, and where it lies.
struct World {
    folder: PathBuf,
    name: String,
    origin: Origin,
    upstream: Upstream,
    pause: Sample,
}

impl World {
    fn new(name: &str) -> Self {
        let folder = Harness::get().folder(name);
        let origin = Origin::start();
        let upstream = Harness::get().upstream(Rules::default());
        let put = |image: &str| {
            let sample = sample(Kind::DockerList, &format!("{name}/{image}"));
            upstream.put(&format!("{name}/{image}"), &sample);
            sample
        };
        for image in ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"] {
            put(&format!("{image}:v1.33.1"));
        }
        let pause = put("pause:3.10");
        Self { folder, name: name.to_owned(), origin, upstream, pause }
    }

    /// Writes the variables of the release below `root`, as Kubespray keeps them.
    fn release(&self, root: &Path) {
        let place = root.join("roles/kubespray_defaults/defaults/main");
        fs::create_dir_all(&place).unwrap();
        let checksum = |arch: &str| self.origin.sha256(&format!("{KUBELET}/{arch}/kubelet"));
        let text = format!(
            r#"image_arch: "{{{{ {{'x86_64': 'amd64', 'aarch64': 'arm64'}}[ansible_architecture] }}}}"
kube_version: 1.33.1
kube_image_repo: registry.k8s.io
kubelet_checksums:
  amd64: {{ 1.33.1: {} }}
  arm64: {{ 1.33.1: {} }}
kubelet_download_url: "https://dl.k8s.io/release/v{{{{ kube_version }}}}/bin/linux/{{{{ image_arch }}}}/kubelet"
downloads:
  kubelet:
    enabled: true
    file: true
    url: "{{{{ kubelet_download_url }}}}"
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
    }

    fn define(&self, source: &str) {
        let inventory = self.folder.join("inventory/mine/group_vars/all");
        fs::create_dir_all(&inventory).unwrap();
        fs::write(inventory.join("all.yml"), "helm_enabled: true\n").unwrap();
        let mirror =
            |host: &str| format!("  - {{ from: \"https://{host}/\", to: [\"{}\"] }}\n", self.origin.mirror(host));
        let text = format!(
            "# syntax={FRONTEND}\napiVersion: kso/v1\nkubespray:\n  source: {source}\n  inventory: inventory/mine\n  \
             vars: {{ kube_image_repo: \"{}/{}\" }}\nmirrors:\n{}{}",
            self.upstream.host(),
            self.name,
            mirror("dl.k8s.io"),
            mirror("get.helm.sh")
        );
        fs::write(self.folder.join("kso.yaml"), text).unwrap();
    }

    fn build(&self, target: &str) -> crate::harness::Build {
        let _ = Harness::get().frontend();
        Harness::get().buildx().build(&self.folder).file("kso.yaml").target(target)
    }

    /// Builds everything, and looks at what is served.
    fn check(&self) {
        let platforms = "linux/amd64,linux/arm64";
        let (files, images) = (format!("org/{}-files:1", self.name), format!("org/{}-images:1", self.name));
        let _ = self.build("files").platform(platforms).push(&files).run().success();
        let container = Container::start(Harness::get(), &files, "linux/amd64");
        for arch in ["amd64", "arm64"] {
            let path = format!("{KUBELET}/{arch}/kubelet");
            assert_eq!(container.get(&format!("/k8s{path}")).body, self.origin.bytes(&path));
            assert_eq!(container.get(&format!("/k8s/get.helm.sh/helm-{arch}.tar.gz")).status, 200);
        }
        let _ = self.build("images").platform(platforms).push(&images).run().success();
        let registry = unpack(&images, "linux/amd64").start();
        let pause = format!("k8s/127.0.0.1/{}/pause@{}", self.name, self.pause.digest());
        assert_eq!(digest(&Client::new(&registry).raw(&pause)), self.pause.digest());

        let (build, out) = self.build("lists").platform(platforms).output("local");
        let _ = build.run().success();
        let read = |name: &str| fs::read_to_string(out.join(name)).expect(name);
        assert_eq!(
            read("files-arm64.list"),
            "https://dl.k8s.io/release/v1.33.1/bin/linux/arm64/kubelet\nhttps://get.helm.sh/helm-arm64.tar.gz\n"
        );
        assert_eq!(read("images-amd64.list").lines().count(), 5);
        assert!(read("checksums-amd64.tsv").contains(&self.origin.sha256(&format!("{KUBELET}/amd64/kubelet"))));
        assert!(read("offline.yml").contains("kubelet_download_url: \"{{ files_repo }}/dl.k8s.io/release/"));
    }
}

fn from_a_folder() {
    let world = World::new("kubespray-folder");
    world.release(&world.folder.join("kubespray"));
    world.define("kubespray");
    world.check();
}

fn from_git() {
    let world = World::new("kubespray-git");
    let repository = Harness::get().folder("kubespray-repository");
    world.release(&repository.join("sub"));
    let server = GitServer::start(&repository).expect("a git server");
    world.define(&format!("\"{}#main:sub\"", server.url()));
    world.check();
}

/// As a release page offers one: everything in one folder of the archive.
fn from_an_archive() {
    let world = World::new("kubespray-archive");
    let unpacked = Harness::get().folder("kubespray-unpacked");
    world.release(&unpacked.join("kubespray-2.99.0"));
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(world.folder.join("kubespray.tar.gz")).arg("-C").arg(&unpacked).arg("kubespray-2.99.0");
    assert!(tar.status().expect("tar").success());
    world.define("kubespray.tar.gz");
    world.check();
}

/// The lock has the commit and the lists: with it no repository is asked, and what moved there changes nothing. What moved
/// in the build context is told by its name.
fn a_lock_has_the_lists() {
    let world = World::new("kubespray-lock");
    let repository = Harness::get().folder("kubespray-lock-repository");
    world.release(&repository);
    let server = GitServer::start(&repository).expect("a git server");
    world.define(&format!("\"{}#main\"", server.url()));
    let lock = world.folder.join("kso.lock");
    let write = || {
        let (build, out) = world.build("lock").output("local");
        let _ = build.run().success();
        fs::read_to_string(out.join("kso.lock")).unwrap()
    };
    let text = write();
    let commit = Command::new("git").args(["-C", repository.to_str().unwrap(), "rev-parse", "HEAD"]).output().unwrap();
    let commit = String::from_utf8(commit.stdout).unwrap();
    assert!(text.contains(&format!("\"commit\": \"{}\"", commit.trim())), "{text}");
    assert!(text.contains("\"checksum\": \"kubespray\"") && text.contains("\"vars.kube_image_repo\": "), "{text}");

    // The command writes the same; it finds docker.io, which has the base images, as this daemon does.
    let daemon = Harness::get().daemon_with(&[("docker.io", &world.upstream)]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_kso"));
    command.envs(daemon.environment()).env("DOCKER_CONFIG", &world.folder);
    let done = command.arg("lock").current_dir(&world.folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(fs::read_to_string(&lock).unwrap(), text);

    // The branch moves, to a release that downloads something else; then nobody answers.
    let variables = repository.join("roles/kubespray_defaults/defaults/main/download.yml");
    let moved = fs::read_to_string(&variables).unwrap().replace("\"3.10\"", "\"3.11\"");
    fs::write(&variables, moved).unwrap();
    server.commit().unwrap();
    drop(server);
    let image = "org/kubespray-locked:1";
    let log = world.build("images").platform("linux/amd64").push(image).run().success().stderr;
    assert!(log.contains("[lock] kso.lock, ") && !log.contains("git source"), "{log}");
    let registry = unpack(image, "linux/amd64").start();
    let pause = format!("k8s/127.0.0.1/{}/pause@{}", world.name, world.pause.digest());
    assert_eq!(digest(&Client::new(&registry).raw(&pause)), world.pause.digest());

    fs::write(world.folder.join("inventory/mine/group_vars/all/all.yml"), "helm_enabled: false\n").unwrap();
    let outcome = world.build("images").platform("linux/amd64").push(image).run();
    let log = outcome.failure();
    let told =
        "the lists of Kubespray in the lock were rendered from a different `inventory/mine/group_vars/all/all.yml`";
    assert!(log.contains(told), "{log}");
}

/// The defaults of a release, and what hosts, groups and links of an inventory make of them; the same in a build and in a
/// command.
fn inventories_are_read_alike() {
    let folder = Harness::get().folder("kubespray-inventories");
    let write = |path: &str, text: &str| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let link = |target: &str, path: &str| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    };
    write(
        "kubespray/roles/kubespray_defaults/defaults/main.yml",
        "kube_version: 1.33.1\nkube_image_repo: registry.k8s.io\n\
         downloads: { tool: { file: true, enabled: true, url: 'https://h/{{ tool_version }}/{{ plugin }}' } }\n\
         tool_version: '1'\nplugin: calico\n",
    );
    write("kubespray/playbooks/cluster.yml", "- hosts: k8s_cluster\n  roles: [kubespray_defaults, network]\n");
    write("kubespray/roles/network/defaults/main.yml", "mode: vxlan\nplugin: none\n");
    write("kubespray/roles/network/tasks/main.yml", "- get_url: { url: 'https://h/role/{{ plugin }}/{{ mode }}' }\n");
    write("shared/k8s_cluster/k8s-cluster.yml", "plugin: flannel\n");
    let hosts = "k8s_cluster: { hosts: { one: { tool_version: '2' }, two: }, vars: { plugin: cilium } }\n";
    write("hosts/hosts.yml", hosts);
    write("hosts/credentials/password", "secret");
    write("host-vars/inventory.ini", "[k8s_cluster]\none\ntwo\n");
    write("host-vars/host_vars/two.yml", "tool_version: '3'\n");
    link("../shared", "whole/group_vars");
    link("../../shared/k8s_cluster", "folder/group_vars/k8s_cluster");
    link("../../../shared/k8s_cluster/k8s-cluster.yml", "file/group_vars/k8s_cluster/k8s-cluster.yml");
    link("../folder/group_vars", "twice/group_vars");
    link("../../nowhere.yml", "dead/group_vars/all.yml");
    write("circle/group_vars/k8s_cluster/plugin.yml", "plugin: flannel\n");
    write("circle/group_vars/elsewhere/tool.yml", "tool_version: '4'\n");
    link("..", "circle/group_vars/k8s_cluster/above");
    for (inventory, expected) in [
        ("hosts", Ok("https://h/1/cilium\nhttps://h/2/cilium\nhttps://h/role/cilium/vxlan\n")),
        ("hosts/hosts.yml", Ok("https://h/1/cilium\nhttps://h/2/cilium\nhttps://h/role/cilium/vxlan\n")),
        ("host-vars/inventory.ini", Ok("https://h/1/calico\nhttps://h/3/calico\nhttps://h/role/none/vxlan\n")),
        ("whole", Ok("https://h/1/flannel\nhttps://h/role/flannel/vxlan\n")),
        ("folder", Ok("https://h/1/flannel\nhttps://h/role/flannel/vxlan\n")),
        ("file", Ok("https://h/1/flannel\nhttps://h/role/flannel/vxlan\n")),
        ("twice", Ok("https://h/1/flannel\nhttps://h/role/flannel/vxlan\n")),
        ("circle", Ok("https://h/4/flannel\nhttps://h/role/flannel/vxlan\n")),
        ("dead", Err("`group_vars/all.yml` is a symbolic link, but ")),
    ] {
        let definition = format!(
            "# syntax={FRONTEND}\napiVersion: kso/v1\narchitectures: [amd64]\nkubespray:\n  source: kubespray\n  \
             inventory: {inventory}\n"
        );
        write("kso.yaml", &definition);
        let _ = Harness::get().frontend();
        let (build, out) = Harness::get().buildx().build(&folder).file("kso.yaml").target("lists").output("local");
        let outcome = build.run();
        let mut command = Command::new(env!("CARGO_BIN_EXE_kso"));
        command.args(["lists", "--arch", "amd64", "--kubespray", "kubespray", "--inventory", inventory, "-o", "out"]);
        let listed = command.current_dir(&folder).output().unwrap();
        let reported = String::from_utf8_lossy(&listed.stderr);
        match expected {
            Ok(urls) => {
                let _ = outcome.success();
                assert_eq!(fs::read_to_string(out.join("files-amd64.list")).unwrap(), urls, "{inventory}");
                assert!(listed.status.success(), "{inventory}: {reported}");
                assert_eq!(fs::read_to_string(folder.join("out/files-amd64.list")).unwrap(), urls, "{inventory}");
            }
            Err(problem) => {
                let log = outcome.failure();
                assert!(log.contains(problem) && reported.contains(problem), "{log}\n{reported}");
            }
        }
    }
}
