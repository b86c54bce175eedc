//! `kso llb`: the graph of a definition without BuildKit. Owns what is assumed where a build would ask the network, if no
//! lock says it.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use buildkit::gateway::{own_platform, parse_platform};
use buildkit::llb::{self, Definition, State};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use super::Input;
use super::input::{Loaded, UseLock};
use super::reach::Reach;
use crate::artifact::ArtifactId;
use crate::base::BaseImage;
use crate::definition::Spec;
use crate::diagnostic::hints::{CREATE_IT, create_lock};
use crate::diagnostic::{Diagnostic, quoted};
use crate::lock::{Fit, LockFile, assumed_bases};
use crate::lower::download::Downloads;
use crate::lower::images::Runner;
use crate::lower::{self, Inputs, Lowering};
use crate::name::{ImageRef, Platform};
use crate::plan::{self, Image};
use crate::target::{ImageTarget, Target, TextTarget};
use crate::{fetch, kind};

/// The output formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One vertex per line
    Text,
    /// A list of vertices for each platform
    Json,
    /// The message that `buildctl build` reads; for a single platform
    Protobuf,
}

/// Print the build graph of a definition
///
/// Does not use the network. With a lock next to the definition, the graph is that of a build. Without a lock, base images
/// have only their tags, every file has only its first URL, and sizes are unknown, so a build with very many files may
/// distribute them differently among layers; the graph of the target `images` requires a lock.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    input: Input,
    /// The lock; by default the one next to the definition, if it exists
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
    /// The target to build
    #[arg(long, value_name = "TARGET", default_value = "files")]
    target: String,
    /// The image that runs kso in a build step, as `/kso`; BuildKit takes it from the first line of the definition
    #[arg(long, value_name = "IMAGE", default_value = "ghcr.io/org/kso-frontend:1")]
    frontend: String,
    /// The platforms of the images
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',', default_value = "linux/amd64")]
    platform: Vec<String>,
    /// The output format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let mut diagnostics = Vec::new();
    let loaded = arguments.input.load(Reach::Files, arguments.use_lock(), &mut diagnostics);
    let graphs = match loaded {
        Some(mut loaded) if !diagnostics.iter().any(Diagnostic::is_error) => locked(&mut loaded, &mut diagnostics)
            .and_then(|lock| Ok(graphs(&loaded.spec, lock.as_ref(), arguments)?))
            .map_err(|problems| diagnostics.extend(problems.0))
            .ok(),
        _ => None,
    };
    let _ = write!(io::stderr(), "{}", super::report_of(&arguments.input.file, &mut diagnostics));
    match graphs {
        Some(graphs) => super::print(&printed(&graphs, arguments.format), ExitCode::SUCCESS),
        None => ExitCode::FAILURE,
    }
}

/// Why there is no graph.
struct Problems(Vec<Diagnostic>);

impl<T: Into<Diagnostic>> From<T> for Problems {
    fn from(problem: T) -> Self {
        Self(vec![problem.into()])
    }
}

/// A lock, and what it says of the specification.
struct Locked {
    file: LockFile,
    fit: Fit,
}

impl Arguments {
    /// The lock that was named, or that of the definition.
    fn use_lock(&self) -> UseLock<'_> {
        self.lock.as_deref().map_or(UseLock::OfDefinition, UseLock::At)
    }
}

/// Fits the lock to the specification, whose files then are pinned.
fn locked(loaded: &mut Loaded, diagnostics: &mut Vec<Diagnostic>) -> Result<Option<Locked>, Problems> {
    let Some(file) = loaded.lock.take() else { return Ok(None) };
    let fit = file.fit(&mut loaded.spec, diagnostics).map_err(Problems)?;
    Ok(Some(Locked { file, fit }))
}

fn printed(graphs: &[(Platform, Definition)], format: Format) -> Vec<u8> {
    match format {
        Format::Protobuf => graphs.iter().flat_map(|(_, graph)| graph.to_bytes()).collect(),
        Format::Text => {
            let texts = graphs.iter().map(|(platform, graph)| format!("{platform}\n{}", graph.to_text()));
            texts.collect::<Vec<_>>().join("\n").into_bytes()
        }
        Format::Json => {
            let graphs: Map<String, Value> =
                graphs.iter().map(|(platform, graph)| (platform.to_string(), graph.to_json())).collect();
            format!("{:#}\n", Value::Object(graphs)).into_bytes()
        }
    }
}

