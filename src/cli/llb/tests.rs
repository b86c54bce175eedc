//! Graphs of images from a lock.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bollard_buildkit_proto::pb;
use prost::Message;

use super::*;
use crate::diagnostic::Source;
use crate::kind::images::locked::tests::sample;
use crate::lock::{Answers, Lock, LockedBase};
use crate::name::{Arch, Digest};

/// A directory with a definition of two images, and its lock if wanted; the arguments that name them.
fn project(folder: &Path, lock: bool) -> Arguments {
    let names = ["quay.io/a/b:1", "quay.io/c/d:2"];
    let text = format!("apiVersion: kso/v1\nimages: [{{ image: '{}' }}, {{ image: '{}' }}]\n", names[0], names[1]);
    fs::write(folder.join("kso.yaml"), &text).unwrap();
    let mut problems = Vec::new();
    let definition = crate::definition::Definition::parse(&Source::new("kso.yaml", text), &mut problems).unwrap();
    let spec = definition.expand(&BTreeMap::new(), &mut problems);
    let configs = [(Platform::linux(Arch::Amd64), "{}".to_owned())].into();
    let base = LockedBase::new(spec.registry.image.clone(), Digest::of(b"base"), configs).unwrap();
    let images = names.map(|name| sample(name).resolved).into();
    let lock_of =
        Lock::of(&spec, plan::LAYOUT, Answers { bases: vec![base], images, ..Answers::default() }).expect("they agree");
    if lock {
        fs::write(folder.join("kso.lock"), lock_of.write()).unwrap();
    }
    Arguments {
        input: Input { file: folder.join("kso.yaml"), context: folder.to_owned(), build_args: Vec::new() },
        lock: None,
        target: "images".into(),
        frontend: "ghcr.io/org/kso-frontend:1".into(),
        platform: vec!["linux/amd64".into(), "linux/arm64".into()],
        format: Format::Text,
    }
}

fn graphs_of(arguments: &Arguments) -> Result<Vec<(Platform, Definition)>, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let mut loaded = arguments.input.load(Reach::Files, arguments.use_lock(), &mut problems).expect("a definition");
    if problems.iter().any(Diagnostic::is_error) {
        return Err(problems);
    }
    let lock = locked(&mut loaded, &mut problems).map_err(|problems| problems.0)?;
    graphs(&loaded.spec, lock.as_ref(), arguments).map_err(|problem| vec![problem])
}

#[test]
fn the_graph_of_images_runs_kso_without_network_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let graphs = graphs_of(&project(folder.path(), true)).unwrap();
    assert_eq!(graphs.len(), 2);
    for (platform, graph) in graphs {
        let graph = pb::Definition::decode(graph.to_bytes().as_slice()).unwrap();
        let ops: Vec<(Digest, pb::Op)> =
            graph.def.iter().map(|op| (Digest::of(op), pb::Op::decode(op.as_slice()).unwrap())).collect();
        let (mut programs, mut blobs) = (0, 0);
        for (digest, op) in &ops {
            match &op.op {
                Some(pb::op::Op::Exec(exec)) => {
                    programs += 1;
                    assert_eq!(exec.meta.as_ref().unwrap().args[..2], ["/kso", "arrange"]);
                    assert_eq!(exec.network, i32::from(pb::NetMode::None));
                    // What it was given is read, and of what it leaves behind only its output is used: the layer.
                    let given = exec.mounts.iter().filter(|mount| !["/", "/kso-out"].contains(&mount.dest.as_str()));
                    assert!(given.clone().count() > 0 && given.clone().all(|mount| mount.readonly), "{exec:?}");
                    let out = exec.mounts.iter().find(|mount| mount.dest == "/kso-out").unwrap().output;
                    let users =
                        ops.iter().flat_map(|(_, op)| &op.inputs).filter(|input| input.digest == digest.as_str());
                    assert!(users.clone().count() > 0 && users.clone().all(|input| input.index == out), "{exec:?}");
                }
                Some(pb::op::Op::Source(source)) if source.identifier.starts_with("docker-image+blob://") => blobs += 1,
                _ => {}
            }
        }
        assert!(programs > 1 && blobs > 2, "{platform}: {programs} programs, {blobs} blobs");
    }
}

#[test]
fn without_a_lock_it_says_how_to_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = project(folder.path(), false);
    let told = |arguments: &Arguments| graphs_of(arguments).unwrap_err()[0].message.clone();
    assert_eq!(told(&arguments), "the graph of the target `images` needs answers from registries, or a lock");
    arguments.lock = Some(folder.path().join("other.lock"));
    assert!(told(&arguments).ends_with("other.lock` does not exist"), "{}", told(&arguments));
    let mut arguments = project(folder.path(), true);
    arguments.target = "lock".into();
    assert!(told(&arguments).starts_with("the target `lock` has no graph"));
}
