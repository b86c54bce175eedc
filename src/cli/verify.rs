//! `kso verify`: verifies that everything in a lock is present. Owns arguments, progress and the report; does not know
//! how anything is verified.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{MAX_SHOWN, counted, print, read_file, report, shown};
use crate::diagnostic::{Diagnostic, plain, quoted, size};
use crate::kind::files::verify::FileServer;
use crate::kind::images::verify::RegistryServer;
use crate::lock::{Lock, MAX_LOCK_BYTES};
use crate::name::{Arch, ServerPath, ServerRoot};
use crate::registry::{Client, Credentials, Endpoint};
use crate::report::Report;
use crate::retry::Retry;
use crate::rootfs::Tree;
use crate::rootfs::layout::Layout;
use crate::verify::{check, folders};
use crate::web::{Netrc, Trust, Web};

/// Something was not as the lock says.
const DIFFERS: u8 = 1;
/// Nothing could be proved.
const FAILED: u8 = 2;
/// How often a server is asked: one at the site is there, or it is not.
const TRIES: u32 = 3;

/// Verify that everything in a lock is present, and nothing else
///
/// PLACE is an OCI layout or a tar of one (`docker buildx build -o type=oci,dest=image.tar`), or the root directory of an
/// unpacked image or of a machine. If it contains files or a registry's storage, these must be complete. `--files` and
/// `--registry` are running servers. Every byte is hashed.
/// The exit code is 0 if everything matches, 1 if something is missing, wrong or extra, and 2 if the verification failed.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["place", "files", "registry"]))]
pub(super) struct Arguments {
    /// The lock
    #[arg(long, value_name = "FILE", default_value = "kso.lock")]
    lock: PathBuf,
    /// What to verify
    place: Option<PathBuf>,
    /// The file server: the URL that Kubespray calls `files_repo`. A login for it is taken from `~/.netrc` (`NETRC` names
    /// another file)
    #[arg(long, value_name = "URL")]
    files: Option<String>,
    /// The registry, over HTTPS unless it is this machine or starts with `http://`. The login of `docker login` is used
    /// (`DOCKER_CONFIG` names another directory)
    #[arg(long, value_name = "HOST[:PORT]")]
    registry: Option<String>,
    /// Additional trusted certificate authorities (PEM)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The directory that files are served from: `root` and `path` of `fileServer`
    #[arg(long, value_name = "DIR", default_value_t = default_folder())]
    served: String,
    /// The architecture of a root directory or a registry, if its content does not show it (amd64, arm64)
    #[arg(long, value_name = "ARCH", value_parser = architecture)]
    architecture: Option<Arch>,
    /// The output format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table for people
    Text,
    /// JSON for programs
    Json,
}

fn default_folder() -> String {
    format!("{}/{}", ServerRoot::default().as_str(), ServerPath::default().as_str())
}

fn architecture(text: &str) -> Result<Arch, String> {
    text.parse().map_err(|invalid: crate::name::Invalid| invalid.message)
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let lock = match lock(&arguments.lock) {
        Ok(lock) => lock,
        Err(problems) => {
            let _ = write!(io::stderr(), "{}", report(&problems));
            return ExitCode::from(FAILED);
        }
    };
    let bar = bar();
    let (mut places, mut failed) = (Vec::new(), false);
    for (name, proved) in prove(&lock, arguments, &bar) {
        match proved {
            Ok(found) => places.extend(found),
            Err(why) => {
                failed = true;
                let _ = writeln!(io::stderr(), "error: cannot verify {}: {}", quoted(&name), plain(&why));
            }
        }
    }
    bar.finish_and_clear();
    let good = places.iter().all(|place| place.report.problems.is_empty());
    let code = match (failed, good) {
        (true, _) => ExitCode::from(FAILED),
        (false, false) => ExitCode::from(DIFFERS),
        (false, true) => ExitCode::SUCCESS,
    };
    if failed && places.is_empty() {
        return code;
    }
    let text = match arguments.format {
        Format::Text => table(&places),
        Format::Json => as_json(&places),
    };
    print(text.as_bytes(), code)
}

fn lock(file: &Path) -> Result<Lock, Vec<Diagnostic>> {
    let name = shown(file);
    let source = match read_file(&name, file, MAX_LOCK_BYTES) {
        Ok(Some(source)) => source,
        Ok(None) => {
            let problem = Diagnostic::error(format!("the lock {} does not exist", quoted(&name)));
            return Err(vec![problem.help("give its path: `--lock path/to/kso.lock`")]);
        }
        Err(why) => {
            return Err(vec![Diagnostic::error(format!("the lock {} cannot be read: it {why}", quoted(&name)))]);
        }
    };
    Lock::read(&source).map(|file| file.lock().clone())
}

/// What was found at a place.
struct Place {
    /// As it stands on the command line.
    name: String,
    /// Of an image, what it runs on.
    platform: Option<String>,
    report: Report,
}

/// What is found at each place, or why nothing can be proved there.
fn prove(lock: &Lock, arguments: &Arguments, bar: &ProgressBar) -> Vec<(String, Result<Vec<Place>, String>)> {
    let place = arguments.place.as_ref().map(|place| (shown(place), on_disk(lock, place, arguments, bar)));
    let files = arguments.files.as_ref().map(|files| (files.clone(), of_files(lock, files, arguments, bar)));
    let registry =
        arguments.registry.as_ref().map(|registry| (registry.clone(), of_registry(lock, registry, arguments, bar)));
    place.into_iter().chain(files).chain(registry).collect()
}

