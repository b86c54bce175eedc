//! Where a registry answers. Does not know what it is asked.

use crate::name::is_loopback;
use crate::web::{self, Url};

/// The address of a registry's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    domain: String,
    base: Url,
}

impl Endpoint {
    /// The registry of a full image name: `docker.io`, `registry.example:5000`. One of this machine is asked over HTTP, as
    /// BuildKit does; the others over HTTPS.
    pub fn of(domain: &str) -> Result<Self, web::Failure> {
        let refuse = || web::Failure::Other(format!("{} is not a valid registry", crate::diagnostic::quoted(domain)));
        let host = if domain == "docker.io" { "registry-1.docker.io" } else { domain };
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let scheme = if is_loopback(name) { "http" } else { "https" };
        let base: Url = format!("{scheme}://{host}/v2/").parse().map_err(|_| refuse())?;
        let login = !base.username().is_empty() || base.password().is_some();
        let plain = !login && base.query().is_none() && base.path() == "/v2/";
        if plain { Ok(Self { domain: domain.to_owned(), base }) } else { Err(refuse()) }
    }

    /// A registry as a person names it: as [`Self::of`], or with `https://` or `http://` before it, which decides.
    pub fn named(text: &str) -> Result<Self, web::Failure> {
        let Some((scheme, rest)) = text.split_once("://") else { return Self::of(text) };
        let mut endpoint = Self::of(rest.trim_end_matches('/'))?;
        let fits = matches!(scheme, "http" | "https") && endpoint.base.set_scheme(scheme).is_ok();
        let refuse =
            || web::Failure::Other(format!("{} is not a valid registry address", crate::diagnostic::quoted(text)));
        if fits { Ok(endpoint) } else { Err(refuse()) }
    }

    /// Whether what is sent to it can be read on its way: plain HTTP, and not to this machine.
    pub(super) fn is_exposed(&self) -> bool {
        self.base.scheme() != "https" && !web::is_near(&self.base)
    }

    /// The registry as image names have it.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// A page of the API: `library/nginx/manifests/1.27`.
    pub fn url(&self, path: &str) -> Result<Url, web::Failure> {
        self.base.join(path).map_err(|error| web::Failure::Other(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_registries_answer() {
        for (domain, expected) in [
            ("docker.io", "https://registry-1.docker.io/v2/a/b/manifests/sha256:00"),
            ("quay.io", "https://quay.io/v2/a/b/manifests/sha256:00"),
            ("registry.example:5000", "https://registry.example:5000/v2/a/b/manifests/sha256:00"),
            ("localhost:5000", "http://localhost:5000/v2/a/b/manifests/sha256:00"),
            ("127.0.0.1:5000", "http://127.0.0.1:5000/v2/a/b/manifests/sha256:00"),
            ("[::1]:5000", "http://[::1]:5000/v2/a/b/manifests/sha256:00"),
        ] {
            let url = Endpoint::of(domain).and_then(|endpoint| endpoint.url("a/b/manifests/sha256:00"));
            assert_eq!(url.as_ref().map(Url::as_str), Ok(expected), "{domain}");
        }
        for (text, expected) in [
            ("http://registry.example:5000", "http://registry.example:5000/v2/x"),
            ("https://127.0.0.1:5000/", "https://127.0.0.1:5000/v2/x"),
            ("127.0.0.1:5000", "http://127.0.0.1:5000/v2/x"),
        ] {
            let url = Endpoint::named(text).and_then(|endpoint| endpoint.url("x"));
            assert_eq!(url.as_ref().map(Url::as_str), Ok(expected), "{text}");
        }
        for text in ["ftp://a", "https://", "https://u:p@a", "http://a/v2/"] {
            assert!(Endpoint::named(text).is_err(), "{text}");
        }
        for domain in ["", "a b", "user@host", ":password@host", "host/path", "host?x"] {
            assert!(Endpoint::of(domain).is_err(), "{domain}");
        }
    }
}
