//! All images of a specification, resolved: names to digests, digests to documents, all images at once. Owns the order
//! of the questions; does not know how a registry is asked.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{join_all, try_join_all};

use crate::diagnostic::Diagnostic;
use crate::diagnostic::hints::lock_command;
use crate::fetch::{Failure, Limits, Throttle, Try, try_places};
use crate::kind::images::resolved::{Blobs, Missing, Resolved, Unresolved, Wanted};
use crate::kind::images::{Image, Section, disagreements};
use crate::name::{Arch, Digest, ImageRef};
use crate::oci::Lacks;
use crate::origin::Mirrors;
use crate::retry::Retry;

/// Asks registries. One implementor per world: BuildKit's gateway, and a fake in tests.
pub trait Registries {
    /// The digest that a reference leads to: of its index, or of its only manifest. `architectures` are those that it
    /// is wanted for.
    fn digest(
        &self,
        image: &ImageRef,
        architectures: &BTreeSet<Arch>,
        tried: Try,
    ) -> impl Future<Output = Result<Digest, Failure>>;

    /// The bytes of a manifest, an index or a config of an image of which all this is wanted. Other bytes than those of
    /// the digest are a failure.
    fn document(
        &self,
        image: &Wanted,
        document: &Missing,
        tried: Try,
    ) -> impl Future<Output = Result<Vec<u8>, Failure>>;
}

/// Resolves every image of a section, in their order, at its mirrors where it has any, with its attestations if these are wanted.
/// The error holds every image that could not be, or those that contradict each other.
pub async fn images(
    section: Section<'_>,
    mirrors: &Mirrors,
    registries: &impl Registries,
    limits: &Limits,
) -> Result<Vec<Resolved>, Vec<Diagnostic>> {
    let throttle = Throttle::new(limits);
    let attestations = section.server.attestations;
    let retry = &limits.retry;
    let run = Run { registries, mirrors, retry, throttle: &throttle, attestations, configs: false };
    let results = join_all(section.images.iter().map(|image| run.image(&image.reference, &image.architectures))).await;
    let (mut resolved, mut problems) = (Vec::new(), Vec::new());
    for (image, result) in section.images.iter().zip(results) {
        match result {
            Ok(one) => resolved.push(one),
            Err(why) => problems.push(problem(image, &why)),
        }
    }
    let found: BTreeMap<_, _> = resolved.iter().map(|image| (image.reference(), &image.top().digest)).collect();
    problems.extend(disagreements(section, |reference| found.get(reference).copied()));
    if problems.is_empty() { Ok(resolved) } else { Err(problems) }
}

/// Why an image could not be resolved.
#[derive(Debug)]
pub enum Why {
    /// No place answered as it should: each that was asked, in their order, never empty.
    Asked(Vec<(ImageRef, Failure)>),
    /// What it answered is not usable.
    Answered(Unresolved),
}

/// What is reported of an image that could not be resolved.
pub fn problem(image: &Image, why: &Why) -> Diagnostic {
    let message = match why {
        Why::Asked(tried) => format!("cannot resolve {}{}", image.reference, tries(&image.reference, tried)),
        Why::Answered(unresolved) => format!("{} {unresolved}", image.reference),
    };
    let login = |(_, failure): &(ImageRef, Failure)| matches!(failure, Failure::Login(_) | Failure::Status(401));
    let help = match why {
        Why::Asked(tried) if tried.iter().any(login) => Some(LOGIN.to_owned()),
        Why::Answered(Unresolved::Lacks(lacks)) => for_some(image, lacks),
        _ => None,
    };
    let problem = Diagnostic::error(message).at(image.spans.first().cloned());
    let problem = help.into_iter().fold(problem, Diagnostic::help);
    image.spans.iter().skip(1).fold(problem, |problem, span| problem.related(span.clone(), "also requested here"))
}

