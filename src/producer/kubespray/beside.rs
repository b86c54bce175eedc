//! Images that Kubespray's variables name and its `downloads` do not. Owns which feature pulls each; does not know how a
//! variable is rendered.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::Span;
use crate::producer::kubespray::scope::Scope;
use crate::producer::kubespray::template::words;
use crate::producer::kubespray::yaml::Value;

/// What Kubespray writes as a version where there is none for a version of Kubernetes.
pub(super) const NO_VERSION: [&str; 2] = ["0", "v0"];

/// What the names of two variables end with that make an image, in Kubespray's two spellings.
const ENDS: [(&str, &str); 2] = [("_image_repo", "_image_tag"), ("_repo", "_tag")];

/// The features that need an image, where the variable's name does not show it: the conditions in the templates of
/// Kubespray's roles.
const SWITCHES: [(&str, &str); 6] = [
    (
        "csi_livenessprobe",
        "cinder_csi_enabled | d(false) | bool or aws_ebs_csi_enabled | d(false) | bool or azure_csi_enabled | d(false) | bool",
    ),
    ("external_openstack_cloud_controller", "external_cloud_provider | d('') == 'openstack'"),
    ("ingress_nginx_opentelemetry", "ingress_nginx_opentelemetry_enabled | d(false) | bool"),
    ("kube_ovn_dpdk_container", "kube_ovn_dpdk_enabled | d(false) | bool"),
    ("kube_ovn_vpc_container", "kube_network_plugin == 'kube-ovn'"),
    ("ovn4nfv_ovn", "kube_network_plugin == 'ovn4nfv'"),
];

/// What the templates of Kubespray's roles write behind the repository.
const SUFFIXES: [(&str, &str); 1] = [("azure_csi_plugin", "/azuredisk-csi")];

/// Two variables that make an image.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    /// What both names begin with: `ingress_nginx_kube_webhook_certgen`.
    pub(super) name: String,
    /// The variable of the repository.
    pub(super) repo: String,
    /// The variable of the tag.
    pub(super) tag: String,
    /// What is written behind the repository.
    pub(super) suffix: &'static str,
    /// Where the repository is defined.
    pub(super) span: Span,
}

/// The pairs of the roles that no item of `downloads` names, sorted by name.
pub(super) fn pairs(scope: &Scope) -> Vec<Pair> {
    let named = named(scope);
    all(scope).into_values().filter(|pair| !named.contains(&pair.repo)).collect()
}

/// Every pair of the roles, by name.
pub(super) fn all(scope: &Scope) -> BTreeMap<String, Pair> {
    let mut pairs = BTreeMap::new();
    // The first of the two ends is an end of the second, too.
    for (repo, variable) in scope.ending(ENDS[1].0) {
        let found = ENDS.iter().find_map(|(repo_end, tag_end)| {
            let name = repo.strip_suffix(repo_end)?;
            let tag = format!("{name}{tag_end}");
            scope.definition(&tag).is_some().then_some((name, tag))
        });
        if let Some((name, tag)) = found {
            let suffix = SUFFIXES.iter().find(|(known, _)| *known == name).map_or("", |(_, suffix)| suffix);
            let (repo, span) = (repo.to_owned(), variable.span.clone());
            pairs.entry(name.to_owned()).or_insert(Pair { name: name.to_owned(), repo, tag, suffix, span });
        }
    }
    pairs
}

/// The variables that items of `downloads` take their repositories from.
fn named(scope: &Scope) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    let Some(Value::Map(items)) = scope.definition("downloads").map(|downloads| &downloads.node.value) else {
        return named;
    };
    for entry in items.entries() {
        if let Value::Map(item) = &entry.value.value
            && let Some(Value::Text(text, _)) = item.text("repo").map(|repo| &repo.value)
        {
            named.extend(words(text).map(str::to_owned));
        }
    }
    named
}

impl Pair {
    /// The expression that says whether its feature is enabled: the variable `…_enabled` or `…enable_…` that is named
    /// after the longest prefix of its name, except for the known exceptions. `None` if nothing is known.
    pub(super) fn switch(&self, scope: &Scope) -> Option<String> {
        if let Some((_, switch)) = SWITCHES.iter().find(|(name, _)| *name == self.name) {
            return Some((*switch).to_owned());
        }
        let words: Vec<&str> = self.name.split('_').collect();
        let switch = |words: &[&str]| {
            let between = |at: usize| [&words[..at], &["enable"], &words[at..]].concat().join("_");
            let names = std::iter::once(format!("{}_enabled", words.join("_"))).chain((0..words.len()).map(between));
            names.into_iter().find(|name| scope.definition(name).is_some())
        };
        (1..=words.len()).rev().find_map(|count| switch(&words[..count]))
    }
}
