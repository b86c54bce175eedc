//! The name of a container image. Owns its grammar and defaults, those of the distribution project's `reference`
//! package, which Docker and BuildKit use; does not know registries.

use std::fmt;
use std::str::FromStr;

use crate::diagnostic::quoted;
use crate::name::{Digest, Invalid};

/// What to write instead of a wrong name.
const EXAMPLE: &str = "write a name such as `quay.io/calico/node:v3.27.4`";
/// What a tag may be.
pub(crate) const TAG: &str = "a tag has up to 128 letters, digits, `_`, `.` and `-`";
/// What to write instead of a wrong digest.
const DIGEST: &str = "write `@sha256:` and the 64 hex digits of the digest";

/// The longest registry and repository together, in bytes.
pub(crate) const MAX_NAME: usize = 255;

/// A full image name, `docker.io/library/nginx:1.27-alpine`: registry, repository, and a tag, a digest or both.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageRef(String);

impl ImageRef {
    /// The default base of the file server, `docker.io/library/nginx:1.27-alpine`.
    pub(crate) fn nginx() -> Self {
        Self("docker.io/library/nginx:1.27-alpine".into())
    }

    /// The default base of the registry image, `docker.io/library/registry:3`.
    pub(crate) fn registry() -> Self {
        Self("docker.io/library/registry:3".into())
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The registry, with its port where it has one: `docker.io`, `registry.example:5000`.
    pub fn domain(&self) -> &str {
        self.name().split_once('/').map_or("", |(domain, _)| domain)
    }

    /// The repository in its registry: `library/nginx`.
    pub fn path(&self) -> &str {
        self.name().split_once('/').map_or("", |(_, path)| path)
    }

    /// Registry and repository: `docker.io/library/nginx`.
    pub fn name(&self) -> &str {
        self.split().0
    }

    /// The tag; `None` where only a digest was given.
    pub fn tag(&self) -> Option<&str> {
        self.split().1
    }

    /// The digest, where one was given: it wins over the tag.
    pub fn digest(&self) -> Option<Digest> {
        self.0.split_once('@').and_then(|(_, digest)| digest.parse().ok())
    }

    /// The same image by its digest, which is added unless one was given.
    #[must_use]
    pub fn pinned(&self, digest: &Digest) -> Self {
        if self.0.contains('@') { self.clone() } else { Self(format!("{}@{digest}", self.0)) }
    }

    /// The image `rest` (what follows in a full name, with its tag and digest) below a registry or a part of one.
    pub(crate) fn below(prefix: &str, rest: &str) -> Self {
        Self(format!("{prefix}{rest}"))
    }

    fn split(&self) -> (&str, Option<&str>) {
        split_tag(self.0.split_once('@').map_or(&*self.0, |(name, _)| name))
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
        let refuse =
            |why: String| Err(Invalid::new(format!("{} is not a valid image name: {why}", quoted(text))).help(EXAMPLE));
        if let Some((scheme, rest)) = text.split_once("://") {
            let (message, help) = if scheme == "docker" {
                ("an image name cannot have a transport prefix", "remove the `docker://`")
            } else {
                ("an image name is not a URL", EXAMPLE)
            };
            return Err(Invalid::new(message).help(help).within(0..text.len() - rest.len()));
        }
        if text.is_empty() {
            return Err(Invalid::new("the image name is empty").help(EXAMPLE));
        }
        if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return refuse("64 hex digits alone are an image ID, which is local to one machine".into());
        }
        // The grammar would take it for a repository of Docker Hub.
        if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Err(Invalid::new(format!("{} is a version, not an image name", quoted(text)))
                .help("add the repository in front: `REPOSITORY:1.30`"));
        }
        if let Some((at, c)) = text.char_indices().find(|(_, c)| c.is_whitespace()) {
            return Err(Invalid::new("an image name cannot contain a space")
                .help("remove the space, or write each image on its own line")
                .within(at..at + c.len_utf8()));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) if digest.starts_with("sha256:") => match digest.parse::<Digest>() {
                Ok(digest) => (rest, Some(digest)),
                Err(invalid) => return refuse(invalid.message).map_err(|invalid| invalid.help(DIGEST)),
            },
            Some(_) => {
                return refuse("the part after `@` must be `sha256:` and 64 hex digits".into())
                    .map_err(|invalid| invalid.help(DIGEST));
            }
            None => (text, None),
        };
        let (name, tag) = split_tag(rest);
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            let why =
                if tag.is_empty() { "its tag is empty".into() } else { format!("{} is not a valid tag", quoted(tag)) };
            return refuse(why).map_err(|invalid| invalid.help(TAG));
        }
        let (domain, path) = split_domain(name);
        if !is_domain(domain) {
            return refuse(format!("{} is not a valid registry", quoted(domain)));
        }
        if path.chars().any(|c| c.is_ascii_uppercase()) {
            return refuse("a repository must be lowercase".into())
                .map_err(|invalid| invalid.help("write the repository in lowercase"));
        }
        if !path.split('/').all(is_path_component) {
            return refuse(format!("{} is not a valid repository", quoted(path)));
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

/// What stands before the last colon that is not a valid port's, and the tag after it.
fn split_tag(name: &str) -> (&str, Option<&str>) {
    match name.rfind(':') {
        Some(at) if !name[at..].contains('/') => (&name[..at], Some(&name[at + 1..])),
        _ => (name, None),
    }
}

/// The registry is what stands before the first slash, if it looks like a host: a dot, a port, `localhost`, a capital.
fn split_domain(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((domain, path)) if looks_like_domain(domain) => (domain, path),
        _ => ("docker.io", name),
    }
}

