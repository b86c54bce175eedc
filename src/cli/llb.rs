//! `kso llb`: the graph of a definition without BuildKit. Owns what is assumed where a build would ask the network.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use crate::diagnostic::Diagnostic;
use crate::fetch;
use crate::gateway::parse_platform;
use crate::llb::{Definition, Platform};
use crate::lower::Lowering;
use crate::plan;
use crate::resolve::Base;
use crate::spec::Spec;
use crate::subrequest::Target;

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One vertex a line
    Text,
    /// A list of vertices for each platform
    Json,
    /// The message that `buildctl build` reads; one platform
    Protobuf,
}

/// Print the build graph of a definition
///
/// Nothing is asked: base images stand with their tags, every file is its first URL, and sizes are unknown, so that with
/// very many files a build may divide them among layers in another way.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The definition; `-` reads it from the standard input
    #[arg(default_value = "kso.yaml")]
    file: PathBuf,
    /// The build context, which the paths of lists are relative to
    #[arg(long, value_name = "DIR", default_value = ".")]
    context: PathBuf,
    /// What to build
    #[arg(long, value_name = "TARGET", default_value = "files")]
    target: String,
    /// What the images run on
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',', default_value = "linux/amd64")]
    platform: Vec<String>,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let mut diagnostics = Vec::new();
    let spec = super::load(&arguments.file, &arguments.context, &mut diagnostics);
    let graphs = match spec {
        Some(spec) if !diagnostics.iter().any(Diagnostic::is_error) => {
            graphs(&spec, arguments).map_err(|problem| diagnostics.push(problem)).ok()
        }
        _ => None,
    };
    let _ = write!(io::stderr(), "{}", super::report(&diagnostics));
    match graphs {
        Some(graphs) => super::print(&printed(&graphs, arguments.format), ExitCode::SUCCESS),
        None => ExitCode::FAILURE,
    }
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
fn graphs(spec: &Spec, arguments: &Arguments) -> Result<Vec<(Platform, Definition)>, Diagnostic> {
    if Target::named(&arguments.target, spec)? != Target::Files {
        return Err(Diagnostic::error(format!(
            "the graph of the target `{}` needs answers of registries",
            arguments.target
        ))
        .help("build it: docker buildx build --target images"));
    }
    let platforms = arguments
        .platform
        .iter()
        .map(|text| parse_platform(text).map_err(|error| Diagnostic::error(error.message())))
        .collect::<Result<Vec<Platform>, _>>()?;
    if arguments.format == Format::Protobuf && platforms.len() > 1 {
        return Err(Diagnostic::error("protobuf holds the graph of one platform").help("give one --platform"));
    }
    let reference = spec.file_server.image.to_string();
    let base = |platform: &Platform| Base {
        platform: platform.to_string(),
        reference: reference.clone(),
        config: b"{}".to_vec(),
    };
    let bases: Vec<Base> = platforms.iter().map(base).collect();
    let fetched = fetch::first(spec.sources());
    let plan = plan::files::plan(spec, &fetched, &bases, &plan::files::Options::default())?;
    let lowering = Lowering::default();
    let layers = lowering.layers(spec, &plan, &fetched);
    let graph = |base: &Base, platform: &Platform| lowering.image(&lowering.base(base, platform), &layers).marshal();
    Ok(bases.iter().zip(platforms).map(|(base, platform)| (platform.clone(), graph(base, &platform))).collect())
}
