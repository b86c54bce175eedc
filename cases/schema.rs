//! The JSON Schemas do what editors need: nothing good is refused, and what is wrong is marked where `kso check` marks it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde_json::Value;

use crate::editor::Document;
use crate::markdown::{documents, root};
use crate::{cases, command, text};

/// The validator of a schema in its folder.
fn validator(file: &str) -> Validator {
    jsonschema::validator_for(&schema(file)).expect("a schema that a validator takes")
}

fn schema(file: &str) -> Value {
    let text = fs::read_to_string(root().join("frontends/kso/schema").join(file)).expect("a schema");
    serde_json::from_str(&text).expect("JSON")
}

/// The files below a folder of the repository with this ending.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A text of YAML, or of JSON, with the name of its place.
fn refused(validator: &Validator, place: &str, text: &str) -> Vec<String> {
    let document = Document::read(text).unwrap_or_else(|problem| panic!("{place}: {problem}"));
    let errors = validator.iter_errors(&document.json);
    errors.map(|error| format!("{place}: {}: {error}", error.instance_path())).collect()
}

/// The definitions of the repository that are good: files, and what the documents show.
fn good_definitions() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for folder in ["examples", "cases/valid", "cases/lint"] {
        for path in files(&root().join(folder), "kso.yaml") {
            all.push((path.display().to_string(), fs::read_to_string(&path).expect("a definition")));
        }
    }
    for document in documents() {
        for block in document.blocks() {
            if block.language == "yaml" && block.text.contains("apiVersion: kso/v1") {
                all.push((format!("{}:{}", document.path, block.line), block.text));
            }
        }
    }
    all
}

#[test]
fn no_good_definition_is_refused() {
    let validator = validator("v1.json");
    let all = good_definitions();
    assert!(all.len() > 45, "{} definitions", all.len());
    let told: Vec<String> = all.iter().flat_map(|(place, text)| refused(&validator, place, text)).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}

