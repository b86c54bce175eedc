//! Where Kubespray keeps its variables, in any release since v2.16, and which files outrank which. Owns paths; does not
//! know how a file gets here, nor what it says.

use buildkit::gateway::is_match;

use crate::diagnostic::{Diagnostic, quoted};
use crate::producer::Files;
use crate::producer::kubespray::variables::Rank;

/// The roles whose variables name downloads, in the order in which Ansible runs them: the later outranks the earlier.
/// v2.16 to v2.23 keep the downloads in `download`, later releases next to the other defaults, since v2.28 with `_`.
const ROLES: [&str; 3] = ["kubespray-defaults", "kubespray_defaults", "download"];
/// The files of the older style, of projects that grew around Kubespray: one file, no roles.
const SINGLE: [&str; 2] = ["download.yml", "download.yaml"];
/// Extensions that Ansible reads.
const EXTENSIONS: [&str; 3] = [".yml", ".yaml", ".json"];

/// The directories of a checkout to read, recursively. Missing ones are not an error.
pub(super) const FOLDERS: [&str; 2] = ["roles", "playbooks"];

/// The files of a checkout to read in addition to the directories: the playbook and what it imports (next to it up to v2.21), and
/// variables in the older style.
pub(super) const FILES: [&str; 6] =
    ["cluster.yml", "ansible_version.yml", "facts.yml", "legacy_groups.yml", SINGLE[0], SINGLE[1]];

/// The name that a single file of variables has in a checkout of nothing else.
pub fn single_file() -> &'static str {
    SINGLE[0]
}

/// The directory of an inventory to read, recursively.
pub(super) const INVENTORY_FOLDER: &str = "group_vars";

/// The directory of the variables of hosts, next to it.
pub(super) const HOST_VARS: &str = "host_vars";

/// The files next to these that may name the hosts.
pub(super) const HOST_FILES: [&str; 6] = ["*.ini", "*.yml", "*.yaml", "*.json", "hosts", "inventory"];

/// Whether a path that names an inventory names the file of its hosts: it has an extension of these.
pub(super) fn names_hosts(name: &str) -> bool {
    HOST_FILES.iter().any(|pattern| pattern.starts_with('*') && is_match(pattern, name))
}

/// Whether a path names a tar archive, compressed or not.
pub fn is_archive(path: &str) -> bool {
    [".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2"].iter().any(|end| path.ends_with(end))
}

/// The error for a directory that is not an inventory.
pub(super) fn no_inventory(path: &str) -> Diagnostic {
    let problem =
        format!("the inventory {} does not exist, or has neither hosts nor `{INVENTORY_FOLDER}`", quoted(path));
    Diagnostic::error(problem).help(
        "use the directory that contains `group_vars`, such as `inventory/mycluster`, or the file of the hosts in it",
    )
}

/// Whether a file below those directories is one that Ansible would read: neither hidden nor a backup, and with an extension
/// that it knows, or none.
pub fn is_variables(path: &str) -> bool {
    let good = |name: &str| !name.starts_with('.') && !name.ends_with('~');
    let name = path.rsplit('/').next().unwrap_or(path);
    path.split('/').all(good) && (!name.contains('.') || EXTENSIONS.iter().any(|extension| name.ends_with(extension)))
}

/// Whether a file below the directories of a checkout is read: one of variables, tasks, dependencies, templates or manifests.
pub(super) fn is_of_play(path: &str) -> bool {
    let Some(path) = path.strip_prefix("roles/") else { return is_yaml(path) };
    let Some((_, kind, name)) = parts(path) else { return false };
    match kind {
        "defaults" | "vars" => is_variables(name),
        "templates" => true,
        _ => is_yaml(name),
    }
}

fn is_yaml(path: &str) -> bool {
    EXTENSIONS.iter().any(|extension| path.ends_with(extension))
}

/// The role, the kind and the rest of a path below `roles/`. None for the tests of a role, and what else is none of its files.
pub(super) fn parts(path: &str) -> Option<(&str, &str, &str)> {
    let is_of_role = |part: &str| ["defaults", "vars", "meta", "tasks", "templates", "files"].contains(&part);
    let mut from = 0;
    for part in path.split('/') {
        if part == "molecule" {
            return None;
        }
        let end = from + part.len();
        if is_of_role(part) && from > 0 {
            return Some((&path[..from - 1], part, path.get(end + 1..)?));
        }
        from = end + 1;
    }
    None
}

