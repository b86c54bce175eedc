//! Many files at once, of the build context, of an archive in it, or of a git repository. Owns how directories are walked;
//! does not know what the files are for.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::context::BuildContext;
use super::git::GitRef;
use super::path::{clean, join};
use super::reference::{Content, Reference, Stat};
use super::{Error, SolveRequest};
use crate::llb;

/// Directories within one another that are walked.
const MAX_DEPTH: usize = 16;
/// Files that are read of one source.
const MAX_FILES: usize = 2_000;
/// Directories that are looked into. Links among them may lead in circles.
const MAX_DIRECTORIES: usize = 2_000;
/// Targets of links that are asked for.
const MAX_LINKS: usize = 500;
/// Links that lead to one place, as Linux has it.
const MAX_HOPS: usize = 40;
/// Bytes of all files together.
const MAX_BYTES: usize = 64 << 20;
/// Requests that wait for an answer at the same time.
const AT_ONCE: usize = 16;

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

    /// Reads the files at or below `paths` of a place, by their path within it, if `wanted`. The last part of a path may be a
    /// pattern with one `*`, such as `*.yml`: it stands for files, not for directories. Symbolic links are followed, except for
    /// one that leads back to a directory it is found through: its files are read already. What is not there is left out,
    /// except for a link that leads nowhere, or out of the build context: that is [`Content::Absent`].
    ///
    /// # Errors
    /// A repository that cannot be fetched; an archive that cannot be unpacked; too many files.
    pub async fn read_tree(
        &self,
        place: Place<'_>,
        paths: &[String],
        wanted: fn(&str) -> bool,
    ) -> Result<BTreeMap<String, Content>, Error> {
        let mut targets = BTreeSet::new();
        let walk = loop {
            let (reference, root) = self.tree(place, paths, &targets).await?;
            let mut walk =
                Walk { reference, wanted, found: BTreeMap::new(), lost: BTreeSet::new(), directories: MAX_DIRECTORIES };
            for path in paths {
                walk.add(&join(&root, path), path).await?;
            }
            let before = targets.len();
            if matches!(place, Place::Context(_)) {
                // The client sends what it is asked for, and follows no link below that.
                targets.append(&mut walk.lost);
            }
            if targets.len() == before || targets.len() > MAX_LINKS {
                break walk;
            }
        };
        let mut files = BTreeMap::new();
        let mut left = MAX_BYTES;
        let read = stream::iter(walk.found).map(async |(path, place)| {
            let content = walk.reference.read_file(&place, self.limit).await?;
            Ok::<_, Error>((path, content))
        });
        let mut read = pin!(read.buffered(AT_ONCE));
        while let Some((path, content)) = read.try_next().await? {
            if let Content::Bytes(bytes) = &content {
                let too_much = || Error::new(format!("more than {} MiB of files", MAX_BYTES >> 20));
                left = left.checked_sub(bytes.len()).ok_or_else(too_much)?;
            }
            files.insert(path, content);
        }
        Ok(files)
    }

    /// What holds `paths` of a place, and `targets` of links in it, and the place's own path there.
    async fn tree(
        &self,
        place: Place<'_>,
        paths: &[String],
        targets: &BTreeSet<String>,
    ) -> Result<(Reference, String), Error> {
        Ok(match place {
            Place::Context(folder) => {
                let root = self.within(folder);
                let paths: Vec<String> = paths.iter().map(|path| join(&root, path)).collect();
                let progress = format!("[internal] load {}", shown(folder));
                (self.folders(&paths, targets, &progress).await?, root)
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
                (result.reference.ok_or_else(|| Error::new("the repository is empty"))?, String::new())
            }
        })
    }
}

/// Whether a file name matches a pattern: one with `*` somewhere, which stands for any text, or the name itself.
pub fn is_match(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => name.strip_prefix(start).is_some_and(|rest| rest.ends_with(end)),
        None => name == pattern,
    }
}

fn shown(folder: &str) -> &str {
    if folder.is_empty() { "the build context" } else { folder }
}

/// A walk through the directories of a reference.
struct Walk {
    reference: Reference,
    wanted: fn(&str) -> bool,
    /// Where each file is, by its path.
    found: BTreeMap<String, String>,
    /// The targets of links that are not in the reference.
    lost: BTreeSet<String>,
    /// How many directories may still be looked into.
    directories: usize,
}

