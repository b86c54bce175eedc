//! Plans as graphs: how a layer is dated, and what one vertex of a file is to BuildKit.

use super::*;
use crate::plan::Image as PlannedImage;
use crate::spec::Definition;
use bollard_buildkit_proto::pb;
use prost::Message;

/// A spec of one list.
fn spec(list: &str) -> Spec {
    let mut diagnostics = Vec::new();
    let source = Source::new("kso.yaml", "apiVersion: kso/v1\nfiles:\n  - list: a.list\n");
    let definition = Definition::parse(&source, &mut diagnostics).expect("a version");
    let lists = BTreeMap::from([("a.list".to_owned(), Ok(Source::new("a.list", list)))]);
    let spec = definition.expand(&lists, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    spec
}

fn attempt(spec: &Spec, file: usize) -> Attempt {
    Attempt::first(file, spec.files[file].url.clone())
}

fn fetched(spec: &Spec) -> Vec<Fetched> {
    (0..spec.files.len()).map(|file| Fetched { attempt: attempt(spec, file), bytes: None }).collect()
}

fn entry(path: &str, file: usize) -> Entry {
    Entry { path: path.into(), content: Content::File(file) }
}

fn layers(spec: &Spec, lowering: &Lowering, layers: Vec<Layer>) -> Vec<State> {
    let images = vec![PlannedImage { layers: vec![0], config: b"{}".to_vec() }];
    lowering.layers(spec, &Plan { layers, images }, &fetched(spec))
}

/// The file actions of a state's last op.
fn actions(state: &State) -> Vec<pb::file_action::Action> {
    let definition = state.marshal();
    let (_, bytes) = definition.ops().filter(|(digest, _)| *digest == state.digest()).last().expect("its own op");
    let Some(pb::op::Op::File(file)) = pb::Op::decode(bytes).expect("an op").op else { panic!("a file op") };
    file.actions.into_iter().filter_map(|action| action.action).collect()
}

#[test]
fn a_group_ends_with_its_dated_directories() {
    let spec = spec("https://a.example/x\nhttps://b.example/sub/y\nhttps://b.example/z\n");
    let lowering = Lowering::new(false, 86_400);
    let group = Layer {
        name: "group 3".into(),
        entries: vec![entry("/srv/a/x", 0), entry("/srv/b/sub/y", 1), entry("/srv/b/z", 2)],
    };
    let alone = Layer { name: "x".into(), entries: vec![entry("/srv/a/x", 0)] };
    let states = layers(&spec, &lowering, vec![group, alone]);
    insta::assert_snapshot!(states[0].marshal().to_text());
    insta::assert_snapshot!("a_layer_of_one_file", states[1].marshal().to_text());
    let copies = actions(&states[0]);
    assert_eq!(copies.len(), 4);
    for action in copies.iter().chain(&actions(&states[1])) {
        let pb::file_action::Action::Copy(copy) = action else { panic!("a layer only copies: {action:?}") };
        assert_eq!((copy.timestamp, copy.mode), (86_400_000_000_000, -1), "{copy:?}");
    }
    let pb::file_action::Action::Copy(last) = &copies[3] else { panic!("a copy") };
    assert_eq!((last.src.as_str(), last.dest.as_str(), last.dir_copy_contents), ("/", "/", true));
}

#[test]
fn a_retry_is_another_vertex() {
    let mut spec = spec("https://a.example/x\n");
    let first = attempt(&spec, 0);
    let again = Attempt { number: 1, earlier: 1, ..first.clone() };
    let other_mirror = Attempt { earlier: 1, ..first.clone() };
    for sha256 in [None, Some(format!("sha256:{}", "a".repeat(64)).parse().expect("a digest"))] {
        spec.files[0].sha256 = sha256.clone();
        let lowering = Lowering::default();
        let digests: BTreeSet<String> = [&first, &again, &other_mirror]
            .map(|attempt| lowering.source(&spec, attempt).digest().to_owned())
            .into_iter()
            .collect();
        assert_eq!(digests.len(), 3, "{sha256:?}");
        let ignores = |attempt: &Attempt| {
            let graph = lowering.source(&spec, attempt).marshal().to_pb();
            graph.metadata.values().any(|metadata| metadata.ignore_cache)
        };
        assert!(!ignores(&first));
        assert_eq!(ignores(&again), sha256.is_some(), "without a checksum the cache key is another anyway");
    }
}

#[test]
fn the_twin_without_a_checksum_finds_the_same_body() {
    let mut spec = spec("https://a.example/x\n");
    spec.files[0].sha256 = Some(format!("sha256:{}", "a".repeat(64)).parse().expect("a digest"));
    let lowering = Lowering::default();
    let source = |state: State| {
        let op = pb::Op::decode(state.marshal().ops().next().expect("an op").1).expect("an op");
        let Some(pb::op::Op::Source(source)) = op.op else { panic!("a source") };
        source
    };
    let mut pinned = source(lowering.source(&spec, &attempt(&spec, 0)));
    let twin = source(lowering.unchecked(&spec, &attempt(&spec, 0)));
    assert!(pinned.attrs.remove("http.checksum").is_some());
    assert_eq!(pinned, twin, "name and mode are part of what a body is found by");
}

#[test]
fn a_file_alone_is_the_layer_that_it_gets() {
    let spec = spec("https://a.example/x\n");
    let lowering = Lowering::new(false, 86_400);
    let (alone, path) = lowering.alone(&spec, &attempt(&spec, 0));
    let layer = Layer { name: "x".into(), entries: vec![entry(&path, 0)] };
    assert_eq!(layers(&spec, &lowering, vec![layer])[0].digest(), alone.digest());
    assert_eq!(path, "/opt/k8s/k8s/a.example/x");
}
