//! The names that images are served under. Owns their grammar (that of the distribution project) and what an image is
//! called unless it is renamed; does not know who renames it.

use std::fmt;
use std::str::FromStr;

use crate::diagnostic::quoted;
use crate::name::image_ref::{MAX_NAME, TAG, is_path_component, is_tag};
use crate::name::{ImageRef, Invalid};

/// A repository of the registry that is built: `k8s/docker.io/library/nginx`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository(String);

/// What an image is pulled by from the registry that is built.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServedName {
    /// The repository.
    pub repository: Repository,
    /// The tag; `None` where the image has none and is pulled by its digest.
    pub tag: Option<String>,
}

impl Repository {
    /// The path, components separated by `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ServedName {
    /// The name of an image that nobody renames: `PREFIX/REGISTRY/REPOSITORY:TAG`.
    ///
    /// A repository has neither ports nor capitals, so the registry is written in lower case and without its port.
    pub fn of(image: &ImageRef, prefix: &str) -> Result<Self, Invalid> {
        let domain = image.domain();
        let host = match domain.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => host,
            _ => domain,
        };
        let slash = if prefix.is_empty() { "" } else { "/" };
        let name = format!("{prefix}{slash}{}/{}", host.to_ascii_lowercase(), image.path());
        match name.parse() {
            Ok(repository) => Ok(Self { repository, tag: image.tag().map(Into::into) }),
            Err(_) => Err(Invalid::new(format!("{} cannot be used as a repository name", quoted(&name)))
                .help("use another name: an entry of `images` with `as:`, or a `rename:` table")),
        }
    }

    /// The tag of the image where this name has none.
    pub(crate) fn or_tag_of(self, image: &ImageRef) -> Self {
        Self { tag: self.tag.or_else(|| image.tag().map(Into::into)), ..self }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ServedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.repository.as_str())?;
        match &self.tag {
            Some(tag) => write!(f, ":{tag}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ServedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Repository {
    type Err = Invalid;

    /// Nothing is filled in: `pause` is `pause`, not `docker.io/library/pause`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = |why: String| {
            let message = format!("{} is not a valid repository: {why}", quoted(text));
            Invalid::new(message).help("write a repository such as `library/nginx`")
        };
        if let Some(at) = text.find(['@', ':']) {
            let end = text[at..].find('/').map_or(text.len(), |slash| at + slash);
            let what = match (&text[at..=at], end == text.len()) {
                ("@", _) => "a digest",
                (_, true) => "a tag",
                (_, false) => "a port",
            };
            let why = invalid(format!("{what} is not allowed here"));
            return Err(why.help(format!("remove {}", quoted(&text[at..end]))).within(at..end));
        }
        if text.is_empty() {
            return Err(
                Invalid::new("the name is empty, but must be a repository").help("write one such as `library/pause`")
            );
        }
        if text.len() > MAX_NAME {
            return Err(invalid(format!("it is longer than {MAX_NAME} bytes")));
        }
        if text.split('/').any(str::is_empty) {
            return Err(invalid("a `/` needs a name before and after it".into()));
        }
        if let Some((at, c)) = text.char_indices().find(|(_, c)| c.is_ascii_uppercase()) {
            let why = invalid("a repository must be lowercase".into());
            return Err(why
                .help(format!("write {}", quoted(&text.to_ascii_lowercase())))
                .within(at..at + c.len_utf8()));
        }
        let mut start = 0;
        for component in text.split('/') {
            if !is_path_component(component) {
                let part = quoted(component);
                let why = format!("{part} must consist of lowercase letters and digits, separated by `.`, `_` or `-`");
                return Err(invalid(why).within(start..start + component.len()));
            }
            start += component.len() + 1;
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for ServedName {
    type Err = Invalid;

    /// A repository, and perhaps a tag.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let tagged = text.rsplit_once(':').filter(|(_, tag)| !tag.contains('/') && !text.contains('@'));
        let Some((repository, tag)) = tagged else {
            return Ok(Self { repository: text.parse()?, tag: None });
        };
        let repository = repository.parse()?;
        if !is_tag(tag) {
            let why =
                if tag.is_empty() { "the tag is empty".into() } else { format!("{} is not a valid tag", quoted(tag)) };
            return Err(Invalid::new(why).help(TAG).within(text.len() - tag.len()..text.len()));
        }
        Ok(Self { repository, tag: Some(tag.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_holds_the_whole_name() {
        let name = |image: &str, prefix| ServedName::of(&image.parse().unwrap(), prefix).map(|name| name.to_string());
        assert_eq!(name("nginx:1", "k8s").unwrap(), "k8s/docker.io/library/nginx:1");
        assert_eq!(name("nginx", "").unwrap(), "docker.io/library/nginx:latest");
        assert_eq!(name("Harbor.example:8443/a/b:1.30", "k8s").unwrap(), "k8s/harbor.example/a/b:1.30");
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(name(&format!("quay.io/x@{digest}"), "k8s").unwrap(), "k8s/quay.io/x");
        assert_eq!(name(&format!("quay.io/x:1@{digest}"), "k8s").unwrap(), "k8s/quay.io/x:1");
        assert!(name("[::1]:5000/x:1", "k8s").is_err());
        let message = ServedName::of(&"[::1]/x:1".parse().unwrap(), "k8s").unwrap_err().message;
        assert_eq!(message, "`k8s/[::1]/x` cannot be used as a repository name");
        assert!(name(&format!("quay.io/{}:1", "x".repeat(247)), "k8s").is_err(), "too long with its prefix");
    }

    #[test]
    fn an_image_gives_its_tag_to_a_name_without_one() {
        let image = "quay.io/a:1".parse().unwrap();
        let name = |text: &str| text.parse::<ServedName>().unwrap().or_tag_of(&image).to_string();
        assert_eq!((name("b"), name("b:2")), ("b:1".into(), "b:2".into()));
    }

    #[test]
    fn a_debugger_shows_the_name_alone() {
        let name: ServedName = "a/b:1".parse().unwrap();
        assert_eq!((format!("{name:?}"), format!("{:?}", name.repository)), ("a/b:1".into(), "a/b".into()));
    }

    #[test]
    fn what_is_marked_of_a_wrong_name() {
        let marked = |text: &str| text[text.parse::<ServedName>().unwrap_err().range.unwrap()].to_owned();
        assert_eq!(marked("one/two/-a/b"), "-a");
        assert_eq!(marked("a:-b"), "-b");
        assert_eq!(marked("a/B"), "B");
    }

    #[test]
    fn the_longest_name() {
        assert!("x".repeat(MAX_NAME).parse::<Repository>().is_ok());
        assert!("x".repeat(MAX_NAME + 1).parse::<Repository>().is_err());
    }

    #[test]
    fn names_are_read() {
        let read = |text: &str| text.parse::<ServedName>().map(|name| (name.repository.0, name.tag));
        assert_eq!(read("pause"), Ok(("pause".into(), None)));
        assert_eq!(read("library/a__b:1.30"), Ok(("library/a__b".into(), Some("1.30".into()))));
        for text in ["", "/", "a/", "/a", "a//b", "A", "a:", "a:-", "a:1:2", "a@b", "h:5000/a", "a b", "ä", "a:ä"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
