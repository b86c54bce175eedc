//! `kso check`: every problem of a definition, and every rule that it breaks. Owns what is looked at without a build.

use std::io::{self, Write};
use std::process::ExitCode;

use buildkit::gateway::parse_platform;
use clap::Args;

use super::input::{Loaded, UseLock};
use super::reach::Reach;
use super::{Input, counted, online, print, report_of, shown};
use crate::definition::Spec;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::rules::UNREAD_KUBESPRAY;
use crate::lint::{self, Findings, Subject};
use crate::name::Platform;

/// Report every error and lint finding in a definition and its lists
///
/// Exits with 1 if a build would fail. Rules are described in docs/rules; `# check=skip=NAME` in the definition, or
/// `--build-arg BUILDKIT_DOCKERFILE_CHECK=skip=NAME`, skips one.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    input: Input,
    /// The platforms of the build, for the rules that depend on them
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    platform: Vec<String>,
    /// Ask the server of each file without a checksum whether the file exists and has an `ETag`
    #[arg(long)]
    online: bool,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let mut diagnostics = Vec::new();
    let loaded = arguments.input.load(Reach::Files, UseLock::OfDefinition, &mut diagnostics);
    let name = shown(&arguments.input.file);
    let good = match loaded {
        Some(loaded) if !diagnostics.iter().any(Diagnostic::is_error) => {
            let checked = checked(arguments, loaded, std::mem::take(&mut diagnostics));
            let spec = checked.map(|(spec, told)| {
                diagnostics = told;
                spec
            });
            spec.map_err(|problems| diagnostics = problems).ok()
        }
        _ => None,
    };
    // Nobody to tell where the standard error is closed; the exit code still says it.
    let _ = write!(io::stderr(), "{}", report_of(&arguments.input.file, &mut diagnostics));
    match good {
        Some(spec) if !diagnostics.iter().any(Diagnostic::is_error) => {
            print(summary(&name, &spec).as_bytes(), ExitCode::SUCCESS)
        }
        _ => ExitCode::FAILURE,
    }
}

/// What is reported of a definition that can be built; the error is why it cannot.
fn checked(
    arguments: &Arguments,
    mut loaded: Loaded,
    mut found: Vec<Diagnostic>,
) -> Result<(Spec, Vec<Diagnostic>), Vec<Diagnostic>> {
    let one = |problem| vec![problem];
    // Without the lists of Kubespray nobody can say whether the lock fits.
    let whole = !found.iter().any(|problem| problem.is_of(&UNREAD_KUBESPRAY));
    let lock = loaded.lock.filter(|_| whole);
    if let Some(lock) = &lock {
        lock.fit(&mut loaded.spec, &mut found)?;
    }
    let build_args = arguments.input.build_args();
    let argument = build_args.get(lint::ARGUMENT).map(String::as_str);
    let options = lint::Options::of(&loaded.source, argument).map_err(one)?;
    let platforms = arguments.platform.iter().map(|text| parse_platform(text).map(Platform::from));
    let platforms = platforms.collect::<Result<Vec<Platform>, _>>();
    let platforms = platforms.map_err(|error| one(Diagnostic::error(error.message())))?;
    let subject = Subject {
        spec: &loaded.spec,
        lock: lock.as_ref(),
        pins: true,
        platforms: (!platforms.is_empty()).then_some(&platforms[..]),
    };
    if arguments.online {
        found.extend(online::ask(&loaded.spec).map_err(|why| one(Diagnostic::error(why)))?);
    }
    let mut findings = Findings::of(&subject, &loaded.source, &options, found);
    let violation = findings.violation();
    findings.reported.extend(violation);
    Ok((loaded.spec, findings.reported))
}

fn summary(name: &str, spec: &Spec) -> String {
    let architectures: Vec<_> = spec.architectures.iter().map(|arch| arch.as_str()).collect();
    let content = [(spec.files.len(), "file"), (spec.images.len(), "image")];
    let content: Vec<_> = content.iter().filter(|(n, _)| *n > 0).map(|(n, what)| counted(*n, what)).collect();
    let architectures = architectures.join(", ");
    if content.is_empty() {
        return format!("{name}: the downloads of Kubespray for {architectures}, not checked\n");
    }
    format!("{name}: {} for {architectures}\n", content.join(" and "))
}
