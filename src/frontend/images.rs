//! The blobs of the target `images`: fetched, proved, and arranged in layers. Owns the choice of the proof; does not know
//! what lies in which layer.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};

use super::hash::hash;
use super::own;
use super::places::{Place, Places};
use super::registries::{Blob, Gateway};
use super::report::Failure;
use crate::diagnostic::Diagnostic;
use crate::fetch::{self, Limits};
use crate::gateway::{Client, Error, Options};
use crate::llb::State;
use crate::lower::images::{FetchedBlob, FetchedBlobs, Runner};
use crate::lower::{self, FETCHED, Lowering};
use crate::plan::images::{Content, blobs, needed};
use crate::plan::{Layer, Plan};
use crate::resolve::image::Resolved;
use crate::spec::{Digest, Image, ImageRef, Spec};

/// Layers that are proved at a time.
const PROOFS: usize = 4;

/// The blobs of an image, and where else each can be had.
pub(super) struct Blobs {
    fetched: FetchedBlobs,
    origins: BTreeMap<Digest, Origin>,
}

/// Where a blob came from.
#[derive(Debug, Clone)]
struct Origin {
    /// The places that were not asked yet, and at the end the one that was: once more.
    left: Vec<Blob>,
    /// How many attempts there were.
    attempts: u32,
}

/// Fetches the blobs that the plan needs, each once, from the first place that has it: a repository of an image that it
/// belongs to, or the mirrors of one.
pub(super) async fn fetch(
    spec: &Spec,
    resolved: &[Resolved],
    plan: &Plan<Content>,
    registries: &Gateway<'_>,
) -> Result<Blobs, Failure> {
    let all = blobs(spec, resolved);
    let mut done = Blobs { fetched: FetchedBlobs::new(), origins: BTreeMap::new() };
    let mut missing = Vec::new();
    let users = |digest: &Digest| all.get(digest).into_iter().flat_map(|blob| &blob.images).map(|at| &spec.images[*at]);
    let user = |digest: &Digest| users(digest).next().map(|image| image.reference.to_string()).unwrap_or_default();
    for digest in needed(plan) {
        if let Some(text) = registries.known(digest) {
            done.fetched.insert(digest.clone(), FetchedBlob::Known(text));
        } else if let Some(state) = registries.places().blob_of_all(digest) {
            let vertex = FetchedBlob::Vertex { state, file: FETCHED.into(), image: user(digest) };
            done.fetched.insert(digest.clone(), vertex);
        } else {
            missing.push(digest);
        }
    }
    let bytes = |digest: &&Digest| all.get(*digest).map_or(0, |blob| blob.bytes);
    let mut shown = BTreeMap::<usize, Vec<&Digest>>::new();
    for digest in &missing {
        if let Some(at) = all.get(*digest).and_then(|blob| blob.images.first()) {
            shown.entry(*at).or_default().push(digest);
        }
    }
    registries.show(shown.into_iter().flat_map(|(at, digests)| {
        let size = digests.iter().map(bytes).sum();
        let group = lower::images::group(&spec.images[at].reference, (at, spec.images.len()), size);
        digests.into_iter().map(move |digest| (digest.clone(), group.clone()))
    }));
    let sources: Vec<Vec<Blob>> =
        missing.iter().map(|digest| places(registries.places(), digest, users(digest))).collect();
    let fetched = fetch::fetch(sources.clone(), registries, &Limits::default(), false).await;
    let fetched = fetched.map_err(|lost| {
        let problem = |lost: &fetch::Lost<Blob>| {
            let digest = missing[lost.item];
            at(users(digest), |image| format!("cannot fetch {digest} of {image}{}", told(image, &lost.tried)))
        };
        lost.iter().map(problem).collect::<Vec<_>>()
    })?;
    for fetch::Fetched { attempt, .. } in fetched {
        let digest = missing[attempt.item];
        let image = user(digest);
        let (state, file) = registries.source(&attempt.source, attempt.earlier);
        done.fetched.insert(digest.clone(), FetchedBlob::Vertex { state, file, image });
        let asked = sources[attempt.item].iter().position(|source| *source == attempt.source).unwrap_or_default();
        let mut left = sources[attempt.item][asked + 1..].to_vec();
        left.push(Blob { fresh: true, ..attempt.source });
        done.origins.insert(digest.clone(), Origin { left, attempts: attempt.earlier + 1 });
    }
    Ok(done)
}

