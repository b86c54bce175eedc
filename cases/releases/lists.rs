//! What is rendered of real releases, against what Ansible made of them. Does not know how a release is read.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use kso::name::Arch;
use kso::producer::kubespray::{Checksum, Downloads, Include, Input};

use crate::{RELEASES, Test, downloads, folder, input, shared};

pub(crate) const TESTS: &[Test] = &[
    ("all_of_a_release_is_what_its_script_lists", all_of_a_release_is_what_its_script_lists),
    ("what_is_enabled_is_what_ansible_enables", what_is_enabled_is_what_ansible_enables),
    ("the_older_style_is_what_its_script_lists", the_older_style_is_what_its_script_lists),
];

fn lines(path: &Path) -> BTreeSet<String> {
    fs::read_to_string(path).expect("a list").lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn checksums(downloads: &Downloads) -> BTreeSet<String> {
    let line = |file: &kso::producer::kubespray::File| match &file.checksum {
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

/// The version of Kubernetes that Ansible was given for the variant, the oldest of the release, as the release writes it: new
/// ones do without the `v`.
fn oldest(input: &Input, variants: &Path) -> String {
    let files = lines(&variants.join("cilium-crio-oldest.files-amd64.list"));
    let version = files.iter().find_map(|url| url.split_once("/release/")?.1.strip_suffix("/bin/linux/amd64/kubelet"));
    let version = version.expect("a kubelet");
    let mut texts = input.checkout.files.values().map(|bytes| String::from_utf8_lossy(bytes));
    let has_v = texts.any(|text| text.lines().any(|line| line.trim_start().starts_with(&format!("{version}:"))));
    if has_v { version.to_owned() } else { version.trim_start_matches('v').to_owned() }
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

fn all_of_a_release_is_what_its_script_lists() {
    let shared = shared();
    for (name, extras) in ALL {
        let release = shared.join("kubespray").join(name);
        for arch in Arch::ALL {
            let all = downloads(&input(&release, false, &[]), Include::All, arch);
            let found = compare(name, &all, &release.join("expected"), "", arch);
            assert_eq!(unexplained(&found, extras), Vec::<String>::new());
        }
    }
}

fn what_is_enabled_is_what_ansible_enables() {
    let shared = shared();
    for name in RELEASES {
        let release = shared.join("kubespray").join(name);
        let variants = release.join("expected/variants");
        let kube_version = format!("kube_version={}", oldest(&input(&release, false, &[]), &variants));
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

fn the_older_style_is_what_its_script_lists() {
    let shared = shared();
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
