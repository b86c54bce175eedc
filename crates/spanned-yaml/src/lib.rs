//! YAML as a tree in which every node knows its place in the source.
//!
//! [`parse`] builds the tree from the events of a parser. A deserializer stops at the first problem; this crate reports
//! each problem that does not hide the rest of the text, and goes on. [`Options`] choose the [`Schema`] of plain scalars,
//! what a duplicate key means, and the [`Limits`] that a hostile text cannot exceed.
//!
//! It knows nothing of what a document may say: which keys there are, and what a tag stands for, is up to its user.
#![doc = ""]
#![doc = include_str!("../README.md")]

mod builder;
mod error;
mod lines;
mod node;
mod options;
mod schema;
#[cfg(test)]
mod tests;

pub use error::{Error, ErrorKind, Problem, ProblemKind};
pub use lines::Lines;
pub use node::{Entry, Key, Mapping, Node, Number, Value};
pub use options::{Documents, DuplicateKeys, Keys, Limits, Options, Schema, Tags};

/// The documents of a text, and the problems that did not stop the parser.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    /// The root of each document, in order. A text of nothing but space and comments has no document; an empty document
    /// (`---`) is a [`Value::Null`].
    pub documents: Vec<Node>,
    /// In the order in which the parser came to them: by their place, except that those of merge keys (`<<`) are found
    /// where their mapping ends.
    pub problems: Vec<Problem>,
}

/// Parses a text.
///
/// A byte order mark at its start is skipped; ranges are those of the text with it.
///
/// # Errors
///
/// Where the text is not YAML, or exceeds [`Limits`]: then nothing can be said about its content.
pub fn parse(text: &str, options: &Options) -> Result<Stream, Error> {
    builder::parse(text, options)
}
