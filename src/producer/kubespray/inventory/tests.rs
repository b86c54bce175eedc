//! Inventories, against what `ansible-inventory --list` (ansible-core 2.17.14) prints of them.

use std::sync::Arc;

use super::*;
use crate::diagnostic::{Source, render};
use crate::producer::Files;
use crate::producer::kubespray::release::Folder;
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
    for Entry { key, value, .. } in inventory.variables(host) {
        values.insert(key.to_string(), shown(&value));
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
        Value::Vault => "vault".into(),
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
