//! Merge and diff vertices: layers put together and taken apart without copying. Does not know what the layers hold.

use bollard_buildkit_proto::pb;

use super::State;

/// One root of all inputs, later ones on top. Each input that is itself no merge becomes one layer.
///
/// A merge of nothing has no vertex, so at least one input is needed; a single input is returned as it is.
///
/// # Panics
/// When there is no input.
pub fn merge(inputs: impl IntoIterator<Item = State>) -> State {
    let mut inputs: Vec<State> = inputs.into_iter().collect();
    assert!(!inputs.is_empty(), "a merge needs an input");
    if inputs.len() == 1 {
        return inputs.swap_remove(0);
    }
    let indices = (0..inputs.len()).map(|n| pb::MergeInput { input: i64::try_from(n).unwrap_or(i64::MAX) }).collect();
    State::new(pb::op::Op::Merge(pb::MergeOp { inputs: indices }), None, inputs, &["mergeop"])
}

/// What `upper` has and `lower` has not.
pub fn diff(lower: &State, upper: &State) -> State {
    let op = pb::DiffOp { lower: Some(pb::LowerDiffInput { input: 0 }), upper: Some(pb::UpperDiffInput { input: 1 }) };
    State::new(pb::op::Op::Diff(op), None, vec![lower.clone(), upper.clone()], &["diffop"])
}
