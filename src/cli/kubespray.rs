//! `kso lists`, and the files of Kubespray on disk. Owns which files are read; does not know what they say.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::git;
use super::input::Reach;
use super::{counted, print, read_file, report, shown};
use crate::diagnostic::rules::UNREAD_KUBESPRAY;
use crate::diagnostic::{Diagnostic, Source, Span, Spanned, quoted};
use crate::kubespray::{self, Address, Files, Folder, Include, Input, MAX_FILE_BYTES, Release, Vars};
use crate::lock::{KubesprayQuestion, LockedKubespray};
use crate::spec::{Arch, Checkout, Definition};

/// Folders within one another that are walked.
const MAX_DEPTH: usize = 16;
/// Files and folders that are looked at.
const MAX_ENTRIES: usize = 5_000;
/// Bytes of variable files that are read of one checkout or inventory. Kubespray's largest release has under one MiB.
const MAX_BYTES: usize = 64 << 20;

/// Print what a release of Kubespray downloads, by its own variables
///
/// The lists are those of a build with `kubespray:` in its definition: files-<arch>.list, images-<arch>.list,
/// checksums-<arch>.tsv, and offline.yml, which points an inventory at the images.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A checkout of Kubespray, or a single file of variables
    #[arg(long, value_name = "DIR")]
    kubespray: PathBuf,
    /// The inventory, which contains `group_vars`
    #[arg(long, value_name = "DIR")]
    inventory: Option<PathBuf>,
    /// Extra variable with the highest precedence: `name=value`, a mapping `{…}`, or `@file`
    #[arg(short = 'e', long = "extra-vars", value_name = "NAME=VALUE")]
    extra_vars: Vec<String>,
    /// The architectures
    #[arg(long, value_name = "ARCH", value_delimiter = ',', default_values = ["amd64", "arm64"])]
    arch: Vec<String>,
    /// What to include: only what is enabled, or everything
    #[arg(long, value_enum, default_value = "enabled")]
    include: Wanted,
    /// The directory to write the lists to, instead of printing them
    #[arg(short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Verify that offline.yml points every download at the images, and print what the verification covers
    #[arg(long, conflicts_with = "output")]
    prove: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Wanted {
    /// What a cluster with these variables downloads
    Enabled,
    /// What any could
    All,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let mut diagnostics = Vec::new();
    let done = lists(arguments, &mut diagnostics);
    let failed = diagnostics.iter().any(Diagnostic::is_error);
    let _ = write!(io::stderr(), "{}", report(&diagnostics));
    match done {
        Some(text) if !failed => print(text.as_bytes(), ExitCode::SUCCESS),
        Some(text) if arguments.prove => print(text.as_bytes(), ExitCode::FAILURE),
        _ => ExitCode::FAILURE,
    }
}

fn lists(arguments: &Arguments, diagnostics: &mut Vec<Diagnostic>) -> Option<String> {
    let architectures = architectures(&arguments.arch, diagnostics)?;
    let input = input(arguments, diagnostics)?;
    let release = Release::read(&input, diagnostics)?;
    let include = match arguments.include {
        Wanted::Enabled => Include::Enabled,
        Wanted::All => Include::All,
    };
    let downloads = release.all_downloads(include, &architectures, diagnostics);
    if diagnostics.iter().any(Diagnostic::is_error) {
        return None;
    }
    let address = Address::default();
    if arguments.prove {
        let proof = kubespray::prove(&release, &address, &downloads);
        if !proof.failed.is_empty() {
            let failed = counted(proof.failed.len(), "download");
            diagnostics.push(Diagnostic::error(format!(
                "{failed} not covered: the address leads elsewhere, or the images lack the content"
            )));
        }
        return Some(proof.text());
    }
    let mut texts = kubespray::texts(&downloads);
    texts.insert("offline.yml".into(), kubespray::offline(&release, &address));
    let Some(folder) = &arguments.output else {
        return Some(texts.iter().map(|(name, text)| format!("# {name}\n{text}\n")).collect());
    };
    let written = fs::create_dir_all(folder)
        .and_then(|()| texts.iter().try_for_each(|(name, text)| fs::write(folder.join(name), text)));
    match written {
        Ok(()) => Some(String::new()),
        Err(error) => {
            let problem = format!("cannot write to {}: {error}", quoted(&folder.display().to_string()));
            diagnostics.push(Diagnostic::error(problem));
            None
        }
    }
}

fn architectures(names: &[String], diagnostics: &mut Vec<Diagnostic>) -> Option<Vec<Arch>> {
    let mut architectures = Vec::new();
    for name in names {
        match name.parse::<Arch>() {
            Ok(arch) => architectures.push(arch),
            Err(invalid) => {
                let problem = Diagnostic::error(invalid.message);
                diagnostics.push(invalid.help.into_iter().fold(problem, Diagnostic::help));
            }
        }
    }
    diagnostics.is_empty().then_some(architectures)
}

