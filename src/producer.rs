//! What makes entries of several kinds from the variables of other projects. Owns the list of producers, and what they read
//! through; does not know what their files say.

pub mod kubespray;

use std::collections::BTreeMap;

use buildkit::gateway::{GitRef, Place};

use crate::diagnostic::{Diagnostic, Span, quoted};

/// Where the files that a definition names are read. One implementor per world: BuildKit's gateway, the disk of a command,
/// and a fake in tests.
pub trait Context {
    /// The files of a tree, by their paths in it. The errors are problems at [`Tree::span`].
    fn read(&self, tree: &Tree<'_>) -> impl Future<Output = Result<Files, Vec<Diagnostic>>>;

    /// The commit that the reference of a repository leads to, in hex digits; `None` if nobody knows. It is asked for after the
    /// repository was read. The error is a problem at `span`.
    fn commit(&self, git: &GitRef, span: &Span) -> impl Future<Output = Result<Option<String>, Diagnostic>>;
}

/// Files by their paths in a tree.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Files to read.
#[derive(Debug)]
pub struct Tree<'a> {
    /// As the definition writes it.
    pub name: String,
    /// Where it is.
    pub place: Place<'a>,
    /// Whether it is a problem if the place itself does not exist.
    pub required: bool,
    /// Which files of it are read.
    pub selection: Selection,
    /// Where the definition names it.
    pub span: &'a Span,
}

impl Tree<'_> {
    /// What no link of the tree may lead out of, as messages call it.
    pub(crate) fn container(&self) -> String {
        match self.place {
            Place::Context(_) => "the build context".into(),
            Place::Archive(_) | Place::Git(_) => quoted(&self.name),
        }
    }
}

/// Which files of a tree are read.
#[derive(Debug)]
pub struct Selection {
    /// Directories and files; directories are read recursively, links are followed. A missing one is not an error. The last part
    /// of a path may be a pattern for the names of files, such as `*.yml`.
    pub paths: Vec<String>,
    /// Whether a file in those directories is read.
    pub keeps: fn(&str) -> bool,
    /// The largest file that is read, in bytes. A larger one is a problem.
    pub max_bytes: usize,
}

/// The problem of a link that leads nowhere, or out of `container`, which messages call so; it has no place yet.
pub(crate) fn dead_link(path: &str, container: Option<&str>) -> Diagnostic {
    let why = container.map_or_else(
        || "its target does not exist".to_owned(),
        |container| format!("{container} does not contain its target"),
    );
    Diagnostic::error(format!("{} is a symbolic link, but {why}", quoted(path)))
        .help("replace the link with what it leads to, or remove it")
}
