//! Fetching: every source solved once, before the graph that uses it. Owns the bounds, the retries, the order of
//! mirrors and the list of all that failed; does not know how one source is solved, nor what is built from it.

mod problem;
mod throttle;

use crate::spec::FileUrl;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
pub use problem::problems;
use std::fmt;
use std::time::Duration;
pub use throttle::Throttle;

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

/// One attempt to get one item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt<S = FileUrl> {
    /// The index of the item.
    pub item: usize,
    /// Where it is asked for: the item's own place, or a mirror.
    pub source: S,
    /// 0 for the first try of this source.
    pub number: u32,
    /// Whether an earlier attempt to get this item failed, from this source or another.
    pub again: bool,
}

/// An item that was fetched: the attempt that succeeded.
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
    /// The server sent bytes that are not those of the checksum.
    Mismatch {
        /// `sha256:…` of what was sent.
        got: String,
        /// `sha256:…` of what the checksum promises.
        expected: String,
    },
    /// No answer, or the connection broke.
    Connection(String),
    /// Access needs a login that was not there, or another.
    Login(String),
    /// Anything else, such as a source policy that forbids it; the message is BuildKit's.
    Other(String),
}

impl Failure {
    /// Whether the same request may succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Status(status) => matches!(status, 408 | 425 | 429 | 500..),
            Self::Connection(_) => true,
            Self::Mismatch { .. } | Self::Login(_) | Self::Other(_) => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(404) => f.write_str("the server has no such file (status 404)"),
            Self::Status(status @ (401 | 403)) => write!(f, "the server refuses access (status {status})"),
            Self::Status(status) => write!(f, "the server answered with status {status}"),
            Self::Mismatch { got, expected } => {
                write!(f, "wrong checksum: the server sent {got}, expected {expected}")
            }
            Self::Connection(message) | Self::Login(message) | Self::Other(message) => f.write_str(message),
        }
    }
}

/// An item that could not be had from any source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost<S = FileUrl> {
    /// The index of the item.
    pub item: usize,
    /// Each source that was tried, how often, and why the last try failed.
    pub tried: Vec<(S, u32, Failure)>,
}

/// Solves one source. One implementor per world: BuildKit's gateway, and a fake in tests.
pub trait Fetcher<S = FileUrl> {
    /// Gets the item of `attempt`; its size in bytes is found out only if `measure` is set.
    fn fetch(&self, attempt: &Attempt<S>, measure: bool) -> impl Future<Output = Result<Option<u64>, Failure>>;
}

/// How hard to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Sources being fetched at a time, in all.
    pub total: usize,
    /// Sources being fetched at a time, from one host.
    pub per_host: usize,
    /// Tries of one source, the first included.
    pub tries: u32,
    /// The wait before the second try; it doubles each time after.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { total: 16, per_host: 6, tries: 5, pause: Duration::from_secs(1) }
    }
}

/// What is fetched if every item is had from its first source at once; sizes are unknown.
pub fn first<S: Source>(items: Vec<Vec<S>>) -> Vec<Fetched<S>> {
    let first = |(item, sources): (usize, Vec<S>)| {
        let source = sources.into_iter().next()?;
        Some(Fetched { attempt: Attempt { item, source, number: 0, again: false }, bytes: None })
    };
    items.into_iter().enumerate().filter_map(first).collect()
}

/// Fetches all items, each once: `items` are the sources of each, in the order in which they are tried. `measure` asks
/// for their sizes.
///
/// Every item is tried, whatever becomes of the others; the error holds all that were lost, in their order.
pub async fn fetch<S: Source>(
    items: Vec<Vec<S>>,
    fetcher: &impl Fetcher<S>,
    limits: &Limits,
    measure: bool,
) -> Result<Vec<Fetched<S>>, Vec<Lost<S>>> {
    let throttle = Throttle::new(limits);
    let run = Run { fetcher, limits, throttle: &throttle, measure };
    let tasks: FuturesOrdered<_> =
        items.into_iter().enumerate().map(|(item, sources)| run.item(item, sources)).collect();
    let (mut done, mut lost) = (Vec::new(), Vec::new());
    for result in tasks.collect::<Vec<_>>().await {
        match result {
            Ok(item) => done.push(item),
            Err(item) => lost.push(item),
        }
    }
    if lost.is_empty() { Ok(done) } else { Err(lost) }
}

/// What all items of one call share.
struct Run<'a, F> {
    fetcher: &'a F,
    limits: &'a Limits,
    throttle: &'a Throttle,
    measure: bool,
}

impl<F> Run<'_, F> {
    /// Fetches one item: its sources in order, each a few times.
    async fn item<S: Source>(&self, item: usize, sources: Vec<S>) -> Result<Fetched<S>, Lost<S>>
    where
        F: Fetcher<S>,
    {
        let mut tried = Vec::new();
        for source in sources {
            match self.source(Attempt { item, source, number: 0, again: !tried.is_empty() }).await {
                Ok(fetched) => return Ok(fetched),
                Err((attempt, failure)) => tried.push((attempt.source, attempt.number + 1, failure)),
            }
        }
        Err(Lost { item, tried })
    }

    /// Fetches from one source: again while it may help, and the tries last. The error holds the last attempt.
    async fn source<S: Source>(&self, mut attempt: Attempt<S>) -> Result<Fetched<S>, (Attempt<S>, Failure)>
    where
        F: Fetcher<S>,
    {
        let again = attempt.again;
        let result = persist(self.limits, self.throttle, attempt.source.host().to_owned(), async |number| {
            (attempt.number, attempt.again) = (number, again || number > 0);
            self.fetcher.fetch(&attempt, self.measure).await
        })
        .await;
        match result {
            Ok(bytes) => Ok(Fetched { attempt, bytes }),
            Err(failure) => Err((attempt, failure)),
        }
    }
}

/// Asks a host: again while it may help, and the tries last; within the bounds of `throttle`. `ask` gets the number of
/// the try, from 0.
pub async fn persist<T>(
    limits: &Limits,
    throttle: &Throttle,
    host: String,
    mut ask: impl AsyncFnMut(u32) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut number = 0;
    loop {
        let permit = throttle.enter(&host).await;
        let result = ask(number).await;
        drop(permit);
        match result {
            Err(failure) if number + 1 < limits.tries && failure.is_transient() => {}
            ended => return ended,
        }
        // Others have the place meanwhile.
        tokio::time::sleep(limits.pause * 2_u32.pow(number.min(16))).await;
        number += 1;
    }
}

#[cfg(test)]
mod tests;
