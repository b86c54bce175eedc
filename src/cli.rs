//! The command line: what a person runs by hand. Owns arguments, files and exit codes; does not know how to build
//! (buildx does that).

mod git;
mod kubespray;
mod llb;
mod lock;
mod verify;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use crate::arrange::arrange;
use crate::diagnostic::{Diagnostic, Source, quoted, render};
use crate::lock::LockedKubespray;
use crate::manifests;
use crate::spec::{Definition, ListText, MAX_DEFINITION_BYTES, MAX_LIST_BYTES, Spec, json_schema};

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
    /// Tell every problem of a definition and its lists
    Check {
        /// The definition; `-` reads it from the standard input
        #[arg(default_value = "kso.yaml")]
        file: PathBuf,
        /// The build context, which the paths of lists are relative to
        #[arg(long, value_name = "DIR", default_value = ".")]
        context: PathBuf,
    },
    Lists(kubespray::Arguments),
    Llb(llb::Arguments),
    Verify(verify::Arguments),
    Lock(lock::Arguments),
    /// Put blobs where a storage wants them, if each is what its digest says (a step of a build, not for people)
    #[command(hide = true)]
    Arrange {
        /// What to arrange, JSON
        order: PathBuf,
        /// The folder to write to
        out: PathBuf,
    },
    /// Write the manifests of an image as its registry sends them (a step of a build, not for people)
    #[command(hide = true)]
    Manifests(manifests::Arguments),
    /// Print the JSON Schema of the definition
    Schema {
        /// That of the lock instead
        #[arg(long)]
        lock: bool,
    },
}

/// Runs the command of the process's arguments.
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Check { file, context } => check(&file, &context),
        Command::Lists(arguments) => kubespray::run(&arguments),
        Command::Llb(arguments) => llb::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Lock(arguments) => lock::run(&arguments),
        Command::Arrange { order, out } => arranged(&order, &out),
        Command::Manifests(arguments) => written(&arguments),
        Command::Schema { lock: false } => print(json_schema().as_bytes(), ExitCode::SUCCESS),
        Command::Schema { lock: true } => print(crate::lock::json_schema().as_bytes(), ExitCode::SUCCESS),
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

fn check(file: &Path, context: &Path) -> ExitCode {
    let mut diagnostics = Vec::new();
    let spec = load(file, context, &mut diagnostics);
    // Nobody to tell where the standard error is closed; the exit code still says it.
    let _ = write!(io::stderr(), "{}", report(&diagnostics));
    match spec {
        Some(spec) if !diagnostics.iter().any(Diagnostic::is_error) => {
            print(summary(&shown(file), &spec).as_bytes(), ExitCode::SUCCESS)
        }
        _ => ExitCode::FAILURE,
    }
}

/// Reads a definition and its lists from files. `None` where nothing in the definition is usable; what is wrong stands
/// in `diagnostics`.
pub fn load(file: &Path, context: &Path, diagnostics: &mut Vec<Diagnostic>) -> Option<Spec> {
    Some(load_all(file, context, Reach::Files, diagnostics)?.spec)
}

/// How far a command goes for what a definition names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Files of the build context.
    Files,
    /// The network, too.
    Network,
}

/// What a definition and the files that it names say.
struct Loaded {
    spec: Spec,
    /// The path of the lock, where the definition names one.
    lock: Option<String>,
    /// What the lists of Kubespray were rendered from, if they were.
    kubespray: Option<LockedKubespray>,
}

