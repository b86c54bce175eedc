//! Directories of the file server and files of the build context. Owns which are safe to write into nginx's configuration
//! and to ask the build context for; does not know what is in them.

use std::fmt;
use std::str::FromStr;

use crate::diagnostic::quoted;
use crate::name::Invalid;
use crate::name::stored_path::clean_relative;

/// The directory of the image that files are served from, such as `/opt/k8s`: absolute, clean, not `/`, made of
/// `A-Z a-z 0-9 . _ - /` only, so that it needs no quotes in nginx's configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerRoot(String);

/// The first part of every served path, such as `k8s`: relative, clean, of the characters of [`ServerRoot`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerPath(String);

/// A file of the build context, such as `temp/files-amd64.list`: relative and clean.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContextPath(String);

/// Directories whose files the image or the container runs or reads: a download there could become a program or nginx's
/// configuration.
pub(crate) const SYSTEM: [&str; 15] = [
    "bin",
    "docker-entrypoint.d",
    "etc",
    "lib",
    "lib64",
    "run",
    "sbin",
    "usr/bin",
    "usr/lib",
    "usr/lib64",
    "usr/local/bin",
    "usr/local/lib",
    "usr/local/sbin",
    "usr/sbin",
    "var/run",
];
/// Directories that a container hides.
pub(crate) const HIDDEN: [&str; 3] = ["dev", "proc", "sys"];

impl ServerRoot {
    /// The directory, with its leading `/` and without a trailing one.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether files may lie in the directory `path` below this one; the error says why not. Each may be fine by itself:
    /// `/usr` and `lib`.
    pub fn holds(&self, path: &ServerPath) -> Result<(), Invalid> {
        let folder = format!("{}/{}", &self.0[1..], path.0);
        let inside = |system: &&str| system.strip_prefix(&folder).is_some_and(|rest| rest.starts_with('/'));
        // What an entry's `path:` says comes below it.
        match taken(&folder).or_else(|| Some(system(SYSTEM.into_iter().find(inside)?))) {
            Some(why) => Err(why),
            None => Ok(()),
        }
    }
}

/// Why files cannot lie in a directory (without its leading `/`), if they cannot.
fn taken(folder: &str) -> Option<Invalid> {
    let within = |name: &&str| folder.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if let Some(hidden) = HIDDEN.into_iter().find(within) {
        let why = format!("files cannot be served from `/{hidden}`: the container runtime mounts over it");
        return Some(Invalid::new(why).help(HELP));
    }
    SYSTEM.into_iter().find(within).map(system)
}

fn system(folder: &str) -> Invalid {
    let why =
        format!("files cannot be stored in `/{folder}`: a download there could be executed or read as configuration");
    Invalid::new(why).help(HELP)
}

const HELP: &str = "use another directory, such as `/opt/k8s`";

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
            return Err(Invalid::new("the path is relative, but must be absolute").help("add a leading `/`"));
        };
        if relative.is_empty() {
            return Err(Invalid::new("`/` itself cannot be served").help("use a directory, such as `/opt/k8s`"));
        }
        served(relative, "root", "/opt/k8s").map_err(|invalid| match invalid.range.clone() {
            Some(range) => invalid.within(range.start + 1..range.end + 1),
            None => invalid,
        })?;
        if let Some(taken) = taken(relative) {
            return Err(taken);
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for ServerPath {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        served(text, "path", "k8s").map(|()| Self(text.to_owned()))
    }
}

impl FromStr for ContextPath {
    type Err = Invalid;

    /// A leading `./` is allowed and dropped.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        const HELP: &str = "use a file in the build context, such as `temp/files-{arch}.list`";
        let path = text.strip_prefix("./").unwrap_or(text);
        if path.contains("://") {
            return Err(Invalid::new("this is a URL, but must be a file in the build context")
                .help("download the list first, or request a single file with `url:`"));
        }
        if let Some(at) = path.find(['*', '?', '[']) {
            let at = at + text.len() - path.len();
            return Err(Invalid::new("a list is a single file, not a pattern").help(HELP).within(at..at + 1));
        }
        clean_relative(path).map_err(|invalid| Invalid { range: None, ..invalid }.help(HELP))?;
        Ok(Self(path.to_owned()))
    }
}

/// Checks the value of `key` in `fileServer`.
fn served(relative: &str, key: &str, example: &str) -> Result<(), Invalid> {
    if relative.is_empty() {
        return Err(Invalid::new(format!("`fileServer.{key}` is empty"))
            .help(format!("write a directory, such as `{example}`")));
    }
    clean_relative(relative)?;
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    match relative.char_indices().find(|(_, c)| !safe(*c)) {
        Some((at, c)) => Err(Invalid::new(format!("`fileServer.{key}` cannot contain {}", quoted(&c.to_string())))
            .help(format!("use only ASCII letters, digits, `.`, `_`, `-` and `/`, such as `{example}`"))
            .within(at..at + c.len_utf8())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_safe_is_kept() {
        assert_eq!("/opt/k8s".parse::<ServerRoot>().unwrap(), ServerRoot::default());
        assert_eq!("k8s".parse::<ServerPath>().unwrap(), ServerPath::default());
        assert_eq!("/srv/a-b_c.d".parse::<ServerRoot>().unwrap().as_str(), "/srv/a-b_c.d");
        assert_eq!("a/b".parse::<ServerPath>().unwrap().as_str(), "a/b");
        assert_eq!("./temp/a.list".parse::<ContextPath>().unwrap().as_str(), "temp/a.list");
        assert_eq!("/process".parse::<ServerRoot>().unwrap().as_str(), "/process");
    }

    #[test]
    fn folders_that_are_run_or_read_are_refused_in_two_halves_too() {
        let holds = |root: &str, path: &str| {
            root.parse::<ServerRoot>().expect("a root").holds(&path.parse().expect("a path")).is_ok()
        };
        for (root, path) in
            [("/usr", "lib"), ("/usr", "bin/k8s"), ("/usr", "local"), ("/usr/local", "sbin"), ("/var", "run")]
        {
            assert!(!holds(root, path), "{root} {path}");
        }
        for (root, path) in
            [("/usr", "share/nginx/html"), ("/usr/library", "x"), ("/srv", "etc/nginx"), ("/opt", "bin")]
        {
            assert!(holds(root, path), "{root} {path}");
        }
    }

    #[test]
    fn what_is_not_is_refused() {
        for text in [
            "",
            "/",
            "opt",
            "/opt/",
            "//opt",
            "/opt//x",
            "/opt/..",
            "/./opt",
            "/a b",
            "/a;",
            "/a$b",
            "/a{",
            "/ä",
            "/sys",
            "/dev/x",
            "/etc",
            "/etc/nginx",
            "/usr/lib/x",
            "/bin",
            "/run/x",
            "/var/run",
            "/lib64",
        ] {
            assert!(text.parse::<ServerRoot>().is_err(), "{text:?}");
        }
        for text in ["", "/", "/k8s", "k8s/", "a//b", "..", "a/..", ".", "a b", "a;", "a'", "a\n", ".wh.a"] {
            assert!(text.parse::<ServerPath>().is_err(), "{text:?}");
        }
        for text in ["", "/a", "../a", "a/../../b", "a/", "*.list", "[a].list", "a?.list", "https://h/a.list", "a\0"] {
            assert!(text.parse::<ContextPath>().is_err(), "{text:?}");
        }
    }
}
