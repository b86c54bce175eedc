//! The plan of the target `files`: a file server that holds the files of all architectures. Owns its tree and its
//! nginx configuration; does not know how files are fetched.

use super::Section;
use crate::artifact::{Artifact, Artifacts, Origin};
use crate::base::BaseImage;
use crate::diagnostic::{counted, size};
use crate::kind::files::{File, FileServer};
use crate::plan::config::{self, Additions, image_config};
use crate::plan::layout::{Budget, Item, Share, layout};
use crate::plan::{ABOVE, Content, Entry, Error, Image, Layer, Options, Plan};
use crate::tree::identity::Identity;
use crate::tree::{Leaf, Tree, Unit};

/// Where the official nginx image looks for server blocks.
const CONF: &str = "/etc/nginx/conf.d/default.conf";

/// The layers' budget above these bases: the largest decides, because all platforms share the layers.
pub fn budget(server: &FileServer, bases: &[BaseImage]) -> Result<Budget, Error> {
    let base = bases.iter().map(|base| config::layer_count(&base.config)).max().unwrap_or(0);
    // The configuration, and what lies above the content.
    Budget::above(base, 1 + ABOVE, server.layers.get()).map_err(Error::NoRoom)
}

/// The files of a specification, in its order.
pub fn artifacts(section: Section<'_>) -> Artifacts {
    let mut artifacts = Artifacts::default();
    for (at, file) in section.files.iter().enumerate() {
        artifacts.push(Artifact {
            origin: Origin::Url(file.url.clone()),
            pin: file.sha256.clone(),
            bytes: file.bytes,
            label: format!("[files {}/{}] {}", at + 1, section.files.len(), label(section, file)),
            spans: file.spans.clone(),
            pinned_at: file.pinned_at.clone(),
        });
    }
    artifacts
}

/// `amd64 kubelet, 48.20 MB`: the architectures unless it is for all, and the size where it is known.
fn label(section: Section<'_>, file: &File) -> String {
    let architectures: Vec<&str> = file.architectures.iter().map(|arch| arch.as_str()).collect();
    let architectures = if architectures.len() == section.architectures.len() && architectures.len() > 1 {
        String::new()
    } else {
        format!("{} ", architectures.join("+"))
    };
    let bytes = file.bytes.map_or_else(String::new, |bytes| format!(", {}", size(bytes)));
    format!("{architectures}{}{bytes}", file.path.file_name())
}

/// What the image holds, on every platform alike: each file of `section`, of which `artifacts` are the [`artifacts`], as a
/// unit of its own, and the configuration of nginx, which belongs to none.
pub fn tree(section: Section<'_>, artifacts: &Artifacts) -> Tree {
    let mut tree = Tree::default();
    for (file, (id, artifact)) in section.files.iter().zip(artifacts.iter()) {
        let name = file.path.as_str().to_owned();
        let path = image_path(section.server, &name);
        let unit = tree.unit(Unit { identity: Identity::of(&name), name });
        let leaf = tree.at(path, || Leaf::new(Content::Artifact(id), artifact.bytes));
        leaf.owners.insert(unit);
        leaf.scope.extend(section.architectures);
    }
    let text = server_block(section.server);
    let bytes = Some(text.len() as u64);
    let configuration = tree.at(CONF.into(), || Leaf::new(Content::Text(text), bytes));
    configuration.scope.extend(section.architectures);
    tree
}

/// The plan for `section`, of which `artifacts` are the [`artifacts`], above `bases`, one for each platform. The sizes of the
/// artifacts matter only where [`Budget::needs_bytes`]; where nothing was fetched (there is no network) they may be missing.
pub fn plan(
    section: Section<'_>,
    artifacts: &Artifacts,
    bases: &[BaseImage],
    options: &Options,
) -> Result<Plan, Error> {
    let layers = layers(tree(section, artifacts), budget(section.server, bases)?);
    let all: Vec<usize> = (0..layers.len()).collect();
    let images = bases
        .iter()
        .map(|base| {
            let additions = Additions {
                epoch: options.epoch,
                labels: options.labels.clone(),
                layers: options.history(base, layers.iter().map(|layer| layer.name.as_str())),
                ports: vec!["80/tcp".into()],
                ..Additions::default()
            };
            let config = image_config(&base.config, &additions).map_err(|_| Error::Config)?;
            Ok(Image { layers: all.clone(), config })
        })
        .collect::<Result<_, _>>()?;
    Ok(Plan { layers, images })
}

/// The configuration first, then the files as [`layout`] divides them.
fn layers(tree: Tree, budget: Budget) -> Vec<Layer> {
    let (units, leaves) = tree.into_parts();
    let mut layers = Vec::new();
    let mut files = Vec::<(Item, Entry)>::new();
    for (path, leaf) in leaves {
        let entry = Entry { path, content: leaf.content };
        match leaf.owners.first().map(|unit| &units[unit.index()]) {
            Some(Unit { identity, name }) => {
                let (identity, path) = (identity.clone(), name.clone());
                files.push((Item { identity, path, bytes: leaf.bytes }, entry));
            }
            None => layers.push(Layer { name: "nginx configuration".into(), entries: vec![entry] }),
        }
    }
    let (items, entries): (Vec<Item>, Vec<Entry>) = files.into_iter().unzip();
    layers.extend(layout(&items, budget).into_iter().map(|share| match share {
        Share::Own(at) => Layer { name: items[at].path.clone(), entries: vec![entries[at].clone()] },
        Share::Group(number, group) => Layer {
            name: format!("group {number}: {}", counted(group.len(), "smaller file")),
            entries: group.into_iter().map(|at| entries[at].clone()).collect(),
        },
    }));
    layers
}

/// Where a stored path lies in the image: `<root>/<path>/<stored>`.
pub fn image_path(server: &FileServer, stored: &str) -> String {
    format!("{}/{}/{stored}", server.root.as_str(), server.path.as_str())
}

/// The nginx server block.
fn server_block(server: &FileServer) -> String {
    let mut context = tera::Context::new();
    context.insert("root", server.root.as_str());
    context.insert("location", &format!("/{}/", server.path.as_str()));
    tera::Tera::one_off(include_str!("files.conf"), &context, false).expect("the template is ours and is tested")
}

#[cfg(test)]
mod tests;
