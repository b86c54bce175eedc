//! All images of a specification, resolved: names to digests, digests to documents, all images at once. Owns the order
//! of the questions; does not know how a registry is asked.

use std::cell::RefCell;
use std::collections::BTreeSet;

use futures_util::future::{join_all, try_join_all};

use super::image::{Blobs, Missing, Resolved, Unresolved, Wanted};
use crate::diagnostic::Diagnostic;
use crate::fetch::{Failure, Limits, Throttle, persist};
use crate::spec::{Arch, Digest, Image, ImageRef};

/// Asks registries. One implementor per world: BuildKit's gateway, and a fake in tests.
pub trait Registries {
    /// The digest that a reference leads to: of its index, or of its only manifest. `architectures` are those that it
    /// is wanted for.
    fn digest(&self, image: &ImageRef, architectures: &BTreeSet<Arch>)
    -> impl Future<Output = Result<Digest, Failure>>;

    /// The bytes of a manifest, an index or a config of an image of which all this is wanted. They need not be those of the
    /// digest.
    fn document(
        &self,
        image: &Wanted,
        document: &Missing,
        again: bool,
    ) -> impl Future<Output = Result<Vec<u8>, Failure>>;
}

/// Resolves every image, in their order, with its attestations if these are wanted. The error holds every image that
/// could not be.
pub async fn images(
    images: &[Image],
    attestations: bool,
    registries: &impl Registries,
    limits: &Limits,
) -> Result<Vec<Resolved>, Vec<Diagnostic>> {
    let throttle = Throttle::new(limits);
    let run = Run { registries, limits, throttle: &throttle, attestations };
    let results = join_all(images.iter().map(|image| run.image(&image.reference, &image.architectures))).await;
    let (mut resolved, mut problems) = (Vec::new(), Vec::new());
    for (image, result) in images.iter().zip(results) {
        match result {
            Ok(one) => resolved.push(one),
            Err(why) => problems.push(problem(image, &why)),
        }
    }
    if problems.is_empty() { Ok(resolved) } else { Err(problems) }
}

/// Why an image could not be resolved.
#[derive(Debug)]
pub enum Why {
    /// The registry did not answer as it should.
    Asked(Failure),
    /// What it answered is not usable.
    Answered(Unresolved),
}

/// What is told of an image that could not be resolved.
pub fn problem(image: &Image, why: &Why) -> Diagnostic {
    let message = match why {
        Why::Asked(failure) => format!("cannot resolve {}: {failure}", image.reference),
        Why::Answered(unresolved) => format!("{} {unresolved}", image.reference),
    };
    let help = matches!(why, Why::Asked(Failure::Login(_) | Failure::Status(401))).then_some(LOGIN);
    let (first, rest) = image.spans.split_first().map_or((None, &[][..]), |(first, rest)| (Some(first), rest));
    let problem =
        first.map_or_else(|| Diagnostic::error(&*message), |span| Diagnostic::error(&*message).at(span.clone()));
    let problem = help.into_iter().fold(problem, Diagnostic::help);
    rest.iter().fold(problem, |problem, span| problem.related(span.clone(), "also asked for here"))
}

/// How to give a login to BuildKit, and to kso for what BuildKit cannot read.
const LOGIN: &str = "`docker login`, and give the build what that keeps: --secret id=docker-config,src=$HOME/.docker/config.json; \
     or write a lock with `kso lock`, which needs only the login";

/// What all images of one call share.
#[derive(Debug)]
pub struct Run<'a, R> {
    /// Who asks.
    pub registries: &'a R,
    /// How hard to try.
    pub limits: &'a Limits,
    /// How much at once.
    pub throttle: &'a Throttle,
    /// Whether attestations are wanted too.
    pub attestations: bool,
}

impl<R: Registries> Run<'_, R> {
    /// Resolves one image for these architectures.
    pub async fn image(&self, reference: &ImageRef, architectures: &BTreeSet<Arch>) -> Result<Resolved, Why> {
        let host = || reference.domain().to_owned();
        let digest = match reference.digest() {
            Some(digest) => digest,
            None => persist(self.limits, self.throttle, host(), async |_| {
                self.registries.digest(reference, architectures).await
            })
            .await
            .map_err(Why::Asked)?,
        };
        let wanted = Wanted {
            reference: reference.clone(),
            digest,
            architectures: architectures.clone(),
            attestations: self.attestations,
        };
        let have = RefCell::new(Blobs::new());
        loop {
            let missing = match wanted.resolve(&have.borrow()) {
                Ok(resolved) => return Ok(resolved),
                Err(Unresolved::Missing(missing)) => missing,
                Err(other) => return Err(Why::Answered(other)),
            };
            let read = missing.iter().map(async |document| {
                let ask = async |number: u32| self.registries.document(&wanted, document, number > 0).await;
                let bytes = persist(self.limits, self.throttle, host(), ask).await.map_err(Why::Asked)?;
                have.borrow_mut().insert(document.digest.clone(), bytes);
                Ok(())
            });
            try_join_all(read).await?;
        }
    }
}
