//! Fetching: every source solved once, before the graph that uses it. Owns the bounds, the order of
//! mirrors and the list of all that failed; does not know how one source is solved, nor what is built from it.

mod throttle;

use crate::artifact::ArtifactId;
pub use crate::fetch::throttle::Throttle;
use crate::name::{FileUrl, ImageRef};
use crate::retry::{Retry, Transient, is_transient_status};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// A place that an item may be had from: a URL, a repository.
pub trait Source: Clone {
    /// `host[:port]`, which the bound per host counts.
    fn host(&self) -> &str;
}

impl Source for FileUrl {
    fn host(&self) -> &str {
        self.authority()
    }
}

impl Source for ImageRef {
    fn host(&self) -> &str {
        self.domain()
    }
}

/// One attempt to get one artifact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt<S = FileUrl> {
    /// What is asked for.
    pub artifact: ArtifactId,
    /// Where it is asked for: the artifact's own origin, or a mirror.
    pub source: S,
    /// 0 for the first try of this source.
    pub number: u32,
    /// How many earlier attempts to get this artifact failed, from this source or another.
    pub earlier: u32,
}

impl<S> Attempt<S> {
    /// The first attempt to get an artifact.
    pub fn first(artifact: ArtifactId, source: S) -> Self {
        Self { artifact, source, number: 0, earlier: 0 }
    }

    /// Whether an earlier attempt failed.
    pub fn again(&self) -> bool {
        self.earlier > 0
    }
}

/// An artifact that was fetched: the attempt that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched<S = FileUrl> {
    /// The source and the try; the graph must use the same vertex.
    pub attempt: Attempt<S>,
    /// Its size in bytes, where it was asked for.
    pub bytes: Option<u64>,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The server answered with another status than success.
    Status(u16),
    /// The server asks to be left alone for a while (`Retry-After`).
    Busy {
        /// Its status, one that may pass.
        status: u16,
        /// For how long.
        after: Duration,
    },
    /// The server sent bytes that are not those of the checksum.
    Mismatch {
        /// `sha256:…` of what was sent.
        got: String,
        /// `sha256:…` of what the checksum promises.
        expected: String,
    },
    /// Nobody answers there at all: whatever else is asked for there will not be had either.
    Unreachable(String),
    /// The connection broke.
    Connection(String),
    /// Access needs a login that was not there, or another.
    Login(String),
    /// The client has no secret of this id, which the definition names.
    Secret(String),
    /// Anything else, such as a source policy that forbids it; the message is BuildKit's.
    Other(String),
}

impl Transient for Failure {
    fn wait(&self) -> Option<Duration> {
        match self {
            Self::Status(status) => is_transient_status(*status).then_some(Duration::ZERO),
            Self::Busy { after, .. } => Some(*after),
            Self::Unreachable(_) | Self::Connection(_) => Some(Duration::ZERO),
            Self::Mismatch { .. } | Self::Login(_) | Self::Secret(_) | Self::Other(_) => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(404) => f.write_str("the server has no such file (status 404)"),
            Self::Status(status @ (401 | 403)) => write!(f, "the server refuses access (status {status})"),
            Self::Status(status) | Self::Busy { status, .. } => write!(f, "the server answered with status {status}"),
            Self::Mismatch { got, expected } => {
                write!(f, "wrong checksum: the server sent {got}, expected {expected}")
            }
            Self::Secret(id) => write!(f, "the secret `{id}`, which `hosts` uses, is missing"),
            Self::Unreachable(message) | Self::Connection(message) | Self::Login(message) | Self::Other(message) => {
                f.write_str(message)
            }
        }
    }
}

/// An artifact that could not be had from any source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost<S = FileUrl> {
    /// Which one.
    pub artifact: ArtifactId,
    /// Each source that was tried, how often, and why the last try failed.
    pub tried: Vec<(S, u32, Failure)>,
}

/// Solves one source. One implementor per world: BuildKit's gateway, and a fake in tests.
pub trait Fetcher<S = FileUrl> {
    /// Gets the artifact of `attempt`; its size in bytes is found out only if `measure` is set.
    fn fetch(&self, attempt: &Attempt<S>, measure: bool) -> impl Future<Output = Result<Option<u64>, Failure>>;
}

/// How hard to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Sources being fetched at a time, in all.
    pub total: usize,
    /// Sources being fetched at a time, from one host.
    pub per_host: usize,
    /// How often a source is tried.
    pub retry: Retry,
}

impl Limits {
    /// Those of a build.
    pub const DEFAULT: Self = Self { total: 16, per_host: 6, retry: Retry::DEFAULT };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Artifacts, each with its sources in the order in which they are tried.
pub type Wanted<S = FileUrl> = Vec<(ArtifactId, Vec<S>)>;

/// What is fetched if every artifact is had from its first source at once; sizes are unknown.
pub fn first<S: Source>(wanted: Wanted<S>) -> Vec<Fetched<S>> {
    let first = |(artifact, sources): (ArtifactId, Vec<S>)| {
        let source = sources.into_iter().next()?;
        Some(Fetched { attempt: Attempt::first(artifact, source), bytes: None })
    };
    wanted.into_iter().filter_map(first).collect()
}

/// Fetches all artifacts, each once. `measure` asks for their sizes.
///
/// Each is tried, whatever becomes of the others; the error holds all that were lost, in their order.
pub async fn fetch<S: Source>(
    wanted: Wanted<S>,
    fetcher: &impl Fetcher<S>,
    limits: &Limits,
    measure: bool,
) -> Result<Vec<Fetched<S>>, Vec<Lost<S>>> {
    let round = Round { measure, ..Round::new(fetcher, limits.clone()) };
    let tasks: FuturesOrdered<_> =
        wanted.into_iter().map(|(artifact, sources)| round.artifact(artifact, sources)).collect();
    let (mut done, mut lost) = (Vec::new(), Vec::new());
    for result in tasks.collect::<Vec<_>>().await {
        match result {
            Ok(one) => done.push(one),
            Err(one) => lost.push(one),
        }
    }
    if lost.is_empty() { Ok(done) } else { Err(lost) }
}

/// Artifacts that are fetched within the same bounds.
pub struct Round<'a, F> {
    fetcher: &'a F,
    limits: Limits,
    throttle: Throttle,
    measure: bool,
}

