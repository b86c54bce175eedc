//! The checksum of a file that was fetched: what its bytes hash to, and whether the server says the same next to it. Owns where
//! that may stand; does not know how anything is asked for.

use crate::artifact::Artifact;
use crate::diagnostic::Diagnostic;
use crate::name::{Digest, FileUrl};

/// What is known of a file that was fetched or asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileAnswer {
    /// What its bytes hash to.
    pub sha256: Digest,
    /// Its size in bytes.
    pub bytes: u64,
    /// Whether a `.sha256` file next to it has the same checksum.
    pub vouched: bool,
}

impl FileAnswer {
    /// The answer for a file whose bytes were read. `said` is what the `.sha256` next to it says, if there is one.
    pub fn judge(file: &Artifact, sha256: Digest, bytes: u64, said: Option<&Digest>) -> Result<Self, Diagnostic> {
        match said {
            Some(said) if *said != sha256 => {
                let problem = Diagnostic::error(format!(
                    "{} has {sha256}, but the `.sha256` file next to it says {said}",
                    file.name()
                ));
                let problem = problem.at(file.spans.first().cloned());
                Err(problem.help("if the file is correct, pin it with `sha256:` next to its `url:`"))
            }
            said => Ok(Self { sha256, bytes, vouched: said.is_some() }),
        }
    }
}

/// The URL where a checksum of the file may be: the same with `.sha256` appended.
pub fn checksum_url(url: &FileUrl) -> Option<FileUrl> {
    let named = url.query().is_none() && !url.path().ends_with('/');
    named.then(|| format!("{url}.sha256").parse().ok()).flatten()
}

/// The digest that a checksum file has: of one file, the digits alone or as `sha256sum` prints them.
pub fn checksum_of(text: &[u8]) -> Option<Digest> {
    let mut lines = std::str::from_utf8(text).ok()?.lines().filter(|line| !line.trim().is_empty());
    let (line, None) = (lines.next()?, lines.next()) else { return None };
    line.split_whitespace().next()?.parse().ok()
}
