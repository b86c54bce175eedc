//! Everything that a lock is made of, asked of a world at once. Owns what is asked and what is reported; does not know how a
//! registry or a file server is reached.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{join_all, join3};

use super::{Answers, LockedBase};
use crate::artifact::{ArtifactId, Artifacts};
use crate::base::{self, Resolver};
use crate::definition::Spec;
use crate::diagnostic::Diagnostic;
use crate::fetch::{Lost, Wanted};
use crate::kind::files::{self, FileAnswer};
use crate::kind::images::Image;
use crate::kind::images::resolved::Resolved;
use crate::name::{Digest, FileUrl, ImageRef};

/// Who is asked. One implementor per world: BuildKit's gateway, kso's own HTTPS requests, and a fake in tests.
pub trait World: Resolver {
    /// Why it cannot go on at all.
    type Error;

    /// Fetches files from `sources`, each with retries and mirrors; those that were lost too.
    fn fetch(
        &self,
        artifacts: &Artifacts,
        sources: Wanted,
    ) -> impl Future<Output = Result<(Vec<Fetched>, Vec<Lost>), Self::Error>>;

    /// A small file next to a fetched one: its bytes, if the server has it.
    fn beside(&self, url: &FileUrl) -> impl Future<Output = Option<Vec<u8>>>;

    /// What an image leads to, for the architectures that it is wanted for.
    fn resolve(&self, image: &Image) -> impl Future<Output = Result<Resolved, Diagnostic>>;

    /// Is called when an entry is done, or lost.
    fn done(&self) {}
}

/// A file that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Which one.
    pub artifact: ArtifactId,
    /// Where it came from.
    pub source: FileUrl,
    /// What its bytes hash to.
    pub sha256: Digest,
    /// Its size in bytes.
    pub bytes: u64,
}

/// What is to be asked for.
#[derive(Debug, Default)]
pub struct Question<'a> {
    /// The base images.
    pub bases: Vec<&'a ImageRef>,
    /// The files, of those that the specification makes ([`files::tree::artifacts`]).
    pub files: Vec<ArtifactId>,
    /// The container images.
    pub images: Vec<&'a Image>,
}

/// What was found. What is missing in it has a problem.
#[derive(Debug, Default)]
pub struct Found {
    /// The base images.
    pub bases: Vec<LockedBase>,
    /// The files.
    pub files: BTreeMap<ArtifactId, FileAnswer>,
    /// The container images.
    pub images: BTreeMap<ImageRef, Resolved>,
    /// Why others were not found.
    pub problems: Vec<Diagnostic>,
}

/// Asks for all of it at once.
///
/// # Errors
/// What the world cannot go on after. A thing that could not be had is a problem in [`Found`].
pub async fn ask<W: World>(world: &W, spec: &Spec, question: &Question<'_>) -> Result<Found, W::Error> {
    let artifacts = files::tree::artifacts(spec.file_section());
    let mut found = Found::default();
    let (bases, answers, images) = join3(
        ask_bases(world, spec, &question.bases),
        ask_files(world, spec, &artifacts, &question.files),
        join_all(question.images.iter().map(async |image| {
            let resolved = world.resolve(image).await;
            world.done();
            resolved
        })),
    )
    .await;
    for base in bases {
        match base {
            Ok(base) => found.bases.push(base),
            Err(problems) => found.problems.extend(problems),
        }
    }
    let (answers, problems) = answers?;
    found.files = answers;
    found.problems.extend(problems);
    for image in images {
        match image {
            Ok(image) => drop(found.images.insert(image.reference().clone(), image)),
            Err(problem) => found.problems.push(problem),
        }
    }
    Ok(found)
}

