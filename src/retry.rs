//! When something is asked again: how often, after which pauses, and how long a server may ask to be left alone. Does not
//! know what is asked, nor of whom.

use std::time::Duration;

/// A reason for a failure that may pass.
pub trait Transient {
    /// How long to wait at least before the same request may succeed; `None` if it never will.
    fn wait(&self) -> Option<Duration>;

    /// Whether it may pass at all.
    fn is_transient(&self) -> bool {
        self.wait().is_some()
    }
}

/// How often something is asked, and after which pauses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Tries, the first included.
    pub tries: u32,
    /// The pause before the second try; it doubles each time after.
    pub pause: Duration,
    /// The longest wait that a server may ask for (`Retry-After`); one that asks for more is not asked again.
    pub max_retry_after: Duration,
}

impl Retry {
    /// That of builds and commands: 5 tries in 15 seconds, or as long as servers ask for.
    pub const DEFAULT: Self = Self { tries: 5, pause: Duration::from_secs(1), max_retry_after: Duration::from_mins(2) };

    /// Calls `ask` with 0, 1, …, until it succeeds, or fails for a reason that no further try changes.
    ///
    /// # Errors
    ///
    /// The failure of the last try.
    pub async fn run<T, E: Transient>(&self, mut ask: impl AsyncFnMut(u32) -> Result<T, E>) -> Result<T, E> {
        let mut number = 0;
        loop {
            let failure = match ask(number).await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            number += 1;
            match self.pause(&failure, number) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(failure),
            }
        }
    }

    /// [`Transient::wait`], unless that is longer than [`Self::max_retry_after`].
    pub fn wait(&self, failure: &impl Transient) -> Option<Duration> {
        failure.wait().filter(|wait| *wait <= self.max_retry_after)
    }

    /// The pause before the next try, after `number` tries; `None` if there is no next try.
    fn pause(&self, failure: &impl Transient, number: u32) -> Option<Duration> {
        let wait = self.wait(failure).filter(|_| number < self.tries)?;
        Some(wait.max(self.pause * 2_u32.pow((number - 1).min(16))))
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Whether a server that answers with this status may answer otherwise a little later.
pub fn is_transient_status(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds to wait.
    #[derive(Debug, PartialEq, Eq)]
    struct Failure(Option<u64>);

    impl Transient for Failure {
        fn wait(&self) -> Option<Duration> {
            self.0.map(Duration::from_secs)
        }
    }

    #[test]
    fn which_statuses_may_pass() {
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert!(is_transient_status(status), "{status}");
        }
        for status in [200, 301, 400, 401, 403, 404, 407, 409, 410, 416, 424, 426, 451, 499] {
            assert!(!is_transient_status(status), "{status}");
        }
        assert!(Failure(Some(0)).is_transient() && !Failure(None).is_transient());
    }

    #[test]
    fn pauses_double_and_servers_are_waited_for() {
        let seconds = |wait, number| Retry::DEFAULT.pause(&Failure(wait), number).map(|pause| pause.as_secs());
        assert_eq!([1, 2, 3, 4, 5].map(|n| seconds(Some(0), n)), [Some(1), Some(2), Some(4), Some(8), None]);
        assert_eq!(seconds(Some(30), 1), Some(30));
        assert_eq!(seconds(Some(1), 2), Some(2));
        assert_eq!(seconds(Some(120), 1), Some(120));
        assert_eq!(seconds(Some(121), 1), None);
        assert_eq!(seconds(None, 1), None);
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_what_is_final() {
        let mut failures = vec![Failure(None), Failure(Some(0)), Failure(Some(9))];
        let began = tokio::time::Instant::now();
        let mut numbers = Vec::new();
        let ended: Result<(), Failure> = Retry::DEFAULT
            .run(async |number| {
                numbers.push(number);
                Err(failures.pop().expect("no more is asked"))
            })
            .await;
        assert_eq!((ended, numbers), (Err(Failure(None)), vec![0, 1, 2]));
        assert_eq!(began.elapsed(), Duration::from_secs(9 + 2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_tries_end() {
        let mut tries = 0;
        let ended: Result<(), Failure> = Retry { tries: 3, ..Retry::DEFAULT }
            .run(async |_| {
                tries += 1;
                Err(Failure(Some(0)))
            })
            .await;
        assert_eq!((ended, tries), (Err(Failure(Some(0))), 3));
    }
}
