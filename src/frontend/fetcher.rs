//! Downloads through BuildKit: one source solved at a time. Owns how a failure of a pinned file is explained; does not know
//! how often it is tried, nor what is made of the files.

use std::collections::BTreeMap;

use buildkit::gateway::{Client, Error, capability};

use super::errors;
use super::world::BuildWorld;
use crate::artifact::ArtifactId;
use crate::fetch::{Attempt, Failure, Fetcher};
use crate::lower::download::Downloads;
use crate::lower::{FETCHED, Lowering};
use crate::name::Digest;
use crate::tree::Tree;

/// Fetches the files of a build.
pub(super) struct FileFetcher<'a> {
    client: &'a Client,
    world: &'a BuildWorld<'a>,
    lowering: &'a Lowering,
    downloads: &'a Downloads<'a>,
    /// Where the files lie in the image, if results may be imported: an imported cache has layers, and no sources.
    paths: BTreeMap<ArtifactId, String>,
}

impl<'a> FileFetcher<'a> {
    /// The files of a build, with the vertices of `downloads`. `tree` says where they lie in the image; it is asked only
    /// if results may be imported.
    pub(super) fn new(
        client: &'a Client,
        world: &'a BuildWorld<'a>,
        lowering: &'a Lowering,
        downloads: &'a Downloads<'a>,
        tree: impl FnOnce() -> Tree,
    ) -> Self {
        let importing = world.is_importing() && !lowering.ignore_cache;
        let paths = if importing { tree().paths() } else { BTreeMap::new() };
        Self { client, world, lowering, downloads, paths }
    }

    /// What the URL serves, asked without the checksum: its digest, or why there is none.
    ///
    /// With a checksum BuildKit does not look at the status, so that an error page too is "digest mismatch". Without it
    /// the body is fetched, and found again by the vertex with the checksum. `None` if the daemon does not tell.
    async fn served(&self, attempt: &Attempt) -> Result<Option<String>, Failure> {
        if !self.client.capabilities().supports(capability::SOURCE_META_RESOLVER) {
            return Ok(None);
        }
        let unchecked = self.downloads.unchecked(attempt);
        let name = format!("[internal] check {}", attempt.source);
        match self.client.resolve_source_meta(&unchecked, &name).await {
            Ok(meta) => Ok(meta.http.map(|http| http.checksum)),
            Err(error) => Err(errors::of_file(&error)),
        }
    }

    /// Why the vertex of a pinned file failed.
    async fn explain(&self, attempt: &Attempt, failure: Failure, pin: &str) -> Failure {
        if !matches!(failure, Failure::Mismatch { .. }) {
            return failure;
        }
        match self.served(attempt).await {
            // The right bytes are there now; the next attempt takes them.
            Ok(Some(digest)) if digest == pin => Failure::Connection("the server first sent other content".into()),
            Ok(Some(got)) => Failure::Mismatch { got, expected: pin.into() },
            Ok(None) => failure,
            Err(reason) => reason,
        }
    }

    /// Solves the vertex of an attempt.
    async fn solve(&self, attempt: &Attempt, measure: bool) -> Result<Option<u64>, Failure> {
        let state = self.downloads.source(attempt);
        let pinned = self.pin(attempt).is_some();
        let (state, path) = match self.paths.get(&attempt.artifact) {
            Some(path) if pinned && !attempt.again() => (self.lowering.alone(state, path), path.clone()),
            _ => (state, format!("/{FETCHED}")),
        };
        let failure = |error: Error| errors::of_file(&error);
        let result = self.client.solve(self.world.request(&state).evaluate(true)).await.map_err(failure)?;
        match result.reference {
            Some(reference) if measure => Ok(reference.stat(&path).await.map_err(failure)?.map(|stat| stat.size)),
            _ => Ok(None),
        }
    }

    /// What the artifact of an attempt must hash to, if that is known and it is downloaded.
    fn pin(&self, attempt: &Attempt) -> Option<&Digest> {
        let pin = self.downloads.artifacts()[attempt.artifact].pin.as_ref();
        pin.filter(|_| !self.downloads.is_overridden(attempt.artifact))
    }
}

impl Fetcher for FileFetcher<'_> {
    async fn fetch(&self, attempt: &Attempt, measure: bool) -> Result<Option<u64>, Failure> {
        let Some(pin) = self.pin(attempt).map(ToString::to_string) else {
            return self.solve(attempt, measure).await;
        };
        if attempt.again() || self.lowering.ignore_cache {
            // A second failure under the same checksum could not be tried again: so what is served is known first.
            match self.served(attempt).await? {
                Some(got) if got != pin => return Err(Failure::Mismatch { got, expected: pin }),
                _ => return self.solve(attempt, measure).await,
            }
        }
        match self.solve(attempt, measure).await {
            Ok(bytes) => Ok(bytes),
            Err(failure) => Err(self.explain(attempt, failure, &pin).await),
        }
    }
}
