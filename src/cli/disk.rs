//! The files that a definition names, on disk. Owns how directories, archives and clones are read, and how much of them; does not
//! know what the files say.

use std::cell::RefCell;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use buildkit::gateway::{GitRef, Place, is_match};

use super::git;
use super::reach::Reach;
use crate::diagnostic::rules::UNREAD_KUBESPRAY;
use crate::diagnostic::{Diagnostic, Span, quoted};
use crate::producer::{Context, Files, Selection, Tree, dead_link};

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
        let files = of_directory(&clone.path(), tree, &clone.path());
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
            Place::Context(path) => of_directory(&self.context.join(path), tree, self.context),
            Place::Archive(path) => self.read_archive(path, tree),
            Place::Git(git) => self.read_git(git, tree),
        };
        files.map_err(|problem| vec![problem.at(tree.span.clone())])
    }

    async fn commit(&self, _: &GitRef, _: &Span) -> Result<Option<String>, Diagnostic> {
        Ok(self.clone.borrow().as_ref().map(|clone| clone.commit().to_owned()))
    }
}

fn of_directory(path: &Path, tree: &Tree<'_>, within: &Path) -> Result<Files, Diagnostic> {
    if tree.required && !path.is_dir() {
        Err(missing(&tree.name))
    } else {
        directory(path, &tree.name, &tree.selection, Some(within))
    }
}

/// The problem of a checkout that does not exist; it has no place yet.
pub(super) fn missing(name: &str) -> Diagnostic {
    let problem = Diagnostic::error(format!("the directory {} does not exist", quoted(name)));
    problem.help("use the directory of a Kubespray checkout")
}

/// The selected files of a directory, which `name` means. `within` is the directory that no link may lead out of. The error has
/// no place yet.
pub(super) fn directory(
    root: &Path,
    name: &str,
    selection: &Selection,
    within: Option<&Path>,
) -> Result<Files, Diagnostic> {
    let within = within.and_then(|within| within.canonicalize().ok());
    let mut walk = Walk { root, within, selection, entries: MAX_ENTRIES, bytes: MAX_BYTES, files: Files::new() };
    for path in &selection.paths {
        walk.add_path(path).map_err(|stop| stop.problem(name))?;
    }
    Ok(walk.files)
}

/// A walk through directories.
struct Walk<'a> {
    root: &'a Path,
    /// The directory that no link may lead out of, without links.
    within: Option<PathBuf>,
    selection: &'a Selection,
    /// What may still be looked at.
    entries: usize,
    /// What may still be read.
    bytes: usize,
    files: Files,
}

/// Why a walk ends.
enum Stop {
    TooMuch,
    /// A link that leads nowhere, or out of the directory.
    DeadLink(String),
}

impl Stop {
    fn problem(self, name: &str) -> Diagnostic {
        match self {
            Self::DeadLink(path) => dead_link(&path),
            Self::TooMuch => {
                let (name, most) = (quoted(name), MAX_BYTES >> 20);
                let problem = format!("more than {MAX_ENTRIES} files and directories, or {most} MiB, in {name}");
                Diagnostic::error(problem).help("check for a symbolic link that leads back to a parent directory")
            }
        }
    }
}

impl Walk<'_> {
    /// Adds what a path of the selection stands for.
    fn add_path(&mut self, path: &str) -> Result<(), Stop> {
        let (folder, pattern) =
            path.rsplit_once('/').map_or((String::new(), path), |(folder, name)| (format!("{folder}/"), name));
        if !pattern.contains('*') {
            return if self.root.join(path).exists() { self.add(path, 0) } else { Ok(()) };
        }
        for name in self.names(&folder)? {
            let relative = format!("{folder}{name}");
            if is_match(pattern, &name) && !self.root.join(&relative).is_dir() {
                self.add_file(&relative)?;
            }
        }
        Ok(())
    }

    /// What is in a directory.
    fn names(&mut self, folder: &str) -> Result<Vec<String>, Stop> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root.join(folder)).into_iter().flatten().flatten() {
            self.entries = self.entries.checked_sub(1).ok_or(Stop::TooMuch)?;
            names.extend(entry.file_name().to_str().map(str::to_owned));
        }
        Ok(names)
    }

    /// Adds a file, or the selected files of a directory.
    fn add(&mut self, relative: &str, depth: usize) -> Result<(), Stop> {
        if !self.root.join(relative).is_dir() {
            return self.add_file(relative);
        }
        for name in self.names(relative)? {
            let relative = format!("{relative}/{name}");
            if self.root.join(&relative).is_dir() {
                if depth < MAX_DEPTH && !name.starts_with('.') {
                    self.add(&relative, depth + 1)?;
                }
            } else if (self.selection.keeps)(&relative) {
                self.add_file(&relative)?;
            }
        }
        Ok(())
    }

    fn add_file(&mut self, relative: &str) -> Result<(), Stop> {
        let path = self.root.join(relative);
        let found = path.canonicalize().map_err(|_| Stop::DeadLink(relative.to_owned()))?;
        if self.within.as_ref().is_some_and(|within| !found.starts_with(within)) {
            return Err(Stop::DeadLink(relative.to_owned()));
        }
        let Some(bytes) = read(&found, self.selection.max_bytes) else { return Ok(()) };
        self.bytes = self.bytes.checked_sub(bytes.len()).ok_or(Stop::TooMuch)?;
        self.files.insert(relative.to_owned(), bytes);
        Ok(())
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
        let is_named = |path: &String| {
            let (folder, pattern) = path.rsplit_once('/').unwrap_or(("", path));
            let (in_folder, name) = name.rsplit_once('/').unwrap_or(("", name));
            folder == in_folder && is_match(pattern, name)
        };
        let within =
            |directory: &String| name.strip_prefix(directory.as_str()).is_some_and(|rest| rest.starts_with('/'));
        selection.paths.iter().any(is_named) || (selection.paths.iter().any(within) && (selection.keeps)(name))
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
