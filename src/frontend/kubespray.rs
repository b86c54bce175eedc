//! The lists of Kubespray in a build: its files through BuildKit, and the target `lists`. Owns how a file is asked for; does
//! not know what it says.

use buildkit::gateway::{BuildContext, BuildResult, Client, Content, Error, GitRef};
use buildkit::llb::{File, Mkfile};

use super::report::Failure;
use crate::definition::Spec;
use crate::diagnostic::{Diagnostic, Span, quoted};
use crate::lower::FILE_MODE;
use crate::producer::kubespray::{self, Address, Found};
use crate::producer::{Context, Files, Tree, dead_link};

impl Context for BuildContext {
    async fn read(&self, tree: &Tree<'_>) -> Result<Files, Vec<Diagnostic>> {
        let found = self.read_tree(tree.place, &tree.selection.paths, tree.selection.keeps).await;
        let found = found.map_err(|error| vec![problem(&tree.name, &error, tree.span)])?;
        let (mut files, mut problems) = (Files::new(), Vec::new());
        for (path, content) in found {
            match content {
                Content::Bytes(bytes) => drop(files.insert(path, bytes)),
                Content::TooLarge(_) => {
                    let most = tree.selection.max_bytes >> 20;
                    let problem = Diagnostic::error(format!("{} is larger than {most} MiB", quoted(&path)));
                    problems.push(problem.at(tree.span.clone()));
                }
                Content::Absent => problems.push(dead_link(&path, Some(&tree.container())).at(tree.span.clone())),
                Content::Directory => {}
            }
        }
        if problems.is_empty() { Ok(files) } else { Err(problems) }
    }

    async fn commit(&self, git: &GitRef, span: &Span) -> Result<Option<String>, Diagnostic> {
        self.git_commit(git).await.map_err(|error| problem(&git.to_string(), &error, span))
    }
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
    let address = Address::of(&spec.file_server, spec.image_section());
    texts.insert("offline.yml".into(), kubespray::offline(release, &address));
    let mut file = File::scratch();
    for (name, text) in &texts {
        file = file.mkfile(Mkfile::new(&format!("/{name}"), FILE_MODE, text.as_str()).timestamp(0));
    }
    let state = file.state().named("[lists] write the lists of Kubespray");
    Ok(BuildResult::single(client.solve_state(&state).await?))
}
