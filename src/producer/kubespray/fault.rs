//! Why a variable has no value: the fact, the place, and the chain of variables that led there. Owns how that is reported;
//! does not know how values are made.

use crate::diagnostic::{Diagnostic, Span};

/// The maximum number of links shown between the first and the last of a chain.
const MAX_LINKS: usize = 6;

/// A variable, or a part of one, that is being rendered.
#[derive(Debug, Clone)]
pub(super) struct Link {
    /// As a person would write it: `downloads.kubelet.url`.
    pub(super) name: String,
    /// Where it is defined.
    pub(super) span: Span,
}

/// Why there is no value.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    /// Whether the reason is that something is not defined: what `default` makes up for.
    pub(super) undefined: bool,
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// From what was asked for to what failed; its last span is the place.
    pub(super) chain: Vec<Link>,
    /// The other spelling of the key that a mapping does not have, with a `v` or without, where it has that.
    pub(super) respelled: Option<String>,
    /// Whether it depends on what was asked for first: a ring, or a chain that is too long.
    pub(super) of_the_way: bool,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>, chain: &[Link]) -> Self {
        Self {
            undefined: false,
            message: message.into(),
            help: None,
            chain: chain.to_vec(),
            respelled: None,
            of_the_way: false,
        }
    }

    pub(super) fn undefined(message: impl Into<String>, chain: &[Link]) -> Self {
        Self { undefined: true, ..Self::new(message, chain) }
    }

    pub(super) fn help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    /// The diagnostic at the wrong place, with the variables that led there.
    pub(super) fn diagnostic(&self) -> Diagnostic {
        let mut problem = Diagnostic::error(self.message.clone());
        let Some((last, before)) = self.chain.split_last() else { return problem };
        problem = problem.at(last.span.clone());
        let mut links: Vec<&Link> = before.iter().rev().collect();
        if links.len() > MAX_LINKS {
            let first = links.pop();
            links.truncate(MAX_LINKS);
            links.extend(first);
        }
        for link in links {
            problem = problem.related(link.span.clone(), format!("`{}` depends on `{}`", link.name, last.name));
        }
        match &self.help {
            Some(help) => problem.help(help.clone()),
            None => problem,
        }
    }
}
