//! The bytes of an op, as BuildKit's Go client writes them. Does not know what the ops mean.

use bollard_buildkit_proto::pb;
use prost::Message;
use sha2::{Digest as _, Sha256};

/// Encodes an op with its oneof last.
///
/// BuildKit decodes every op and encodes it again with protobuf-go, which writes the members of a oneof after all
/// other fields; it looks source lines up by the digest of *those* bytes. prost writes by tag, so the op is encoded in
/// two parts, which protobuf allows to be concatenated.
pub(super) fn op(mut op: pb::Op) -> Vec<u8> {
    let oneof = pb::Op { op: op.op.take(), ..pb::Op::default() };
    let mut bytes = Vec::with_capacity(op.encoded_len() + oneof.encoded_len());
    op.encode_raw(&mut bytes);
    oneof.encode_raw(&mut bytes);
    bytes
}

/// `sha256:` and the hex digits of the hash of `bytes`.
pub(super) fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let halves = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let mut digest = String::with_capacity("sha256:".len() + 2 * hash.len());
    digest.push_str("sha256:");
    digest.extend(halves.map(|half| char::from(b"0123456789abcdef"[usize::from(half)])));
    digest
}
