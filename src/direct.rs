//! The world over HTTPS, without BuildKit: what `kso lock` asks registries and file servers for. Owns how a file is read
//! and hashed; does not know what is done with the answers.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{join_all, join3};
use sha2::{Digest as _, Sha256};

use crate::diagnostic::Diagnostic;
use crate::fetch::{self, Attempt, Failure, Fetcher, Limits, Throttle};
use crate::lock::{self, FileAnswer, LockedBase};
use crate::oci::{MAX_DOCUMENT_BYTES, check_digest};
use crate::registry::{self, Client};
use crate::resolve::image::{Blobs, Kind, Missing, Resolved, Wanted};
use crate::resolve::images::{Registries, Run, Why, problem};
use crate::resolve::{self, Base, Resolver};
use crate::spec::{Arch, Digest, FileUrl, Image, ImageRef, Spec};
use crate::web::{self, Request, Url, Web};

/// How much at once. The client tries again by itself, and waits for as long as a server says.
const LIMITS: Limits = Limits { total: 32, per_host: 8, tries: 1, pause: std::time::Duration::ZERO };
/// The largest checksum file that is read, in bytes.
const CHECKSUM_BYTES: usize = 4 << 10;

/// Is told how it goes on.
pub trait Watch {
    /// So many bytes of files were read.
    fn bytes(&self, bytes: u64);
    /// An entry is done, or lost.
    fn done(&self);
}

/// Asks for what a specification names.
pub struct World<'a> {
    web: Web,
    client: Client,
    watch: &'a dyn Watch,
    throttle: Throttle,
    known: RefCell<Blobs>,
}

/// What is to be asked for.
#[derive(Debug, Default)]
pub struct Question<'a> {
    /// The base images.
    pub bases: Vec<&'a ImageRef>,
    /// The files: their indexes in the specification.
    pub files: Vec<usize>,
    /// The container images.
    pub images: Vec<&'a Image>,
}

/// What was found. What is missing in it has a problem.
#[derive(Debug, Default)]
pub struct Found {
    /// The base images.
    pub bases: Vec<LockedBase>,
    /// The files, by their indexes in the specification.
    pub files: BTreeMap<usize, FileAnswer>,
    /// The container images.
    pub images: BTreeMap<ImageRef, Resolved>,
    /// Why others were not found.
    pub problems: Vec<Diagnostic>,
}

impl<'a> World<'a> {
    /// Asks over `web`, registries by `client`.
    pub fn new(web: Web, client: Client, watch: &'a dyn Watch) -> Self {
        Self { web, client, watch, throttle: Throttle::new(&LIMITS), known: RefCell::default() }
    }

    /// Asks for all of it at once.
    pub async fn ask(&self, spec: &Spec, question: &Question<'_>) -> Found {
        let mut found = Found::default();
        let (bases, (files, mut lost), images) = join3(
            self.bases(spec, &question.bases),
            self.files(spec, &question.files),
            self.images(spec, &question.images),
        )
        .await;
        for base in bases {
            match base {
                Ok(base) => found.bases.push(base),
                Err(problems) => found.problems.extend(problems),
            }
        }
        found.files = files;
        found.problems.append(&mut lost);
        for image in images {
            match image {
                Ok(image) => drop(found.images.insert(image.reference().clone(), image)),
                Err(problem) => found.problems.push(problem),
            }
        }
        found
    }

    async fn bases(&self, spec: &Spec, wanted: &[&ImageRef]) -> Vec<Result<LockedBase, Vec<Diagnostic>>> {
        let (platforms, places) = (lock::platforms(spec), lock::bases(spec));
        join_all(wanted.iter().map(async |reference| {
            let span = places.get(*reference).and_then(Option::as_ref);
            let bases = resolve::bases(reference, span, &platforms, self).await;
            self.watch.done();
            LockedBase::of(reference, bases?).map_err(|why| {
                let problem = Diagnostic::error(format!("the base image {reference} {why}"));
                vec![span.into_iter().cloned().fold(problem, Diagnostic::at)]
            })
        }))
        .await
    }

    async fn images(&self, spec: &Spec, wanted: &[&Image]) -> Vec<Result<Resolved, Diagnostic>> {
        let run = self.run(spec.registry.attestations);
        join_all(wanted.iter().map(async |image| {
            let resolved = run.image(&image.reference, &image.architectures).await;
            self.watch.done();
            resolved.map_err(|why| problem(image, &why))
        }))
        .await
    }

