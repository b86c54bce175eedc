//! Plays that are followed: whole checkouts of a few files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::manifest::unknown;
use super::{Named, is_selected};
use crate::diagnostic::{Diagnostic, Source, Span};
use crate::name::Arch;
use crate::producer::Files;
use crate::producer::kubespray::downloads::{Checksum, Include};
use crate::producer::kubespray::hosts::Hosts;
use crate::producer::kubespray::release::{Folder, Input, Release, Vars};
use crate::producer::kubespray::scope::Scope;
use crate::producer::kubespray::variables::{Layer, Rank, Variable, Variables};
use crate::producer::kubespray::yaml;

/// A step of a play with these variables; `results` are of tasks that only a run would know.
pub(super) fn scope(variables: &str, results: &[&str]) -> Scope {
    let source = Source::new("vars.yml", variables);
    let mut layer = Layer::default();
    layer.extend(Rank::Inventory, yaml::variables(&source).unwrap());
    let span = Span::new(&source, 0..0);
    for name in results {
        let (node, span) = (unknown(&span, name), span.clone());
        layer.insert(name, Variable { node, span, rank: Rank::Set });
    }
    let release = release(&[], "");
    Hosts::new(&release, Arch::Amd64).first().step(Variables::new(vec![Arc::new(layer)]))
}

/// Kubespray with these files.
fn release(files: &[(&str, &str)], vars: &str) -> Release {
    release_of(files, vars, None)
}

fn release_of(files: &[(&str, &str)], vars: &str, hosts: Option<&str>) -> Release {
    let defaults = ("roles/kubespray_defaults/defaults/main.yml", "downloads: {}\n");
    let all = std::iter::once(&defaults).chain(files);
    let files = all.map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    let checkout = Folder { name: "kubespray".into(), files };
    let vars = Vars::of_arguments(&[vars.to_owned()].into_iter().filter(|vars| !vars.is_empty()).collect::<Vec<_>>());
    let inventory = hosts.map(|hosts| Folder {
        name: "mine".into(),
        files: Files::from([("hosts.ini".into(), hosts.as_bytes().to_vec())]),
    });
    let input = Input { checkout, inventory, vars: vars.unwrap(), ..Input::default() };
    let mut diagnostics = Vec::new();
    let release = Release::read(&input, &mut diagnostics);
    release.unwrap_or_else(|| panic!("{diagnostics:?}"))
}

fn follow(files: &[(&str, &str)], vars: &str) -> Named {
    followed(&release(files, vars))
}

fn followed(release: &Release) -> Named {
    let hosts = Hosts::new(release, Arch::Amd64);
    super::follow(release, &hosts, &release.inventory.hosts().collect::<Vec<_>>())
}

fn images(named: &Named) -> Vec<&str> {
    named.images.iter().map(|image| image.reference.as_str()).collect()
}

const BOOK: (&str, &str) = (
    "playbooks/cluster.yml",
    "- hosts: k8s_cluster\n  roles:\n    - { role: kubespray_defaults }\n    - { role: apps, when: on | d(true) }\n",
);

#[test]
fn a_role_has_its_own_defaults_and_templates() {
    let named = follow(
        &[
            BOOK,
            ("roles/kubespray_defaults/defaults/main.yml", "downloads: {}\nrepo: r.example\ntag: v1\nhelper: shared\n"),
            ("roles/apps/defaults/main.yml", "tag: v2\nhelper: \"{{ repo }}/helper:latest\"\n"),
            (
                "roles/apps/tasks/main.yml",
                "- set_fact: { files: [{ file: a.yml }, { file: b.yml }] }\n\
                 - template: { src: \"{{ item.file }}.j2\", dest: \"/x/{{ item.file }}\" }\n  loop: \"{{ files }}\"\n  \
                 register: made\n  when: inventory_hostname == groups['kube_control_plane'][0]\n\
                 - kube: { filename: \"{{ item.item.file }}\" }\n  loop: \"{{ made.results }}\"\n",
            ),
            ("roles/apps/templates/a.yml.j2", "image: {{ repo }}/a:{{ tag }}\n"),
            (
                "roles/apps/templates/b.yml.j2",
                "data: |\n  image: \"{{ helper }}\"\n{% if off is defined %}\nimage: c\n{% endif %}\n",
            ),
        ],
        "",
    );
    assert_eq!(images(&named), ["r.example/a:v2", "r.example/helper:latest"]);
    assert!(named.notes.is_empty(), "{:?}", named.notes);
    let place = &named.images[0].span;
    assert_eq!(
        (place.source().name(), place.line(), named.images[0].name.as_str()),
        ("kubespray/roles/apps/templates/a.yml.j2", 1, "apps")
    );
}

