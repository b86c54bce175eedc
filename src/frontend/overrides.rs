//! What the user puts in the place of lists and downloads (`--build-context`). Owns which names that goes by, and that a
//! pinned file has its digest; does not know what a context is.
//!
//! * A list goes by its path in the build context.
//! * `files` is a directory as the file server has it, `<host>/<path>`, or a file server image that kso built.
//! * The name of a host (`dl.k8s.io`) is what that host has.

use std::collections::{BTreeMap, BTreeSet};

use buildkit::gateway::{BuildContext, Content, Error, NamedContext, Options, Reference};
use futures_util::stream::{self, StreamExt as _};

use super::hash::hash;
use super::report::{self, Failure};
use super::{Build, image_sources};
use crate::artifact::{Artifact, ArtifactId, Artifacts};
use crate::definition::Spec;
use crate::diagnostic::{Diagnostic, quoted};
use crate::lower::download::{Overrides, from_context};

/// The name that all files go by.
const FILES: &str = "files";
/// Files that are looked at at a time.
const AT_ONCE: usize = 8;

/// Reads the lists that contexts are named for; the others stay as they are.
pub(super) async fn lists(
    context: &BuildContext,
    options: &Options,
    files: &mut BTreeMap<String, Content>,
) -> Result<(), Failure> {
    for (path, content) in files {
        let within = [path.clone(), file_name(path).to_owned()];
        let Some(named) = context.named_part(path, &options.default_platform(), &within).await? else { continue };
        *content = Content::Absent;
        let Some(state) = named.state else { continue };
        let reference = context.solve(&state).await?;
        // Of a URL the file is called `context`.
        for place in [path.as_str(), file_name(path), "context"] {
            let read = context.read(&reference, place).await?;
            if read != Content::Absent {
                *content = read;
                break;
            }
        }
    }
    Ok(())
}

/// Contexts that stand for nothing of the definition: most of them are misspelled, and what they were for is downloaded.
pub(super) fn unused(options: &Options, lists: &BTreeSet<String>, spec: &Spec) -> Vec<Diagnostic> {
    let hosts = spec.files.iter().map(|file| file.url.authority());
    let images = spec.images.iter().map(|image| image.reference.as_str());
    let bases = [spec.file_server.image.as_str(), spec.registry.image.as_str()];
    let known = hosts.chain(images).chain(bases).chain(lists.iter().map(String::as_str));
    let unused = options.contexts_beside(known.chain([FILES, image_sources::IMAGES]).chain(options.source()));
    let told = unused.into_iter().map(|name| {
        let message = format!("nothing in the definition is named {}, so the build context is not used", quoted(name));
        Diagnostic::warning(message)
            .help("name a context after an image, a host or the path of a list, or name it `files` or `images`")
    });
    told.collect()
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Looks into the contexts for the files of the specification, of which `artifacts` are those to fetch; what is found there
/// is not downloaded. A file with other bytes than its digest's is reported, and downloaded.
pub(super) async fn files(build: &Build<'_>, artifacts: &Artifacts) -> Result<Overrides, Failure> {
    let Build { client, options, spec, context, .. } = *build;
    let platform = options.default_platform();
    let mut overrides = Overrides::new();
    let hosts: BTreeSet<&str> = spec.files.iter().map(|file| file.url.authority()).collect();
    let contexts = hosts.into_iter().chain([FILES]);
    for name in contexts.filter(|name| options.named_context(name, Some(&platform)).is_some()) {
        let wanted: Vec<(ArtifactId, String)> =
            wanted(spec, artifacts, name).filter(|(id, _)| !overrides.contains_key(id)).collect();
        let paths: Vec<String> = wanted.iter().map(|(_, path)| path.clone()).collect();
        let Some(named) = context.named_part(name, &platform, &paths).await? else { continue };
        let NamedContext { name, state: Some(state), image } = named else { continue };
        let root = if image.is_some() && name == FILES { root(spec) } else { String::new() };
        let reference = context.solve(&state).await?;
        let looked =
            wanted.into_iter().map(|(id, path)| look(&artifacts[id], id, format!("{root}/{path}"), &reference));
        let looked: Vec<Result<Look, Error>> = stream::iter(looked).buffered(AT_ONCE).collect().await;
        let (mut found, mut all) = (0_usize, 0_usize);
        for look in looked {
            all += 1;
            match look? {
                Look::Found(id, path) => {
                    let context = format!("build context {name}");
                    overrides.insert(id, from_context(&artifacts[id], &state, &path, &context));
                    found += 1;
                }
                Look::Wrong(problem) => {
                    client
                        .warn(state.digest(), report::warning(&problem.help("the file is downloaded instead")))
                        .await?;
                }
                Look::Absent => {}
            }
        }
        client.note(&format!("[files] {found} of {all} files from the build context {name}")).await?;
    }
    Ok(overrides)
}

/// The files that a context is looked into for, and their paths there.
fn wanted<'a>(
    spec: &'a Spec,
    artifacts: &'a Artifacts,
    name: &'a str,
) -> impl Iterator<Item = (ArtifactId, String)> + 'a {
    spec.files.iter().zip(artifacts.ids()).filter_map(move |(file, id)| {
        if name == FILES {
            return Some((id, file.path.as_str().to_owned()));
        }
        let path = file.url.path().trim_start_matches('/');
        (file.url.authority() == name && !path.is_empty()).then(|| (id, path.to_owned()))
    })
}

/// Where a file server image has its files.
fn root(spec: &Spec) -> String {
    format!("{}/{}", spec.file_server.root, spec.file_server.path)
}

/// What a context has of one file.
enum Look {
    /// The file, and its path there.
    Found(ArtifactId, String),
    /// Other bytes.
    Wrong(Diagnostic),
    Absent,
}

async fn look(file: &Artifact, id: ArtifactId, path: String, reference: &Reference) -> Result<Look, Error> {
    match reference.stat(&path).await? {
        Some(stat) if !stat.is_dir() => {}
        _ => return Ok(Look::Absent),
    }
    let Some(pin) = &file.pin else { return Ok(Look::Found(id, path)) };
    let (got, _) = hash(reference, &path).await?;
    if got == *pin {
        return Ok(Look::Found(id, path));
    }
    let message = format!("{} in the build context has {got}, expected {pin}", quoted(path.trim_start_matches('/')));
    let problem = Diagnostic::warning(message);
    Ok(Look::Wrong(problem.at(file.spans.first().cloned())))
}
