//! What Ansible would find out about a machine, and what it says of its place in the inventory. Owns these values; does not know
//! who asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Value};

use crate::name::Arch;
use crate::producer::kubespray::inventory::Inventory;

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

/// Those that are not the same for all hosts.
pub(super) const OF_A_HOST: [&str; 6] = [
    "ansible_facts",
    "ansible_hostname",
    "ansible_nodename",
    "group_names",
    "inventory_hostname",
    "inventory_hostname_short",
];

/// Ansible's variable `groups`: the hosts of each.
pub(super) fn groups(inventory: &Inventory) -> Value {
    let groups = inventory.groups().into_iter();
    Value::from_pairs(groups.map(|(group, hosts)| (group, hosts.into_iter().map(Value::from).collect::<Value>())))
}

/// The facts of a host, if it is a machine of this architecture. `groups` and `hostvars` are those of all hosts.
pub(super) fn of(
    arch: Arch,
    inventory: &Inventory,
    host: &str,
    (groups, hostvars): (Value, Value),
) -> BTreeMap<&'static str, Value> {
    let short = host.split('.').next().unwrap_or(host);
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
        ("hostname", short),
        ("nodename", host),
        ("service_mgr", "systemd"),
        ("pkg_mgr", "apt"),
        ("kernel", "6.1.0"),
    ];
    // A machine that was not set up yet.
    let new = [("services", Value::from_object(NoServices)), ("packages", Value::from_pairs([("", ""); 0]))];
    let mut facts = BTreeMap::from([
        ("inventory_hostname", Value::from(host)),
        ("inventory_hostname_short", Value::from(short)),
        ("groups", groups),
        ("group_names", inventory.group_names(host).into_iter().collect()),
        ("hostvars", hostvars),
        (
            "ansible_facts",
            Value::from_pairs(known.into_iter().map(|(name, value)| (name, Value::from(value))).chain(new)),
        ),
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

/// The services of a machine that runs none: whatever is asked for is stopped.
#[derive(Debug)]
struct NoServices;

impl Object for NoServices {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, _: &Value) -> Option<Value> {
        Some(Value::from_pairs([("state", "stopped"), ("status", "not-found")]))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Empty
    }
}
