//! The release that a definition names: read, compared with what a lock says, or rendered. Owns the order; does not know where
//! the files are read.

use std::collections::BTreeMap;
use std::sync::Arc;

use buildkit::gateway::Place;

use super::checkout::{self, HOST_VARS, INVENTORY_FOLDER, is_archive, is_of_play, is_variables};
use super::locked::Changed;
use super::release::MAX_FILE_BYTES;
use super::{Checkout, Downloads, Folder, Input, Kubespray, LockedKubespray, Question, Release, Rendered, Vars};
use crate::diagnostic::rules::OFFLINE_INVENTORY;
use crate::diagnostic::{Diagnostic, Severity, Source, Span, Spanned};
use crate::name::{Arch, Digest};
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
    /// What a lock says, and where. Its lists are taken if they were made of the same, or are the same.
    pub locked: Option<LockedRelease<'a>>,
}

/// What a lock says of a release.
#[derive(Debug, Clone, Copy)]
pub struct LockedRelease<'a> {
    /// Its entry.
    pub entry: &'a LockedKubespray,
    /// Where that is written.
    pub place: &'a Span,
    /// Whether the release is rendered even if nothing changed, as far as it can be read without a network: for what is reported
    /// of it.
    pub renders: bool,
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
/// repository is asked. Where an input changed, the release is rendered again, and its lists must be those of the lock. `None` if
/// that fails; the reasons are added to `diagnostics`.
pub async fn load(context: &impl Context, asked: Asked<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Loaded> {
    let Asked { wanted, source, architectures, locked } = asked;
    let mut problems = Vec::new();
    let own = own(context, wanted, source, &mut problems).await;
    // What is wrong there is not compared with a lock; the rest is read all the same, so that one run reports everything.
    let locked = locked.filter(|_| !problems.iter().any(Diagnostic::is_error));
    diagnostics.append(&mut problems);
    let now = Now::of(wanted, architectures);
    // What a commit has is known without reading it.
    if let Some(locked) = locked.filter(|_| now.is_git) {
        match now.judge(locked, &own) {
            Judged::Same => return Some(now.lists(locked)),
            Judged::Other(problem) => {
                diagnostics.push(problem);
                return None;
            }
            Judged::Unknown(_) => {}
        }
    }
    let Some(checkout) = checkout(context, wanted, diagnostics).await else {
        let stale = locked.and_then(|locked| now.unread(locked, &own, diagnostics));
        diagnostics.extend(stale);
        return None;
    };
    let input = Input { checkout, ..own };
    let changed = match locked.map(|locked| (locked, now.judge(locked, &input))) {
        Some((locked, Judged::Same)) if !locked.renders => return Some(now.lists(locked)),
        Some((_, Judged::Other(problem))) => {
            diagnostics.push(problem);
            return None;
        }
        Some((_, Judged::Unknown(changed))) => changed,
        Some((_, Judged::Same)) | None => Changed::default(),
    };
    let Spanned { value, span } = &wanted.source;
    let commit = match value {
        Checkout::Git(git) => context.commit(git, span).await.map_err(|problem| diagnostics.push(problem)).ok()?,
        Checkout::Context(_) => None,
    };
    let mut reported = Vec::new();
    let rendered = Release::read(&input, &mut reported).map(|release| {
        let downloads = release.all_downloads(wanted.include.into(), architectures, &mut reported);
        (super::rendered(&downloads), release, downloads)
    });
    if let Some(locked) = locked {
        if changed.is_empty() {
            // A build takes the lists as they are, whatever this kso would make of the same inputs.
            diagnostics.extend(reported.into_iter().filter(|problem| !problem.is_error()));
            return Some(now.lists(locked));
        }
        let outdated = rendered.and_then(|(rendered, ..)| now.compare(locked, &changed, &rendered, &reported));
        diagnostics.append(&mut reported);
        diagnostics.extend(outdated);
        return (!diagnostics.iter().any(Diagnostic::is_error)).then(|| now.lists(locked));
    }
    diagnostics.append(&mut reported);
    let (rendered, release, downloads) = rendered?;
    let locked = LockedKubespray::of(now.question(&input.inputs(now.is_git)), commit, &rendered);
    Some(Loaded { rendered, found: Some(Found { release, downloads, locked }) })
}

/// What is asked for now, to be compared with a lock.
struct Now<'a> {
    wanted: &'a Kubespray,
    architectures: &'a [Arch],
    /// The source, as the definition writes it.
    name: String,
    is_git: bool,
}

/// What a lock is, for what is asked for now.
enum Judged {
    /// It was made of the same.
    Same,
    /// It was made of something else.
    Other(Diagnostic),
    /// An input changed, which may make no difference.
    Unknown(Changed),
}

impl<'a> Now<'a> {
    fn of(wanted: &'a Kubespray, architectures: &'a [Arch]) -> Self {
        let is_git = matches!(wanted.source.value, Checkout::Git(_));
        Self { wanted, architectures, name: wanted.source.value.to_string(), is_git }
    }

    fn question<'b>(&'b self, inputs: &'b BTreeMap<String, Digest>) -> Question<'b> {
        let Self { wanted, architectures, name, .. } = self;
        Question { source: name, include: wanted.include, architectures, inputs }
    }

    fn judge(&self, locked: LockedRelease<'_>, input: &Input) -> Judged {
        let changed = locked.entry.changed(self.question(&input.inputs(self.is_git)));
        match changed {
            changed if changed.is_empty() => Judged::Same,
            changed if changed.asked.is_empty() => Judged::Unknown(changed),
            changed => Judged::Other(self.outdated(locked, &changed, None)),
        }
    }

    /// The lists of the lock.
    fn lists(&self, locked: LockedRelease<'_>) -> Loaded {
        Loaded { rendered: locked.entry.rendered(self.architectures, locked.place), found: None }
    }

    /// What is reported of a lock where the release could not be read. Where it was not to be read, a build may find that the
    /// lists are the same.
    fn unread(&self, locked: LockedRelease<'_>, own: &Input, reported: &[Diagnostic]) -> Option<Diagnostic> {
        let changed = locked.entry.changed(self.question(&own.inputs(self.is_git)));
        let severity = if reported.iter().any(Diagnostic::is_error) { Severity::Error } else { Severity::Warning };
        self.is_git.then(|| Diagnostic { severity, ..self.outdated(locked, &changed, None) })
    }

    /// The problem of a lock whose lists are not the `rendered` ones. What is wrong with these was `reported`.
    fn compare(
        &self,
        locked: LockedRelease<'_>,
        changed: &Changed,
        rendered: &Rendered,
        reported: &[Diagnostic],
    ) -> Option<Diagnostic> {
        let difference = locked.entry.difference(rendered, self.architectures);
        if difference == (0, 0) || reported.iter().any(Diagnostic::is_error) {
            return None;
        }
        let problem = self.outdated(locked, changed, Some(difference));
        let is_of_site = reported.iter().any(|problem| problem.is_of(&OFFLINE_INVENTORY));
        Some(if is_of_site { problem.help(SITE_INVENTORY) } else { problem })
    }

    fn outdated(&self, locked: LockedRelease<'_>, changed: &Changed, difference: Option<(usize, usize)>) -> Diagnostic {
        locked.entry.outdated(changed, difference, self.wanted.source.span.clone(), locked.place.clone())
    }
}

/// What to do about a lock that no longer fits because the inventory is that of the site: a new lock would be made of its servers.
const SITE_INVENTORY: &str = "keep the lock, and build with the inventory that it was written for: one that does not point \
    downloads at servers of your own";

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
