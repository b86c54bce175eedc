//! What is wrong with a text. Owns the kinds of errors and problems and their messages; does not know how they are shown.

use std::fmt;
use std::ops::Range;

/// Why a text cannot be read at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// The bytes of the text that it is about.
    pub range: Range<usize>,
    /// The problems that were found before it.
    pub problems: Vec<Problem>,
}

/// What makes a text unreadable. [`Display`](fmt::Display) has a message that starts in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A tab in the indentation.
    Tab,
    /// A `:` where no key can be, often because of an unquoted `: ` in a text.
    UnexpectedColon,
    /// In a block sequence, something that is neither an item nor outside of it.
    ExpectedItem,
    /// In a block mapping, something that is neither a key nor outside of it.
    ExpectedKey,
    /// Any other break of the syntax, in the words of the parser.
    Syntax(String),
    /// An alias to an anchor that is not defined before it.
    UnknownAnchor,
    /// An alias within the value that it stands for.
    RecursiveAlias,
    /// More nested collections than [`Limits::depth`](crate::Limits::depth), which is the number.
    TooDeep(usize),
    /// More values than [`Limits::values`](crate::Limits::values), which is the number.
    TooManyValues(usize),
}

/// Something wrong that does not stop the parser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub kind: ProblemKind,
    /// The bytes of the text that it is about.
    pub range: Range<usize>,
}

/// What is wrong without making the rest of the text unreadable. [`Display`](fmt::Display) has a message that starts in lower
/// case.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// A key that the mapping has already. Its value is dropped.
    DuplicateKey {
        /// The key, as [`Key`](crate::Key) shows it.
        key: String,
        /// Where the first is.
        first: Range<usize>,
    },
    /// A key that is a sequence or a mapping. Its value is dropped.
    CollectionKey,
    /// The value of a merge key (`<<`) that is neither a mapping nor a sequence of mappings. It is dropped.
    InvalidMerge,
    /// A tag that is not applied, as it is written.
    UnknownTag(String),
    /// A second document. It is not read.
    SecondDocument,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tab => f.write_str("tabs cannot be used for indentation"),
            Self::UnexpectedColon => f.write_str("a `:` is not allowed here"),
            Self::ExpectedItem => f.write_str("expected an item of the sequence (`- `) or the end of it"),
            Self::ExpectedKey => f.write_str("expected a key of the mapping or the end of it"),
            Self::Syntax(message) => f.write_str(message),
            Self::UnknownAnchor => f.write_str("the anchor of this alias is not defined above it"),
            Self::RecursiveAlias => f.write_str("the alias is inside its own anchor"),
            Self::TooDeep(limit) => write!(f, "sequences and mappings nested more than {limit} deep"),
            Self::TooManyValues(limit) => write!(f, "more than {limit} values after expanding aliases"),
        }
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateKey { key, .. } => write!(f, "duplicate key `{key}`"),
            Self::CollectionKey => f.write_str("a key must be a scalar"),
            Self::InvalidMerge => f.write_str("`<<` takes a mapping or a sequence of mappings"),
            Self::UnknownTag(tag) => write!(f, "unknown tag `{tag}`"),
            Self::SecondDocument => f.write_str("a second document"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for Error {}
