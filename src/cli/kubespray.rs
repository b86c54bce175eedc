//! `kso lists`. Owns its arguments, and what is printed; does not know how files are read.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::disk;
use super::{counted, print, read_file, report, shown};
use crate::diagnostic::{Diagnostic, quoted};
use crate::kind::images::Registry;
use crate::kind::{Expansion, Producer, files, images};
use crate::name::Arch;
use crate::producer::kubespray::{
    self, Address, Downloads, Folder, Include, Input, MAX_FILE_BYTES, Release, Vars, checkout_files, inventory_files,
};

/// Print what a release of Kubespray downloads, by its own variables
///
/// The lists are those of a build with `kubespray:` in its definition: files-<arch>.list, images-<arch>.list,
/// checksums-<arch>.tsv, and offline.yml, which points an inventory at the images.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A checkout of Kubespray, or a single file of variables
    #[arg(long, value_name = "DIR")]
    kubespray: PathBuf,
    /// The inventory: the directory that contains `group_vars`, or the file of the hosts in it
    #[arg(long, value_name = "PATH")]
    inventory: Option<PathBuf>,
    /// List what this host of the inventory downloads, instead of what any of them does
    #[arg(long, value_name = "NAME", requires = "inventory", conflicts_with = "prove")]
    host: Option<String>,
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
    let downloads = match &arguments.host {
        None => release.all_downloads(include, &architectures, diagnostics),
        Some(host) => release
            .downloads_of(host, include, &architectures, diagnostics)
            .map_err(|problem| diagnostics.push(problem))
            .ok()?,
    };
    check(&downloads, &architectures, diagnostics);
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

/// Reports what no build could fetch or serve, as of a definition with these lists.
fn check(downloads: &BTreeMap<Arch, Downloads>, architectures: &[Arch], diagnostics: &mut Vec<Diagnostic>) {
    let rendered = kubespray::rendered(downloads);
    let producer = Some(Producer { name: kubespray::VARIABLES, asked: None });
    let with = Expansion { architectures, lists: &BTreeMap::new(), producer };
    files::expand(&[], &rendered.files, &with, diagnostics);
    images::expand(&[], &rendered.images, &Registry::default(), &with, diagnostics);
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
        let file = [kubespray::single_file().to_owned()];
        disk::read(path, MAX_FILE_BYTES).map(|bytes| Folder {
            name: String::new(),
            files: file.into_iter().map(|name| (name, bytes.clone())).collect(),
        })
    } else {
        let name = shown(path);
        let files = if path.is_dir() {
            disk::directory(path, &name, &checkout_files(), None)
        } else {
            Err(disk::missing(&name))
        };
        files.map_err(|problem| diagnostics.push(problem)).ok().map(|files| Folder { name, files })
    };
    let inventory = match &arguments.inventory {
        Some(path) => {
            let (directory, hosts) = match (path.parent(), path.file_name()) {
                (Some(directory), Some(hosts)) if path.is_file() => (directory, hosts.to_str()),
                _ => (path.as_path(), None),
            };
            let name = shown(directory);
            let files = disk::directory(directory, &name, &inventory_files(hosts), None);
            let files = files.map_err(|problem| diagnostics.push(problem)).unwrap_or_default();
            Some(Folder::inventory(name, files, None, diagnostics))
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
