//! The target `lock`: asks for everything anew, and gives one file. Owns how a file's digest is found; does not know how
//! a lock is written.

use buildkit::gateway::{BuildResult, Error, MAX_MESSAGE, SolveRequest};
use buildkit::llb::{File, Mkdir, Mkfile, State};
use futures_util::future::{join_all, join3};
use futures_util::{StreamExt as _, stream};

use super::bridge::{Bridge, base_image, classify};
use super::fetcher::FileFetcher;
use super::hash::hash;
use super::places::Places;
use super::registries::Gateway;
use super::report::Failure;
use super::{Build, IMAGES, epoch};
use crate::base::{self, BaseImage, Resolver};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::hints::lock_command;
use crate::fetch::{self, Fetched, Limits, Throttle, persist};
use crate::kind::files::{self, FileAnswer};
use crate::kind::images;
use crate::lock::{Answers, Lock, LockedBase};
use crate::lower::download::Downloads;
use crate::lower::{FETCHED, FILE_MODE, Lowering};
use crate::name::{Digest, ImageRef, Platform};
use crate::producer::kubespray::Found;
use crate::{base as resolve, plan};

/// Files that are hashed at a time.
const HASHED: usize = 4;
/// The largest lock that a build can write, in bytes: its text is a part of the graph.
const LARGEST: usize = MAX_MESSAGE - (1 << 20);
/// The largest checksum file that is read, in bytes.
const CHECKSUM_BYTES: u64 = 4 << 10;

/// The lock as the only file of a plain result, at `path`.
pub(super) async fn build(build: &Build<'_>, path: &str, kubespray: Option<Found>) -> Result<BuildResult, Failure> {
    let text = lock(build, kubespray).await?.write();
    if text.len() > LARGEST {
        let (size, most) = (text.len().div_ceil(1 << 20), LARGEST >> 20);
        return Err(Diagnostic::error(format!("the lock has {size} MiB, but a build can write at most {most} MiB"))
            .help(lock_command!())
            .into());
    }
    Ok(BuildResult::single(build.client.solve_state(&written(path, &text)).await?))
}

/// The lock of the whole definition.
///
/// Nothing of a present lock is kept: it is what the world says now.
pub(super) async fn lock(build: &Build<'_>, kubespray: Option<Found>) -> Result<Lock, Failure> {
    let Build { client, options, spec, .. } = *build;
    if !spec.images.is_empty() {
        client.capabilities().require("the lock of `images`", IMAGES, options.buildkit_version())?;
    }
    let lowering = Lowering::new(options.is_no_cache("lock"), epoch(options));
    let (artifacts, world) = (files::tree::artifacts(spec.file_section()), Bridge::new(build, &lowering)?);
    let downloads = Downloads::new(spec, &artifacts, lowering.ignore_cache);
    let fetcher = FileFetcher::new(build, &world, &lowering, &downloads);
    let files = Files { build, fetcher, downloads: &downloads };
    super::hosts(build)?;
    let registries = Gateway::new(build, Places::load(build).await?)?;
    let wanted = images::to_ask(&spec.images);
    let images = registries.resolve(&wanted);
    let (bases, files, images) = join3(bases(build), files.answers(), images).await;
    let mut problems = Vec::new();
    let (bases, files) = (keep(bases, &mut problems)?, keep(files, &mut problems)?);
    let (Some(bases), Some(files), Some(images)) = (bases, files, keep(images.map_err(Failure::from), &mut problems)?)
    else {
        return Err(problems.into());
    };
    let kubespray = kubespray.map(|found| found.locked);
    Ok(Lock::of(spec, plan::LAYOUT, Answers { kubespray, bases, files, images }))
}

/// A file of that text at a relative path.
fn written(path: &str, text: &str) -> State {
    let folder = path.rfind('/').map_or("", |slash| &path[..slash]);
    let file = File::scratch();
    let file = if folder.is_empty() {
        file
    } else {
        file.mkdir(Mkdir::new(&format!("/{folder}"), 0o755).create_parents().timestamp(0))
    };
    let file = file.mkfile(Mkfile::new(&format!("/{path}"), FILE_MODE, text).timestamp(0));
    file.state().named(format!("[lock] write {path}"))
}

/// What went well; the problems of what did not are kept.
fn keep<T>(result: Result<T, Failure>, problems: &mut Vec<Diagnostic>) -> Result<Option<T>, Failure> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Failure::Problems(more)) => {
            problems.extend(more);
            Ok(None)
        }
        Err(other @ Failure::BuildKit(_)) => Err(other),
    }
}

