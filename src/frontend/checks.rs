//! What is reported of a definition in addition to its images: the rules that it breaks, and answers to questions. Owns when
//! it is reported; does not know the rules.

use buildkit::gateway::{BuildResult, Client, Options};
use buildkit::llb::Digest;

use super::lock::Locked;
use super::report::{self, Failure};
use super::{Read, overrides, platforms};
use crate::lint::{self, Findings, Subject};
use crate::subrequest::{self, Asked, Known};
use crate::target::{ImageTarget, Target};

/// Checks what was read; `target` is what is built, and everything where it is `None`.
pub(super) fn find(
    options: &Options,
    read: &mut Read,
    target: Option<Target>,
    lock: Option<&Locked>,
) -> Result<Findings, Failure> {
    let argument = format!("build-arg:{}", lint::ARGUMENT);
    let chosen = lint::Options::of(&read.source, options.get(&argument))?;
    let images = target.is_none_or(|target| target.image() == Some(ImageTarget::Images));
    let platforms = if images { Some(platforms(options)?) } else { None };
    let subject = Subject {
        spec: &read.spec,
        lock: lock.map(Locked::file),
        pins: target.is_none_or(|target| !Target::asks_anew(target.as_str())),
        platforms: platforms.as_deref(),
    };
    Ok(Findings::of(&subject, &read.source, &chosen, std::mem::take(&mut read.warnings)))
}

/// Shows the warnings during the build, or ends it where the definition wants that.
pub(super) async fn warn(client: &Client, vertex: &Digest, findings: &Findings) -> Result<(), Failure> {
    for warning in findings.warnings() {
        client.warn(vertex, report::warning(warning)).await?;
    }
    findings.violation().map_or(Ok(()), |problem| Err(problem.into()))
}

/// Shows which contexts are not used.
pub(super) async fn unused(client: &Client, options: &Options, read: &Read) -> Result<(), Failure> {
    for warning in overrides::unused(options, &read.lists, &read.spec) {
        client.warn(&read.vertex, report::warning(&warning)).await?;
    }
    Ok(())
}

/// The answer to a question about what was read.
pub(super) fn answer(
    question: &str,
    options: &Options,
    read: &Read,
    target: Option<Target>,
    lock: Option<&Locked>,
    findings: &Findings,
) -> Result<BuildResult, Failure> {
    let platforms = platforms(options)?;
    let known = Known { spec: &read.spec, lock: lock.map(|lock| (lock.file(), lock.said())), platforms: &platforms };
    Ok(subrequest::answer(question, &Asked { definition: &read.source, known, target, findings })?)
}