fn input(arguments: &Arguments, diagnostics: &mut Vec<Diagnostic>) -> Option<Input> {
    let path = &arguments.kubespray;
    let checkout = if path.is_file() {
        let file = [kubespray::single_files()[0].to_owned()];
        read(path, MAX_FILE_BYTES).map(|bytes| Folder {
            name: String::new(),
            files: file.into_iter().map(|name| (name, bytes.clone())).collect(),
        })
    } else {
        checkout(path, &shown(path), diagnostics, None)
    };
    let inventory = match &arguments.inventory {
        Some(path) => {
            // `-i` of Ansible takes the file of hosts, too.
            let path = if path.is_file() { path.parent().unwrap_or(path) } else { path };
            let folder = inventory(path, &shown(path), diagnostics);
            if folder.files.is_empty() {
                let name = quoted(&shown(path));
                let problem = Diagnostic::error(format!("{name} is not an inventory: it has no `group_vars`"));
                diagnostics.push(problem.help("use the directory that contains `group_vars`"));
            }
            Some(folder)
        }
        None => None,
    };
    let mut vars = Vars::default();
    for argument in &arguments.extra_vars {
        let read = match argument.strip_prefix('@') {
            Some(name) => file_vars(name),
            None => Vars::of_arguments(std::slice::from_ref(argument)),
        };
        match read {
            Ok(more) => vars = vars.and(more),
            Err(problem) => diagnostics.push(problem),
        }
    }
    if diagnostics.iter().any(Diagnostic::is_error) {
        return None;
    }
    Some(Input { checkout: checkout?, inventory, vars, span: None })
}

fn file_vars(name: &str) -> Result<Vars, Diagnostic> {
    match read_file(name, Path::new(name), MAX_FILE_BYTES) {
        Ok(Some(source)) => Vars::of_file(&source),
        Ok(None) => Err(Diagnostic::error(format!("the file {} does not exist", quoted(name)))),
        Err(why) => Err(Diagnostic::error(format!("{} cannot be read: it {why}", quoted(name)))),
    }
}

