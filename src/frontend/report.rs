//! How a build's failures are told to BuildKit: one message with every problem, and the lines for the excerpts that
//! buildx prints. Owns that text; does not know what went wrong.

use std::fmt::Write;

use buildkit::gateway::{Error, Warning};
use buildkit::llb::Location;

use crate::diagnostic::{Diagnostic, Span, hints, plain, sorted};
use crate::lower::Lowering;
use crate::plan;

/// How many problems a message tells; the rest is counted.
const SHOWN: usize = 20;

/// How many other places of a problem are reported; the rest is counted.
const PLACES: usize = 4;

/// Why a build ends without a result.
#[derive(Debug)]
pub(super) enum Failure {
    /// Problems of the user's files, or of what they name.
    Problems(Vec<Diagnostic>),
    /// BuildKit said no; its details are kept.
    BuildKit(Error),
}

impl From<Vec<Diagnostic>> for Failure {
    fn from(problems: Vec<Diagnostic>) -> Self {
        Self::Problems(problems)
    }
}

impl From<Diagnostic> for Failure {
    fn from(problem: Diagnostic) -> Self {
        Self::Problems(vec![problem])
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::BuildKit(error)
    }
}

impl From<plan::Error> for Failure {
    fn from(error: plan::Error) -> Self {
        Diagnostic::from(error).into()
    }
}

impl Failure {
    /// As BuildKit gets it; `definition` is the name of the definition, for hints.
    pub(super) fn into_error(self, definition: &str) -> Error {
        let mut problems = match self {
            Self::BuildKit(error) => {
                let message = error.message().lines().map(plain).collect::<Vec<_>>().join("\n");
                return error.with_message(message);
            }
            Self::Problems(problems) => problems,
        };
        hints::name_definition(&mut problems, definition);
        let errors = sorted(problems.iter().filter(|problem| problem.is_error()));
        let lowering = Lowering::default();
        let shown = &errors[..errors.len().min(SHOWN)];
        // Where there is no room for all, the second places are left out.
        let first = shown.iter().flat_map(|problem| problem.span.iter());
        let second = shown.iter().flat_map(|problem| problem.related.iter().map(|(span, _)| span));
        let locations: Vec<Location> = first.chain(second).map(|span| lowering.location(span)).collect();
        Error::new(message(&errors)).at(&locations)
    }
}

/// A problem that does not stop the build, as `docker buildx build` shows it after the build: `RULE: what (line 3)`.
pub(super) fn warning(problem: &Diagnostic) -> Warning {
    let lines: Vec<Location> = problem.span.iter().map(|span| Lowering::default().location(span)).collect();
    let rule = problem.rule.map(|rule| format!("{}: ", rule.name)).unwrap_or_default();
    let place = problem.span.as_ref().map(|span| format!(" ({} line {})", plain(span.source().name()), span.line()));
    let description = problem.rule.map(|rule| rule.description.to_owned());
    let help = problem.help.iter().map(|help| format!("help: {help}"));
    Warning {
        detail: description.into_iter().chain(help).collect(),
        url: problem.rule.map(crate::diagnostic::Rule::url).unwrap_or_default(),
        ..Warning::new(format!("{rule}{}{}", plain(&problem.message), place.unwrap_or_default()))
    }
    .at(&lines)
}

/// What a user reads when kso panicked.
pub(super) fn bug(panic: &str) -> String {
    format!("this is a bug in kso {}, please report it: {panic}", env!("CARGO_PKG_VERSION"))
}

/// One problem is a sentence; several are a list.
fn message(problems: &[&Diagnostic]) -> String {
    if let [only] = problems {
        return one(only, "").trim_start().to_owned();
    }
    let mut out = format!("{} problems:", problems.len());
    for problem in problems.iter().take(SHOWN) {
        out.push_str(&one(problem, "  "));
    }
    if let Some(more) = problems.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        let _ = write!(out, "\n  and {more} more");
    }
    out
}

/// A problem, its other places and its help, each on a line that begins with `indent`.
fn one(problem: &Diagnostic, indent: &str) -> String {
    let place = problem.span.as_ref().map(|span| format!("{}: ", place(span))).unwrap_or_default();
    let mut out = format!("\n{indent}{place}{}", plain(&problem.message));
    for (span, label) in problem.related.iter().take(PLACES) {
        let _ = write!(out, "\n{indent}  {}: {}", self::place(span), plain(label));
    }
    if let Some(more) = problem.related.len().checked_sub(PLACES).filter(|more| *more > 0) {
        let _ = write!(out, "\n{indent}  and {more} more places");
    }
    for (index, line) in problem.help.iter().flat_map(|help| help.lines()).enumerate() {
        let lead = if index == 0 { "help:" } else { "     " };
        let deeper = if indent.is_empty() { "" } else { "  " };
        let _ = write!(out, "\n{indent}{deeper}{lead} {}", plain(line));
    }
    out
}

/// `file:line`
fn place(span: &Span) -> String {
    format!("{}:{}", plain(span.source().name()), span.line())
}