/// Whether what stands before the first slash is meant as a registry.
pub(crate) fn looks_like_domain(text: &str) -> bool {
    text.contains(['.', ':']) || text == "localhost" || text.chars().any(|c| c.is_ascii_uppercase())
}

pub(crate) fn is_domain(domain: &str) -> bool {
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
pub(crate) fn is_path_component(component: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = [component.bytes().next(), component.bytes().next_back()];
    ends.iter().all(|end| end.is_some_and(alphanumeric))
        && component
            .split(|c: char| c.is_ascii() && alphanumeric(c as u8))
            .all(|separator| matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-'))
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
pub(crate) fn is_tag(tag: &str) -> bool {
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
        assert_eq!(full("cafe"), "docker.io/library/cafe:latest");
        assert_eq!(full(&"x".repeat(64)), format!("docker.io/library/{}:latest", "x".repeat(64)));
        assert_eq!(full("registry:5000/nginx"), "registry:5000/nginx:latest");
        assert_eq!(full("[::1]:5000/nginx"), "[::1]:5000/nginx:latest");
        assert_eq!(full("[::1]/nginx"), "[::1]/nginx:latest");
        assert_eq!(full(&format!("quay.io/x/y@{DIGEST}")), format!("quay.io/x/y@{DIGEST}"));
        assert_eq!(full(&format!("quay.io/x/y:1@{DIGEST}")), format!("quay.io/x/y:1@{DIGEST}"));
    }

    #[test]
    fn parts() {
        let parts = |text: &str| {
            let image: ImageRef = text.parse().unwrap();
            let part = |part: Option<String>| part.unwrap_or_else(|| "-".into());
            let digest = image.digest().map(|digest| digest.hex()[..4].to_owned());
            format!("{} {} {} {}", image.domain(), image.path(), part(image.tag().map(Into::into)), part(digest))
        };
        assert_eq!(parts("nginx"), "docker.io library/nginx latest -");
        assert_eq!(parts("r.example:5000/a/b/c:1.30"), "r.example:5000 a/b/c 1.30 -");
        assert_eq!(parts(&format!("[::1]:5000/x@{DIGEST}")), "[::1]:5000 x - e3b0");
        assert_eq!(parts(&format!("quay.io/x/y:1@{DIGEST}")), "quay.io x/y 1 e3b0");
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
            "docker://nginx:1",
            "1.30",
            "nginx:1 redis:1",
            &DIGEST[7..],
        ] {
            assert!(text.parse::<ImageRef>().is_err(), "{text}");
        }
    }
}
