//! Folders of Kubespray, as a build context, that would keep a builder busy for ever.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tar::{Builder, EntryType, Header};

use super::refused;
use crate::harness::{FRONTEND, Harness};
use crate::trials::Test;

pub(super) const TESTS: &[Test] = &[
    ("templates_that_run_on_or_grow_are_told", templates_that_run_on_or_grow_are_told),
    ("an_archive_of_links_pipes_and_devices_ends", an_archive_of_links_pipes_and_devices_ends),
];

/// Where a release has its variables.
const DEFAULTS: &str = "roles/kubespray_defaults/defaults/main";

/// A build context with a definition of nothing but Kubespray.
fn context(name: &str, source: &str) -> PathBuf {
    let folder = Harness::get().folder(name);
    let text = format!("# syntax={FRONTEND}\napiVersion: kso/v1\nkubespray:\n  source: {source}\n");
    fs::write(folder.join("kso.yaml"), text).unwrap();
    folder
}

/// What a build of it tells.
fn told(folder: &Path, name: &str) -> String {
    let _ = Harness::get().frontend();
    let repository = format!("org/{name}");
    let build = Harness::get().buildx().build(folder).file("kso.yaml").target("files");
    refused(&build.push(&format!("{repository}:1")).run(), &repository)
}

fn templates_that_run_on_or_grow_are_told() {
    let text = "a".repeat(200_000);
    let links = |step: &str| {
        let link = |n: usize| format!("{step}{n}: \"{{{{ {step}{0} ~ {step}{0} }}}}\"\n", n - 1);
        (1..30).map(link).collect::<String>()
    };
    let chain: String = (1..1000).map(|n| format!("link{n}: \"{{{{ link{} }}}}\"\n", n - 1)).collect();
    let templates = [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{{ range(1000000000000) | list }}",
        "{{ 'a' | regex_replace('((a{1000}){1000}){1000}', '') }}",
        "{{ ring_a }}",
        "{{ link999 }}",
        "{{ double29 }}",
        "{{ 'a' * 1000000000 }}",
        "{% set x = 'a' %}{% set x = x ~ x %}{{ x }}",
        "{% macro m(x) %}{{ m(x ~ x) }}{% endmacro %}{{ m('a') }}",
        "{% for x in [1] recursive %}{{ loop([x]) }}{% endfor %}",
        "{{ lookup('env', 'HOME') }}{{ lookup('file', '/etc/passwd') }}",
        "{% include '/etc/passwd' %}",
        // What all of them may handle is used up by this one.
        "{{ text | regex_findall('a*b|a') | length }}",
    ];
    let mut variables = format!(
        "kube_version: 1.33.1\nring_a: '{{{{ ring_b }}}}'\nring_b: '{{{{ ring_a }}}}'\nlink0: x\n{chain}text: {text}\ndouble0: {}\n{}downloads:\n",
        "x".repeat(1000),
        links("double")
    );
    for (number, template) in templates.iter().enumerate() {
        let url = serde_json::Value::from(format!("https://h.example/{number}/{template}"));
        writeln!(variables, "  d{number:02}: {{ enabled: true, file: true, url: {url} }}").unwrap();
    }
    let folder = context("hostile-templates", "kubespray");
    let defaults = folder.join("kubespray").join(DEFAULTS);
    fs::create_dir_all(&defaults).unwrap();
    fs::write(defaults.join("download.yml"), variables).unwrap();
    insta::assert_snapshot!(told(&folder, "hostile-templates"));
}

/// What no checkout holds, an archive may: read as a file, each of these would wait or go on for ever, or be the builder's.
fn an_archive_of_links_pipes_and_devices_ends() {
    let folder = context("hostile-archive", "kubespray.tar");
    // A file that the daemon could read.
    let outside = Harness::get().folder("outside").join("linked.yml");
    fs::write(&outside, "linked: https://h.example/linked\n").unwrap();
    write_archive(&folder, None);
    insta::assert_snapshot!(told(&folder, "hostile-archive"));
    assert_checks_alike(
        &folder,
        &["escaped", "linked", "zero"].map(|name| format!("the variable `{name}` is not defined")),
    );
    write_archive(&folder, Some(&outside));
    insta::assert_snapshot!("an_archive_with_a_link_out_of_it", told(&folder, "hostile-archive"));
    let problem =
        format!("`{DEFAULTS}/linked.yml` is a symbolic link, but `kubespray.tar` does not contain its target");
    assert_checks_alike(&folder, &[problem]);
}

/// `kso check` reports what the build reported.
fn assert_checks_alike(folder: &Path, problems: &[String]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kso"));
    let checked = command.args(["check", "kso.yaml"]).current_dir(folder).output().unwrap();
    let reported = String::from_utf8_lossy(&checked.stderr);
    let count = problems.iter().filter(|problem| reported.contains(problem.as_str())).count();
    assert!(!checked.status.success() && count == problems.len(), "{reported}");
}

/// An archive of variables with a pipe, a device, a link that leads back, a name that leads out of the archive, and with
/// a link to a file outside if there is one.
fn write_archive(folder: &Path, outside: Option<&Path>) {
    let mut tar = Builder::new(fs::File::create(folder.join("kubespray.tar")).unwrap());
    let mut add = |path: &str, kind: EntryType, target: &str, content: &str| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        // `/dev/zero`
        header.set_device_major(1).unwrap();
        header.set_device_minor(5).unwrap();
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..path.len()].copy_from_slice(path.as_bytes());
        gnu.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        tar.append(&header, content.as_bytes()).unwrap();
    };
    let at = |name: &str| format!("{DEFAULTS}/{name}");
    let download = |name: &str| format!("  {name}: {{ enabled: true, file: true, url: \"{{{{ {name} }}}}\" }}\n");
    let downloads = ["escaped", "linked", "zero"].map(download).concat();
    add(&at("download.yml"), EntryType::Regular, "", &format!("kube_version: 1.33.1\ndownloads:\n{downloads}"));
    add(&at("pipe.yml"), EntryType::Fifo, "", "");
    add(&at("zero.yml"), EntryType::Char, "", "");
    add(&at("again"), EntryType::Symlink, "..", "");
    add(&format!("{}escaped.yml", "../".repeat(20)), EntryType::Regular, "", "escaped: https://h.example/escaped\n");
    if let Some(outside) = outside {
        let mut link = Header::new_gnu();
        link.set_entry_type(EntryType::Symlink);
        link.set_size(0);
        tar.append_link(&mut link, at("linked.yml"), outside).unwrap();
    }
    tar.finish().unwrap();
}