/// The variable files of a checkout, from the lowest to the highest of each rank.
pub(super) fn of_roles(files: &Files) -> Vec<(Rank, &str)> {
    let mut found = Vec::new();
    for (rank, kind) in [(Rank::RoleDefaults, "defaults"), (Rank::RoleVars, "vars")] {
        for role in ROLES {
            let paths = entity(files, &format!("roles/{role}/{kind}/main"), false);
            found.extend(paths.into_iter().map(|path| (rank, path)));
        }
    }
    if found.is_empty() {
        found.extend(SINGLE.iter().filter(|name| files.contains_key(**name)).map(|name| (Rank::RoleDefaults, *name)));
    }
    found
}

/// The files of a role or a group: a file with an extension, or without one, or a directory of files, sorted by path. If
/// several of these exist, Ansible uses one: the file of a role, the directory of a group.
pub(super) fn entity<'a>(files: &'a Files, name: &str, folder_first: bool) -> Vec<&'a str> {
    let folder = format!("{name}/");
    let single = EXTENSIONS.iter().map(|extension| format!("{name}{extension}"));
    let mut single = single.filter_map(|path| files.get_key_value(&path).map(|(path, _)| path.as_str()));
    let bare = files.get_key_value(name).map(|(path, _)| path.as_str());
    let within = files.range(folder.clone()..).take_while(|(path, _)| path.starts_with(&folder));
    let mut within: Vec<_> = within.map(|(path, _)| path.as_str()).filter(|path| is_variables(path)).collect();
    within.sort_by(|a, b| a.split('/').cmp(b.split('/')));
    within.extend(bare);
    match single.next() {
        Some(file) if within.is_empty() || !folder_first => vec![file],
        _ => within,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(paths: &[&str]) -> Files {
        paths.iter().map(|path| ((*path).to_owned(), Vec::new())).collect()
    }

    #[test]
    fn roles_of_every_release() {
        for paths in [
            &["roles/kubespray-defaults/defaults/main.yaml", "roles/download/defaults/main.yml"][..],
            &[
                "roles/kubespray-defaults/defaults/main.yaml",
                "roles/download/defaults/main/checksums.yml",
                "roles/download/defaults/main/main.yml",
            ],
            &[
                "roles/kubespray-defaults/defaults/main/checksums.yml",
                "roles/kubespray-defaults/defaults/main/download.yml",
            ],
            &["roles/kubespray_defaults/defaults/main/main.yml", "roles/kubespray_defaults/vars/main/checksums.yml"],
        ] {
            let found = files(paths);
            let found: Vec<_> = of_roles(&found).into_iter().map(|(_, path)| path.to_owned()).collect();
            assert_eq!(found, paths);
        }
    }

    /// v2.22.2 has the beginnings of a directory next to the file.
    #[test]
    fn of_a_file_and_a_folder_one_is_read() {
        let all = files(&["roles/download/defaults/main.yml", "roles/download/defaults/main/checksums.yml"]);
        assert_eq!(of_roles(&all), [(Rank::RoleDefaults, "roles/download/defaults/main.yml")]);
        let all = files(&["group_vars/all.yml", "group_vars/all/x.yml"]);
        assert_eq!(entity(&all, "group_vars/all", true), ["group_vars/all/x.yml"]);
    }

    #[test]
    fn groups_are_files_and_folders() {
        let all = files(&[
            "group_vars/k8s_cluster/addons.yml",
            "group_vars/k8s_cluster/sub/deep.yml",
            "group_vars/all",
            "group_vars/etcd.yaml",
            "group_vars/kube_node.json",
            "group_vars/k8s_cluster/.hidden.yml",
            "group_vars/k8s_cluster/backup.yml~",
            "group_vars/k8s_cluster/read.me",
            "group_vars/k8s_cluster/none",
        ]);
        let of = |group: &str| entity(&all, &format!("group_vars/{group}"), true);
        assert_eq!(of("all"), ["group_vars/all"]);
        assert_eq!(of("etcd"), ["group_vars/etcd.yaml"]);
        assert_eq!(of("kube_node"), ["group_vars/kube_node.json"]);
        let cluster = ["addons.yml", "none", "sub/deep.yml"].map(|name| format!("group_vars/k8s_cluster/{name}"));
        assert_eq!(of("k8s_cluster"), cluster);
        assert_eq!(of("k8s"), [""; 0]);
    }
}
