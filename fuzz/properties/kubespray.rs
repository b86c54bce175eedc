//! A checkout of Kubespray with an inventory: files separated by NUL, each with the name of its place in its first line.

use std::collections::BTreeMap;

use kso::diagnostic::{Diagnostic, Source};
use kso::name::Arch;
use kso::producer::kubespray::{Address, Downloads, Folder, Include, Input, Release, Vars, offline, prove, texts};

use super::told;

/// What is rendered is told or listed, the same each time.
pub fn holds(data: &[u8]) {
    let mut input = Input::default();
    let mut inventory = Folder { name: "inventory/mine".into(), ..Folder::default() };
    for part in data.split(|byte| *byte == 0).take(8) {
        let end = part.iter().position(|byte| *byte == b'\n').unwrap_or(part.len());
        let (name, content) = (String::from_utf8_lossy(&part[..end]), part.get(end + 1..).unwrap_or_default());
        match name.as_ref() {
            "vars" => {
                let source = Source::new("vars.yml", String::from_utf8_lossy(content));
                input.vars = Vars::of_file(&source).unwrap_or_default();
            }
            "hosts.yml" | "inventory.ini" | "hosts" => {
                drop(inventory.files.insert(name.into_owned(), content.to_vec()));
            }
            name if name.starts_with("group_vars/") || name.starts_with("host_vars/") => {
                drop(inventory.files.insert(name.to_owned(), content.to_vec()));
            }
            name => drop(input.checkout.files.insert(name.to_owned(), content.to_vec())),
        }
    }
    input.inventory = (!inventory.files.is_empty()).then_some(inventory);
    rendered(&input);
}

/// What holds for everything that is read of Kubespray.
pub(super) fn rendered(input: &Input) {
    let mut diagnostics = Vec::new();
    let Some(release) = Release::read(input, &mut diagnostics) else {
        assert!(diagnostics.iter().any(Diagnostic::is_error), "nothing was said");
        told(&diagnostics);
        return;
    };
    let all = |include, diagnostics: &mut Vec<Diagnostic>| release.all_downloads(include, &Arch::ALL, diagnostics);
    let downloads = all(Include::Enabled, &mut diagnostics);
    let shown = told(&diagnostics);
    listed(&downloads);
    let mut diagnostics = Vec::new();
    Release::read(input, &mut diagnostics);
    let again = all(Include::Enabled, &mut diagnostics);
    assert_eq!(shown, told(&diagnostics));
    assert_eq!(texts(&downloads), texts(&again));
    if diagnostics.iter().any(Diagnostic::is_error) {
        return;
    }
    let offline = offline(&release, &Address::default());
    Vars::of_file(&Source::new("offline.yml", offline.as_str())).expect("what is written is YAML");
    drop(prove(&release, &Address::default(), &downloads).text());
}

/// Each file and each image has one line of its lists.
fn listed(downloads: &BTreeMap<Arch, Downloads>) {
    let texts = texts(downloads);
    for (arch, found) in downloads {
        for (kind, count) in [("files", found.files.len()), ("images", found.images.len())] {
            let text = &texts[&format!("{kind}-{arch}.list")];
            assert_eq!(text.lines().count(), count, "{text:?}");
        }
    }
}