#[test]
fn no_good_lock_is_refused() {
    let validator = validator("lock-v1.json");
    // The one that has everything is a snapshot.
    let mut all = files(&root().join("src/lock/snapshots"), "what_is_written_is_read.snap");
    all.extend(files(&root().join("fuzz/seeds/lock"), ""));
    all.extend(files(&root().join("cases"), "kso.lock"));
    assert!(all.len() > 3, "{all:?}");
    let told = all.iter().flat_map(|path| {
        let text = fs::read_to_string(path).expect("a lock");
        let lock = text.split_once("\n---\n").map_or(text.as_str(), |(_, lock)| lock);
        refused(&validator, &path.display().to_string(), lock)
    });
    let told: Vec<String> = told.collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
    let wrong = Document::read(r#"{"version": 1, "layout": 1, "bases": [], "files": [], "images": {}, "x": 1}"#);
    assert_eq!(wrong.expect("JSON").refused(&validator).len(), 2, "an unknown key, and a value of another type");
}

/// What `kso check` tells and the schema does not: the case, the places (line and column of the key or value), and why.
const BEYOND: &[(&str, &[&str], &str)] = &[
    ("args", &["11:10", "13:10", "14:10", "15:10", "17:10", "19:12"], ARGUMENTS),
    ("args-of-other-types", &["4:10"], ARGUMENTS),
    ("args-of-the-command-line", &["5:10"], ARGUMENTS),
    ("duplicate-key", &["4:5", "5:1"], YAML),
    (
        "hosts",
        &["7:75", "9:7", "11:11"],
        "a header in two spellings; a key that may be the missing one; a server again",
    ),
    ("images-list", &["3:11", "4:11"], CONTEXT),
    ("images-of-all-under-one-name", &["3:12"], ENTRIES),
    ("images-rename", &["7:13", "8:13"], CONTEXT),
    ("images-served-names", &["19:12"], "another entry, a table of names, could give the image a name"),
    ("images-under-one-name", &["6:12"], ENTRIES),
    ("kubespray", &["4:14", "5:11", "5:33"], "what lies in the checkout and in the build context"),
    ("list-empty", &["3:11", "4:11"], CONTEXT),
    ("list-is-a-folder", &["3:11"], CONTEXT),
    ("list-missing", &["3:11"], CONTEXT),
    ("list-not-utf-8", &["3:11", "4:11"], CONTEXT),
    ("mirrors", &["9:13"], ENTRIES),
    ("mirrors-of-images", &["9:13", "10:13"], ENTRIES),
    ("two-checksums", &["6:13"], ENTRIES),
    ("two-urls-for-one-path", &["4:10", "8:10"], ENTRIES),
    ("yaml-tag", &["2:23"], YAML),
    ("yaml-two-documents", &["3:1"], YAML),
];
const ARGUMENTS: &str = "a text with `${NAME}` is known where it is built: the schema refuses none";
const CONTEXT: &str = "the schema knows no other file";
const ENTRIES: &str = "two entries that do not fit together, each right by itself";
const YAML: &str = "the schema sees values: an editor's YAML parser tells it";

/// Cases whose text is no YAML that a validator could be given: an editor's YAML parser tells them.
const NO_YAML: &[&str] = &[
    "not-utf-8",
    "yaml-alias-in-itself",
    "yaml-bomb",
    "yaml-key-not-text",
    "yaml-syntax",
    "yaml-tab",
    "yaml-too-deep",
    "yaml-unclosed",
    "yaml-unknown-alias",
];

#[test]
fn what_is_wrong_is_marked_where_kso_marks_it() {
    let validator = validator("v1.json");
    let beyond: BTreeMap<&str, BTreeSet<String>> = BEYOND
        .iter()
        .map(|(case, places, _)| (*case, places.iter().map(|place| (*place).to_owned()).collect()))
        .collect();
    assert_eq!(beyond.len(), BEYOND.len(), "one entry for each case");
    let (mut told, mut seen, mut equal) = (Vec::new(), BTreeSet::new(), 0);
    for folder in cases("invalid") {
        let name = folder.file_name().unwrap_or_default().display().to_string();
        let Ok(text) = fs::read_to_string(folder.join("kso.yaml")) else {
            told.extend((!NO_YAML.contains(&name.as_str())).then(|| format!("{name}: not UTF-8")));
            seen.insert(name);
            continue;
        };
        // It would be built.
        let bomb = name == "yaml-bomb";
        let document = if bomb { Err("too large".to_owned()) } else { Document::read(&text) };
        let document = match document {
            Ok(document) if NO_YAML.contains(&name.as_str()) => {
                told.push(format!("{name}: it is YAML: {}", document.json));
                continue;
            }
            Ok(document) => document,
            Err(problem) => {
                told.extend((!NO_YAML.contains(&name.as_str())).then(|| format!("{name}: {problem}")));
                seen.insert(name);
                continue;
            }
        };
        let by_kso: BTreeSet<String> =
            marked(&folder, &text).into_iter().map(|byte| place(&text, document.at(byte))).collect();
        let by_schema: BTreeSet<String> =
            document.refused(&validator).into_iter().map(|byte| place(&text, byte)).collect();
        let missing: BTreeSet<String> = by_kso.difference(&by_schema).cloned().collect();
        let more: Vec<&String> = by_schema.difference(&by_kso).collect();
        if !more.is_empty() {
            told.push(format!("{name}: the schema tells more: {more:?}"));
        }
        if missing != beyond.get(name.as_str()).cloned().unwrap_or_default() {
            told.push(format!("{name}: the schema does not tell {missing:?}"));
        }
        equal += usize::from(!by_kso.is_empty() && missing.is_empty());
        seen.insert(name);
    }
    let gone = beyond.keys().chain(NO_YAML).filter(|case| !seen.contains(**case));
    told.extend(gone.map(|case| format!("there is no case {case}")));
    assert!(told.is_empty(), "{}", told.join("\n"));
    assert!(equal > 40, "{equal} cases are told whole");
}

/// The bytes of the definition where `kso check` marks errors.
fn marked(folder: &Path, definition: &str) -> Vec<usize> {
    let more = fs::read_to_string(folder.join("arguments")).unwrap_or_default();
    let output = command(folder, &["check"]).args(more.lines()).output().expect("the binary starts");
    let told = text(&output.stderr);
    let errors = told.split("\n\n").filter(|problem| problem.starts_with("error"));
    // What is wrong in a list is not in the definition.
    let places = errors.filter_map(|problem| problem.lines().nth(1)?.trim().strip_prefix("--> kso.yaml:"));
    let byte = |place: &str| {
        let (line, column) = place.split_once(':').expect("a line and a column");
        let (line, column): (usize, usize) = (line.parse().expect("a line"), column.parse().expect("a column"));
        let start: usize = definition.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let before: usize = definition[start..].chars().take(column - 1).map(char::len_utf8).sum();
        start + before
    };
    places.map(byte).collect()
}

/// The line and the column of a byte.
fn place(text: &str, byte: usize) -> String {
    let before = &text[..byte];
    let line = before.rsplit('\n').next().unwrap_or_default();
    format!("{}:{}", before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// A definition that is shown as a whole file tells editors its schema, in the line after that of the frontend.
#[test]
fn definitions_tell_editors_their_schema() {
    let address = schema("v1.json")["$id"].as_str().expect("an address").to_owned();
    assert!(address.ends_with("/frontends/kso/schema/v1.json"), "{address} is where the file lies");
    let second = format!("# yaml-language-server: $schema={address}");
    let whole = good_definitions()
        .into_iter()
        .filter(|(place, text)| text.starts_with("# syntax=") && !place.contains("cases/"));
    let (mut told, mut count) = (Vec::new(), 0);
    for (place, text) in whole {
        count += 1;
        if text.lines().nth(1) != Some(&second) {
            told.push(format!("{place}: its second line is not `{second}`"));
        }
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
    assert!(count > 8, "{count} definitions");
}
