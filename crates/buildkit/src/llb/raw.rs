//! Ops that this crate has no builder for. Owns how their bytes are put together; does not know what they mean.

use std::borrow::Cow;

use super::State;

/// A vertex whose op is given as bytes: for ops and fields of BuildKit that this crate does not have.
///
/// ```
/// # use buildkit::llb::{Http, RawOp};
/// // `pb.Op.passthrough` is field 8 (BuildKit 0.31), and its first field is the text `id`.
/// let source = Http::new("https://example.org/x").state();
/// let raw = RawOp::new(8, b"\x0a\x02me".to_vec()).input(&source).capability("passthroughop").state();
/// assert!(raw.marshal().capabilities().contains("passthroughop"));
/// ```
#[derive(Debug, Clone)]
pub struct RawOp {
    field: u32,
    message: Vec<u8>,
    platform: Option<super::Platform>,
    inputs: Vec<State>,
    capabilities: Vec<Cow<'static, str>>,
}

impl RawOp {
    /// The op that `message` (an encoded protobuf message) is, as the member with the number `field` of the oneof `op`
    /// in `pb.Op` (`solver/pb/ops.proto`).
    pub fn new(field: u32, message: impl Into<Vec<u8>>) -> Self {
        Self { field, message: message.into(), platform: None, inputs: Vec::new(), capabilities: Vec::new() }
    }

    /// The next input. The message names inputs by their number, from 0.
    #[must_use]
    pub fn input(mut self, state: &State) -> Self {
        self.inputs.push(state.clone());
        self
    }

    /// The platform that the op runs on or is for.
    #[must_use]
    pub fn platform(mut self, platform: &super::Platform) -> Self {
        self.platform = Some(platform.clone());
        self
    }

    /// A capability that the daemon must have (`solver/pb/caps.go`).
    #[must_use]
    pub fn capability(mut self, id: impl Into<Cow<'static, str>>) -> Self {
        self.capabilities.push(id.into());
        self
    }

    /// The vertex, as its first output.
    pub fn state(self) -> State {
        let mut oneof = Vec::with_capacity(self.message.len() + 16);
        // The key of a length-delimited field.
        prost::encoding::encode_varint(u64::from(self.field) << 3 | 2, &mut oneof);
        prost::encoding::encode_varint(self.message.len() as u64, &mut oneof);
        oneof.extend(self.message);
        State::encoded(&oneof, self.platform.as_ref(), self.inputs, self.capabilities)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llb::{Http, merge};

    #[test]
    fn a_raw_op_is_the_op_that_a_builder_makes() {
        let [a, b] = ["a", "b"].map(|name| Http::new(&format!("https://example.org/{name}")).state());
        let merged = merge([a.clone(), b.clone()]);
        // MergeOp { inputs: [{ input: 0 }, { input: 1 }] }: the number 0 is not written.
        let raw = RawOp::new(6, b"\x0a\x00\x0a\x02\x08\x01".to_vec()).input(&a).input(&b).capability("mergeop").state();
        assert_eq!(raw.digest(), merged.digest());
        assert_eq!(raw.marshal().to_bytes(), merged.marshal().to_bytes());
    }
}
