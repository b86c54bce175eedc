//! The name of a container image. Owns its grammar and defaults, those of the distribution project's `reference`
//! package, which Docker and BuildKit use; does not know registries.

use std::fmt;
use std::str::FromStr;

use super::digest::Digest;
use super::invalid::Invalid;
use crate::diagnostic::quoted;

/// The longest registry and repository together, in bytes.
const MAX_NAME: usize = 255;

/// A full image name: `docker.io/library/nginx:1.27-alpine`, with a digest where one was given.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageRef(String);

impl ImageRef {
    /// The default base of the file server, `docker.io/library/nginx:1.27-alpine`.
    pub(super) fn nginx() -> Self {
        Self("docker.io/library/nginx:1.27-alpine".into())
    }

    /// The whole name: registry, repository, and a tag, a digest or both.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ImageRef {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refuse = |why: String| {
            Err(Invalid::new(format!("{} is no image name: {why}", quoted(text)))
                .help("write it as `nginx:1.27-alpine`"))
        };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) if digest.starts_with("sha256:") => match digest.parse::<Digest>() {
                Ok(digest) => (rest, Some(digest)),
                Err(invalid) => return refuse(invalid.message),
            },
            Some(_) => return refuse("what follows `@` must be `sha256:` and 64 hex digits".into()),
            None => (text, None),
        };
        let (name, tag) = match rest.rfind(':') {
            Some(at) if !rest[at..].contains('/') => (&rest[..at], Some(&rest[at + 1..])),
            _ => (rest, None),
        };
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return refuse(format!("{} is no tag", quoted(tag)));
        }
        let (domain, path) = split_domain(name);
        if !is_domain(domain) {
            return refuse(format!("{} is no registry", quoted(domain)));
        }
        if path.chars().any(|c| c.is_ascii_uppercase()) {
            return refuse("a repository is written in lower case".into());
        }
        if !path.split('/').all(is_path_component) {
            return refuse(format!("{} is no repository", quoted(path)));
        }
        let domain = if domain == "index.docker.io" { "docker.io" } else { domain };
        let library = if domain == "docker.io" && !path.contains('/') { "library/" } else { "" };
        let mut full = format!("{domain}/{library}{path}");
        if full.len() > MAX_NAME {
            return refuse(format!("it is longer than {MAX_NAME} bytes"));
        }
        if let Some(tag) = tag.or_else(|| digest.is_none().then_some("latest")) {
            full = format!("{full}:{tag}");
        }
        if let Some(digest) = digest {
            full = format!("{full}@{digest}");
        }
        Ok(Self(full))
    }
}

/// The registry is what stands before the first slash, if it looks like a host: a dot, a port, `localhost`, a capital.
fn split_domain(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((domain, path))
            if domain.contains(['.', ':'])
                || domain == "localhost"
                || domain.chars().any(|c| c.is_ascii_uppercase()) =>
        {
            (domain, path)
        }
        _ => ("docker.io", name),
    }
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (domain, None),
    };
    let port_is_good = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let ipv6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_is_good = match ipv6 {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(label),
    };
    port_is_good && host_is_good
}

/// Runs of lower-case letters and digits, separated by one `.`, one or two `_`, or any number of `-`.
fn is_path_component(component: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = [component.bytes().next(), component.bytes().next_back()];
    ends.iter().all(|end| end.is_some_and(alphanumeric))
        && component
            .split(|c: char| c.is_ascii() && alphanumeric(c as u8))
            .all(|separator| matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-'))
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128 && tag.bytes().next().is_some_and(word) && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn defaults_are_those_of_docker() {
        let full = |text: &str| text.parse::<ImageRef>().unwrap().to_string();
        assert_eq!(full("nginx"), "docker.io/library/nginx:latest");
        assert_eq!(full("nginx:1.27-alpine"), "docker.io/library/nginx:1.27-alpine");
        assert_eq!(full("index.docker.io/nginx:1"), "docker.io/library/nginx:1");
        assert_eq!(full("docker.io/org/nginx:1"), "docker.io/org/nginx:1");
        assert_eq!(full("org/a__b---c.d:1"), "docker.io/org/a__b---c.d:1");
        assert_eq!(full("localhost/nginx"), "localhost/nginx:latest");
        assert_eq!(full("registry:5000/nginx"), "registry:5000/nginx:latest");
        assert_eq!(full("[::1]:5000/nginx"), "[::1]:5000/nginx:latest");
        assert_eq!(full(&format!("quay.io/x/y@{DIGEST}")), format!("quay.io/x/y@{DIGEST}"));
        assert_eq!(full(&format!("quay.io/x/y:1@{DIGEST}")), format!("quay.io/x/y:1@{DIGEST}"));
    }

    #[test]
    fn refuses_what_the_grammar_refuses() {
        for text in [
            "",
            ":1",
            "/nginx",
            "nginx:",
            "nginx:-1",
            "Nginx",
            "org/Nginx:1",
            "a..b",
            "a___b",
            "-a",
            "a-",
            "a//b",
            "nginx@sha256:12",
            "nginx@md5:12",
            "https://x/nginx",
            "nginx 1",
            "x.y:/nginx",
            "x.y:z/nginx",
            "-x.y/nginx",
            "nginx:1:2",
            "ä",
        ] {
            assert!(text.parse::<ImageRef>().is_err(), "{text}");
        }
    }
}
