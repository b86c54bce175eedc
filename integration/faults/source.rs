//! Registries that images come from, and that fail.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::harness::{FRONTEND, Fault, Harness, Kind, Recipe, Rules, Sample, Upstream};

pub(super) const TESTS: &[(&str, fn())] = &[
    ("a_registry_that_fails_three_times", a_registry_that_fails_three_times),
    ("wrong_bytes_of_a_blob_once", wrong_bytes_of_a_blob_once),
];

const BOTH: &str = "linux/amd64,linux/arm64";

/// A registry with one image, a definition of it, and the digests of its blobs.
fn project(name: &str) -> (Upstream, PathBuf, Vec<String>) {
    let harness = Harness::get();
    let _ = harness.frontend();
    let upstream = harness.upstream(Rules::default());
    let mut recipe = Recipe::new(Kind::OciIndex, &format!("{name}/app"), "1");
    recipe.bases = vec![name.to_owned()];
    let sample = Sample::of(&recipe);
    upstream.put(&format!("{name}/app:1"), &sample);
    let image = upstream.reference(&format!("{name}/app:1"));
    let folder = harness.folder(name);
    let text =
        format!("# syntax={FRONTEND}\napiVersion: kso/v1\nimages:\n  - {{ image: '{image}', as: 'served:1' }}\n");
    fs::write(folder.join("kso.yaml"), text).unwrap();
    (upstream, folder, sample.keep(&["linux/amd64", "linux/arm64"]).blobs.into_keys().collect())
}

fn build(folder: &PathBuf, image: &str) {
    let build = Harness::get().buildx().build(folder).file("kso.yaml").target("images").platform(BOTH);
    let _ = build.push(image).run().success();
}

fn a_registry_that_fails_three_times() {
    let (upstream, folder, blobs) = project("blobs-thrice");
    let faults = [Fault::Status(500), Fault::Status(429), Fault::Drop];
    for (blob, fault) in blobs.iter().zip(&faults) {
        upstream.times(blob, 3, fault);
    }
    upstream.times("1", 3, &Fault::Status(503));
    upstream.delay(Duration::from_millis(200));
    build(&folder, "org/blobs-thrice:1");
    let before = upstream.calls().len();
    build(&folder, "org/blobs-thrice:1");
    let again = upstream.calls().split_off(before);
    // What was fetched by the second attempt is found again; by a later one, it is fetched once more.
    let fetched: Vec<_> = again.iter().filter(|call| call.complete && call.path.contains("/blobs/")).collect();
    assert!(fetched.len() <= faults.len(), "{fetched:?}");
}

fn wrong_bytes_of_a_blob_once() {
    let (upstream, folder, blobs) = project("blob-wrong");
    upstream.times(&blobs[0], 1, &Fault::WrongBytes);
    build(&folder, "org/blob-wrong:1");
    assert_eq!(upstream.blobs()[&blobs[0]], 2, "asked for once more");
    assert!(blobs[1..].iter().all(|blob| upstream.blobs().get(blob).is_none_or(|sent| *sent == 1)));
}
