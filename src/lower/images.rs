//! From the plan of a registry image to the graph. Owns how a layer of blobs is built and proved; does not know how
//! blobs are fetched.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{CopiedFile, FETCHED, Lowering, written};
use crate::arrange::{Order, OrderedContent, OrderedFile};
use crate::llb::{Exec, File, Mkfile, Mount, Network, Platform, State};
use crate::plan::images::Content;
use crate::plan::{Entry, Layer};
use crate::spec::Digest;

/// A blob that the graph has.
#[derive(Debug, Clone)]
pub enum FetchedBlob {
    /// One that was fetched.
    Vertex {
        /// The vertex that holds it.
        state: State,
        /// The name of the file there.
        file: &'static str,
        /// An image that has it, for errors.
        image: String,
    },
    /// One whose bytes the frontend was told, and has proved.
    Known(String),
}

/// Blobs by their digest.
pub type FetchedBlobs = BTreeMap<Digest, FetchedBlob>;

/// What runs kso in a vertex: the frontend's own image, on the builder's own platform.
#[derive(Debug, Clone)]
pub struct Runner {
    /// The root filesystem.
    pub root: State,
    /// What it runs on.
    pub platform: Platform,
    /// The path of the program there.
    pub program: String,
}

/// Where the order is mounted.
const ORDER: &str = "/kso-order";
/// Where blobs are mounted, each in a folder named by its digest.
const BLOBS: &str = "/kso-blobs";
/// Where the layer is written.
const OUT: &str = "/kso-out";

impl Lowering {
    /// A layer whose blobs `runner` copies, if each has its digest: what it writes is the layer.
    ///
    /// `None` if the plan names a blob that was not fetched, which it never does.
    pub fn proved_layer(&self, layer: &Layer<Content>, blobs: &FetchedBlobs, runner: &Runner) -> Option<State> {
        let mut mounts = BTreeMap::new();
        let mut files = Vec::new();
        for entry in &layer.entries {
            let content = match &entry.content {
                Content::Text(text) => OrderedContent::Text(text.clone()),
                Content::Blob(digest) => match blobs.get(digest)? {
                    FetchedBlob::Known(text) => OrderedContent::Text(text.clone()),
                    FetchedBlob::Vertex { state, file, image } => {
                        let folder = format!("{BLOBS}/{}", digest.hex());
                        let from = PathBuf::from(&folder).join(file);
                        mounts.insert(folder, state.clone());
                        OrderedContent::Blob { from, sha256: digest.hex().to_owned(), image: image.clone() }
                    }
                },
            };
            files.push(OrderedFile { path: entry.path.trim_start_matches('/').to_owned(), content });
        }
        let order = Order { epoch: self.epoch, files };
        let order = serde_json::to_vec(&order).expect("an order has a JSON form");
        let order = File::scratch().mkfile(Mkfile::new(&format!("/{FETCHED}"), 0o644, order).timestamp(0)).state();
        let order = order.named(format!("[internal] list {}", layer.name));
        let arguments = [runner.program.as_str(), "arrange", &format!("{ORDER}/{FETCHED}"), OUT];
        let exec = Exec::new(&runner.root, &runner.platform, arguments).network(Network::None);
        let exec = exec.mount(Mount::readonly(ORDER, &order)).mount(Mount::scratch(OUT));
        let exec = mounts.iter().fold(exec, |exec, (folder, blob)| exec.mount(Mount::readonly(folder, blob)));
        let state = exec.output(OUT)?;
        Some(state.named(format!("[images] prove and arrange {}", layer.name)).ignore_cache(self.ignore_cache))
    }

    /// A layer that BuildKit copies. Its blobs must have been proved before.
    ///
    /// `None` if the plan names a blob that was not fetched, which it never does.
    pub fn copied_layer(&self, layer: &Layer<Content>, blobs: &FetchedBlobs) -> Option<State> {
        let files = layer.entries.iter().map(|entry| copied_file(entry, blobs)).collect::<Option<Vec<_>>>()?;
        let name = format!("[images] layer {}", layer.name);
        Some(self.copies(&files).named(name).ignore_cache(self.ignore_cache))
    }
}

fn copied_file<'a>(entry: &'a Entry<Content>, blobs: &FetchedBlobs) -> Option<CopiedFile<'a>> {
    match &entry.content {
        Content::Text(text) => Some(written(&entry.path, text)),
        Content::Blob(digest) => match blobs.get(digest)? {
            FetchedBlob::Known(text) => Some(written(&entry.path, text)),
            FetchedBlob::Vertex { state, file, .. } => {
                Some(CopiedFile { path: &entry.path, from: state.clone(), name: file })
            }
        },
    }
}
