//! Who may read from a registry, and how it says so. It does not know what is read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Reply, Site};
use crate::harness::server::Head;

/// A user and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub password: String,
}

impl Login {
    pub fn new(user: &str, password: &str) -> Self {
        Self { user: user.to_owned(), password: password.to_owned() }
    }

    /// What follows `Basic `, and what Docker's config.json keeps as `auth`.
    pub fn basic(&self) -> String {
        STANDARD.encode(format!("{}:{}", self.user, self.password))
    }
}

/// Who may read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Auth {
    /// Everyone.
    #[default]
    Open,
    /// Everyone who gets a token first; everyone gets one. So are docker.io, ghcr.io and quay.io.
    AnonymousToken,
    /// Who sends this user and password with each request.
    Basic(Login),
    /// Who gets a token first, which takes this user and password.
    Token(Login),
}

impl Site {
    /// Why a request is not let in, if it is not.
    pub(super) fn refuses(&self, head: &Head, path: &str) -> Option<()> {
        let given = head.headers.get("authorization").map(String::as_str).unwrap_or_default();
        let allowed = match &self.rules.auth {
            Auth::Open => true,
            Auth::Basic(login) => given == format!("Basic {}", login.basic()),
            Auth::AnonymousToken | Auth::Token(_) => given.strip_prefix("Bearer ").is_some_and(|token| {
                let repository = repository(path);
                repository.is_empty() || token.split('.').any(|granted| granted == hex_of(repository))
            }),
        };
        (!allowed).then_some(())
    }

    /// The answer to who is not let in: what to do about it.
    pub(super) fn challenge(&self, path: &str) -> Reply {
        let reply = Reply::error(401, "UNAUTHORIZED", "authentication required");
        let challenge = match &self.rules.auth {
            Auth::Open | Auth::Basic(_) => "Basic realm=\"harness\"".to_owned(),
            Auth::AnonymousToken | Auth::Token(_) => {
                let scope = match repository(path) {
                    "" => String::new(),
                    name => format!(",scope=\"repository:{name}:pull\""),
                };
                format!("Bearer realm=\"http://{}/token\",service=\"harness\"{scope}", self.address())
            }
        };
        reply.header("WWW-Authenticate", challenge)
    }

    /// `GET /token?service=…&scope=repository:NAME:pull`: a token is good for the repositories it was asked for.
    pub(super) fn token(&self, head: &Head, query: &str) -> Reply {
        if head.method != "GET" {
            return Reply::error(405, "UNSUPPORTED", "tokens are asked for with GET");
        }
        let given = head.headers.get("authorization").map(String::as_str).unwrap_or_default();
        let allowed = match &self.rules.auth {
            Auth::Token(login) => given == format!("Basic {}", login.basic()),
            _ => given.is_empty(),
        };
        if !allowed {
            return Reply::error(401, "UNAUTHORIZED", "incorrect username or password");
        }
        let scopes = query.split('&').filter_map(|pair| pair.strip_prefix("scope="));
        let scopes: Vec<String> = scopes.map(|scope| scope.replace("%3A", ":").replace("%2F", "/")).collect();
        // One scope parameter may hold several, with a space between.
        let names = scopes
            .iter()
            .flat_map(|scope| scope.split([' ', '+']))
            .filter_map(|scope| scope.strip_prefix("repository:")?.rsplit_once(':').map(|(name, _)| hex_of(name)));
        let token = std::iter::once("harness".to_owned()).chain(names).collect::<Vec<_>>().join(".");
        Reply::text(200, &format!("{{\"token\":\"{token}\",\"access_token\":\"{token}\",\"expires_in\":300}}\n"))
    }
}

/// `calico/node` of `/v2/calico/node/manifests/v1`; empty for `/v2/`.
fn repository(path: &str) -> &str {
    let rest = path.strip_prefix("/v2/").unwrap_or_default();
    let end = ["/manifests/", "/blobs/", "/tags/"].iter().find_map(|part| rest.find(part));
    &rest[..end.unwrap_or(0)]
}

fn hex_of(text: &str) -> String {
    crate::harness::hex(text.as_bytes())
}
