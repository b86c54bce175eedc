//! The form of the scripts in `findings/`. It does not run them: they install packages, so `make findings` does.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The fields of a header, in order.
const FIELDS: [&str; 5] = ["# Surprise: ", "# Versions: ", "# Guess: ", "# Seen: ", "# Affects: "];

/// What is wrong with a script: an empty string where nothing is.
fn fault(script: &str) -> String {
    let header: Vec<_> = script.lines().skip(1).take_while(|line| line.starts_with('#')).collect();
    let fields: Vec<_> = header.iter().filter(|line| !line.starts_with("#   ")).collect();
    if fields.len() != FIELDS.len() || !fields.iter().zip(FIELDS).all(|(line, field)| line.starts_with(field)) {
        return format!("the header's fields are not {FIELDS:?}");
    }
    if !script.starts_with("#!/usr/bin/env bash\n") || !script.contains("\nset -euo pipefail\n") {
        return "it does not begin as bash that stops at an error".to_owned();
    }
    if !script.contains("\nrecorded <<'R'\n") || !script.ends_with("\nR\n") {
        return "it does not end with what was recorded".to_owned();
    }
    let mut installs = 0;
    for line in script.lines() {
        let mark = match line.split(' ').next() {
            Some("pip_install") => "==",
            Some("npm_install") => "@",
            Some("go_get") => "@v",
            Some("cargo_add") => "@=",
            _ => continue,
        };
        installs += 1;
        for package in line.split(' ').skip(1) {
            let version = package.rsplit_once(mark).map_or("", |(_, version)| version);
            if !version.starts_with(|it: char| it.is_ascii_digit()) {
                return format!("`{package}` is not pinned");
            }
        }
    }
    if installs == 0 { "it installs nothing".to_owned() } else { String::new() }
}

#[test]
fn scripts_have_the_form_of_the_readme() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("findings");
    let readme = fs::read_to_string(root.join("README.md")).expect("findings/README.md");
    let mut scripts = 0;
    for entry in fs::read_dir(&root).expect("the directory of findings") {
        let path = entry.expect("a readable directory").path();
        let name = path.file_stem().expect("a name").display().to_string();
        if path.extension().is_none_or(|extension| extension != "sh") || name == "lib" {
            continue;
        }
        scripts += 1;
        assert_eq!(fault(&fs::read_to_string(&path).expect("a script")), "", "{name}");
        assert_ne!(fs::metadata(&path).expect("a script").permissions().mode() & 0o111, 0, "{name} is not executable");
        assert!(readme.contains(&format!("| `{name}` |")), "{name} is missing from the table of findings/README.md");
    }
    assert!(scripts > 0, "no findings");
    assert_eq!(readme.matches("\n| `").count(), scripts, "the table has a row for every script and no other");
}

#[test]
fn a_script_that_pins_nothing_is_found() {
    let script = |install: &str| {
        let header = FIELDS.map(|field| format!("{field}x")).join("\n");
        format!("#!/usr/bin/env bash\n{header}\nset -euo pipefail\n{install}\nrecorded <<'R'\nR\n")
    };
    assert_eq!(fault(&script("pip_install a==1.0 b==2")), "");
    assert_eq!(fault(&script("pip_install a==1.0 b")), "`b` is not pinned");
    assert_eq!(fault(&script("npm_install @a/b")), "`@a/b` is not pinned");
    assert_eq!(fault(&script("go_get a.example/b@latest")), "`a.example/b@latest` is not pinned");
    assert_eq!(fault(&script("cargo_add a@1.0")), "`a@1.0` is not pinned");
    assert_eq!(fault(&script("")), "it installs nothing");
    assert!(fault(&script("pip_install a==1").replace("# Guess", "# guess")).contains("fields"));
}
