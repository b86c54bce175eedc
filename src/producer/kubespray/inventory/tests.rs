//! Inventories, against what `ansible-inventory --list` (ansible-core 2.17.14) prints of them.

use std::sync::Arc;

use super::*;
use crate::diagnostic::render;
use crate::producer::Files;
use crate::producer::kubespray::release::Folder;
use crate::producer::kubespray::variables::Variables;
use crate::producer::kubespray::yaml::Node;

fn folder(files: &[(&str, &str)]) -> Folder {
    let files: Files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    Folder { name: "inventory".into(), files }
}

fn read(files: &[(&str, &str)]) -> Inventory {
    let mut diagnostics = Vec::new();
    let inventory = Inventory::read(&folder(files), None, &mut diagnostics);
    assert_eq!(render(&diagnostics, 10), "");
    inventory
}

/// The variables of a host, each as `name=value`, sorted.
fn of(inventory: &Inventory, host: &str) -> Vec<String> {
    let mut values = BTreeMap::new();
    for (name, variable) in Variables::new(inventory.layers(host)).iter() {
        values.insert(name.to_owned(), shown(&variable.node));
    }
    values.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn shown(node: &Arc<Node>) -> String {
    match &node.value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Text(text, _) => format!("{text:?}"),
        Value::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Map(map) => {
            let entries = map.entries().iter().map(|entry| format!("{}: {}", entry.key, shown(&entry.value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::Vault | Value::Unknown(_) => "vault".into(),
    }
}

const INI: &str = "\
# a comment
node0
[kube_control_plane]
node[1:2] ip=192.0.2.1 list=\"['a', 1]\" # x
node3:2222 ansible_port=22 text='a b' yes=true no=False
[etcd]
node1 etcd_member_name=etcd1
[kube_node]
node2
node4 k=v#c
[calico_rr]
[k8s_cluster:children]
kube_control_plane
kube_node
calico_rr
[k8s_cluster:vars]
kube_network_plugin=flannel
mapping={'a': [1, 2]} # c
number=1_0
text=a # b
both=inline
[all:vars]
both=all
all_only=1,2
[late:vars]
x=1
[late]
node4
[deep:children]
late
[deep:vars]
x=2
y=\"q\"
ansible_group_priority=5
";

#[test]
fn an_ini_inventory_with_its_directories() {
    let inventory = read(&[
        ("inventory.ini", INI),
        ("group_vars/all.yml", "both: file-all\nx: file-all\n"),
        ("group_vars/k8s_cluster/a.yml", "kube_network_plugin: calico\nz: 1\n"),
        ("group_vars/k8s_cluster/b.yml", "z: 2\n"),
        ("host_vars/node2.yml", "w: host\n"),
    ]);
    assert_eq!(of(&inventory, "node0"), ["all_only=[1, 2]", "both=\"file-all\"", "x=\"file-all\""]);
    assert_eq!(
        of(&inventory, "node1"),
        [
            "all_only=[1, 2]",
            "both=\"file-all\"",
            "etcd_member_name=\"etcd1\"",
            "ip=\"192.0.2.1\"",
            "kube_network_plugin=\"calico\"",
            "list=[\"a\", 1]",
            "mapping={a: [1, 2]}",
            "number=10",
            "text=\"a # b\"",
            "x=\"file-all\"",
            "z=2",
        ]
    );
    assert!(of(&inventory, "node2").contains(&"w=\"host\"".to_owned()));
    let node3 = of(&inventory, "node3");
    for variable in ["ansible_port=22", "text=\"a b\"", "yes=\"true\"", "no=false"] {
        assert!(node3.contains(&variable.to_owned()), "{variable} in {node3:?}");
    }
    let node4 = of(&inventory, "node4");
    for variable in ["k=\"v\"", "x=\"file-all\"", "y=\"q\""] {
        assert!(node4.contains(&variable.to_owned()), "{variable} in {node4:?}");
    }
    let groups = inventory.groups();
    assert_eq!(groups["k8s_cluster"], ["node1", "node2", "node3", "node4"]);
    assert_eq!(groups["ungrouped"], ["node0"]);
    assert_eq!(groups["all"], ["node0", "node1", "node2", "node3", "node4"]);
    assert_eq!(inventory.group_names("node4"), BTreeSet::from(["deep", "k8s_cluster", "kube_node", "late"]));
}

const YAML: &str = "\
all:
  hosts:
    node1: { ip: 192.0.2.1, shared: host }
    node[2:3]: { ansible_port: 22 }
    lonely:
  vars: { top: all, shared: all, list: [1, two] }
  children:
    kube_control_plane: { hosts: { node1: } }
    kube_node:
      hosts: { node2: , node3: { own: 3 } }
      vars: { level: node, ansible_group_priority: 2 }
    etcd: { hosts: node1 }
    k8s_cluster:
      children: { kube_control_plane: , kube_node: }
      vars: { level: cluster, shared: cluster }
    zone_a:
      hosts: { node3: }
      vars: { level: zone }
extra:
  hosts: { node2: }
  vars: { shared: extra }
";

#[test]
fn a_yaml_inventory_with_its_directories() {
    let inventory = read(&[
        ("hosts.yaml", YAML),
        ("group_vars/all.yml", "filed: 1\n"),
        ("group_vars/zone_a.yaml", "zone: a\n"),
        ("host_vars/node1/a.yml", "deep: 1\n"),
        ("host_vars/node3", "own: file\n"),
    ]);
    let lonely = ["filed=1", "list=[1, \"two\"]", "shared=\"all\"", "top=\"all\""];
    assert_eq!(of(&inventory, "lonely"), lonely);
    assert_eq!(
        of(&inventory, "node1"),
        [
            "deep=1",
            "filed=1",
            "ip=\"192.0.2.1\"",
            "level=\"cluster\"",
            "list=[1, \"two\"]",
            "shared=\"host\"",
            "top=\"all\""
        ]
    );
    let node = |shared: &str, more: &[&str]| {
        let mut all: Vec<String> = ["ansible_port=22", "filed=1", "level=\"node\"", "list=[1, \"two\"]", "top=\"all\""]
            .iter()
            .chain(more)
            .map(ToString::to_string)
            .chain([format!("shared={shared:?}")])
            .collect();
        all.sort();
        all
    };
    assert_eq!(of(&inventory, "node2"), node("cluster", &[]));
    assert_eq!(of(&inventory, "node3"), node("cluster", &["own=\"file\"", "zone=\"a\""]));
    let groups = inventory.groups();
    assert_eq!(groups["ungrouped"], ["lonely"]);
    assert_eq!(groups["k8s_cluster"], ["node1", "node2", "node3"]);
    assert_eq!(groups["etcd"], ["node1"]);
}

/// The problems of an inventory: the place, what is marked, the problem.
fn problems(files: &[(&str, &str)]) -> Vec<String> {
    let mut diagnostics = Vec::new();
    let _ = Inventory::read(&folder(files), None, &mut diagnostics);
    let shown = diagnostics.iter().map(|problem| {
        let place =
            problem.span.as_ref().map(|span| format!("{}:{} {} ", span.source().name(), span.line(), span.text()));
        format!("{}| {}", place.unwrap_or_default(), problem.message)
    });
    shown.collect()
}

#[test]
fn what_ansible_refuses_is_refused_at_its_line() {
    let ini = |text: &str| problems(&[("inventory.ini", text)]);
    assert_eq!(
        ini("[a:vars]\nx=1\n[b:children]\nc\n[d]\nnode1 x\n[e:kind]\n"),
        [
            "inventory/inventory.ini:6 x | `x` is not a variable of the host",
            "inventory/inventory.ini:7 [e:kind] | a section cannot have the type `kind`",
            "inventory/inventory.ini:1 [a:vars] | the group `a` has variables, but is not declared",
            "inventory/inventory.ini:4 c | the group `c` is a child, but is not declared",
        ]
    );
    assert_eq!(
        ini("[a]\n[b]\n[a:children]\nb\n[b:children]\na\n"),
        ["inventory/inventory.ini:6 a | the group `a` is within itself: a → b → a"]
    );
    let yaml = |text: &str| problems(&[("hosts.yaml", text)]);
    assert_eq!(
        yaml("all:\n  hosts: { 7: }\n  children: []\n  other: {}\n"),
        [
            "inventory/hosts.yaml:2 7 | the name of a host must be a string, but is 7",
            "inventory/hosts.yaml:3 [] | `children` must be a mapping",
            "inventory/hosts.yaml:4 other | `other` of the group `all` is skipped, as Ansible does",
        ]
    );
    assert_eq!(
        problems(&[("hosts.ini", "[a]\nb\n"), ("group_vars/gpu.yml", "a: 1\n"), ("host_vars/x.yml", "a: 1\n")]),
        [
            "inventory/group_vars/gpu.yml:1 a: 1 | `inventory/group_vars/gpu.yml` is not read: the inventory has no such group",
            "inventory/host_vars/x.yml:1 a: 1 | `inventory/host_vars/x.yml` is not read: the inventory has no such host",
        ]
    );
}

/// The inventory of a user who has none.
#[test]
fn without_hosts_there_is_one_node_in_every_group() {
    let inventory = read(&[("group_vars/all.yml", "a: 1\n"), ("group_vars/kube_node.yml", "a: 2\n")]);
    assert_eq!(inventory.hosts().collect::<Vec<_>>(), ["node1"]);
    assert!(of(&inventory, "node1").contains(&"a=2".to_owned()));
    let names = BTreeSet::from(["calico_rr", "etcd", "k8s_cluster", "kube_control_plane", "kube_node"]);
    assert_eq!(inventory.group_names("node1"), names);
}
