//! What a rebuild fetches, and which layers it changes.

use super::project::{BOTH, Project, content_layers, new_layers, path_of};
use crate::harness::Harness;

pub(super) const TESTS: &[(&str, fn())] = &[
    ("nothing_changed_fetches_nothing", nothing_changed_fetches_nothing),
    ("without_etags_bodies_come_again_and_layers_stay", without_etags_bodies_come_again_and_layers_stay),
    ("with_checksums_the_origin_may_be_off", with_checksums_the_origin_may_be_off),
    (
        "a_fresh_daemon_takes_pinned_files_from_an_imported_cache",
        a_fresh_daemon_takes_pinned_files_from_an_imported_cache,
    ),
    ("from_a_folder_too", from_a_folder_too),
    ("and_from_the_image", and_from_the_image),
    ("a_change_at_the_origin_is_noticed", a_change_at_the_origin_is_noticed),
    ("no_cache_fetches_each_file_once_more", no_cache_fetches_each_file_once_more),
    ("a_filter_names_the_target_that_is_done_again", a_filter_names_the_target_that_is_done_again),
    ("annotations_reach_manifests_and_the_index", annotations_reach_manifests_and_the_index),
    ("a_hundred_and_fifty_urls", || many_urls("hundred-fifty", 150)),
];

/// Those that `make test-long` runs.
pub(super) const LONG: &[(&str, fn())] = &[("a_thousand_urls", || many_urls("thousand", 1_000))];

fn nothing_changed_fetches_nothing() {
    let project = Project::kubespray("unchanged");
    let before = project.push("org/unchanged:1");
    project.origin.forget();
    let after = project.push("org/unchanged:2");
    assert_eq!(project.origin.bodies().len(), 0, "no body is sent again");
    assert_eq!(before, after);
}

fn without_etags_bodies_come_again_and_layers_stay() {
    let project = Project::tools("no-etags", 5);
    project.origin.etags(false);
    let before = project.push("org/no-etags:1");
    project.origin.forget();
    let after = project.push("org/no-etags:2");
    assert_eq!(project.origin.bodies().len(), 5);
    assert!(project.origin.bodies().values().all(|count| *count == 1));
    assert_eq!(before, after);
}

fn with_checksums_the_origin_may_be_off() {
    let mut project = Project::tools("pinned", 5);
    project.define(&project.pinned());
    let before = project.push("org/pinned:1");
    assert_eq!(project.origin.bodies().len(), 5);
    project.origin.forget();
    project.origin.off();
    let after = project.push("org/pinned:2");
    assert_eq!(project.origin.requests().len(), 0);
    assert_eq!(before, after);
}

fn a_fresh_daemon_takes_pinned_files_from_an_imported_cache() {
    let cache = Harness::get().registry().reference("org/imported-cache:1");
    caches("imported", &format!("type=registry,ref={cache},mode=max"), &format!("type=registry,ref={cache}"));
}

fn from_a_folder_too() {
    let folder = Harness::get().folder("cache-folder");
    let folder = folder.display();
    caches("folder-cache", &format!("type=local,dest={folder},mode=max"), &format!("type=local,src={folder}"));
}

/// The image itself is the cache: its layers are enough.
fn and_from_the_image() {
    let image = Harness::get().registry().reference("org/inline-cache:1");
    caches("inline-cache", "type=inline", &format!("type=registry,ref={image}"));
}

/// A daemon gives a cache, and another, which is new, takes it: no file is asked for.
fn caches(name: &str, to: &str, from: &str) {
    let mut project = Project::tools(name, 5);
    project.define(&project.pinned());
    let build = |project: &Project, option: &str, image: &str| {
        let daemon = Harness::get().fresh_daemon();
        let build = project.build_by(daemon.buildx()).platform(BOTH).arg(option);
        let _ = build.push(image).run().success();
        content_layers(image)
    };
    let before = build(&project, &format!("--cache-to={to}"), &format!("org/{name}:1"));
    assert_eq!(project.origin.bodies().len(), 5);
    project.origin.forget();
    project.origin.off();
    let after = build(&project, &format!("--cache-from={from}"), &format!("org/{name}:2"));
    assert_eq!(project.origin.requests().len(), 0);
    assert_eq!(before, after);
}

fn a_change_at_the_origin_is_noticed() {
    let project = Project::kubespray("changed");
    let before = project.push("org/changed:1");
    project.origin.forget();
    let path = path_of(&project.urls()[7]);
    project.origin.change(&path);
    let after = project.push("org/changed:2");
    assert_eq!(project.origin.bodies().into_iter().collect::<Vec<_>>(), [(path, 1)]);
    assert_eq!(new_layers(&before, &after), 1);
    assert_eq!(before.len(), after.len());
}

