//! Mistakes, and what is reported of them.

use std::fmt::Write;

use crate::diagnostic::{Source, render};
use crate::name::Arch;
use crate::producer::kubespray::tests::fixtures::{input, is_not_of_the_play};
use crate::producer::kubespray::{Folder, Include, Input, Release, Vars};

/// What is reported of the small release with these variables.
fn told(vars: &str) -> String {
    let mut input = input(false, &[]);
    input.vars = Vars::of_file(&Source::new("vars.yml", vars)).expect("variables");
    tell(&input)
}

fn tell(input: &Input) -> String {
    let mut diagnostics = Vec::new();
    if let Some(release) = Release::read(input, &mut diagnostics) {
        release.all_downloads(Include::Enabled, &Arch::ALL, &mut diagnostics);
    }
    diagnostics.retain(is_not_of_the_play);
    render(&diagnostics, 100)
}

#[test]
fn all_mistakes_are_told_with_their_chains() {
    insta::assert_snapshot!(told(
        "crun_version: '{{ no_such_variable }}'\n\
         youki_version: '{{ 1 | no_such_filter }}'\n\
         etcd_version: \"{{ 'x' | reject_all }}\"\n\
         dns_mode: \"{{ 'x' is no_such_test }}\"\n\
         crictl_version: \"{{ 'x' + 1 }}\"\n\
         enable_nodelocaldns: '{{ lookup(\"pipe\", \"date\") }}'\n\
         autoscaler_image_tag: '{{ {'\n\
         coredns_version: [1]\n"
    ));
}

#[test]
fn rings_are_named() {
    insta::assert_snapshot!(told(
        "a: '{{ b }}'\nb: '{{ c }}x'\nc: '{% if a %}1{% endif %}'\ncrun_version: '{{ b }}'\n"
    ));
}

#[test]
fn an_unsupported_version_names_those_there_are() {
    insta::assert_snapshot!(told("kube_version: v1.20.1\netcd_version: '{{ nothing }}'\n"));
    insta::assert_snapshot!(told("kube_version: 1.30.4\n"));
}

#[test]
fn a_checksum_that_is_not_there_is_a_warning() {
    insta::assert_snapshot!(told("crun_version: '9.9'\n"));
}

#[test]
fn encrypted_values_and_files() {
    let mut input = input(true, &[]);
    let inventory = input.inventory.as_mut().expect("an inventory");
    inventory.files.insert("group_vars/all/vault.yml".into(), b"$ANSIBLE_VAULT;1.1;AES256\n6131\n".to_vec());
    inventory
        .files
        .insert("group_vars/all/x.yml".into(), b"helm_version: !vault |\n  $ANSIBLE_VAULT;1.1\n  61\n".to_vec());
    inventory.files.insert("group_vars/all/bad.yml".into(), b"a: [1\nb: {".to_vec());
    inventory.files.insert("group_vars/all/list.yml".into(), b"- a\n".to_vec());
    insta::assert_snapshot!(tell(&input));
}

#[test]
fn a_folder_that_is_not_kubespray() {
    let folder = |path: &str, text: &str| Input {
        checkout: Folder { name: "there".into(), files: [(path.to_owned(), text.into())].into() },
        ..Input::default()
    };
    insta::assert_snapshot!(tell(&Input::default()));
    // What is said of an inventory is no reason to say nothing of the checkout.
    let unread = [("hosts.yml", "all: { hosts: { a: }, other: 1 }\n")];
    let files = unread.map(|(path, text)| (path.to_owned(), text.into())).into();
    let inventory = Some(Folder { name: "mine".into(), files });
    let told = tell(&Input { inventory, ..Input::default() });
    assert!(told.contains("is not a Kubespray checkout") && told.contains("UnreadInventory"), "{told}");
    insta::assert_snapshot!(tell(&folder("roles/download/defaults/main.yml", "a: 1\n")));
}

/// Templates of somebody who means harm: each ends, with an error.
#[test]
fn hostile_templates_end() {
    let mut doubling = "v0: xxxxxxxxxxxxxxxx\n".to_owned();
    let mut deep = "d0: x\n".to_owned();
    for at in 1..60 {
        let _ = writeln!(doubling, "v{at}: '{{{{ v{} }}}}{{{{ v{} }}}}'", at - 1, at - 1);
        let _ = writeln!(deep, "d{at}: '{{{{ d{} }}}}'", at - 1);
    }
    let nested = format!("crun_version: '{{{{ {}1{} }}}}'\n", "(".repeat(3000), ")".repeat(3000));
    let endless = "crun_version: '{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}'\n";
    let large = "crun_version: \"{{ 'x' * 90000000 }}\"\n";
    for text in [
        format!("{doubling}crun_version: '{{{{ v59 }}}}'\n"),
        format!("{deep}crun_version: '{{{{ d59 }}}}'\n"),
        nested,
        endless.into(),
        large.into(),
        "crun_version: '{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}'\n".into(),
        "crun_version: \"{{ 'a' | regex_replace('(((a{100}){100}){100})', '') }}\"\n".into(),
    ] {
        let told = told(&text);
        assert!(told.contains("error:"), "{text}\n{told}");
    }
}