/// The graph of each platform.
fn graphs(
    spec: &Spec,
    lock: Option<&Locked>,
    arguments: &Arguments,
) -> Result<Vec<(Platform, Definition)>, Diagnostic> {
    let target = Target::named(&arguments.target, spec)?;
    let platforms = arguments
        .platform
        .iter()
        .map(|text| parse_platform(text).map(Platform::from).map_err(|error| Diagnostic::error(error.message())))
        .collect::<Result<Vec<Platform>, _>>()?;
    if arguments.format == Format::Protobuf && platforms.len() > 1 {
        return Err(Diagnostic::error("protobuf holds the graph of one platform").help("use a single --platform"));
    }
    let lowering = Lowering::default();
    let (bases, images, layers) = match target {
        Target::Image(ImageTarget::Files) => files(spec, lock, &platforms, &lowering)?,
        Target::Image(ImageTarget::Images) => images(spec, lock, &platforms, &lowering, &arguments.frontend)?,
        Target::Text(text) => return Err(no_graph(text)),
    };
    let graph = |(base, image): (&BaseImage, &Image)| {
        let layers: Vec<State> = image.layers.iter().map(|at| layers[*at].clone()).collect();
        (base.platform.clone(), lowering.image(&lowering.base(base), &layers).marshal())
    };
    Ok(bases.iter().zip(&images).map(graph).collect())
}

/// Why a target has no graph before it is built.
fn no_graph(text: TextTarget) -> Diagnostic {
    let (problem, help) = match text {
        TextTarget::Lock => ("the target `lock` has no graph: a build asks the servers first", CREATE_IT),
        TextTarget::Sbom => (
            "the target `sbom` is text, not an image",
            "create it: `docker buildx build -f kso.yaml --target sbom -o DIR .`",
        ),
        TextTarget::Lists => (
            "the target `lists` is text, not an image",
            "write the lists: `docker buildx build -f kso.yaml --target lists -o DIR .`, or `kso lists`",
        ),
    };
    Diagnostic::error(problem).help(help)
}

/// What the graphs of a target are made of: bases and images, parallel to the platforms, and the layers of the images.
type Parts = (Vec<BaseImage>, Vec<Image>, Vec<State>);

fn files(spec: &Spec, lock: Option<&Locked>, platforms: &[Platform], lowering: &Lowering) -> Result<Parts, Diagnostic> {
    let bases = bases(spec, &spec.file_server.image, lock, platforms);
    let artifacts = kind::files::tree::artifacts(spec.file_section());
    let downloads = Downloads::new(spec, &artifacts, false);
    let inputs = lowering.inputs(&artifacts, &downloads, &fetch::first(artifacts.downloads(&spec.mirrors)));
    let plan = kind::files::tree::plan(spec.file_section(), &artifacts, &bases, &plan::Options::default())?;
    let layers = lowering.file_layers(&plan, &inputs);
    let layers = layers.ok_or_else(|| Diagnostic::error("a file of the plan is not in the specification"))?;
    Ok((bases, plan.images, layers))
}

fn images(
    spec: &Spec,
    lock: Option<&Locked>,
    platforms: &[Platform],
    lowering: &Lowering,
    frontend: &str,
) -> Result<Parts, Diagnostic> {
    let Some(lock) = lock else {
        let problem = Diagnostic::error("the graph of the target `images` needs answers from registries, or a lock");
        return Err(problem.help(create_lock!()));
    };
    let frontend: ImageRef =
        frontend.parse().map_err(|_| Diagnostic::error(format!("{} is not a valid image name", quoted(frontend))))?;
    let bases = bases(spec, &spec.registry.image, Some(lock), platforms);
    let resolved = &lock.fit.images;
    let artifacts = kind::images::tree::artifacts(spec.image_section(), resolved);
    let plan = kind::images::tree::plan(spec.image_section(), resolved, &artifacts, &bases, &plan::Options::default())?;
    let input = |id: ArtifactId| {
        let artifact = &artifacts[id];
        let place = spec.mirrors.images(artifact.images().first()?).into_iter().next()?;
        let state = lower::images::blob(place.name(), artifact.pin.as_ref()?, 0, false);
        Some((id, lower::Input::File { state, name: lower::images::blob_file(0) }))
    };
    let inputs: Inputs = plan::needed(&plan.layers).into_iter().filter_map(input).collect();
    let platform = own_platform();
    let root = llb::Image::new(frontend.as_str(), &platform).state().named(format!("[internal] {frontend}"));
    let runner = Runner { root, platform, program: "/kso".into() };
    let layers = (0..plan.layers.len()).map(|at| lowering.proved_layer(&plan, at, (&artifacts, &inputs), &runner));
    let layers: Option<Vec<State>> = layers.collect();
    let layers = layers.ok_or_else(|| Diagnostic::error("a blob of the plan belongs to no image"))?;
    Ok((bases, plan.images, layers))
}

/// The base image of each platform, as the lock has it, or with its tag; where it has mirrors, at the first.
fn bases(spec: &Spec, reference: &ImageRef, lock: Option<&Locked>, platforms: &[Platform]) -> Vec<BaseImage> {
    let place = |image: ImageRef| spec.mirrors.images(&image).into_iter().next().unwrap_or(image);
    let bases = assumed_bases(reference, lock.map(|lock| lock.file.lock()), platforms);
    bases.into_iter().map(|base| BaseImage { reference: place(base.reference), ..base }).collect()
}

#[cfg(test)]
mod tests;
