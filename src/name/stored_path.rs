//! Where a file lies below the served directory. Owns which paths are safe and can be answered; does not know the directory.
//!
//! The rule is that of `wget -x`: the host (with its port, unless it is the default), then the path, percent-decoded,
//! empty segments dropped. nginx does the same to the URL of a request (it decodes it and merges slashes), so a request
//! for `<server>/<prefix>/<host>/<path of the URL as written>` finds the file. Where they differ it is nginx's path:
//! wget 1.21 decodes twice (`%252e` becomes `.`).

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::diagnostic::quoted;
use crate::name::{FileUrl, Invalid};

/// The longest name of a file that Linux's file systems store (`NAME_MAX`), in bytes.
const MAX_NAME: usize = 255;
/// The longest path, in bytes: half of Linux's `PATH_MAX`, so that the served directory's own path has room before it.
const MAX_PATH: usize = 2048;

/// What begins the names that image layers use for deleted files (OCI image specification, "Whiteouts").
const WHITEOUT: &str = ".wh.";

/// A path below the served directory: relative, clean (no `.`, `..` or empty segments), UTF-8, without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoredPath(String);

impl StoredPath {
    /// The path, segments separated by `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments: never empty, never `.` or `..`.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The last segment.
    pub fn file_name(&self) -> &str {
        self.segments().next_back().unwrap_or_default()
    }

    /// See [`FileUrl::stored_path`].
    pub(crate) fn of_url(url: &FileUrl) -> Result<Self, Invalid> {
        // Every problem here is one of the URL's own place, so an explicit place solves it.
        let unanswerable = |what: &str| {
            Err(Invalid::new(what).help(format!(
                "remove this line, and add an entry to `files` in the definition: `- {{ url: URL, path: {}/FILE }}`",
                url.authority().trim_matches(['[', ']'])
            )))
        };
        if url.query().is_some() {
            return unanswerable("the URL has a query, which a file server ignores");
        }
        if url.authority().starts_with('[') {
            return unanswerable("the host of the URL is an IPv6 address, which cannot be the name of a directory");
        }
        if url.path().ends_with('/') {
            return unanswerable("the URL has no file name");
        }
        let mut path = url.authority().to_owned();
        for segment in url.path().split('/').filter(|segment| !segment.is_empty()) {
            let Ok(name) = percent_decode_str(segment).decode_utf8() else {
                return unanswerable("the decoded path of the URL is not UTF-8");
            };
            if name.contains('/') {
                return unanswerable(
                    "the URL has an encoded slash, which a file server treats as a directory separator",
                );
            }
            if name.contains(char::is_control) {
                return unanswerable("the URL has an encoded control character");
            }
            path.push('/');
            path.push_str(&name);
        }
        match Self::from_str(&path) {
            Ok(path) => Ok(path),
            Err(invalid) => unanswerable(&format!("the URL cannot be stored under its own path: {}", invalid.message)),
        }
    }
}

impl fmt::Display for StoredPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StoredPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for StoredPath {
    type Err = Invalid;

    /// A path as the user writes it in `path:`. Nothing is decoded and nothing repaired.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        clean_relative(text)?;
        if let Some(name) = text.split('/').find(|name| name.len() > MAX_NAME) {
            let message =
                format!("the name {} has {} bytes, but a file name has at most {MAX_NAME}", quoted(name), name.len());
            return Err(Invalid::new(message));
        }
        if text.len() > MAX_PATH {
            return Err(Invalid::new(format!("the path has {} bytes, but a path has at most {MAX_PATH}", text.len())));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Checks that a path is relative and clean: no empty, `.` or `..` segment, no control character, no whiteout.
pub(crate) fn clean_relative(text: &str) -> Result<(), Invalid> {
    if text.is_empty() {
        return Err(Invalid::new("the path is empty").help("write a relative path"));
    }
    if text.starts_with('/') {
        let relative = text.trim_matches('/');
        let help = match clean_relative(relative) {
            Ok(()) => format!("write {}", quoted(relative)),
            Err(_) => "remove the leading `/`".to_owned(),
        };
        return Err(Invalid::new("the path is absolute, but must be relative").help(help).within(0..1));
    }
    if text.ends_with('/') {
        return Err(Invalid::new("a path cannot end with `/`")
            .help("remove the trailing `/`")
            .within(text.len() - 1..text.len()));
    }
    if let Some((at, c)) = text.char_indices().find(|(_, c)| c.is_control()) {
        return Err(Invalid::new("a path cannot contain a control character").within(at..at + c.len_utf8()));
    }
    let mut start = 0;
    for segment in text.split('/') {
        let within = start..start + segment.len();
        start = within.end + 1;
        match segment {
            "" => {
                return Err(Invalid::new("the path has an empty segment")
                    .help("write one `/`")
                    .within(within.start - 1..start));
            }
            ".." => {
                return Err(Invalid::new("a path cannot contain the segment `..`")
                    .help("remove the `..`")
                    .within(within));
            }
            "." => {
                return Err(Invalid::new("a path cannot contain the segment `.`").help("remove it").within(within));
            }
            name if name.starts_with(WHITEOUT) => {
                return Err(Invalid::new(format!(
                    "a file name cannot start with `{WHITEOUT}`, which marks deleted files in image layers"
                ))
                .within(within));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_path() {
        let longest = format!("{}{}", "x/".repeat(MAX_PATH / 2 - 1), "y".repeat(2 + MAX_PATH % 2));
        assert_eq!(longest.len(), MAX_PATH);
        assert!(longest.parse::<StoredPath>().is_ok());
        assert!(format!("{longest}y").parse::<StoredPath>().is_err());
        assert_eq!(format!("{:?}", "a/b".parse::<StoredPath>().unwrap()), "a/b");
    }

    #[test]
    fn explicit_paths_are_taken_as_they_are() {
        for text in
            ["a", "a/b", "a b/c%20d", "...", ".a", "a:5000/ä", "a\\b", &"a".repeat(255), &vec!["ab"; 682].join("/")]
        {
            let path: StoredPath = text.parse().unwrap();
            assert_eq!(path.as_str(), text);
        }
        assert_eq!("a/b/c".parse::<StoredPath>().unwrap().file_name(), "c");
    }

    #[test]
    fn the_rest_is_refused() {
        let long = vec!["ab"; 700].join("/");
        for text in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/..",
            "./a",
            "a/../b",
            "a\0",
            "a\n",
            "\u{85}",
            ".wh.a",
            "a/.wh..wh..opq",
            &long,
        ] {
            assert!(text.parse::<StoredPath>().is_err(), "{text:?}");
        }
        assert!("ä".repeat(128).parse::<StoredPath>().is_err(), "256 bytes in 128 characters");
    }
}
