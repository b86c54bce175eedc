//! The whole gateway conversation of a build. Owns the order of the stages; does not know the details of any.

mod blobs;
mod checks;
mod embedded;
mod errors;
mod fetcher;
mod hash;
mod image_sources;
mod images;
mod kubespray;
mod layout;
mod lock;
mod lock_target;
mod overrides;
mod registries;
mod report;
mod sbom;
mod self_image;
mod settings;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;

use buildkit::gateway::{self, BuildContext, BuildResult, Client, Content, Error, Image, Options};
use buildkit::llb;
use futures_util::TryFutureExt as _;
use futures_util::future::{try_join, try_join_all};

use crate::base::{self, BaseImage};
use crate::decode::ListText;
use crate::definition::{Definition, MAX_DEFINITION_BYTES, MAX_LIST_BYTES, Spec};
use crate::diagnostic::{Diagnostic, Source, Unreadable};
use crate::fetch::{self, Fetched, Limits};
use crate::kind::{files, images as image_kind};
use crate::lower::Lowering;
use crate::lower::download::Downloads;
use crate::lower::images::Runner;
use crate::name::Platform;
use crate::producer::kubespray::{Found, LockedRelease};
use crate::target::{ImageTarget, Target, TextTarget};
use crate::{plan, subrequest};
use blobs::Blobs;
use embedded::Embedded;
use fetcher::FileFetcher;
use image_sources::ImageSources;
use lock::{Locked, OpenLock};
use registries::Gateway;
use report::Failure;
use settings::Settings;
use world::BuildWorld;

/// The definition's name where the client names none.
const DEFINITION: &str = "kso.yaml";

/// What the target `files` needs of BuildKit.
const FILES: [&str; 4] = [
    gateway::capability::FILE,
    gateway::capability::MERGE,
    gateway::capability::HTTP_CHECKSUM,
    gateway::capability::HTTP_PERM,
];

/// What the target `images` needs of it.
const IMAGES: [&str; 3] = [gateway::capability::FILE, gateway::capability::MERGE, gateway::capability::IMAGE_BLOB];

/// Runs as a frontend: BuildKit is at standard input and output.
pub fn main() -> ExitCode {
    gateway::run(Options::from_process(), report::bug, build_or_error)
}

/// [`build`], with its failures told as BuildKit wants them.
async fn build_or_error(client: Client, options: Options) -> Result<BuildResult, Error> {
    let definition = options.filename().unwrap_or(DEFINITION);
    build(&client, &options).await.map_err(|failure| failure.into_error(definition))
}

/// The picture of `lib.rs`.
async fn build(client: &Client, options: &Options) -> Result<BuildResult, Failure> {
    client.capabilities().require("the target `files`", FILES, options.buildkit_version())?;
    if options.request_id() == Some(gateway::subrequest::DESCRIBE) {
        return Ok(gateway::subrequest::describe(&subrequest::ANSWERED));
    }
    let settings = Settings::of(options)?;
    let context = BuildContext::new(client, options).await?.limit(MAX_LIST_BYTES as u64);
    let mut read = read(client, options, settings, &context).await?;
    let target = target(options, &read.spec)?;
    let lock = match read.lock.take() {
        Some(lock) => Some(lock.fit(client, &mut read.spec, &mut read.warnings).await?),
        None => None,
    };
    let findings = checks::find(options, &mut read, target, lock.as_ref())?;
    if let Some(question) = options.request_id() {
        return checks::answer(question, options, &read, target, lock.as_ref(), &findings);
    }
    checks::warn(client, &read.vertex, &findings).await?;
    checks::unused(client, options, &read).await?;
    let build = Build { client, options, settings, context: &context, spec: &read.spec, lock: lock.as_ref() };
    match target.ok_or_else(|| several(&read.spec))? {
        Target::Image(ImageTarget::Files) => build.files().await,
        Target::Image(ImageTarget::Images) => build.images().await,
        Target::Text(TextTarget::Lock) => {
            lock_target::build(&build, &read.lock_name, read.kubespray, &read.vertex).await
        }
        Target::Text(TextTarget::Sbom) => sbom::build(&build).await,
        Target::Text(TextTarget::Lists) => kubespray::lists(client, read.kubespray.as_ref(), &read.spec).await,
    }
}