/// What each place answered that was asked for an image: `: status 401`, or ` from MIRROR: …; then from MIRROR: …`.
pub fn tries(image: &ImageRef, tried: &[(ImageRef, Failure)]) -> String {
    let one = |(place, failure): &(ImageRef, Failure)| {
        let from = if place.name() == image.name() { String::new() } else { format!(" from {}", place.name()) };
        format!("{from}: {failure}")
    };
    tried.iter().map(one).collect::<Vec<_>>().join("; then")
}

/// How to give a login to BuildKit, and to kso for what BuildKit cannot read.
const LOGIN: &str = concat!(
    "run `docker login`, and pass its configuration to the build: --secret id=docker-config,src=$HOME/.docker/config.json; or ",
    lock_command!(),
    ", which needs only the login"
);

/// What to write for an image that exists for some of the architectures; `None` if it exists for none.
fn for_some(image: &Image, lacks: &Lacks) -> Option<String> {
    let held: Vec<&str> = image.architectures.difference(&lacks.missing).map(|arch| arch.as_str()).collect();
    let (name, held) = (&image.reference, held.join(", "));
    (!held.is_empty()).then(|| {
        format!(
            "if only {held} needs it, write `- {{ image: {name}, architectures: [{held}] }}`, or give each architecture its own list: \
             `- list: images-{{arch}}.list`"
        )
    })
}

/// What all images of one call share.
#[derive(Debug)]
pub struct Run<'a, R> {
    /// Who asks.
    pub registries: &'a R,
    /// Other places to ask.
    pub mirrors: &'a Mirrors,
    /// How hard to try.
    pub retry: &'a Retry,
    /// How much at once.
    pub throttle: &'a Throttle,
    /// Whether attestations are wanted too.
    pub attestations: bool,
    /// Whether the configs of images are compared with their indexes.
    pub configs: bool,
}

impl<R: Registries> Run<'_, R> {
    /// Resolves one image for these architectures: each question to its mirrors in their order, or to its own registry.
    pub async fn image(&self, reference: &ImageRef, architectures: &BTreeSet<Arch>) -> Result<Resolved, Why> {
        let mut places = self.mirrors.images(reference);
        let digest = if let Some(digest) = reference.digest() {
            digest
        } else {
            let ask = async |tried: Try| self.registries.digest(&places[tried.at], architectures, tried).await;
            let (tried, digest) = self.ask(&places, ask).await?;
            // Who knows the tag is asked first for what it leads to.
            places.rotate_left(tried.at);
            digest
        };
        let of = |reference: &ImageRef| Wanted {
            reference: reference.clone(),
            digest: digest.clone(),
            architectures: architectures.clone(),
            attestations: self.attestations,
            configs: self.configs,
        };
        let (wanted, at_places): (Wanted, Vec<Wanted>) = (of(reference), places.iter().map(of).collect());
        let have = RefCell::new(Blobs::new());
        loop {
            let missing = match wanted.resolve(&have.borrow()) {
                Ok(resolved) => return Ok(resolved),
                Err(Unresolved::Missing(missing)) => missing,
                Err(other) => return Err(Why::Answered(other)),
            };
            let read = missing.iter().map(async |document| {
                let ask = async |tried: Try| self.registries.document(&at_places[tried.at], document, tried).await;
                let (_, bytes) = self.ask(&places, ask).await?;
                have.borrow_mut().insert(document.digest.clone(), bytes);
                Ok(())
            });
            try_join_all(read).await?;
        }
    }

    async fn ask<T>(
        &self,
        places: &[ImageRef],
        ask: impl AsyncFnMut(Try) -> Result<T, Failure>,
    ) -> Result<(Try, T), Why> {
        let asked = try_places(self.retry, self.throttle, places, ask).await;
        asked.map_err(|tried| {
            let failures = tried.into_iter().map(|(_, failure)| failure);
            Why::Asked(places.iter().cloned().zip(failures).collect())
        })
    }
}
