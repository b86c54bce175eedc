//! What the documents say, as far as it can be checked without a builder: links, definitions, commands and options of kso,
//! variables, targets, questions, keys. What they do is run by `integration/documents.rs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::markdown::{Block, Document, documents, root};
use crate::{NO_LINT, kso, text};

/// Blocks of commands that no test runs as they stand, and why. Where an image is started (`docker run -p`), the
/// integration test starts it after the commands before, and asks what the `curl` of the block asks.
const NOT_RUN: &[(&str, &str, &str)] = &[
    ("README.md", "docker run", STARTED),
    ("docs/guide.md", "docker run -d -p 8080:80 registry.example/org/files:1", STARTED),
    ("docs/guide.md", "docker buildx build --check", CHECKED),
    ("docs/rules/ArchitectureWithoutPlatform.md", "docker buildx build --check", CHECKED),
    ("docs/rules/IgnoredOfflineYml.md", "cp out/offline.yml", CHECKED),
    ("docs/rules/UnreadInventory.md", "ls inventory/mycluster/group_vars", CHECKED),
    ("docs/rules/UnreadKubespray.md", "kso check", CHECKED),
    ("docs/rules/UnreadKubespray.md", "docker buildx build --check", CHECKED),
    ("docs/rules/UnusedLockEntry.md", "docker buildx build", CHECKED),
    ("docs/guide.md", "printf", "no server of the documents wants a secret: integration/mirrors/secrets.rs has one"),
    (
        "docs/guide.md",
        "git clone",
        "Kubespray itself: `kso lists` is proved for every release by src/producer/kubespray/tests",
    ),
    ("docs/guide.md", "docker run -d -p 5000:5000 registry.example/org/images:2", STARTED),
    ("docs/guide.md", "kso verify --lock kso.lock /", "the root of a machine: integration/lock/verify.rs has one"),
    ("docs/guide.md", "kso verify --lock kso.lock --files", "running servers: integration/lock/servers.rs has them"),
    ("docs/guide.md", "docker buildx create", "needs two machines: integration/nodes.rs has two daemons"),
    ("docs/coming-from/dockerfile.md", "docker run", STARTED),
    ("docs/coming-from/skopeo.md", "docker run", STARTED),
    ("docs/coming-from/hauler.md", "hauler", "another program"),
    ("docs/coming-from/hauler.md", "docker run", STARTED),
    ("docs/coming-from/kubespray-contrib-offline.md", "./generate_list.sh", "another program, with Ansible"),
    ("docs/coming-from/kubespray-contrib-offline.md", "docker run", STARTED),
];

const CHECKED: &str = "of a definition that is not shown: cases/lint and integration/asked.rs run it";
const STARTED: &str = "needs Docker: the test starts the image with runc instead, and asks it";

/// What a text says of itself, told all at once.
fn nothing(told: &[String]) {
    assert!(told.is_empty(), "{}", told.join("\n"));
}

/// A document with the lines that a check finds wrong.
fn each(check: impl Fn(&Document, &mut dyn FnMut(usize, String))) {
    let mut told = Vec::new();
    for document in documents() {
        check(&document, &mut |line, what| told.push(format!("{}:{line}: {what}", document.path)));
    }
    nothing(&told);
}

#[test]
fn no_link_is_dead() {
    let all = documents();
    each(|document, tell| {
        for (link, line) in document.links() {
            if link.contains("://") || link.starts_with("mailto:") {
                let host = link.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
                let good = (link.starts_with("https://") || link.starts_with("http://")) && host.contains('.');
                if !good || link.contains(char::is_whitespace) {
                    tell(line, format!("{link} is no URL of the web"));
                }
                continue;
            }
            let (path, anchor) = link.split_once('#').map_or((link.as_str(), None), |(path, at)| (path, Some(at)));
            let folder = Path::new(&document.path).parent().unwrap_or(Path::new(""));
            let target = if path.is_empty() { document.path.clone() } else { joined(folder, path) };
            if !root().join(&target).exists() {
                tell(line, format!("there is no {target}"));
            } else if let Some(anchor) = anchor {
                let found = all.iter().find(|document| document.path == target);
                if found.is_none_or(|document| !document.anchors().contains(anchor)) {
                    tell(line, format!("{target} has no heading #{anchor}"));
                }
            }
        }
    });
}