/// The base images, for the platforms of the architectures.
async fn ask_bases<W: World>(world: &W, spec: &Spec, wanted: &[&ImageRef]) -> Vec<Result<LockedBase, Vec<Diagnostic>>> {
    let (platforms, places) = (spec.platforms(), spec.bases());
    join_all(wanted.iter().map(async |reference| {
        let span = places.get(*reference).and_then(Option::as_ref);
        let bases = base::bases(reference, span, &platforms, world).await;
        world.done();
        LockedBase::of(reference, bases?)
            .map_err(|why| vec![Diagnostic::error(format!("the base image {reference} {why}")).at(span.cloned())])
    }))
    .await
}

type Judged = (BTreeMap<ArtifactId, FileAnswer>, Vec<Diagnostic>);

/// The files, each with what the server says of it.
async fn ask_files<W: World>(
    world: &W,
    spec: &Spec,
    artifacts: &Artifacts,
    wanted: &[ArtifactId],
) -> Result<Judged, W::Error> {
    let wanted: BTreeSet<&ArtifactId> = wanted.iter().collect();
    let mut sources = artifacts.downloads(&spec.mirrors);
    sources.retain(|(id, _)| wanted.contains(id));
    let (fetched, lost) = world.fetch(artifacts, sources).await?;
    let mut problems = files::problems(&spec.hosts, artifacts, &lost);
    let judged = fetched.into_iter().map(async |Fetched { artifact: id, source, sha256, bytes }| {
        let file = &artifacts[id];
        let said = if file.pin.is_some() { None } else { checksum_beside(world, &source).await };
        (id, FileAnswer::judge(file, sha256, bytes, said.as_ref()))
    });
    let mut answers = BTreeMap::new();
    for (id, answer) in join_all(judged).await {
        match answer {
            Ok(answer) => drop(answers.insert(id, answer)),
            Err(problem) => problems.push(problem),
        }
    }
    Ok((answers, problems))
}

/// What the `.sha256` next to a file says, if there is one.
async fn checksum_beside(world: &impl World, source: &FileUrl) -> Option<Digest> {
    let text = world.beside(&files::checksum_url(source)?).await?;
    files::checksum_of(&text)
}

/// What a lock has that need not be asked for.
#[derive(Debug)]
pub struct Kept<'a> {
    /// The container images that the specification asks for ([`images::to_ask`](crate::kind::images::to_ask)).
    pub wanted: &'a [Image],
    /// Each base image that the specification has.
    pub bases: Vec<(ImageRef, Option<LockedBase>)>,
    /// Each file.
    pub files: BTreeMap<ArtifactId, Option<FileAnswer>>,
    /// Parallel to those that are wanted.
    pub images: Vec<Option<Resolved>>,
}

impl<'a> Kept<'a> {
    /// Where nothing is kept.
    pub fn nothing(spec: &Spec, wanted: &'a [Image]) -> Self {
        Self {
            wanted,
            bases: spec.bases().into_keys().map(|reference| (reference, None)).collect(),
            files: files::tree::artifacts(spec.file_section()).ids().map(|id| (id, None)).collect(),
            images: wanted.iter().map(|_| None).collect(),
        }
    }

    /// What is left to ask for.
    pub fn question(&self) -> Question<'_> {
        let images = self.wanted.iter().zip(&self.images).filter(|(_, kept)| kept.is_none());
        Question {
            bases: self.bases.iter().filter(|(_, base)| base.is_none()).map(|(reference, _)| reference).collect(),
            files: self.files.iter().filter(|(_, kept)| kept.is_none()).map(|(id, _)| *id).collect(),
            images: images.map(|(image, _)| image).collect(),
        }
    }

    /// What was kept and what was found; `None` where something is missing.
    pub fn answers(self, mut found: Found) -> Option<Answers> {
        let files = self.files.into_iter().map(|(id, kept)| kept.or_else(|| found.files.remove(&id)));
        let images = self.wanted.iter().zip(self.images);
        let images = images.map(|(image, kept)| kept.or_else(|| found.images.remove(&image.reference)));
        let bases = self.bases.into_iter().filter_map(|(_, base)| base).chain(found.bases).collect();
        Some(Answers {
            kubespray: None,
            bases,
            files: files.collect::<Option<_>>()?,
            images: images.collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests;
