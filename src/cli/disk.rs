//! The files that a definition names, on disk. Owns how directories, archives and clones are read, and how much of them; does not
//! know what the files say.

use std::cell::RefCell;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use buildkit::gateway::{GitRef, Place};

use super::git;
use super::reach::Reach;
use crate::diagnostic::rules::UNREAD_KUBESPRAY;
use crate::diagnostic::{Diagnostic, Span, quoted};
use crate::producer::{Context, Files, Selection, Tree};

/// Directories within one another that are walked.
const MAX_DEPTH: usize = 16;
/// Files and directories that are looked at.
const MAX_ENTRIES: usize = 5_000;
/// Bytes that are read of one tree. The variables of Kubespray's largest release have less than one MiB.
const MAX_BYTES: usize = 64 << 20;

/// The build context of a command.
pub(super) struct Disk<'a> {
    context: &'a Path,
    reach: Reach,
    /// The repository that was read last.
    clone: RefCell<Option<git::Clone>>,
}

impl<'a> Disk<'a> {
    /// The directory `context`, and what the command reaches in addition to it.
    pub(super) fn new(context: &'a Path, reach: Reach) -> Self {
        Self { context, reach, clone: RefCell::default() }
    }

    fn read_git(&self, git: &GitRef, tree: &Tree<'_>) -> Result<Files, Diagnostic> {
        if self.reach == Reach::Files {
            let message = format!("{} was not read: this command does not use the network", quoted(&tree.name));
            return Err(Diagnostic::lint(&UNREAD_KUBESPRAY, message));
        }
        let clone = git::clone(git)?;
        let files = of_directory(&clone.path(), tree);
        self.clone.replace(Some(clone));
        files
    }

    fn read_archive(&self, path: &str, tree: &Tree<'_>) -> Result<Files, Diagnostic> {
        archive(&self.context.join(path), &tree.selection)
            .map_err(|why| Diagnostic::error(format!("the archive {} cannot be read: {why}", quoted(path))))
    }
}

impl Context for Disk<'_> {
    async fn read(&self, tree: &Tree<'_>) -> Result<Files, Vec<Diagnostic>> {
        let files = match tree.place {
            Place::Context(path) => of_directory(&self.context.join(path), tree),
            Place::Archive(path) => self.read_archive(path, tree),
            Place::Git(git) => self.read_git(git, tree),
        };
        files.map_err(|problem| vec![problem.at(tree.span.clone())])
    }

    async fn commit(&self, _: &GitRef, _: &Span) -> Result<Option<String>, Diagnostic> {
        Ok(self.clone.borrow().as_ref().map(|clone| clone.commit().to_owned()))
    }
}

fn of_directory(path: &Path, tree: &Tree<'_>) -> Result<Files, Diagnostic> {
    if tree.required && !path.is_dir() {
        Err(missing(&tree.name))
    } else {
        directory(path, &tree.name, &tree.selection)
    }
}

/// The problem of a checkout that does not exist; it has no place yet.
pub(super) fn missing(name: &str) -> Diagnostic {
    let problem = Diagnostic::error(format!("the directory {} does not exist", quoted(name)));
    problem.help("use the directory of a Kubespray checkout")
}

/// The selected files of a directory, which `name` means. The error has no place yet.
pub(super) fn directory(root: &Path, name: &str, selection: &Selection) -> Result<Files, Diagnostic> {
    let mut walk = Walk { root, selection, entries: MAX_ENTRIES, bytes: MAX_BYTES, files: Files::new() };
    for path in &selection.paths {
        if !walk.add(path, 0) {
            let (name, most) = (quoted(name), MAX_BYTES >> 20);
            let problem = format!("more than {MAX_ENTRIES} files and directories, or {most} MiB, in {name}");
            let problem = Diagnostic::error(problem);
            return Err(problem.help("check for a symbolic link that leads back to a parent directory"));
        }
    }
    Ok(walk.files)
}

/// A walk through directories.
struct Walk<'a> {
    root: &'a Path,
    selection: &'a Selection,
    /// What may still be looked at.
    entries: usize,
    /// What may still be read.
    bytes: usize,
    files: Files,
}

impl Walk<'_> {
    /// Adds a selected file, or the files of a selected directory; `false` where there are too many.
    fn add(&mut self, relative: &str, depth: usize) -> bool {
        let path = self.root.join(relative);
        if !path.is_dir() {
            return self.add_file(relative);
        }
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let Some(entries) = self.entries.checked_sub(1) else { return false };
            self.entries = entries;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            let relative = format!("{relative}/{name}");
            let fits = if entry.path().is_dir() {
                depth >= MAX_DEPTH || name.starts_with('.') || self.add(&relative, depth + 1)
            } else {
                !(self.selection.keeps)(&relative) || self.add_file(&relative)
            };
            if !fits {
                return false;
            }
        }
        true
    }

    fn add_file(&mut self, relative: &str) -> bool {
        let Some(bytes) = read(&self.root.join(relative), self.selection.max_bytes) else { return true };
        let Some(left) = self.bytes.checked_sub(bytes.len()) else { return false };
        self.bytes = left;
        self.files.insert(relative.to_owned(), bytes);
        true
    }
}

/// A file, and nothing else. One that is larger than `most` bytes is cut after one more, and reported as too large where it
/// is parsed.
pub(super) fn read(path: &Path, most: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = path.is_file().then(|| fs::File::open(path))?.ok()?;
    file.take(most as u64 + 1).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The selected files of an archive; of one with a single directory, those in that directory.
fn archive(path: &Path, selection: &Selection) -> io::Result<Files> {
    let file = io::BufReader::new(fs::File::open(path)?);
    let text = path.to_string_lossy();
    let bytes: Box<dyn io::Read> = if text.ends_with(".tar") {
        Box::new(file)
    } else if text.ends_with(".gz") || text.ends_with(".tgz") {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else {
        return Err(io::Error::other("only `.tar` and `.tar.gz` are supported here; a build also reads other formats"));
    };
    let is_selected = |name: &str| {
        let within =
            |directory: &String| name.strip_prefix(directory.as_str()).is_some_and(|rest| rest.starts_with('/'));
        selection.paths.iter().any(|path| path == name)
            || (selection.paths.iter().any(within) && (selection.keeps)(name))
    };
    let (mut files, mut left) = (Files::new(), MAX_BYTES);
    for entry in tar::Archive::new(bytes).entries()? {
        let entry = entry?;
        let name = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
        let inside = name.split_once('/').map_or(name.as_str(), |(_, rest)| rest);
        if entry.header().entry_type().is_file() && (is_selected(&name) || is_selected(inside)) {
            let mut bytes = Vec::new();
            entry.take(selection.max_bytes as u64 + 1).read_to_end(&mut bytes)?;
            let too_much = || io::Error::other(format!("it contains more than {} MiB of variables", MAX_BYTES >> 20));
            left = left.checked_sub(bytes.len()).ok_or_else(too_much)?;
            files.insert(name, bytes);
        }
    }
    // As GitHub makes them: one directory that holds everything.
    if !files.keys().any(|name| is_selected(name)) {
        let within = |(name, bytes): (String, Vec<u8>)| Some((name.split_once('/')?.1.to_owned(), bytes));
        files = files.into_iter().filter_map(within).collect();
    }
    Ok(files)
}
