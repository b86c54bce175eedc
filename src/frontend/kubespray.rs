//! The lists of Kubespray in a build: its files through BuildKit, and the target `lists`. Owns which files are asked for;
//! does not know what they say.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::report::Failure;
use crate::diagnostic::{Diagnostic, Source, Span, quoted};
use crate::gateway::{BuildContext, BuildResult, Client, Content, Error, Place};
use crate::kubespray::{self, Address, Downloads, Folder, Input, Release, Vars};
use crate::llb::{File, Mkfile};
use crate::lower::FILE_MODE;
use crate::spec::{Arch, Checkout, Definition, Kubespray, Spec};

/// A release as a build found it.
pub(super) struct Found {
    release: Release,
    downloads: BTreeMap<Arch, Downloads>,
}

/// Reads what a definition names of Kubespray, renders it, and adds it to the definition.
pub(super) async fn load(
    context: &BuildContext,
    source: &Arc<Source>,
    definition: &mut Definition,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Option<Found>, Failure> {
    let Some(wanted) = definition.kubespray().cloned() else { return Ok(None) };
    let before = diagnostics.len();
    let input = input(context, source, &wanted, diagnostics).await;
    let Some(input) = input.filter(|_| diagnostics.len() == before) else { return Ok(None) };
    let Some(release) = Release::read(&input, diagnostics) else { return Ok(None) };
    let downloads = release.all_downloads(wanted.include.into(), definition.architectures(), diagnostics);
    definition.render(kubespray::rendered(&downloads));
    Ok(Some(Found { release, downloads }))
}

async fn input(
    context: &BuildContext,
    source: &Arc<Source>,
    wanted: &Kubespray,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Input> {
    let span = &wanted.source.span;
    let paths: Vec<String> =
        kubespray::folders().into_iter().chain(kubespray::single_files().iter().map(ToString::to_string)).collect();
    let name = wanted.source.value.to_string();
    let place = match &wanted.source.value {
        Checkout::Git(url) => Place::Git(url),
        Checkout::Context(path) if kubespray::is_archive(path) => Place::Archive(path),
        Checkout::Context(path) => Place::Context(path),
    };
    let checkout = folder(context, name, place, &paths, span, diagnostics).await;
    let inventory = match &wanted.inventory {
        Some(inventory) => {
            let paths = [kubespray::INVENTORY_FOLDER.to_owned()];
            let (path, span) = (inventory.value.as_str(), &inventory.span);
            let found = folder(context, path.to_owned(), Place::Context(path), &paths, span, diagnostics).await;
            if found.as_ref().is_some_and(|folder| folder.files.is_empty()) {
                diagnostics.push(kubespray::no_inventory(path, span));
            }
            found
        }
        None => None,
    };
    let vars = Vars::of_definition(source).map_err(|problem| diagnostics.push(problem)).unwrap_or_default();
    Some(Input { checkout: checkout?, inventory, vars, span: Some(span.clone()) })
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
    let Some(Found { release, downloads }) = found else {
        return Err(Diagnostic::error("the definition has no `kubespray`, whose lists could be written").into());
    };
    let mut texts = kubespray::texts(downloads);
    texts.insert("offline.yml".into(), kubespray::offline(release, &Address::of(spec)));
    let mut file = File::scratch();
    for (name, text) in &texts {
        file = file.mkfile(Mkfile::new(&format!("/{name}"), FILE_MODE, text.as_str()).timestamp(0));
    }
    let state = file.state().named("[lists] write the lists of Kubespray");
    Ok(BuildResult::single(client.solve_state(&state).await?))
}
