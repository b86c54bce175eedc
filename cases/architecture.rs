//! docs/architecture.md is true: every room of `src/` is in its table, and uses only those above it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The longest file, in lines.
const LONGEST: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a directory, except tests.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a readable directory") {
        let path = entry.expect("a readable entry").path();
        if path.file_stem().is_some_and(|name| name == "tests") {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// A file without its comments and its tests.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The rooms that code names: `crate::plan::…`, `use crate::{plan, web}`.
fn used(code: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>();
    let mut used = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(group) => {
                used.extend(group.split('}').next().unwrap_or_default().split(',').map(|it| word(it.trim())));
            }
            None => drop(used.insert(word(rest))),
        }
    }
    used.retain(|room| !room.is_empty());
    used
}

#[test]
fn a_room_uses_only_those_above_it_in_the_table() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).expect("the page");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let rooms: Vec<&str> = rows.map(|(room, _)| room).filter(|room| !room.contains("::")).collect();
    let floor = |room: &str| rooms.iter().position(|it| *it == room);
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let (mut problems, mut seen) = (Vec::new(), BTreeSet::new());
    for file in files {
        let path = file.strip_prefix(root().join("src")).expect("below src");
        let room = path.iter().next().and_then(|first| first.to_str()).expect("a name").trim_end_matches(".rs");
        if matches!(room, "lib" | "main") {
            continue;
        }
        seen.insert(room.to_owned());
        let Some(own) = floor(room) else {
            problems.push(format!("{room} is not in the table"));
            continue;
        };
        let text = fs::read_to_string(&file).expect("text");
        for other in used(&code(&text)) {
            match floor(&other) {
                Some(floor) if floor <= own => {}
                Some(_) => problems.push(format!("{} uses {other}, which is below it in the table", path.display())),
                None => problems.push(format!("{} uses {other}, which is not in the table", path.display())),
            }
        }
    }
    problems.extend(rooms.iter().filter(|room| !seen.contains(**room)).map(|room| format!("there is no room {room}")));
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(seen.len() > 20, "{seen:?}");
}

#[test]
fn files_are_short_and_lie_beside_their_directory() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    for name in ["buildkit", "spanned-yaml"] {
        sources(&root().join("crates").join(name).join("src"), &mut files);
    }
    let mut problems = Vec::new();
    for file in files {
        let lines = fs::read_to_string(&file).expect("text").lines().count();
        if lines > LONGEST {
            problems.push(format!("{} has {lines} lines", file.display()));
        }
        if file.file_name().is_some_and(|name| name == "mod.rs") {
            problems.push(format!("{} is named after no noun: write NAME.rs beside NAME/", file.display()));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn rooms_are_found_in_code() {
    let text =
        "//! crate::no\nuse crate::{plan, web::Web};\nlet a = crate::lock::Lock;\n#[cfg(test)]\nuse crate::cli;\n";
    assert_eq!(used(&code(text)).into_iter().collect::<Vec<_>>(), ["lock", "plan", "web"]);
}
