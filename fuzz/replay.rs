//! Every input that once broke a property, every seed, and some that are made here: the properties of `fuzz/properties`
//! hold for them. An input is kept in `regressions/TARGET/`, under a name that says what was wrong.

use std::fs;
use std::path::Path;

use crate::properties::ALL;

/// The files of a folder beside this one, with their names.
fn inputs(folder: &str) -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder);
    let Ok(entries) = fs::read_dir(&root) else { return Vec::new() };
    let read = |entry: fs::DirEntry| {
        (entry.file_name().display().to_string(), fs::read(entry.path()).expect("a file of the repository"))
    };
    entries.map(|entry| read(entry.expect("a readable folder"))).collect()
}

fn replay(kind: &str, least: usize) {
    let mut count = 0;
    for (target, holds) in ALL {
        for (name, input) in inputs(&format!("{kind}/{target}")) {
            eprintln!("{kind}/{target}/{name}");
            holds(&input);
            count += 1;
        }
    }
    assert!(count >= least, "{count} inputs in {kind}");
}

#[test]
fn what_was_wrong_is_not_wrong_again() {
    replay("regressions", 1);
}

#[test]
fn seeds_have_their_properties() {
    replay("seeds", ALL.len());
}

#[test]
fn every_target_has_seeds_and_is_built() {
    let manifest = include_str!("Cargo.toml");
    for (target, _) in ALL {
        assert!(manifest.contains(&format!("path = \"targets/{target}.rs\"")), "{target}");
        assert!(!inputs(&format!("seeds/{target}")).is_empty(), "{target} has no seed");
    }
    assert_eq!(manifest.matches("path = \"targets/").count(), ALL.len());
}

/// What editors, copies and other systems make of a file: no property depends on it.
#[test]
fn broken_copies_of_every_seed() {
    type Break = fn(&[u8]) -> Vec<u8>;
    let breaks: [Break; 8] = [
        |bytes| bytes[..bytes.len() / 2].to_vec(),
        |bytes| bytes[bytes.len() / 3..].to_vec(),
        |bytes| [b"\xef\xbb\xbf", bytes].concat(),
        |bytes| bytes.iter().flat_map(|b| if *b == b'\n' { vec![b'\r', b'\n'] } else { vec![*b] }).collect(),
        |bytes| bytes.iter().map(|b| if *b == b'\n' { b'\r' } else { *b }).collect(),
        |bytes| bytes.iter().flat_map(|b| [*b, 0]).collect(),
        |bytes| [bytes, b"\xff\xfe", bytes].concat(),
        |bytes| bytes.iter().map(|b| if *b == b'e' { 0xcc } else { *b }).collect(),
    ];
    for (target, holds) in ALL {
        for (_, seed) in inputs(&format!("seeds/{target}")) {
            for change in breaks {
                holds(&change(&seed));
            }
        }
    }
}
