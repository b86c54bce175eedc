//! A client of registries (the OCI distribution specification 1.1): manifests and blobs, with tokens and logins. Owns how
//! a registry is asked and who is told a password; knows nothing of BuildKit nor of the definition.
//!
//! A password goes to the registry that it was kept for, and to the token server that this registry names; to nobody
//! where a server redirects to another host, and never over plain HTTP but to this machine.

mod challenge;
mod credentials;
mod endpoint;
mod listing;
mod tokens;

use std::fmt;

use crate::name::{Digest, Hasher};
use crate::oci::MAX_DOCUMENT_BYTES;
use crate::web::{self, Method, Request, Response, Web};

pub use challenge::Challenge;
pub use credentials::{Credential, Credentials};
pub use endpoint::Endpoint;
pub use tokens::token;
use tokens::{Authorization, Tokens};

/// All that a registry may have under a tag or the digest of a manifest.
pub const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// Why a registry gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It refuses access.
    Refused {
        /// 401, 403, or what its token server said.
        status: u16,
        /// Whether a login was sent.
        login: Login,
    },
    /// It has no such thing.
    NotFound,
    /// Anything else.
    Web(web::Failure),
}

/// What there was to log in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// Nothing is kept for this registry.
    None,
    /// A user and a password, or a token.
    Sent,
    /// It is not in the file but with a program that gave none. Why.
    Unavailable(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { status, login: Login::None } => {
                write!(f, "the registry refuses access without a login (status {status})")
            }
            Self::Refused { status, login: Login::Sent } => {
                write!(f, "the registry refuses access with this login (status {status})")
            }
            Self::Refused { status, login: Login::Unavailable(why) } => {
                write!(f, "the registry refuses access (status {status}), and its login is not available: {why}")
            }
            Self::NotFound => f.write_str("the registry does not have it (status 404)"),
            Self::Web(failure) => write!(f, "{failure}"),
        }
    }
}

impl From<web::Failure> for Failure {
    fn from(failure: web::Failure) -> Self {
        Self::Web(failure)
    }
}

/// Asks registries. What several questions share, it remembers: connections and tokens.
#[derive(Debug)]
pub struct Client {
    web: Web,
    tokens: Tokens,
}

impl Client {
    /// Asks over `web`, with the logins of `credentials`.
    pub fn new(web: Web, credentials: Credentials) -> Self {
        Self { tokens: Tokens::new(web.clone(), credentials), web }
    }

    /// The bytes of a manifest or an index. They need not be those of the digest.
    ///
    /// `domain` and `repository` are as in a full name (`docker.io`, `library/nginx`), `reference` is a tag or a digest.
    pub async fn manifest(&self, domain: &str, repository: &str, reference: &str) -> Result<Vec<u8>, Failure> {
        self.manifest_at(&Endpoint::of(domain)?, repository, reference).await
    }

    /// [`Self::manifest`], of a registry at a known address.
    pub async fn manifest_at(
        &self,
        endpoint: &Endpoint,
        repository: &str,
        reference: &str,
    ) -> Result<Vec<u8>, Failure> {
        let url = endpoint.url(&format!("{repository}/manifests/{reference}"))?;
        self.read(endpoint, repository, &url, Some(ACCEPT), MAX_DOCUMENT_BYTES).await
    }

    /// The digest of a blob's bytes, and their number. `read` is called with the number of received bytes.
    pub async fn hash_blob(
        &self,
        endpoint: &Endpoint,
        repository: &str,
        digest: &Digest,
        read: &impl Fn(u64),
    ) -> Result<(Digest, u64), Failure> {
        let url = endpoint.url(&format!("{repository}/blobs/{digest}"))?;
        self.ask(endpoint, repository, Request::get(&url), async |response| {
            let mut hasher = Hasher::default();
            web::each_part(response, |part| {
                read(part.len() as u64);
                hasher.update(part);
                Ok(())
            })
            .await?;
            Ok(hasher.finish())
        })
        .await
    }

    /// How many bytes a repository says that a blob of it has (0 where it does not say).
    pub async fn blob_bytes(&self, endpoint: &Endpoint, repository: &str, digest: &Digest) -> Result<u64, Failure> {
        let url = endpoint.url(&format!("{repository}/blobs/{digest}"))?;
        let request = Request { method: &Method::HEAD, ..Request::get(&url) };
        let length = async |response: &mut Response| {
            let length = response.headers().get("content-length").and_then(|length| length.to_str().ok());
            Ok(length.and_then(|length| length.parse().ok()).unwrap_or(0))
        };
        self.ask(endpoint, repository, request, length).await
    }

    /// The bytes of a blob, of at most `limit`. They need not be those of the digest.
    pub async fn blob(
        &self,
        domain: &str,
        repository: &str,
        digest: &Digest,
        limit: usize,
    ) -> Result<Vec<u8>, Failure> {
        let endpoint = Endpoint::of(domain)?;
        let url = endpoint.url(&format!("{repository}/blobs/{digest}"))?;
        self.read(&endpoint, repository, &url, None, limit).await
    }

    async fn read(
        &self,
        endpoint: &Endpoint,
        repository: &str,
        url: &web::Url,
        accept: Option<&str>,
        limit: usize,
    ) -> Result<Vec<u8>, Failure> {
        let request = Request { accept, ..Request::get(url) };
        self.ask(endpoint, repository, request, async |response| web::body(response, limit).await).await
    }

    /// Asks, with a token or a password where the registry wants one; `take` reads the answer.
    async fn ask<T>(
        &self,
        endpoint: &Endpoint,
        repository: &str,
        request: Request<'_>,
        mut take: impl AsyncFnMut(&mut Response) -> Result<T, web::Failure>,
    ) -> Result<T, Failure> {
        let mut authorization = self.tokens.known(endpoint, repository);
        let mut answered = false;
        loop {
            let asked = self
                .web
                .retry(async || {
                    let value = authorization.as_ref().map(Authorization::value);
                    let mut response = self.web.send(Request { authorization: value, ..request }).await?;
                    if response.status().as_u16() == 401 {
                        return Ok(Answer::Challenge(Challenge::of(response.headers())));
                    }
                    web::check(&response)?;
                    Ok(Answer::Content(take(&mut response).await?))
                })
                .await;
            let login = || self.tokens.login(endpoint);
            match asked {
                Ok(Answer::Content(content)) => return Ok(content),
                Ok(Answer::Challenge(Some(challenge))) if !answered => {
                    let next = self.tokens.answer(endpoint, repository, &challenge, authorization.as_ref()).await?;
                    authorization = Some(next.ok_or_else(|| Failure::Refused { status: 401, login: login() })?);
                    answered = true;
                }
                Ok(Answer::Challenge(_)) => return Err(Failure::Refused { status: 401, login: login() }),
                Err(web::Failure::Status { status: 403, .. }) => {
                    return Err(Failure::Refused { status: 403, login: login() });
                }
                Err(web::Failure::Status { status: 404, .. }) => return Err(Failure::NotFound),
                Err(failure) => return Err(failure.into()),
            }
        }
    }
}

/// What a registry answered.
enum Answer<T> {
    Content(T),
    Challenge(Option<Challenge>),
}

#[cfg(test)]
mod tests;
