//! The blobs of the target `images`: fetched, proved, and arranged in layers. Owns the choice of the proof; does not know
//! what lies in which layer.

use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};
use sha2::{Digest as _, Sha256};

use super::own;
use super::registries::{Blob, Gateway, file, source};
use super::report::Failure;
use crate::diagnostic::Diagnostic;
use crate::fetch::{self, Limits};
use crate::gateway::{Client, Error, Options};
use crate::llb::State;
use crate::lower::Lowering;
use crate::lower::images::{FetchedBlob, FetchedBlobs, Runner};
use crate::plan::images::{Content, blobs, needed};
use crate::plan::{Layer, Plan};
use crate::resolve::image::Resolved;
use crate::spec::{Digest, Image, ImageRef, Spec};

/// Layers that are proved at a time.
const PROOFS: usize = 4;
/// Bytes that are read at a time where the frontend proves by itself.
const PART: u64 = 4 << 20;

/// Fetches the blobs that the plan needs, each once, from the first image that has it.
pub(super) async fn fetch(
    spec: &Spec,
    resolved: &[Resolved],
    plan: &Plan<Content>,
    registries: &Gateway<'_>,
) -> Result<FetchedBlobs, Failure> {
    let all = blobs(spec, resolved);
    let mut done = FetchedBlobs::new();
    let mut missing = Vec::new();
    for digest in needed(plan) {
        match registries.known(digest) {
            Some(text) => drop(done.insert(digest.clone(), FetchedBlob::Known(text))),
            None => missing.push(digest),
        }
    }
    let users = |digest: &Digest| all.get(digest).into_iter().flat_map(|blob| &blob.images).map(|at| &spec.images[*at]);
    let sources = missing.iter().map(|digest| {
        let names: BTreeSet<String> = users(digest).map(|image| image.reference.name().to_owned()).collect();
        names.into_iter().map(|name| Blob { name, digest: (*digest).clone() }).collect()
    });
    let fetched = fetch::fetch(sources.collect(), registries, &Limits::default(), false).await;
    let fetched = fetched.map_err(|lost| {
        let problem = |lost: &fetch::Lost<Blob>| {
            let why = lost.tried.last().map(|(_, _, failure)| format!(": {failure}")).unwrap_or_default();
            at(users(missing[lost.item]), |image| format!("cannot fetch {} of {image}{why}", missing[lost.item]))
        };
        lost.iter().map(problem).collect::<Vec<_>>()
    })?;
    let blob = |fetched: &fetch::Fetched<Blob>| {
        let digest = missing[fetched.attempt.item];
        let again = fetched.attempt.again;
        let image = users(digest).next().map(|image| image.reference.to_string()).unwrap_or_default();
        let state = source(&fetched.attempt.source, again);
        (digest.clone(), FetchedBlob::Vertex { state, file: file(again), image })
    };
    done.extend(fetched.iter().map(blob));
    Ok(done)
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
        let state = source(&Blob { name: image.name().to_owned(), digest: digest.clone() }, false);
        Some((digest, FetchedBlob::Vertex { state, file: file(false), image: image.to_string() }))
    };
    let blobs: FetchedBlobs = blobs(spec, resolved).into_iter().filter_map(of).collect();
    let runner = own::runner(options);
    plan.layers.iter().map(|layer| state(lowering, runner.as_ref(), layer, &blobs)).collect()
}

/// The vertex of a layer.
fn state(
    lowering: &Lowering,
    runner: Option<&Runner>,
    layer: &Layer<Content>,
    blobs: &FetchedBlobs,
) -> Result<State, Error> {
    let state = match runner {
        Some(runner) => lowering.proved_layer(layer, blobs, runner),
        None => lowering.copied_layer(layer, blobs),
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
    blobs: &FetchedBlobs,
) -> Result<Vec<State>, Failure> {
    let prover = Prover { client, registries, lowering, runner: own::runner(options), spec };
    let proofs = plan.layers.iter().map(|layer| prover.layer(layer, blobs));
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
}

/// A blob that is not what it should be.
struct Corrupt<'a> {
    digest: &'a Digest,
    got: String,
    image: &'a str,
    /// Where it can be asked for again; `None` where that was done.
    again: Option<Blob>,
}

impl Prover<'_> {
    /// The vertex of a layer, proved. BuildKit keeps wrong bytes under the good name: so what is wrong is asked for once
    /// more, under another, before it is an error.
    async fn layer(&self, layer: &Layer<Content>, blobs: &FetchedBlobs) -> Result<State, Failure> {
        let state = self.state(layer, blobs)?;
        let corrupt = self.prove(layer, blobs, &state).await?;
        if corrupt.is_empty() {
            return Ok(state);
        }
        let mut other = blobs.clone();
        for wrong in &corrupt {
            let Some(blob) = &wrong.again else { continue };
            let (state, file) = (source(blob, true), file(true));
            other.insert(wrong.digest.clone(), FetchedBlob::Vertex { state, file, image: wrong.image.to_owned() });
        }
        let state = self.state(layer, &other)?;
        let corrupt = self.prove(layer, &other, &state).await?;
        if corrupt.is_empty() { Ok(state) } else { Err(self.problems(&corrupt).into()) }
    }

    fn state(&self, layer: &Layer<Content>, blobs: &FetchedBlobs) -> Result<State, Error> {
        state(self.lowering, self.runner.as_ref(), layer, blobs)
    }

    fn problems(&self, corrupt: &[Corrupt<'_>]) -> Vec<Diagnostic> {
        let problem = |wrong: &Corrupt<'_>| {
            let images = self.spec.images.iter().filter(|known| known.reference.as_str() == wrong.image);
            at(images, |image| {
                format!("a blob of {image} is corrupt: the registry sent sha256:{} for {}", wrong.got, wrong.digest)
            })
        };
        corrupt.iter().map(problem).collect()
    }

    /// Proves a layer: solves the vertex that does it, or reads its blobs. Where a proof fails, the blobs are read to
    /// tell which are wrong.
    async fn prove<'a>(
        &self,
        layer: &'a Layer<Content>,
        blobs: &'a FetchedBlobs,
        state: &State,
    ) -> Result<Vec<Corrupt<'a>>, Failure> {
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
                let repository = image.parse::<ImageRef>().ok().map(|image| image.name().to_owned());
                let again = repository.filter(|_| *name == file(false));
                let again = again.map(|name| Blob { name, digest: digest.clone() });
                corrupt.push(Corrupt { digest, got, image, again });
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
        let path = format!("/{file}");
        let size = reference.stat(&path).await?.map_or(0, |stat| stat.size);
        let mut hash = Sha256::new();
        let mut offset = 0;
        while offset < size {
            let part = reference.read_range(&path, offset, PART).await?;
            if part.is_empty() {
                break;
            }
            offset += part.len() as u64;
            hash.update(&part);
        }
        Ok(Digest::finish(hash).hex().to_owned())
    }
}
