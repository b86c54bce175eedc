//! What a graph gives in the fake: each source from its table, and files where a source is the result. Copies and merges
//! are not made.

use std::collections::BTreeMap;
use std::sync::Arc;

use bollard_buildkit_proto::google::protobuf::Any;
use bollard_buildkit_proto::google::rpc;
use bollard_buildkit_proto::pb;
use prost::Message;
use serde_json::json;

use super::{Answer, Error, Files, State};
use crate::gateway::is_match;
use crate::llb::{Digest, Graph, Location, SourceFile};

/// A vertex of a graph that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Vertex {
    /// The digest of its op.
    pub digest: Digest,
    /// Its op: an encoded `pb.Op` (`solver/pb/ops.proto`).
    pub op: Vec<u8>,
    /// Its name in the progress.
    pub name: Option<String>,
    /// Whether it runs although its result is cached.
    pub ignore_cache: bool,
}

/// A source of a graph that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Source {
    /// Scheme and name: `https://example.org/x`, `local://context`.
    pub identifier: String,
    /// Its attributes, by key.
    pub attrs: BTreeMap<String, String>,
}

/// A solve that was asked for. A clone costs little.
#[derive(Debug, Clone, Default)]
pub struct Solve {
    /// The graph.
    pub(super) definition: Arc<pb::Definition>,
    /// Digest, op and bytes of each vertex of it, and last of what has no op: what the result is.
    ops: Arc<[(String, pb::Op)]>,
    /// Whether it was to be done at once.
    pub evaluate: bool,
    /// The caches to look into: their kind and `ref`.
    pub cache_imports: Vec<(String, String)>,
    /// What it gives, once it is done.
    pub(super) files: Option<Result<Files, Error>>,
}

impl Solve {
    pub(super) fn new(definition: pb::Definition, evaluate: bool, cache_imports: Vec<(String, String)>) -> Self {
        let ops = definition.def.iter();
        let ops = ops.map(|bytes| (digest(bytes), pb::Op::decode(bytes.as_slice()).expect("an op"))).collect();
        Self { definition: definition.into(), ops, evaluate, cache_imports, files: None }
    }

    /// The graph as it came.
    pub fn graph(&self) -> Graph {
        Graph(pb::Definition::clone(&self.definition))
    }

    /// Each vertex, inputs first.
    pub fn vertices(&self) -> Vec<Vertex> {
        let ops = self.ops.iter().zip(&self.definition.def).filter(|((_, op), _)| op.op.is_some());
        let vertices = ops.map(|((digest, _), bytes)| {
            let metadata = self.definition.metadata.get(digest);
            Vertex {
                digest: Digest::of(bytes),
                op: bytes.clone(),
                name: self.name(digest).cloned(),
                ignore_cache: metadata.is_some_and(|metadata| metadata.ignore_cache),
            }
        });
        vertices.collect()
    }

    fn name(&self, digest: &str) -> Option<&String> {
        self.definition.metadata.get(digest)?.description.get("llb.customname")
    }

    fn each(&self) -> impl Iterator<Item = &(String, pb::Op)> {
        self.ops.iter().filter(|(_, op)| op.op.is_some())
    }

    /// The sources of the graph, in order.
    pub fn sources(&self) -> Vec<Source> {
        let sources = self.each().filter_map(|(_, op)| source(op)).cloned();
        sources.map(|source| Source { identifier: source.identifier, attrs: source.attrs }).collect()
    }

    /// The names of the vertices in the progress, in the order of the graph.
    pub fn names(&self) -> Vec<String> {
        self.each().filter_map(|(digest, _)| self.name(digest).cloned()).collect()
    }

    /// The digest of the vertex that is the result.
    fn head(&self) -> Option<&str> {
        let (_, last) = self.ops.last()?;
        Some(&last.inputs.first()?.digest)
    }
}

fn source(op: &pb::Op) -> Option<&pb::SourceOp> {
    if let Some(pb::op::Op::Source(source)) = &op.op { Some(source) } else { None }
}

impl State {
    /// Does the solve, or gives what it gave before.
    pub(super) fn evaluate(&mut self, solve: &mut Solve) -> Result<Files, Error> {
        if let Some(done) = &solve.files {
            return done.clone();
        }
        let done = self.evaluate_all(solve);
        solve.files = Some(done.clone());
        done
    }

    fn evaluate_all(&mut self, solve: &Solve) -> Result<Files, Error> {
        for (digest, op) in solve.each() {
            let Some(source) = source(op) else { continue };
            if !self.vertices.contains_key(digest) {
                let given = match self.merged_with(source, digest, &solve.definition) {
                    Some(other) => self.vertices.get(&other).cloned().unwrap_or_else(|| self.source(source)),
                    None => self.source(source),
                };
                self.vertices.insert(digest.clone(), given);
            }
            if let Some(Err(error)) = self.vertices.get(digest) {
                return Err(failed(error, digest, &solve.definition));
            }
        }
        let result = solve.head().and_then(|digest| self.vertices.get(digest));
        result.cloned().unwrap_or_else(|| Ok(Files::new()))
    }

