//! The blobs of the target `images`: each fetched once, from the first place that has it. Owns which places may have a blob,
//! and what is reported where none has; does not know what becomes of a blob, nor whether its bytes are right.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use buildkit::gateway::Error;

use super::image_sources::Place;
use super::registries::{Blob, Gateway};
use crate::artifact::{ArtifactId, Artifacts, Origin};
use crate::definition::Spec;
use crate::diagnostic::Diagnostic;
use crate::fetch::{self, Attempt, Fetched, Limits, Round};
use crate::lower::{self, FETCHED, Input};
use crate::name::{Digest, ImageRef};

/// Where the blobs of all images come from.
pub(super) struct Blobs<'a> {
    artifacts: &'a Artifacts,
    registries: &'a Gateway<'a>,
    round: Round<'a, Gateway<'a>>,
    /// The place of each image among those of the specification.
    positions: BTreeMap<&'a ImageRef, usize>,
    /// How many images the specification has.
    images: usize,
    /// Hosts of blobs of which not all could be had at once.
    doubted: RefCell<BTreeSet<String>>,
}

/// A blob that was got, and where else it can be had.
#[derive(Debug, Clone)]
pub(super) struct Got {
    /// What the graph has of it.
    pub(super) input: Input,
    /// The places that were not asked yet, and at the end the one that was: once more.
    left: Vec<Blob>,
    /// How many attempts there were.
    attempts: u32,
}

impl<'a> Blobs<'a> {
    /// The blobs of the images of `spec`, which are `artifacts`.
    pub(super) fn new(spec: &'a Spec, artifacts: &'a Artifacts, registries: &'a Gateway<'a>) -> Self {
        let round = Round::new(registries, Limits::default());
        let images = spec.images.iter().enumerate().rev();
        let positions = images.map(|(at, image)| (&image.reference, at)).collect();
        Self { artifacts, registries, round, positions, images: spec.images.len(), doubted: RefCell::default() }
    }

    /// Has those of them that will be fetched shown with the image that they belong to.
    pub(super) fn show(&self, ids: impl IntoIterator<Item = ArtifactId>) {
        let mut shown = BTreeMap::<usize, Vec<ArtifactId>>::new();
        for id in ids.into_iter().filter(|id| self.at_hand(*id).is_none()) {
            if let Some(at) = self.images_of(id).first().and_then(|image| self.positions.get(image)) {
                shown.entry(*at).or_default().push(id);
            }
        }
        for (at, ids) in shown {
            let Some(image) = ids.first().and_then(|id| self.images_of(*id).first()) else { continue };
            let bytes = ids.iter().filter_map(|id| self.artifacts[*id].bytes).fold(0, u64::saturating_add);
            let group = lower::images::group(image, (at, self.images), bytes);
            self.registries.show(ids.into_iter().filter_map(|id| Some((self.digest(id)?.clone(), group.clone()))));
        }
    }

    /// A blob as it is if the first place has it at the first try. Asks for nothing; `None` if no image has it.
    pub(super) fn first(&self, id: ArtifactId) -> Option<Input> {
        self.at_hand(id).or_else(|| {
            let place = self.places(id).into_iter().next()?;
            Some(self.got(&Attempt::first(id, place), Vec::new()).input)
        })
    }

