//! The bytes of an op, as BuildKit's Go client writes them. Does not know what the ops mean.

use bollard_buildkit_proto::pb;
use prost::Message;
use sha2::{Digest as _, Sha256};
use std::fmt::Write;

/// Encodes an op with its oneof last.
///
/// BuildKit decodes every op and encodes it again with protobuf-go, which writes the members of a oneof after all
/// other fields; it looks source lines up by the digest of *those* bytes. prost writes by tag, so the op is encoded in
/// two parts, which protobuf allows to be concatenated.
pub(super) fn op(op: &pb::Op) -> Vec<u8> {
    let mut bytes = pb::Op { op: None, ..op.clone() }.encode_to_vec();
    let oneof = pb::Op { op: op.op.clone(), ..pb::Op::default() };
    bytes.reserve(oneof.encoded_len());
    oneof.encode_raw(&mut bytes);
    bytes
}

/// `sha256:` and the hex digits of the hash of `bytes`.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::from("sha256:"), |mut out, byte| {
        write!(out, "{byte:02x}").expect("a String takes any text");
        out
    })
}
