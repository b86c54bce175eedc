//! What a lock is worth after something changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use buildkit::gateway::{GitRef, Place};
use futures_util::FutureExt as _;

use crate::diagnostic::{Diagnostic, Source, Span, Spanned, render};
use crate::name::Arch;
use crate::producer::kubespray::entry::Vars;
use crate::producer::kubespray::{Asked, DownloadSet, Kubespray, Loaded, LockedKubespray, LockedRelease, load};
use crate::producer::{Context, Files, Tree};

/// A build context of texts; nobody answers for a repository.
#[derive(Clone, Default)]
struct Texts(BTreeMap<String, String>);

impl Context for Texts {
    async fn read(&self, tree: &Tree<'_>) -> Result<Files, Vec<Diagnostic>> {
        let Place::Context(root) = tree.place else {
            return Err(vec![Diagnostic::error("nobody answers").at(tree.span.clone())]);
        };
        let below = |path: &String| path.strip_prefix(root)?.strip_prefix('/').map(str::to_owned);
        let files = self.0.iter().filter_map(|(path, text)| Some((below(path)?, text.as_bytes().to_vec())));
        Ok(files.filter(|(path, _)| (tree.selection.keeps)(path)).collect())
    }

    async fn commit(&self, _: &GitRef, _: &Span) -> Result<Option<String>, Diagnostic> {
        Ok(None)
    }
}

impl Texts {
    fn with(mut self, path: &str, text: &str) -> Self {
        self.0.insert(path.to_owned(), text.to_owned());
        self
    }

    /// What is loaded, and what is reported.
    fn load(&self, source: &str, lock: Option<&LockedKubespray>, renders: bool) -> (Option<Loaded>, String) {
        let definition = Source::new("kso.yaml", "kubespray: { source: here }\n");
        let place = Span::new(&Source::new("kso.lock", "\"here\""), 0..6);
        let span = Span::new(&definition, 0..9);
        let wanted = Kubespray {
            source: Spanned::new(source.parse().expect("a source"), span.clone()),
            inventory: Some(Spanned::new("mine".parse().expect("a path"), span)),
            vars: Vars,
            include: DownloadSet::Enabled,
        };
        let locked = lock.map(|entry| LockedRelease { entry, place: &place, renders });
        let asked = Asked { wanted: &wanted, source: &Arc::clone(&definition), architectures: &[Arch::Amd64], locked };
        let mut diagnostics = Vec::new();
        let loaded = load(self, asked, &mut diagnostics).now_or_never().expect("texts answer at once");
        (loaded, render(&diagnostics, 100))
    }
}

const RELEASE: &str = "\
kube_version: 1.33.1
kube_image_repo: registry.k8s.io
github_url: https://github.com
tool_version: '1'
downloads: { tool: { file: true, enabled: true, url: '{{ github_url }}/{{ tool_version }}/tool' } }
";
const ALL: &str = "mine/group_vars/all/all.yml";

/// A release, an inventory, and the lock of both.
fn project() -> (Texts, LockedKubespray) {
    let texts = Texts::default()
        .with("release/roles/kubespray_defaults/defaults/main.yml", RELEASE)
        .with("release/playbooks/cluster.yml", "- hosts: all\n  roles: [kubespray_defaults]\n")
        .with("mine/hosts.yml", "all: { hosts: { one: } }\n")
        .with(ALL, "tool_version: '2'\n");
    let (loaded, reported) = texts.load("release", None, false);
    assert_eq!(reported, "");
    (texts, loaded.and_then(|loaded| loaded.found).expect("a release").locked)
}

fn urls(loaded: Option<Loaded>) -> Vec<String> {
    loaded.expect("lists").rendered.files.into_iter().map(|file| file.url).collect()
}

#[test]
fn a_comment_makes_no_difference() {
    let (texts, lock) = project();
    for renders in [false, true] {
        for texts in [texts.clone(), texts.clone().with(ALL, "# of the site\ntool_version: '2'\n")] {
            let (loaded, reported) = texts.load("release", Some(&lock), renders);
            assert_eq!(reported, "");
            assert_eq!(urls(loaded), ["https://github.com/2/tool"]);
        }
    }
}

#[test]
fn other_lists_are_one_error() {
    let (texts, lock) = project();
    let (loaded, reported) = texts.clone().with(ALL, "tool_version: '3'\n").load("release", Some(&lock), false);
    assert!(loaded.is_none());
    insta::assert_snapshot!(reported);
    // What is asked for is not rendered first.
    let mut other = lock.clone();
    other.source = "elsewhere".into();
    let (loaded, reported) = texts.load("release", Some(&other), false);
    assert!(loaded.is_none() && reported.contains("rendered from a different `source`\n"), "{reported}");
}

#[test]
fn the_inventory_of_the_site_is_no_reason_for_another_lock() {
    let (texts, lock) = project();
    let own = "tool_version: '2'\nfiles_repo: http://files.site\ngithub_url: '{{ files_repo }}/github.com'\n";
    let (loaded, reported) = texts.with(ALL, own).load("release", Some(&lock), false);
    assert!(loaded.is_none());
    insta::assert_snapshot!(reported);
}

#[test]
fn mistakes_are_reported_instead_of_a_difference() {
    let (texts, lock) = project();
    let wrong = texts.with(ALL, "tool_version: '{{ nothing }}'\n");
    let (loaded, reported) = wrong.load("release", Some(&lock), false);
    assert!(loaded.is_none() && reported.contains("the variable `nothing` is not defined"), "{reported}");
    assert!(!reported.contains("the lists of Kubespray in the lock"), "{reported}");
}

#[test]
fn a_repository_is_asked_only_where_something_changed() {
    let (texts, lock) = project();
    let source = "https://host.example/kubespray.git#v1";
    let inputs =
        lock.inputs.iter().filter(|(name, _)| name.contains("mine")).map(|(name, it)| (name.clone(), it.clone()));
    let lock = LockedKubespray { source: source.into(), inputs: inputs.collect(), ..lock.clone() };
    let (loaded, reported) = texts.load(source, Some(&lock), true);
    assert_eq!((urls(loaded), reported), (vec!["https://github.com/2/tool".to_owned()], String::new()));
    let (loaded, reported) = texts.with(ALL, "tool_version: '3'\n").load(source, Some(&lock), false);
    assert!(loaded.is_none() && reported.contains("nobody answers"), "{reported}");
    assert!(reported.contains("rendered from a different `mine/group_vars/all/all.yml`\n"), "{reported}");
}
