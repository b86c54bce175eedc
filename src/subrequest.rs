//! What `docker buildx build --call` and `--check` are told about a definition instead of building it. Owns the text
//! and the JSON of the answers; does not know how they travel.
//!
//! A question that is refused makes buildx ask docker/dockerfile instead, which then complains about YAML: so
//! all of buildx's own are answered.

mod lint;
mod lists;
mod plan;

use std::fmt::Write;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use buildkit::gateway::subrequest::{self, LINT, OUTLINE, Subrequest, TARGETS};
use buildkit::gateway::{BuildResult, Error};
use serde_json::{Value, json};

use crate::decode::Arg;
use crate::definition::Spec;
use crate::diagnostic::{Source, plain};
use crate::lint::Findings;
use crate::target::Target;
pub use plan::Known;

/// What is in the layers that would be built (`--call=kso.plan`).
const PLAN: &str = "frontend.kso.plan";
/// What is downloaded (`--call=kso.lists`).
const LISTS: &str = "frontend.kso.lists";

/// The questions that are answered, in addition to the one for this list.
pub const ANSWERED: [Subrequest; 5] = [
    Subrequest { name: LINT, description: "Lint the definition", metadata: &["result.statuscode"] },
    Subrequest { name: OUTLINE, description: "List all parameters current build target supports", metadata: &[] },
    Subrequest { name: TARGETS, description: "List all targets current build supports", metadata: &[] },
    Subrequest { name: PLAN, description: "List the layers that would be built, and what is in them", metadata: &[] },
    Subrequest { name: LISTS, description: "List the files and images that are downloaded", metadata: &[] },
];

/// What questions are answered from.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The text of the definition. One with an error does not come this far.
    pub definition: &'a Arc<Source>,
    /// What the definition asks for, its lock, and the platforms.
    pub known: Known<'a>,
    /// The target that a build would make, if there is one.
    pub target: Option<Target>,
    /// The rules that are broken.
    pub findings: &'a Findings,
}

/// The answer to the question `name`.
pub fn answer(name: &str, asked: &Asked<'_>) -> Result<BuildResult, Error> {
    let Asked { definition, known, target, findings } = *asked;
    match name {
        LINT => Ok(lint::answer(definition, findings)),
        OUTLINE => Ok(outline(known.spec, target, definition)),
        TARGETS => Ok(targets(&Target::of(known.spec), target)),
        PLAN => plan::answer(&known, target, definition.name()).map_err(|problem| Error::new(problem.message)),
        LISTS => Ok(lists::answer(known.spec)),
        _ => Err(Error::unsupported_subrequest(name)),
    }
}

fn outline(spec: &Spec, target: Option<Target>, definition: &Source) -> BuildResult {
    let mut json = json!({});
    let mut text = String::new();
    if let Some(target) = target {
        json["name"] = target.as_str().into();
        json["description"] = target.description().into();
        let _ = writeln!(text, "TARGET:      {}\nDESCRIPTION: {}", target.as_str(), target.description());
    }
    let described = |name: &str, arg: &Arg| {
        let comment = comment_above(definition, arg.span.line());
        comment.strip_prefix(name).map_or(comment.clone(), |rest| rest.trim_start().to_owned())
    };
    let args: Vec<Value> = spec
        .args
        .iter()
        .map(|(name, arg)| {
            let position = json!({ "line": arg.span.line(), "character": 0 });
            let location = json!({ "ranges": [{ "start": position, "end": position }] });
            json!({ "name": name, "value": arg.value, "description": described(name, arg), "location": location })
        })
        .collect();
    if !args.is_empty() {
        let width = |texts: &[&str]| texts.iter().map(|text| text.len()).max().unwrap_or_default();
        let names = width(&spec.args.iter().map(|(name, _)| name).chain(["BUILD ARG"]).collect::<Vec<_>>());
        let values = width(&spec.args.iter().map(|(_, arg)| arg.value.as_str()).chain(["VALUE"]).collect::<Vec<_>>());
        let _ = writeln!(text, "\n{:names$}   {:values$}   DESCRIPTION", "BUILD ARG", "VALUE");
        for (name, arg) in spec.args.iter() {
            let line = format!("{name:names$}   {:values$}   {}", plain(&arg.value), plain(&described(name, arg)));
            let _ = writeln!(text, "{}", line.trim_end());
        }
        json["args"] = args.into();
        json["sources"] = json!([BASE64_STANDARD.encode(definition.text())]);
    }
    subrequest::answer(json.to_string(), text)
}

/// The comment on the line above, as one line of text; empty where there is none.
fn comment_above(source: &Source, line: usize) -> String {
    let above = source.text().get(source.line(line.saturating_sub(1))).unwrap_or_default();
    above.trim_start().strip_prefix('#').map(|comment| comment.trim().to_owned()).unwrap_or_default()
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
