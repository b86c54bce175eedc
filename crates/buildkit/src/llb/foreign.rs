//! Graphs that somebody else made, as states: what a client hands over, or what the frontend itself came from. Owns the
//! way from the message to vertices; keeps their bytes as they are.

use super::{Beside, Digest, State, Vertex, encode};
use bollard_buildkit_proto::pb;
use prost::Message;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A message that is no graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAGraph(String);

impl fmt::Display for NotAGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a build graph: {}", self.0)
    }
}

impl State {
    /// The result of a definition. Names are kept; lines are not.
    pub fn from_pb(definition: &pb::Definition) -> Result<Self, NotAGraph> {
        let wrong = |why: &str| NotAGraph(why.to_owned());
        let (last, ops) = definition.def.split_last().ok_or_else(|| wrong("it has no op"))?;
        let mut states: BTreeMap<Digest, State> = BTreeMap::new();
        for bytes in ops {
            let op = pb::Op::decode(bytes.as_slice()).map_err(|error| NotAGraph(error.to_string()))?;
            let inputs = op.inputs.iter().map(|input| output(&states, input)).collect::<Result<_, _>>()?;
            let digest = encode::digest(bytes);
            let metadata = definition.metadata.get(&digest);
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

    /// What an image source names, where this is one: `docker.io/library/alpine@sha256:…`.
    pub fn image_reference(&self) -> Option<String> {
        match pb::Op::decode(self.vertex.bytes.as_slice()).ok()?.op? {
            pb::op::Op::Source(source) => source.identifier.strip_prefix("docker-image://").map(str::to_owned),
            _ => None,
        }
    }

    /// [`Self::from_pb`] of an encoded definition.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotAGraph> {
        let definition = pb::Definition::decode(bytes).map_err(|error| NotAGraph(error.to_string()))?;
        Self::from_pb(&definition)
    }
}

fn output(states: &BTreeMap<Digest, State>, input: &pb::Input) -> Result<State, NotAGraph> {
    let state = states.get(&input.digest).ok_or_else(|| NotAGraph(format!("it lacks {}", input.digest)))?;
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
        assert!(State::from_pb(&broken).unwrap_err().to_string().contains("it lacks sha256:"));
    }
}
