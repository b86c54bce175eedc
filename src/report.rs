//! What a proof at the other end reports. Owns its shape; does not know what is proved, nor where it lies.

use std::collections::BTreeSet;
use std::fmt;

use crate::diagnostic::counted;

/// How many requests a server gets at a time.
pub(crate) const AT_ONCE: usize = 16;

/// What is wrong with a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The lock names it, and it does not exist.
    Missing,
    /// It is there, and is not what the lock says.
    Wrong,
    /// It is there, and it is not in the lock.
    Extra,
}

/// Something that is not as the lock says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// What is wrong with it.
    pub kind: Kind,
    /// What it is: a URL, an image, a path.
    pub name: String,
    /// The fact.
    pub why: String,
}

/// What was found out about one place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// How many files of the lock were looked for.
    pub files: usize,
    /// How many container images of the lock were looked for.
    pub images: usize,
    /// How many bytes were hashed.
    pub bytes: u64,
    /// What is not as the lock says, sorted.
    pub problems: Vec<Problem>,
    /// What could not be looked at: facts that are no problems.
    pub notes: Vec<String>,
}

impl Kind {
    /// One word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Wrong => "wrong",
            Self::Extra => "extra",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Problem {
    pub(crate) fn new(kind: Kind, name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { kind, name: name.into(), why: why.into() }
    }
}

/// `quay.io/a/b:1 and 3 more images`
pub(crate) fn named(images: &BTreeSet<String>) -> String {
    let first = images.first().cloned().unwrap_or_default();
    match images.len() {
        0 | 1 => first,
        all => format!("{first} and {}", counted(all - 1, "more image")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(
            [Kind::Missing, Kind::Wrong, Kind::Extra].map(|kind| kind.to_string()),
            ["missing", "wrong", "extra"]
        );
        let of = |names: &[&str]| named(&names.iter().map(ToString::to_string).collect());
        assert_eq!(of(&[]), "");
        assert_eq!(of(&["b"]), "b");
        assert_eq!(of(&["b", "a"]), "a and 1 more image");
        assert_eq!(of(&["b", "a", "c"]), "a and 2 more images");
    }
}
