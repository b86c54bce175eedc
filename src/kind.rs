//! The kinds of content. Owns the list of them, and what the entries of any kind are expanded with; a kind knows nothing of
//! another. CONTRIBUTING.md says how to add one.

pub mod files;
pub mod images;

use std::collections::BTreeMap;

use crate::decode::ListText;
use crate::diagnostic::{Diagnostic, Span, quoted};
use crate::name::{Arch, Invalid};

/// What the entries of a kind are expanded with.
#[derive(Debug, Clone, Copy)]
pub struct Expansion<'a> {
    /// The architectures that content is wanted for: at least one, sorted, each once.
    pub architectures: &'a [Arch],
    /// The lists that were read, by their paths in the build context; a path that is absent is a missing list.
    pub lists: &'a BTreeMap<String, ListText>,
    /// Who makes entries in addition to the definition's own.
    pub producer: Option<Producer<'a>>,
}

/// Who makes entries from the variables of another project.
#[derive(Debug, Clone, Copy)]
pub struct Producer<'a> {
    /// The subject of a sentence: `Kubespray's variables`.
    pub name: &'static str,
    /// Where the definition asks for it, if there is one.
    pub asked: Option<&'a Span>,
}

impl Producer<'_> {
    /// The places that ask for a produced entry: the definition's, then `span`, the producer's own.
    fn spans(&self, span: &Span) -> Vec<Span> {
        self.asked.into_iter().chain([span]).cloned().collect()
    }

    /// Reports a produced name that is none. One line may make many: it is reported once for each reason.
    fn report(&self, why: &Invalid, text: &str, span: &Span, diagnostics: &mut Vec<Diagnostic>) {
        let reason = format!(": {}", why.message);
        let is_known = |known: &Diagnostic| {
            known.message.ends_with(&reason) && known.span.as_ref().is_some_and(|other| other.is_same(span))
        };
        if diagnostics.iter().any(is_known) {
            return;
        }
        let problem = Diagnostic::error(format!("{} produce {}{reason}", self.name, quoted(text))).at(span.clone());
        let problem = problem.related(self.asked.cloned(), "requested here");
        diagnostics.push(why.help.iter().cloned().fold(problem, Diagnostic::help));
    }
}
