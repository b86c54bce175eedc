//! The command line: what a person runs by hand. Owns arguments, files and exit codes; does not know how to build
//! (buildx does that).

mod archive;
mod check;
mod disk;
mod git;
mod input;
mod kubespray;
mod llb;
mod lock;
mod online;
mod reach;
mod verify;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::arrange::arrange;
use crate::definition::{json_schema, reference};
use crate::diagnostic::{Diagnostic, Severity, counted, hints, render};
use crate::manifests;

pub use input::load;
use input::{Input, read_file};

/// The most diagnostics that are shown: nobody reads more before correcting the first.
const MAX_SHOWN: usize = 100;

/// Images for installing Kubernetes without internet. To build one, run `docker buildx build -f kso.yaml .`
#[derive(Debug, Parser)]
#[command(name = "kso", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Arguments),
    Lists(kubespray::Arguments),
    Llb(llb::Arguments),
    Verify(verify::Arguments),
    Lock(lock::Arguments),
    /// Verify blobs by their digests and arrange them as a registry's storage (an internal build step)
    #[command(hide = true)]
    Arrange {
        /// What to arrange (JSON)
        order: PathBuf,
        /// The directory to write to
        out: PathBuf,
    },
    /// Write the manifests of an image as its registry sends them (an internal build step)
    #[command(hide = true)]
    Manifests(manifests::Arguments),
    /// Print the JSON Schema of the definition
    Schema {
        /// Print the schema of the lock instead
        #[arg(long)]
        lock: bool,
        /// Print docs/reference.md, which is generated from the schema
        #[arg(long, hide = true, conflicts_with = "lock")]
        markdown: bool,
    },
}

/// Every option of every command, as it is written: `--lock`, `-h`.
pub fn options() -> BTreeSet<String> {
    fn of(command: &clap::Command, options: &mut BTreeSet<String>) {
        for argument in command.get_arguments() {
            options.extend(argument.get_long().map(|long| format!("--{long}")));
            options.extend(argument.get_short().map(|short| format!("-{short}")));
        }
        command.get_subcommands().for_each(|command| of(command, options));
    }
    let mut options = BTreeSet::new();
    let mut command = Arguments::command();
    command.build();
    of(&command, &mut options);
    options
}

/// Whether these words, `kso` first, are a command; else what is wrong with them.
pub fn understand<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<(), String> {
    Arguments::try_parse_from(words).map(drop).map_err(|error| error.to_string())
}

/// Runs the command of the process's arguments.
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Lists(arguments) => kubespray::run(&arguments),
        Command::Llb(arguments) => llb::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Lock(arguments) => lock::run(&arguments),
        Command::Arrange { order, out } => arranged(&order, &out),
        Command::Manifests(arguments) => written(&arguments),
        Command::Schema { markdown: true, .. } => print(reference().as_bytes(), ExitCode::SUCCESS),
        Command::Schema { lock: false, .. } => print(json_schema().as_bytes(), ExitCode::SUCCESS),
        Command::Schema { lock: true, .. } => print(crate::lock::json_schema().as_bytes(), ExitCode::SUCCESS),
    }
}

fn arranged(order: &Path, out: &Path) -> ExitCode {
    let Err(errors) = arrange(order, out) else { return ExitCode::SUCCESS };
    for error in errors {
        let _ = writeln!(io::stderr(), "error: {error}");
    }
    ExitCode::FAILURE
}

fn written(arguments: &manifests::Arguments) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let written = match runtime {
        Ok(runtime) => runtime.block_on(manifests::write(arguments)),
        Err(error) => Err(manifests::Error { cause: None, message: format!("cannot start: {error}") }),
    };
    let Err(error) = written else { return ExitCode::SUCCESS };
    let _ = writeln!(io::stderr(), "error: {}: {}", arguments.image, error.message);
    error.cause.map_or(ExitCode::FAILURE, |cause| ExitCode::from(cause.code()))
}

fn shown(file: &Path) -> String {
    if file == Path::new("-") { "<stdin>".into() } else { file.display().to_string() }
}

/// [`report`], with hints that name the definition.
fn report_of(definition: &Path, diagnostics: &mut [Diagnostic]) -> String {
    hints::name_definition(&mut *diagnostics, &shown(definition));
    report(diagnostics)
}

/// The first diagnostics and, after them, how many there are.
fn report(diagnostics: &[Diagnostic]) -> String {
    if diagnostics.is_empty() {
        return String::new();
    }
    let counts: Vec<_> = [Severity::Error, Severity::Warning, Severity::Note]
        .into_iter()
        .map(|severity| (diagnostics.iter().filter(|it| it.severity == severity).count(), severity.as_str()))
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| counted(count, what))
        .collect();
    let rest = diagnostics.len().saturating_sub(MAX_SHOWN);
    let rest = if rest > 0 { format!(", {rest} of them not shown") } else { String::new() };
    format!("{}\n{}{rest}\n", render(diagnostics, MAX_SHOWN), counts.join(", "))
}

/// Prints to the standard output. A closed pipe (`kso schema | head`) is no failure.
fn print(bytes: &[u8], code: ExitCode) -> ExitCode {
    match io::stdout().write_all(bytes) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "error: cannot write to the standard output: {error}");
            ExitCode::FAILURE
        }
        _ => code,
    }
}