/// A relative path from a folder, without `..`.
fn joined(folder: &Path, path: &str) -> String {
    let mut parts: Vec<String> = folder.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part.to_owned());
        }
    }
    parts.join("/")
}

#[test]
fn definitions_pass_the_check() {
    let mut count = 0;
    for document in documents() {
        let blocks = document.blocks();
        let is_definition = |block: &&Block| block.language == "yaml" && block.text.contains("apiVersion: kso/v1");
        for block in blocks.iter().filter(is_definition) {
            let folder = surroundings();
            for other in &blocks {
                if let Some(title) = &other.title {
                    let file = folder.path().join(title);
                    fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
                    fs::write(file, &other.text).expect("a file");
                }
            }
            fs::write(folder.path().join("checked.yaml"), &block.text).expect("a file");
            // Most definitions show one thing, and pin nothing: lint is none of this test's business.
            let output = kso(folder.path(), &["check", NO_LINT, "checked.yaml"]);
            let place = format!("{}:{}", document.path, block.line);
            assert!(output.status.success(), "{place}:\n{}\n{}", block.text, text(&output.stderr));
            count += 1;
        }
    }
    assert!(count >= 10, "{count} definitions");
}

/// What the definitions of the documents name and do not show.
fn surroundings() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |path: &str, text: &str| {
        let file = folder.path().join(path);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, text).expect("a file");
    };
    for arch in ["amd64", "arm64"] {
        write(&format!("temp/files-{arch}.list"), &format!("https://dl.k8s.io/{arch}/kubelet\n"));
        write(&format!("temp/images-{arch}.list"), "registry.k8s.io/pause:3.9\n");
    }
    write("temp/images.list", "registry.k8s.io/pause:3.9\n");
    write("images_origin.yaml", "- { src: registry.k8s.io/pause, dest: library/pause }\n");
    write("inventory/mycluster/group_vars/all/all.yml", "helm_enabled: true\n");
    folder
}

#[test]
fn commands_of_kso_are_understood() {
    let options = kso::cli::options();
    each(|document, tell| {
        for block in document.blocks() {
            for command in block.commands().iter().filter(|command| command.starts_with("kso ")) {
                let command = command.split(['>', '|', ';', '&']).next().unwrap_or_default();
                let words = command.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
                if let Err(problem) = kso::cli::understand(words) {
                    tell(block.line, format!("{command}: {problem}"));
                }
            }
        }
        for (code, line) in document.code().into_iter().filter(|(code, _)| code.starts_with("kso ")) {
            let words = code.split_whitespace().map(|word| word.split('=').next().unwrap_or(word));
            for word in words.filter(|word| word.starts_with("--") && !options.contains(*word)) {
                tell(line, format!("kso has no {word}"));
            }
        }
    });
}

/// A name in the text of a program is one that the program knows.
#[test]
fn variables_exist() {
    let mut sources = String::new();
    let mut paths =
        ["src", "action", "integration", "frontends", "cases", "fuzz"].map(|path| root().join(path)).to_vec();
    paths.extend(["action.yml", "versions.env", "Makefile"].map(|path| root().join(path)));
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_none_or(|extension| extension != "md") && !path.ends_with("documents.rs") {
            sources += &fs::read_to_string(&path).unwrap_or_default();
        }
    }
    let known: BTreeSet<String> = names(&sources).collect();
    assert!(known.contains("KSO_LOCK"), "{known:?}");
    each(|document, tell| {
        for name in names(&document.text).filter(|name| !known.contains(name)) {
            tell(1, format!("nothing reads {name}"));
        }
    });
}

/// The words of a text that begin with `KSO_`.
fn names(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("KSO_") && word.len() > 4).map(str::to_owned)
}

#[test]
fn targets_and_questions_exist() {
    let targets = ["files", "images", "lists", "lock", "sbom", "NAME", "X"];
    // buildx writes `frontend.` before what follows `--call`.
    let answered =
        kso::subrequest::ANSWERED.iter().map(|question| question.name.trim_start_matches("frontend.").to_owned());
    let own = ["check", "outline", "targets", "build", "subrequests.describe", "frontend.targets", "NAME"];
    let questions: BTreeSet<String> = answered.chain(own.map(str::to_owned)).collect();
    each(|document, tell| {
        let words: Vec<&str> = document.text.split(|c: char| c.is_whitespace() || "`=\"',)".contains(c)).collect();
        for pair in words.windows(2) {
            let name = pair[1].trim_end_matches(['.', ':', ';', ',']);
            if pair[0] == "--target" && !targets.contains(&name) && !name.contains(['$', '…']) && !name.is_empty() {
                tell(1, format!("there is no target {name}"));
            }
            if pair[0] == "--call" && !questions.contains(name) && !name.contains('…') && !name.is_empty() {
                tell(1, format!("there is no question {name}"));
            }
        }
    });
}

