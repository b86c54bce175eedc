//! A running registry against a lock. Owns what it is asked and what the answers mean; does not know who wants to know.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use futures_util::{StreamExt, stream};

use super::{held_architectures, notes};
use crate::diagnostic::counted;
use crate::kind::images::LockedImage;
use crate::kind::images::expected::{Expected, Role};
use crate::name::{Arch, Digest, Repository, ServedName};
use crate::registry::{Client, Endpoint, Failure, Login};
use crate::report::{AT_ONCE, Kind, Problem, Report, named};
use crate::web;

/// A registry.
#[derive(Debug)]
pub struct RegistryServer<'a> {
    /// How it is asked.
    pub client: &'a Client,
    /// Where it is.
    pub endpoint: &'a Endpoint,
}

/// What a registry is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    /// A manifest or an index, by tag or digest.
    Document(Repository, String),
    /// All bytes of a blob.
    Blob(Repository, Digest),
    /// Whether a repository has a blob, too, whose bytes were read from another.
    Has(Repository, Digest),
}

/// What a registry has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    /// What the bytes hash to; `None` where they were not read.
    sha256: Option<Digest>,
    bytes: u64,
}

type Answers = BTreeMap<Question, Result<Found, Failure>>;

/// What an answer must be.
struct Want {
    digest: Digest,
    /// Of a blob, in bytes.
    bytes: Option<u64>,
    /// The description in messages: `the tag`.
    what: String,
    /// The images that need it.
    images: BTreeSet<String>,
}

impl RegistryServer<'_> {
    /// What is not as the lock says. As in a storage: each architecture of which the registry has anything must be complete,
    /// and `architecture` in any case. `read` is called with the number of received bytes. The error is why nothing could be
    /// verified.
    pub async fn check(
        &self,
        images: &[&LockedImage],
        architecture: Option<Arch>,
        read: &impl Fn(u64),
    ) -> Result<Report, String> {
        let mut report = Report { images: images.len(), ..Report::default() };
        let catalog = match self.client.catalog(self.endpoint).await {
            Err(Failure::Web(web::Failure::Untrusted(why))) => {
                report.problems.push(Problem::new(Kind::Wrong, self.endpoint.domain(), why));
                return Ok(report);
            }
            Err(Failure::Web(plain @ web::Failure::Plain)) => {
                return Err(format!("{plain}: if that is intended, write `http://{}`", self.endpoint.domain()));
            }
            Err(Failure::Web(
                web::Failure::Unreachable(why) | web::Failure::Connection(why) | web::Failure::Other(why),
            )) => return Err(why),
            catalog => catalog,
        };
        // First the manifests: they tell which architectures the registry is for.
        let manifests = served(images).flat_map(|(image, name)| {
            let held = image.resolved.manifests().iter();
            held.map(|held| Question::Document(name.repository.clone(), held.text.digest.to_string()))
        });
        let mut answers = self.ask(manifests.collect(), read).await;
        let holds = |repository: &Repository, digest: &Digest| {
            let question = Question::Document(repository.clone(), digest.to_string());
            answers.get(&question).is_some_and(Result::is_ok)
        };
        let architectures = held_architectures(images, architecture, holds);
        let wanted = wanted(images, &architectures);
        let questions = wanted.keys().filter(|question| !answers.contains_key(question)).cloned();
        answers.extend(self.ask(questions.collect(), read).await);
        if let Some(refused) = refused(&answers) {
            return Err(refused.to_string());
        }
        let found = answers.values().flatten().filter(|found| found.sha256.is_some());
        report.bytes = found.map(|found| found.bytes).sum();
        report
            .problems
            .extend(wanted.iter().filter_map(|(question, want)| want.judge(question, answers.get(question)?)));
        self.look_around(images, catalog, &mut report).await;
        report.notes.extend(notes(images));
        report.problems.sort();
        Ok(report)
    }

    async fn ask(&self, questions: BTreeSet<Question>, read: &impl Fn(u64)) -> Answers {
        let asked = stream::iter(questions).map(async |question| {
            let answer = self.answer(&question, read).await;
            (question, answer)
        });
        asked.buffer_unordered(AT_ONCE).collect().await
    }

    async fn answer(&self, question: &Question, read: &impl Fn(u64)) -> Result<Found, Failure> {
        let Self { client, endpoint } = self;
        match question {
            Question::Document(repository, reference) => {
                let bytes = client.manifest_at(endpoint, repository.as_str(), reference).await?;
                read(bytes.len() as u64);
                Ok(Found { sha256: Some(Digest::of(&bytes)), bytes: bytes.len() as u64 })
            }
            Question::Blob(repository, digest) => {
                let (sha256, bytes) = client.hash_blob(endpoint, repository.as_str(), digest, read).await?;
                Ok(Found { sha256: Some(sha256), bytes })
            }
            Question::Has(repository, digest) => {
                let bytes = client.blob_bytes(endpoint, repository.as_str(), digest).await?;
                Ok(Found { sha256: None, bytes })
            }
        }
    }

    /// Looks for what the lock does not name: repositories, and tags of those that it names.
    async fn look_around(
        &self,
        images: &[&LockedImage],
        catalog: Result<BTreeSet<String>, Failure>,
        report: &mut Report,
    ) {
        let mut known = BTreeMap::<&str, BTreeSet<&str>>::new();
        for (_, name) in served(images) {
            known.entry(name.repository.as_str()).or_default().extend(name.tag.as_deref());
        }
        match catalog {
            Ok(catalog) => {
                let extra = catalog.iter().filter(|repository| !known.contains_key(repository.as_str()));
                report
                    .problems
                    .extend(extra.map(|name| Problem::new(Kind::Extra, name, "the repository is not in the lock")));
            }
            Err(failure) => {
                let why = match failure {
                    Failure::NotFound => "the registry has no catalog (status 404)".to_owned(),
                    other => other.to_string(),
                };
                report.notes.push(format!("cannot list repositories, so extra repositories are not detected: {why}"));
            }
        }
        let asked = stream::iter(known.iter())
            .map(async |(repository, tags)| (*repository, tags, self.client.tags(self.endpoint, repository).await));
        let mut listed: Vec<_> = asked.buffer_unordered(AT_ONCE).collect().await;
        listed.sort_by_key(|(repository, ..)| *repository);
        for (repository, tags, listed) in listed {
            match listed {
                Ok(listed) => {
                    let extra = listed.iter().filter(|tag| !tags.contains(tag.as_str()));
                    let why = "the tag is not in the lock";
                    report
                        .problems
                        .extend(extra.map(|tag| Problem::new(Kind::Extra, format!("{repository}:{tag}"), why)));
                }
                Err(failure) => {
                    report
                        .notes
                        .push(format!("cannot list tags of {repository}, so extra tags are not detected: {failure}"));
                }
            }
        }
    }
}

