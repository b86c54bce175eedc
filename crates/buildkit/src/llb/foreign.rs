//! Graphs that somebody else made, as states: what a client hands over, or what the frontend itself came from. Owns the
//! way from the message to vertices; keeps their bytes as they are.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bollard_buildkit_proto::pb;
use prost::Message;

use super::{Beside, Definition, Digest, State, Vertex};

/// A message that is not a valid graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a build graph: {0}")]
pub struct NotAGraph(String);

/// A graph as somebody else made it, kept as it came: an input of the client, or what a result was made of.
#[derive(Clone, PartialEq)]
pub struct Graph(pub(crate) pb::Definition);

impl Graph {
    /// Reads an encoded `pb.Definition`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotAGraph> {
        pb::Definition::decode(bytes).map(Self).map_err(|error| NotAGraph(error.to_string()))
    }

    /// The encoded `pb.Definition`.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }

    /// The digest of the vertex whose result this is; none where the graph is empty.
    pub fn head(&self) -> Option<Digest> {
        let last = pb::Op::decode(self.0.def.last()?.as_slice()).ok()?;
        last.inputs.into_iter().next()?.digest.parse().ok()
    }

    /// The result of the graph, to build on. Names are kept; source lines and progress groups are not.
    pub fn state(&self) -> Result<State, NotAGraph> {
        let wrong = |why: &str| NotAGraph(why.to_owned());
        let (last, ops) = self.0.def.split_last().ok_or_else(|| wrong("it has no op"))?;
        let mut states: BTreeMap<Digest, State> = BTreeMap::new();
        for bytes in ops {
            let op = pb::Op::decode(bytes.as_slice()).map_err(|error| NotAGraph(error.to_string()))?;
            let inputs = op.inputs.iter().map(|input| output(&states, input)).collect::<Result<_, _>>()?;
            let digest = Digest::of(bytes);
            let metadata = self.0.metadata.get(digest.as_str());
            let capabilities =
                metadata.iter().flat_map(|metadata| metadata.caps.keys().cloned().map(Into::into)).collect();
            let name = metadata.and_then(|metadata| metadata.description.get("llb.customname").cloned());
            let vertex = Vertex { bytes: bytes.clone(), digest: digest.clone(), inputs, capabilities };
            let beside = Arc::new(Beside { name, ..Beside::default() });
            states.insert(digest, State { vertex: Arc::new(vertex), output: 0, beside });
        }
        let terminal = pb::Op::decode(last.as_slice()).map_err(|error| NotAGraph(error.to_string()))?;
        let input = terminal.inputs.first().ok_or_else(|| wrong("its last op names no result"))?;
        output(&states, input)
    }
}

impl From<&Definition> for Graph {
    fn from(definition: &Definition) -> Self {
        Self(definition.to_pb())
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Graph({} ops)", self.0.def.len())
    }
}

impl State {
    /// What an image source names, where this is one: `docker.io/library/alpine@sha256:…`.
    pub fn image_reference(&self) -> Option<String> {
        match pb::Op::decode(self.vertex.bytes.as_slice()).ok()?.op? {
            pb::op::Op::Source(source) => source.identifier.strip_prefix("docker-image://").map(str::to_owned),
            _ => None,
        }
    }

    /// The result of an encoded `pb.Definition`: [`Graph::from_bytes`] and [`Graph::state`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotAGraph> {
        Graph::from_bytes(bytes)?.state()
    }
}

fn output(states: &BTreeMap<Digest, State>, input: &pb::Input) -> Result<State, NotAGraph> {
    let state = states.get(input.digest.as_str()).ok_or_else(|| NotAGraph(format!("it lacks {}", input.digest)))?;
    Ok(State { output: input.index, ..state.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llb::{Copy, File, Http, merge};

    #[test]
    fn a_graph_comes_back_as_it_was() {
        let x = Http::new("https://example.com/x").state().named("x");
        let layer = |to: &str| File::scratch().copy(Copy::new(&x, "/x", to)).state();
        let definition = merge([layer("/a"), layer("/b")]).marshal();
        let back = State::from_bytes(&definition.to_bytes()).expect("it is a graph").marshal();
        assert_eq!(back.to_pb(), definition.to_pb());
    }

    #[test]
    fn an_image_source_tells_its_name() {
        let image =
            crate::llb::Image::new("docker.io/library/x@sha256:0", &crate::llb::Platform::linux("arm64")).state();
        let back = State::from_bytes(&image.marshal().to_bytes()).expect("it is a graph");
        assert_eq!(back.image_reference().as_deref(), Some("docker.io/library/x@sha256:0"));
        assert_eq!(Http::new("https://example.com/x").state().image_reference(), None);
        assert_eq!(File::scratch().state().image_reference(), None);
    }

    #[test]
    fn what_is_no_graph_is_refused() {
        assert!(State::from_bytes(b"\xff\xff").is_err());
        assert!(State::from_bytes(b"").is_err());
        let mut broken = Http::new("https://example.com/x").state().marshal().to_pb();
        broken.def.remove(0);
        assert!(Graph(broken).state().unwrap_err().to_string().contains("it lacks sha256:"));
    }
}
