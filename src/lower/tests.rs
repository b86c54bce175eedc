//! Plans as graphs: how a layer is dated, and what one vertex of a file is to BuildKit.

use bollard_buildkit_proto::pb;
use prost::Message;

use super::*;
use crate::definition::{Definition, Spec};
use crate::fetch::{Attempt, first};
use crate::kind::files::tree::{artifacts, tree};
use crate::origin::Mirrors;
use crate::plan::{Entry, Image as PlannedImage};

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

/// The first attempt of each file.
fn attempts(artifacts: &Artifacts) -> Vec<Attempt> {
    first(artifacts.downloads(&Mirrors::default())).into_iter().map(|fetched| fetched.attempt).collect()
}

fn entry(path: &str, artifacts: &Artifacts, file: usize) -> Entry {
    Entry { path: path.into(), content: Content::Artifact(artifacts.ids().nth(file).expect("a file")) }
}

fn layers(spec: &Spec, artifacts: &Artifacts, lowering: &Lowering, layers: Vec<Layer>) -> Vec<State> {
    let images = vec![PlannedImage { layers: vec![0], config: b"{}".to_vec() }];
    let downloads = Downloads::new(spec, artifacts, false);
    let inputs = lowering.inputs(artifacts, &downloads, &first(artifacts.downloads(&Mirrors::default())));
    lowering.file_layers(&Plan { layers, images }, &inputs).expect("all are there")
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
    let (lowering, artifacts) = (Lowering::new(false, 86_400), artifacts(spec.file_section()));
    let entry = |path, file| entry(path, &artifacts, file);
    let group = Layer {
        name: "group 3".into(),
        entries: vec![entry("/srv/a/x", 0), entry("/srv/b/sub/y", 1), entry("/srv/b/z", 2)],
    };
    let alone = Layer { name: "x".into(), entries: vec![entry("/srv/a/x", 0)] };
    let states = layers(&spec, &artifacts, &lowering, vec![group, alone]);
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
    let first = attempts(&artifacts(spec.file_section())).swap_remove(0);
    let again = Attempt { number: 1, earlier: 1, ..first.clone() };
    let other_mirror = Attempt { earlier: 1, ..first.clone() };
    for sha256 in [None, Some(format!("sha256:{}", "a".repeat(64)).parse().expect("a digest"))] {
        spec.files[0].sha256 = sha256.clone();
        let artifacts = artifacts(spec.file_section());
        let downloads = Downloads::new(&spec, &artifacts, false);
        let digests: BTreeSet<String> = [&first, &again, &other_mirror]
            .map(|attempt| downloads.source(attempt).digest().clone().into())
            .into_iter()
            .collect();
        assert_eq!(digests.len(), 3, "{sha256:?}");
        let ignores = |attempt: &Attempt| {
            let graph = downloads.source(attempt).marshal().to_bytes();
            let graph = pb::Definition::decode(graph.as_slice()).expect("a graph");
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
    let artifacts = artifacts(spec.file_section());
    let (downloads, attempt) = (Downloads::new(&spec, &artifacts, false), attempts(&artifacts).swap_remove(0));
    let source = |state: State| {
        let op = pb::Op::decode(state.marshal().ops().next().expect("an op").1).expect("an op");
        let Some(pb::op::Op::Source(source)) = op.op else { panic!("a source") };
        source
    };
    let mut pinned = source(downloads.source(&attempt));
    let twin = source(downloads.unchecked(&attempt));
    assert!(pinned.attrs.remove("http.checksum").is_some());
    assert_eq!(pinned, twin, "name and mode are part of what a body is found by");
}

#[test]
fn a_file_alone_is_the_layer_that_it_gets() {
    let spec = spec("https://a.example/x\n");
    let (lowering, artifacts) = (Lowering::new(false, 86_400), artifacts(spec.file_section()));
    let attempt = attempts(&artifacts).swap_remove(0);
    let path = &tree(spec.file_section(), &artifacts).paths()[&attempt.artifact];
    let alone = lowering.alone(Downloads::new(&spec, &artifacts, false).source(&attempt), path);
    let layer = Layer { name: "x".into(), entries: vec![entry(path, &artifacts, 0)] };
    assert_eq!(layers(&spec, &artifacts, &lowering, vec![layer])[0].digest(), alone.digest());
    assert_eq!(path, "/opt/k8s/k8s/a.example/x");
}

/// BuildKit then knows by the digest of a blob, and need not have its bytes, whether it has made the layer before.
#[test]
fn what_a_layer_is_made_of_is_known_by_its_definition() {
    use crate::artifact::{Artifact, Origin};
    use crate::lower::images::{Runner, blob, blob_file};
    use buildkit::llb::{Image, Platform};

    let digest = crate::name::Digest::of(b"a blob");
    let images = vec!["quay.io/a/b:1".parse().expect("an image")];
    let mut artifacts = Artifacts::default();
    let id = artifacts.push(Artifact {
        origin: Origin::Blob { digest: digest.clone(), images },
        pin: Some(digest.clone()),
        bytes: None,
        label: String::new(),
        spans: Vec::new(),
        pinned_at: None,
    });
    let file = Input::File { state: blob("quay.io/a/b", &digest, 0, false), name: blob_file(0) };
    let inputs = BTreeMap::from([(id, file)]);
    let entries = vec![Entry { path: "/x".into(), content: Content::Artifact(id) }];
    let plan = Plan { layers: vec![Layer { name: "b".into(), entries }], images: Vec::new() };
    let platform = Platform::linux("amd64");
    let root = Image::new("ghcr.io/org/kso-frontend:1", &platform).state();
    let runner = Runner { root, platform, program: "/kso".into() };
    let layer = Lowering::new(false, 0).proved_layer(&plan, 0, (&artifacts, &inputs), &runner).expect("it is there");
    let definition = layer.marshal();
    let ops = definition.ops().map(|(_, bytes)| pb::Op::decode(bytes).expect("an op").op);
    let exec = ops.into_iter().find_map(|op| if let Some(pb::op::Op::Exec(exec)) = op { Some(exec) } else { None });
    let mounts = exec.expect("it is made by kso").mounts;
    let off = |mount: &pb::Mount| mount.content_cache == i32::from(pb::MountContentCache::Off);
    let off: Vec<&str> = mounts.iter().filter(|mount| off(mount)).map(|mount| mount.dest.as_str()).collect();
    let blob = format!("/kso-blobs/{}", digest.hex());
    assert_eq!(off, [blob.as_str(), "/kso-order"], "{mounts:?}");
}

#[test]
fn an_override_takes_the_place_of_its_download() {
    let spec = spec("https://a.example/x\nhttps://a.example/y\n");
    let artifacts = artifacts(spec.file_section());
    let attempts = attempts(&artifacts);
    let own = File::scratch().mkfile(Mkfile::new("/x", FILE_MODE, "own")).state();
    let overrides = BTreeMap::from([(attempts[0].artifact, own.clone())]);
    let downloads = Downloads::new(&spec, &artifacts, false).overriding(overrides);
    assert_eq!(downloads.source(&attempts[0]).digest(), own.digest());
    assert_ne!(downloads.source(&attempts[1]).digest(), own.digest());
    assert_eq!([0, 1].map(|at| downloads.is_overridden(attempts[at].artifact)), [true, false]);
    assert_eq!(downloads.artifacts().len(), 2);
}

#[test]
fn what_the_progress_calls_a_download() {
    let spec = spec("https://a.example/x\n");
    let artifacts = artifacts(spec.file_section());
    let first = attempts(&artifacts).swap_remove(0);
    let downloads = Downloads::new(&spec, &artifacts, false);
    let shown = |attempt: &Attempt| {
        let text = downloads.source(attempt).marshal().to_text();
        text.split_once("(a.example").expect("the host").1.split(')').next().expect("a bracket").to_owned()
    };
    assert_eq!(shown(&first), "");
    assert_eq!(shown(&Attempt { number: 1, earlier: 1, ..first.clone() }), ", try 2");
    assert_eq!(shown(&Attempt { number: 2, earlier: 2, ..first }), ", try 3");
}

#[test]
fn an_image_is_shown_as_people_know_it() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let shown = |reference: &str| without_digest(&reference.parse().expect("an image")).to_owned();
    assert_eq!(shown("h.io/a:1"), "h.io/a:1");
    assert_eq!(shown(&format!("h.io/a:1@{digest}")), "h.io/a:1");
    assert_eq!(shown(&format!("h.io/a@{digest}")), format!("h.io/a@{digest}"));
}

#[test]
fn platforms_keep_all_their_parts() {
    let platform = buildkit::llb::Platform { os: "linux".into(), architecture: "arm".into(), variant: "v7".into() };
    assert_eq!(buildkit::llb::Platform::from(&Platform::from(platform.clone())), platform);
}

#[test]
fn a_blob_of_a_later_attempt_is_another_file() {
    use crate::lower::images::{blob, blob_file, layout_blob};

    assert_eq!(
        [0, 1, 2, 3].map(blob_file),
        ["file", "file", "file-2", "file-3"].map(|name| name.replace("file", FETCHED))
    );
    let digest = crate::name::Digest::of(b"a blob");
    let ignores = |state: State| {
        let graph = state.marshal().to_bytes();
        let graph = pb::Definition::decode(graph.as_slice()).expect("a graph");
        graph.metadata.values().any(|metadata| metadata.ignore_cache)
    };
    // One that ignores the cache is another vertex, once.
    let expected = [(0, false, false), (1, false, true), (2, false, false), (0, true, true)];
    for (earlier, fresh, ignored) in expected {
        assert_eq!(ignores(blob("h.io/a", &digest, earlier, fresh)), ignored, "{earlier} {fresh}");
        let layout = layout_blob("h.io/a", &digest, ("store", "session"), earlier, fresh);
        assert_eq!(ignores(layout), ignored, "{earlier} {fresh}");
    }
}
