//! What is sent as `Authorization`: tokens and passwords, each for the registry that it was made for. Does not know what
//! is asked with them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{Challenge, Credential, Credentials, Endpoint, Failure, Login};
use crate::web::{self, Method, Request, Url, Web, is_near};

/// The longest answer of a token server, in bytes.
const MAX_TOKEN: usize = 1 << 20;

/// In the place of a repository: the list of all.
pub(super) const CATALOG: &str = "";

/// A value of `Authorization`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Authorization(String);

impl Authorization {
    pub(super) fn value(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authorization(..)")
    }
}

/// Domain and repository.
type Key = (String, String);

/// What is known to be wanted, by registry and repository.
#[derive(Debug)]
pub(super) struct Tokens {
    web: Web,
    credentials: Credentials,
    known: RefCell<BTreeMap<Key, Authorization>>,
    /// Held while a token is asked for, so that those who want the same wait for it.
    asking: RefCell<BTreeMap<Key, Rc<Mutex<()>>>>,
    logins: RefCell<BTreeMap<String, Result<Option<Credential>, String>>>,
}

impl Tokens {
    pub(super) fn new(web: Web, credentials: Credentials) -> Self {
        let (known, asking, logins) = (RefCell::default(), RefCell::default(), RefCell::default());
        Self { web, credentials, known, asking, logins }
    }

    /// What was good for this repository the last time.
    pub(super) fn known(&self, endpoint: &Endpoint, repository: &str) -> Option<Authorization> {
        self.known.borrow().get(&key(endpoint, repository)).cloned()
    }

    /// What there is to log in to a registry with. Programs are run once for each registry.
    pub(super) fn login(&self, endpoint: &Endpoint) -> Login {
        match self.credential(endpoint) {
            Ok(None) => Login::None,
            Ok(Some(_)) => Login::Sent,
            Err(why) => Login::Unavailable(why),
        }
    }

    fn credential(&self, endpoint: &Endpoint) -> Result<Option<Credential>, String> {
        let domain = endpoint.domain();
        if let Some(known) = self.logins.borrow().get(domain) {
            return known.clone();
        }
        let found = match self.credentials.of(domain) {
            Ok(Some(_)) if endpoint.is_exposed() => Err("it is not sent over plain HTTP".into()),
            found => found,
        };
        self.logins.borrow_mut().insert(domain.to_owned(), found.clone());
        found
    }

    /// What to send to a registry that refused `refused` with this challenge; `None` where there is nothing else. A token
    /// lives for minutes, so one that was good is asked for again.
    pub(super) async fn answer(
        &self,
        endpoint: &Endpoint,
        repository: &str,
        challenge: &Challenge,
        refused: Option<&Authorization>,
    ) -> Result<Option<Authorization>, Failure> {
        let key = key(endpoint, repository);
        let lock = Rc::clone(self.asking.borrow_mut().entry(key.clone()).or_default());
        let _held = lock.lock().await;
        let known = self.known.borrow().get(&key).cloned();
        if known.as_ref() != refused
            && let Some(known) = known
        {
            return Ok(Some(known));
        }
        let credential = self.credential(endpoint).unwrap_or_default();
        let made = match (challenge, &credential) {
            (Challenge::Basic, Some(Credential::Password(user, password))) => Some(basic(user, password)),
            (Challenge::Basic, _) => None,
            (Challenge::Bearer { realm, service, scope }, credential) => {
                let scope = scope.clone().unwrap_or_else(|| match repository {
                    CATALOG => "registry:catalog:*".into(),
                    _ => format!("repository:{repository}:pull"),
                });
                let wanted = Wanted { realm, service: service.as_deref(), scope: &scope };
                Some(self.token(endpoint, &wanted, credential.as_ref()).await?)
            }
        };
        let made = made.filter(|made| Some(made) != refused);
        if let Some(made) = &made {
            self.known.borrow_mut().insert(key, made.clone());
        }
        Ok(made)
    }

    async fn token(
        &self,
        endpoint: &Endpoint,
        wanted: &Wanted<'_>,
        credential: Option<&Credential>,
    ) -> Result<Authorization, Failure> {
        let other = |why: &str| Failure::Web(web::Failure::Other(why.into()));
        let mut url: Url = wanted.realm.parse().map_err(|_| other("the registry names an invalid token server"))?;
        if url.scheme() != "https" && !(url.scheme() == "http" && is_near(&url)) {
            return Err(other("the registry names a token server without TLS"));
        }
        let parameters =
            wanted.service.map(|service| ("service", service)).into_iter().chain([("scope", wanted.scope)]);
        let parameters: Vec<(&str, &str)> = parameters.collect();
        let (mut form, mut authorization) = (None, None);
        match credential {
            Some(Credential::IdentityToken(token)) => {
                let fixed = [("grant_type", "refresh_token"), ("client_id", "kso"), ("refresh_token", token)];
                form = Some(parameters.into_iter().chain(fixed).collect::<Vec<_>>());
            }
            Some(Credential::Password(user, password)) => {
                authorization = Some(basic(user, password));
                url.query_pairs_mut().extend_pairs(parameters);
            }
            None => drop(url.query_pairs_mut().extend_pairs(parameters)),
        }
        let request = Request {
            method: if form.is_some() { &Method::POST } else { &Method::GET },
            authorization: authorization.as_ref().map(Authorization::value),
            form: form.as_deref(),
            ..Request::get(&url)
        };
        let answer = self.web.retry(async || {
            let mut response = self.web.send(request).await?;
            web::check(&response)?;
            web::body(&mut response, MAX_TOKEN).await
        });
        let answer = answer.await.map_err(|failure| match failure {
            web::Failure::Status { status: status @ (400 | 401 | 403), .. } => {
                Failure::Refused { status, login: self.login(endpoint) }
            }
            other => Failure::Web(other),
        })?;
        token(&answer)
            .map(|token| Authorization(format!("Bearer {token}")))
            .ok_or_else(|| other("the token server returned no token"))
    }
}

/// What a token server is asked for.
struct Wanted<'a> {
    realm: &'a str,
    service: Option<&'a str>,
    scope: &'a str,
}

/// What a token server answers; both names are in use.
#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
}

/// The token in the answer of a token server, if there is one.
pub fn token(answer: &[u8]) -> Option<String> {
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    answer.token.or(answer.access_token).filter(|token| !token.is_empty())
}

fn key(endpoint: &Endpoint, repository: &str) -> Key {
    (endpoint.domain().to_owned(), repository.to_owned())
}

fn basic(user: &str, password: &str) -> Authorization {
    Authorization(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}
