//! From the plan to the graph: the only module that knows both. Owns how a layer is built so that its bytes depend on
//! nothing but the plan: a single copy dates the directories that it makes, but with several actions in one op they keep
//! the clock's time; and a copy's mode would also be given to the directories, so files get theirs from the source.

pub mod download;
pub mod images;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use buildkit::llb::{Copy, File, Image, Location, Mkdir, Mkfile, ProgressGroup, SourceFile, State, merge};

use crate::artifact::{ArtifactId, Artifacts};
use crate::base::BaseImage;
use crate::diagnostic::{Source, Span, plain};
use crate::fetch::Fetched;
use crate::name::{ImageRef, Platform};
use crate::plan::{Content, Layer, Plan};
use download::Downloads;

/// The name of a fetched file in its source vertex: the same for all, so that renaming a file fetches nothing.
pub const FETCHED: &str = "file";

/// Mode bits of every file that kso writes or fetches; directories get 0755.
pub const FILE_MODE: u32 = 0o644;

/// Where kso lies in the images.
const KSO: &str = "/kso";
/// Where the lock lies in them: next to kso, which looks for it there where it is run in the root.
const LOCK: &str = "/kso.lock";

/// An artifact as the graph has it.
#[derive(Debug, Clone)]
pub enum Input {
    /// A file in the root of a vertex.
    File {
        /// The vertex.
        state: State,
        /// The name of the file there.
        name: String,
    },
    /// Bytes that the frontend has read, and proved.
    Text(String),
}

/// What layers are made of.
pub type Inputs = BTreeMap<ArtifactId, Input>;

/// Turns plans into graphs. Keeps the texts of the user's files, each once.
#[derive(Debug, Default)]
pub struct Lowering {
    files: RefCell<BTreeMap<String, Arc<SourceFile>>>,
    /// Whether everything is to be done again although it is cached (`--no-cache`).
    pub ignore_cache: bool,
    /// Seconds since 1970 that files in the image are dated with.
    pub epoch: u64,
}

impl Lowering {
    /// `ignore_cache` as in `--no-cache`; `epoch` in seconds since 1970.
    pub fn new(ignore_cache: bool, epoch: u64) -> Self {
        Self { ignore_cache, epoch, ..Self::default() }
    }

    /// The base image of one platform, pinned by its digest.
    pub fn base(&self, base: &BaseImage) -> State {
        let BaseImage { reference, platform, .. } = base;
        Image::new(reference.as_str(), &platform.into())
            .state()
            .named(format!("[base {platform}] {}", without_digest(reference)))
    }

    /// The layers of a plan above a base image.
    pub fn image(&self, base: &State, layers: &[State]) -> State {
        merge(std::iter::once(base.clone()).chain(layers.iter().cloned())).named("[internal] merge layers")
    }

    /// A layer that has kso, the file `program` of `root`.
    pub fn kso_layer(&self, root: &State, program: &str) -> State {
        let copy = Copy::new(root, program, KSO).timestamp(self.time());
        File::scratch().copy(copy).state().named("[internal] layer of kso itself")
    }

    /// A layer that has the lock.
    pub fn lock_layer(&self, text: &str) -> State {
        self.copies(&[written(LOCK, text)]).named("[internal] layer of the lock")
    }

    /// What everything in the image is dated with.
    fn time(&self) -> i64 {
        i64::try_from(self.epoch).unwrap_or(i64::MAX)
    }

    /// Downloads as they were fetched, with the lines that asked for them.
    pub fn inputs(&self, artifacts: &Artifacts, downloads: &Downloads<'_>, fetched: &[Fetched]) -> Inputs {
        let input = |Fetched { attempt, .. }: &Fetched| {
            let spans = &artifacts[attempt.artifact].spans;
            let state = spans.iter().fold(downloads.source(attempt), |state, span| state.at(self.location(span)));
            (attempt.artifact, Input::File { state, name: FETCHED.to_owned() })
        };
        fetched.iter().map(input).collect()
    }

    /// One state per layer of the plan of a file server, in order; all platforms share them. `None` if the plan names an
    /// artifact that is not among `inputs`, which it never does.
    pub fn file_layers(&self, plan: &Plan, inputs: &Inputs) -> Option<Vec<State>> {
        let name = format!("[files] arrange {} layers", plan.layers.len());
        let group = ProgressGroup { id: "kso-layers".into(), name, weak: false };
        let layer = |layer: &Layer| {
            let state = self.copied(layer, inputs)?.named(format!("[files] layer {}", layer.name));
            Some(state.ignore_cache(self.ignore_cache).grouped(group.clone()))
        };
        plan.layers.iter().map(layer).collect()
    }

