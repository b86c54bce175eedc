//! What stays as it is while the code moves: the ops of every graph, and the bytes of every lock. Recorded from the state
//! before the move (9c60e40); a change here is a change of what users get, and never a part of a move.

mod daemon;
#[allow(dead_code, reason = "the integration tests use the rest")]
mod definitions;
mod graph;
#[allow(dead_code, reason = "the integration tests use the rest")]
mod scenarios;
#[allow(dead_code, reason = "the integration tests use the rest")]
mod world;

use std::path::Path;

use definitions::{Definition, below, kubespray, records};

/// Compares a record with what is committed.
fn compare(name: &str, text: &str) {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/unchanged"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn recorded(name: &str, definitions: Vec<Definition>) {
    compare(name, &records(definitions, |definition| definition.record(false)));
}

#[test]
#[cfg_attr(
    not(target_arch = "x86_64"),
    ignore = "recorded on amd64: `kso llb` shows steps of the machine's own platform"
)]
fn examples_give_the_same_graphs_and_locks() {
    recorded("examples", below("examples"));
}

#[test]
#[cfg_attr(
    not(target_arch = "x86_64"),
    ignore = "recorded on amd64: `kso llb` shows steps of the machine's own platform"
)]
fn cases_give_the_same_graphs_and_locks() {
    recorded("cases", below("cases/valid").into_iter().chain(below("cases/lint")).collect());
}

#[test]
#[cfg_attr(
    not(target_arch = "x86_64"),
    ignore = "recorded on amd64: `kso llb` shows steps of the machine's own platform"
)]
fn kubespray_gives_the_same_graphs_and_locks() {
    recorded("kubespray", kubespray());
}

#[test]
fn odd_builds_give_the_same_graphs() {
    compare("scenarios", &records(scenarios::scenarios(), |definition| definition.record_asked(false)));
}

/// The record of `kso llb` holds the digests that it prints: they are those of the ops.
#[test]
fn printed_digests_are_those_of_the_ops() {
    for definition in below("examples") {
        let printed = definition.llb("files", "linux/arm64").expect("a graph");
        let graph = definition.protobuf("files", "linux/arm64");
        let mut digests: Vec<String> = graph.def.iter().map(|op| world::digest(op)).collect();
        let _ = digests.pop();
        assert_eq!(printed["linux/arm64"], digests, "{}", definition.name);
    }
}
