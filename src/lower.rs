//! From the plan to the graph: the only module that knows both. Owns how a layer is built so that its bytes depend on
//! nothing but the plan: a single copy dates the directories that it makes, but with several actions in one op they keep
//! the clock's time; and a copy's mode would also be given to the directories, so files get theirs from the source.

pub mod images;

use crate::diagnostic::{Source, Span, plain};
use crate::fetch::{Attempt, Fetched};
use crate::plan::files::image_path;
use crate::plan::{Content, Entry, Layer, Plan};
use crate::resolve::Base;
use crate::spec::{FileUrl, Spec};
use buildkit::llb::{
    Copy, File, Http, Image, Location, Mkdir, Mkfile, Platform, ProgressGroup, SourceFile, State, merge,
};
use indicatif::DecimalBytes;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The name of a fetched file in its source vertex: the same for all, so that renaming a file fetches nothing.
pub const FETCHED: &str = "file";

/// Mode bits of every file that kso writes or fetches; directories get 0755.
pub const FILE_MODE: u32 = 0o644;

/// Where kso lies in the images.
const KSO: &str = "/kso";
/// Where the lock lies in them: beside kso, which looks for it there where it is run in the root.
const LOCK: &str = "/kso.lock";

/// Turns a specification and its plans into graphs: one specification, always the same. Keeps the texts of the user's files
/// and the vertices of the downloads, each once.
#[derive(Debug, Default)]
pub struct Lowering {
    files: RefCell<BTreeMap<String, Arc<SourceFile>>>,
    /// By their index: the files of the specification that the user put in the place of a download.
    given: RefCell<BTreeMap<usize, State>>,
    /// The vertices of the downloads, each made once: the fetch solves them, and the graphs before and after it have them.
    sources: RefCell<BTreeMap<Attempt, State>>,
    /// The sizes of the files in bytes where a lock knows them, parallel to those of the specification: they are shown.
    bytes: Vec<u64>,
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

    /// The same, with the sizes of the files (bytes) in their names.
    #[must_use]
    pub fn showing(self, bytes: Vec<u64>) -> Self {
        Self { bytes, ..self }
    }

    /// From now on the file with that index is the one at `path` of `state`, and is not downloaded.
    pub fn give(&self, spec: &Spec, item: usize, state: &State, path: &str, context: &str) {
        let copy = Copy::new(state, path, &format!("/{FETCHED}")).follow_symlink().mode(FILE_MODE).timestamp(0);
        let name = format!("{} ({context})", self.source_title(spec, item));
        self.given.borrow_mut().insert(item, File::scratch().copy(copy).state().named(name));
    }

    /// Whether the user put a file in the place of a download.
    pub fn is_given(&self, item: usize) -> bool {
        self.given.borrow().contains_key(&item)
    }

    /// The vertex that one attempt to fetch a file solves. The final graph uses the very same.
    ///
    /// It carries no platform, so that all platforms share it. After a failed attempt it is another vertex, by an
    /// attribute that BuildKit does not know, and one that ignores the cache: with a checksum its cache key is that of
    /// the failed vertex, and BuildKit would hand on that one's error (`solver/index.go`, v0.32).
    ///
    /// It stands without its lines, which carry the whole list: a thousand attempts would send it a thousand times.
    pub fn source(&self, spec: &Spec, attempt: &Attempt) -> State {
        if let Some(given) = self.given.borrow().get(&attempt.item) {
            return given.clone();
        }
        if let Some(known) = self.sources.borrow().get(attempt) {
            return known.clone();
        }
        let source = self.new_source(spec, attempt);
        self.sources.borrow_mut().insert(attempt.clone(), source.clone());
        source
    }

    fn new_source(&self, spec: &Spec, attempt: &Attempt) -> State {
        let file = &spec.files[attempt.item];
        let mut source = download(spec, attempt);
        if let Some(sha256) = &file.sha256 {
            source = source.checksum(&sha256.to_string());
        }
        if attempt.again() {
            source = source.attribute("kso.retry", &attempt.number.to_string());
        }
        let ignore_cache = self.ignore_cache || (attempt.again() && file.sha256.is_some());
        source.state().named(self.source_name(spec, attempt)).ignore_cache(ignore_cache)
    }

    /// The base image of one platform, pinned by its digest.
    pub fn base(&self, base: &Base, platform: &Platform) -> State {
        Image::new(&base.reference, platform)
            .state()
            .named(format!("[base {platform}] {}", without_digest(&base.reference)))
    }

    /// The source of [`Self::source`] without its checksum: BuildKit then tells what the URL serves.
    pub fn unchecked(&self, spec: &Spec, attempt: &Attempt) -> State {
        download(spec, attempt).state().ignore_cache(self.ignore_cache)
    }

