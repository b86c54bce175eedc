//! The files that a definition names, on disk. Owns how directories, archives and clones are read, and how much of them; does not
//! know what the files say.

use std::cell::RefCell;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use buildkit::gateway::{GitRef, Place, is_match};

use super::reach::Reach;
use super::{archive, git};
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
        let unpacked = archive::unpack(&self.context.join(path), tree.selection.max_bytes)
            .map_err(|why| Diagnostic::error(format!("the archive {} cannot be read: {why}", quoted(path))))?;
        let root = only_directory(unpacked.path())
            .filter(|(_, name)| !tree.selection.paths.iter().any(|path| path.starts_with(name.as_str())));
        let root = root.map_or_else(|| unpacked.path().to_owned(), |(path, _)| path);
        directory(&root, &tree.name, &tree.selection, Some((unpacked.path(), &tree.container())))
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

/// The only thing in a directory, if that is a directory; and its name. As GitHub makes archives: one directory holds
/// everything.
fn only_directory(path: &Path) -> Option<(PathBuf, String)> {
    let mut entries = fs::read_dir(path).ok()?;
    let only = entries.next()?.ok()?;
    let is_only = entries.next().is_none() && only.file_type().is_ok_and(|kind| kind.is_dir());
    is_only.then(|| (only.path(), only.file_name().to_string_lossy().into_owned()))
}

fn of_directory(path: &Path, tree: &Tree<'_>, within: &Path) -> Result<Files, Diagnostic> {
    if tree.required && !path.is_dir() {
        Err(missing(&tree.name))
    } else {
        directory(path, &tree.name, &tree.selection, Some((within, &tree.container())))
    }
}

/// The problem of a checkout that does not exist; it has no place yet.
pub(super) fn missing(name: &str) -> Diagnostic {
    let problem = Diagnostic::error(format!("the directory {} does not exist", quoted(name)));
    problem.help("use the directory of a Kubespray checkout")
}

/// The selected files of a directory, which `name` means. `within` is the directory that no link may lead out of, and what
/// messages call it. The error has no place yet.
pub(super) fn directory(
    root: &Path,
    name: &str,
    selection: &Selection,
    within: Option<(&Path, &str)>,
) -> Result<Files, Diagnostic> {
    let container = within.map(|(_, name)| name);
    let within = within.and_then(|(within, _)| within.canonicalize().ok());
    let mut walk = Walk { root, within, selection, entries: MAX_ENTRIES, bytes: MAX_BYTES, files: Files::new() };
    for path in &selection.paths {
        walk.add_path(path).map_err(|stop| stop.problem(name, container))?;
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
    fn problem(self, name: &str, container: Option<&str>) -> Diagnostic {
        match self {
            Self::DeadLink(path) => dead_link(&path, container),
            Self::TooMuch => {
                let (name, most) = (quoted(name), MAX_BYTES >> 20);
                let problem = format!("more than {MAX_ENTRIES} files and directories, or {most} MiB, in {name}");
                Diagnostic::error(problem)
                    .help("check that it is the right directory, and where its symbolic links lead")
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
            return if self.root.join(path).exists() { self.add(path, &mut Vec::new()) } else { Ok(()) };
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

    /// Adds a file, or the selected files of a directory; `within` is what directories it was found through, without links.
    /// A link that leads back to one of them is not followed: its files are read already.
    fn add(&mut self, relative: &str, within: &mut Vec<PathBuf>) -> Result<(), Stop> {
        let path = self.root.join(relative);
        if !path.is_dir() {
            return self.add_file(relative);
        }
        let real = path.canonicalize().map_err(|_| Stop::DeadLink(relative.to_owned()))?;
        if within.len() > MAX_DEPTH || within.contains(&real) {
            return Ok(());
        }
        within.push(real);
        for name in self.names(relative)? {
            let relative = format!("{relative}/{name}");
            if self.root.join(&relative).is_dir() {
                if !name.starts_with('.') {
                    self.add(&relative, within)?;
                }
            } else if (self.selection.keeps)(&relative) {
                self.add_file(&relative)?;
            }
        }
        within.pop();
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