/// What the targets of one build share.
struct Build<'a> {
    client: &'a Client,
    options: &'a Options,
    settings: Settings,
    context: &'a BuildContext,
    spec: &'a Spec,
    lock: Option<&'a Locked>,
}

impl Build<'_> {
    /// kso as BuildKit got it for this build, to be run; `None` where the user forbids that, or BuildKit does not tell.
    fn runner(&self) -> Option<Runner> {
        if self.settings.may_run_steps { self_image::image(self.options) } else { None }
    }

    /// The file server image.
    async fn files(&self) -> Result<BuildResult, Failure> {
        let (spec, options) = (self.spec, self.options);
        hosts(self)?;
        let platforms = platforms(options)?;
        let lowering = Lowering::new(options.is_no_cache("files"), epoch(options));
        let carried = Embedded::of(self.client, options, &lowering, self.lock, &platforms).await?;
        let asked = plan_options(options, &carried);
        let world = BuildWorld::new(self, &lowering)?.carrying(carried);
        let server = &spec.file_server;
        let bases = base::bases(&server.image, server.image_span.as_ref(), &platforms, &world).await?;
        let artifacts = files::tree::artifacts(spec.file_section());
        let overrides = overrides::files(self, &artifacts).await?;
        let downloads = Downloads::new(spec, &artifacts, lowering.ignore_cache).overriding(overrides);
        let layers = |plan: &plan::Plan, fetched: &[Fetched]| {
            let layers = lowering.file_layers(plan, &lowering.inputs(&artifacts, &downloads, fetched));
            layers.ok_or_else(|| Error::new("a file of the plan was not fetched"))
        };
        let wanted = artifacts.downloads(&spec.mirrors);
        let first = fetch::first(wanted.clone());
        let mut plan = files::tree::plan(spec.file_section(), &artifacts, &bases, &asked)?;
        let mut states = layers(&plan, &first)?;
        fits(&world, &bases, &plan.images, &states, ", with the text of the lists,")?;
        let budget = files::tree::budget(server, &bases)?;
        let measure = self.lock.is_none() && budget.needs_bytes(artifacts.len());
        let tree = || files::tree::tree(spec.file_section(), &artifacts);
        let source = FileFetcher::new(self.client, &world, &lowering, &downloads, tree);
        let fetched = fetch::fetch(wanted, &source, &Limits::default(), measure).await;
        let fetched = fetched.map_err(|lost| files::problems(&spec.hosts, &artifacts, &lost))?;
        // All at the first try, and no size is news: the graph is the one that was checked.
        if fetched != first {
            let measured = artifacts.measured(fetched.iter().map(|file| (file.attempt.artifact, file.bytes)));
            plan = files::tree::plan(spec.file_section(), &measured, &bases, &asked)?;
            states = layers(&plan, &fetched)?;
        }
        let result = finish(&world, options, &bases, plan.images, &states).await?;
        sbom::attach(self, ImageTarget::Files, &platforms, world.is_replaced(), result).await
    }

    /// The registry image.
    async fn images(&self) -> Result<BuildResult, Failure> {
        let (spec, options) = (self.spec, self.options);
        let version = options.buildkit_version();
        self.client.capabilities().require("the target `images`", IMAGES, version)?;
        let platforms = platforms(options)?;
        let lowering = Lowering::new(options.is_no_cache("images"), epoch(options));
        let carried = Embedded::of(self.client, options, &lowering, self.lock, &platforms).await?;
        let asked = plan_options(options, &carried);
        let world = BuildWorld::new(self, &lowering)?.carrying(carried);
        let registries = Gateway::new(self, ImageSources::load(self).await?)?;
        let base = &spec.registry;
        let bases = base::bases(&base.image, base.image_span.as_ref(), &platforms, &world).await?;
        let resolved = match self.lock {
            Some(lock) => registries.locked(&spec.images, lock.images()).await?,
            None => registries.resolve(spec.image_section()).await?,
        };
        let artifacts = image_kind::tree::artifacts(spec.image_section(), &resolved);
        let plan = image_kind::tree::plan(spec.image_section(), &resolved, &artifacts, &bases, &asked)?;
        let blobs = Blobs::new(spec, &artifacts, &registries);
        let first = images::First::of(self, &blobs, &lowering, &plan)?;
        fits(&world, &bases, &plan.images, first.layers(), "")?;
        let layers = images::layers(self, &registries, &blobs, &lowering, &plan, &first).await?;
        let result = finish(&world, options, &bases, plan.images, &layers).await?;
        sbom::attach(self, ImageTarget::Images, &platforms, world.is_replaced(), result).await
    }
}

