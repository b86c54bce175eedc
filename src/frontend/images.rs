//! The layers of the target `images`: arranged of blobs, and proved. Owns the choice of the proof, and what is done about
//! wrong bytes; does not know how a blob is fetched, nor what lies in which layer.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::Build;
use super::blobs::{Blobs, Got};
use super::hash::hash;
use super::own;
use super::registries::Gateway;
use super::report::Failure;
use crate::lower::Lowering;
use crate::lower::images::{FetchedBlob, FetchedBlobs, Runner};
use crate::plan::Plan;
use crate::plan::images::{Content, needed};
use crate::spec::Digest;
use buildkit::gateway::Error;
use buildkit::llb::State;

/// Layers that are proved at a time of blobs that were fetched one by one.
const PROOFS: usize = 4;

/// The layers of a plan as they are if every blob is fetched at the first try.
pub(super) struct First {
    blobs: FetchedBlobs,
    layers: Vec<State>,
}

impl First {
    /// Asks for nothing; from now on the blobs are shown with their images.
    pub(super) fn of(
        build: &Build<'_>,
        source: &Blobs<'_>,
        lowering: &Lowering,
        plan: &Plan<Content>,
    ) -> Result<Self, Error> {
        let all = needed(&plan.layers);
        source.show(all.iter().copied());
        let first = |digest: &Digest| Some((digest.clone(), source.first(digest)?));
        let blobs: FetchedBlobs = all.into_iter().filter_map(first).collect();
        let runner = own::runner(build.options);
        let layers = (0..plan.layers.len()).map(|at| state(lowering, runner.as_ref(), (plan, at), &blobs));
        Ok(Self { layers: layers.collect::<Result<_, _>>()?, blobs })
    }

    /// The layers of the plan.
    pub(super) fn layers(&self) -> &[State] {
        &self.layers
    }

    /// Whether these blobs were fetched so.
    fn has(&self, fetched: &FetchedBlobs) -> bool {
        let same = |blob: &FetchedBlob, first: &FetchedBlob| match (blob, first) {
            (FetchedBlob::Vertex { state: one, .. }, FetchedBlob::Vertex { state: other, .. }) => one.is_same(other),
            (FetchedBlob::Known(one), FetchedBlob::Known(other)) => one == other,
            _ => false,
        };
        fetched.iter().all(|(digest, blob)| self.blobs.get(digest).is_some_and(|first| same(blob, first)))
    }
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
///
/// A layer is asked for at once, with its blobs. Where it cannot be had so, they are fetched one by one, and it is proved as
/// soon as they are there, while others are still fetched.
pub(super) async fn layers(
    build: &Build<'_>,
    registries: &Gateway<'_>,
    source: &Blobs<'_>,
    lowering: &Lowering,
    plan: &Plan<Content>,
    first: &First,
) -> Result<Vec<State>, Failure> {
    let blobs: BTreeMap<&Digest, _> =
        needed(&plan.layers).into_iter().map(|digest| (digest, source.get(digest).shared())).collect();

    let runner = own::runner(build.options);
    let prover = Prover { build, registries, blobs: source, lowering, runner: runner.as_ref(), plan, first };
    let proofs = Semaphore::new(PROOFS);
    let layer = async |at: usize| {
        let digests = needed([&plan.layers[at]]);
        let failed = match prover.at_once(at, &digests).await {
            Some(Ok(layer)) => return Ok(Some(layer)),
            other => other.is_some(),
        };
        let there = join_all(digests.iter().map(|digest| blobs[digest].clone())).await;
        // What could not be had is told below, once.
        let Ok(there) = there.into_iter().collect::<Result<Vec<Got>, _>>() else { return Ok(None) };
        let _permit = proofs.acquire().await.expect("the semaphore is never closed");
        prover.layer(at, failed, digests.into_iter().cloned().zip(there).collect()).await.map(Some)
    };
    let results = join_all((0..plan.layers.len()).map(layer)).await;

    // A blob of a layer that was there needed not be had.
    let got = blobs.values().filter_map(|blob| blob.peek());
    let mut problems: Vec<_> = got.filter_map(|got| got.as_ref().err().cloned()).collect();
    let mut layers = Vec::new();
    for result in results {
        match result {
            Ok(layer) => layers.extend(layer),
            Err(Failure::Problems(more)) => problems.extend(more),
            Err(other) => return Err(other),
        }
    }
    if problems.is_empty() { Ok(layers) } else { Err(problems.into()) }
}

/// Proves layers.
struct Prover<'a> {
    build: &'a Build<'a>,
    registries: &'a Gateway<'a>,
    blobs: &'a Blobs<'a>,
    lowering: &'a Lowering,
    runner: Option<&'a Runner>,
    plan: &'a Plan<Content>,
    first: &'a First,
}

