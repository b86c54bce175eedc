//! What the names of mirrored images begin with: a registry, or a part of one. Owns its grammar; does not know mirrors.

use std::fmt;
use std::str::FromStr;

use crate::diagnostic::quoted;
use crate::name::{ImageRef, Invalid, image_ref};

/// A registry and the beginning of its repositories, ending with `/`: `quay.io/`, `docker.io/library/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImagePrefix(String);

impl ImagePrefix {
    /// The prefix, ending with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the image lies below the prefix.
    pub fn holds(&self, image: &ImageRef) -> bool {
        image.name().starts_with(&self.0)
    }

    /// The same image, tag and digest included, below `to` instead of below this prefix; `None` where it does not lie
    /// below it.
    pub fn rebase(&self, image: &ImageRef, to: &Self) -> Option<ImageRef> {
        image.as_str().strip_prefix(&self.0).map(|rest| ImageRef::below(&to.0, rest))
    }
}

impl fmt::Display for ImagePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ImagePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ImagePrefix {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        const HELP: &str = "write a registry, or a prefix of its repositories: `quay.io/`, `docker.io/library/`";
        let refuse =
            |why: String| Err(Invalid::new(format!("{} is not a valid image prefix: {why}", quoted(text))).help(HELP));
        if text.trim_matches('/').is_empty() {
            return Err(Invalid::new("the image prefix has no registry").help(HELP));
        }
        if let Some((at, c)) = text.char_indices().find(|(_, c)| c.is_whitespace()) {
            return Err(Invalid::new("an image prefix cannot contain a space").within(at..at + c.len_utf8()));
        }
        if let Some(at) = text.find('@') {
            return Err(Invalid::new("an image prefix cannot contain a digest or a user").within(at..text.len()));
        }
        let Some(name) = text.strip_suffix('/') else {
            let tagged = text.rsplit('/').next().is_some_and(|last| last.contains(':') && text.contains('/'));
            return Err(if tagged {
                Invalid::new("an image prefix cannot contain a tag").help("write the part before the image's own name")
            } else {
                Invalid::new("an image prefix must end with `/`").help(format!("write {}", quoted(&format!("{text}/"))))
            });
        };
        let (domain, path) = name.split_once('/').unwrap_or((name, ""));
        if !image_ref::looks_like_domain(domain) {
            return Err(Invalid::new(format!("{} does not start with a registry", quoted(text)))
                .help(format!("if it is on Docker Hub, write {}", quoted(&format!("docker.io/{text}")))));
        }
        if !image_ref::is_domain(domain) {
            return refuse(format!("{} is not a valid registry", quoted(domain)));
        }
        if path.chars().any(|c| c.is_ascii_uppercase()) {
            return refuse("a repository must be lowercase".into());
        }
        if name.contains('/') && !path.split('/').all(image_ref::is_path_component) {
            return refuse(format!("{} is not a valid repository", quoted(path)));
        }
        let domain = if domain == "index.docker.io" { "docker.io" } else { domain };
        Ok(Self(if path.is_empty() { format!("{domain}/") } else { format!("{domain}/{path}/") }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Result<ImagePrefix, String> {
        text.parse().map_err(|invalid: Invalid| invalid.message)
    }

    #[test]
    fn prefixes() {
        for (text, written) in [
            ("quay.io/", "quay.io/"),
            ("index.docker.io/library/", "docker.io/library/"),
            ("localhost/", "localhost/"),
            ("registry:5000/a/b/", "registry:5000/a/b/"),
            ("[::1]:5000/", "[::1]:5000/"),
        ] {
            assert_eq!(prefix(text).map(|prefix| prefix.to_string()), Ok(written.into()), "{text}");
        }
        for bad in [
            "",
            "/",
            "quay.io",
            "quay.io//",
            "calico/",
            "quay.io/Calico/",
            "quay.io/calico/node:v3",
            "quay.io/a@b/",
            "quay .io/",
            "-x.y/",
            "https://quay.io/",
            "quay.io/a/../",
            "quay.io:/",
            "quay.io/a:1/",
        ] {
            assert!(prefix(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_prefix() {
        let space = "quay .io/".parse::<ImagePrefix>().unwrap_err();
        assert_eq!(space.range, Some(4..5));
        for (text, said) in [
            ("quay.io/calico/node:v3", "an image prefix cannot contain a tag"),
            ("quay.io:5000", "an image prefix must end with `/`"),
            ("quay.io/calico", "an image prefix must end with `/`"),
        ] {
            assert_eq!(prefix(text).unwrap_err(), said, "{text}");
        }
    }

    #[test]
    fn the_rest_of_the_name_is_kept() {
        let image = |text: &str| text.parse::<ImageRef>().unwrap();
        let digest = format!("sha256:{}", "a".repeat(64));
        let [hub, quay, mirror] =
            ["docker.io/", "quay.io/calico/", "m.example:5000/hub/"].map(|it| prefix(it).unwrap());
        assert_eq!(hub.rebase(&image("nginx:1"), &mirror), Some(image("m.example:5000/hub/library/nginx:1")));
        let pinned = format!("quay.io/calico/node:v3@{digest}");
        assert_eq!(quay.rebase(&image(&pinned), &mirror), Some(image(&format!("m.example:5000/hub/node:v3@{digest}"))));
        assert_eq!(quay.rebase(&image("quay.io/calico-2/node:v3"), &mirror), None);
        assert!(!quay.holds(&image("docker.io/calico/node")));
        assert!(quay.holds(&image("quay.io/calico/node:v3")));
        assert_eq!((quay.as_str(), format!("{quay:?}").as_str()), ("quay.io/calico/", "quay.io/calico/"));
    }
}
