//! What is told of files that were lost. Does not know how they were fetched.

use super::{Failure, Lost};
use crate::diagnostic::Diagnostic;
use crate::spec::Spec;

/// Files that could not be fetched, each at the line that asked for it.
pub fn problems(spec: &Spec, lost: &[Lost]) -> Vec<Diagnostic> {
    lost.iter()
        .map(|lost| {
            let file = &spec.files[lost.item];
            let tried: Vec<String> = lost
                .tried
                .iter()
                .map(|(url, tries, failure)| {
                    let from = if *url == file.url { String::new() } else { format!(" from {url}") };
                    let times = if *tries > 1 { format!(", after {tries} tries") } else { String::new() };
                    format!("{from}: {failure}{times}")
                })
                .collect();
            let mut problem = Diagnostic::error(format!("cannot fetch {}{}", file.url, tried.join("; then")));
            if let Some((first, rest)) = file.spans.split_first() {
                problem = problem.at(first.clone());
                for span in rest {
                    problem = problem.related(span.clone(), "also asked for here");
                }
            }
            let failure = lost.tried.last().map(|(_, _, failure)| failure);
            match (&file.locked_at, failure) {
                (Some(place), Some(Failure::Mismatch { .. })) => {
                    problem.related(place.clone(), "the lock's entry").help(LOCKED)
                }
                (_, failure) => failure.and_then(help).into_iter().fold(problem, Diagnostic::help),
            }
        })
        .collect()
}

/// What to do where a server has other bytes than the lock.
const LOCKED: &str = "if the new content is right, write the lock again: `docker buildx build --target lock -o .`, or \
     `kso lock --update NAME`";

/// What may help against the last failure.
fn help(failure: &Failure) -> Option<&'static str> {
    match failure {
        Failure::Status(404) => Some("correct the URL, or remove the line"),
        Failure::Mismatch { .. } => Some("if the new content is right, correct the checksum"),
        Failure::Status(_) | Failure::Connection(_) | Failure::Login(_) | Failure::Other(_) => None,
    }
}
