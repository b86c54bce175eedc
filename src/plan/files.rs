//! The plan of the target `files`: a file server that holds the files of all architectures. Owns its tree and its
//! nginx configuration; does not know how files are fetched.

use super::config::{self, Additions, image_config};
use super::identity::Identity;
use super::layout::{Budget, Item, Share, layout};
use super::{Content, Entry, Error, Image, Layer, Plan};
use crate::fetch::Fetched;
use crate::resolve::Base;
use crate::spec::{FileServer, Spec};
use std::collections::BTreeMap;

/// Where the official nginx image looks for server blocks.
const CONF: &str = "/etc/nginx/conf.d/default.conf";

/// What the user asked of the images, beside the specification.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Seconds since 1970 for everything that is dated.
    pub epoch: u64,
    /// Labels from the command line.
    pub labels: BTreeMap<String, String>,
    /// The names of the layers that an image gets above those of the plan, by platform.
    pub above: BTreeMap<String, Vec<String>>,
}

impl Options {
    /// What the history of an image says of its layers, of which the plan has these.
    pub(super) fn history<'a>(&'a self, base: &Base, layers: impl Iterator<Item = &'a str>) -> Vec<String> {
        let above = self.above.get(&base.platform).into_iter().flatten();
        layers.chain(above.map(String::as_str)).map(|name| format!("kso: {name}")).collect()
    }
}

/// The layers' budget above these bases: the largest decides, because all platforms share the layers.
pub fn budget(server: &FileServer, bases: &[Base]) -> Result<Budget, Error> {
    let base = bases.iter().map(|base| config::layer_count(&base.config)).max().unwrap_or(0);
    // The configuration, and what lies above the content.
    Budget::above(base, 1 + super::ABOVE, server.layers.get()).map_err(Error::NoRoom)
}

/// The plan for `spec` above `bases`, one for each platform. The sizes of what was `fetched` matter only where
/// [`Budget::needs_bytes`]; what was not fetched (there is no network) has none.
pub fn plan(spec: &Spec, fetched: &[Fetched], bases: &[Base], options: &Options) -> Result<Plan, Error> {
    let items: Vec<Item> = spec
        .files
        .iter()
        .enumerate()
        .map(|(at, file)| Item {
            identity: Identity::of(file.path.as_str()),
            path: file.path.as_str().to_owned(),
            bytes: fetched.get(at).and_then(|fetched| fetched.bytes),
        })
        .collect();
    let entry = |at: usize| Entry { path: image_path(&spec.file_server, &items[at].path), content: Content::File(at) };
    let mut layers = vec![Layer {
        name: "nginx configuration".into(),
        entries: vec![Entry { path: CONF.into(), content: Content::Text(server_block(&spec.file_server)) }],
    }];
    layers.extend(layout(&items, budget(&spec.file_server, bases)?).into_iter().map(|share| match share {
        Share::Own(at) => Layer { name: items[at].path.clone(), entries: vec![entry(at)] },
        Share::Group(number, group) => Layer {
            name: format!("group {number}: {} smaller file{}", group.len(), if group.len() == 1 { "" } else { "s" }),
            entries: group.into_iter().map(entry).collect(),
        },
    }));
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
