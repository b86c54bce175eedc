//! What `docker buildx build --call` and `--check` are told about a definition instead of building it. Owns the text
//! and the JSON of the answers; does not know how they travel.
//!
//! A question that is refused makes buildx ask docker/dockerfile instead, which then complains about YAML: so
//! all of buildx's own are answered.

mod lint;

use std::fmt::Write;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, Source};
use crate::gateway::subrequest::{self, LINT, OUTLINE, Subrequest, TARGETS};
use crate::gateway::{BuildResult, Error};
use crate::lint::Findings;
use crate::spec::Spec;

/// The questions that are answered, beside the one for this list.
pub const ANSWERED: [Subrequest; 3] = [
    Subrequest { name: LINT, description: "Lint the definition", metadata: &["result.statuscode"] },
    Subrequest { name: OUTLINE, description: "List all parameters current build target supports", metadata: &[] },
    Subrequest { name: TARGETS, description: "List all targets current build supports", metadata: &[] },
];

/// A target of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The file server image.
    Files,
    /// The registry image.
    Images,
    /// The lock.
    Lock,
    /// The lists of Kubespray.
    Lists,
}

impl Target {
    /// The targets that a specification has.
    pub fn of(spec: &Spec) -> Vec<Self> {
        let lists = spec.kubespray.map(|_| Self::Lists);
        Self::images_of(spec).into_iter().chain([Self::Lock]).chain(lists).collect()
    }

    /// Those of them that are images: where there is one, it is built unless another target is asked for.
    pub fn images_of(spec: &Spec) -> Vec<Self> {
        let files = (!spec.files.is_empty()).then_some(Self::Files);
        let images = (!spec.images.is_empty()).then_some(Self::Images);
        files.into_iter().chain(images).collect()
    }

    /// The target `name` of a specification; the error names those that it has.
    pub fn named(name: &str, spec: &Spec) -> Result<Self, Diagnostic> {
        let targets = Self::of(spec);
        targets.iter().copied().find(|target| target.as_str() == name).ok_or_else(|| {
            Diagnostic::error(format!("unknown target `{name}`"))
                .help(format!("this definition has: {}", Self::names(&targets)))
        })
    }

    /// Whether the target called `name` says what the world has now, whatever a lock says.
    pub fn asks_anew(name: &str) -> bool {
        [Self::Lock, Self::Lists].iter().any(|target| target.as_str() == name)
    }

    /// The names of targets, for a sentence.
    pub fn names(targets: &[Self]) -> String {
        targets.iter().map(|target| target.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Its name in `--target`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Images => "images",
            Self::Lock => "lock",
            Self::Lists => "lists",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Files => "File server image that holds the files of all architectures",
            Self::Images => "Registry image that holds the container images of its platform's architecture",
            Self::Lock => "The lock, which pins every file and image by its digest: write it with `-o .`",
            Self::Lists => "The lists of Kubespray, with checksums and offline.yml: write them with `-o DIR`",
        }
    }
}

/// The answer to the question `name` about a definition; `target` is the one that a build would make, if there is one. A
/// definition with an error does not come this far.
pub fn answer(
    name: &str,
    spec: &Spec,
    target: Option<Target>,
    definition: &Arc<Source>,
    findings: &Findings,
) -> Result<BuildResult, Error> {
    match name {
        LINT => Ok(lint::answer(definition, findings)),
        OUTLINE => Ok(outline(target)),
        TARGETS => Ok(targets(&Target::of(spec), target)),
        _ => Err(Error::unsupported_subrequest(name)),
    }
}

fn outline(target: Option<Target>) -> BuildResult {
    let Some(target) = target else { return subrequest::answer("{}", "") };
    let json = json!({ "name": target.as_str(), "description": target.description() });
    let text = format!("TARGET:      {}\nDESCRIPTION: {}\n", target.as_str(), target.description());
    subrequest::answer(json.to_string(), text)
}

fn targets(all: &[Target], default: Option<Target>) -> BuildResult {
    let mut text = format!("{:16}DESCRIPTION\n", "TARGET");
    let mut listed: Vec<Value> = Vec::new();
    for &target in all {
        let (name, description) = (target.as_str(), target.description());
        let mark = if Some(target) == default { " (default)" } else { "" };
        let _ = writeln!(text, "{:16}{description}", format!("{name}{mark}"));
        listed.push(json!({ "name": name, "default": Some(target) == default, "description": description }));
    }
    subrequest::answer(json!({ "targets": listed, "sources": [] }).to_string(), text)
}
