//! Answers to questions about a definition (`--call`, `--check`) instead of a build: how an answer travels. Does not
//! know what the answers are.

use std::fmt::Write;

use serde::Serialize;

use super::BuildResult;

/// Lists the questions that the frontend answers.
pub const DESCRIBE: &str = "frontend.subrequests.describe";
/// Checks the definition (`--check`, `--call check`).
pub const LINT: &str = "frontend.lint";
/// Lists what the chosen target takes (`--call outline`).
pub const OUTLINE: &str = "frontend.outline";
/// Lists the targets (`--call targets`).
pub const TARGETS: &str = "frontend.targets";

/// The version of the answers to all of BuildKit's own questions.
pub const VERSION: &str = "1.0.0";

/// A question that a frontend answers, as [`DESCRIBE`] lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subrequest {
    /// The value of `requestid`.
    pub name: &'static str,
    /// What it answers.
    pub description: &'static str,
    /// Keys of the metadata beyond `result.json`, `result.txt` and `version`.
    pub metadata: &'static [&'static str],
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    description: &'a str,
}

#[derive(Serialize)]
struct Described<'a> {
    name: &'a str,
    version: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    description: &'a str,
    opts: Vec<Named<'a>>,
    inputs: Vec<Named<'a>>,
    metadata: Vec<Named<'a>>,
    refs: Vec<Named<'a>>,
}

/// An answer, for programs and for people. It has no reference.
pub fn answer(json: impl Into<Vec<u8>>, text: impl Into<Vec<u8>>) -> BuildResult {
    BuildResult::default()
        .with_metadata("result.json", json)
        .with_metadata("result.txt", text)
        .with_metadata("version", VERSION)
}

/// The answer to [`DESCRIBE`].
pub fn describe(answered: &[Subrequest]) -> BuildResult {
    let own = Subrequest { name: DESCRIBE, description: "List available subrequest types", metadata: &[] };
    let all: Vec<_> = answered.iter().chain([&own]).collect();
    let described = all.iter().map(|subrequest| {
        let metadata = ["result.json", "result.txt"].iter().chain(subrequest.metadata);
        Described {
            name: subrequest.name,
            version: VERSION,
            kind: "rpc",
            description: subrequest.description,
            opts: Vec::new(),
            inputs: Vec::new(),
            metadata: metadata.map(|name| Named { name, description: "" }).collect(),
            refs: Vec::new(),
        }
    });
    let described: Vec<_> = described.collect();
    let short = |name: &str| name.strip_prefix("frontend.").unwrap_or(name).to_owned();
    let width = all.iter().map(|subrequest| short(subrequest.name).len()).max().unwrap_or(0);
    let mut text = format!("{:width$} {:7} DESCRIPTION\n", "NAME", "VERSION");
    for subrequest in &all {
        let _ = writeln!(text, "{:width$} {VERSION:7} {}", short(subrequest.name), subrequest.description);
    }
    let json = serde_json::to_string_pretty(&described).expect("texts have a JSON form");
    answer(json, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_for_programs_and_for_people() {
        let lint = Subrequest { name: LINT, description: "Check the definition", metadata: &["result.statuscode"] };
        let result = describe(&[lint]);
        let text = |key: &str| String::from_utf8_lossy(&result.metadata[key]).into_owned();
        assert_eq!(text("version"), "1.0.0");
        assert_eq!(
            text("result.txt"),
            "NAME                 VERSION DESCRIPTION\n\
             lint                 1.0.0   Check the definition\n\
             subrequests.describe 1.0.0   List available subrequest types\n"
        );
        insta::assert_snapshot!(text("result.json"));
        assert!(result.reference.is_none());
    }
}
