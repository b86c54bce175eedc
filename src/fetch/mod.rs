//! Fetching: every source solved once, before the graph that uses it. Owns the bounds, the retries, the order of
//! mirrors and the list of all that failed; does not know how one source is solved, nor what is built from it.

mod throttle;

use crate::spec::{FileUrl, Spec};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use std::fmt;
use std::time::Duration;
use throttle::Throttle;

/// One attempt to get one file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt {
    /// The index of the file in the specification.
    pub file: usize,
    /// The URL that is asked: the file's own, or a mirror's.
    pub url: FileUrl,
    /// 0 for the first try of this URL.
    pub number: u32,
    /// Whether an earlier attempt to get this file failed, from this URL or another.
    pub again: bool,
}

/// A file that was fetched: the attempt that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The URL and the try; the graph must use the same vertex.
    pub attempt: Attempt,
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
    /// Anything else, such as a source policy that forbids it; the message is BuildKit's.
    Other(String),
}

impl Failure {
    /// Whether the same request may succeed a little later.
    fn is_transient(&self) -> bool {
        match self {
            Self::Status(status) => matches!(status, 408 | 425 | 429 | 500..),
            Self::Connection(_) => true,
            Self::Mismatch { .. } | Self::Other(_) => false,
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
            Self::Connection(message) | Self::Other(message) => f.write_str(message),
        }
    }
}

/// A file that could not be had from any URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The index of the file in the specification.
    pub file: usize,
    /// Each URL that was tried, how often, and why the last try failed.
    pub tried: Vec<(FileUrl, u32, Failure)>,
}

/// Solves one source. One implementor per world: BuildKit's gateway, and a fake in tests.
pub trait Fetcher {
    /// Gets the file of `attempt`; its size in bytes is found out only if `measure` is set.
    fn fetch(&self, attempt: &Attempt, measure: bool) -> impl Future<Output = Result<Option<u64>, Failure>>;
}

/// How hard to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Sources being fetched at a time, in all.
    pub total: usize,
    /// Sources being fetched at a time, from one host.
    pub per_host: usize,
    /// Tries of one URL, the first included.
    pub tries: u32,
    /// The wait before the second try; it doubles each time after.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { total: 16, per_host: 6, tries: 5, pause: Duration::from_secs(1) }
    }
}

/// What is fetched if every file is had from its first URL at once; sizes are unknown.
pub fn first(spec: &Spec) -> Vec<Fetched> {
    let first = |file: usize| {
        let url = spec.candidates(&spec.files[file]).swap_remove(0);
        Fetched { attempt: Attempt { file, url, number: 0, again: false }, bytes: None }
    };
    (0..spec.files.len()).map(first).collect()
}

/// Fetches all files of `spec`, each once. `measure` asks for their sizes.
///
/// Every file is tried, whatever becomes of the others; the error holds all that were lost, in the order of the files.
pub async fn fetch(
    spec: &Spec,
    fetcher: &impl Fetcher,
    limits: &Limits,
    measure: bool,
) -> Result<Vec<Fetched>, Vec<Lost>> {
    let throttle = Throttle::new(limits.total, limits.per_host);
    let run = Run { spec, fetcher, limits, throttle: &throttle, measure };
    let tasks: FuturesOrdered<_> = (0..spec.files.len()).map(|at| run.file(at)).collect();
    let (mut done, mut lost) = (Vec::new(), Vec::new());
    for result in tasks.collect::<Vec<_>>().await {
        match result {
            Ok(file) => done.push(file),
            Err(file) => lost.push(file),
        }
    }
    if lost.is_empty() { Ok(done) } else { Err(lost) }
}

/// What all files of one call share.
struct Run<'a, F> {
    spec: &'a Spec,
    fetcher: &'a F,
    limits: &'a Limits,
    throttle: &'a Throttle,
    measure: bool,
}

impl<F: Fetcher> Run<'_, F> {
    /// Fetches one file: its URLs in order, each a few times.
    async fn file(&self, file: usize) -> Result<Fetched, Lost> {
        let mut tried = Vec::new();
        for url in self.spec.candidates(&self.spec.files[file]) {
            match self.url(Attempt { file, url, number: 0, again: !tried.is_empty() }).await {
                Ok(fetched) => return Ok(fetched),
                Err((attempt, failure)) => tried.push((attempt.url, attempt.number + 1, failure)),
            }
        }
        Err(Lost { file, tried })
    }

    /// Fetches from one URL: again while it may help, and the tries last. The error holds the last attempt.
    async fn url(&self, mut attempt: Attempt) -> Result<Fetched, (Attempt, Failure)> {
        loop {
            let permit = self.throttle.enter(attempt.url.authority()).await;
            let result = self.fetcher.fetch(&attempt, self.measure).await;
            drop(permit);
            match result {
                Ok(bytes) => return Ok(Fetched { attempt, bytes }),
                Err(failure) if attempt.number + 1 >= self.limits.tries || !failure.is_transient() => {
                    return Err((attempt, failure));
                }
                Err(_) => {}
            }
            // Others have the place meanwhile.
            tokio::time::sleep(self.limits.pause * 2_u32.pow(attempt.number.min(16))).await;
            attempt.number += 1;
            attempt.again = true;
        }
    }
}

#[cfg(test)]
mod tests;
