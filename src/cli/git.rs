//! A git repository on disk, by the program `git`, with the user's own settings and credentials. Owns the temporary directory
//! that it lies in; does not know what is in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use buildkit::gateway::GitRef;
use tempfile::TempDir;

use crate::diagnostic::{Diagnostic, quoted};

/// One commit of a repository, in a directory that is removed with it.
pub(super) struct Clone {
    folder: TempDir,
    subdir: String,
    commit: String,
}

impl Clone {
    /// The directory that the URL means.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join(&self.subdir)
    }

    /// The commit, in hex digits.
    pub(super) fn commit(&self) -> &str {
        &self.commit
    }
}

/// Fetches what a URL means: `https://host/repo.git#ref:folder`.
pub(super) fn clone(git: &GitRef) -> Result<Clone, Diagnostic> {
    let problem = |why: String| Diagnostic::error(format!("cannot read {}: {why}", quoted(&git.to_string())));
    let folder = tempfile::Builder::new().prefix("kso-git-").tempdir().map_err(|error| problem(error.to_string()))?;
    let mut clone = Clone { folder, subdir: git.subdir().to_owned(), commit: String::new() };
    let reference = if git.reference().is_empty() { "HEAD" } else { git.reference() };
    let steps: [&[&str]; 3] = [
        &["init", "--quiet"],
        &["fetch", "--quiet", "--depth=1", "--no-tags", "--", git.remote(), reference],
        &["checkout", "--quiet", "FETCH_HEAD"],
    ];
    for step in steps {
        run(clone.folder.path(), step).map_err(problem)?;
    }
    run(clone.folder.path(), &["rev-parse", "HEAD"]).map_err(problem)?.trim().clone_into(&mut clone.commit);
    Ok(clone)
}

/// What git prints, or why it failed.
fn run(folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let done = Command::new("git").arg("-C").arg(folder).args(arguments).output();
    let done = done.map_err(|error| format!("the program `git` cannot be run: {error}"))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(said.lines().last().unwrap_or("git failed").trim_start_matches("fatal: ").to_owned())
}
