//! `crates/buildkit` is for frontends of any kind: it depends on nothing of kso and speaks of nothing that kso is for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Words of kso's field, in lower case.
const WORDS: [&str; 5] = ["kso", "kubespray", "kubernetes", "k8s", "helm"];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable directory") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn the_crate_speaks_of_nothing_that_kso_is_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/buildkit");
    let mut found = Vec::new();
    files(&root, &mut found);
    assert!(found.len() > 30, "the sources of the crate: {found:?}");
    let mut lines = Vec::new();
    for path in found {
        let text = fs::read_to_string(&path).expect("a text");
        for (number, line) in text.lines().enumerate() {
            let lower = line.to_lowercase();
            if WORDS.iter().any(|word| lower.contains(word)) {
                lines.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
        }
    }
    assert!(lines.is_empty(), "kso's words in crates/buildkit:\n{}", lines.join("\n"));
}

#[test]
fn the_crate_depends_on_nothing_of_kso() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--package", "buildkit", "--all-features", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let tree = String::from_utf8(output.stdout).expect("names of crates");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(tree.starts_with("buildkit v"), "{tree}");
    let ours: Vec<&str> = tree.lines().filter(|line| line.contains("(/") && !line.starts_with("buildkit v")).collect();
    assert!(ours.is_empty(), "crates of this repository: {ours:?}");
}
