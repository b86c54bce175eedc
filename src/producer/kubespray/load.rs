//! The release that a definition names: read, compared with what a lock says, or rendered. Owns the order; does not know where
//! the files are read.

use std::collections::BTreeMap;
use std::sync::Arc;

use buildkit::gateway::Place;

use super::checkout::{self, HOST_VARS, INVENTORY_FOLDER, is_archive, is_of_play, is_variables};
use super::release::MAX_FILE_BYTES;
use super::{Checkout, Downloads, Folder, Input, Kubespray, LockedKubespray, Question, Release, Rendered, Vars};
use crate::diagnostic::{Diagnostic, Source, Span, Spanned};
use crate::name::Arch;
use crate::producer::{Context, Selection, Tree};

/// What a definition asks of Kubespray.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The key `kubespray`.
    pub wanted: &'a Kubespray,
    /// The definition, which has the variables.
    pub source: &'a Arc<Source>,
    /// The architectures: sorted, each once.
    pub architectures: &'a [Arch],
    /// What a lock says, and where. Its lists are taken if they were made of the same.
    pub locked: Option<(&'a LockedKubespray, &'a Span)>,
}

/// What a release downloads, and how that is known.
#[derive(Debug)]
pub struct Loaded {
    /// The files and images.
    pub rendered: Rendered,
    /// The release, unless the lists are those of the lock.
    pub found: Option<Found>,
}

/// A release that was read.
#[derive(Debug)]
pub struct Found {
    /// The release.
    pub release: Release,
    /// What it downloads, by architecture.
    pub downloads: BTreeMap<Arch, Downloads>,
    /// What a lock says of it.
    pub locked: LockedKubespray,
}

/// Reads and renders what is asked for. With a lock that was made of the same, its lists are taken: nothing is rendered, and no
/// repository is asked. `None` if that fails; the reasons are added to `diagnostics`.
pub async fn load(context: &impl Context, asked: Asked<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Loaded> {
    let Asked { wanted, source, architectures, locked } = asked;
    let mut problems = Vec::new();
    let own = own(context, wanted, source, &mut problems).await;
    // What is wrong there is not compared with a lock; the rest is read all the same, so that one run reports everything.
    let locked = locked.filter(|_| !problems.iter().any(Diagnostic::is_error));
    diagnostics.append(&mut problems);
    let is_git = matches!(wanted.source.value, Checkout::Git(_));
    let name = wanted.source.value.to_string();
    let question = |inputs| Question { source: &name, include: wanted.include, architectures, inputs };
    if let Some((locked, place)) = locked
        && is_git
    {
        return take(wanted, locked, place, question(&own.inputs(true)), diagnostics);
    }
    let input = Input { checkout: checkout(context, wanted, diagnostics).await?, ..own };
    let inputs = input.inputs(is_git);
    if let Some((locked, place)) = locked {
        return take(wanted, locked, place, question(&inputs), diagnostics);
    }
    let Spanned { value, span } = &wanted.source;
    let commit = match value {
        Checkout::Git(git) => context.commit(git, span).await.map_err(|problem| diagnostics.push(problem)).ok()?,
        Checkout::Context(_) => None,
    };
    let release = Release::read(&input, diagnostics)?;
    let downloads = release.all_downloads(wanted.include.into(), architectures, diagnostics);
    let rendered = super::rendered(&downloads);
    let locked = LockedKubespray::of(question(&inputs), commit, &rendered);
    Some(Loaded { rendered, found: Some(Found { release, downloads, locked }) })
}

/// The lists of a lock that was made of the same; reports what is not the same.
fn take(
    wanted: &Kubespray,
    locked: &LockedKubespray,
    place: &Span,
    now: Question<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Loaded> {
    let changed = locked.changed(now);
    if changed.is_empty() {
        return Some(Loaded { rendered: locked.rendered(now.architectures, place), found: None });
    }
    diagnostics.push(locked.outdated(&changed, wanted.source.span.clone(), place.clone()));
    None
}

/// The user's own part: the inventory and the variables. No checkout yet.
async fn own(
    context: &impl Context,
    wanted: &Kubespray,
    source: &Arc<Source>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Input {
    let mut inventory = None;
    if let Some(Spanned { value: path, span }) = &wanted.inventory {
        inventory = read_inventory(context, path.as_str(), span, diagnostics).await;
        inventory = inventory.map(|Folder { name, files }| Folder::inventory(name, files, Some(span), diagnostics));
    }
    let vars = Vars::of_definition(source).map_err(|problem| diagnostics.push(problem)).unwrap_or_default();
    let span = Some(wanted.source.span.clone());
    Input { inventory, vars, span, ..Input::default() }
}

/// The files of an inventory: those of a directory, or a file of hosts and what lies next to it. None where it does not exist.
async fn read_inventory(
    context: &impl Context,
    path: &str,
    span: &Span,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Folder> {
    let tree = |directory, hosts| {
        let (name, place) = (String::from(directory), Place::Context(directory));
        Tree { name, place, required: false, selection: inventory_files(hosts), span }
    };
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    if !checkout::names_hosts(name) {
        let found = folder(context, tree(path, None), diagnostics).await?;
        if !found.files.is_empty() {
            return Some(found);
        }
    }
    // A file of hosts may have no extension.
    let found = folder(context, tree(parent, Some(name)), diagnostics).await?;
    let exists = found.files.contains_key(name);
    Some(if exists { found } else { Folder { name: path.to_owned(), ..Folder::default() } })
}

async fn checkout(context: &impl Context, wanted: &Kubespray, diagnostics: &mut Vec<Diagnostic>) -> Option<Folder> {
    let Spanned { value: source, span } = &wanted.source;
    let place = match source {
        Checkout::Git(git) => Place::Git(git),
        Checkout::Context(path) if is_archive(path) => Place::Archive(path),
        Checkout::Context(path) => Place::Context(path),
    };
    let (name, selection) = (source.to_string(), checkout_files());
    folder(context, Tree { name, place, required: true, selection, span }, diagnostics).await
}

/// The files of a checkout that are read.
pub fn checkout_files() -> Selection {
    let paths = checkout::FOLDERS.iter().chain(&checkout::FILES).map(ToString::to_string).collect();
    Selection { paths, keeps: is_of_play, max_bytes: MAX_FILE_BYTES }
}

/// The files of an inventory that are read: those of variables, and the file of the hosts, or whatever may be one.
pub fn inventory_files(hosts: Option<&str>) -> Selection {
    let mut paths = [INVENTORY_FOLDER, HOST_VARS].map(str::to_owned).to_vec();
    match hosts {
        Some(name) => paths.push(name.to_owned()),
        None => paths.extend(checkout::HOST_FILES.map(str::to_owned)),
    }
    Selection { paths, keeps: is_variables, max_bytes: MAX_FILE_BYTES }
}

/// The variable files of a tree, if it could be read without a problem.
async fn folder(context: &impl Context, tree: Tree<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Folder> {
    let files = context.read(&tree).await.map_err(|problems| diagnostics.extend(problems)).ok()?;
    Some(Folder { name: tree.name, files })
}