/// The places to ask for a blob of these images, each once.
fn places<'a>(known: &Places, digest: &Digest, users: impl Iterator<Item = &'a Image>) -> Vec<Blob> {
    let images: BTreeSet<&ImageRef> = users.map(|image| &image.reference).collect();
    let mut places = Vec::<Blob>::new();
    for place in images.into_iter().flat_map(|image| known.of(image)) {
        if places.iter().all(|blob| blob.place != place) {
            places.push(Blob::new(place, digest));
        }
    }
    places
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

/// The layers of the plan as they are if every blob is fetched at the first try: nothing is asked.
pub(super) fn first(
    options: &Options,
    lowering: &Lowering,
    spec: &Spec,
    resolved: &[Resolved],
    plan: &Plan<Content>,
) -> Result<Vec<State>, Error> {
    let of = |(digest, blob): (Digest, crate::plan::images::Blob)| {
        let image = &spec.images[*blob.images.first()?].reference;
        let place = spec.mirrors.images(image).into_iter().next()?;
        let state = lower::images::blob(place.name(), &digest, 0, false);
        Some((digest, FetchedBlob::Vertex { state, file: lower::images::blob_file(0), image: image.to_string() }))
    };
    let blobs: FetchedBlobs = blobs(spec, resolved).into_iter().filter_map(of).collect();
    let runner = own::runner(options);
    (0..plan.layers.len()).map(|at| state(lowering, runner.as_ref(), (plan, at), &blobs)).collect()
}

/// The vertex of a layer: of a plan, the one with that index.
fn state(
    lowering: &Lowering,
    runner: Option<&Runner>,
    (plan, at): (&Plan<Content>, usize),
    blobs: &FetchedBlobs,
) -> Result<State, Error> {
    let state = match runner {
        Some(runner) => lowering.proved_layer(plan, at, blobs, runner),
        None => lowering.copied_layer(plan, at, blobs),
    };
    state.ok_or_else(|| Error::new("a blob of the plan was not fetched"))
}

/// The layers of the plan, every blob in them proved: by kso in a vertex, or, where `KSO_EXEC=never` forbids that or
/// BuildKit does not tell where kso came from, by reading them here, in every build.
pub(super) async fn layers(
    client: &Client,
    registries: &Gateway<'_>,
    options: &Options,
    lowering: &Lowering,
    spec: &Spec,
    plan: &Plan<Content>,
    blobs: &Blobs,
) -> Result<Vec<State>, Failure> {
    let prover = Prover { client, registries, lowering, runner: own::runner(options), spec, plan };
    let proofs = (0..plan.layers.len()).map(|at| prover.layer(at, blobs));
    let results: Vec<Result<State, Failure>> = stream::iter(proofs).buffered(PROOFS).collect().await;
    let (mut layers, mut problems) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(layer) => layers.push(layer),
            Err(Failure::Problems(more)) => problems.extend(more),
            Err(other) => return Err(other),
        }
    }
    if problems.is_empty() { Ok(layers) } else { Err(problems.into()) }
}

/// Proves layers.
struct Prover<'a> {
    client: &'a Client,
    registries: &'a Gateway<'a>,
    lowering: &'a Lowering,
    runner: Option<Runner>,
    spec: &'a Spec,
    plan: &'a Plan<Content>,
}

/// A blob that is not what it should be.
struct Corrupt {
    digest: Digest,
    got: String,
    image: String,
}

