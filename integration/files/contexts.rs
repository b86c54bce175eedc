//! Where the definition, its lists and the base image may come from, and what else the command line may say.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::project::{BASE, BOTH, Project, content_layers};
use crate::harness::{Build, GitServer, Harness};

pub(super) const TESTS: &[(&str, fn())] = &[
    ("a_folder_of_a_git_repository", a_folder_of_a_git_repository),
    ("an_archive_by_url", an_archive_by_url),
    ("a_definition_by_url", a_definition_by_url),
    ("the_base_image_is_replaced", the_base_image_is_replaced),
    ("files_come_from_a_folder", files_come_from_a_folder),
    ("files_come_from_an_image_without_a_network", files_come_from_an_image_without_a_network),
    ("lists_and_files_come_from_a_repository", lists_and_files_come_from_a_repository),
    ("a_list_is_replaced", a_list_is_replaced),
    ("dockerignore_does_not_hide_lists", dockerignore_does_not_hide_lists),
    ("lists_may_be_links_within_the_context", lists_may_be_links_within_the_context),
    ("lists_outside_the_context_are_refused", lists_outside_the_context_are_refused),
    ("labels_and_dates_reach_the_image", labels_and_dates_reach_the_image),
    ("other_build_arguments_are_no_obstacle", other_build_arguments_are_no_obstacle),
];

/// A build in an empty folder: all that it needs comes from elsewhere.
fn elsewhere() -> Build {
    let _ = Harness::get().frontend();
    Harness::get().buildx().build(Harness::get().folder("empty")).platform("linux/amd64")
}

/// Builds into a folder, where the project's files must then be: `count` of them, each with the right bytes.
#[track_caller]
fn builds(project: &Project, build: Build, count: usize) -> PathBuf {
    let (build, dest) = build.output("local");
    let _ = build.run().success();
    for number in 0..count {
        let path = project.tool_path(number);
        let file = dest.join("opt/k8s/k8s").join(path.trim_start_matches('/'));
        assert_eq!(fs::read(&file).ok(), Some(project.origin.bytes(&path)), "{}", file.display());
    }
    dest
}

/// The error with what differs from run to run taken out.
fn told(project: &Project, build: Build) -> String {
    let output = build.output("oci").0.run();
    output.failure().replace(project.origin.url().trim_start_matches("http://"), "origin.test")
}

fn a_folder_of_a_git_repository() {
    let project = Project::tools("git", 3);
    let repository = Harness::get().folder("repository");
    let sub = repository.join("deep/kso");
    fs::create_dir_all(sub.join("temp")).unwrap();
    for file in ["kso.yaml", "temp/files-amd64.list", "temp/files-arm64.list"] {
        fs::copy(project.folder.join(file), sub.join(file)).unwrap();
    }
    let server = GitServer::start(&repository).unwrap_or_else(|error| panic!("{error}"));
    let build = || elsewhere().file("kso.yaml").context(&format!("{}#main:deep/kso", server.url()));
    let _ = builds(&project, build(), 3);

    fs::write(sub.join("temp/files-amd64.list"), "# moved\nftp://git.example/x\n").unwrap();
    server.commit().unwrap_or_else(|error| panic!("{error}"));
    insta::assert_snapshot!("git_context_error", told(&project, build()));
}

fn an_archive_by_url() {
    let project = Project::tools("archive", 3);
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    tar.append_dir_all(".", &project.folder).unwrap();
    project.origin.serve("/project.tar.gz", tar.into_inner().unwrap().finish().unwrap());
    let context = format!("{}/project.tar.gz", project.origin.url());
    let _ = builds(&project, elsewhere().file("kso.yaml").context(&context), 3);
}

fn a_definition_by_url() {
    let project = Project::tools("by-url", 2);
    let entry = |number| format!("  - url: \"{}\"\n", project.tool(number));
    project.define(&(entry(0) + &entry(1)));
    let definition = project.folder.join("kso.yaml");
    project.origin.serve("/folder/my.yaml", fs::read(&definition).unwrap());
    let context = format!("{}/folder/my.yaml", project.origin.url());
    let _ = builds(&project, elsewhere().context(&context), 2);

    // There is nothing beside it.
    project.define("  - list: temp/files-{arch}.list\n");
    project.origin.serve("/folder/my.yaml", fs::read(&definition).unwrap());
    let told = told(&project, elsewhere().context(&context));
    assert!(told.contains("my.yaml:4: the list `temp/files-amd64.list` is not in the build context"), "{told}");
}

