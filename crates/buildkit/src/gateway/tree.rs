//! Many files at once, of the build context, of an archive in it, or of a git repository. Owns how directories are walked;
//! does not know what the files are for.

use std::collections::BTreeMap;

use super::context::BuildContext;
use super::git::GitRef;
use super::path::join;
use super::reference::{Content, Reference};
use super::{Error, SolveRequest};
use crate::llb;

/// Directories within one another that are walked.
const MAX_DEPTH: usize = 16;
/// Files that are read of one source.
const MAX_FILES: usize = 2_000;
/// Bytes of them together.
const MAX_BYTES: usize = 64 << 20;

/// Where the files are.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// A directory of the build context.
    Context(&'a str),
    /// A tar archive of the build context, compressed or not; of one with a single directory, what is in that directory.
    Archive(&'a str),
    /// A git repository, as users name one for a build context.
    Git(&'a GitRef),
}

impl BuildContext {
    /// The commit that a git URL leads to now; `None` where the daemon does not tell.
    ///
    /// # Errors
    /// A repository that does not answer.
    pub async fn git_commit(&self, git: &GitRef) -> Result<Option<String>, Error> {
        let name = format!("[internal] resolve git source {git}");
        let meta = self.client.resolve_source_meta(&git.state(false), &name).await?;
        Ok(meta.git.and_then(|git| git.commit().map(str::to_owned)))
    }

    /// Reads the files at or below `paths` of a place, by their path within it, if `wanted`. What is not there is left out.
    ///
    /// # Errors
    /// A repository that cannot be fetched; an archive that cannot be unpacked; too many files.
    pub async fn read_tree(
        &self,
        place: Place<'_>,
        paths: &[String],
        wanted: fn(&str) -> bool,
    ) -> Result<BTreeMap<String, Content>, Error> {
        let (reference, root) = match place {
            Place::Context(folder) => {
                let within: Vec<String> = paths.iter().map(|path| join(folder, path)).collect();
                (self.folders(&within, &format!("[internal] load {}", shown(folder))).await?, self.within(folder))
            }
            Place::Archive(path) => {
                let file = self.file(path, &format!("[internal] load {path}"))?;
                let unpacked = llb::Copy::new(&file, &format!("/{}", self.within(path)), "/").unpack();
                let state = llb::File::scratch().copy(unpacked).state().named(format!("[internal] unpack {path}"));
                let reference = self.client.solve_state(&state).await?;
                let entries = reference.read_dir("/", None).await?;
                let root = match entries.as_slice() {
                    [only] if only.is_dir() && !paths.iter().any(|path| path.starts_with(&only.path)) => {
                        only.path.clone()
                    }
                    _ => String::new(),
                };
                (reference, root)
            }
            Place::Git(git) => {
                let state = git.state(false).named(format!("[internal] load git source {git}"));
                let result = self.client.solve(SolveRequest::new(&state.marshal())).await?;
                let reference = result.reference.ok_or_else(|| Error::new("the repository is empty"))?;
                (reference, String::new())
            }
        };
        let mut found = BTreeMap::new();
        for path in paths {
            walk(&reference, &join(&root, path), path, wanted, &mut found).await?;
        }
        let mut files = BTreeMap::new();
        let mut left = MAX_BYTES;
        for (path, place) in found {
            let content = reference.read_file(&place, self.limit).await?;
            if let Content::Bytes(bytes) = &content {
                let too_much = || Error::new(format!("more than {} MiB of files", MAX_BYTES >> 20));
                left = left.checked_sub(bytes.len()).ok_or_else(too_much)?;
            }
            files.insert(path, content);
        }
        Ok(files)
    }
}

fn shown(folder: &str) -> &str {
    if folder.is_empty() { "the build context" } else { folder }
}

/// Adds the files at or below `place`, as `path`, with their places.
async fn walk(
    reference: &Reference,
    place: &str,
    path: &str,
    wanted: fn(&str) -> bool,
    found: &mut BTreeMap<String, String>,
) -> Result<(), Error> {
    let Some(stat) = reference.stat(place).await? else { return Ok(()) };
    if !stat.is_dir() {
        found.insert(path.to_owned(), place.to_owned());
        return Ok(());
    }
    let mut folders = vec![(place.to_owned(), path.to_owned(), 0)];
    while let Some((place, path, depth)) = folders.pop() {
        for entry in reference.read_dir(&place, None).await? {
            let name = entry.path.rsplit('/').next().unwrap_or_default();
            let (place, path) = (format!("{place}/{name}"), format!("{path}/{name}"));
            if !wanted(&path) && !entry.is_dir() {
                continue;
            }
            if entry.is_dir() {
                if depth < MAX_DEPTH {
                    folders.push((place, path, depth + 1));
                }
            } else {
                found.insert(path, place);
            }
            if found.len() > MAX_FILES {
                return Err(Error::new(format!("more than {MAX_FILES} files in {}", shown(&place_of(found)))));
            }
        }
    }
    Ok(())
}

fn place_of(found: &BTreeMap<String, String>) -> String {
    found.keys().next().and_then(|path| path.rsplit_once('/')).map_or(String::new(), |(folder, _)| folder.to_owned())
}
