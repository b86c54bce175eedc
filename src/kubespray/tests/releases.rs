//! Real releases, against what Ansible made of them: `../shared/data`, beside the checkout. Where that is absent these
//! tests say so and prove nothing; `fixtures` holds every construct.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::kubespray::{Checksum, Downloads, Folder, Include, Input, Release, Vars, is_variables};
use crate::spec::Arch;

pub(super) fn shared() -> Option<PathBuf> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if shared.is_dir() {
        return Some(shared);
    }
    eprintln!("skipped: there is no {}", shared.display());
    None
}

pub(super) fn folder(name: &str, root: &Path) -> Folder {
    fn walk(root: &Path, path: &Path, folder: &mut Folder) {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(root, &path, folder);
            } else if let Some(relative) = path.strip_prefix(root).ok().and_then(Path::to_str)
                && is_variables(relative)
            {
                folder.files.insert(relative.to_owned(), fs::read(&path).expect("a file"));
            }
        }
    }
    let mut folder = Folder { name: name.to_owned(), ..Folder::default() };
    walk(root, root, &mut folder);
    folder
}

pub(super) const RELEASES: [&str; 4] = ["v2.16.0", "v2.21.0", "v2.25.1", "v2.31.0"];

pub(super) fn input(release: &Path, sample: bool, vars: &[&str]) -> Input {
    let vars: Vec<String> = vars.iter().map(|text| (*text).to_owned()).collect();
    Input {
        checkout: folder("", &release.join("checkout")),
        inventory: sample.then(|| folder("inventory/sample", &release.join("checkout/inventory/sample"))),
        vars: Vars::of_arguments(&vars).expect("arguments"),
        span: None,
    }
}

pub(super) fn downloads(input: &Input, include: Include, arch: Arch) -> Downloads {
    let mut diagnostics = Vec::new();
    let release = Release::read(input, &mut diagnostics).expect("a release");
    let downloads = release.downloads(include, arch, &mut diagnostics);
    let errors: Vec<_> = diagnostics.iter().filter(|problem| problem.is_error()).collect();
    assert!(errors.is_empty(), "{}", crate::diagnostic::render(&diagnostics, 20));
    downloads
}

