//! BuildKit's gateway as the world of a build: resolves images and solves sources. Owns the reading of BuildKit's error
//! messages; does not decide what is asked, nor whether to ask again.

use crate::fetch::{Attempt, Failure, Fetcher};
use crate::gateway::{Client, Error, Options, ResolveMode, SolveRequest};
use crate::llb;
use crate::lower::{FETCHED, Lowering};
use crate::resolve::{Base, Resolver};
use crate::spec::Spec;

/// One build's way to the world.
pub(super) struct Bridge<'a> {
    client: &'a Client,
    spec: &'a Spec,
    lowering: &'a Lowering,
    mode: ResolveMode,
}

impl<'a> Bridge<'a> {
    /// Asks through `client`. The error is a resolve mode that does not exist.
    pub(super) fn new(
        client: &'a Client,
        options: &Options,
        spec: &'a Spec,
        lowering: &'a Lowering,
    ) -> Result<Self, Error> {
        Ok(Self { client, spec, lowering, mode: options.resolve_mode()? })
    }

    /// Tells an error page from wrong bytes.
    ///
    /// With a checksum BuildKit does not look at the status: an error page too is "digest mismatch". Asked for its
    /// metadata without the checksum, the same URL shows its status, or the digest of what it really serves.
    async fn explain_mismatch(&self, attempt: &Attempt, error: &Error, expected: &str) -> Failure {
        let unchecked = llb::Http::new(attempt.url.as_str()).filename(FETCHED).state();
        let got = match self.client.resolve_source_meta(&unchecked, "[internal] look at the answer").await {
            Ok(meta) => meta.http.map(|http| http.checksum),
            Err(error) => match classify(error.message()) {
                status @ Failure::Status(_) => return status,
                _ => None,
            },
        };
        match got {
            Some(got) if got == expected => Failure::Connection("the server sent something else first".into()),
            Some(got) => Failure::Mismatch { got, expected: expected.into() },
            None => classify(error.message()),
        }
    }
}

impl Fetcher for Bridge<'_> {
    async fn fetch(&self, attempt: &Attempt, measure: bool) -> Result<Option<u64>, Failure> {
        let source = self.lowering.source(self.spec, attempt);
        let request = SolveRequest::new(&source.marshal()).evaluate(true);
        let result = match self.client.solve(request).await {
            Ok(result) => result,
            Err(error) => {
                let pinned = self.spec.files[attempt.file].sha256.as_ref();
                return Err(match (classify(error.message()), pinned) {
                    (Failure::Mismatch { .. }, Some(pin)) => {
                        self.explain_mismatch(attempt, &error, &pin.to_string()).await
                    }
                    (failure, _) => failure,
                });
            }
        };
        let Some(reference) = result.reference.filter(|_| measure) else { return Ok(None) };
        match reference.stat(&format!("/{FETCHED}")).await {
            Ok(stat) => Ok(stat.map(|stat| stat.size)),
            Err(error) => Err(Failure::Other(error.message().into())),
        }
    }
}

impl Resolver for Bridge<'_> {
    async fn image(&self, reference: &str, platform: &str) -> Result<Base, String> {
        let wanted = crate::gateway::parse_platform(platform).map_err(|error| error.message().to_owned())?;
        let name = format!("[internal] load metadata for {reference} ({platform})");
        match self.client.resolve_image_config(reference, Some(&wanted), self.mode, &name).await {
            Ok(image) => Ok(Base { platform: platform.into(), reference: image.pinned(), config: image.config }),
            Err(error) => Err(error.message().into()),
        }
    }
}

/// What a message of BuildKit's http source (`source/http/source.go`, v0.32) says. There is nothing but the message.
fn classify(message: &str) -> Failure {
    if let Some((_, rest)) = message.split_once("invalid response status ") {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        if let Ok(status) = digits.parse() {
            return Failure::Status(status);
        }
    }
    if message.contains("digest mismatch") {
        let mut digests = digests(message);
        let got = digests.next().unwrap_or_default();
        let expected = digests.next_back().unwrap_or_default();
        return Failure::Mismatch { got, expected };
    }
    // Asking again cannot help.
    const FINAL: [&str; 7] = [
        "denied by policy",
        "not allowed by policy",
        "x509:",
        "unsupported protocol scheme",
        "no such host",
        "failed to retrieve HTTP auth secret",
        "context canceled",
    ];
    let message = last_cause(message);
    if FINAL.iter().any(|known| message.contains(known)) {
        Failure::Other(message)
    } else {
        Failure::Connection(message)
    }
}

/// Every `sha256:…` of a message.
fn digests(message: &str) -> impl DoubleEndedIterator<Item = String> {
    message
        .match_indices("sha256:")
        .map(|(at, _)| {
            let hex = message[at + 7..].chars().take_while(char::is_ascii_hexdigit).count();
            message[at..at + 7 + hex].to_owned()
        })
        .collect::<Vec<_>>()
        .into_iter()
}

/// A message without the names that BuildKit and Go put before it.
fn last_cause(message: &str) -> String {
    let message = message.strip_prefix("failed to load cache key: ").unwrap_or(message);
    let message = message.strip_prefix("failed to solve: ").unwrap_or(message);
    message.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_the_http_source() {
        let (a, b) = (format!("sha256:{}", "a".repeat(64)), format!("sha256:{}", "b".repeat(64)));
        let mismatch = Failure::Mismatch { got: a.clone(), expected: b.clone() };
        for (message, expected) in [
            ("failed to load cache key: invalid response status 404".to_owned(), Failure::Status(404)),
            (format!("digest mismatch {a}: {b}"), mismatch.clone()),
            (format!("digest mismatch for https://x/y: {a} (expected: {b})"), mismatch),
            ("unexpected EOF".into(), Failure::Connection("unexpected EOF".into())),
            (
                "failed to load cache key: Get \"https://x/\": tls: x509: expired".into(),
                Failure::Other("Get \"https://x/\": tls: x509: expired".into()),
            ),
        ] {
            assert_eq!(classify(&message), expected, "{message}");
        }
    }
}