impl Prover<'_> {
    /// The vertex of a layer, proved. BuildKit keeps wrong bytes under the good name: so what is wrong is asked for
    /// elsewhere, and at last once more where it came from, under another, before it is an error.
    async fn layer(&self, at: usize, blobs: &Blobs) -> Result<State, Failure> {
        let layer = &self.plan.layers[at];
        let state = self.state(at, &blobs.fetched)?;
        let mut corrupt = self.prove(layer, &blobs.fetched, &state).await?;
        if corrupt.is_empty() {
            return Ok(state);
        }
        let (mut other, mut origins) = (blobs.fetched.clone(), blobs.origins.clone());
        loop {
            let mut problems = Vec::new();
            for wrong in &corrupt {
                let origin = origins.get_mut(&wrong.digest);
                match self.elsewhere(wrong, origin).await {
                    Ok(blob) => drop(other.insert(wrong.digest.clone(), blob)),
                    Err(problem) => problems.push(problem),
                }
            }
            if !problems.is_empty() {
                return Err(problems.into());
            }
            let state = self.state(at, &other)?;
            corrupt = self.prove(layer, &other, &state).await?;
            if corrupt.is_empty() {
                return Ok(state);
            }
        }
    }

    /// Fetches a blob from the places that are left.
    async fn elsewhere(&self, wrong: &Corrupt, origin: Option<&mut Origin>) -> Result<FetchedBlob, Diagnostic> {
        let Corrupt { digest, got, image } = wrong;
        let problem = |more: &str| {
            let images = self.spec.images.iter().filter(|known| known.reference.as_str() == *image);
            let sender = self.registries.places().sender(image, digest);
            at(images, |image| format!("a blob of {image} is corrupt: {sender} sha256:{got} for {digest}{more}"))
        };
        let Some(origin) = origin.filter(|origin| !origin.left.is_empty()) else { return Err(problem("")) };
        // Those before have the same name in the cache as what is wrong.
        let earlier = origin.attempts.max(2);
        let left = origin.left.clone();
        let fetched = fetch::fetch_after(0, left, earlier, self.registries, &Limits::default()).await;
        let attempt = fetched.map_err(|lost| problem(&told(image, &lost.tried)))?.attempt;
        let asked = origin.left.iter().position(|source| *source == attempt.source).unwrap_or_default();
        origin.left.drain(..=asked);
        origin.attempts = attempt.earlier + 1;
        let (state, file) = self.registries.source(&attempt.source, attempt.earlier);
        Ok(FetchedBlob::Vertex { state, file, image: image.clone() })
    }

    fn state(&self, at: usize, blobs: &FetchedBlobs) -> Result<State, Error> {
        state(self.lowering, self.runner.as_ref(), (self.plan, at), blobs)
    }

    /// Proves a layer: solves the vertex that does it, or reads its blobs. Where a proof fails, the blobs are read to
    /// tell which are wrong.
    async fn prove(
        &self,
        layer: &Layer<Content>,
        blobs: &FetchedBlobs,
        state: &State,
    ) -> Result<Vec<Corrupt>, Failure> {
        let mut failed = None;
        if self.runner.is_some() {
            match self.client.solve(self.registries.solve_now(state)).await {
                Ok(_) => return Ok(Vec::new()),
                Err(error) => failed = Some(error),
            }
        }
        let mut corrupt = Vec::new();
        for entry in &layer.entries {
            let Content::Blob(digest) = &entry.content else { continue };
            let Some(FetchedBlob::Vertex { state, file: name, image }) = blobs.get(digest) else { continue };
            let got = self.hash(state, name).await?;
            if got != digest.hex() {
                corrupt.push(Corrupt { digest: digest.clone(), got, image: image.clone() });
            }
        }
        match failed {
            Some(error) if corrupt.is_empty() => Err(error.into()),
            _ => Ok(corrupt),
        }
    }

    /// The SHA-256 of a fetched blob, in hex, read through BuildKit.
    async fn hash(&self, blob: &State, file: &str) -> Result<String, Error> {
        let reference = self.client.solve_state(blob).await?;
        let (digest, _) = hash(&reference, &format!("/{file}")).await?;
        Ok(digest.hex().to_owned())
    }
}