    /// The checksum file at `url`.
    pub fn checksum_file(&self, spec: &Spec, url: &FileUrl) -> State {
        let source = http(spec, url).state();
        source.named(format!("[lock] look for {url}")).ignore_cache(self.ignore_cache)
    }

    /// The layers of a plan above a base image.
    pub fn image(&self, base: &State, layers: &[State]) -> State {
        merge(std::iter::once(base.clone()).chain(layers.iter().cloned())).named("[internal] put layers together")
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

    /// One state per layer of the plan, in order; all platforms share them.
    pub fn layers(&self, spec: &Spec, plan: &Plan, fetched: &[Fetched]) -> Vec<State> {
        let name = format!("[files] arrange {} layers", plan.layers.len());
        let group = ProgressGroup { id: "kso-layers".into(), name, weak: false };
        plan.layers
            .iter()
            .map(|layer| self.layer(spec, layer, fetched).ignore_cache(self.ignore_cache).grouped(group.clone()))
            .collect()
    }

    /// The layer of the file of `attempt`, if it gets one of its own, and the path of the file there.
    ///
    /// `BuildKit` exports no cache of a source (`solver/exporter.go`, v0.32: `ExportRoots`), but of what is made from it:
    /// an imported cache has this layer, and then the source is not needed at all.
    pub fn alone(&self, spec: &Spec, attempt: &Attempt) -> (State, String) {
        let file = &spec.files[attempt.item];
        let path = image_path(&spec.file_server, file.path.as_str());
        let copied = CopiedFile { path: &path, from: self.source(spec, attempt), name: FETCHED };
        let state = self.copies(&[copied]).named(format!("[files] layer {}", file.path));
        (state.ignore_cache(self.ignore_cache), path)
    }

    fn layer(&self, spec: &Spec, layer: &Layer, fetched: &[Fetched]) -> State {
        let entries: Vec<CopiedFile<'_>> =
            layer.entries.iter().map(|entry| self.content(spec, entry, fetched)).collect();
        self.copies(&entries).named(format!("[files] layer {}", layer.name))
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

    fn content<'a>(&self, spec: &Spec, entry: &'a Entry, fetched: &[Fetched]) -> CopiedFile<'a> {
        match &entry.content {
            Content::File(at) => {
                let source = self.source(spec, &fetched[*at].attempt);
                let spans = &spec.files[*at].spans;
                let from = spans.iter().fold(source, |state, span| state.at(self.location(span)));
                CopiedFile { path: &entry.path, from, name: FETCHED }
            }
            Content::Text(text) => written(&entry.path, text),
        }
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

impl Lowering {
    /// `[files 3/46] amd64 kubelet, 48.20 MB (dl.k8s.io)`; the size where it is known.
    fn source_name(&self, spec: &Spec, attempt: &Attempt) -> String {
        let host = attempt.source.authority();
        let retry = if attempt.number > 0 { format!(", try {}", attempt.number + 1) } else { String::new() };
        format!("{} ({host}{retry})", self.source_title(spec, attempt.item))
    }

    /// [`Self::source_name`] without what is in brackets.
    fn source_title(&self, spec: &Spec, item: usize) -> String {
        let file = &spec.files[item];
        let architectures: Vec<&str> = file.architectures.iter().map(|arch| arch.as_str()).collect();
        let architectures = if file.architectures.len() == spec.architectures.len() && architectures.len() > 1 {
            String::new()
        } else {
            format!("{} ", architectures.join("+"))
        };
        let name = file.path.file_name();
        let bytes = self.bytes.get(item).map_or_else(String::new, |bytes| format!(", {}", DecimalBytes(*bytes)));
        format!("[files {}/{}] {architectures}{name}{bytes}", item + 1, spec.files.len())
    }
}

/// A name as people know it: BuildKit tells the digest below.
fn without_digest(reference: &str) -> &str {
    match reference.split_once('@') {
        Some((name, _)) if name.rsplit('/').next().is_some_and(|last| last.contains(':')) => name,
        _ => reference,
    }
}

/// The download of an attempt.
fn download(spec: &Spec, attempt: &Attempt) -> Http {
    http(spec, &attempt.source)
}

/// The file at a URL, asked for as the definition says. Name, mode, headers and the name of the secret are part of what
/// BuildKit finds a fetched body by.
fn http(spec: &Spec, url: &FileUrl) -> Http {
    let source = Http::new(url.as_str()).filename(FETCHED).perm(FILE_MODE);
    let Some(host) = spec.host(url) else { return source };
    let source = host.headers.iter().fold(source, |source, (name, value)| source.header(name, value.as_str()));
    match host.secret() {
        Some(id) => source.authorization(id),
        None => source,
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
