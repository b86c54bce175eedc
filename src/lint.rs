//! Lint of a definition that can be built: the rules that it breaks, except those that it skips. Owns which findings are
//! reported and how many; does not know where they are shown.

mod comments;
mod directive;
mod find;
mod options;

use std::collections::HashMap;
use std::sync::Arc;

use crate::lint::comments::Comments;
pub use crate::lint::find::Subject;
pub use crate::lint::options::{ARGUMENT, Options};

use crate::diagnostic::rules::{INCOMPLETE_LISTS, OFFLINE_INVENTORY, UNREAD_INVENTORY};
use crate::diagnostic::{Diagnostic, Rule, Severity, Source, Span, hints};

/// What a check of a definition finds.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// The broken rules, one for each line of the definition, and one for each list.
    pub reported: Vec<Diagnostic>,
    /// Whether warnings fail the build.
    error: bool,
}

impl Findings {
    /// Checks a subject: `found` is what was found while it was read.
    pub fn of(subject: &Subject<'_>, definition: &Arc<Source>, options: &Options, found: Vec<Diagnostic>) -> Self {
        let mut found = found;
        if !options.skip_all {
            find::all(subject, &mut found);
        }
        let mut comments = HashMap::<*const Source, Comments>::new();
        found.retain(|problem| {
            let Some(rule) = problem.rule else { return true };
            let by_comment = problem.span.as_ref().is_some_and(|span| {
                let source = span.source();
                let comments = comments.entry(Arc::as_ptr(source)).or_insert_with(|| match Comments::of(source) {
                    // What stands at its top is in the options, unless the build argument replaced it.
                    own if Arc::ptr_eq(source, definition) => own.without_top(),
                    other => other,
                });
                comments.skip(rule, span)
            });
            !options.skip(rule) && !by_comment
        });
        let mut reported = one_for_each_list(&found, definition);
        hints::name_definition(&mut reported, definition.name());
        Self { reported, error: options.error }
    }

    /// Those that are more than notes.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.reported.iter().filter(|problem| problem.severity < Severity::Note)
    }

    /// The error of a build that shall not go on with warnings.
    pub fn violation(&self) -> Option<Diagnostic> {
        let mut rules: Vec<&str> = self.warnings().filter_map(|problem| Some(problem.rule?.name)).collect();
        rules.sort_unstable();
        rules.dedup();
        let problem = || {
            Diagnostic::error(format!("lint violation found for rules: {}", rules.join(", ")))
                .help("`check=error=true` turns every warning into an error: fix them, or skip these rules")
        };
        (self.error && !rules.is_empty()).then(problem)
    }
}

/// The maximum number of reported findings: a user corrects the first ones before reading more.
const MAX_TOLD: usize = 1000;

/// Rules of which every finding says something of its own.
const EACH: [&Rule; 3] = [&INCOMPLETE_LISTS, &OFFLINE_INVENTORY, &UNREAD_INVENTORY];

/// A rule that many lines of a list break is reported at the first of them; so is one that a line of the definition breaks
/// many times.
fn one_for_each_list(found: &[Diagnostic], definition: &Arc<Source>) -> Vec<Diagnostic> {
    let is_list = |span: &Span| !Arc::ptr_eq(span.source(), definition);
    let key = |problem: &Diagnostic| {
        let (rule, span) = (problem.rule?, problem.span.as_ref()?);
        if EACH.iter().any(|each| each.name == rule.name) {
            return None;
        }
        let range = if is_list(span) { 0..0 } else { span.range() };
        Some((rule.name, Arc::as_ptr(span.source()), range))
    };
    let mut places = HashMap::new();
    let mut told = Vec::<(Diagnostic, usize)>::new();
    for problem in crate::diagnostic::sorted(found) {
        let next = told.len();
        match key(problem).map(|key| *places.entry(key).or_insert(next)) {
            Some(first) if first < next => told[first].1 += 1,
            _ => told.push((problem.clone(), 0)),
        }
    }
    let all = told.into_iter().take(MAX_TOLD).map(|(mut problem, more)| {
        if more > 0 {
            let what = if problem.span.as_ref().is_some_and(is_list) { "in this list" } else { "of this line" };
            problem.message = format!("{}; {more} more {what}", problem.message);
        }
        problem
    });
    all.collect()
}

#[cfg(test)]
mod tests;