fn the_base_image_is_replaced() {
    let harness = Harness::get();
    let folder = harness.folder("base");
    fs::write(folder.join("Dockerfile"), format!("FROM {BASE}\nLABEL replaced=yes\nCOPY Dockerfile /\n")).unwrap();
    let base = || harness.buildx().build(&folder).platform(BOTH).arg("--provenance=false");
    let _ = base().push("org/own-nginx:1").run().success();
    let (build, layout) = base().output("oci,tar=false");
    let _ = build.run().success();
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap();

    let project = Project::tools("replaced", 2);
    let own = ["linux/amd64", "linux/arm64"].map(|platform| harness.registry().image("org/own-nginx:1", platform));
    for (tag, value) in [
        ("image", format!("docker-image://{}", harness.registry().reference("org/own-nginx:1"))),
        ("layout", format!("oci-layout://{}@{digest}", layout.display())),
    ] {
        let image = format!("org/replaced:{tag}");
        let context = format!("{BASE}={value}");
        let _ = project.build().platform(BOTH).args(["--build-context", &context]).push(&image).run().success();
        for (platform, own) in ["linux/amd64", "linux/arm64"].into_iter().zip(&own) {
            let pushed = harness.registry().image(&image, platform);
            assert_eq!(pushed.config["config"]["Labels"]["replaced"], "yes", "{image} {platform}");
            assert_eq!(pushed.diff_ids()[..own.diff_ids().len()], own.diff_ids(), "{image} {platform}");
            let kso = usize::from(platform.ends_with(crate::harness::architecture()));
            assert_eq!(pushed.diff_ids().len(), own.diff_ids().len() + 3 + kso, "{image} {platform}");
        }
    }
    let folder = project.build().args(["--build-context", &format!("{BASE}={}", project.folder.display())]);
    let told = told(&project, folder.platform("linux/amd64"));
    assert!(told.contains("the build context that replaces it is not an image"), "{told}");
}

/// A folder of files that were downloaded before, as `wget -x` makes it, one for all hosts or one for each.
fn files_come_from_a_folder() {
    let project = Project::tools("given", 4);
    let host = "given.example";
    let cache = Harness::get().folder("cache");
    let put = |root: &Path, number: usize, bytes: &[u8]| {
        let file = root.join(project.tool_path(number).trim_start_matches('/'));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    };
    put(&cache, 0, &project.origin.bytes(&project.tool_path(0)));
    put(&cache, 1, b"what nobody pinned is taken as it is");
    put(&cache, 2, b"not what the checksum says");
    let entry = |number: usize, pinned: bool| {
        let sha256 = project.origin.sha256(&project.tool_path(number));
        let sha256 = if pinned { format!(", sha256: {sha256}") } else { String::new() };
        format!("  - {{ url: \"{}\"{sha256} }}\n", project.tool(number))
    };
    let entries: String = (0..4).map(|number| entry(number, number % 2 == 0)).collect();
    project.define(&entries);
    let own = cache.join(host);
    for (name, folder) in [("files", &cache), (host, &own)] {
        project.origin.forget();
        let (build, dest) = project.build().platform("linux/amd64").output("local");
        let context = format!("{name}={}", folder.display());
        let outcome = build.args(["--build-context", &context]).run().success();
        let read = |number: usize| {
            let path = project.tool_path(number);
            fs::read(dest.join("opt/k8s/k8s").join(path.trim_start_matches('/'))).unwrap()
        };
        for number in [0, 2, 3] {
            assert_eq!(read(number), project.origin.bytes(&project.tool_path(number)), "{name} {number}");
        }
        assert_eq!(read(1), b"what nobody pinned is taken as it is", "{name}");
        let asked: BTreeSet<String> = project.origin.requests().into_iter().map(|request| request.path).collect();
        let allowed = [2, 3].map(|number| project.tool_path(number));
        assert!(asked.iter().all(|path| allowed.contains(path)), "{name}: {asked:?}");
        let said = format!("[files] 2 of 4 files from the build context {name}");
        assert!(outcome.stderr.contains(&said), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("tool2x-linux.tgz` in the build context has sha256:"), "{}", outcome.stderr);
    }
}