impl Walk {
    /// Adds the files at or below `place`, as `path`.
    async fn add(&mut self, place: &str, path: &str) -> Result<(), Error> {
        let (folder, name) = place.rsplit_once('/').unwrap_or(("", place));
        if name.contains('*') {
            let path = path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
            return self.matching(folder, name, &path).await;
        }
        let Some(stat) = self.reference.stat(place).await? else { return Ok(()) };
        if !stat.is_dir() {
            self.found.insert(path.to_owned(), place.to_owned());
            return Ok(());
        }
        let mut level = vec![(place.to_owned(), path.to_owned(), vec![self.real(place).await?])];
        while !level.is_empty() {
            let left = self.directories.checked_sub(level.len());
            self.directories =
                left.ok_or_else(|| Error::new(format!("more than {MAX_DIRECTORIES} directories in {}", shown(place))))?;
            let listed = stream::iter(std::mem::take(&mut level)).map(async |folder| {
                let entries = self.reference.read_dir(&folder.0, None).await?;
                Ok::<_, Error>((folder, entries))
            });
            let listed: Vec<_> = listed.buffered(AT_ONCE).try_collect().await?;
            let entries = listed
                .into_iter()
                .flat_map(|(folder, entries)| entries.into_iter().map(move |entry| (folder.clone(), entry)));
            for ((place, path, within), entry) in entries {
                let name = entry.path.rsplit('/').next().unwrap_or_default();
                let (place, path) = (format!("{place}/{name}"), format!("{path}/{name}"));
                let is_folder = self.is_folder(&entry, &place).await?;
                if is_folder && within.len() <= MAX_DEPTH {
                    let real = join(within.last().map_or("", String::as_str), name);
                    let real = if entry.is_symlink() { self.real(&real).await? } else { real };
                    if !within.contains(&real) {
                        level.push((place, path, [within.as_slice(), &[real]].concat()));
                    }
                } else if !is_folder && (self.wanted)(&path) {
                    self.found.insert(path, place);
                }
                if self.found.len() > MAX_FILES {
                    let folder = place_of(&self.found);
                    return Err(Error::new(format!("more than {MAX_FILES} files in {}", shown(&folder))));
                }
            }
        }
        Ok(())
    }

    /// The path of a place that has no link in it.
    async fn real(&self, place: &str) -> Result<String, Error> {
        let mut real = String::new();
        let mut ahead: Vec<String> = clean(place).rsplit('/').map(str::to_owned).collect();
        let mut hops = MAX_HOPS;
        while let Some(name) = ahead.pop() {
            let entries = self.reference.read_dir(&real, None).await?;
            let link = entries.iter().find(|entry| entry.is_symlink() && entry.path.rsplit('/').next() == Some(&name));
            match link {
                Some(entry) if hops > 0 => {
                    hops -= 1;
                    ahead.extend(target(&real, &entry.link).rsplit('/').map(str::to_owned));
                    real.clear();
                }
                _ => real = join(&real, &name),
            }
        }
        Ok(real)
    }

    /// Adds the files of a directory that match a pattern; `before` is what their paths begin with.
    async fn matching(&mut self, folder: &str, pattern: &str, before: &str) -> Result<(), Error> {
        if self.reference.stat(folder).await?.is_none_or(|stat| !stat.is_dir()) {
            return Ok(());
        }
        for entry in self.reference.read_dir(folder, Some(pattern)).await? {
            let name = entry.path.rsplit('/').next().unwrap_or_default();
            let place = join(folder, name);
            if !self.is_folder(&entry, &place).await? {
                self.found.insert(format!("{before}{name}"), place);
            }
        }
        Ok(())
    }

    /// Whether an entry is a directory, or a link to one. What a link leads to in vain is noted.
    async fn is_folder(&mut self, entry: &Stat, place: &str) -> Result<bool, Error> {
        if !entry.is_symlink() {
            return Ok(entry.is_dir());
        }
        let stat = self.reference.stat(place).await?;
        if stat.is_none() {
            let folder = place.rsplit_once('/').map_or("", |(folder, _)| folder);
            self.lost.insert(target(folder, &entry.link));
        }
        Ok(stat.is_some_and(|stat| stat.is_dir()))
    }
}

/// Where a link in a directory leads, from the root that an absolute link begins at. No link leads above that.
fn target(folder: &str, link: &str) -> String {
    if link.starts_with('/') { clean(link) } else { clean(&format!("{folder}/{link}")) }
}

fn place_of(found: &BTreeMap<String, String>) -> String {
    found.keys().next().and_then(|path| path.rsplit_once('/')).map_or(String::new(), |(folder, _)| folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_from_their_folder() {
        assert_eq!(target("a/b", "c"), "a/b/c");
        assert_eq!(target("/a/b/", "../c//d/."), "a/c/d");
        assert_eq!(target("a", "../../../c"), "c");
        assert_eq!(target("a/b", "/c"), "c");
    }

    #[test]
    fn a_pattern_has_one_star() {
        assert!(is_match("*.yml", "a.yml") && is_match("*.yml", ".yml") && is_match("hosts*", "hosts"));
        assert!(!is_match("*.yml", "a.yaml") && !is_match("a*a", "a") && !is_match("hosts", "hosts.ini"));
    }
}
