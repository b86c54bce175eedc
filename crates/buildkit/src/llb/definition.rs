//! A definition: a state and all that it is made from, in the order and form that BuildKit wants. Does not know how it
//! is sent.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bollard_buildkit_proto::pb;
use prost::Message;

use super::{Beside, Digest, Location, SourceFile, State, encode};

/// The ops of a graph, inputs before what uses them, and what stands next to each.
#[derive(Debug, Clone)]
pub struct Definition {
    head: Digest,
    /// Each vertex once, with all that stands next to it anywhere in the graph.
    pub(super) ops: Vec<State>,
    /// The op that only names the result, and its digest.
    terminal: (Digest, Vec<u8>),
}

impl Definition {
    pub(super) fn of(state: &State) -> Self {
        let terminal = encode::op(pb::Op { inputs: vec![state.as_input()], ..pb::Op::default() });
        Self { head: state.digest().clone(), ops: collect(state), terminal: (Digest::of(&terminal), terminal) }
    }

    /// The digest of the vertex whose result this is.
    pub fn head(&self) -> &Digest {
        &self.head
    }

    /// The number of vertices.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Never: a definition has at least one vertex.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Digest and bytes of each op in order; the last one only names the result.
    pub fn ops(&self) -> impl Iterator<Item = (&Digest, &[u8])> {
        let vertices = self.ops.iter().map(|op| (op.digest(), op.vertex.bytes.as_slice()));
        let (digest, bytes) = &self.terminal;
        vertices.chain(std::iter::once((digest, bytes.as_slice())))
    }

    /// The name of a vertex in the progress.
    pub fn name(&self, digest: &Digest) -> Option<&str> {
        self.beside(digest)?.name.as_deref()
    }

    /// The source lines of a vertex.
    pub fn locations(&self, digest: &Digest) -> &[Location] {
        self.beside(digest).map_or(&[], |beside| &beside.locations)
    }

    fn beside(&self, digest: &Digest) -> Option<&Beside> {
        self.ops.iter().find(|op| op.digest() == digest).map(|op| &*op.beside)
    }

    /// All capabilities of the daemon that the graph needs.
    pub fn capabilities(&self) -> BTreeSet<&str> {
        self.ops.iter().flat_map(|op| op.vertex.capabilities.iter().map(AsRef::as_ref)).collect()
    }

    pub(crate) fn to_pb(&self) -> pb::Definition {
        let mut metadata: BTreeMap<String, pb::OpMetadata> =
            self.ops.iter().map(|op| (op.vertex.digest.clone().into(), metadata(op))).collect();
        let mut terminal = pb::OpMetadata { caps: capabilities(["constraints", "platform"]), ..Default::default() };
        if metadata.values().any(|m| m.ignore_cache) {
            terminal.caps.insert("meta.ignorecache".into(), true);
        }
        if metadata.values().any(|m| !m.description.is_empty()) {
            terminal.caps.insert("meta.description".into(), true);
        }
        metadata.insert(self.terminal.0.clone().into(), terminal);
        pb::Definition {
            def: self.ops().map(|(_, bytes)| bytes.to_vec()).collect(),
            metadata,
            source: Some(self.source()),
        }
    }

    /// The message `pb.Definition` that BuildKit solves, and that `buildctl build` reads, encoded.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_pb().encode_to_vec()
    }

    /// The files that locations name, each once, and the lines of each vertex.
    fn source(&self) -> pb::Source {
        let mut files: Vec<&Arc<SourceFile>> = Vec::new();
        let mut locations = BTreeMap::new();
        for op in &self.ops {
            let lines: Vec<pb::Location> = op
                .beside
                .locations
                .iter()
                .map(|location| pb::Location {
                    source_index: file_index(&mut files, &location.file),
                    ranges: vec![location.to_range()],
                })
                .collect();
            if !lines.is_empty() {
                locations.insert(op.vertex.digest.clone().into(), pb::Locations { locations: lines });
            }
        }
        pb::Source { locations, infos: files.into_iter().map(|file| file.to_info()).collect() }
    }
}

/// The place of `file` among the files, where it is added if it is new.
fn file_index<'a>(files: &mut Vec<&'a Arc<SourceFile>>, file: &'a Arc<SourceFile>) -> i32 {
    let at = files.iter().position(|known| Arc::ptr_eq(known, file) || known == &file).unwrap_or_else(|| {
        files.push(file);
        files.len() - 1
    });
    i32::try_from(at).unwrap_or(i32::MAX)
}

fn capabilities<'a>(ids: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, bool> {
    ids.into_iter().map(|id| (id.to_owned(), true)).collect()
}