/// An image that kso built is a source of the next one.
fn files_come_from_an_image_without_a_network() {
    let mut project = Project::tools("given-image", 3);
    project.define(&project.pinned());
    let before = project.push("org/given-image:1");
    project.origin.off();
    let daemon = Harness::get().fresh_daemon();
    let image = Harness::get().registry().reference("org/given-image:1");
    let context = format!("files=docker-image://{image}");
    let build = project.build_by(daemon.buildx()).platform(BOTH).args(["--build-context", &context]);
    let _ = build.push("org/given-image:2").run().success();
    assert_eq!(content_layers("org/given-image:2"), before);
}

/// A repository of git, and an OCI layout of an image that kso made of it.
fn lists_and_files_come_from_a_repository() {
    let mut project = Project::tools("given-git", 3);
    let harness = Harness::get();
    let repository = harness.folder("given-repository");
    fs::create_dir_all(repository.join("lists")).unwrap();
    for arch in ["amd64", "arm64"] {
        let list = repository.join(format!("lists/files-{arch}.list"));
        fs::write(list, (0..3).map(|number| project.tool(number) + "\n").collect::<String>()).unwrap();
        fs::write(project.folder.join(format!("temp/files-{arch}.list")), "https://not.asked.invalid/x\n").unwrap();
    }
    for number in 0..3 {
        let path = project.tool_path(number);
        let file = repository.join(path.trim_start_matches('/'));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, project.origin.bytes(&path)).unwrap();
    }
    let server = GitServer::start(&repository).unwrap_or_else(|error| panic!("{error}"));
    let lists = ["amd64", "arm64"].map(|arch| format!("temp/files-{arch}.list={}#main:lists", server.url()));
    let build = project.build().platform("linux/amd64");
    let build = build.args(lists.iter().flat_map(|list| ["--build-context", list]));
    let _ = builds(&project, build, 3);

    project.define(&project.pinned());
    project.origin.off();
    let fresh = harness.fresh_daemon();
    let context = format!("files={}#main", server.url());
    let build = project.build_by(fresh.buildx()).platform("linux/amd64").args(["--build-context", &context]);
    let (build, layout) = build.arg("--provenance=false").output("oci,tar=false");
    let _ = build.run().success();
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap();

    let fresh = harness.fresh_daemon();
    let context = format!("files=oci-layout://{}@{digest}", layout.display());
    let build = project.build_by(fresh.buildx()).platform("linux/amd64").args(["--build-context", &context]);
    let _ = builds(&project, build, 3);
}

fn a_list_is_replaced() {
    let project = Project::tools("given-list", 3);
    let folder = Harness::get().folder("lists");
    fs::write(folder.join("files-amd64.list"), format!("{}\n", project.tool(1))).unwrap();
    let served = format!("{}\n", project.tool(2));
    project.origin.serve("/some.list", served.into_bytes());
    let contexts = [
        format!("temp/files-amd64.list={}", folder.display()),
        format!("temp/files-arm64.list={}/some.list", project.origin.url()),
    ];
    let build =
        project.build().platform("linux/amd64").args(contexts.iter().flat_map(|context| ["--build-context", context]));
    let (build, dest) = build.output("local");
    let _ = build.run().success();
    let has = |number: usize| dest.join("opt/k8s/k8s").join(project.tool_path(number).trim_start_matches('/')).exists();
    assert_eq!([0, 1, 2].map(has), [false, true, true]);

    fs::write(folder.join("Dockerfile"), "FROM scratch\nCOPY files-amd64.list /\n").unwrap();
    let harness = Harness::get();
    let _ = harness.buildx().build(&folder).platform("linux/amd64").push("org/list:1").run().success();
    let context = format!("temp/files-amd64.list=docker-image://{}", harness.registry().reference("org/list:1"));
    fs::write(project.folder.join("temp/files-arm64.list"), project.tool(2)).unwrap();
    let build = project.build().platform("linux/amd64").args(["--build-context", &context]);
    let (build, dest) = build.output("local");
    let _ = build.run().success();
    let has = |number: usize| dest.join("opt/k8s/k8s").join(project.tool_path(number).trim_start_matches('/')).exists();
    assert_eq!([0, 1, 2].map(has), [false, true, true], "from an image");

    let empty = Harness::get().folder("no-lists");
    let context = format!("temp/files-amd64.list={}", empty.display());
    let told = told(&project, project.build().platform("linux/amd64").args(["--build-context", &context]));
    assert!(told.contains("the list `temp/files-amd64.list` is not in the build context"), "{told}");
}

