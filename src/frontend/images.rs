//! The layers of the target `images`: arranged of blobs, and proved. Owns the choice of the proof, and what is done about
//! wrong bytes; does not know how a blob is fetched, nor what lies in which layer.

use std::collections::{BTreeMap, BTreeSet};

use buildkit::gateway::Error;
use buildkit::llb::State;
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::Build;
use super::blobs::{Blobs, Got};
use super::hash::hash;
use super::registries::Gateway;
use super::report::Failure;
use crate::artifact::{ArtifactId, Artifacts};
use crate::lower::images::Runner;
use crate::lower::{Input, Inputs, Lowering};
use crate::plan::{Plan, needed};

/// Layers that are proved at a time of blobs that were fetched one by one.
const PROOFS: usize = 4;

/// The layers of a plan as they are if every blob is fetched at the first try.
pub(super) struct First {
    inputs: Inputs,
    layers: Vec<State>,
}

impl First {
    /// Asks for nothing; from now on the blobs are shown with their images.
    pub(super) fn of(build: &Build<'_>, source: &Blobs<'_>, lowering: &Lowering, plan: &Plan) -> Result<Self, Error> {
        let all = needed(&plan.layers);
        source.show(all.iter().copied());
        let inputs: Inputs = all.into_iter().filter_map(|id| Some((id, source.first(id)?))).collect();
        let (runner, artifacts) = (build.runner(), source.artifacts());
        let layers =
            (0..plan.layers.len()).map(|at| state(lowering, runner.as_ref(), (plan, at), (artifacts, &inputs)));
        Ok(Self { layers: layers.collect::<Result<_, _>>()?, inputs })
    }

    /// The layers of the plan.
    pub(super) fn layers(&self) -> &[State] {
        &self.layers
    }

    /// Whether these blobs were fetched so.
    fn has(&self, inputs: &Inputs) -> bool {
        let same = |input: &Input, first: &Input| match (input, first) {
            (Input::File { state: one, .. }, Input::File { state: other, .. }) => one.is_same(other),
            (Input::Text(one), Input::Text(other)) => one == other,
            _ => false,
        };
        inputs.iter().all(|(id, input)| self.inputs.get(id).is_some_and(|first| same(input, first)))
    }
}

/// The vertex of a layer: of a plan, the one with that index.
fn state(
    lowering: &Lowering,
    runner: Option<&Runner>,
    (plan, at): (&Plan, usize),
    (artifacts, inputs): (&Artifacts, &Inputs),
) -> Result<State, Error> {
    let state = match runner {
        Some(runner) => lowering.proved_layer(plan, at, (artifacts, inputs), runner),
        None => lowering.copied_layer(plan, at, inputs),
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
    plan: &Plan,
    first: &First,
) -> Result<Vec<State>, Failure> {
    let blobs: BTreeMap<ArtifactId, _> =
        needed(&plan.layers).into_iter().map(|id| (id, source.get(id).shared())).collect();

    let runner = build.runner();
    let prover = Prover { build, registries, blobs: source, lowering, runner: runner.as_ref(), plan, first };
    let proofs = Semaphore::new(PROOFS);
    let layer = async |at: usize| {
        let ids = needed([&plan.layers[at]]);
        let failed = match prover.at_once(at, &ids).await {
            Some(Ok(layer)) => return Ok(Some(layer)),
            other => other.is_some(),
        };
        let there = join_all(ids.iter().map(|id| blobs[id].clone())).await;
        // What could not be had is told below, once.
        let Ok(there) = there.into_iter().collect::<Result<Vec<Got>, _>>() else { return Ok(None) };
        let _permit = proofs.acquire().await.expect("the semaphore is never closed");
        prover.layer(at, failed, ids.into_iter().zip(there).collect()).await.map(Some)
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
    plan: &'a Plan,
    first: &'a First,
}

/// A blob that is not what it should be, and the SHA-256 that it has, in hex.
struct Corrupt {
    artifact: ArtifactId,
    sha256: String,
}

impl Prover<'_> {
    /// The vertex of a layer, proved: BuildKit has it, or makes it of blobs from their first places. `None` if that was not tried.
    async fn at_once(&self, at: usize, ids: &BTreeSet<ArtifactId>) -> Option<Result<State, Error>> {
        self.runner?;
        let layer = &self.first.layers[at];
        let solve = Box::pin(self.build.client.solve(self.registries.solve_now(layer)));
        let solved = self.blobs.together(ids, solve).await?;
        Some(solved.map(|_| layer.clone()))
    }

    /// The vertex of a layer, proved; `failed` where it was tried at once. BuildKit keeps wrong bytes under the good name: so what
    /// is wrong is asked for elsewhere, and at last once more where it came from, under another, before it is an error.
    async fn layer(&self, at: usize, failed: bool, mut blobs: BTreeMap<ArtifactId, Got>) -> Result<State, Failure> {
        loop {
            let inputs = blobs.iter().map(|(id, got)| (*id, got.input.clone())).collect();
            let state = self.state(at, &inputs)?;
            // What has failed stays failed for the rest of the build; one that ignores the cache is another.
            let state = if failed { state.ignore_cache(true) } else { state };
            let corrupt = self.prove(&inputs, &state).await?;
            if corrupt.is_empty() {
                return Ok(state);
            }
            let mut problems = Vec::new();
            for Corrupt { artifact, sha256 } in corrupt {
                let Some(got) = blobs.get_mut(&artifact) else { continue };
                match self.blobs.elsewhere(artifact, got, &sha256).await {
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
    fn state(&self, at: usize, inputs: &Inputs) -> Result<State, Error> {
        if self.first.has(inputs) {
            return Ok(self.first.layers[at].clone());
        }
        state(self.lowering, self.runner, (self.plan, at), (self.blobs.artifacts(), inputs))
    }

    /// Proves a layer of these blobs: solves the vertex that does it, or reads them. Where a proof fails, they are read to
    /// tell which are wrong.
    async fn prove(&self, inputs: &Inputs, state: &State) -> Result<Vec<Corrupt>, Failure> {
        let mut failed = None;
        if self.runner.is_some() {
            match self.build.client.solve(self.registries.solve_now(state)).await {
                Ok(_) => return Ok(Vec::new()),
                Err(error) => failed = Some(error),
            }
        }
        let mut corrupt = Vec::new();
        for (id, input) in inputs {
            let Input::File { state, name } = input else { continue };
            let sha256 = self.hash(state, name).await?;
            let pin = self.blobs.artifacts()[*id].pin.as_ref();
            if pin.is_none_or(|pin| sha256 != pin.hex()) {
                corrupt.push(Corrupt { artifact: *id, sha256 });
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