fn no_cache_fetches_each_file_once_more() {
    let project = Project::tools("no-cache", 4);
    let _ = project.push("org/no-cache:1");
    project.origin.etags(false);
    project.origin.forget();
    let _ = project.build().arg("--no-cache").output("oci").0.run().success();
    let bodies = project.origin.bodies();
    assert_eq!(bodies.len(), 4);
    assert!(bodies.values().all(|count| *count == 1), "{bodies:?}");
}

/// A target is what a stage is in a Dockerfile.
fn a_filter_names_the_target_that_is_done_again() {
    let project = Project::tools("filter", 3);
    let _ = project.push("org/filter:1");
    for (filter, bodies) in [("images", 0), ("files", 3)] {
        project.origin.etags(filter == "images");
        project.origin.forget();
        let _ = project.build().args(["--no-cache-filter", filter]).output("oci").0.run().success();
        assert_eq!(project.origin.bodies().len(), bodies, "{filter}");
    }
}

fn annotations_reach_manifests_and_the_index() {
    let project = Project::tools("annotated", 1);
    let annotations = ["index:org.example.a=of the index", "manifest:org.example.b=of each manifest"];
    let build = project.build().platform(BOTH).args(annotations.iter().flat_map(|it| ["--annotation", it]));
    let _ = build.push("org/annotated:1").run().success();
    let registry = Harness::get().registry();
    assert_eq!(registry.index("org/annotated:1")["annotations"]["org.example.a"], "of the index");
    for platform in ["linux/amd64", "linux/arm64"] {
        let manifest = registry.image("org/annotated:1", platform).manifest;
        assert_eq!(manifest["annotations"]["org.example.b"], "of each manifest", "{platform}");
    }
}

/// More files than layers: whatever changes, little is pushed.
fn many_urls(name: &str, count: usize) {
    let (big, small) = (count / 2, count * 3 / 10);
    let mut project = Project::tools(name, count);
    let push = |project: &Project, tag: &str| project.push(&format!("org/{name}:{tag}"));
    // Ten are big beyond doubt, and one is small; the others are of two size classes.
    for big in big..big + 10 {
        project.origin.size(&project.tool_path(big), 100_000);
    }
    project.origin.size(&project.tool_path(small), 100);
    let first = push(&project, "1");
    assert!(first.len() <= 90, "{} layers", first.len());
    let alone = names_of(&format!("org/{name}:1"));
    let is_alone =
        |number: usize| alone.contains(&format!("kso: {}", project.tool_path(number).trim_start_matches('/')));
    assert!(is_alone(big) && is_alone(big + 9) && !is_alone(small), "{alone:?}");

    let mut before = first;
    for (number, bytes) in [(big, 110_000), (small, 120)] {
        let old = project.tool(number);
        let new = old.replace("/v1.", "/v2.");
        project.origin.size(&path_of(&new), bytes);
        project.edit_both(|urls| urls.iter_mut().filter(|url| **url == old).for_each(|url| url.clone_from(&new)));
        let after = push(&project, &format!("bumped-{number}"));
        assert_eq!((new_layers(&before, &after), new_layers(&after, &before)), (1, 1), "{number} is bumped");
        before = after;
    }

    let mut changed = before;
    for number in [big + 5, small + 1] {
        let before = changed;
        project.origin.change(&project.tool_path(number));
        changed = push(&project, &format!("changed-{number}"));
        assert_eq!((new_layers(&before, &changed), new_layers(&changed, &before)), (1, 1), "{number} has other bytes");
    }

    let added = project.tool(count + 7);
    project.edit_both(|urls| urls.insert(count / 4, added.clone()));
    let more = push(&project, "4");
    assert!(new_layers(&changed, &more) <= 2 && new_layers(&more, &changed) <= 2, "one entry is added");

    project.edit_both(|urls| drop(urls.remove(count / 13)));
    let fewer = push(&project, "5");
    assert!(new_layers(&more, &fewer) <= 2 && new_layers(&fewer, &more) <= 2, "one entry is removed");
    let bodies = project.origin.bodies();
    assert_eq!(bodies.values().sum::<usize>(), count + 5, "each file is fetched once in seven builds");
}

/// What the layers of a pushed image are called in its history.
fn names_of(image: &str) -> Vec<String> {
    let config = Harness::get().registry().image(image, "linux/amd64").config;
    let history = config["history"].as_array().expect("a history");
    history.iter().filter_map(|entry| entry["created_by"].as_str().map(str::to_owned)).collect()
}