/// The images of a layout, or the only root.
fn on_disk(lock: &Lock, place: &Path, arguments: &Arguments, bar: &ProgressBar) -> Result<Vec<Place>, String> {
    let (name, architecture) = (shown(place), arguments.architecture);
    let served = arguments.served.trim_end_matches('/');
    if !served.starts_with('/') {
        return Err(format!("the directory {} is not an absolute path", quoted(served)));
    }
    let folders = folders(served);
    let layout = if place.is_dir() {
        Layout::of_folder(place)
    } else {
        Some(Layout::of_tar(place).map_err(|error| error.to_string())?)
    };
    let Some(layout) = layout else {
        let tree = Tree::of_folder(place, &folders, &|bytes| bar.inc(bytes)).map_err(|error| error.to_string())?;
        return Ok(vec![Place { name, platform: None, report: check(lock, &tree, served, architecture) }]);
    };
    let images = layout.images(&folders, &|bytes| bar.inc(bytes)).map_err(|error| error.to_string())?;
    if images.is_empty() {
        return Err("it contains no image".into());
    }
    let found = images.into_iter().map(|image| {
        let mut report = check(lock, &image.tree, served, image.architecture.or(architecture));
        report.problems.extend(image.problems);
        report.problems.sort();
        Place { name: name.clone(), platform: Some(image.platform), report }
    });
    Ok(found.collect())
}

fn of_files(lock: &Lock, url: &str, arguments: &Arguments, bar: &ProgressBar) -> Result<Vec<Place>, String> {
    let (web, netrc) = (web(arguments)?, Netrc::of_user()?);
    let server = FileServer::new(&web, url, |url| netrc.authorization(url))?;
    let report = wait(server.check(&lock.files().collect::<Vec<_>>(), &|bytes| bar.inc(bytes)))??;
    Ok(vec![Place { name: url.to_owned(), platform: None, report }])
}

fn of_registry(lock: &Lock, name: &str, arguments: &Arguments, bar: &ProgressBar) -> Result<Vec<Place>, String> {
    let endpoint = Endpoint::named(name).map_err(|failure| failure.to_string())?;
    let client = Client::new(web(arguments)?, Credentials::of_user()?);
    let server = RegistryServer { client: &client, endpoint: &endpoint };
    let report =
        wait(server.check(&lock.images().collect::<Vec<_>>(), arguments.architecture, &|bytes| bar.inc(bytes)))??;
    Ok(vec![Place { name: name.to_owned(), platform: None, report }])
}

fn web(arguments: &Arguments) -> Result<Web, String> {
    let mut trust = Trust::default();
    if let Some(file) = &arguments.ca {
        let name = quoted(&shown(file));
        let pem = std::fs::read(file).map_err(|error| format!("the certificates {name} cannot be read: {error}"))?;
        trust = trust.with_pem(&pem).map_err(|why| format!("{name} {why}"))?;
    }
    Web::new(&trust, Retry { tries: TRIES, ..Retry::default() })
}

fn wait<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    Ok(runtime.map_err(|error| format!("cannot start: {error}"))?.block_on(work))
}

/// How much was read, told to a person who waits.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("[verify] {decimal_bytes} hashed, {decimal_bytes_per_sec}, {elapsed}");
    ProgressBar::new_spinner().with_style(style.expect("the template is a constant"))
}

/// The width (characters) that a column is aligned to at most.
const COLUMN: usize = 60;

fn table(places: &[Place]) -> String {
    let mut out = String::new();
    for Place { name, platform, report } in places {
        let shown = || report.problems.iter().take(MAX_SHOWN);
        let width = shown().map(|problem| plain(&problem.name).chars().count()).max().unwrap_or_default().min(COLUMN);
        for problem in shown() {
            let (kind, name, why) = (problem.kind.as_str(), plain(&problem.name), plain(&problem.why));
            let _ = writeln!(out, "{kind:8} {name:width$}  {why}");
        }
        let count = report.problems.len();
        if let Some(more) = count.checked_sub(MAX_SHOWN).filter(|more| *more > 0) {
            let _ = writeln!(out, "         and {more} more");
        }
        for note in report.notes.iter().take(MAX_SHOWN) {
            let _ = writeln!(out, "note     {}", plain(note));
        }
        if let Some(more) = report.notes.len().checked_sub(MAX_SHOWN).filter(|more| *more > 0) {
            let _ = writeln!(out, "note     {more} more");
        }
        let platform = platform.as_deref().map(|platform| format!(" ({platform})")).unwrap_or_default();
        let looked = [(report.files, "file"), (report.images, "image")];
        let looked: Vec<_> = looked.iter().filter(|(n, _)| *n > 0).map(|(n, what)| counted(*n, what)).collect();
        let looked = if looked.is_empty() { "nothing from the lock".to_owned() } else { looked.join(" and ") };
        let result = if count == 0 { "matches the lock".to_owned() } else { counted(count, "problem") };
        let _ = writeln!(out, "{}{platform}: {looked}, {} hashed: {result}", plain(name), size(report.bytes));
    }
    out
}

fn as_json(places: &[Place]) -> String {
    let one = |Place { name, platform, report }: &Place| {
        let problems = report.problems.iter();
        let problems: Vec<_> =
            problems.map(|it| json!({ "kind": it.kind.as_str(), "name": it.name, "why": it.why })).collect();
        let Report { files, images, bytes, notes, .. } = report;
        json!({ "place": name, "platform": platform, "files": files, "images": images, "bytes": bytes,
                "problems": problems, "notes": notes })
    };
    let mut text = serde_json::to_string_pretty(&json!({ "places": places.iter().map(one).collect::<Vec<_>>() }))
        .unwrap_or_default();
    text.push('\n');
    text
}
