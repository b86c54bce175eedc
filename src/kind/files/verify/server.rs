//! A running file server against a lock. Owns what it is asked and what the answers mean; does not know who wants to know.

use std::cell::Cell;
use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};
use percent_encoding::percent_decode_str;

use super::listing::Listing;
use crate::diagnostic::counted;
use crate::kind::files::LockedFile;
use crate::name::{Digest, Hasher};
use crate::report::{AT_ONCE, Kind, Problem, Report};
use crate::web::{self, Failure, Request, Url, Web};

/// The maximum size of a directory listing, in bytes.
const LISTING_BYTES: usize = 16 << 20;
/// The maximum number of directories to read.
const FOLDERS: usize = 20_000;
/// What nginx serves instead of a list.
const INDEX: &str = "index.html";

/// A file server.
#[derive(Debug)]
pub struct FileServer<'a> {
    web: &'a Web,
    base: Url,
    authorization: Option<String>,
}

/// What lies at a URL.
enum Answer {
    Bytes {
        sha256: Digest,
        bytes: u64,
    },
    /// It has more bytes than the lock says.
    Longer,
}

impl<'a> FileServer<'a> {
    /// The server whose files lie below `base`: what Kubespray calls `files_repo`. The error is a fact about the URL.
    pub fn new(
        web: &'a Web,
        base: &str,
        authorization: impl Fn(&Url) -> Result<Option<String>, String>,
    ) -> Result<Self, String> {
        let mut base: Url = base.parse().map_err(|_| "it is not a valid URL".to_owned())?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err("it is not an http or https URL".into());
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(
                "it contains a login, which every user of this machine can read: put the login into ~/.netrc".into()
            );
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err("it is not a directory: it has a query or a fragment".into());
        }
        if !base.path().ends_with('/') {
            let path = format!("{}/", base.path());
            base.set_path(&path);
        }
        let authorization = authorization(&base)?;
        Ok(Self { web, base, authorization })
    }

    /// Reports what differs from the lock. `read` is called with the number of received bytes. The error is why nothing
    /// could be verified.
    pub async fn check(&self, files: &[&LockedFile], read: &impl Fn(u64)) -> Result<Report, String> {
        let mut report = Report { files: files.len(), ..Report::default() };
        let top = match self.page(&self.base).await {
            Err(Failure::Untrusted(why)) => {
                report.problems.push(Problem::new(Kind::Wrong, self.base.as_str(), why));
                return Ok(report);
            }
            Err(Failure::Status { status: status @ (401 | 407), .. }) => {
                let login = if self.authorization.is_some() { "with this login" } else { "without a login" };
                return Err(format!("the server refuses access {login} (status {status})"));
            }
            Err(plain @ Failure::Plain) => {
                let url = self.base.as_str().replacen("https://", "http://", 1);
                return Err(format!("{plain}: if that is intended, write `{url}`"));
            }
            Err(
                failure @ (Failure::Unreachable(_)
                | Failure::Connection(_)
                | Failure::Other(_)
                | Failure::Status { status: 500.., .. }),
            ) => {
                return Err(failure.to_string());
            }
            top => top,
        };
        let files: Vec<(Url, &LockedFile)> = files.iter().map(|file| (self.url_of(file), *file)).collect();
        let known: BTreeSet<String> = files.iter().map(|(url, _)| decoded(url)).collect();
        let asked = stream::iter(files.iter()).map(async |(url, file)| (*file, url, self.hash(url, file, read).await));
        let answers: Vec<_> = asked.buffer_unordered(AT_ONCE).collect().await;
        for (file, url, answer) in answers {
            if let Ok(Answer::Bytes { bytes, .. }) = answer {
                report.bytes += bytes;
            }
            report.problems.extend(judge(file, url, answer));
        }
        self.look_around(top, &known, &mut report).await;
        report.problems.sort();
        report.problems.dedup();
        Ok(report)
    }

    fn url_of(&self, file: &LockedFile) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(file.path.segments());
        }
        url
    }

    async fn page(&self, url: &Url) -> Result<Vec<u8>, Failure> {
        self.ask(url, async |response| web::body(response, LISTING_BYTES).await).await
    }

    async fn hash(&self, url: &Url, file: &LockedFile, read: &impl Fn(u64)) -> Result<Answer, Failure> {
        let longer = Cell::new(false);
        let hashed = self.ask(url, async |response| {
            let mut hasher = Hasher::default();
            web::each_part(response, |part| {
                hasher.update(part);
                longer.set(hasher.bytes() > file.bytes);
                if longer.get() {
                    return Err(Failure::Other("it is longer than the lock says".into()));
                }
                read(part.len() as u64);
                Ok(())
            })
            .await?;
            let (sha256, bytes) = hasher.finish();
            Ok(Answer::Bytes { sha256, bytes })
        });
        match hashed.await {
            Err(_) if longer.get() => Ok(Answer::Longer),
            hashed => hashed,
        }
    }

    async fn ask<T>(
        &self,
        url: &Url,
        mut take: impl AsyncFnMut(&mut web::Response) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let request = Request { authorization: self.authorization.as_deref(), ..Request::get(url) };
        self.web
            .retry(async || {
                let mut response = self.web.send(request).await?;
                web::check(&response)?;
                take(&mut response).await
            })
            .await
    }

    /// Finds files that are not in the lock, directory by directory, as far as the server lists them.
    async fn look_around(&self, top: Result<Vec<u8>, Failure>, known: &BTreeSet<String>, report: &mut Report) {
        let mut pages = vec![(self.base.clone(), top)];
        let (mut seen, mut unlisted) = (1, Vec::new());
        while !pages.is_empty() {
            let mut folders = BTreeSet::new();
            for (folder, page) in pages {
                let Some(listing) = page.ok().and_then(|page| Listing::read(&page, &folder)) else {
                    unlisted.push(folder);
                    continue;
                };
                let extra = listing.files.iter().filter(|url| !known.contains(&decoded(url)));
                report.problems.extend(extra.map(extra_file));
                folders.extend(listing.folders);
            }
            seen += folders.len();
            if seen > FOLDERS {
                report.notes.push(format!(
                    "there are more than {FOLDERS} directories: the others were not checked for extra files"
                ));
                break;
            }
            let asked = stream::iter(folders).map(async |folder| {
                let page = self.page(&folder).await;
                (folder, page)
            });
            pages = asked.buffer_unordered(AT_ONCE).collect().await;
        }
        unlisted.sort();
        for folder in unlisted {
            // A page that somebody put there hides the list, and is itself too much.
            let index = folder.join(INDEX).ok().filter(|url| !known.contains(&decoded(url)));
            if let Some(index) = index
                && self.page(&index).await.is_ok()
            {
                report.problems.push(extra_file(&index));
            }
            report.notes.push(format!("{folder} has no directory listing; extra files there cannot be detected"));
        }
    }
}

/// The path of a URL: servers write the same one in several ways.
fn decoded(url: &Url) -> String {
    percent_decode_str(url.path()).decode_utf8_lossy().into_owned()
}

fn extra_file(url: &Url) -> Problem {
    Problem::new(Kind::Extra, url.as_str(), "the file is not in the lock")
}

fn judge(file: &LockedFile, url: &Url, answer: Result<Answer, Failure>) -> Option<Problem> {
    let (kind, why) = match answer {
        Ok(Answer::Bytes { bytes, .. }) if bytes != file.bytes => {
            (Kind::Wrong, format!("{url} has {} instead of {}", counted(bytes, "byte"), file.bytes))
        }
        Ok(Answer::Bytes { sha256, .. }) if sha256 != file.sha256 => {
            (Kind::Wrong, format!("{url} has the digest {sha256} instead of {}", file.sha256))
        }
        Ok(Answer::Bytes { .. }) => return None,
        Ok(Answer::Longer) => (Kind::Wrong, format!("{url} has more than {}", counted(file.bytes, "byte"))),
        Err(failure) => (Kind::Missing, format!("{url}: {failure}")),
    };
    Some(Problem::new(kind, file.url.as_str(), why))
}
