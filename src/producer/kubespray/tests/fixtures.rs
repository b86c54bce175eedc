//! A small release of our own with every construct: `fixture/`.

use std::fs;
use std::path::Path;

use crate::artifact::PinnedAt;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::rules::INCOMPLETE_LISTS;
use crate::name::{Arch, Digest};
use crate::producer::kubespray::{
    Address, Checksum, Downloads, Folder, Include, Input, Release, Vars, is_variables, offline, prove, texts,
};

pub(super) fn input(inventory: bool, vars: &[&str]) -> Input {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/producer/kubespray/tests/fixture");
    let vars: Vec<String> = vars.iter().map(|text| (*text).to_owned()).collect();
    Input {
        checkout: folder("", &root),
        inventory: inventory.then(|| folder("inventory/mine", &root.join("inventory/mine"))),
        vars: Vars::of_arguments(&vars).expect("arguments"),
        span: None,
    }
}

fn folder(name: &str, root: &Path) -> Folder {
    fn walk(root: &Path, path: &Path, folder: &mut Folder) {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(root, &path, folder);
            } else if let Some(relative) = path.strip_prefix(root).ok().and_then(Path::to_str)
                && is_variables(relative)
            {
                folder.files.insert(relative.to_owned(), fs::read(&path).expect("a file"));
            }
        }
    }
    let mut folder = Folder { name: name.to_owned(), ..Folder::default() };
    walk(root, root, &mut folder);
    folder
}

/// The small release is a part of a checkout, with no playbook.
pub(super) fn is_not_of_the_play(problem: &Diagnostic) -> bool {
    !problem.is_of(&INCOMPLETE_LISTS)
}

fn downloads(input: &Input, include: Include, arch: Arch) -> Downloads {
    let mut diagnostics = Vec::new();
    let release = Release::read(input, &mut diagnostics).expect("a release");
    let downloads = release.downloads(include, arch, &mut diagnostics);
    let errors: Vec<_> = diagnostics.iter().filter(|problem| problem.is_error()).collect();
    assert!(errors.is_empty(), "{}", crate::diagnostic::render(&diagnostics, 20));
    downloads
}

fn shown(input: &Input, include: Include) -> String {
    let mut diagnostics = Vec::new();
    let release = Release::read(input, &mut diagnostics).expect("a release");
    let downloads = release.all_downloads(include, &Arch::ALL, &mut diagnostics);
    let mut text: String = texts(&downloads).iter().map(|(name, text)| format!("# {name}\n{text}")).collect();
    text += "# offline.yml\n";
    text += &offline(&release, &Address::default());
    text += "# proof\n";
    text += &prove(&release, &Address::default(), &downloads).text();
    diagnostics.retain(is_not_of_the_play);
    text += &crate::diagnostic::render(&diagnostics, 100);
    text
}

#[test]
fn what_is_enabled() {
    insta::assert_snapshot!(shown(&input(false, &[]), Include::Enabled));
}

#[test]
fn everything() {
    insta::assert_snapshot!(shown(&input(false, &[]), Include::All));
}

/// Groups outrank one another and role defaults; role vars outrank them, and the user's own outrank all.
#[test]
fn inventories_and_variables() {
    let vars = ["kube_version=v1.29.10", "etcd_deployment_type=docker", "{runtimes: [runc], kube_next: 42}"];
    insta::assert_snapshot!(shown(&input(true, &vars), Include::Enabled));
}

#[test]
fn everything_that_is_read_has_a_name_and_a_digest() {
    let inputs = |inventory, vars: &[&str], is_commit| input(inventory, vars).inputs(is_commit);
    assert_eq!(inputs(true, &["a=1"], false), inputs(true, &["a=1"], false));
    assert_ne!(inputs(true, &["a=1"], false), inputs(true, &["a=2"], false));
    let names: Vec<_> = inputs(true, &["a=1", "b=2"], false).into_keys().collect();
    insta::assert_snapshot!(names.join("\n"));
    // What a commit has, the commit stands for.
    assert_eq!(inputs(false, &["a=1"], true).into_keys().collect::<Vec<_>>(), ["vars.a"]);
}

#[test]
fn variables_of_a_definition_are_read_as_ansible_does() {
    let source = crate::diagnostic::Source::new(
        "kso.yaml",
        "kubespray:\n  source: x\n  vars: { crun_version: 1.0, helm_enabled: yes }\n",
    );
    let mut input = input(false, &[]);
    input.vars = Vars::of_definition(&source).unwrap();
    let found = downloads(&input, Include::Enabled, Arch::Amd64);
    let crun = found.files.iter().find(|file| file.name == "downloads.crun").unwrap();
    // Printed as a float, found under the key 1.
    assert!(crun.url.ends_with("crun-1.0-linux-amd64"), "{}", crun.url);
    assert!(matches!(crun.checksum, Checksum::Sha256(_)));
    assert!(found.files.iter().any(|file| file.name == "downloads.helm"));
}

/// From the item through its variable to the table of the release, and to what the user sets instead.
#[test]
fn a_checksum_is_followed_to_where_it_is_written() {
    let place = |input: &Input| {
        let found = downloads(input, Include::Enabled, Arch::Amd64);
        let crun = found.files.into_iter().find(|file| file.name == "downloads.crun").expect("an item");
        let Checksum::Sha256(digest) = crun.checksum else { panic!("{:?}", crun.checksum) };
        let Some(PinnedAt::Variable { name, span }) = crun.pinned_at else { panic!("no place") };
        assert!(span.text().contains(digest.hex()), "{}", span.text());
        format!("{name} in {}", span.source().name())
    };
    let table = "crun_checksums in roles/kubespray-defaults/defaults/main/checksums.yml";
    assert_eq!(place(&input(false, &[])), table);
    let digest = Digest::of(b"crun");
    let own = format!("{{crun_sha: {}, crun_checksums: {{amd64: {{0.20: '{{{{ crun_sha }}}}'}}}}}}", digest.hex());
    assert!(place(&input(false, &[&own])).starts_with("crun_sha in "));
}