/// Reads what a definition names of Kubespray and adds it to the definition. What only a build can fetch is a warning,
/// unless the command reaches the network too.
pub(super) fn load(
    source: &Arc<Source>,
    context: &Path,
    definition: &mut Definition,
    reach: Reach,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<LockedKubespray> {
    let wanted = definition.kubespray().cloned()?;
    let Spanned { value, span } = &wanted.source;
    let name = value.to_string();
    let (checkout, commit) = match value {
        Checkout::Context(path) if kubespray::is_archive(path) => (archive(context, path, span, diagnostics)?, None),
        Checkout::Context(path) => (checkout(&context.join(path), &name, diagnostics, Some(span))?, None),
        Checkout::Git(git) if reach == Reach::Network => {
            let cloned = git::clone(git).map_err(|problem| diagnostics.push(problem.at(span.clone()))).ok()?;
            (checkout(&cloned.path(), &name, diagnostics, Some(span))?, Some(cloned.commit().to_owned()))
        }
        Checkout::Git(_) => {
            let message = format!("{} was not read: this command does not use the network", quoted(&name));
            diagnostics.push(Diagnostic::lint(&UNREAD_KUBESPRAY, message).at(span.clone()));
            return None;
        }
    };
    let inventory = wanted.inventory.as_ref().map(|folder| {
        let found = inventory(&context.join(folder.value.as_str()), folder.value.as_str(), diagnostics);
        if found.files.is_empty() {
            diagnostics.push(kubespray::no_inventory(folder.value.as_str(), &folder.span));
        }
        found
    });
    let vars = Vars::of_definition(source).map_err(|problem| diagnostics.push(problem)).unwrap_or_default();
    let input = Input { checkout, inventory, vars, span: Some(span.clone()) };
    let release = Release::read(&input, diagnostics)?;
    let downloads = release.all_downloads(wanted.include.into(), definition.architectures(), diagnostics);
    let rendered = kubespray::rendered(&downloads);
    let inputs = input.inputs(commit.is_some());
    let architectures = definition.architectures();
    let question = KubesprayQuestion { source: &name, include: wanted.include, architectures, inputs: &inputs };
    let locked = LockedKubespray::of(question, commit, &rendered);
    definition.render(rendered);
    Some(locked)
}

/// The variable files of an archive of the build context; of one with a single folder, those in that folder.
fn archive(context: &Path, path: &str, span: &Span, diagnostics: &mut Vec<Diagnostic>) -> Option<Folder> {
    let read = archive_files(&context.join(path)).map_err(|why| {
        let problem = Diagnostic::error(format!("the archive {} cannot be read: {why}", quoted(path)));
        diagnostics.push(problem.at(span.clone()));
    });
    Some(Folder { name: path.to_owned(), files: read.ok()? })
}

fn archive_files(path: &Path) -> io::Result<Files> {
    let file = io::BufReader::new(fs::File::open(path)?);
    let text = path.to_string_lossy();
    let bytes: Box<dyn io::Read> = if text.ends_with(".tar") {
        Box::new(file)
    } else if text.ends_with(".gz") || text.ends_with(".tgz") {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else {
        return Err(io::Error::other("only `.tar` and `.tar.gz` are supported here; a build also reads other formats"));
    };
    let (mut files, mut left) = (Files::new(), MAX_BYTES);
    for entry in tar::Archive::new(bytes).entries()? {
        let entry = entry?;
        let name = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
        if entry.header().entry_type().is_file() && is_wanted(&name) {
            let mut bytes = Vec::new();
            entry.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
            let too_much = || io::Error::other(format!("it contains more than {} MiB of variables", MAX_BYTES >> 20));
            left = left.checked_sub(bytes.len()).ok_or_else(too_much)?;
            files.insert(name, bytes);
        }
    }
    // As GitHub makes them: one folder that holds everything.
    let folders = kubespray::folders();
    let is_whole = files.keys().any(|name| folders.iter().any(|folder| name.starts_with(folder.as_str())));
    if !is_whole {
        let within = |(name, bytes): (String, Vec<u8>)| Some((name.split_once('/')?.1.to_owned(), bytes));
        files = files.into_iter().filter_map(within).collect();
    }
    Ok(files)
}

/// Whether a file of an archive may be one of a checkout.
fn is_wanted(name: &str) -> bool {
    let within = name.split_once('/').map_or(name, |(_, rest)| rest);
    let is_variable = |name: &str| {
        let single = kubespray::single_files().contains(&name);
        let folders = kubespray::folders();
        single || (folders.iter().any(|folder| name.starts_with(folder.as_str())) && kubespray::is_variables(name))
    };
    is_variable(name) || is_variable(within)
}

fn checkout(path: &Path, name: &str, diagnostics: &mut Vec<Diagnostic>, span: Option<&Span>) -> Option<Folder> {
    if !path.is_dir() {
        let problem = Diagnostic::error(format!("the directory {} does not exist", quoted(name)));
        let problem = problem.help("use the directory of a Kubespray checkout");
        diagnostics.push(problem.at(span.cloned()));
        return None;
    }
    let mut folder = Folder { name: name.to_owned(), ..Folder::default() };
    let mut left = Left::default();
    let walked = kubespray::folders().iter().all(|relative| walk(path, relative, 0, &mut left, &mut folder));
    if !walked {
        diagnostics.push(too_many(name).at(span.cloned()));
        return None;
    }
    for single in kubespray::single_files() {
        if let Some(bytes) = read(&path.join(single), MAX_FILE_BYTES) {
            folder.files.insert((*single).to_owned(), bytes);
        }
    }
    Some(folder)
}

fn inventory(path: &Path, name: &str, diagnostics: &mut Vec<Diagnostic>) -> Folder {
    let mut folder = Folder { name: name.to_owned(), ..Folder::default() };
    if !walk(path, kubespray::INVENTORY_FOLDER, 0, &mut Left::default(), &mut folder) {
        diagnostics.push(too_many(name));
    }
    folder
}

/// What may still be read of one checkout or inventory.
struct Left {
    entries: usize,
    bytes: usize,
}

impl Default for Left {
    fn default() -> Self {
        Self { entries: MAX_ENTRIES, bytes: MAX_BYTES }
    }
}

fn too_many(name: &str) -> Diagnostic {
    let (name, most) = (quoted(name), MAX_BYTES >> 20);
    Diagnostic::error(format!("more than {MAX_ENTRIES} files and directories, or {most} MiB, in {name}"))
        .help("check for a symbolic link that leads back to a parent directory")
}

/// Adds the variable files below a folder; `false` where there are too many, or links that lead in circles.
fn walk(root: &Path, relative: &str, depth: usize, left: &mut Left, folder: &mut Folder) -> bool {
    for entry in fs::read_dir(root.join(relative)).into_iter().flatten().flatten() {
        let Some(entries) = left.entries.checked_sub(1) else { return false };
        left.entries = entries;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        let (path, relative) = (entry.path(), format!("{relative}/{name}"));
        if path.is_dir() {
            if depth < MAX_DEPTH && !name.starts_with('.') && !walk(root, &relative, depth + 1, left, folder) {
                return false;
            }
        } else if kubespray::is_variables(&relative)
            && let Some(bytes) = read(&path, MAX_FILE_BYTES)
        {
            let Some(bytes_left) = left.bytes.checked_sub(bytes.len()) else { return false };
            left.bytes = bytes_left;
            folder.files.insert(relative, bytes);
        }
    }
    true
}

/// A file, and nothing else. One that is larger than `most` bytes is cut after one more, and told as too large where it is
/// looked at.
fn read(path: &Path, most: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = path.is_file().then(|| fs::File::open(path))?.ok()?;
    file.take(most as u64 + 1).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