impl<'a, F> Round<'a, F> {
    /// One that does not ask for sizes.
    pub fn new(fetcher: &'a F, limits: Limits) -> Self {
        Self { fetcher, throttle: Throttle::new(&limits), limits, measure: false }
    }

    /// Fetches one artifact from the first of `sources` that has it.
    ///
    /// # Errors
    ///
    /// If none has it.
    pub async fn artifact<S: Source>(&self, artifact: ArtifactId, sources: Vec<S>) -> Result<Fetched<S>, Lost<S>>
    where
        F: Fetcher<S>,
    {
        self.after(artifact, sources, 0).await
    }

    /// Does `work`, which asks all of `sources` itself, within the bounds as far as one piece of work allows it.
    pub async fn together<S: Source, T>(&self, sources: &[S], work: impl Future<Output = T>) -> T {
        let _permit = self.throttle.enter_together(sources.iter().map(Source::host)).await;
        work.await
    }

    /// [`Self::artifact`], after as many attempts from others as `before` says.
    ///
    /// # Errors
    ///
    /// If none has it.
    pub async fn after<S: Source>(
        &self,
        artifact: ArtifactId,
        sources: Vec<S>,
        before: u32,
    ) -> Result<Fetched<S>, Lost<S>>
    where
        F: Fetcher<S>,
    {
        let attempt = |Try { at, number, earlier }| {
            let source = sources[at].clone();
            Attempt { artifact, source, number, earlier: before + earlier }
        };
        let asked = try_places(&self.limits.retry, &self.throttle, &sources, async |tried| {
            self.fetcher.fetch(&attempt(tried), self.measure).await
        })
        .await;
        match asked {
            Ok((tried, bytes)) => Ok(Fetched { attempt: attempt(tried), bytes }),
            Err(tried) => {
                let tried = sources.into_iter().zip(tried);
                Err(Lost {
                    artifact,
                    tried: tried.map(|(source, (tries, failure))| (source, tries, failure)).collect(),
                })
            }
        }
    }
}

/// One try to get something from one of several places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Try {
    /// The index of the place.
    pub at: usize,
    /// 0 for the first try of this place.
    pub number: u32,
    /// How many tries failed before, at any place.
    pub earlier: u32,
}

impl Try {
    /// The only one, of the only place.
    pub const FIRST: Self = Self { at: 0, number: 0, earlier: 0 };
}

/// Asks the places in their order until one answers, within the bounds of `throttle`; those whose hosts did not answer
/// others at all come after the rest: waiting for a dead mirror once is enough. Then again those that may answer a
/// little later, as `retry` says: so that a place that is down costs no pause while another one answers.
///
/// The error holds, for each place, how often it was tried and why the last try failed.
pub async fn try_places<S: Source, T>(
    retry: &Retry,
    throttle: &Throttle,
    places: &[S],
    mut ask: impl AsyncFnMut(Try) -> Result<T, Failure>,
) -> Result<(Try, T), Vec<(u32, Failure)>> {
    let mut failures: Vec<Option<(u32, Failure)>> = vec![None; places.len()];
    let mut earlier = 0;
    // Others have the permits during a pause.
    let asked = retry.run(async |number| {
        let mut order: VecDeque<usize> = (0..places.len()).collect();
        while let Some(at) = order.pop_front() {
            if failures[at].as_ref().is_some_and(|(_, failure)| retry.wait(failure).is_none()) {
                continue;
            }
            let host = places[at].host();
            let later = |order: &VecDeque<usize>| {
                let other = |at: &usize| !throttle.is_unreachable(places[*at].host()) && failures[*at].is_none();
                throttle.is_unreachable(host) && order.iter().any(other)
            };
            let permit = throttle.enter(host).await;
            // It may have been found out while this one waited.
            if later(&order) {
                order.push_back(at);
                continue;
            }
            let tried = Try { at, number, earlier };
            let result = ask(tried).await;
            drop(permit);
            throttle.note(host, !matches!(result, Err(Failure::Unreachable(_))));
            match result {
                Ok(answer) => return Ok((tried, answer)),
                Err(failure) => failures[at] = Some((number + 1, failure)),
            }
            earlier += 1;
        }
        Err(NoAnswer(failures.iter().flatten().filter_map(|(_, failure)| retry.wait(failure)).max()))
    });
    let answered = asked.await.ok();
    answered.ok_or_else(|| failures.into_iter().flatten().collect())
}

/// A round over all places, in which none answered: the longest wait of those that may answer later.
struct NoAnswer(Option<Duration>);

impl Transient for NoAnswer {
    fn wait(&self) -> Option<Duration> {
        self.0
    }
}

#[cfg(test)]
mod tests;