/// The messages of what is reported, with their places.
fn notes(named: &Named) -> Vec<String> {
    let place = |problem: &Diagnostic| problem.span.as_ref().map_or(0, Span::line);
    named.notes.iter().map(|problem| format!("{}: {}", place(problem), problem.message)).collect()
}

fn urls(named: &Named) -> Vec<&str> {
    named.files.iter().map(|file| file.url.as_str()).collect()
}

/// A checkout of one role with these tasks, and a template `NAME.j2` whose image is `NAME`.
fn of_tasks(tasks: &str) -> Named {
    let templates =
        ["a", "b", "c", "d"].map(|name| (format!("roles/apps/templates/{name}.j2"), format!("image: {name}\n")));
    let mut files = vec![BOOK, ("roles/apps/tasks/main.yml", tasks), ("roles/apps/tasks/more.yml", MORE)];
    files.extend(templates.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    files.push((
        "roles/other/tasks/main.yml",
        "- template: { src: d.j2 }\n- template: { src: \"{{ of_other }}.j2\" }\n",
    ));
    files.push(("roles/other/defaults/main.yml", "of_other: e\n"));
    files.push(("roles/other/templates/e.j2", "image: e"));
    follow(&files, "")
}

/// Tasks that another file includes.
const MORE: &str = "- template: { src: \"{{ name | d('b') }}.j2\" }\n";

#[test]
fn tasks_run_in_order_with_what_they_set() {
    for (tasks, expected) in [
        ("- set_fact: { x: a }\n- template: { src: '{{ x }}.j2' }\n", "a"),
        ("- template: { src: a.j2 }\n  when: false\n- template: { src: b.j2 }\n", "b"),
        (
            "- block:\n    - template: { src: a.j2 }\n  rescue:\n    - template: { src: b.j2 }\n  always:\n    - template: { src: c.j2 }\n",
            "a c",
        ),
        ("- block:\n    - template: { src: '{{ x }}.j2' }\n  vars: { x: c }\n  when: [true, x == 'c']\n", "c"),
        ("- include_tasks: more.yml\n  vars: { name: c }\n- import_tasks: more.yml\n", "c b"),
        ("- include_tasks: { file: more.yml }\n  loop: [a, c]\n  loop_control: { loop_var: name }\n", "a c"),
        ("- include_role: { name: other }\n", "d e"),
        (
            "- import_role: { name: other, tasks_from: nowhere }\n- include_role: { name: other }\n  vars: { of_other: c }\n",
            "d c",
        ),
        ("- template: { src: '{{ item }}.j2' }\n  with_items: [[a, b], c]\n", "a b c"),
        ("- template: { src: '{{ item.key }}.j2' }\n  with_dict: { a: 1, b: 2 }\n  when: item.value == 2\n", "b"),
        ("- template: { src: '{{ item }}' }\n  with_first_found: [nowhere.j2, c.j2, a.j2]\n", "c"),
        (
            "- template: { src: '{{ item }}' }\n  with_first_found: [{ files: [x.j2, b.j2], paths: [../templates] }]\n",
            "b",
        ),
        (
            "- ansible.builtin.template:\n    src: a.j2\n  tags: [never, x]\n- ansible.builtin.template: { src: b.j2 }\n",
            "b",
        ),
        (
            "- command: { cmd: kubectl apply -f -, stdin: \"{{ lookup('template', x ~ '.j2') }}\" }\n  vars: { x: a }\n",
            "a",
        ),
        ("- template: { src: a.j2 }\n  when: inventory_hostname != groups['kube_control_plane'][0]\n", ""),
    ] {
        let named = of_tasks(tasks);
        assert_eq!((images(&named).join(" ").as_str(), notes(&named)), (expected, vec![]), "{tasks}");
    }
}

#[test]
fn what_only_a_run_knows_leaves_nothing_out() {
    let named = of_tasks(
        "- command: x\n  register: made\n\
         - template: { src: a.j2 }\n  when: made.rc == 0\n\
         - set_fact: { x: c }\n  when: made.rc == 0\n\
         - template: { src: '{{ x }}.j2' }\n",
    );
    // Whatever `x` is, the template is one of the role.
    assert_eq!((images(&named), notes(&named)), (vec!["a", "b", "c", "d"], vec![]));
    let named = of_tasks(
        "- command: x\n  register: made\n\
         - include_role: { name: '{{ made.stdout }}' }\n\
         - include_tasks: '{{ made.stdout }}.yml'\n\
         - get_url: { url: 'https://h/{{ made.stdout }}' }\n\
         - template: { src: 'z-{{ made.stdout }}.j2' }\n\
         - template: { src: '{{ nowhere }}.j2' }\n\
         - template: { src: nowhere.j2 }\n\
         - include_role: { name: nowhere }\n\
         - include_tasks: nowhere.yml\n\
         - include_tasks: nowhere.yml\n  when: made.rc == 1\n",
    );
    let made = "cannot be determined: the result `made` is known only when the play runs";
    assert_eq!(
        notes(&named),
        [
            format!("3: the name of a role in the role `apps` {made}"),
            format!("4: the name of a file of tasks in the role `apps` {made}"),
            format!("5: a URL in the role `apps` {made}"),
            format!("6: the name of a template in the role `apps` {made}"),
            "7: the name of a template in the role `apps` cannot be determined: the variable `nowhere` is not defined"
                .into(),
            "8: the template `nowhere.j2`, which the role `apps` uses, is missing".into(),
            "9: the role `nowhere`, which the role `apps` uses, is missing".into(),
            "10: the file of tasks `nowhere.yml`, which the role `apps` uses, is missing".into(),
        ]
    );
}

#[test]
fn urls_that_tasks_fetch() {
    let files = [
        BOOK,
        (
            "roles/kubespray_defaults/defaults/main.yml",
            "downloads: {}\nitem_: { url: https://h/item, checksum: 'sha256:1111111111111111111111111111111111111111111111111111111111111111' }\n",
        ),
        ("roles/download/tasks/download_file.yml", "- get_url: { url: '{{ mirrors | random }}' }\n"),
        (
            "roles/apps/tasks/main.yml",
            "\
- get_url: { url: 'https://h/{{ inventory_hostname }}' }
- get_url: { url: file:///x }
- uri: { url: 'https://cluster/healthz' }
- uri: { url: https://h/kept, dest: /x }
- unarchive: { src: https://h/a.tgz, remote_src: true }
- unarchive: { src: a.tgz }
- shell: curl -sSL 'https://h/script' | sh
- command: echo https://h/not-fetched
- include_tasks: ../../download/tasks/download_file.yml
  vars: { download: '{{ item_ }}' }
",
        ),
    ];
    let named = follow(&files, "");
    assert_eq!(
        urls(&named),
        ["https://h/node1", "https://h/kept", "https://h/a.tgz", "https://h/script", "https://h/item"]
    );
    assert!(matches!(named.files[4].checksum, Checksum::Sha256(_)));
    assert_eq!(notes(&named), [""; 0]);
}

#[test]
fn what_outranks_what() {
    let files = [
        ("cluster.yml", "- import_playbook: playbooks/cluster.yml\n  vars: { of_import: import, of_both: import }\n"),
        (
            "playbooks/cluster.yml",
            "\
- hosts: kube_control_plane[0]
  vars: { of_play: play, of_both: play, of_role_vars: play }
  roles:
    - { role: first, of_call: call, vars: { of_vars: vars, of_call: vars } }
    - second
- hosts: nobody
  roles: [never]
",
        ),
        (
            "roles/first/defaults/main.yml",
            "of_default: first\nof_other: first\nof_play: first\nof_vars: first\nof_call: first\nof_import: first\n",
        ),
        ("roles/first/vars/main.yml", "of_role_vars: first\nof_call: first\n"),
        ("roles/second/defaults/main.yml", "of_default: second\nof_other: second\n"),
        (
            "roles/first/meta/main.yml",
            "dependencies: [{ role: third, when: of_default == 'third' and of_play == 'play' }]\n",
        ),
        ("roles/third/defaults/main.yml", "of_default: third\n"),
        ("roles/third/tasks/main.yml", "- template: { src: t.j2 }\n"),
        ("roles/third/templates/t.j2", "image: third/{{ of_default }}\n"),
        ("roles/first/tasks/main.yml", "- template: { src: t.j2 }\n"),
        (
            "roles/first/templates/t.j2",
            "image: {{ of_default }}/{{ of_play }}/{{ of_both }}/{{ of_import }}/{{ of_role_vars }}/{{ of_vars }}/{{ of_call }}\n",
        ),
        ("roles/never/tasks/main.yml", "- template: { src: t.j2 }\n"),
        ("roles/never/templates/t.j2", "image: never\n"),
    ];
    assert_eq!(images(&follow(&files, "")), ["third/third", "first/play/import/import/first/vars/call"]);
    let beside = [
        BOOK,
        ("roles/apps/meta/main.yml", "dependencies: [policy/all]\n"),
        ("roles/policy/all/meta/main.yml", "dependencies: [all/one]\n"),
        ("roles/policy/all/one/tasks/main.yml", "- template: { src: t.j2 }\n"),
        ("roles/policy/all/one/templates/t.j2", "image: one\n"),
    ];
    assert_eq!(images(&follow(&beside, "")), ["one"]);
    assert_eq!(images(&follow(&files, "of_call=extra")), ["third/third", "first/play/import/import/first/vars/extra"]);
}

#[test]
fn what_never_ends_is_cut_and_reported() {
    let cut = ["0: the playbook runs more tasks than kso follows, or includes itself"];
    assert_eq!(notes(&of_tasks("- include_tasks: main.yml\n- include_role: { name: apps }\n")), cut);
    let loops = format!("- include_tasks: more.yml\n  loop: [{0}]\n", "1,".repeat(2_000));
    let named = of_tasks(&loops);
    assert_eq!((images(&named), notes(&named)), (vec!["b"], vec![]));
    let many =
        format!("{{% for a in [{0}] %}}{{% for b in [{0}] %}}x{{% endfor %}}{{% endfor %}}image: x", "1,".repeat(400));
    let files =
        [BOOK, ("roles/apps/tasks/main.yml", "- template: { src: a.j2 }\n"), ("roles/apps/templates/a.j2", &many)];
    assert_eq!(notes(&follow(&files, "")), ["1: the template makes more text than kso follows"]);
}

#[test]
fn hosts_that_differ_are_followed() {
    let files = [
        BOOK,
        ("roles/apps/tasks/main.yml", "- template: { src: a.j2 }\n"),
        (
            "roles/apps/templates/a.j2",
            "image: a:{{ tag | d('v1') }}{% if inventory_hostname == groups.all[-1] %}-last{% endif %}\n",
        ),
    ];
    let of_hosts = |text: &str| followed(&release_of(&files, "", Some(text)));
    let named = of_hosts("[k8s_cluster]\nn[1:4999] ip=192.0.2.1 rack=1\nn5000\n[other]\nn17 tag=v2\nn18 rack=2\n");
    assert_eq!((images(&named), notes(&named)), (vec!["a:v1", "a:v1-last", "a:v2"], vec![]));
    let tags: String = (0..60).map(|number| format!("n{number} tag=v{number}\n")).collect();
    let named = of_hosts(&format!("[k8s_cluster]\n{tags}"));
    assert_eq!(
        (named.images.len(), notes(&named)),
        (50, vec!["0: more hosts than kso follows differ in variables that roles ask for".into()])
    );
}

#[test]
fn patterns_of_hosts() {
    let release = release(&[], "");
    let is = |pattern: &str| is_selected(&release.inventory.groups(), pattern, "node1");
    for pattern in
        ["all", "*", "k8s_cluster:etcd", "kube_control_plane[0]", "node1", "kube*", "nobody,etcd", "etcd:&all"]
    {
        assert!(is(pattern), "{pattern}");
    }
    for pattern in ["nobody", "kube_control_plane[1]", "all:!etcd", "etcd:&nobody", "localhost", ""] {
        assert!(!is(pattern), "{pattern}");
    }
}

/// The checkout of `plays/fixture`, with what real Ansible downloaded of it (`plays/real.py`).
#[test]
fn as_ansible_has_it() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("plays/fixture");
    let checkout = read_folder(&fixture.join("checkout"));
    let features = fs::read_to_string(fixture.join("features.tsv")).unwrap();
    let mut count = 0;
    for line in features.lines() {
        let (name, variables) = line.split_once('\t').unwrap();
        let vars: Vec<String> = variables.split_whitespace().map(str::to_owned).collect();
        let input = Input { checkout: checkout.clone(), vars: Vars::of_arguments(&vars).unwrap(), ..Input::default() };
        let mut diagnostics = Vec::new();
        let release = Release::read(&input, &mut diagnostics).unwrap();
        let found = release.downloads(Include::Enabled, Arch::Amd64, &mut diagnostics);
        let images = found.images.iter().map(|image| format!("image {}\n", image.reference));
        let lines: BTreeSet<String> =
            images.chain(found.files.iter().map(|file| format!("url {}\n", file.url))).collect();
        let expected = fs::read_to_string(fixture.join(format!("expected/{name}.txt"))).unwrap();
        let reported: Vec<&str> = diagnostics.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!((lines.into_iter().collect::<String>(), reported), (expected, vec![]), "{name}");
        count += 1;
    }
    assert!(count > 10);
}

fn read_folder(root: &Path) -> Folder {
    fn walk(root: &Path, path: &Path, files: &mut Files) {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, files);
            } else {
                let relative = path.strip_prefix(root).unwrap().to_str().unwrap();
                files.insert(relative.to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    let mut folder = Folder { name: "checkout".into(), ..Folder::default() };
    walk(root, root, &mut folder.files);
    folder
}

#[test]
fn playbooks_that_cannot_be_followed_are_reported() {
    let imports = ["missing.yml", "'{{ which }}.yml'", "ring.yml", "[a]"];
    let book: String = imports.iter().map(|name| format!("- import_playbook: {name}\n")).collect();
    let ring = ("playbooks/ring.yml", "- ansible.builtin.import_playbook: ring.yml\n");
    let named = follow(&[("playbooks/cluster.yml", &book), ring], "");
    let places = named.notes.iter().map(|note| note.span.as_ref().expect("a place").text());
    assert_eq!(places.collect::<Vec<_>>(), ["missing.yml", "'{{ which }}.yml'", "ring.yml", "[a]"]);
    let end = ", so images and files that its roles name may be missing";
    let told = named.notes.iter().map(|note| note.message.strip_suffix(end).expect("the same end"));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            "the checkout has no playbook `playbooks/missing.yml`",
            "the name of the imported playbook is a template, `{{ which }}.yml`",
            "playbooks import one another more than 10 deep",
            "the imported playbook is not a path",
        ]
    );
}
