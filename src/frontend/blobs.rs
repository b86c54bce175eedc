//! The blobs of the target `images`: each fetched once, from the first place that has it. Owns which places may have a blob,
//! and what is told where none has; does not know what becomes of a blob, nor whether its bytes are right.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::places::Place;
use super::registries::{Blob, Gateway};
use crate::diagnostic::Diagnostic;
use crate::fetch::{self, Attempt, Fetched, Limits, Round};
use crate::lower::images::FetchedBlob;
use crate::lower::{self, FETCHED};
use crate::plan::images::{self, blobs};
use crate::resolve::image::Resolved;
use crate::spec::{Digest, Image, ImageRef, Spec};
use buildkit::gateway::Error;

/// Where the blobs of all images come from.
pub(super) struct Blobs<'a> {
    spec: &'a Spec,
    registries: &'a Gateway<'a>,
    round: Round<'a, Gateway<'a>>,
    all: BTreeMap<Digest, images::Blob>,
    /// Hosts of blobs of which not all could be had at once.
    doubted: RefCell<BTreeSet<String>>,
}

/// A blob that was got, and where else it can be had.
#[derive(Debug, Clone)]
pub(super) struct Got {
    /// What the graph has of it.
    pub(super) blob: FetchedBlob,
    /// The places that were not asked yet, and at the end the one that was: once more.
    left: Vec<Blob>,
    /// How many attempts there were.
    attempts: u32,
}

impl<'a> Blobs<'a> {
    /// The blobs of the images of `spec`, to which `resolved` is parallel.
    pub(super) fn new(spec: &'a Spec, resolved: &[Resolved], registries: &'a Gateway<'a>) -> Self {
        let round = Round::new(registries, Limits::default());
        Self { spec, registries, round, all: blobs(spec, resolved), doubted: RefCell::default() }
    }

