//! Many images: each blob fetched once, layers shared, an upgrade that changes little.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::project::{BOTH, Project, STORAGE, digests, unpack};
use crate::harness::fleet::{self, HOSTS, Member};
use crate::harness::{Buildkitd, Harness, Rules, Storage, Upstream, step};

pub(super) const TESTS: &[(&str, fn())] = &[
    ("kubesprays_images_for_two_platforms", kubesprays_images_for_two_platforms),
    ("an_upgrade_of_57_pushes_little", an_upgrade_of_57_pushes_little),
    ("an_upgrade_of_40_in_few_layers_pushes_little", an_upgrade_of_40_in_few_layers_pushes_little),
    ("two_fresh_daemons_build_the_same", two_fresh_daemons_build_the_same),
];

/// Those that `make test-long` runs.
pub(super) const LONG: &[(&str, fn())] = &[
    ("an_upgrade_of_150_pushes_little", an_upgrade_of_150_pushes_little),
    ("with_300_layers_so_does_every_one_of_150", with_300_layers_so_does_every_one_of_150),
];

fn write(project: &Project, members: &[Member]) {
    let text = members.iter().fold(String::new(), |mut text, member| {
        let _ = writeln!(text, "{}", member.name);
        text
    });
    std::fs::write(project.folder.join("images.list"), text).unwrap();
}

fn start(name: &str, members: &[Member]) -> (Upstream, Buildkitd, Project) {
    let upstream = Harness::get().upstream(Rules::default());
    let (blobs, bytes) = fleet::put(members, &upstream);
    eprintln!("harness: {} images, {blobs} distinct blobs, {bytes} bytes", members.len());
    let daemon = daemon(&upstream);
    let project = Project::new(name, "  - list: images.list\n");
    write(&project, members);
    (upstream, daemon, project)
}

fn daemon(upstream: &Upstream) -> Buildkitd {
    Harness::get().daemon_with(&HOSTS.map(|host| (host, upstream)))
}

fn kubesprays_images_for_two_platforms() {
    let members = fleet::kubespray();
    let (upstream, daemon, project) = start("fleet", &members);
    let build = |image: &str| project.build_by(daemon.buildx()).platform(BOTH).push(image).run().success();
    let _ = step("57 images, cold", || build("org/fleet:1"));

    let expected: BTreeSet<String> = members.iter().flat_map(|member| member.sample().blobs.into_keys()).collect();
    assert!(expected.len() >= 600, "{} distinct blobs", expected.len());
    let fetched = upstream.blobs();
    let twice: Vec<_> = fetched.iter().filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "asked for more than once: {twice:?}");
    let configs_and_layers: BTreeSet<String> = fetched.into_keys().collect();
    assert_eq!(configs_and_layers, expected);

    upstream.forget();
    let _ = step("57 images, warm", || build("org/fleet:2"));
    assert_eq!(upstream.blobs(), BTreeMap::new(), "a second build fetches no blob");
    assert_eq!(digests("org/fleet:1"), digests("org/fleet:2"));

    // Blobs that both platforms hold lie in layers that both share.
    let registry = Harness::get().registry();
    let [amd64, arm64] = ["linux/amd64", "linux/arm64"].map(|platform| {
        let storage = Storage::at(unpack("org/fleet:1", platform).root().join(STORAGE));
        storage.blobs()
    });
    let both: u64 = amd64.iter().filter(|(digest, _)| arm64.contains_key(*digest)).map(|(_, size)| size).sum();
    let layers = ["linux/amd64", "linux/arm64"].map(|platform| registry.image("org/fleet:1", platform).manifest);
    let sizes = |manifest: &serde_json::Value| -> BTreeMap<String, u64> {
        let layers = manifest["layers"].as_array().unwrap().iter();
        layers.map(|layer| (layer["digest"].as_str().unwrap().to_owned(), layer["size"].as_u64().unwrap())).collect()
    };
    let [amd64, arm64] = [sizes(&layers[0]), sizes(&layers[1])];
    let shared: u64 = amd64.iter().filter(|(digest, _)| arm64.contains_key(*digest)).map(|(_, size)| size).sum();
    assert!(shared >= both * 9 / 10, "{shared} bytes in shared layers, {both} bytes of shared blobs");
    for (platform, layers) in [("linux/amd64", &amd64), ("linux/arm64", &arm64)] {
        assert!(layers.len() <= 120, "{platform} has {} layers", layers.len());
    }
}