/// All that went well, if all did.
fn all<T>(results: Vec<Result<T, Failure>>) -> Result<Vec<T>, Failure> {
    let mut problems = Vec::new();
    let kept = results.into_iter().map(|result| keep(result, &mut problems)).collect::<Result<Vec<_>, _>>()?;
    if problems.is_empty() { Ok(kept.into_iter().flatten().collect()) } else { Err(problems.into()) }
}

/// Images as the definition names them, whatever `--build-context` puts in their place.
struct Original<'a>(&'a Build<'a>);

impl Resolver for Original<'_> {
    async fn image(&self, reference: &ImageRef, platform: &Platform) -> Result<BaseImage, String> {
        let mode = self.0.options.resolve_mode().map_err(|error| error.message().to_owned())?;
        let ask = async |place: ImageRef| {
            let name = format!("[lock] resolve {place} ({platform})");
            let image = self.0.client.resolve_image_config(place.as_str(), Some(&platform.into()), mode, &name).await?;
            Ok::<_, Error>(base_image(&place, platform, image))
        };
        resolve::first_of(&self.0.spec.mirrors, reference, ask).await
    }
}

/// The base images of all targets, for the platforms of the architectures.
async fn bases(build: &Build<'_>) -> Result<Vec<LockedBase>, Failure> {
    let (platforms, original) = (build.spec.platforms(), Original(build));
    let wanted = build.spec.bases();
    let asked = wanted.iter().map(async |(reference, span)| {
        let bases = base::bases(reference, span.as_ref(), &platforms, &original).await?;
        LockedBase::of(reference, bases).map_err(|why| {
            let problem = Diagnostic::error(format!("the base image {reference} {why}"));
            problem.at(span.clone()).into()
        })
    });
    all(join_all(asked).await)
}

/// The files of a specification, to be fetched and hashed.
struct Files<'a> {
    build: &'a Build<'a>,
    fetcher: FileFetcher<'a>,
    downloads: &'a Downloads<'a>,
}

impl Files<'_> {
    async fn answers(&self) -> Result<Vec<FileAnswer>, Failure> {
        let (spec, artifacts, limits) = (self.build.spec, self.downloads.artifacts(), Limits::default());
        let fetched = fetch::fetch(artifacts.downloads(&spec.mirrors), &self.fetcher, &limits, true).await;
        let fetched = fetched.map_err(|lost| files::problems(&spec.hosts, artifacts, &lost))?;
        let throttle = Throttle::new(&limits);
        let answers = fetched.iter().map(|file| self.answer(file, &limits, &throttle));
        all(stream::iter(answers).buffered(HASHED).collect().await)
    }

    async fn answer(&self, fetched: &Fetched, limits: &Limits, throttle: &Throttle) -> Result<FileAnswer, Failure> {
        let artifact = &self.downloads.artifacts()[fetched.attempt.artifact];
        if let (Some(sha256), Some(bytes)) = (&artifact.pin, fetched.bytes) {
            return Ok(FileAnswer { sha256: sha256.clone(), bytes, vouched: false });
        }
        let source = self.downloads.source(&fetched.attempt);
        let (sha256, bytes) = hash(&self.build.client.solve_state(&source).await?, &format!("/{FETCHED}")).await?;
        let said = self.checksum_beside(fetched, limits, throttle).await;
        Ok(FileAnswer::judge(artifact, sha256, bytes, said.as_ref())?)
    }

    /// What the `.sha256` beside a file says, if there is one.
    async fn checksum_beside(&self, fetched: &Fetched, limits: &Limits, throttle: &Throttle) -> Option<Digest> {
        let url = files::checksum_url(&fetched.attempt.source)?;
        let (source, client) = (self.downloads.checksum_file(&url), self.build.client);
        let read = persist(limits, throttle, std::slice::from_ref(&url), async |_| {
            let result = client.solve(SolveRequest::new(&source.marshal()).evaluate(true)).await;
            let reference = result.map_err(|error| classify(&error))?.reference;
            let Some(reference) = reference else { return Ok(None) };
            let content = reference.read_file(&format!("/{FETCHED}"), CHECKSUM_BYTES).await;
            Ok(content.map_err(|error| classify(&error))?.bytes())
        });
        let (_, text) = read.await.ok()?;
        let text = text?;
        files::checksum_of(&text)
    }
}
