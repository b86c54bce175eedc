//! What a registry wants before it answers: its `WWW-Authenticate` header. Does not know how that is had.

use http_auth::parser::ChallengeParser;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// How to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// With user and password in each request.
    Basic,
    /// With a token.
    Bearer {
        /// The URL of the token server.
        realm: String,
        /// What the token server calls the registry.
        service: Option<String>,
        /// What the token must allow, such as `repository:library/nginx:pull`.
        scope: Option<String>,
    },
}

impl Challenge {
    /// The first supported challenge, tokens before passwords; `None` if no challenge is supported.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        Self::read_all(headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()))
    }

    /// That of the values of several headers.
    pub fn read_all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let texts = texts.into_iter();
        let all: Vec<Self> = texts.flat_map(ChallengeParser::new).filter_map(|one| Self::read(&one.ok()?)).collect();
        all.iter().find(|one| **one != Self::Basic).or(all.first()).cloned()
    }

    fn read(challenge: &http_auth::ChallengeRef<'_>) -> Option<Self> {
        let parameter = |name: &str| {
            let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped()).filter(|value| !value.is_empty())
        };
        if challenge.scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !challenge.scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        Some(Self::Bearer { realm: parameter("realm")?, service: parameter("service"), scope: parameter("scope") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(texts: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for text in texts {
            headers.append(WWW_AUTHENTICATE, text.parse().unwrap());
        }
        Challenge::of(&headers)
    }

    #[test]
    fn what_registries_write() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            Some(Challenge::Bearer { realm: realm.into(), service: owned(service), scope: owned(scope) })
        };
        for (texts, expected) in [
            // docker.io, ghcr.io, quay.io
            (
                &[
                    r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull""#,
                ][..],
                bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    Some("repository:library/nginx:pull"),
                ),
            ),
            (
                &[r#"Bearer realm="https://quay.io/v2/auth",service="quay.io""#],
                bearer("https://quay.io/v2/auth", Some("quay.io"), None),
            ),
            (&[r#"bearer realm="https://x/t?a=b,c""#], bearer("https://x/t?a=b,c", None, None)),
            // Harbor, Artifactory, ECR
            (&[r#"Basic realm="harbor""#, r#"Bearer realm="https://x/t""#], bearer("https://x/t", None, None)),
            (&[r#"Bearer realm="https://x/t", Basic realm="y""#], bearer("https://x/t", None, None)),
            (
                &[r#"Basic realm="https://123.dkr.ecr.eu-west-1.amazonaws.com/",service="ecr.amazonaws.com""#],
                Some(Challenge::Basic),
            ),
            (&["Negotiate", r#"Basic realm="x""#], Some(Challenge::Basic)),
            (&[r#"Bearer error="invalid_token""#], None),
            (&["Digest realm=\"x\", nonce=\"y\""], None),
            (&[], None),
        ] {
            assert_eq!(challenge(texts), expected, "{texts:?}");
        }
    }
}
