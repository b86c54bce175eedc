//! The lists of Kubespray in a build: its files through BuildKit, and the target `lists`. Owns which files are asked for;
//! does not know what they say.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::report::Failure;
use crate::definition::{Definition, Spec};
use crate::diagnostic::{Diagnostic, Source, Span, Spanned, quoted};
use crate::lower::FILE_MODE;
use crate::name::Arch;
use crate::producer::kubespray::{
    self, Address, Checkout, Downloads, Folder, Input, Kubespray, LockedKubespray, Question, Release, Vars,
};
use buildkit::gateway::{BuildContext, BuildResult, Client, Content, Error, GitRef, Place};
use buildkit::llb::{File, Mkfile};

/// A release as a build found it.
pub(super) struct Found {
    release: Release,
    downloads: BTreeMap<Arch, Downloads>,
    /// What a lock says of it.
    locked: LockedKubespray,
}

impl Found {
    /// What a lock says of it.
    pub(super) fn into_locked(self) -> LockedKubespray {
        self.locked
    }
}

/// Reads what a definition names of Kubespray, renders it, and adds it to the definition. With a lock that was made of the
/// same, its lists are taken: nothing is rendered, and no repository is asked.
pub(super) async fn load(
    context: &BuildContext,
    source: &Arc<Source>,
    definition: &mut Definition,
    locked: Option<(&LockedKubespray, Span)>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Option<Found>, Failure> {
    let Some(wanted) = definition.kubespray().cloned() else { return Ok(None) };
    let mut reader = Reader { context, wanted: &wanted, diagnostics };
    let Some(own) = reader.own(source).await else { return Ok(None) };
    let is_git = matches!(wanted.source.value, Checkout::Git(_));
    let name = wanted.source.value.to_string();
    let architectures = definition.architectures().to_vec();
    let question = |inputs| Question { source: &name, include: wanted.include, architectures: &architectures, inputs };
    if let Some((locked, place)) = &locked
        && is_git
    {
        return Ok(take(definition, locked, place, question(&own.inputs(true)), diagnostics));
    }
    let Some(checkout) = reader.checkout().await else { return Ok(None) };
    let input = Input { checkout, ..own };
    let inputs = input.inputs(is_git);
    if let Some((locked, place)) = &locked {
        return Ok(take(definition, locked, place, question(&inputs), diagnostics));
    }
    let commit = match &wanted.source.value {
        Checkout::Git(git) => reader.commit(git).await,
        Checkout::Context(_) => None,
    };
    let Some(release) = Release::read(&input, diagnostics) else { return Ok(None) };
    let downloads = release.all_downloads(wanted.include.into(), &architectures, diagnostics);
    let rendered = kubespray::rendered(&downloads);
    let locked = LockedKubespray::of(question(&inputs), commit, &rendered);
    definition.render(rendered);
    Ok(Some(Found { release, downloads, locked }))
}

/// Adds the lists of a lock to a definition that was made of the same; tells what is not the same.
fn take(
    definition: &mut Definition,
    locked: &LockedKubespray,
    place: &Span,
    now: Question<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Found> {
    let changed = locked.changed(now);
    if changed.is_empty() {
        definition.render(locked.rendered(now.architectures, place));
    } else {
        let at = definition.kubespray().map(|kubespray| kubespray.source.span.clone());
        diagnostics.extend(at.map(|at| locked.outdated(&changed, at, place.clone())));
    }
    None
}

/// What is read, and where problems are told.
struct Reader<'a> {
    context: &'a BuildContext,
    wanted: &'a Kubespray,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    /// The user's own part: the inventory and the variables. No checkout yet.
    async fn own(&mut self, source: &Arc<Source>) -> Option<Input> {
        let before = self.diagnostics.len();
        let mut read = None;
        if let Some(Spanned { value: path, span }) = &self.wanted.inventory {
            let (path, paths) = (path.as_str(), [kubespray::INVENTORY_FOLDER.to_owned()]);
            read = self.folder(path.to_owned(), Place::Context(path), &paths, span).await;
            if read.as_ref().is_some_and(|folder| folder.files.is_empty()) {
                self.diagnostics.push(kubespray::no_inventory(path, span));
            }
        }
        let vars = Vars::of_definition(source).map_err(|problem| self.diagnostics.push(problem)).unwrap_or_default();
        let span = Some(self.wanted.source.span.clone());
        (self.diagnostics.len() == before).then_some(Input { inventory: read, vars, span, ..Input::default() })
    }

    async fn checkout(&mut self) -> Option<Folder> {
        let Spanned { value: source, span } = &self.wanted.source;
        let paths: Vec<String> =
            kubespray::folders().into_iter().chain(kubespray::single_files().iter().map(ToString::to_string)).collect();
        let place = match source {
            Checkout::Git(git) => Place::Git(git),
            Checkout::Context(path) if kubespray::is_archive(path) => Place::Archive(path),
            Checkout::Context(path) => Place::Context(path),
        };
        self.folder(source.to_string(), place, &paths, span).await
    }

    async fn commit(&mut self, git: &GitRef) -> Option<String> {
        let commit = self.context.git_commit(git).await;
        commit
            .map_err(|error| self.diagnostics.push(problem(&git.to_string(), &error, &self.wanted.source.span)))
            .ok()?
    }

    /// The variable files of a folder; `None` where it cannot be read.
    async fn folder(&mut self, name: String, place: Place<'_>, paths: &[String], span: &Span) -> Option<Folder> {
        let before = self.diagnostics.len();
        let found = folder(self.context, name, place, paths, span, self.diagnostics).await;
        found.filter(|_| self.diagnostics.len() == before)
    }
}

async fn folder(
    context: &BuildContext,
    name: String,
    place: Place<'_>,
    paths: &[String],
    span: &Span,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Folder> {
    let found = context.read_tree(place, paths, kubespray::is_variables).await;
    let found = found.map_err(|error| diagnostics.push(problem(&name, &error, span))).ok()?;
    let mut folder = Folder { name, ..Folder::default() };
    for (path, content) in found {
        match content {
            Content::Bytes(bytes) => drop(folder.files.insert(path, bytes)),
            Content::TooLarge(_) => {
                let most = kubespray::MAX_FILE_BYTES >> 20;
                let problem = Diagnostic::error(format!("{} is larger than {most} MiB", quoted(&path)));
                diagnostics.push(problem.at(span.clone()));
            }
            Content::Absent | Content::Directory => {}
        }
    }
    Some(folder)
}

fn problem(name: &str, error: &Error, span: &Span) -> Diagnostic {
    Diagnostic::error(format!("cannot read {}: {}", quoted(name), error.message())).at(span.clone())
}

/// The lists as the files of a plain result.
pub(super) async fn lists(client: &Client, found: Option<&Found>, spec: &Spec) -> Result<BuildResult, Failure> {
    let Some(Found { release, downloads, .. }) = found else {
        return Err(Diagnostic::error("the definition has no `kubespray`, so there are no lists to write").into());
    };
    let mut texts = kubespray::texts(downloads);
    texts.insert(
        "offline.yml".into(),
        kubespray::offline(release, &Address::of(&spec.file_server, spec.image_section())),
    );
    let mut file = File::scratch();
    for (name, text) in &texts {
        file = file.mkfile(Mkfile::new(&format!("/{name}"), FILE_MODE, text.as_str()).timestamp(0));
    }
    let state = file.state().named("[lists] write the lists of Kubespray");
    Ok(BuildResult::single(client.solve_state(&state).await?))
}
