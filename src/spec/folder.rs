//! Folders of the file server and files of the build context. Owns which are safe to write into nginx's configuration
//! and to ask the build context for; does not know what is in them.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use super::invalid::Invalid;
use super::stored_path::clean_relative;
use crate::diagnostic::quoted;

/// The folder of the image that files are served from, such as `/opt/k8s`: absolute, clean, not `/`, made of
/// `A-Z a-z 0-9 . _ - /` only, so that it needs no quotes in nginx's configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerRoot(String);

/// The first part of every served path, such as `k8s`: relative, clean, of the characters of [`ServerRoot`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerPath(String);

/// A file of the build context, such as `temp/files-amd64.list`: relative and clean.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContextPath(String);

impl ServerRoot {
    /// The folder, with its leading `/` and without a trailing one.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ServerPath {
    /// The path, without slashes at its ends.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ContextPath {
    /// The path, relative to the build context.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for ServerRoot {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Deref for ServerPath {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Default for ServerRoot {
    /// `/opt/k8s`
    fn default() -> Self {
        Self("/opt/k8s".into())
    }
}

impl Default for ServerPath {
    /// `k8s`
    fn default() -> Self {
        Self("k8s".into())
    }
}

impl fmt::Display for ServerRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ServerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ContextPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ServerRoot {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let Some(relative) = text.strip_prefix('/') else {
            return Err(
                Invalid::new("a relative path, where an absolute one is wanted").help("write it with a leading `/`")
            );
        };
        if relative.is_empty() {
            return Err(Invalid::new("`/` itself cannot be served").help("name a folder, such as `/opt/k8s`"));
        }
        served(relative).map_err(|invalid| match invalid.range.clone() {
            Some(range) => invalid.within(range.start + 1..range.end + 1),
            None => invalid,
        })?;
        if let Some(hidden) = ["dev", "proc", "sys"].iter().find(|name| relative.split('/').next() == Some(name)) {
            return Err(Invalid::new(format!(
                "nothing can be served from `/{hidden}`: a container mounts its own over it"
            ))
            .help("name another folder, such as `/opt/k8s`"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for ServerPath {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        served(text).map(|()| Self(text.to_owned()))
    }
}

impl FromStr for ContextPath {
    type Err = Invalid;

    /// A leading `./` is allowed and dropped.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        const HELP: &str = "name a file of the build context, such as `temp/files-{arch}.list`";
        let path = text.strip_prefix("./").unwrap_or(text);
        if path.contains("://") {
            return Err(Invalid::new("a URL, where a file of the build context is wanted")
                .help("download the list first, or ask for a single file with `url:`"));
        }
        if let Some(at) = path.find(['*', '?', '[']) {
            let at = at + text.len() - path.len();
            return Err(Invalid::new("a list is one file, not a pattern").help(HELP).within(at..at + 1));
        }
        clean_relative(path).map_err(|invalid| Invalid { range: None, ..invalid }.help(HELP))?;
        Ok(Self(path.to_owned()))
    }
}

fn served(relative: &str) -> Result<(), Invalid> {
    clean_relative(relative)?;
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    match relative.char_indices().find(|(_, c)| !safe(*c)) {
        Some((at, c)) => Err(Invalid::new(format!("a served path cannot hold {}", quoted(&c.to_string())))
            .help("only `A-Z a-z 0-9 . _ -` and `/` are safe in nginx's configuration")
            .within(at..at + c.len_utf8())),
        None => Ok(()),
    }
}
