//! When something is asked again. Does not know what is asked.

use std::time::Duration;

use super::Failure;

/// How often something is asked, and with what pauses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Tries, the first included.
    pub tries: u32,
    /// The wait before the second try; it doubles each time after.
    pub pause: Duration,
    /// The longest that a server may ask to wait for: who asks for more is not waited for.
    pub patience: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { tries: 5, pause: Duration::from_secs(1), patience: Duration::from_mins(2) }
    }
}

impl Retry {
    /// Calls `ask` until it succeeds, or fails with what another try does not help against.
    pub(super) async fn persist<T>(&self, mut ask: impl AsyncFnMut() -> Result<T, Failure>) -> Result<T, Failure> {
        let mut number = 0;
        loop {
            let failure = match ask().await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            number += 1;
            match self.wait(&failure, number) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(failure),
            }
        }
    }

    /// How long to wait before the next try, after `number` tries; `None` if there is no next try.
    fn wait(&self, failure: &Failure, number: u32) -> Option<Duration> {
        if number >= self.tries || !failure.is_transient() {
            return None;
        }
        let pause = self.pause * 2_u32.pow((number - 1).min(16));
        match failure {
            Failure::Status { after: Some(after), .. } if *after > self.patience => None,
            Failure::Status { after: Some(after), .. } => Some(pause.max(*after)),
            _ => Some(pause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(after: Option<u64>) -> Failure {
        Failure::Status { status: 429, after: after.map(Duration::from_secs) }
    }

    #[test]
    fn pauses_double_and_servers_are_waited_for() {
        let retry = Retry::default();
        let seconds = |failure: &Failure, number| retry.wait(failure, number).map(|wait| wait.as_secs());
        let broken = Failure::Connection("reset".into());
        assert_eq!([1, 2, 3, 4, 5].map(|n| seconds(&broken, n)), [Some(1), Some(2), Some(4), Some(8), None]);
        assert_eq!(seconds(&busy(Some(30)), 1), Some(30));
        assert_eq!(seconds(&busy(Some(0)), 2), Some(2));
        assert_eq!(seconds(&busy(Some(3600)), 1), None);
        assert_eq!(seconds(&Failure::Status { status: 404, after: None }, 1), None);
        assert_eq!(seconds(&Failure::Other("x509".into()), 1), None);
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_what_is_final() {
        let mut answers = vec![Failure::Status { status: 404, after: None }, busy(None), busy(Some(9))];
        let began = tokio::time::Instant::now();
        let ended: Result<(), Failure> =
            Retry::default().persist(async || Err(answers.pop().expect("no more is asked"))).await;
        assert_eq!(ended, Err(Failure::Status { status: 404, after: None }));
        assert_eq!(began.elapsed(), Duration::from_secs(9 + 2));
    }
}