/// Every image with every name that it is served under.
fn served<'a>(images: &[&'a LockedImage]) -> impl Iterator<Item = (&'a LockedImage, &'a ServedName)> {
    images.iter().copied().flat_map(|image| image.served.iter().map(move |name| (image, name)))
}

/// The refusal, where nothing was answered but refusals: then nothing is proved.
fn refused(answers: &Answers) -> Option<&Failure> {
    let refusals = answers.values().map(|answer| answer.as_ref().err().filter(|failure| is_refusal(failure)));
    refusals.collect::<Option<Vec<_>>>()?.first().copied()
}

fn is_refusal(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused { login: Login::None | Login::Sent | Login::Unavailable(_), .. })
}

/// Everything that must be there for these architectures.
fn wanted(images: &[&LockedImage], architectures: &BTreeSet<Arch>) -> BTreeMap<Question, Want> {
    let mut all = Wanted::default();
    for (image, name) in served(images) {
        all.image(image, name, &image.resolved.expected(architectures));
    }
    all.wanted
}

#[derive(Default)]
struct Wanted {
    wanted: BTreeMap<Question, Want>,
    /// The repository that each blob is read from.
    read: BTreeMap<Digest, Repository>,
}

impl Wanted {
    fn image(&mut self, image: &LockedImage, name: &ServedName, documents: &[Expected<'_>]) {
        let (reference, repository) = (image.reference().as_str(), &name.repository);
        if let (Some(top), Some(tag)) = (documents.first(), &name.tag) {
            self.document(reference, repository, tag, &top.text.digest, &format!("the tag {repository}:{tag}"));
        }
        for document in documents {
            let what = match document.role {
                Role::Index => "index",
                Role::Manifest(_) => "manifest",
                Role::Attestation => "attestation",
            };
            let digest = &document.text.digest;
            self.document(reference, repository, digest.as_str(), digest, &format!("the {what} {digest}"));
            for blob in document.blobs() {
                self.blob(reference, repository, &blob.digest, blob.bytes);
            }
        }
    }

    fn document(&mut self, image: &str, repository: &Repository, reference: &str, digest: &Digest, what: &str) {
        let question = Question::Document(repository.clone(), reference.to_owned());
        self.want(image, question, digest, None, what.to_owned());
    }

    fn blob(&mut self, image: &str, repository: &Repository, digest: &Digest, bytes: u64) {
        let from = self.read.entry(digest.clone()).or_insert_with(|| repository.clone()).clone();
        let what = format!("the blob {digest}");
        if from != *repository {
            let question = Question::Has(repository.clone(), digest.clone());
            self.want(image, question, digest, Some(bytes), what.clone());
        }
        // Wrong bytes are wrong for all who have them.
        self.want(image, Question::Blob(from, digest.clone()), digest, Some(bytes), what);
    }

    fn want(&mut self, image: &str, question: Question, digest: &Digest, bytes: Option<u64>, what: String) {
        let (digest, images) = (digest.clone(), BTreeSet::new());
        let want = self.wanted.entry(question).or_insert(Want { digest, bytes, what, images });
        want.images.insert(image.to_owned());
    }
}

impl Want {
    fn judge(&self, question: &Question, answer: &Result<Found, Failure>) -> Option<Problem> {
        let what = &self.what;
        let (kind, why) = match answer {
            Err(Failure::NotFound) => (Kind::Missing, format!("{what} is not in {question}")),
            Err(failure) => (Kind::Missing, format!("{what} cannot be fetched from {question}: {failure}")),
            Ok(Found { sha256: Some(found), .. }) if *found != self.digest => {
                let tag = matches!(question, Question::Document(_, tag) if !tag.contains(':'));
                let why = format!("{what} {} {found}", if tag { "points to" } else { "has the digest" });
                (Kind::Wrong, if tag { format!("{why} instead of {}", self.digest) } else { why })
            }
            Ok(Found { bytes, .. }) => match self.bytes {
                Some(wanted) if wanted != *bytes => {
                    (Kind::Wrong, format!("{what} has {} instead of {wanted}", counted(*bytes, "byte")))
                }
                _ => return None,
            },
        };
        Some(Problem::new(kind, named(&self.images), why))
    }
}

impl fmt::Display for Question {
    /// The repository.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document(repository, _) | Self::Blob(repository, _) | Self::Has(repository, _) => {
                fmt::Display::fmt(repository, f)
            }
        }
    }
}
