//! What Ansible would find out about a machine: a node of a cluster of one node that is in every group. Owns these values;
//! does not know who asks.

use std::collections::BTreeMap;

use minijinja::value::Value;

use crate::name::Arch;

/// Facts that stand in where nothing defines them: Kubespray's own variables, and what a template may ask of a machine
/// without deciding what is downloaded.
pub(super) const YIELDING: [&str; 8] = [
    "host_architecture",
    "registry_domain",
    "inventory_dir",
    "playbook_dir",
    "role_path",
    "omit",
    "ansible_user",
    "ansible_port",
];

const HOST: &str = "node1";
const GROUPS: [&str; 6] = ["all", "k8s_cluster", "kube_control_plane", "kube_node", "etcd", "calico_rr"];

/// The facts of a machine of an architecture.
pub(super) fn of(arch: Arch) -> BTreeMap<&'static str, Value> {
    let known = [
        ("architecture", arch.uname()),
        ("machine", arch.uname()),
        ("userspace_architecture", arch.uname()),
        ("system", "Linux"),
        ("os_family", "Debian"),
        ("distribution", "Debian"),
        ("distribution_release", "bookworm"),
        ("distribution_version", "12"),
        ("distribution_major_version", "12"),
        ("hostname", HOST),
        ("nodename", HOST),
        ("service_mgr", "systemd"),
        ("pkg_mgr", "apt"),
        ("kernel", "6.1.0"),
    ];
    let groups = GROUPS.iter().map(|group| ((*group).to_owned(), Value::from(vec![HOST])));
    let mut facts = BTreeMap::from([
        ("inventory_hostname", Value::from(HOST)),
        ("inventory_hostname_short", Value::from(HOST)),
        ("groups", Value::from_pairs(groups)),
        ("group_names", GROUPS.into_iter().filter(|group| *group != "all").collect()),
        (
            "hostvars",
            Value::from_pairs([(HOST, Value::from_pairs([("ip", "192.0.2.1"), ("ansible_host", "192.0.2.1")]))]),
        ),
        ("ansible_facts", Value::from_pairs(known)),
        ("ansible_check_mode", Value::from(false)),
        ("host_architecture", Value::from(arch.as_str())),
        ("registry_domain", Value::from("")),
        ("inventory_dir", Value::from("inventory")),
        ("playbook_dir", Value::from(".")),
        ("role_path", Value::from(".")),
        ("omit", Value::from(())),
        ("ansible_user", Value::from("root")),
        ("ansible_port", Value::from(22)),
    ]);
    for (name, fact) in [
        ("ansible_architecture", "architecture"),
        ("ansible_machine", "machine"),
        ("ansible_userspace_architecture", "userspace_architecture"),
        ("ansible_system", "system"),
        ("ansible_os_family", "os_family"),
        ("ansible_distribution", "distribution"),
        ("ansible_distribution_release", "distribution_release"),
        ("ansible_distribution_version", "distribution_version"),
        ("ansible_distribution_major_version", "distribution_major_version"),
        ("ansible_hostname", "hostname"),
        ("ansible_nodename", "nodename"),
        ("ansible_service_mgr", "service_mgr"),
        ("ansible_pkg_mgr", "pkg_mgr"),
        ("ansible_kernel", "kernel"),
    ] {
        let value = known.iter().find(|(known, _)| *known == fact).map_or("", |(_, value)| *value);
        facts.insert(name, Value::from(value));
    }
    facts
}
