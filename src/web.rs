//! Requests over HTTP and HTTPS that kso sends itself: whom it trusts, proxies and time-outs. Does not know what is
//! asked for.
//!
//! A build asks through BuildKit; this is for what BuildKit cannot ask, and for commands. TLS is rustls with ring: C and
//! assembly that gcc and clang compile for any machine, and no instruction beyond what every machine has.

#[cfg(test)]
pub(crate) mod fake;
mod netrc;
mod trust;

use std::time::Duration;

use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::redirect;
pub use reqwest::{Method, Response, Url};
use thiserror::Error;

pub use netrc::Netrc;
pub use trust::Trust;

use crate::name::is_loopback;
use crate::retry::{Retry, Transient, is_transient_status};

/// How long a connection may take to be made, TLS included.
const CONNECT: Duration = Duration::from_secs(20);
/// How long a server may be silent.
const SILENCE: Duration = Duration::from_mins(1);
/// Redirections that are followed.
const REDIRECTS: usize = 10;

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    /// The server answered with another status than success.
    #[error("the server answered with status {status}")]
    Status {
        /// The status.
        status: u16,
        /// How long it wants to be left alone (`Retry-After`).
        after: Option<Duration>,
    },
    /// Nobody answers at this address: whatever else is asked for there will not be had either.
    #[error("{0}")]
    Unreachable(String),
    /// The connection broke.
    #[error("{0}")]
    Connection(String),
    /// The server showed a certificate that is not trusted, or is that of another server.
    #[error("{0}")]
    Untrusted(String),
    /// It was asked in HTTPS, and speaks HTTP.
    #[error("the server speaks plain HTTP, not HTTPS")]
    Plain,
    /// What the same request would meet again.
    #[error("{0}")]
    Other(String),
}

impl Transient for Failure {
    fn wait(&self) -> Option<Duration> {
        match self {
            Self::Status { status, after } => is_transient_status(*status).then(|| after.unwrap_or_default()),
            Self::Unreachable(_) | Self::Connection(_) => Some(Duration::ZERO),
            Self::Untrusted(_) | Self::Plain | Self::Other(_) => None,
        }
    }
}

/// Sends requests. Cloning is cheap, and clones share connections.
#[derive(Debug, Clone)]
pub struct Web {
    /// Through the proxies of the environment.
    far: reqwest::Client,
    /// To this machine, past every proxy.
    near: reqwest::Client,
    retry: Retry,
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What to do.
    pub method: &'a Method,
    /// Where.
    pub url: &'a Url,
    /// The value of `Accept`.
    pub accept: Option<&'a str>,
    /// The value of `User-Agent`, where it is not kso's own.
    pub user_agent: Option<&'a str>,
    /// The value of `Authorization`. It is not sent on to another host where the server redirects to one.
    pub authorization: Option<&'a str>,
    /// A form to send.
    pub form: Option<&'a [(&'a str, &'a str)]>,
}

impl<'a> Request<'a> {
    /// A request for a page.
    pub fn get(url: &'a Url) -> Self {
        Self { method: &Method::GET, url, accept: None, user_agent: None, authorization: None, form: None }
    }
}

impl Web {
    /// Trusts whom `trust` says, and takes proxies from the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`, also in
    /// lower case). The error is a sentence.
    pub fn new(trust: &Trust, retry: Retry) -> Result<Self, String> {
        let tls = trust.tls()?;
        let client = || {
            reqwest::Client::builder()
                .user_agent(concat!("kso/", env!("CARGO_PKG_VERSION")))
                .tls_backend_preconfigured(tls.clone())
                .connect_timeout(CONNECT)
                .read_timeout(SILENCE)
                .redirect(redirections())
                .referer(false)
        };
        let built = |client: reqwest::ClientBuilder| client.build().map_err(|error| said(&error));
        Ok(Self { far: built(client())?, near: built(client().no_proxy())?, retry })
    }

    /// The same, for a caller that sends requests again itself: without a second try, and how to try.
    #[must_use]
    pub fn once(self) -> (Self, Retry) {
        let retry = self.retry.clone();
        (Self { retry: Retry { tries: 1, ..self.retry }, ..self }, retry)
    }

