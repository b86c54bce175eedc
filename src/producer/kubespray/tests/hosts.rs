//! What hosts with variables of their own download. `../shared/data/reports/variables-beside-group-vars` has the reports that this
//! is about; the right values are Ansible's.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, render};
use crate::name::Arch;
use crate::producer::Files;
use crate::producer::kubespray::{Folder, Include, Input, Release};

const RELEASE: &str = "\
kube_version: 1.32.8
kube_image_repo: registry.k8s.io
kube_network_plugin: calico
calico_image_repo: quay.io/calico/node
calico_image_tag: v3.29.5
flannel_image_repo: quay.io/flannel/flannel
flannel_image_tag: v0.22.0
runc_version: 1.2.6
runc_download_url: \"https://h/v{{ runc_version }}/{{ image_arch | d(host_architecture) }}\"
downloads:
  calico: { container: true, enabled: \"{{ kube_network_plugin == 'calico' }}\", repo: '{{ calico_image_repo }}', tag: '{{ calico_image_tag }}' }
  flannel: { container: true, enabled: \"{{ kube_network_plugin == 'flannel' }}\", repo: '{{ flannel_image_repo }}', tag: '{{ flannel_image_tag }}' }
  runc: { file: true, enabled: true, url: '{{ runc_download_url }}' }
";

const PLAYBOOK: (&str, &str) = (
    "playbooks/cluster.yml",
    "- hosts: all\n  tasks:\n    - get_url: { url: 'https://h/{{ x }}' }\n      when: x is defined\n",
);

fn files(files: &[(&str, &str)]) -> Files {
    files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

fn read(inventory: &[(&str, &str)]) -> (Option<Release>, String) {
    let folder = |name: &str, files: Files| Folder { name: name.into(), files };
    let input = Input {
        checkout: folder("kubespray", files(&[("roles/download/defaults/main.yml", RELEASE), PLAYBOOK])),
        inventory: Some(Folder::inventory("mine".into(), files(inventory), None, &mut Vec::new())),
        ..Input::default()
    };
    let mut diagnostics = Vec::new();
    let release = Release::read(&input, &mut diagnostics);
    (release, render(&diagnostics, 100))
}

/// The files, and the images that are not Kubernetes' own, of an amd64 machine; then what is reported.
fn found(inventory: &[(&str, &str)]) -> (Vec<String>, String) {
    let (release, mut reported) = read(inventory);
    let mut diagnostics = Vec::new();
    let found = release.unwrap().downloads(Include::Enabled, Arch::ALL[0], &mut diagnostics);
    reported += &render(&diagnostics, 100);
    let images = found.images.into_iter().map(|image| image.reference);
    let images = images.filter(|image| !image.starts_with("registry.k8s.io/"));
    (found.files.into_iter().map(|file| file.url).chain(images).collect(), reported)
}

const GROUPS: &str = "[kube_control_plane]\nnode1 ip=192.0.2.1\n[k8s_cluster:children]\nkube_control_plane\n";

#[test]
fn variables_beside_group_vars_count() {
    let flannel =
        (vec!["https://h/v1.2.6/amd64".to_owned(), "quay.io/flannel/flannel:v0.22.0".to_owned()], String::new());
    let ini = format!("{GROUPS}[k8s_cluster:vars]\nkube_network_plugin=flannel\n");
    assert_eq!(found(&[("inventory.ini", &ini)]), flannel);
    let yaml = "k8s_cluster: { hosts: { node1: }, vars: { kube_network_plugin: flannel } }\n";
    assert_eq!(found(&[("hosts.yml", yaml)]), flannel);
    let host = "kube_network_plugin: flannel\n";
    assert_eq!(found(&[("inventory.ini", GROUPS), ("host_vars/node1.yml", host)]), flannel);
    assert_eq!(found(&[("group_vars/k8s_cluster.yml", host)]), flannel);
}

const TWO: &str = "all: { hosts: { one: { a: 1 }, two: { runc_version: 2.0.0 }, three: { a: 2 } } }\n";

#[test]
fn the_lists_of_hosts_that_differ_are_joined() {
    let (found, reported) = found(&[("hosts.yml", TWO)]);
    let calico = "quay.io/calico/node:v3.29.5";
    assert_eq!(
        (found, reported),
        (vec!["https://h/v1.2.6/amd64".into(), "https://h/v2.0.0/amd64".into(), calico.into()], String::new())
    );
}

#[test]
fn one_host_can_be_listed() {
    let (release, reported) = read(&[("hosts.yml", TWO)]);
    assert_eq!(reported, "");
    let release = release.unwrap();
    let urls = |host: &str| {
        let found = release.downloads_of(host, Include::Enabled, &[Arch::ALL[0]], &mut Vec::new());
        let urls = |found: BTreeMap<Arch, _>| {
            let files = found.into_values().flat_map(|found: crate::producer::kubespray::Downloads| found.files);
            files.map(|file| file.url).collect::<Vec<_>>()
        };
        found.map(urls).map_err(|problem| problem.help.unwrap_or_default())
    };
    assert_eq!(urls("two"), Ok(vec!["https://h/v2.0.0/amd64".into()]));
    assert_eq!(urls("three"), Ok(vec!["https://h/v1.2.6/amd64".into()]));
    assert_eq!(urls("tow"), Err("did you mean `two`?".into()));
    assert_eq!(urls("else"), Err("give the name of a host as the inventory writes it".into()));
}

#[test]
fn hosts_see_one_another() {
    let yaml = "\
all:
  hosts:
    one: { runc_version: \"{{ hostvars['two'].version }}\" }
    two: { version: \"{{ hostvars['three']['of'] }}.{{ groups['all'] | length }}\", runc_version: '1' }
    three: { of: \"{{ inventory_hostname }}\", runc_version: '1' }
";
    assert_eq!(
        found(&[("hosts.yml", yaml)]).0[..2],
        ["https://h/vthree.3/amd64".to_owned(), "https://h/v1/amd64".to_owned()]
    );
}

#[test]
fn a_ring_through_hosts_is_named() {
    let yaml = "\
all:
  hosts:
    one: { runc_version: \"{{ hostvars['two'].runc_version }}\" }
    two: { runc_version: \"{{ hostvars['one'].runc_version }}\" }
";
    let (_, reported) = found(&[("hosts.yml", yaml)]);
    assert!(reported.contains("circular reference between variables: runc_version → runc_version"), "{reported}");
}

/// `../shared/data/reports/failing-variable-eats-the-budget`, made larger.
#[test]
fn one_mistake_is_one_error() {
    let urls: String = (0..60).map(|at| format!("v{at}_download_url: \"{{{{ server }}}}/{at}\"\n")).collect();
    let items: String = (0..60)
        .map(|at| format!("  v{at}: {{ file: true, enabled: true, url: '{{{{ v{at}_download_url }}}}' }}\n"))
        .collect();
    let other = "  z: { file: true, enabled: true, url: 'https://h/{{ host_architecture }}' }\n";
    let read = |address: &str| {
        let text = format!(
            "kube_version: 1\nkube_image_repo: r\n{urls}server: \"http://{{{{ address }}}}/files\"\ndownloads:\n{items}{other}"
        );
        let input = Input {
            checkout: Folder {
                name: "k".into(),
                files: files(&[("roles/download/defaults/main.yml", &text), PLAYBOOK]),
            },
            inventory: Some(Folder {
                name: "mine".into(),
                files: files(&[
                    ("hosts.yml", "all: { hosts: { node1: , files: { ansible_host: 192.0.2.9 } } }\n"),
                    ("group_vars/all.yml", address),
                ]),
            }),
            ..Input::default()
        };
        let mut diagnostics = Vec::new();
        let found = Release::read(&input, &mut diagnostics).unwrap().downloads(
            Include::Enabled,
            Arch::ALL[0],
            &mut diagnostics,
        );
        (found.files.len(), diagnostics.into_iter().map(|problem| problem.message).collect::<Vec<_>>())
    };
    assert_eq!(read("address: \"{{ hostvars['files'].ansible_host }}:8080\"\n"), (61, vec![]));
    assert_eq!(
        read("address: \"{{ files_adress }}:8080\"\n"),
        (1, vec!["the variable `files_adress` is not defined".into()])
    );
}

/// `../shared/data/reports/offline-yml-in-the-inventory`, and one that kso did not write.
#[test]
fn an_inventory_for_the_site_is_reported() {
    let servers = "files_repo: http://files.example:8080/k8s\ngithub_url: '{{ files_repo }}/github.com'\n\
        runc_download_url: '{{ github_url }}/runc'\n";
    let inventory = |first: &str| [("group_vars/all/offline.yml", format!("{first}{servers}"))];
    let reported = |inventory: [(&str, String); 1]| {
        let inventory = inventory.each_ref().map(|(path, text)| (*path, text.as_str()));
        let (release, reported) = read(&inventory);
        let mut diagnostics = Vec::new();
        let downloads = release.unwrap().all_downloads(Include::Enabled, &[Arch::ALL[0]], &mut diagnostics);
        (downloads[&Arch::ALL[0]].files[0].url.clone(), reported + &render(&diagnostics, 100))
    };
    let (url, ignored) = reported(inventory(
        "# Points every download of this release of Kubespray at the images that kso builds: put it\n",
    ));
    assert_eq!(url, "https://h/v1.2.6/amd64");
    assert_eq!(ignored, "");
    let (url, warned) = reported(inventory("# mine\n"));
    assert_eq!(url, "http://files.example:8080/k8s/github.com/runc");
    assert!(
        warned.starts_with(
            "warning[OfflineInventory]: 1 download would come from `files_repo`, which is `http://files.example:8080/k8s`"
        ),
        "{warned}"
    );
}

/// What `../shared/data/reports` has of versions and checksums, on a small release.
#[test]
fn versions_and_checksums_that_do_not_fit() {
    let reported = |inventory: &str| {
        let (release, reported) = read(&[("group_vars/all.yml", inventory)]);
        let mut diagnostics = Vec::new();
        release.unwrap().all_downloads(Include::Enabled, &[Arch::ALL[0]], &mut diagnostics);
        assert_eq!(reported, "");
        let line = |problem: Diagnostic| {
            let place = problem.span.map(|span| format!("{}:{}", span.source().name(), span.line()));
            format!("{}: {} | {}", place.unwrap_or_default(), problem.message, problem.help.unwrap_or_default())
        };
        diagnostics.into_iter().map(line).collect::<Vec<_>>()
    };
    let environment = reported("runc_version: \"{{ lookup('env', 'RUNC') | default('1', true) }}\"\n");
    assert_eq!(
        environment,
        [
            "mine/group_vars/all.yml:1: `runc_version` reads the environment with `lookup('env', …)`: it is empty here | \
          set the variable to a value, in `vars` of the definition, or with `-e` of `kso lists`"
        ]
    );
    let tag = reported("calico_image_tag: vv3.29.5\n");
    assert_eq!(
        tag,
        ["kubespray/roles/download/defaults/main.yml:11: `quay.io/calico/node:vv3.29.5` has a version with two `v` | "]
    );
    assert_eq!(
        reported("runc_version: v1.2.6\n"),
        [
            "mine/group_vars/all.yml:1: `runc_version` begins with `v`, but this release adds it: `https://h/vv1.2.6/amd64` | write it as this release does: `1.2.6`"
        ]
    );
}

/// Hosts that ask for the same are rendered once: thousands take no longer than their own lines.
#[test]
fn five_thousand_hosts() {
    let groups: String = (0..9).map(|at| format!("[g{at}:children]\ng{}\n", at + 1)).collect();
    let ini = format!("[g9]\nn[1:5000] ip=192.0.2.1\n{groups}[other]\nn17 runc_version=2.0.0\n");
    let (found, reported) = found(&[("inventory.ini", &ini)]);
    assert_eq!((found.len(), reported.as_str()), (3, ""));
    let (_, reported) = read(&[("inventory.ini", "[g]\nn[1:5001]\n")]);
    assert!(reported.contains("names more than 5000 hosts"), "{reported}");
}
