//! The definition that a command is given, and the files that it names. Owns how they are read from directories; does not know
//! what is done with them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use futures_util::FutureExt as _;

use super::disk::Disk;
use super::reach::Reach;
use super::shown;
use crate::decode::ListText;
use crate::definition::{Definition, MAX_DEFINITION_BYTES, MAX_LIST_BYTES, Spec};
use crate::diagnostic::hints::CREATE_IT;
use crate::diagnostic::{Diagnostic, Source, Unreadable, quoted};
use crate::lock::{self, Lock, LockFile, MAX_LOCK_BYTES};
use crate::producer::kubespray::{LockedKubespray, LockedRelease};

/// The arguments that name a definition.
#[derive(Debug, Args)]
pub(super) struct Input {
    /// The definition; `-` reads the standard input
    #[arg(default_value = "kso.yaml")]
    pub(super) file: PathBuf,
    /// The build context; the paths of lists are relative to it
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(super) context: PathBuf,
    /// A build argument, as in `docker buildx build`; without a value, it is read from the environment
    #[arg(long = "build-arg", value_name = "NAME=VALUE")]
    pub(super) build_args: Vec<String>,
}

/// A definition as it was read.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) spec: Spec,
    pub(super) source: Arc<Source>,
    /// Where the lock lies, or would.
    pub(super) lock_path: PathBuf,
    /// The lock, if it is used and there is one.
    pub(super) lock: Option<LockFile>,
    /// What the lists of Kubespray were rendered from, if they were.
    pub(super) kubespray: Option<LockedKubespray>,
}

/// Reads a definition and its lists from files. `None` where nothing in the definition is usable; what is wrong stands
/// in `diagnostics`. `build_args` are those of the command line: `NAME=VALUE`.
pub fn load(file: &Path, context: &Path, build_args: Vec<String>, diagnostics: &mut Vec<Diagnostic>) -> Option<Spec> {
    let input = Input { file: file.to_owned(), context: context.to_owned(), build_args };
    Some(input.load(Reach::Files, UseLock::Never, diagnostics)?.spec)
}

/// Whether the lists of Kubespray are those of a lock, as in a build.
#[derive(Debug, Clone, Copy)]
pub(super) enum UseLock<'a> {
    /// The lock is not read.
    Never,
    /// That of the definition, if it exists.
    OfDefinition,
    /// The one with this path, which must exist.
    At(&'a Path),
}

impl Input {
    /// The build arguments by name. One without a value is ignored if the environment lacks it.
    pub(super) fn build_args(&self) -> BTreeMap<String, String> {
        let pair = |text: &String| match text.split_once('=') {
            Some((name, value)) => Some((name.to_owned(), value.to_owned())),
            None => Some((text.clone(), std::env::var(text).ok()?)),
        };
        self.build_args.iter().filter_map(pair).collect()
    }