/// `key:` in the prose of a document for users is a key of the definition, of the lock, or of what is named here.
#[test]
fn keys_exist() {
    let others = ["help", "uses", "syntax", "src", "dest", "kubespray"];
    let mut known: BTreeSet<String> = others.map(str::to_owned).into();
    for schema in ["v1.json", "lock-v1.json"] {
        let text = fs::read_to_string(root().join("frontends/kso/schema").join(schema)).expect("a schema");
        keys(&serde_json::from_str(&text).expect("JSON"), &mut known);
    }
    each(|document, tell| {
        if !document.is_for_users() {
            return;
        }
        for (code, line) in document.code() {
            let is_key = |key: &&str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric());
            let key = code.strip_suffix(':').or_else(|| code.split_once(": ").map(|(key, _)| key));
            if let Some(key) = key.filter(is_key).filter(|key| !known.contains(*key)) {
                tell(line, format!("there is no key {key}"));
            }
        }
    });
}

fn keys(schema: &Value, known: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Object(properties)) = object.get("properties") {
                known.extend(properties.keys().cloned());
            }
            object.values().for_each(|value| keys(value, known));
        }
        Value::Array(values) => values.iter().for_each(|value| keys(value, known)),
        _ => {}
    }
}

#[test]
fn every_block_that_is_not_run_has_its_reason() {
    let mut told = Vec::new();
    let mut found = BTreeSet::new();
    for document in documents().into_iter().filter(Document::is_for_users) {
        for block in document.blocks() {
            let place = format!("{}:{}", document.path, block.line);
            match block.language.as_str() {
                "console" => {}
                "bash" | "shell" => {
                    told.push(format!("{place}: write sh where it can be run, else console"));
                    continue;
                }
                _ => continue,
            }
            let first = block.commands().into_iter().next().unwrap_or_default();
            let reason = NOT_RUN.iter().position(|(path, begin, _)| *path == document.path && first.starts_with(begin));
            match reason {
                Some(number) => drop(found.insert(number)),
                None => told.push(format!("{place}: `{first}` is not run, and NOT_RUN does not say why")),
            }
        }
    }
    let unused = (0..NOT_RUN.len()).filter(|number| !found.contains(number));
    told.extend(unused.map(|number| format!("no document has {:?}", NOT_RUN[number])));
    nothing(&told);
}

#[test]
fn recordings_are_those_of_the_tests() {
    let all = documents();
    let document = all.iter().find(|document| document.path == "docs/progress.md").expect("it is there");
    let shown: Vec<String> =
        document.blocks().iter().filter(|block| block.language == "text").map(|block| block.text.clone()).collect();
    let recorded = ["files_in_a_log", "images_in_a_log", "files_in_a_terminal", "images_in_a_terminal"].map(|name| {
        let path = root().join(format!("integration/snapshots/integration__progress__{name}.snap"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.splitn(3, "---\n").nth(2).expect("a snapshot has a head").trim_end().to_owned() + "\n"
    });
    assert_eq!(shown, recorded, "docs/progress.md shows what integration/progress.rs has recorded");
}

/// From an empty folder to running images, with the README alone; what is asked of them is not counted.
#[test]
fn five_commands_are_enough() {
    let all = documents();
    let readme = all.iter().find(|document| document.path == "README.md").expect("it is there");
    let end = readme.text.lines().position(|line| line == "## From Kubespray itself").expect("the next section");
    let blocks: Vec<Block> = readme.blocks().into_iter().filter(|block| block.line <= end).collect();
    assert!(blocks.iter().any(|block| block.title.as_deref() == Some("kso.yaml")), "the definition is a file");
    let commands: Vec<String> = blocks.iter().flat_map(Block::commands).collect();
    let (asks, needed): (Vec<&String>, Vec<&String>) =
        commands.iter().partition(|command| command.starts_with("curl "));
    assert!(needed.iter().any(|command| command.starts_with("docker run ")) && !asks.is_empty(), "{commands:?}");
    assert!(needed.len() <= 5, "{needed:?}");
}