    /// The layer that a file gets that has one to itself: `state` has it, and `path` is where it lies in the image.
    ///
    /// `BuildKit` exports no cache of a source (`solver/exporter.go`, v0.32: `ExportRoots`), but of what is made from it:
    /// an imported cache has this layer, and then the source is not needed at all.
    pub fn alone(&self, state: State, path: &str) -> State {
        let copied = CopiedFile { path, from: state, name: FETCHED };
        self.copies(&[copied]).named(format!("[files] layer {path}")).ignore_cache(self.ignore_cache)
    }

    /// A layer whose files BuildKit copies. `None` if one of them is not among `inputs`.
    fn copied(&self, layer: &Layer, inputs: &Inputs) -> Option<State> {
        let files = layer.entries.iter().map(|entry| match &entry.content {
            Content::Text(text) => Some(written(&entry.path, text)),
            Content::Artifact(id) => match inputs.get(id)? {
                Input::Text(text) => Some(written(&entry.path, text)),
                Input::File { state, name } => Some(CopiedFile { path: &entry.path, from: state.clone(), name }),
            },
        });
        Some(self.copies(&files.collect::<Option<Vec<_>>>()?))
    }

    /// A layer that is copied together.
    ///
    /// One file is a single copy, whose timestamp also dates the directories that it makes. After several copies the
    /// directories would keep the clock's time: a last copy of a skeleton of the same directories dates them.
    fn copies(&self, files: &[CopiedFile<'_>]) -> State {
        let time = self.time();
        let copy = |file: &CopiedFile<'_>| {
            Copy::new(&file.from, &format!("/{}", file.name), file.path).create_parents().timestamp(time)
        };
        let copied = files.iter().map(copy).fold(File::scratch(), File::copy);
        if files.len() == 1 {
            return copied.state();
        }
        let skeleton = skeleton(files.iter().map(|file| file.path));
        copied.copy(Copy::new(&skeleton, "/", "/").contents_only().timestamp(time)).state()
    }

    /// A span as BuildKit wants it.
    pub fn location(&self, span: &Span) -> Location {
        Location::line(&self.file(span.source()), span.line())
    }

    fn file(&self, source: &Arc<Source>) -> Arc<SourceFile> {
        let mut files = self.files.borrow_mut();
        let file = files.entry(source.name().to_owned()).or_insert_with(|| {
            let yaml = [".yaml", ".yml"].iter().any(|ending| source.name().ends_with(ending));
            Arc::new(SourceFile {
                name: plain(source.name()),
                data: source.text().as_bytes().to_vec(),
                language: if yaml { "yaml".into() } else { String::new() },
            })
        });
        Arc::clone(file)
    }
}

/// A name as people know it, unless it has nothing but a digest: BuildKit tells the digest below.
fn without_digest(reference: &ImageRef) -> &str {
    match reference.as_str().split_once('@') {
        Some((name, _)) if reference.tag().is_some() => name,
        _ => reference.as_str(),
    }
}

impl From<&Platform> for buildkit::llb::Platform {
    fn from(Platform { os, architecture, variant }: &Platform) -> Self {
        Self { os: os.clone(), architecture: architecture.clone(), variant: variant.clone() }
    }
}

impl From<buildkit::llb::Platform> for Platform {
    fn from(platform: buildkit::llb::Platform) -> Self {
        let buildkit::llb::Platform { os, architecture, variant } = platform;
        Self { os, architecture, variant }
    }
}

/// A file of a layer, and where it is copied from.
struct CopiedFile<'a> {
    /// The absolute path in the image.
    path: &'a str,
    /// The vertex that has it in its root.
    from: State,
    /// Its name there.
    name: &'a str,
}

/// A file that kso writes.
fn written<'a>(path: &'a str, text: &str) -> CopiedFile<'a> {
    let file = Mkfile::new(&format!("/{FETCHED}"), FILE_MODE, text).timestamp(0);
    let from = File::scratch().mkfile(file).state().named(format!("[internal] write {path}"));
    CopiedFile { path, from, name: FETCHED }
}

/// A vertex that has the directories of all paths, and nothing in them.
fn skeleton<'a>(paths: impl Iterator<Item = &'a str>) -> State {
    let parents: BTreeSet<&str> =
        paths.filter_map(|path| Some(path.rsplit_once('/')?.0)).filter(|dir| !dir.is_empty()).collect();
    let file = parents
        .iter()
        .fold(File::scratch(), |file, dir| file.mkdir(Mkdir::new(dir, 0o755).create_parents().timestamp(0)));
    file.state().named("[internal] make directories")
}

#[cfg(test)]
mod tests;