    /// Does `work`, a solve of what is made of these blobs as [`Self::first`] has them: BuildKit fetches those that it needs, none
    /// of what it has made before. Where that fails, each of them is to be [got](Self::get). `None` if that is so already, because
    /// there are mirrors, of which one may well lack a blob, or such work has failed that wanted blobs of the same host.
    pub(super) async fn together<T>(
        &self,
        ids: &BTreeSet<ArtifactId>,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Option<Result<T, Error>> {
        let mirrored = |image: &ImageRef| self.registries.places().of(image).len() > 1;
        let mut places = Vec::new();
        for id in ids.iter().copied().filter(|id| self.at_hand(*id).is_none()) {
            if self.images_of(id).iter().any(mirrored) {
                return None;
            }
            places.extend(self.places(id).into_iter().next());
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
    pub(super) async fn get(&self, id: ArtifactId) -> Result<Got, Diagnostic> {
        if let Some(input) = self.at_hand(id) {
            return Ok(Got { input, left: Vec::new(), attempts: 0 });
        }
        let places = self.places(id);
        let fetched = self.round.artifact(id, places.clone()).await;
        let Fetched { attempt, .. } = fetched.map_err(|lost| {
            let digest = self.digest(id).map(ToString::to_string).unwrap_or_default();
            self.problem(id, |image| format!("cannot fetch {digest} of {image}{}", tries(image, &lost.tried)))
        })?;
        let mut left = after(&places, &attempt.source);
        left.push(Blob { fresh: true, ..attempt.source.clone() });
        Ok(self.got(&attempt, left))
    }

    /// A blob from the places that are left, because what was got has the SHA-256 `wrong`, in hex.
    pub(super) async fn elsewhere(&self, id: ArtifactId, got: &Got, wrong: &str) -> Result<Got, Diagnostic> {
        let problem = |more: &str| {
            let (digest, image) = (self.digest(id), self.images_of(id).first());
            let sender = image.zip(digest).map(|(image, digest)| self.registries.places().sender(image, digest));
            let (sender, digest) = (sender.unwrap_or_default(), digest.map(ToString::to_string).unwrap_or_default());
            self.problem(id, |image| {
                format!("a blob of {image} is corrupt: {sender} sha256:{wrong} for {digest}{more}")
            })
        };
        if got.left.is_empty() {
            return Err(problem(""));
        }
        // Those before have the same name in the cache as what is wrong.
        let earlier = got.attempts.max(2);
        let fetched = self.round.after(id, got.left.clone(), earlier).await;
        let Fetched { attempt, .. } =
            fetched.map_err(|lost| problem(&tries(self.artifacts[id].name(), &lost.tried)))?;
        let left = after(&got.left, &attempt.source);
        Ok(self.got(&attempt, left))
    }

    fn got(&self, attempt: &Attempt<Blob>, left: Vec<Blob>) -> Got {
        let (state, name) = self.registries.source(&attempt.source, attempt.earlier);
        Got { input: Input::File { state, name }, left, attempts: attempt.earlier + 1 }
    }

    /// A blob that no registry has to be asked for.
    fn at_hand(&self, id: ArtifactId) -> Option<Input> {
        let digest = self.digest(id)?;
        if let Some(text) = self.registries.known(digest) {
            return Some(Input::Text(text));
        }
        let state = self.registries.places().blob_of_all(digest)?;
        Some(Input::File { state, name: FETCHED.into() })
    }

    /// The places to ask for it, each once.
    fn places(&self, id: ArtifactId) -> Vec<Blob> {
        let Some(digest) = self.digest(id) else { return Vec::new() };
        let images: BTreeSet<&ImageRef> = self.images_of(id).iter().collect();
        let mut places = Vec::<Blob>::new();
        for place in images.into_iter().flat_map(|image| self.registries.places().of(image)) {
            if places.iter().all(|blob| blob.place != place) {
                places.push(Blob::new(place, digest));
            }
        }
        places
    }

    /// All of them.
    pub(super) fn artifacts(&self) -> &'a Artifacts {
        self.artifacts
    }

    fn digest(&self, id: ArtifactId) -> Option<&'a Digest> {
        match &self.artifacts[id].origin {
            Origin::Blob { digest, .. } => Some(digest),
            Origin::Url(_) => None,
        }
    }

    /// The images that have it.
    fn images_of(&self, id: ArtifactId) -> &'a [ImageRef] {
        self.artifacts[id].images()
    }

    /// A problem of a blob, at the first line that asked for each image that has it; `message` is given the first image.
    fn problem(&self, id: ArtifactId, message: impl Fn(&str) -> String) -> Diagnostic {
        let artifact = &self.artifacts[id];
        let problem = Diagnostic::error(message(artifact.name())).at(artifact.spans.first().cloned());
        artifact
            .spans
            .iter()
            .skip(1)
            .fold(problem, |problem, span| problem.related(span.clone(), "this image also has it"))
    }
}

/// The places after that one.
fn after(places: &[Blob], asked: &Blob) -> Vec<Blob> {
    let at = places.iter().position(|place| place == asked).unwrap_or_default();
    places[at + 1..].to_vec()
}

/// What each place answered that was asked for a blob of an image.
fn tries(image: &str, tried: &[(Blob, u32, fetch::Failure)]) -> String {
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