fn dockerignore_does_not_hide_lists() {
    let project = Project::tools("ignored", 2);
    fs::write(project.folder.join(".dockerignore"), "temp\n**/*.list\n*\n").unwrap();
    let _ = builds(&project, project.build().platform("linux/amd64"), 2);
}

/// Puts a link to `target` in the place of a list.
fn link(project: &Project, arch: &str, target: impl AsRef<Path>) {
    let list = project.folder.join(format!("temp/files-{arch}.list"));
    fs::remove_file(&list).unwrap();
    symlink(target, list).unwrap();
}

fn lists_may_be_links_within_the_context() {
    let project = Project::tools("linked", 2);
    fs::create_dir(project.folder.join("lists")).unwrap();
    fs::rename(project.folder.join("temp/files-amd64.list"), project.folder.join("lists/real.list")).unwrap();
    fs::write(project.folder.join("temp/files-amd64.list"), "").unwrap();
    link(&project, "amd64", "../lists/real.list");
    link(&project, "arm64", "files-amd64.list");
    let _ = builds(&project, project.build().platform("linux/amd64"), 2);
}

fn lists_outside_the_context_are_refused() {
    let project = Project::tools("outside", 1);
    let outside = Harness::get().folder("secret").join("secret.list");
    fs::write(&outside, "https://secret.example/x\n").unwrap();
    link(&project, "amd64", &outside);
    let up = Path::new("../..").join(outside.strip_prefix(project.folder.parent().unwrap()).unwrap());
    link(&project, "arm64", up);
    insta::assert_snapshot!("links_that_lead_outside", told(&project, project.build()));

    project.define("  - list: ../x\n  - list: temp/../../x\n  - list: /etc/passwd\n");
    insta::assert_snapshot!("lists_outside", told(&project, project.build()));
    assert_eq!(project.origin.requests().len(), 0);
}

fn labels_and_dates_reach_the_image() {
    let project = Project::tools("labels", 1);
    let labels = ["--label", "org.example.x=a b=c", "--label", "maintainer=us"];
    let build = || project.build().platform(BOTH).args(labels).args(["--build-arg", "SOURCE_DATE_EPOCH=86400"]);
    let _ = build().push("org/labels:1").run().success();
    for platform in ["linux/amd64", "linux/arm64"] {
        let config = Harness::get().registry().image("org/labels:1", platform).config;
        assert_eq!(config["config"]["Labels"]["org.example.x"], "a b=c");
        assert_eq!(config["config"]["Labels"]["maintainer"], "us", "it wins over the base image's");
        assert_eq!(config["created"], "1970-01-02T00:00:00Z");
        assert_eq!(config["history"].as_array().unwrap().last().unwrap()["created"], "1970-01-02T00:00:00Z");
    }
    let dated = project.build().platform("linux/amd64").args(["--build-arg", "SOURCE_DATE_EPOCH=86400"]);
    let dest = builds(&project, dated, 1);
    let mut path = dest.join("opt/k8s/k8s").join(project.tool_path(0).trim_start_matches('/'));
    while path != dest.join("opt") {
        assert_eq!(path.metadata().unwrap().mtime(), 86_400, "{}", path.display());
        path.pop();
    }
}

fn other_build_arguments_are_no_obstacle() {
    let project = Project::tools("arguments", 1);
    let arguments =
        ["HTTP_PROXY=http://127.0.0.1:1", "https_proxy=http://127.0.0.1:1", "KSO_WHO_KNOWS=me", "KSO_EMPTY="];
    let build = project.build().platform("linux/amd64");
    let build = arguments.iter().fold(build, |build, argument| build.args(["--build-arg", argument]));
    let _ = builds(&project, build, 1);
}