/// What the user wrote.
struct Read {
    spec: Spec,
    source: Arc<Source>,
    /// The digest of the vertex that loaded the definition, which warnings are shown with.
    vertex: buildkit::llb::Digest,
    /// Where the lock lies, or would.
    lock_name: String,
    /// The lock, unless it is to be written anew.
    lock: Option<OpenLock>,
    /// The release of Kubespray, unless a lock has its lists.
    kubespray: Option<Found>,
    /// The paths of the lists that the definition names.
    lists: BTreeSet<String>,
    warnings: Vec<Diagnostic>,
}

/// Reads the definition, the lists that it names, its lock, and what it takes of Kubespray.
async fn read(client: &Client, options: &Options, settings: Settings, context: &BuildContext) -> Result<Read, Failure> {
    let mut file = context.read_dockerfile(DEFINITION).await?;
    let mut diagnostics = Vec::new();
    let source = Source::from_bytes(&file.name, std::mem::take(&mut file.bytes), MAX_DEFINITION_BYTES)
        .map_err(|why| Diagnostic::error(format!("the definition {} cannot be read: it {why}", file.name)))?;
    let args = options.build_args().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let Some(mut definition) = Definition::parse_with(&source, &args, &mut diagnostics) else {
        return Err(diagnostics.into());
    };
    let wanted: BTreeSet<String> = definition.lists().into_iter().chain(definition.unwanted_lists()).collect();
    let lock = lock::find(settings.lock, context, &file, definition.lock());
    let (mut files, lock) = try_join(context.read_files(&wanted).map_err(Failure::from), lock).await?;
    overrides::lists(context, options, &mut files).await?;
    let lock_name = lock.name.clone();
    let asks_anew = options.target().is_some_and(Target::asks_anew);
    let lock = if asks_anew { Ok(None) } else { lock.open(client, settings.lock).await };
    let lists: BTreeMap<String, ListText> =
        files.into_iter().filter_map(|(path, content)| Some((path.clone(), list(&path, content)?))).collect();
    let locked = lock.as_ref().ok().and_then(Option::as_ref).and_then(OpenLock::kubespray);
    let locked = locked.as_ref().map(|(entry, place)| LockedRelease { entry, place, renders: false });
    let kubespray = definition.produce(context, &source, locked, &mut diagnostics).await;
    let spec = definition.expand(&lists, &mut diagnostics);
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Err(diagnostics.into());
    }
    let (vertex, lists, warnings) = (file.vertex, wanted, diagnostics);
    Ok(Read { spec, source, vertex, lock_name, lock: lock?, kubespray, lists, warnings })
}

/// The target that was asked for, or the only one. A question may be about all of them.
fn target(options: &Options, spec: &Spec) -> Result<Option<Target>, Failure> {
    if let Some(name) = options.target().filter(|name| !name.is_empty()) {
        return Ok(Some(Target::named(name, spec)?));
    }
    match ImageTarget::of(spec).as_slice() {
        [only] => Ok(Some((*only).into())),
        _ if options.request_id().is_some() => Ok(None),
        _ => Err(several(spec).into()),
    }
}