    /// Sends a request once. An answer of whatever status is no failure.
    pub async fn send(&self, request: Request<'_>) -> Result<Response, Failure> {
        let client = if is_near(request.url) { &self.near } else { &self.far };
        let mut sent = client.request(request.method.clone(), request.url.clone());
        if let Some(accept) = request.accept {
            sent = sent.header("accept", accept);
        }
        if let Some(user_agent) = request.user_agent {
            sent = sent.header("user-agent", user_agent);
        }
        if let Some(authorization) = request.authorization {
            let mut value = reqwest::header::HeaderValue::try_from(authorization)
                .map_err(|_| Failure::Other("the credentials contain characters that HTTP does not allow".into()))?;
            value.set_sensitive(true);
            sent = sent.header("authorization", value);
        }
        if let Some(form) = request.form {
            sent = sent.form(form);
        }
        sent.send().await.map_err(|error| classify(&error))
    }

    /// Does something that asks a server, and again while that may help.
    pub async fn retry<T>(&self, mut ask: impl AsyncFnMut() -> Result<T, Failure>) -> Result<T, Failure> {
        self.retry.run(async |_| ask().await).await
    }
}

/// Whether a URL leads to this machine.
pub fn is_near(url: &Url) -> bool {
    is_loopback(url.host_str().unwrap_or_default())
}

/// Follows redirections that [`redirection`] allows.
fn redirections() -> redirect::Policy {
    redirect::Policy::custom(|attempt| match redirection(attempt.previous(), attempt.url()) {
        Ok(()) => attempt.follow(),
        Err(why) => attempt.error(why),
    })
}

/// Whether a redirection is followed after those before it: from HTTPS only to HTTPS, or to this machine.
fn redirection(previous: &[Url], next: &Url) -> Result<(), &'static str> {
    let secure = previous.iter().any(|url| url.scheme() == "https");
    if previous.len() > REDIRECTS {
        Err("the server redirects in a loop")
    } else if secure && next.scheme() != "https" && !is_near(next) {
        Err("the server redirects from https to http")
    } else {
        Ok(())
    }
}

/// What the status of an answer says; `Ok` for success.
pub fn check(response: &Response) -> Result<(), Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let headers = response.headers();
    if status.is_redirection() && headers.contains_key(LOCATION) {
        return Err(Failure::Other("the server redirects to an invalid URL".into()));
    }
    Err(Failure::Status { status: status.as_u16(), after: retry_after_header(headers) })
}

fn retry_after_header(headers: &HeaderMap) -> Option<Duration> {
    retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?)
}

/// What `Retry-After` says: seconds, or a date.
pub fn retry_after(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(std::time::SystemTime::now()).unwrap_or_default())
}

/// The whole body of an answer, of at most `limit` bytes.
pub async fn body(response: &mut Response, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    each_part(response, |part| {
        if bytes.len() + part.len() > limit {
            return Err(Failure::Other(format!("the server sends more than {limit} bytes")));
        }
        bytes.extend_from_slice(part);
        Ok(())
    })
    .await?;
    Ok(bytes)
}

/// Hands the body of an answer over, part by part.
pub async fn each_part(
    response: &mut Response,
    mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    while let Some(part) = response.chunk().await.map_err(|error| classify(&error))? {
        take(&part)?;
    }
    Ok(())
}

/// What rustls says of a certificate that it refuses.
const CERTIFICATE: &str = "invalid peer certificate";
/// What it says of an answer that is no TLS.
const NO_TLS: &str = "InvalidContentType";

/// What neither time nor another try changes.
const FINAL: [&str; 4] = [
    "the server redirects",
    "Name or service not known",
    "Name does not resolve",
    "No address associated with hostname",
];

fn classify(error: &reqwest::Error) -> Failure {
    let message = said(error);
    if message.contains(CERTIFICATE) {
        Failure::Untrusted(message)
    } else if message.contains(NO_TLS) {
        Failure::Plain
    } else if error.is_builder() || FINAL.iter().any(|known| message.contains(known)) {
        Failure::Other(message)
    } else if error.is_timeout() || is_unreachable(error) {
        Failure::Unreachable(message)
    } else {
        Failure::Connection(message)
    }
}

/// Whether no connection could be made.
fn is_unreachable(error: &reqwest::Error) -> bool {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut};
    let kind = innermost(error).downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    matches!(kind, Some(ConnectionRefused | HostUnreachable | NetworkUnreachable | TimedOut))
}

/// The innermost cause of an error: what is around it says only that a request failed, and may name a URL with a
/// signature in it.
fn said(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "the server did not answer in time".into();
    }
    let has_cause = std::error::Error::source(error).is_some();
    if has_cause { innermost(error).to_string() } else { "the request failed".into() }
}

fn innermost(error: &reqwest::Error) -> &(dyn std::error::Error + 'static) {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause
}

#[cfg(test)]
mod tests;
