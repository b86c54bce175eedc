//! The vertices of downloads. Owns what makes one attempt another vertex than the one before; does not know when one is
//! solved, nor what is made of the files.

use std::cell::RefCell;
use std::collections::BTreeMap;

use buildkit::llb::{Copy, File, Http, State};

use super::{FETCHED, FILE_MODE};
use crate::artifact::{Artifact, ArtifactId, Artifacts};
use crate::definition::Spec;
use crate::fetch::Attempt;
use crate::name::FileUrl;

/// Artifacts that the user put in the place of downloads (`--build-context`): the vertices that have them.
pub type Overrides = BTreeMap<ArtifactId, State>;

/// The downloads of a specification. The vertex of an attempt is made once: the fetch solves it, and the graphs before and
/// after it have it.
#[derive(Debug)]
pub struct Downloads<'a> {
    spec: &'a Spec,
    artifacts: &'a Artifacts,
    overrides: Overrides,
    sources: RefCell<BTreeMap<Attempt, State>>,
    ignore_cache: bool,
}

impl<'a> Downloads<'a> {
    /// The downloads of `artifacts`, with what `spec` says of their servers. `ignore_cache` as in `--no-cache`.
    pub fn new(spec: &'a Spec, artifacts: &'a Artifacts, ignore_cache: bool) -> Self {
        Self { spec, artifacts, overrides: Overrides::new(), sources: RefCell::default(), ignore_cache }
    }

    /// The same, but for artifacts that are not downloaded.
    #[must_use]
    pub fn overriding(self, overrides: Overrides) -> Self {
        Self { overrides, ..self }
    }

    /// The artifacts.
    pub fn artifacts(&self) -> &'a Artifacts {
        self.artifacts
    }

    /// Whether the user put something in the place of a download.
    pub fn is_overridden(&self, artifact: ArtifactId) -> bool {
        self.overrides.contains_key(&artifact)
    }

    /// The vertex that one attempt to fetch an artifact solves. The final graph uses the very same.
    ///
    /// It carries no platform, so that all platforms share it. After a failed attempt it is another vertex, by an
    /// attribute that BuildKit does not know, and one that ignores the cache: with a checksum its cache key is that of
    /// the failed vertex, and BuildKit would hand on that one's error (`solver/index.go`, v0.32).
    ///
    /// It stands without its lines, which carry the whole list: a thousand attempts would send it a thousand times.
    pub fn source(&self, attempt: &Attempt) -> State {
        if let Some(own) = self.overrides.get(&attempt.artifact) {
            return own.clone();
        }
        if let Some(known) = self.sources.borrow().get(attempt) {
            return known.clone();
        }
        let source = self.new_source(attempt);
        self.sources.borrow_mut().insert(attempt.clone(), source.clone());
        source
    }

    fn new_source(&self, attempt: &Attempt) -> State {
        let artifact = &self.artifacts[attempt.artifact];
        let mut source = http(self.spec, &attempt.source);
        if let Some(pin) = &artifact.pin {
            source = source.checksum(pin.as_str());
        }
        if attempt.again() {
            source = source.attribute("kso.retry", &attempt.number.to_string());
        }
        let ignore_cache = self.ignore_cache || (attempt.again() && artifact.pin.is_some());
        source.state().named(name(artifact, attempt)).ignore_cache(ignore_cache)
    }

    /// The source of [`Self::source`] without its checksum: BuildKit then tells what the URL serves.
    pub fn unchecked(&self, attempt: &Attempt) -> State {
        http(self.spec, &attempt.source).state().ignore_cache(self.ignore_cache)
    }
}

/// The checksum file at `url`, which a lock is asked for. `ignore_cache` as in `--no-cache`.
pub fn checksum_file(spec: &Spec, url: &FileUrl, ignore_cache: bool) -> State {
    http(spec, url).state().named(format!("[lock] check for {url}")).ignore_cache(ignore_cache)
}

/// The vertex of an artifact that is not downloaded: the file at `path` of `state`, which is called `context`.
pub fn from_context(artifact: &Artifact, state: &State, path: &str, context: &str) -> State {
    let copy = Copy::new(state, path, &format!("/{FETCHED}")).follow_symlink().mode(FILE_MODE).timestamp(0);
    File::scratch().copy(copy).state().named(format!("{} ({context})", artifact.label))
}

/// `[files 3/46] amd64 kubelet, 48.20 MB (dl.k8s.io, try 2)`
fn name(artifact: &Artifact, attempt: &Attempt) -> String {
    let host = attempt.source.authority();
    let retry = if attempt.number > 0 { format!(", try {}", attempt.number + 1) } else { String::new() };
    format!("{} ({host}{retry})", artifact.label)
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