/// Where no target was asked for, and there is not only one.
fn several(spec: &Spec) -> Diagnostic {
    let images: Vec<Target> = ImageTarget::of(spec).into_iter().map(Target::Image).collect();
    Diagnostic::error("the definition has several targets")
        .help(format!("choose one with --target: {}", Target::names(&images)))
}

/// Whether BuildKit can send what `hosts:` says.
fn hosts(build: &Build<'_>) -> Result<(), Error> {
    let require = |what: &str, capability: &str| {
        build.client.capabilities().require(what, [capability], build.options.buildkit_version())
    };
    let hosts = &build.spec.hosts;
    if hosts.iter().any(|host| host.secret().is_some()) {
        require("a `secret` of `hosts`", gateway::capability::HTTP_AUTH)?;
    }
    if hosts.iter().any(|host| !host.headers.is_empty()) {
        require("`headers` of `hosts`", gateway::capability::HTTP_HEADER)?;
    }
    Ok(())
}

/// The platforms that the images are for: the builder's own where none were asked for.
fn platforms(options: &Options) -> Result<Vec<Platform>, Failure> {
    let mut platforms = options.platforms()?;
    if platforms.is_empty() {
        platforms.push(options.default_platform());
    }
    Ok(platforms.into_iter().map(Into::into).collect())
}

/// Seconds since 1970 that everything in an image is dated with.
fn epoch(options: &Options) -> u64 {
    options.source_date_epoch().and_then(|epoch| u64::try_from(epoch).ok()).unwrap_or(0)
}

/// What the command line asks of the images, in addition to the definition.
fn plan_options(options: &Options, carried: &Embedded) -> plan::Options {
    let labels = options.labels().into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    plan::Options { epoch: epoch(options), labels, above: carried.names() }
}

/// Whether `BuildKit` will take the graphs. Told before the downloads: after a failed try they may only grow by a few bytes.
fn fits(
    world: &BuildWorld<'_>,
    bases: &[BaseImage],
    images: &[plan::Image],
    layers: &[llb::State],
    with: &str,
) -> Result<(), Failure> {
    let size = bases.iter().zip(images).map(|(base, image)| world.size_of(base, &layers_of(image, layers)));
    let size = size.max().unwrap_or_default();
    if size <= gateway::MAX_MESSAGE {
        return Ok(());
    }
    let (size, most) = (size.div_ceil(1 << 20), gateway::MAX_MESSAGE >> 20);
    Err(Diagnostic::error(format!("the build graph{with} has {size} MiB, but BuildKit accepts at most {most} MiB"))
        .help("split the definition, and build an image for each part")
        .into())
}

/// Hands each platform's graph to BuildKit, which does nothing of it until it exports, and names the results.
async fn finish(
    world: &BuildWorld<'_>,
    options: &Options,
    bases: &[BaseImage],
    images: Vec<plan::Image>,
    layers: &[llb::State],
) -> Result<BuildResult, Failure> {
    let solved = bases.iter().zip(images).map(async |(base, image)| {
        let reference = world.image_of(base, &layers_of(&image, layers)).await?;
        Ok::<_, Error>(Image { platform: (&base.platform).into(), reference, config: image.config })
    });
    let images = try_join_all(solved).await?;
    let epoch = i64::try_from(world.epoch()).unwrap_or(i64::MAX);
    Ok(BuildResult::images(images, options.multi_platform()?)?.with_epoch(epoch))
}

/// The layers of an image, the lowest first.
fn layers_of(image: &plan::Image, layers: &[llb::State]) -> Vec<llb::State> {
    image.layers.iter().map(|at| layers[*at].clone()).collect()
}

/// A list as it was found; `None` where there is none.
fn list(name: &str, content: Content) -> Option<ListText> {
    match content {
        Content::Bytes(bytes) => Some(Source::from_bytes(name, bytes, MAX_LIST_BYTES)),
        Content::Absent => None,
        Content::TooLarge(_) => Some(Err(Unreadable::TooLarge(MAX_LIST_BYTES))),
        Content::Directory => Some(Err(Unreadable::Directory)),
    }
}

#[cfg(test)]
mod tests;
