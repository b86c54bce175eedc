//! Answers to the questions that `docker buildx build --call` and `--check` ask instead of a build. Owns their JSON and
//! text; does not know how they are sent.
//!
//! A question that is refused makes buildx ask docker/dockerfile instead, which then complains about YAML (DESIGN §10):
//! so all of buildx's own are answered.

use crate::spec::Spec;
use serde_json::{Value, json};
use std::fmt::Write;

/// An answer: JSON for programs, text for people, and the version of their form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `result.json`
    pub json: Value,
    /// `result.txt`
    pub text: String,
    /// `result.statuscode`: what `buildx` exits with, where the question has one.
    pub status: Option<u8>,
}

/// The version of every answer's form (`frontend/subrequests` of BuildKit).
pub const VERSION: &str = "1.0.0";

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// `--call=subrequests.describe`
    Describe,
    /// `--call=targets`
    Targets,
    /// `--call=outline`
    Outline,
    /// `--call=check`, `--check`
    Lint,
}

/// What can be asked, with its name on the wire and what it is for.
const QUESTIONS: [(Question, &str, &str); 4] = [
    (Question::Lint, "frontend.lint", "Lint the definition"),
    (Question::Outline, "frontend.outline", "List all parameters current build target supports"),
    (Question::Describe, "frontend.subrequests.describe", "List available subrequest types"),
    (Question::Targets, "frontend.targets", "List all targets current build supports"),
];

impl Question {
    /// The question of that name on the wire.
    pub fn named(name: &str) -> Option<Self> {
        QUESTIONS.iter().find(|(_, known, _)| *known == name).map(|(question, _, _)| *question)
    }
}

/// A target of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The file server image.
    Files,
}

impl Target {
    /// The targets that a specification defines.
    pub fn of(_: &Spec) -> Vec<Self> {
        vec![Self::Files]
    }

    /// Its name in `--target`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Files => "files",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Files => "file server image that holds every file of all architectures",
        }
    }
}

/// The answer to `question` about a definition; `target` is the one that a build would make.
pub fn answer(question: Question, spec: &Spec, target: Target) -> Answer {
    match question {
        Question::Describe => describe(),
        Question::Targets => targets(&Target::of(spec), target),
        Question::Outline => outline(target),
        Question::Lint => Answer {
            json: json!({ "warnings": [], "sources": [] }),
            text: "Check complete, no warnings found.\n".into(),
            status: Some(0),
        },
    }
}

/// The answer to [`Question::Describe`], which needs no definition.
pub fn describe() -> Answer {
    let requests: Vec<Value> = QUESTIONS
        .iter()
        .map(|(_, name, description)| {
            json!({
                "name": name,
                "version": VERSION,
                "type": "rpc",
                "description": description,
                "opts": [],
                "metadata": [{ "name": "result.json" }, { "name": "result.txt" }],
            })
        })
        .collect();
    let rows = QUESTIONS.iter().map(|(_, name, description)| {
        vec![name.trim_start_matches("frontend.").into(), VERSION.into(), (*description).into()]
    });
    Answer { json: Value::Array(requests), text: table(&["NAME", "VERSION", "DESCRIPTION"], rows), status: None }
}

fn targets(all: &[Target], default: Target) -> Answer {
    let json: Vec<Value> = all
        .iter()
        .map(|target| json!({ "name": target.as_str(), "default": *target == default, "description": target.description() }))
        .collect();
    let rows = all.iter().map(|target| {
        let default = if *target == default { " (default)" } else { "" };
        vec![format!("{}{default}", target.as_str()), target.description().into()]
    });
    Answer {
        json: json!({ "targets": json, "sources": [] }),
        text: table(&["TARGET", "DESCRIPTION"], rows),
        status: None,
    }
}

fn outline(target: Target) -> Answer {
    Answer {
        json: json!({ "name": target.as_str(), "description": target.description() }),
        text: format!("TARGET:      {}\nDESCRIPTION: {}\n", target.as_str(), target.description()),
        status: None,
    }
}

/// Columns as wide as their widest cell and one space.
fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut cells = vec![head.iter().map(ToString::to_string).collect::<Vec<_>>()];
    cells.extend(rows);
    let width = |column: usize| cells.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0) + 1;
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    cells.iter().fold(String::new(), |mut out, row| {
        let line = row.iter().zip(&widths).fold(String::new(), |line, (cell, width)| format!("{line}{cell:<width$}"));
        let _ = writeln!(out, "{}", line.trim_end());
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_is_described() {
        insta::assert_snapshot!(describe().text, @r"
        NAME                 VERSION DESCRIPTION
        lint                 1.0.0   Lint the definition
        outline              1.0.0   List all parameters current build target supports
        subrequests.describe 1.0.0   List available subrequest types
        targets              1.0.0   List all targets current build supports
        ");
        assert_eq!(Question::named("frontend.targets"), Some(Question::Targets));
        assert_eq!(Question::named("frontend.else"), None);
    }

    #[test]
    fn targets_name_the_default() {
        insta::assert_snapshot!(targets(&[Target::Files], Target::Files).text, @r"
        TARGET          DESCRIPTION
        files (default) file server image that holds every file of all architectures
        ");
    }
}