/// What is reported of a vertex in addition to its bytes.
fn metadata(op: &State) -> pb::OpMetadata {
    let Beside { name, group, ignore_cache, locations: _ } = &*op.beside;
    pb::OpMetadata {
        ignore_cache: *ignore_cache,
        description: name.iter().map(|name| ("llb.customname".to_owned(), name.clone())).collect(),
        caps: capabilities(op.vertex.capabilities.iter().map(AsRef::as_ref)),
        progress_group: group.as_ref().map(|group| pb::ProgressGroup {
            id: group.id.clone(),
            name: group.name.clone(),
            weak: group.weak,
        }),
        ..pb::OpMetadata::default()
    }
}

/// Every vertex below `root`, inputs first, each once. Where the same vertex was built twice with different things
/// next to it, the first name stands and the lines are put together.
fn collect(root: &State) -> Vec<State> {
    let mut known = HashMap::<&Digest, usize>::new();
    let mut found = Vec::<State>::new();
    let mut order = Vec::new();
    // A loop, because a chain may be longer than the stack is deep.
    let mut stack = vec![Step::Enter(root)];
    while let Some(step) = stack.pop() {
        let state = match step {
            Step::Enter(state) => state,
            Step::Leave(at) => {
                order.push(at);
                continue;
            }
        };
        match known.entry(state.digest()) {
            Entry::Occupied(at) => add(&mut found[*at.get()].beside, &state.beside),
            Entry::Vacant(new) => {
                let at = *new.insert(found.len());
                found.push(state.clone());
                stack.push(Step::Leave(at));
                stack.extend(state.vertex.inputs.iter().rev().map(Step::Enter));
            }
        }
    }
    order.into_iter().map(|at| found[at].clone()).collect()
}

/// A step of the walk through a graph.
enum Step<'a> {
    /// To a vertex, and then to its inputs.
    Enter(&'a State),
    /// Away from the vertex that was found with this number: its inputs have been visited.
    Leave(usize),
}

/// Adds what stands next to the same vertex elsewhere.
fn add(known: &mut Arc<Beside>, other: &Arc<Beside>) {
    if Arc::ptr_eq(known, other) {
        return;
    }
    let known = Arc::make_mut(known);
    known.name = known.name.take().or_else(|| other.name.clone());
    known.group = known.group.take().or_else(|| other.group.clone());
    known.ignore_cache |= other.ignore_cache;
    for location in &other.locations {
        if !known.locations.contains(location) {
            known.locations.push(location.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llb::{Copy, File, Http, merge};

    fn file(name: &str, data: &str) -> Arc<SourceFile> {
        Arc::new(SourceFile { name: name.into(), data: data.into(), language: String::new() })
    }

    #[test]
    fn the_same_vertex_stands_once_with_the_lines_of_both() {
        let (one, two) = (file("a.list", "x\n"), file("b.list", "y\nx\n"));
        let source = Http::new("https://example.com/x").state();
        let first = source.clone().named("x").at(Location::line(&one, 1));
        let second = source.named("again").at(Location::line(&two, 2));
        let layer = |from: &State, to: &str| File::scratch().copy(Copy::new(from, "/x", to)).state();
        let definition = merge([layer(&first, "/one"), layer(&second, "/two")]).marshal();
        assert_eq!(definition.len(), 4);
        let digest = first.digest();
        assert_eq!(definition.name(digest), Some("x"));
        assert_eq!(definition.locations(digest).len(), 2);
        let source = definition.to_pb().source.expect("there are lines");
        assert_eq!(source.infos.iter().map(|info| info.filename.as_str()).collect::<Vec<_>>(), ["a.list", "b.list"]);
        assert_eq!(source.locations[digest.as_str()].locations[1].source_index, 1);
    }

    #[test]
    fn names_and_lines_do_not_change_bytes() {
        let plain = Http::new("https://example.com/x").state();
        let named = plain.clone().named("x").at(Location::line(&file("a", "x"), 1)).ignore_cache(true);
        assert_eq!(plain.marshal().to_pb().def, named.marshal().to_pb().def);
        assert_ne!(plain.marshal().to_bytes(), named.marshal().to_bytes());
    }

    #[test]
    fn a_long_chain_does_not_overflow_the_stack() {
        let mut state = Http::new("https://example.com/x").state();
        for _ in 0..20_000 {
            state = File::on(&state).copy(Copy::new(&state, "/x", "/y")).state();
        }
        assert_eq!(state.marshal().len(), 20_001);
        std::mem::forget(state); // dropping a chain of Arcs recurses; no real graph is this deep
    }
}
