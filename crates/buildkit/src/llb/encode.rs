//! The bytes of an op, as BuildKit's Go client writes them. Does not know what the ops mean.

use bollard_buildkit_proto::pb;
use prost::Message;

/// Encodes an op with its oneof last.
///
/// BuildKit decodes every op and encodes it again with protobuf-go, which writes the members of a oneof after all
/// other fields; it looks source lines up by the digest of *those* bytes. prost writes by tag, so the op is encoded in
/// two parts, which protobuf allows to be concatenated.
pub(super) fn op(mut op: pb::Op) -> Vec<u8> {
    let oneof = pb::Op { op: op.op.take(), ..pb::Op::default() };
    with_oneof(&op, &oneof.encode_to_vec())
}

/// [`op`] of an encoded oneof.
pub(super) fn with_oneof(op: &pb::Op, oneof: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(op.encoded_len() + oneof.len());
    op.encode_raw(&mut bytes);
    bytes.extend_from_slice(oneof);
    bytes
}