    /// Reads the definition, and what it names.
    pub(super) fn load(
        &self,
        reach: Reach,
        use_lock: UseLock<'_>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<Loaded> {
        let name = shown(&self.file);
        let text = if self.file == Path::new("-") {
            read(&name, &mut io::stdin(), MAX_DEFINITION_BYTES)
        } else {
            read_file(&name, &self.file, MAX_DEFINITION_BYTES)
        };
        let source = match text {
            Ok(Some(source)) => source,
            Ok(None) => {
                let problem = Diagnostic::error(format!("the file {} does not exist", quoted(&name)));
                diagnostics.push(problem.help("give the path of the definition: `kso check path/to/kso.yaml`"));
                return None;
            }
            Err(why) => {
                let problem = format!("the definition {} cannot be read: it {why}", quoted(&name));
                diagnostics.push(Diagnostic::error(problem));
                return None;
            }
        };
        let mut definition = Definition::parse_with(&source, &self.build_args(), diagnostics)?;
        if !self.context.is_dir() {
            let problem =
                Diagnostic::error(format!("the build context {} is not a directory", quoted(&shown(&self.context))));
            diagnostics.push(problem.help("set the directory that the lists' paths are relative to: `--context DIR`"));
            return None;
        }
        let mut lists = BTreeMap::<String, ListText>::new();
        for name in definition.lists().into_iter().chain(definition.unwanted_lists()) {
            match read_list(&name, &self.context) {
                Ok(Some(source)) => drop(lists.insert(name, Ok(source))),
                Ok(None) => {}
                Err(why) => drop(lists.insert(name, Err(why))),
            }
        }
        let disk = Disk::new(&self.context, reach);
        let lock_path = self.lock_path(&definition);
        let lock = match use_lock {
            UseLock::Never => Ok(None),
            UseLock::OfDefinition => read_lock(&lock_path),
            UseLock::At(path) => existing_lock(path).map(Some),
        };
        let lock = lock.map_err(|problems| diagnostics.extend(problems)).ok().flatten();
        let locked = lock.as_ref().and_then(LockFile::kubespray);
        let locked = locked.as_ref().map(|(entry, place)| LockedRelease { entry, place, renders: true });
        // A disk answers at once: nothing is ever awaited.
        let found = definition.produce(&disk, &source, locked, diagnostics).now_or_never().flatten();
        let kubespray = found.map(|found| found.locked);
        Some(Loaded { spec: definition.expand(&lists, diagnostics), source, lock_path, lock, kubespray })
    }

    /// Where the lock lies: where the definition says, or else next to it.
    fn lock_path(&self, definition: &Definition) -> PathBuf {
        match definition.lock() {
            Some(named) => self.context.join(named.value.as_str()),
            None if self.file == Path::new("-") => self.context.join("kso.lock"),
            None => lock::path_beside(&self.file.to_string_lossy()).into(),
        }
    }
}

/// The lock at a path, which must exist.
pub(super) fn existing_lock(path: &Path) -> Result<LockFile, Vec<Diagnostic>> {
    read_lock(path)?.ok_or_else(|| {
        vec![Diagnostic::error(format!("the lock {} does not exist", quoted(&shown(path)))).help(CREATE_IT)]
    })
}

/// The lock at a path; `None` where there is none.
fn read_lock(path: &Path) -> Result<Option<LockFile>, Vec<Diagnostic>> {
    let name = shown(path);
    match read_file(&name, path, MAX_LOCK_BYTES) {
        Ok(source) => source.as_ref().map(Lock::read).transpose(),
        Err(why) => Err(vec![Diagnostic::error(format!("the lock {} cannot be read: it {why}", quoted(&name)))]),
    }
}

/// The text of a list, which must be what a build would find: a regular file that no link leads out of the context to.
fn read_list(name: &str, context: &Path) -> Result<Option<Arc<Source>>, Unreadable> {
    let path = context.join(name);
    if let (Ok(root), Ok(found)) = (context.canonicalize(), path.canonicalize()) {
        if !found.starts_with(&root) {
            return Err(Unreadable::OutOfContext);
        }
        // Looked at before it is opened: opening a pipe waits for whoever writes.
        if found.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            return Err(Unreadable::NotRegular);
        }
    }
    read_file(name, &path, MAX_LIST_BYTES)
}

/// The text of a file; `None` where there is none.
pub(super) fn read_file(name: &str, path: &Path, max_bytes: usize) -> Result<Option<Arc<Source>>, Unreadable> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(&error)),
    };
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(Unreadable::Directory);
    }
    read(name, &mut file, max_bytes)
}

fn read(name: &str, from: &mut dyn Read, max_bytes: usize) -> Result<Option<Arc<Source>>, Unreadable> {
    let mut bytes = Vec::new();
    // One byte more than allowed is enough to know.
    let limit = u64::try_from(max_bytes).map_or(u64::MAX, |max| max.saturating_add(1));
    from.take(limit).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    Source::from_bytes(name, bytes, max_bytes).map(Some)
}

fn unreadable(error: &io::Error) -> Unreadable {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Unreadable::Denied,
        io::ErrorKind::IsADirectory => Unreadable::Directory,
        _ => Unreadable::Failed(error.to_string()),
    }
}
