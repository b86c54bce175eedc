//! The target `lock`: asks for everything anew, and gives one file. Owns how a file's digest is found; does not know how
//! a lock is written.

use buildkit::gateway::{BuildResult, Error, MAX_MESSAGE, SolveRequest};
use buildkit::llb::{File, Mkdir, Mkfile, State};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::fetcher::FileFetcher;
use super::hash::hash;
use super::image_sources::ImageSources;
use super::registries::Gateway;
use super::report::{self, Failure};
use super::world::{BuildWorld, base_image};
use super::{Build, IMAGES, epoch, errors};
use crate::artifact::Artifacts;
use crate::base::{self, BaseImage, Resolver};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::hints::lock_command;
use crate::fetch::{self, Attempt, Limits, Lost, Throttle, Wanted};
use crate::kind::files;
use crate::kind::images::resolved::Resolved;
use crate::kind::images::{self, Image};
use crate::lock::ask::{Fetched, Kept, World, ask};
use crate::lock::{Answers, Lock};
use crate::lower::download::{Downloads, checksum_file};
use crate::lower::{FETCHED, FILE_MODE, Lowering};
use crate::name::{FileUrl, ImageRef, Platform};
use crate::plan;
use crate::producer::kubespray::Found;

/// How hard to try.
const LIMITS: Limits = Limits::DEFAULT;
/// Files that are hashed at a time.
const HASHED: usize = 4;
/// The largest lock that a build can write, in bytes: its text is a part of the graph.
const LARGEST: usize = MAX_MESSAGE - (1 << 20);
/// The largest checksum file that is read, in bytes.
const CHECKSUM_BYTES: u64 = 4 << 10;

/// The lock as the only file of a plain result, at `path`. Warnings are shown with `vertex`, which loaded the definition.
pub(super) async fn build(
    build: &Build<'_>,
    path: &str,
    kubespray: Option<Found>,
    vertex: &buildkit::llb::Digest,
) -> Result<BuildResult, Failure> {
    let lock = lock(build, kubespray).await?;
    for doubt in lock.doubts(build.spec) {
        build.client.warn(vertex, report::warning(&doubt)).await?;
    }
    let text = lock.write();
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
    let world = BuildWorld::new(build, &lowering)?;
    super::hosts(build)?;
    let registries = Gateway::new(build, ImageSources::load(build).await?)?;
    let throttle = Throttle::new(&LIMITS);
    let world = Anew { build, lowering: &lowering, world: &world, registries: &registries, throttle: &throttle };
    let wanted = images::to_ask(&spec.images);
    let nothing = Kept::nothing(spec, &wanted);
    let found = ask(&world, spec, &nothing.question()).await?;
    if !found.problems.is_empty() {
        return Err(found.problems.into());
    }
    let answers = nothing.answers(found).ok_or_else(|| Error::new("an answer is missing, and nothing says why"))?;
    let answers = Answers { kubespray: kubespray.map(|found| found.locked), ..answers };
    Ok(Lock::of(spec, plan::LAYOUT, answers)?)
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

/// BuildKit as the world that a lock is asked of, whatever a present lock or `--build-context` says.
struct Anew<'a> {
    build: &'a Build<'a>,
    lowering: &'a Lowering,
    world: &'a BuildWorld<'a>,
    registries: &'a Gateway<'a>,
    throttle: &'a Throttle,
}

impl Resolver for Anew<'_> {
    async fn image(&self, reference: &ImageRef, platform: &Platform) -> Result<BaseImage, String> {
        let mode = self.build.options.resolve_mode().map_err(|error| error.message().to_owned())?;
        let ask = async |place: ImageRef| {
            let name = format!("[lock] resolve {place} ({platform})");
            let client = self.build.client;
            let image = client.resolve_image_config(place.as_str(), Some(&platform.into()), mode, &name).await?;
            Ok::<_, Error>(base_image(&place, platform, image))
        };
        base::first_of(&self.build.spec.mirrors, reference, ask).await
    }
}

impl World for Anew<'_> {
    type Error = Failure;

    async fn fetch(&self, artifacts: &Artifacts, sources: Wanted) -> Result<(Vec<Fetched>, Vec<Lost>), Failure> {
        let downloads = Downloads::new(self.build.spec, artifacts, self.lowering.ignore_cache);
        let tree = || files::tree::tree(self.build.spec.file_section(), artifacts);
        let fetcher = FileFetcher::new(self.build.client, self.world, self.lowering, &downloads, tree);
        match fetch::fetch(sources, &fetcher, &LIMITS, true).await {
            Ok(files) => {
                let hashed = files.iter().map(|file| self.hash(&downloads, file));
                Ok((stream::iter(hashed).buffered(HASHED).try_collect().await?, Vec::new()))
            }
            Err(lost) => Ok((Vec::new(), lost)),
        }
    }

    async fn beside(&self, url: &FileUrl) -> Option<Vec<u8>> {
        let client = self.build.client;
        let source = checksum_file(self.build.spec, url, self.lowering.ignore_cache);
        let read = fetch::try_places(&LIMITS.retry, self.throttle, std::slice::from_ref(url), async |_| {
            let result = client.solve(SolveRequest::new(&source.marshal()).evaluate(true)).await;
            let Some(reference) = result.map_err(|error| errors::of_file(&error))?.reference else { return Ok(None) };
            let content = reference.read_file(&format!("/{FETCHED}"), CHECKSUM_BYTES).await;
            Ok(content.map_err(|error| errors::of_file(&error))?.bytes())
        });
        read.await.ok()?.1
    }

    async fn resolve(&self, image: &Image) -> Result<Resolved, Diagnostic> {
        self.registries.resolve_one(image, self.throttle).await
    }
}

impl Anew<'_> {
    /// What a fetched file hashes to. The bytes of a pinned one are known.
    async fn hash(&self, downloads: &Downloads<'_>, fetched: &fetch::Fetched) -> Result<Fetched, Failure> {
        let Attempt { artifact, source, .. } = &fetched.attempt;
        let pin = downloads.artifacts()[*artifact].pin.as_ref();
        let (sha256, bytes) = if let (Some(sha256), Some(bytes)) = (pin, fetched.bytes) {
            (sha256.clone(), bytes)
        } else {
            let state = downloads.source(&fetched.attempt);
            hash(&self.build.client.solve_state(&state).await?, &format!("/{FETCHED}")).await?
        };
        Ok(Fetched { artifact: *artifact, source: source.clone(), sha256, bytes })
    }
}
