//! What the nodes' container engine needs to pull from the registry that is built. Owns how each release spells that; does not
//! know which images there are.

use std::fmt::Write as _;

use crate::producer::kubespray::play::Roles;
use crate::producer::kubespray::python;
use crate::producer::kubespray::release::Release;
use crate::producer::kubespray::scope::Scope;

/// How the role of a container engine is told about a registry without TLS.
struct Setting {
    /// The value of `container_manager`.
    engine: &'static str,
    /// What the engine's role must mention, so that the release knows this spelling.
    mentions: &'static str,
    /// The lines of `offline.yml`.
    text: &'static str,
    /// What to change where the registry has TLS.
    tls: &'static str,
}

/// The directories of the engines' roles.
const ROLES: [(&str, &str); 3] = [
    ("containerd", "roles/container-engine/containerd/"),
    ("crio", "roles/container-engine/cri-o/"),
    ("docker", "roles/container-engine/docker/"),
];

/// The spellings of each engine, the newest first. A key of a mapping is no template for Ansible, the key of a dictionary within a
/// template is one.
const SETTINGS: [Setting; 7] = [
    // Since v2.28.
    Setting {
        engine: "containerd",
        mentions: "mirror.ca is defined",
        text: "containerd_registries_mirrors:\n  - prefix: \"{{ registry_host }}\"\n    server: \"http://{{ registry_host }}\"\n    \
            mirrors:\n      - { host: \"http://{{ registry_host }}\", capabilities: [pull, resolve] }\n",
        tls: "write `https://` twice, and `ca: FILE` next to `capabilities` where the nodes do not trust it already",
    },
    // Since v2.23.
    Setting {
        engine: "containerd",
        mentions: "containerd_registries_mirrors",
        text: "containerd_registries_mirrors:\n  - prefix: \"{{ registry_host }}\"\n    \
            mirrors:\n      - { host: \"http://{{ registry_host }}\", capabilities: [pull, resolve] }\n",
        tls: "remove this, and let the nodes trust its certificate",
    },
    // Since v2.17.
    Setting {
        engine: "containerd",
        mentions: "containerd_insecure_registries",
        text: "containerd_insecure_registries: \"{{ { registry_host: 'http://' ~ registry_host } }}\"\n",
        tls: "remove this, and let the nodes trust its certificate",
    },
    Setting {
        engine: "containerd",
        mentions: "containerd_registries",
        text: "containerd_registries: \"{{ { registry_host: 'http://' ~ registry_host } }}\"\n",
        tls: "remove this, and let the nodes trust its certificate",
    },
    // Since v2.19.
    Setting {
        engine: "crio",
        mentions: "item.prefix | default(item.location)",
        text: "crio_registries:\n  - { prefix: \"{{ registry_host }}\", location: \"{{ registry_host }}\", insecure: true, \
            unqualified: false }\n",
        tls: "remove this, and let the nodes trust its certificate",
    },
    Setting {
        engine: "crio",
        mentions: "crio_insecure_registries",
        text: "crio_insecure_registries: [\"{{ registry_host }}\"]\n",
        tls: "remove this, and let the nodes trust its certificate",
    },
    Setting {
        engine: "docker",
        mentions: "docker_insecure_registries",
        text: "docker_insecure_registries: [\"{{ registry_host }}\"]\n",
        tls: "remove this, and let the nodes trust its certificate",
    },
];

/// The lines of `offline.yml` for the container engine of a host; empty where the release has no such role.
pub(super) fn settings(release: &Release, scope: &Scope) -> String {
    let engine = scope.variable("container_manager").map_or_else(|_| "containerd".into(), |value| python::text(&value));
    let Some((engine, directory)) = ROLES.into_iter().find(|(name, _)| *name == engine) else { return String::new() };
    let roles: &Roles = &release.roles;
    let known = |setting: &&Setting| setting.engine == engine && roles.mentions(directory, setting.mentions);
    let Some(Setting { text, tls, .. }) = SETTINGS.iter().find(known) else { return String::new() };
    let mut out = format!("\n# {engine} pulls from the registry over plain HTTP. If the registry has TLS, {tls}.\n");
    let _ = write!(out, "{text}");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Arch;
    use crate::producer::Files;
    use crate::producer::kubespray::hosts::Hosts;
    use crate::producer::kubespray::release::{Folder, Input, Vars};

    /// The settings for a release whose roles have these files.
    fn of(files: &[(&str, &str)], vars: &[&str]) -> String {
        let defaults = ("roles/kubespray_defaults/defaults/main.yml", "container_manager: containerd\ndownloads: {}\n");
        let files: Files = std::iter::once(&defaults)
            .chain(files)
            .map(|(path, text)| ((*path).into(), text.as_bytes().to_vec()))
            .collect();
        let vars: Vec<String> = vars.iter().map(|text| (*text).to_owned()).collect();
        let input = Input {
            checkout: Folder { name: "kubespray".into(), files },
            vars: Vars::of_arguments(&vars).expect("arguments"),
            ..Input::default()
        };
        let release = Release::read(&input, &mut Vec::new()).expect("a release");
        settings(&release, &Hosts::new(&release, Arch::ALL[0]).first())
    }

    #[test]
    fn each_release_has_its_own_spelling() {
        let containerd = |text: &str| of(&[("roles/container-engine/containerd/templates/x.j2", text)], &[]);
        let spellings = [
            "{% if mirror.ca is defined %}{{ containerd_registries_mirrors }}",
            "{{ mirror.capabilities }}{{ containerd_registries_mirrors }}",
            "{{ containerd_registries }}{{ containerd_insecure_registries }}",
            "{{ containerd_registries }}",
        ];
        insta::assert_snapshot!(spellings.map(containerd).concat());
        assert_eq!(containerd("nothing"), "");
    }

    #[test]
    fn other_engines_are_told_in_their_way() {
        let engine =
            |engine: &str, path: &str, text: &str| of(&[(path, text)], &[&format!("container_manager={engine}")]);
        let crio = "roles/container-engine/cri-o/templates/registry.conf.j2";
        let told = [
            engine("crio", crio, "{{ item.prefix | default(item.location) }}"),
            engine("crio", crio, "{{ crio_insecure_registries }}"),
            engine("docker", "roles/container-engine/docker/templates/x.j2", "{{ docker_insecure_registries }}"),
        ];
        insta::assert_snapshot!(told.concat());
        assert_eq!(engine("none", crio, "{{ crio_insecure_registries }}"), "");
    }
}