/// [`load`], with all that a lock needs.
fn load_all(file: &Path, context: &Path, reach: Reach, diagnostics: &mut Vec<Diagnostic>) -> Option<Loaded> {
    let name = shown(file);
    let text = if file == Path::new("-") {
        read(&name, &mut io::stdin(), MAX_DEFINITION_BYTES)
    } else {
        read_file(&name, file, MAX_DEFINITION_BYTES)
    };
    let source = match text {
        Ok(Some(source)) => source,
        Ok(None) => {
            let problem = Diagnostic::error(format!("there is no file {}", quoted(&name)));
            diagnostics.push(problem.help("name the definition: `kso check path/to/kso.yaml`"));
            return None;
        }
        Err(why) => {
            let problem = format!("the definition {} cannot be read: it {why}", quoted(&name));
            diagnostics.push(Diagnostic::error(problem));
            return None;
        }
    };
    let mut definition = Definition::parse(&source, diagnostics)?;
    if !context.is_dir() {
        let problem = Diagnostic::error(format!("the build context {} is no folder", quoted(&shown(context))));
        diagnostics.push(problem.help("name the folder that the lists' paths are relative to: `--context DIR`"));
        return None;
    }
    let mut lists = BTreeMap::<String, ListText>::new();
    for name in definition.lists() {
        match read_list(&name, context) {
            Ok(Some(source)) => drop(lists.insert(name, Ok(source))),
            Ok(None) => {}
            Err(why) => drop(lists.insert(name, Err(why))),
        }
    }
    let kubespray = kubespray::load(&source, context, &mut definition, reach, diagnostics);
    let lock = definition.lock().map(|lock| lock.value.as_str().to_owned());
    Some(Loaded { spec: definition.expand(&lists, diagnostics), lock, kubespray })
}

/// The text of a list, which must be what a build would find: a regular file that no link leads out of the context to.
fn read_list(name: &str, context: &Path) -> Result<Option<Arc<Source>>, String> {
    let path = context.join(name);
    if let (Ok(root), Ok(found)) = (context.canonicalize(), path.canonicalize()) {
        if !found.starts_with(&root) {
            return Err("lies behind a link that leads out of the build context".into());
        }
        // Looked at before it is opened: opening a pipe waits for whoever writes.
        if found.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            return Err("is no regular file".into());
        }
    }
    read_file(name, &path, MAX_LIST_BYTES)
}

/// The text of a file; `None` where there is none, `Err` why it cannot be read, as a fact about it.
fn read_file(name: &str, path: &Path, max_bytes: usize) -> Result<Option<Arc<Source>>, String> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(&error)),
    };
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err("is a folder".into());
    }
    read(name, &mut file, max_bytes)
}

fn read(name: &str, from: &mut dyn Read, max_bytes: usize) -> Result<Option<Arc<Source>>, String> {
    let mut bytes = Vec::new();
    // One byte more than allowed is enough to know.
    let limit = u64::try_from(max_bytes).map_or(u64::MAX, |max| max.saturating_add(1));
    from.take(limit).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    Source::from_bytes(name, bytes, max_bytes).map(Some)
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "may not be read by this user".into(),
        io::ErrorKind::IsADirectory => "is a folder".into(),
        _ => format!("gives an error: {error}"),
    }
}

fn shown(file: &Path) -> String {
    if file == Path::new("-") { "<stdin>".into() } else { file.display().to_string() }
}

/// The first diagnostics and, after them, how many there are.
fn report(diagnostics: &[Diagnostic]) -> String {
    if diagnostics.is_empty() {
        return String::new();
    }
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let counts: Vec<_> = [(errors, "error"), (diagnostics.len() - errors, "warning")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| counted(count, what))
        .collect();
    let rest = diagnostics.len().saturating_sub(MAX_SHOWN);
    let rest = if rest > 0 { format!(", {rest} of them not shown") } else { String::new() };
    format!("{}\n{}{rest}\n", render(diagnostics, MAX_SHOWN), counts.join(", "))
}

fn summary(name: &str, spec: &Spec) -> String {
    let architectures: Vec<_> = spec.architectures.iter().map(|arch| arch.as_str()).collect();
    let content = [(spec.files.len(), "file"), (spec.images.len(), "image")];
    let content: Vec<_> = content.iter().filter(|(n, _)| *n > 0).map(|(n, what)| counted(*n, what)).collect();
    format!("{name}: {} for {}\n", content.join(" and "), architectures.join(", "))
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Prints to the standard output. A closed pipe (`kso schema | head`) is no failure.
fn print(bytes: &[u8], code: ExitCode) -> ExitCode {
    match io::stdout().write_all(bytes) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "error: the standard output gives an error: {error}");
            ExitCode::FAILURE
        }
        _ => code,
    }
}