    /// Has those of them that will be fetched shown with the image that they belong to.
    pub(super) fn show<'b>(&self, digests: impl IntoIterator<Item = &'b Digest>) {
        let mut shown = BTreeMap::<usize, Vec<&Digest>>::new();
        for digest in digests.into_iter().filter(|digest| self.at_hand(digest).is_none()) {
            if let Some(at) = self.all.get(digest).and_then(|blob| blob.images.first()) {
                shown.entry(*at).or_default().push(digest);
            }
        }
        let images = &self.spec.images;
        self.registries.show(shown.into_iter().flat_map(|(at, digests)| {
            let bytes = digests
                .iter()
                .map(|digest| self.all.get(digest).map_or(0, |blob| blob.bytes))
                .fold(0, u64::saturating_add);
            let group = lower::images::group(&images[at].reference, (at, images.len()), bytes);
            digests.into_iter().map(move |digest| (digest.clone(), group.clone()))
        }));
    }

    /// A blob as it is if the first place has it at the first try. Asks for nothing; `None` if no image has it.
    pub(super) fn first(&self, digest: &Digest) -> Option<FetchedBlob> {
        self.at_hand(digest).or_else(|| {
            let place = self.places(digest).into_iter().next()?;
            Some(self.got(digest, &Attempt::first(0, place), Vec::new()).blob)
        })
    }

    /// Does `work`, a solve of what is made of these blobs as [`Self::first`] has them: BuildKit fetches those that it needs, none
    /// of what it has made before. Where that fails, each of them is to be [got](Self::get). `None` if that is so already, because
    /// there are mirrors, of which one may well lack a blob, or such work has failed that wanted blobs of the same host.
    pub(super) async fn together<T>(
        &self,
        digests: &BTreeSet<&Digest>,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Option<Result<T, Error>> {
        let mirrored = |image: &Image| self.registries.places().of(&image.reference).len() > 1;
        let mut places = Vec::new();
        for digest in digests.iter().filter(|digest| self.at_hand(digest).is_none()) {
            if self.users(digest).any(mirrored) {
                return None;
            }
            places.extend(self.places(digest).into_iter().next());
        }
        let hosts = || places.iter().map(fetch::Source::host);
        let work = async {
            let doubted = hosts().any(|host| self.doubted.borrow().contains(host));
            if doubted { None } else { Some(work.await) }
        };
        let result = self.round.together(&places, work).await;
        if let Some(Err(_)) = result {
            self.doubted.borrow_mut().extend(hosts().map(str::to_owned));
        }
        result
    }

    /// A blob, fetched from the first place that has it: a repository of an image that it belongs to, or the mirrors of one.
    pub(super) async fn get(&self, digest: &Digest) -> Result<Got, Diagnostic> {
        if let Some(blob) = self.at_hand(digest) {
            return Ok(Got { blob, left: Vec::new(), attempts: 0 });
        }
        let places = self.places(digest);
        let fetched = self.round.item(0, places.clone()).await;
        let Fetched { attempt, .. } = fetched.map_err(|lost| {
            let message = |image: &str| format!("cannot fetch {digest} of {image}{}", told(image, &lost.tried));
            at(self.users(digest), message)
        })?;
        let mut left = after(&places, &attempt.source);
        left.push(Blob { fresh: true, ..attempt.source.clone() });
        Ok(self.got(digest, &attempt, left))
    }

    /// A blob from the places that are left, because what was got has the SHA-256 `wrong`, in hex.
    pub(super) async fn elsewhere(&self, digest: &Digest, got: &Got, wrong: &str) -> Result<Got, Diagnostic> {
        let problem = |more: &str| {
            at(self.users(digest), |image| {
                let sender = self.registries.places().sender(image, digest);
                format!("a blob of {image} is corrupt: {sender} sha256:{wrong} for {digest}{more}")
            })
        };
        if got.left.is_empty() {
            return Err(problem(""));
        }
        // Those before have the same name in the cache as what is wrong.
        let earlier = got.attempts.max(2);
        let fetched = self.round.after(0, got.left.clone(), earlier).await;
        let user = self.user(digest);
        let Fetched { attempt, .. } = fetched.map_err(|lost| problem(&told(&user, &lost.tried)))?;
        let left = after(&got.left, &attempt.source);
        Ok(self.got(digest, &attempt, left))
    }

    fn got(&self, digest: &Digest, attempt: &Attempt<Blob>, left: Vec<Blob>) -> Got {
        let (state, file) = self.registries.source(&attempt.source, attempt.earlier);
        let blob = FetchedBlob::Vertex { state, file, image: self.user(digest) };
        Got { blob, left, attempts: attempt.earlier + 1 }
    }

    /// A blob that no registry has to be asked for.
    fn at_hand(&self, digest: &Digest) -> Option<FetchedBlob> {
        if let Some(text) = self.registries.known(digest) {
            return Some(FetchedBlob::Known(text));
        }
        let state = self.registries.places().blob_of_all(digest)?;
        Some(FetchedBlob::Vertex { state, file: FETCHED.into(), image: self.user(digest) })
    }

    /// The places to ask for it, each once.
    fn places(&self, digest: &Digest) -> Vec<Blob> {
        let images: BTreeSet<&ImageRef> = self.users(digest).map(|image| &image.reference).collect();
        let mut places = Vec::<Blob>::new();
        for place in images.into_iter().flat_map(|image| self.registries.places().of(image)) {
            if places.iter().all(|blob| blob.place != place) {
                places.push(Blob::new(place, digest));
            }
        }
        places
    }

    /// The images that have it.
    fn users(&self, digest: &Digest) -> impl Iterator<Item = &'a Image> {
        let (spec, blob) = (self.spec, self.all.get(digest));
        blob.into_iter().flat_map(|blob| &blob.images).map(move |at| &spec.images[*at])
    }

    /// The first of them.
    fn user(&self, digest: &Digest) -> String {
        self.users(digest).next().map(|image| image.reference.to_string()).unwrap_or_default()
    }
}

/// The places after that one.
fn after(places: &[Blob], asked: &Blob) -> Vec<Blob> {
    let at = places.iter().position(|place| place == asked).unwrap_or_default();
    places[at + 1..].to_vec()
}

/// What each place answered that was asked for a blob of an image.
fn told(image: &str, tried: &[(Blob, u32, fetch::Failure)]) -> String {
    let own = |name: &str| image.strip_prefix(name).is_some_and(|rest| rest.starts_with([':', '@']));
    let one = |(blob, tries, failure): &(Blob, u32, fetch::Failure)| {
        let from = match &blob.place {
            Place::Repository(name) if !own(name) => format!(" from {name}"),
            _ => String::new(),
        };
        let times = if *tries > 1 { format!(", after {tries} tries") } else { String::new() };
        format!("{from}: {failure}{times}")
    };
    tried.iter().map(one).collect::<Vec<_>>().join("; then")
}

/// A problem of images, at the first line that asked for each.
fn at<'a>(mut images: impl Iterator<Item = &'a Image>, message: impl Fn(&str) -> String) -> Diagnostic {
    let Some(first) = images.next() else { return Diagnostic::error(message("an image")) };
    let problem = Diagnostic::error(message(first.reference.as_str()));
    let problem = first.spans.iter().take(1).fold(problem, |problem, span| problem.at(span.clone()));
    let others = images.filter_map(|image| image.spans.first());
    others.fold(problem, |problem, span| problem.related(span.clone(), "this image has it too"))
}