    fn run(&self, attestations: bool) -> Run<'_, Self> {
        Run { registries: self, limits: &LIMITS, throttle: &self.throttle, attestations }
    }

    async fn files(&self, spec: &Spec, wanted: &[usize]) -> (BTreeMap<usize, FileAnswer>, Vec<Diagnostic>) {
        let files = Files { world: self, spec, wanted, read: RefCell::default() };
        let sources = wanted.iter().map(|at| spec.candidates(&spec.files[*at])).collect();
        let lost = fetch::fetch(sources, &files, &LIMITS, true).await.err().unwrap_or_default();
        // Their indexes are those of what was asked for.
        let lost = lost.into_iter().map(|lost| fetch::Lost { item: wanted[lost.item], ..lost }).collect::<Vec<_>>();
        let mut problems = fetch::problems(spec, &lost);
        let mut answers = BTreeMap::new();
        let read = files.read.into_inner();
        let judged = read.into_iter().map(async |(at, Read { sha256, bytes, source })| {
            let file = &spec.files[at];
            let said = if file.sha256.is_some() { None } else { self.checksum_beside(&source).await };
            (at, FileAnswer::judge(file, sha256, bytes, said.as_ref()))
        });
        for (at, answer) in join_all(judged).await {
            match answer {
                Ok(answer) => drop(answers.insert(at, answer)),
                Err(problem) => problems.push(problem),
            }
        }
        (answers, problems)
    }

    /// What the `.sha256` beside a file says, if there is one.
    async fn checksum_beside(&self, source: &FileUrl) -> Option<Digest> {
        let url = lock::checksum_url(source)?;
        let address: Url = url.as_str().parse().ok()?;
        let text = fetch::persist(&LIMITS, &self.throttle, url.authority().to_owned(), async |_| {
            let read = self.web.persist(async || {
                let mut response = self.web.send(Request::get(&address)).await?;
                web::check(&response)?;
                web::body(&mut response, CHECKSUM_BYTES).await
            });
            read.await.map_err(plain)
        });
        lock::checksum_of(&text.await.ok()?)
    }

    /// The bytes of a document or a config, proved.
    async fn read(&self, image: &ImageRef, digest: &Digest, kind: Kind) -> Result<Vec<u8>, Failure> {
        if let Some(bytes) = self.known.borrow().get(digest) {
            return Ok(bytes.clone());
        }
        let (domain, repository) = (image.domain(), image.path());
        let bytes = match kind {
            Kind::Manifest => self.client.manifest(domain, repository, digest.as_str()).await,
            Kind::Blob => self.client.blob(domain, repository, digest, MAX_DOCUMENT_BYTES).await,
        };
        let bytes = bytes.map_err(told)?;
        check_digest(&bytes, digest).map_err(|error| Failure::Other(error.to_string()))?;
        self.known.borrow_mut().insert(digest.clone(), bytes.clone());
        Ok(bytes)
    }
}

impl Registries for World<'_> {
    async fn digest(&self, image: &ImageRef, _: &BTreeSet<Arch>) -> Result<Digest, Failure> {
        let tag = image.tag().unwrap_or("latest");
        let bytes = self.client.manifest(image.domain(), image.path(), tag).await.map_err(told)?;
        let digest = Digest::of(&bytes);
        self.known.borrow_mut().insert(digest.clone(), bytes);
        Ok(digest)
    }

    async fn document(&self, image: &Wanted, document: &Missing, _: bool) -> Result<Vec<u8>, Failure> {
        self.read(&image.reference, &document.digest, document.kind).await
    }
}

impl Resolver for World<'_> {
    async fn image(&self, reference: &str, platform: &str) -> Result<Base, String> {
        let image: ImageRef = reference.parse().map_err(|_| "it is no image".to_owned())?;
        let arch = platform.strip_prefix("linux/").and_then(|arch| arch.parse::<Arch>().ok());
        let arch = arch.ok_or_else(|| format!("{platform} is no platform of a base image"))?;
        let resolved = self.run(false).image(&image, &BTreeSet::from([arch])).await.map_err(|why| match why {
            Why::Asked(failure) => failure.to_string(),
            Why::Answered(unresolved) => format!("it {unresolved}"),
        })?;
        let held = resolved.manifests().first().ok_or("it has no manifest")?;
        let config = self.read(&image, &held.manifest.config.digest, Kind::Blob).await;
        let config = config.map_err(|failure| failure.to_string())?;
        let reference = format!("{}@{}", image.name(), resolved.top().digest);
        Ok(Base { platform: platform.to_owned(), reference, config })
    }
}

/// Files, as they are read.
struct Files<'a> {
    world: &'a World<'a>,
    spec: &'a Spec,
    wanted: &'a [usize],
    /// By their indexes in the specification.
    read: RefCell<BTreeMap<usize, Read>>,
}

/// A file that was read.
struct Read {
    sha256: Digest,
    bytes: u64,
    source: FileUrl,
}

impl Fetcher for Files<'_> {
    async fn fetch(&self, attempt: &Attempt, _: bool) -> Result<Option<u64>, Failure> {
        let at = self.wanted[attempt.item];
        let url = attempt.source.as_str().parse::<Url>().map_err(|error| Failure::Other(error.to_string()))?;
        let read = self.world.web.persist(async || {
            let mut response = self.world.web.send(Request::get(&url)).await?;
            web::check(&response)?;
            let (mut hash, mut bytes) = (Sha256::new(), 0);
            web::each_part(&mut response, |part| {
                hash.update(part);
                bytes += part.len() as u64;
                self.world.watch.bytes(part.len() as u64);
                Ok(())
            })
            .await?;
            Ok((Digest::finish(hash), bytes))
        });
        let read = read.await.map_err(plain);
        self.world.watch.done();
        let (sha256, bytes) = read?;
        match &self.spec.files[at].sha256 {
            Some(pin) if *pin != sha256 => {
                Err(Failure::Mismatch { got: sha256.to_string(), expected: pin.to_string() })
            }
            _ => {
                self.read.borrow_mut().insert(at, Read { sha256, bytes, source: attempt.source.clone() });
                Ok(Some(bytes))
            }
        }
    }
}

fn plain(failure: web::Failure) -> Failure {
    match failure {
        web::Failure::Status { status, .. } => Failure::Status(status),
        web::Failure::Connection(why) => Failure::Connection(why),
        web::Failure::Other(why) => Failure::Other(why),
    }
}

fn told(failure: registry::Failure) -> Failure {
    match failure {
        registry::Failure::Web(failure) => match plain(failure) {
            Failure::Status(status) => Failure::Other(format!("the registry answered with status {status}")),
            other => other,
        },
        other => Failure::Other(other.to_string()),
    }
}
