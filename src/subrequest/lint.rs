//! The answer to `--check`: `lint.LintResults` of BuildKit's `frontend/subrequests/lint`, which buildx prints with the
//! lines. Does not know what was found.

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use buildkit::gateway::{BuildResult, subrequest};
use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, Severity, Source, Span, plain, render};
use crate::lint::Findings;

/// The status is 1 where there are warnings; notes alone do not fail a check.
pub(super) fn answer(definition: &Arc<Source>, findings: &Findings) -> BuildResult {
    let told: Vec<&Diagnostic> = findings.reported.iter().filter(|problem| problem.rule.is_some()).collect();
    let mut sources = vec![Arc::clone(definition)];
    let warnings: Vec<Value> = told.iter().map(|problem| warning(problem, &mut sources)).collect();
    let sources: Vec<Value> = sources.iter().map(|source| json(source)).collect();
    let json = json!({ "warnings": warnings, "sources": sources });
    let status = if findings.warnings().next().is_some() { "1" } else { "0" };
    let json = serde_json::to_string_pretty(&json).unwrap_or_default();
    subrequest::answer(json, text(findings)).with_metadata("result.statuscode", status)
}

fn warning(problem: &Diagnostic, sources: &mut Vec<Arc<Source>>) -> Value {
    let location = match &problem.span {
        Some(span) => {
            let known = sources.iter().position(|source| Arc::ptr_eq(source, span.source()));
            let index = known.unwrap_or_else(|| {
                sources.push(Arc::clone(span.source()));
                sources.len() - 1
            });
            let position = json!({ "line": span.line(), "character": 0 });
            json!({ "sourceIndex": index, "ranges": [{ "start": position, "end": position }] })
        }
        None => json!({ "sourceIndex": -1 }),
    };
    let place = |span: &Span| format!("{}:{}: ", plain(span.source().name()), span.line());
    // buildx gives every excerpt the name of the file that the user named with `-f`.
    let elsewhere = problem.span.iter().filter(|span| !Arc::ptr_eq(span.source(), &sources[0]));
    let mut detail: String = elsewhere.map(place).collect();
    if problem.severity == Severity::Note {
        detail.push_str("note: ");
    }
    detail.push_str(&plain(&problem.message));
    for (span, label) in &problem.related {
        let _ = write!(detail, "\n{}{}", place(span), plain(label));
    }
    for line in problem.help.iter().flat_map(|help| help.lines()) {
        let _ = write!(detail, "\nhelp: {}", plain(line));
    }
    let rule = problem.rule.map(|rule| (rule.name, rule.description, rule.url())).unwrap_or_default();
    json!({ "ruleName": rule.0, "description": rule.1, "url": rule.2, "detail": detail, "location": location })
}

/// `pb.SourceInfo` as Go writes it.
fn json(source: &Source) -> Value {
    let yaml = [".yaml", ".yml"].iter().any(|ending| source.name().ends_with(ending));
    let data = BASE64_STANDARD.encode(source.text());
    json!({ "filename": plain(source.name()), "data": data, "language": if yaml { "yaml" } else { "" } })
}

/// For clients that do not read the JSON.
fn text(findings: &Findings) -> String {
    match findings.reported.len() {
        0 => "Check complete, no warnings found.\n".into(),
        1 => format!("Check complete, 1 warning has been found!\n\n{}", render(&findings.reported, 1)),
        count => format!("Check complete, {count} warnings have been found!\n\n{}", render(&findings.reported, count)),
    }
}