/// A blob that is not what it should be: what it should be, and the SHA-256 that it has, in hex.
struct Corrupt {
    digest: Digest,
    sha256: String,
}

impl Prover<'_> {
    /// The vertex of a layer, proved: BuildKit has it, or makes it of blobs from their first places. `None` if that was not tried.
    async fn at_once(&self, at: usize, digests: &BTreeSet<&Digest>) -> Option<Result<State, Error>> {
        self.runner?;
        let layer = &self.first.layers[at];
        let solve = Box::pin(self.build.client.solve(self.registries.solve_now(layer)));
        let solved = self.blobs.together(digests, solve).await?;
        Some(solved.map(|_| layer.clone()))
    }

    /// The vertex of a layer, proved; `failed` where it was tried at once. BuildKit keeps wrong bytes under the good name: so what
    /// is wrong is asked for elsewhere, and at last once more where it came from, under another, before it is an error.
    async fn layer(&self, at: usize, failed: bool, mut blobs: BTreeMap<Digest, Got>) -> Result<State, Failure> {
        loop {
            let fetched = blobs.iter().map(|(digest, got)| (digest.clone(), got.blob.clone())).collect();
            let state = self.state(at, &fetched)?;
            // What has failed stays failed for the rest of the build; one that ignores the cache is another.
            let state = if failed { state.ignore_cache(true) } else { state };
            let corrupt = self.prove(&fetched, &state).await?;
            if corrupt.is_empty() {
                return Ok(state);
            }
            let mut problems = Vec::new();
            for Corrupt { digest, sha256 } in corrupt {
                let Some(got) = blobs.get_mut(&digest) else { continue };
                match self.blobs.elsewhere(&digest, got, &sha256).await {
                    Ok(other) => *got = other,
                    Err(problem) => problems.push(problem),
                }
            }
            if !problems.is_empty() {
                return Err(problems.into());
            }
        }
    }

    /// The vertex of a layer of these blobs.
    fn state(&self, at: usize, blobs: &FetchedBlobs) -> Result<State, Error> {
        if self.first.has(blobs) {
            return Ok(self.first.layers[at].clone());
        }
        state(self.lowering, self.runner, (self.plan, at), blobs)
    }

    /// Proves a layer of these blobs: solves the vertex that does it, or reads them. Where a proof fails, they are read to
    /// tell which are wrong.
    async fn prove(&self, blobs: &FetchedBlobs, state: &State) -> Result<Vec<Corrupt>, Failure> {
        let mut failed = None;
        if self.runner.is_some() {
            match self.build.client.solve(self.registries.solve_now(state)).await {
                Ok(_) => return Ok(Vec::new()),
                Err(error) => failed = Some(error),
            }
        }
        let mut corrupt = Vec::new();
        for (digest, blob) in blobs {
            let FetchedBlob::Vertex { state, file, .. } = blob else { continue };
            let sha256 = self.hash(state, file).await?;
            if sha256 != digest.hex() {
                corrupt.push(Corrupt { digest: digest.clone(), sha256 });
            }
        }
        match failed {
            Some(error) if corrupt.is_empty() => Err(error.into()),
            _ => Ok(corrupt),
        }
    }

    /// The SHA-256 of a fetched blob, in hex, read through BuildKit.
    async fn hash(&self, blob: &State, file: &str) -> Result<String, Error> {
        let reference = self.build.client.solve_state(blob).await?;
        let (digest, _) = hash(&reference, &format!("/{file}")).await?;
        Ok(digest.hex().to_owned())
    }
}