    /// The vertex whose result BuildKit gives to this one because both have the same cache key: a checksum is the key
    /// whatever the URL. One that ignores the cache is not merged with one that does not (`LoadOrStore` of
    /// `solver/index.go`); after that it is the one which others are merged with.
    fn merged_with(&mut self, source: &pb::SourceOp, digest: &str, definition: &pb::Definition) -> Option<String> {
        let attribute = |key: &str| source.attrs.get(key).map_or("", String::as_str);
        let checksum = source.attrs.get("http.checksum")?;
        let key = format!("{checksum} {} {}", attribute("http.filename"), attribute("http.perm"));
        let ignores = definition.metadata.get(digest).is_some_and(|metadata| metadata.ignore_cache);
        match self.edges.get(&key) {
            Some((other, others)) if *others || !ignores => Some(other.clone()),
            _ => {
                self.edges.insert(key, (digest.to_owned(), ignores));
                None
            }
        }
    }

    fn source(&mut self, source: &pb::SourceOp) -> Result<Files, Error> {
        let (scheme, rest) = source.identifier.split_once("://").unwrap_or_default();
        match scheme {
            "local" => {
                let files = self.locals.get(rest).cloned().unwrap_or_default();
                let Some(wanted) = source.attrs.get("local.followpaths") else { return Ok(files) };
                let wanted: Vec<String> = serde_json::from_str(wanted).expect("a list");
                let matches = |wanted: &str, path: &str| match wanted.rsplit_once('/') {
                    Some((folder, pattern)) if pattern.contains('*') => {
                        let name = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
                        name.is_some_and(|name| is_match(pattern, name.split('/').next().unwrap_or(name)))
                    }
                    _ => path == wanted || path.starts_with(&format!("{wanted}/")),
                };
                let under = |path: &str| wanted.iter().any(|wanted| matches(wanted, path));
                Ok(files.into_iter().filter(|(path, _)| under(path)).collect())
            }
            "docker-image" | "oci-layout" => Ok(Files::new()),
            _ => match self.answer(&source.identifier) {
                None => Err(Error::new(format!("the fake knows nothing of {}", source.identifier))),
                Some(Answer::Fails(message)) => Err(Error::new(message)),
                Some(Answer::Files(files)) => Ok(files),
                Some(Answer::Bytes(bytes)) => {
                    if let Some(wanted) = source.attrs.get("http.checksum").filter(|wanted| **wanted != digest(&bytes))
                    {
                        return Err(Error::new(format!("digest mismatch {}: {wanted}", digest(&bytes))));
                    }
                    let name = source.attrs.get("http.filename").map_or_else(|| "index".to_owned(), Clone::clone);
                    Ok(Files::from([(name, bytes)]))
                }
            },
        }
    }

    /// The next answer of a source.
    pub(super) fn answer(&mut self, identifier: &str) -> Option<Answer> {
        let answers = self.answers.get(identifier)?;
        let asked = self.asked.entry(identifier.to_owned()).or_default();
        *asked += 1;
        answers.get(*asked - 1).or(answers.last()).cloned()
    }
}

/// The error of a vertex as BuildKit tells it: with its digest, and with its lines of the user's files.
fn failed(error: &Error, digest: &str, definition: &pb::Definition) -> Error {
    let empty = pb::Source::default();
    let source = definition.source.as_ref().unwrap_or(&empty);
    let places = source.locations.get(digest).map_or(&[][..], |places| &places.locations);
    let locations: Vec<Location> = places
        .iter()
        .flat_map(|place| {
            let info = &source.infos[usize::try_from(place.source_index).expect("an index")];
            let file =
                SourceFile { name: info.filename.clone(), data: info.data.clone(), language: info.language.clone() };
            let file = Arc::new(file);
            let line =
                |position: &Option<pb::Position>| position.map_or(0, |p| usize::try_from(p.line).expect("a line"));
            place
                .ranges
                .iter()
                .map(move |range| Location { file: file.clone(), lines: (line(&range.start), line(&range.end)) })
        })
        .collect();
    let value = json!({ "digest": digest }).to_string().into_bytes();
    let vertex = Any { type_url: "github.com/moby/buildkit/errdefs.Vertex+json".into(), value };
    let status = rpc::Status { code: 2, message: error.message().to_owned(), details: vec![vertex] };
    Error::from_rpc(status).at(&locations).context("failed to load cache key")
}

/// `sha256:…` of bytes.
pub(super) fn digest(bytes: &[u8]) -> String {
    Digest::of(bytes).into()
}
