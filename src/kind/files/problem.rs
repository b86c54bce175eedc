//! What is reported of files that were lost. Does not know how they were fetched.

use crate::artifact::{Artifacts, PinnedAt};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::hints::ACCEPT_CONTENT;
use crate::fetch::{Failure, Lost};
use crate::name::FileUrl;
use crate::origin::{Host, host_of};

/// Artifacts of file servers that could not be fetched, each at the line that asked for it.
pub fn problems(hosts: &[Host], artifacts: &Artifacts, lost: &[Lost]) -> Vec<Diagnostic> {
    lost.iter()
        .map(|lost| {
            let file = &artifacts[lost.artifact];
            let tried: Vec<String> = lost
                .tried
                .iter()
                .map(|(url, tries, failure)| {
                    let from = if file.url() == Some(url) { String::new() } else { format!(" from {url}") };
                    let times = if *tries > 1 { format!(", after {tries} tries") } else { String::new() };
                    format!("{from}: {failure}{times}")
                })
                .collect();
            let mut problem = Diagnostic::error(format!("cannot fetch {}{}", file.name(), tried.join("; then")))
                .at(file.spans.first().cloned());
            for span in file.spans.iter().skip(1) {
                problem = problem.related(span.clone(), "also requested here");
            }
            let end = lost.tried.last();
            let wrong = matches!(end, Some((_, _, Failure::Mismatch { .. })));
            match file.pinned_at.as_ref().filter(|_| wrong) {
                Some(PinnedAt::Lock(place)) => {
                    return problem.related(place.clone(), "the lock's entry").help(ACCEPT_CONTENT);
                }
                Some(PinnedAt::Variable { name, span }) => {
                    let help = format!("if the new content is correct, update the checksum in `{name}`");
                    return problem.related(span.clone(), "the checksum").help(help);
                }
                None => {}
            }
            let help = end.and_then(|(url, _, failure)| help(hosts, url, failure));
            help.into_iter().fold(problem, Diagnostic::help)
        })
        .collect()
}

/// What may help against the last failure.
fn help(hosts: &[Host], url: &FileUrl, failure: &Failure) -> Option<String> {
    match failure {
        Failure::Status(404) => Some("correct the URL, or remove the line".into()),
        Failure::Mismatch { .. } => Some("if the new content is correct, update the checksum".into()),
        Failure::Secret(id) => Some(format!(
            "add `--secret id={id},src=FILE` or `--secret id={id},env=VARIABLE`; its content is the whole value of the `Authorization` header, such as `Bearer …`"
        )),
        Failure::Status(401 | 403) => Some(login(hosts, url)),
        Failure::Status(_)
        | Failure::Busy { .. }
        | Failure::Unreachable(_)
        | Failure::Connection(_)
        | Failure::Login(_)
        | Failure::Other(_) => None,
    }
}

/// What may help against a server that refuses access.
fn login(hosts: &[Host], url: &FileUrl) -> String {
    if let Some(id) = host_of(hosts, url).and_then(Host::secret) {
        return format!(
            "the secret `{id}` was sent; it must be the whole value of the `Authorization` header, such as `Bearer …`"
        );
    }
    let (scheme, _) = url.as_str().split_once("://").unwrap_or_default();
    let at = format!("{scheme}://{}/", url.authority());
    format!("if it requires a login, write `hosts: [{{ at: {at}, secret: ID }}]`, and add `--secret id=ID,src=FILE`")
}