/// The upgrade of an image: what it is called, which image, and whether it gets another base.
type Upgrade = (&'static str, usize, bool);

/// Builds `count` images, upgrades some, and holds what each pushes against `most`, which is given the image's bytes and
/// those of all.
fn upgrades(
    count: usize,
    limit: &str,
    choose: impl Fn(&[usize]) -> Vec<Upgrade>,
    most: impl Fn(&str, u64, u64) -> u64,
) {
    let mut members = fleet::of(count);
    let name = format!("upgrade-{count}{}", if limit.is_empty() { "" } else { "-limit" });
    let (upstream, daemon, project) = start(&name, &members);
    project.define("  - list: images.list\n", limit);
    let image = format!("org/{name}");
    // The size of each layer, and what the image's history calls it.
    let layers = |tag: &str| -> BTreeMap<String, (u64, String)> {
        let mut found = BTreeMap::new();
        for platform in ["linux/amd64", "linux/arm64"] {
            let image = Harness::get().registry().image(&format!("{image}:{tag}"), platform);
            let history = image.config["history"].as_array().unwrap();
            let names =
                history.iter().filter(|step| step["empty_layer"] != true).map(|step| step["created_by"].to_string());
            for (layer, name) in image.manifest["layers"].as_array().unwrap().iter().zip(names) {
                let size = layer["size"].as_u64().unwrap();
                found.insert(layer["digest"].as_str().unwrap().to_owned(), (size, name));
            }
        }
        found
    };
    let build = |tag: &str| project.build_by(daemon.buildx()).platform(BOTH).push(&format!("{image}:{tag}")).run();
    let _ = step(&format!("{count} images"), || build("before")).success();
    let known = layers("before");
    // A sample is made anew each time that it is asked for.
    let bytes: Vec<u64> = members.iter().map(|member| member.sample().bytes()).collect();
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|&at| bytes[at]);
    let all: u64 = bytes.iter().sum();
    for (tag, at, base) in choose(&order) {
        let before = members[at].clone();
        members[at] = if base { before.rebased("v99.0.0") } else { before.upgraded("v99.0.0") };
        fleet::put(&members[at..=at], &upstream);
        write(&project, &members);
        let _ = step("one image upgraded", || build(tag)).success();
        let pushed: Vec<(u64, String)> =
            layers(tag).into_iter().filter(|(digest, _)| !known.contains_key(digest)).map(|(_, layer)| layer).collect();
        let largest = pushed.iter().max().unwrap();
        let pushed: u64 = pushed.iter().map(|(size, _)| size).sum();
        let own = members[at].sample().bytes();
        eprintln!(
            "{count} images, {tag}: {pushed} bytes pushed for {} of {own} bytes; the largest layer is {largest:?}",
            members[at].name
        );
        let most = most(tag, own, all);
        assert!(pushed <= most, "{tag}: {pushed} bytes pushed for {} of {own} bytes", members[at].name);
        members[at] = before;
    }
}

/// Upgrades of these kinds: of the smallest, the largest or one between, `-base` with another base.
fn some<const N: usize>(kinds: [&'static str; N]) -> impl Fn(&[usize]) -> Vec<Upgrade> {
    move |order| {
        let at = |kind: &str| match kind {
            _ if kind.starts_with("small") => order[0],
            _ if kind.starts_with("middle") => order[order.len() / 2],
            _ => order[order.len() - 1],
        };
        kinds.map(|kind| (kind, at(kind), kind.ends_with("-base"))).into()
    }
}

fn an_upgrade_of_57_pushes_little() {
    let kinds = ["small", "middle", "large", "small-base", "middle-base", "large-base"];
    upgrades(57, "", some(kinds), |_, own, _| own * 3 / 2);
}

/// With fewer layers than images, one of the smallest may lie in a group: what its upgrade pushes is bounded by what all
/// images have.
fn most_in_few_layers(tag: &str, own: u64, all: u64) -> u64 {
    if tag.starts_with("large") { own * 3 / 2 } else { own + all / 8 }
}

fn an_upgrade_of_40_in_few_layers_pushes_little() {
    upgrades(40, ", layers: 60", some(["small", "middle-base", "large"]), most_in_few_layers);
}

/// By default there are fewer layers than that.
fn an_upgrade_of_150_pushes_little() {
    upgrades(150, "", some(["small", "middle-base", "large"]), most_in_few_layers);
}

fn with_300_layers_so_does_every_one_of_150() {
    upgrades(150, ", layers: 300", some(["small-base", "middle", "large-base"]), |_, own, _| own * 3 / 2);
}

fn two_fresh_daemons_build_the_same() {
    let members = fleet::of(20);
    let (upstream, first, project) = start("same", &members);
    let second = daemon(&upstream);
    for (number, daemon) in [first, second].iter().enumerate() {
        let build = project.build_by(daemon.buildx()).platform(BOTH).push(&format!("org/same:{number}"));
        let _ = build.run().success();
    }
    assert_eq!(digests("org/same:0"), digests("org/same:1"));
}