fn lines(path: &Path) -> BTreeSet<String> {
    fs::read_to_string(path).expect("a list").lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn checksums(downloads: &Downloads) -> BTreeSet<String> {
    let line = |file: &crate::kubespray::File| match &file.checksum {
        Checksum::Sha256(digest) => Some(format!("{}\t{}", file.url, digest.hex())),
        Checksum::Other(text) => Some(format!("{}\t{text}", file.url)),
        Checksum::None => None,
    };
    downloads.files.iter().filter_map(line).collect()
}

/// What the two sets differ in: `+` is ours alone, `-` is Ansible's alone.
fn difference(what: &str, ours: &BTreeSet<String>, theirs: &BTreeSet<String>) -> Vec<String> {
    let more = ours.difference(theirs).map(|line| format!("{what} +{line}"));
    let less = theirs.difference(ours).map(|line| format!("{what} -{line}"));
    more.chain(less).collect()
}

fn compare(what: &str, downloads: &Downloads, folder: &Path, prefix: &str, arch: Arch) -> Vec<String> {
    let path =
        |kind: &str| folder.join(format!("{prefix}{kind}-{arch}.{}", if kind == "checksums" { "tsv" } else { "list" }));
    let files = downloads.files.iter().map(|file| file.url.clone()).collect();
    let images = downloads.images.iter().map(|image| image.reference.clone()).collect();
    let mut lines_of = Vec::new();
    for (kind, ours) in [("files", files), ("images", images), ("checksums", checksums(downloads))] {
        lines_of.extend(difference(&format!("{what} {arch} {kind}"), &ours, &lines(&path(kind))));
    }
    lines_of
}

fn oldest(release: &Path) -> String {
    let mut diagnostics = Vec::new();
    let release = Release::read(&input(release, false, &[]), &mut diagnostics).expect("a release");
    let table = &release.variables["kubelet_checksums"].node;
    let crate::kubespray::yaml::Value::Map(table) = &table.value else { panic!("no table") };
    let crate::kubespray::yaml::Value::Map(known) = &table.text("amd64").expect("amd64").value else {
        panic!("no table")
    };
    let mut versions: Vec<String> = known.entries().iter().map(|entry| entry.key.to_string()).collect();
    let numbers = |version: &str| -> Vec<u32> {
        version.trim_start_matches('v').split('.').map(|n| n.parse().expect("a number")).collect()
    };
    versions.sort_by_key(|version| numbers(version));
    versions.remove(0)
}

/// Entries that are ours and not Ansible's, with the reason; nothing may be Ansible's alone.
///
/// `generate_list.sh` prints the URLs whose variables end in `download_url` and the images of `downloads`. It misses
///
/// * `argocd_install_url`, which the item `argocd_install` of `downloads` downloads, and its checksum;
/// * images that a feature pulls and whose two variables no item of `downloads` names: Cilium's Hubble and ovn4nfv's
///   second image (v2.16), kube-ovn's DPDK image and its NAT gateway, the CSI drivers of Azure and Google and the probe
///   of all CSI drivers, `OpenStack`'s controller, node feature discovery, and what ingress-nginx needs beside its
///   controller.
///
/// `checksums-<arch>.tsv` holds only sha256, and gVisor comes with sha512, which the files of the variants do hold.
const ALL: [(&str, &[&str]); 4] = [
    (
        "v2.16.0",
        &[
            "docker.io/envoyproxy/envoy:",
            "docker.io/integratedcloudnative/ovn-images:",
            "mcr.microsoft.com/k8s/csi/azuredisk-csi:",
            "quay.io/cilium/certgen:",
            "quay.io/cilium/hubble-relay:",
            "quay.io/cilium/hubble-ui-backend:",
            "quay.io/cilium/hubble-ui:",
            "quay.io/k8scsi/livenessprobe:",
        ],
    ),
    (
        "v2.21.0",
        &[
            "docker.io/kubeovn/kube-ovn-dpdk:",
            "mcr.microsoft.com/k8s/csi/azuredisk-csi:",
            "registry.k8s.io/cloud-provider-gcp/gcp-compute-persistent-disk-csi-driver:",
            "registry.k8s.io/ingress-nginx/kube-webhook-certgen:",
            "registry.k8s.io/sig-storage/livenessprobe:",
        ],
    ),
    (
        "v2.25.1",
        &[
            "docker.io/kubeovn/kube-ovn-dpdk:",
            "mcr.microsoft.com/k8s/csi/azuredisk-csi:",
            "registry.k8s.io/cloud-provider-gcp/gcp-compute-persistent-disk-csi-driver:",
            "registry.k8s.io/ingress-nginx/kube-webhook-certgen:",
            "registry.k8s.io/ingress-nginx/opentelemetry:",
            "registry.k8s.io/nfd/node-feature-discovery:",
            "registry.k8s.io/provider-os/openstack-cloud-controller-manager:",
            "registry.k8s.io/sig-storage/livenessprobe:",
        ],
    ),
    (
        "v2.31.0",
        &[
            "docker.io/kubeovn/kube-ovn-dpdk:",
            "docker.io/kubeovn/vpc-nat-gateway:",
            "https://raw.githubusercontent.com/argoproj/argo-cd/",
            "https://storage.googleapis.com/gvisor/releases/release/",
            "mcr.microsoft.com/k8s/csi/azuredisk-csi:",
            "registry.k8s.io/cloud-provider-gcp/gcp-compute-persistent-disk-csi-driver:",
            "registry.k8s.io/nfd/node-feature-discovery:",
            "registry.k8s.io/provider-os/openstack-cloud-controller-manager:",
        ],
    ),
];

/// The image that ingress-nginx pulls for its webhook, whose variables exist in `download.yml` and which `downloads`
/// does not name. v2.16 has no such variables, v2.31 no ingress-nginx.
const WEBHOOK: [&str; 1] = ["registry.k8s.io/ingress-nginx/kube-webhook-certgen:"];

/// What of the differences is not explained, and which explanations explain nothing.
fn unexplained(found: &[String], extras: &[&str]) -> Vec<String> {
    let explained = |line: &str, extra: &str| line.split_once(" +").is_some_and(|(_, entry)| entry.starts_with(extra));
    let lines = found.iter().filter(|line| !extras.iter().any(|extra| explained(line, extra))).cloned();
    let idle = extras.iter().filter(|extra| !found.iter().any(|line| explained(line, extra)));
    lines.chain(idle.map(|extra| format!("explains nothing: {extra}"))).collect()
}

#[test]
fn all_of_a_release_is_what_its_script_lists() {
    let Some(shared) = shared() else { return };
    for (name, extras) in ALL {
        let release = shared.join("kubespray").join(name);
        for arch in Arch::ALL {
            let all = downloads(&input(&release, false, &[]), Include::All, arch);
            let found = compare(name, &all, &release.join("expected"), "", arch);
            assert_eq!(unexplained(&found, extras), Vec::<String>::new());
        }
    }
}

#[test]
fn what_is_enabled_is_what_ansible_enables() {
    let Some(shared) = shared() else { return };
    for name in RELEASES {
        let release = shared.join("kubespray").join(name);
        let variants = release.join("expected/variants");
        let kube_version = format!("kube_version={}", oldest(&release));
        let cilium = [
            "kube_network_plugin=cilium",
            "container_manager=crio",
            "helm_enabled=true",
            "metrics_server_enabled=true",
            "ingress_nginx_enabled=true",
            &kube_version,
        ];
        let webhook = if ["v2.21.0", "v2.25.1"].contains(&name) { &WEBHOOK[..] } else { &[] };
        for arch in Arch::ALL {
            for (variant, sample, vars, extras) in [
                ("default", false, &[][..], &[][..]),
                ("sample", true, &[], &[]),
                ("cilium-crio-oldest", false, &cilium, webhook),
            ] {
                let enabled = downloads(&input(&release, sample, vars), Include::Enabled, arch);
                let found = compare(&format!("{name} {variant}"), &enabled, &variants, &format!("{variant}."), arch);
                assert_eq!(unexplained(&found, extras), Vec::<String>::new());
            }
        }
    }
}

#[test]
fn the_older_style_is_what_its_script_lists() {
    let Some(shared) = shared() else { return };
    let root = shared.join("kubeplay");
    let input = Input { checkout: folder("", &root), ..Input::default() };
    for arch in Arch::ALL {
        let found = downloads(&input, Include::Enabled, arch);
        let files = found.files.iter().map(|file| file.url.clone()).collect();
        let images = found.images.iter().map(|image| image.reference.clone()).collect();
        for (kind, ours) in [("files", &files), ("images", &images)] {
            let theirs = lines(&root.join(format!("{kind}-{arch}.list")));
            assert_eq!(difference(kind, ours, &theirs), Vec::<String>::new(), "{arch}");
        }
    }
}
