//! The whole frontend on a fake daemon: what it returns, what it answers, and how it fails.

mod again;
mod blobs;
mod kubespray;
mod lock;
mod places;

use std::collections::BTreeSet;
use std::fmt::Write;

use bollard_buildkit_proto::pb;
use buildkit::gateway::capability;
use buildkit::testing::{Answer, Fake, Returned, Solve};
use prost::Message;
use serde_json::{Value, json};

use super::*;

const NGINX: &str = "docker.io/library/nginx:1.27-alpine";
const BOTH: &str = "linux/amd64,linux/arm64";
const KUBELET: &str = "https://dl.k8s.io/release/v1.29.10/bin/linux";
const HELM: &str = "https://get.helm.sh/helm-v3.14.2.tgz";

/// A definition with lists of one file for each architecture, and one file that both share.
const DEFINITION: &str = "\
apiVersion: kso/v1
files:
  - list: temp/files-{arch}.list
  - url: https://get.helm.sh/helm-v3.14.2.tgz
";

/// A daemon that has nginx, and `definition`.
fn daemon(definition: &str) -> Fake {
    let config = json!({
        "os": "linux",
        "config": { "Cmd": ["nginx"], "Labels": { "maintainer": "NGINX" } },
        "rootfs": { "type": "layers", "diff_ids": ["sha256:1", "sha256:2"] },
    });
    Fake::new().image(NGINX, &config.to_string()).local("dockerfile", "kso.yaml", definition)
}

/// [`daemon`] with [`DEFINITION`] and all that it names.
fn project() -> Fake {
    ["amd64", "arm64"]
        .into_iter()
        .fold(daemon(DEFINITION), |fake, arch| {
            let url = format!("{KUBELET}/{arch}/kubelet");
            fake.local("context", &format!("temp/files-{arch}.list"), format!("{url}\n"))
                .http(&url, [Answer::bytes(arch)])
        })
        .http(HELM, [Answer::bytes("helm")])
}

async fn run(fake: &Fake) -> Result<Returned, Error> {
    fake.run(build_or_error).await
}

/// The error as buildx prints it: the excerpts, then the message.
async fn told(fake: &Fake) -> String {
    let error = run(fake).await.expect_err("it fails");
    error.excerpts().iter().map(|excerpt| excerpt.print() + "\n").chain([error.message().to_owned()]).collect()
}

/// The result that belongs to a platform.
fn image<'a>(returned: &'a Returned, platform: &str) -> &'a Solve {
    returned.references[platform].as_ref().expect("it is not empty")
}

/// Digest and op of each vertex of a graph, inputs first.
fn ops(solve: &Solve) -> Vec<(String, pb::Op)> {
    let ops = solve.vertices().into_iter();
    ops.map(|vertex| (vertex.digest.into(), pb::Op::decode(vertex.op.as_slice()).expect("an op"))).collect()
}

/// The merge that an image is: the digests of what it puts together, the base first.
fn merged(image: &Solve) -> Vec<String> {
    let (_, op) = ops(image).pop().expect("a graph has vertices");
    let Some(pb::op::Op::Merge(merge)) = &op.op else { panic!("an image is a merge: {op:?}") };
    let input = |index: i64| op.inputs[usize::try_from(index).expect("an index")].digest.clone();
    merge.inputs.iter().map(|merged| input(merged.input)).collect()
}

/// What the base of an image is: identifier and architecture.
fn base(image: &Solve) -> (String, String) {
    let first = merged(image).swap_remove(0);
    let (_, op) = ops(image).into_iter().find(|(digest, _)| *digest == first).expect("it is in the graph");
    let Some(pb::op::Op::Source(source)) = op.op else { panic!("the base is a source") };
    (source.identifier, op.platform.expect("an image has a platform").architecture)
}

/// The OCI config of a platform; the key ends with the platform where there are several.
fn config(returned: &Returned, key: &str) -> Value {
    serde_json::from_str(&returned.text(key)).unwrap_or_else(|error| panic!("{key}: {error}"))
}

/// How many results that begin so in the log, and are there to be read, were not read yet: the most at once.
fn most_held(log: &str, begins: &str) -> usize {
    let (mut held, mut most) = (0_usize, 0);
    for line in log.lines() {
        if line.starts_with(begins) && !line.contains(", ") {
            held += 1;
            most = most.max(held);
        } else if line.starts_with("read /") {
            held = held.saturating_sub(1);
        }
    }
    most
}

#[tokio::test]
async fn what_is_odd_is_a_warning_at_its_line() {
    let definition = "apiVersion: kso/v1\nimages:\n  - image: nginx:1.27\n  - rename: names.yaml\n";
    let table = "- { src: k8s.gcr.io/pause, dest: library/pause }\n";
    let fake = |more: &str| daemon(&format!("{more}{definition}")).local("context", "names.yaml", table);
    let violated = fake("# check=error=true\n");
    let told = told(&violated).await;
    assert!(told.starts_with("lint violation found for rules: UnpinnedImage, UnusedRename\n"), "{told}");
    let warnings = violated.warnings();
    let shorts: Vec<_> = warnings.iter().map(|warning| warning.warning.short.clone()).collect();
    insta::assert_snapshot!(shorts.join("\n"), @r"
    UnpinnedImage: `docker.io/library/nginx:1.27` has no digest (kso.yaml line 4)
    UnusedRename: no image matches `src: k8s.gcr.io/pause` (names.yaml line 1)
    ");
    let shown = &warnings[1].warning;
    assert_eq!(shown.locations[0].file.name, "names.yaml");
    assert!(shown.url.ends_with("/docs/rules/UnusedRename.md"), "{}", shown.url);

    let skipped = fake("# check=error=true;skip=all\n").option("requestid", "frontend.targets");
    run(&skipped).await.expect("answered");
    assert_eq!(skipped.warnings().len(), 0);
    let argument = fake("# check=skip=all\n").option("build-arg:BUILDKIT_DOCKERFILE_CHECK", "skip=UnusedRename");
    let returned = run(&argument.option("requestid", "frontend.lint")).await.expect("answered");
    let found = config(&returned, "result.json")["warnings"].as_array().expect("a list").len();
    assert_eq!((found, returned.text("result.statuscode").as_str()), (2, "1"), "{}", returned.text("result.json"));
}

#[tokio::test]
async fn build_arguments_are_put_in() {
    let declared = DEFINITION
        .replace("helm-v3.14.2", "helm-${HELM}")
        .replace("files:", "args:\n  # HELM the version of Helm\n  HELM: v3.14.2\n  REGION: eu\nfiles:");
    let fake = || daemon(&declared).option("requestid", "frontend.outline").option("build-arg:HTTP_PROXY", "http://p");
    let fake = || {
        let lists =
            ["amd64", "arm64"].map(|arch| (format!("temp/files-{arch}.list"), format!("{KUBELET}/{arch}/kubelet\n")));
        lists.into_iter().fold(fake(), |fake, (name, text)| fake.local("context", &name, text))
    };
    let outline = run(&fake().option("build-arg:REGION", "us")).await.expect("answered").text("result.txt");
    insta::assert_snapshot!(outline, @r"
    TARGET:      files
    DESCRIPTION: File server image with the files of all architectures

    BUILD ARG   VALUE     DESCRIPTION
    HELM        v3.14.2   the version of Helm
    REGION      us
    ");
    let unknown = fake().option("build-arg:HLEM", "v3.15.0").option("build-arg:KSO_EXEC", "never");
    assert_eq!(told(&unknown).await, "unknown build argument `HLEM`\nhelp: did you mean `HELM`?");
    let lists = fake().option("requestid", "frontend.kso.lists").option("build-arg:HELM", "v3.15.0");
    let lists = run(&lists).await.expect("answered").text("result.txt");
    assert!(lists.contains("https://get.helm.sh/helm-v3.15.0.tgz\n"), "{lists}");
}

#[tokio::test]
async fn the_platforms_of_a_build_are_checked_and_a_lock_is_not() {
    let definition = "apiVersion: kso/v1\nimages: [{ image: 'nginx:1' }]\nfiles: [{ url: 'https://h/a' }]\n";
    let rules = async |options: &[(&str, &str)]| {
        let fake = options.iter().fold(daemon(definition), |fake, (key, value)| fake.option(key, value));
        let returned = run(&fake.option("requestid", "frontend.lint")).await.expect("answered");
        let json = config(&returned, "result.json");
        let names = json["warnings"].as_array().expect("a list").iter().map(|warning| warning["ruleName"].to_string());
        let names: Vec<_> = names.map(|name| name.trim_matches('"').to_owned()).collect();
        format!("{} {}", names.join(" "), returned.text("result.statuscode"))
    };
    let all = "UnpinnedImage ArchitectureWithoutPlatform UnpinnedFile 1";
    assert_eq!(rules(&[("platform", "linux/arm64")]).await, all, "no target is all targets");
    assert_eq!(rules(&[("platform", BOTH)]).await, "UnpinnedImage UnpinnedFile 1");
    assert_eq!(rules(&[("platform", "linux/arm64"), ("target", "files")]).await, "UnpinnedImage UnpinnedFile 1");
    assert_eq!(rules(&[("target", "lock")]).await, " 0", "what is to be pinned");
}

#[tokio::test]
async fn two_platforms_share_all_but_the_base() {
    let fake = project().option("platform", BOTH);
    let returned = run(&fake).await.expect("built");
    assert_eq!(returned.references.keys().collect::<Vec<_>>(), ["linux/amd64", "linux/arm64"]);
    let platforms = json!({ "Platforms": [
        { "ID": "linux/amd64", "Platform": { "architecture": "amd64", "os": "linux" } },
        { "ID": "linux/arm64", "Platform": { "architecture": "arm64", "os": "linux" } },
    ] });
    assert_eq!(config(&returned, "refs.platforms"), platforms);
    let keys: Vec<&str> = returned.metadata.keys().map(String::as_str).collect();
    insta::assert_snapshot!(keys.join("\n"), @r"
    containerimage.config/linux/amd64
    containerimage.config/linux/arm64
    refs.platforms
    source.date.epoch
    source.date.epoch/linux/amd64
    source.date.epoch/linux/arm64
    ");
    assert_eq!(returned.text("source.date.epoch/linux/arm64"), "0");

    let [amd64, arm64] = ["linux/amd64", "linux/arm64"].map(|platform| image(&returned, platform));
    let pinned = format!("docker-image://{NGINX}@sha256:");
    for (image, architecture) in [(amd64, "amd64"), (arm64, "arm64")] {
        let (identifier, of) = base(image);
        assert!(identifier.starts_with(&pinned), "{identifier}");
        assert_eq!(of, architecture);
        assert!(!image.evaluate, "BuildKit does nothing of an image before it exports");
    }
    assert_ne!(merged(amd64)[0], merged(arm64)[0]);
    assert_eq!(merged(amd64)[1..], merged(arm64)[1..], "content is shared");
    assert_eq!(merged(amd64).len(), 5, "the base, nginx's configuration and three files");
}

#[tokio::test]
async fn the_graph_runs_nothing_and_content_has_no_platform() {
    let returned = run(&project().option("platform", BOTH)).await.expect("built");
    for platform in ["linux/amd64", "linux/arm64"] {
        runs_nothing(image(&returned, platform));
    }
}

/// Sources, copies and merges only; only the base image has a platform.
fn runs_nothing(image: &Solve) {
    for (_, op) in ops(image) {
        let is_image = match &op.op {
            Some(pb::op::Op::Source(source)) => source.identifier.starts_with("docker-image://"),
            Some(pb::op::Op::File(_) | pb::op::Op::Merge(_)) => false,
            other => panic!("no such op belongs into the graph: {other:?}"),
        };
        assert_eq!(op.platform.is_some(), is_image, "{op:?}");
    }
}

/// The same of a graph of pins, of files that came at the second try or from a mirror, and of groups.
#[tokio::test(start_paused = true)]
async fn nor_does_a_graph_of_pins_retries_mirrors_and_groups() {
    let pin = "27042f4e6eca7d0b2a7ee4026df2ecfa51d3339e6d122aa099118ecd8563bad9";
    let other = "a1fce4363854ff888cff4b8e7875d600c2682390412a8cf79b37d0b11148b0fa";
    let many: String = (0..60).map(|at| format!("  - url: https://many.example/tool{at}x/bin\n")).collect();
    let definition = format!(
        "apiVersion: kso/v1\nfiles:\n{many}  - {{ url: https://pin.example/x, sha256: {pin} }}\n  \
         - {{ url: https://away.example/x, sha256: {other} }}\n  - url: https://away.example/y\n\
         mirrors:\n  - {{ from: https://away.example/, to: [https://m.example/, https://n.example/] }}\n"
    );
    let lost = || Answer::fails("invalid response status 404");
    let broken = || Answer::fails("read: connection reset by peer");
    let fake = (0..60)
        .fold(daemon(&definition).option("platform", BOTH), |fake, at| {
            fake.http(&format!("https://many.example/tool{at}x/bin"), [Answer::bytes(vec![b'x'; at * 100])])
        })
        .http("https://pin.example/x", [broken(), Answer::bytes("right")])
        .http("https://m.example/x", [lost()])
        .http("https://n.example/x", [Answer::bytes("y")])
        .http("https://m.example/y", [broken(), lost()])
        .http("https://n.example/y", [Answer::bytes("y")]);
    let returned = run(&fake).await.expect("built");
    for platform in ["linux/amd64", "linux/arm64"] {
        let image = image(&returned, platform);
        let sources: Vec<String> = image.sources().into_iter().map(|source| source.identifier).collect();
        for used in ["https://pin.example/x", "https://n.example/y", "https://many.example/tool0x/bin"] {
            assert!(sources.iter().any(|source| source == used), "{used}: {sources:?}");
        }
        let groups = image.names().iter().filter(|name| name.starts_with("[files] layer group")).count();
        assert!(groups > 3, "{groups} groups");
        runs_nothing(image);
    }
}

#[tokio::test]
async fn the_vertices_have_names_people_understand() {
    let fake = project().option("platform", BOTH);
    let returned = run(&fake).await.expect("built");
    insta::assert_snapshot!(image(&returned, "linux/arm64").names().join("\n"));
    insta::assert_snapshot!("requests", fake.log());
}

#[tokio::test]
async fn what_was_fetched_is_what_the_graph_uses() {
    let fake = project().option("platform", BOTH);
    let returned = run(&fake).await.expect("built");
    let solves = fake.solves();
    let fetched: BTreeSet<String> =
        solves.iter().filter(|solve| solve.evaluate).flat_map(ops).map(|(digest, _)| digest).collect();
    let is_http = |op: &pb::Op| matches!(&op.op, Some(pb::op::Op::Source(s)) if s.identifier.starts_with("https:"));
    let vertices = ops(image(&returned, "linux/amd64"));
    let used: BTreeSet<String> = vertices.into_iter().filter(|(_, op)| is_http(op)).map(|(digest, _)| digest).collect();
    assert_eq!(used.len(), 3);
    assert_eq!(fetched, used);
    assert_eq!(fake.asked(HELM), 1);
}

#[tokio::test]
async fn caches_are_imported_by_every_download_and_by_the_images() {
    let imports = r#"[{"Type":"registry","Attrs":{"ref":"a.example/cache:1"}},{"Type":"gha","Attrs":null}]"#;
    let fake = project().option("platform", BOTH).option("cache-imports", imports);
    let returned = run(&fake).await.expect("built");
    let both = [("registry".to_owned(), "a.example/cache:1".to_owned()), ("gha".to_owned(), String::new())];
    assert_eq!(image(&returned, "linux/amd64").cache_imports, both);
    let downloads: Vec<Solve> = fake.solves().into_iter().filter(|solve| solve.evaluate).collect();
    assert_eq!(downloads.len(), 3);
    assert!(downloads.iter().all(|solve| solve.cache_imports == both), "{downloads:?}");
    let bad = project().option("cache-imports", "registry");
    assert!(told(&bad).await.starts_with("invalid `cache-imports`: "));
}

#[tokio::test]
async fn one_platform_is_a_plain_result() {
    let returned = run(&project().option("platform", "linux/arm64")).await.expect("built");
    assert_eq!(base(image(&returned, "")).1, "arm64");
    assert!(returned.metadata.contains_key("containerimage.config"));
    assert_eq!(config(&returned, "refs.platforms")["Platforms"][0]["ID"], "linux/arm64");
}

#[tokio::test]
async fn without_a_platform_it_is_the_daemons() {
    let fake = project();
    let returned = run(&fake).await.expect("built");
    let of = base(image(&returned, "")).1;
    assert_eq!(of, fake.options().default_platform().architecture);
    let content = merged(image(&returned, ""));
    let both = run(&project().option("platform", BOTH)).await.expect("built");
    assert_eq!(content[1..], merged(image(&both, "linux/amd64"))[1..], "the platform does not choose the content");
}

#[tokio::test]
async fn the_command_line_arrives_in_the_config() {
    let fake = project()
        .option("label:org.example.b", "two")
        .option("label:maintainer", "us")
        .option("build-arg:SOURCE_DATE_EPOCH", "86400")
        .option("build-arg:http_proxy", "http://proxy.example")
        .option("build-arg:KSO_LOKC", "required");
    let returned = run(&fake).await.expect("what kso does not know is no obstacle");
    let warning = fake.warnings()[0].warning.short.clone();
    assert_eq!(warning, "the build argument `KSO_LOKC` is ignored: this kso does not know it");
    assert_eq!(returned.text("source.date.epoch"), "86400");
    insta::assert_json_snapshot!(config(&returned, "containerimage.config"));
    for (_, op) in ops(image(&returned, "")) {
        let Some(pb::op::Op::File(file)) = op.op else { continue };
        for action in file.actions {
            if let Some(pb::file_action::Action::Copy(copy)) = action.action {
                assert_eq!(copy.timestamp, 86_400_000_000_000, "files are dated in nanoseconds");
            }
        }
    }
}

#[tokio::test]
async fn an_old_daemon_is_told_what_is_needed() {
    let mut told = String::new();
    for id in FILES {
        let error = run(&project().without(id)).await.expect_err("something is missing");
        let _ = writeln!(told, "{id}: {error}");
    }
    insta::assert_snapshot!(told);
    for id in [capability::IMAGE_BLOB, capability::WARNINGS, capability::ATTESTATIONS, capability::FILE_SYMLINK] {
        run(&project().without(id)).await.unwrap_or_else(|error| panic!("{id} is not needed: {error}"));
    }
}

#[tokio::test]
async fn what_is_too_large_is_told_before_anything_is_fetched() {
    let url = "https://a.example/0";
    let large = |name: usize| format!("{url}\n{}", format!("# {name} {}\n", "x".repeat(1000)).repeat(6_000));
    let lists: String = (0..3).map(|at| format!("  - list: {at}.list\n")).collect();
    let fake = (0..3)
        .fold(daemon(&format!("apiVersion: kso/v1\nfiles:\n{lists}")), |fake, at| {
            fake.local("context", &format!("{at}.list"), large(at))
        })
        .http(url, [Answer::bytes("x")]);
    let expected = "the build graph, with the text of the lists, has 18 MiB, but BuildKit accepts at most 16 MiB\n\
                    help: split the definition, and build an image for each part";
    assert_eq!(told(&fake).await, expected);
    assert_eq!(fake.asked(url), 0);
    let list =
        daemon("apiVersion: kso/v1\nfiles: [{ list: a.list }]\n").local("context", "a.list", "x".repeat(9 << 20));
    let told = told(&list).await;
    assert!(told.contains("the list `a.list` cannot be read: it is larger than 8 MiB"), "{told}");
}

#[tokio::test]
async fn what_is_large_for_one_platform_is_not_too_large_for_two() {
    let url = "https://a.example/0";
    let list = |name: usize| format!("{url}\n{}", format!("# {name} {}\n", "x".repeat(1000)).repeat(6_000));
    let fake = (0..2)
        .fold(daemon("apiVersion: kso/v1\nfiles: [{ list: 0.list }, { list: 1.list }]\n"), |fake, at| {
            fake.local("context", &format!("{at}.list"), list(at))
        })
        .option("platform", "linux/amd64,linux/arm64")
        .http(url, [Answer::bytes("x")]);
    let built = run(&fake).await.expect("built");
    assert_eq!(built.references.len(), 2);
}

#[tokio::test]
async fn targets_are_known_by_name() {
    run(&project().option("target", "files")).await.expect("built");
    assert_eq!(
        told(&project().option("target", "imagse")).await,
        "unknown target `imagse`\nhelp: this definition has: files, lock, sbom"
    );
}

#[tokio::test]
async fn questions_are_answered_and_fetch_nothing() {
    let mut answers = String::new();
    for question in ["subrequests.describe", "lint", "outline", "targets", "kso.plan", "kso.lists"] {
        let question = &format!("frontend.{question}");
        let fake = project().option("requestid", question);
        let returned = run(&fake).await.expect("answered");
        assert_eq!(returned.text("version"), "1.0.0");
        assert!(matches!(image_or_none(&returned), [None]), "an answer has no image");
        let _ = writeln!(answers, "{question}\n{}{}\n", returned.text("result.txt"), returned.text("result.json"));
        assert_eq!(fake.asked(HELM), 0);
    }
    insta::assert_snapshot!(answers);
    let error = run(&project().option("requestid", "frontend.dream")).await.expect_err("nobody knows");
    assert_eq!(error.message(), "unsupported request frontend.dream");
    assert!(error.details()[0].type_url.ends_with("errdefs.Subrequest+json"), "buildx looks for it");
}

/// All references of a result.
fn image_or_none(returned: &Returned) -> [Option<&Solve>; 1] {
    let mut references = returned.references.values();
    [references.next().and_then(Option::as_ref)]
}

#[tokio::test]
async fn a_question_about_a_wrong_definition_is_an_error() {
    for question in ["frontend.lint", "frontend.targets"] {
        let fake = daemon("apiVersion: kso/v1\nfils: []\n").option("requestid", question);
        assert!(told(&fake).await.contains("unknown key `fils`"), "{question}");
    }
}

#[tokio::test]
async fn a_panic_is_told_as_a_bug_in_kso() {
    let fake = project();
    let ended = gateway::serve(fake.listen(), fake.options(), report::bug, async |_, _| panic!("7 is no layer")).await;
    assert_eq!(ended, Ok(()));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(fake.log(), format!("return error this is a bug in kso {version}, please report it: 7 is no layer"));
}

#[tokio::test]
async fn all_problems_are_told_at_once() {
    let definition = "\
apiVersion: kso/v1
files:
  - list: a.list
  - lits: a.list
  - list: gone.list
  - list: b.list
fileServer: { image: Nginx }
";
    let fake = daemon(definition)
        .local("context", "a.list", "https://a.example/x\nftp://a.example/y\n\nhttps://u:p@a.example/z\n")
        .local("context", "b.list", "# nothing\r\nhttps://b.example/\r\n");
    insta::assert_snapshot!(told(&fake).await);
    assert_eq!(fake.asked("https://a.example/x"), 0);
}

#[tokio::test]
async fn a_problem_between_two_lines_shows_both() {
    let fake = daemon("apiVersion: kso/v1\nfiles: [{ list: a.list }, { list: b.list }]\n")
        .local("context", "a.list", "https://a.example/x\nhttps://a.example/y%7E\n")
        .local("context", "b.list", "\nhttps://a.example/y~\n");
    insta::assert_snapshot!(told(&fake).await);
}

#[tokio::test]
async fn nothing_of_a_file_or_a_server_reaches_the_terminal_as_a_command() {
    let name = "k\u{1b}[2J.yaml";
    let definition = "apiVersion: kso/v1\nfiles: [{ url: https://a.example/x }]\n";
    let fake = project()
        .option("filename", name)
        .local("dockerfile", name, definition)
        .http("https://a.example/x", [Answer::fails("unsupported protocol scheme \u{1b}[31m")]);
    let expected = "k\u{fffd}[2J.yaml:2: cannot fetch https://a.example/x: unsupported protocol scheme \u{fffd}[31m";
    let told = told(&fake).await;
    assert!(told.ends_with(expected) && !told.contains('\u{1b}'), "{told:?}");
    let fake = project().option("filename", "gone\u{1b}[2J.yaml");
    assert_eq!(self::told(&fake).await, "the definition `gone\u{fffd}[2J.yaml` does not exist");
}

#[tokio::test]
async fn more_than_twenty_problems_are_counted() {
    let bad: String = (0..25).map(|line| format!("ftp://a.example/{line}\n")).collect();
    let fake = daemon("apiVersion: kso/v1\nfiles: [{ list: a.list }]\n").local(
        "context",
        "a.list",
        format!("https://a.example/good\n{bad}"),
    );
    let told = told(&fake).await;
    assert!(told.contains("25 problems:") && told.ends_with("and 5 more"), "{told}");
    assert_eq!(told.matches(">>>").count(), 20, "{told}");
}

#[tokio::test]
async fn a_base_image_that_cannot_be_had_is_told_at_its_line() {
    let missing = "docker.io/library/nginx:9: no match for platform in manifest: not found";
    let written = project()
        .local("dockerfile", "kso.yaml", format!("{DEFINITION}fileServer:\n  image: nginx:9\n"))
        .image_fails("docker.io/library/nginx:9", missing)
        .option("platform", BOTH);
    insta::assert_snapshot!(told(&written).await);
    assert_eq!(written.asked(HELM), 0, "nothing is fetched for an image that cannot be built");
    let default = project().image_fails(NGINX, "no match for platform in manifest: not found");
    let platform = default.options().default_platform();
    assert_eq!(
        told(&default).await,
        format!("cannot resolve {NGINX} for {platform}: no match for platform in manifest: not found")
    );
    let nonsense = project().image(NGINX, "[]");
    assert_eq!(told(&nonsense).await, "the base image has no OCI config: it is not a runnable image");
}

#[tokio::test]
async fn the_base_image_may_be_replaced() {
    let own = "mirror.example/nginx:2";
    let replaced = |value: &str| project().option("platform", BOTH).option("context:nginx:1.27-alpine", value);
    let fake = replaced(&format!("docker-image://{own}")).image(own, "{\"config\":{\"Cmd\":[\"other\"]}}");
    let returned = run(&fake).await.expect("built");
    for platform in ["linux/amd64", "linux/arm64"] {
        let (identifier, of) = base(image(&returned, platform));
        assert!(identifier.starts_with(&format!("docker-image://{own}@sha256:")), "{identifier}");
        assert!(platform.ends_with(&of), "{of} for {platform}");
        assert_eq!(config(&returned, &format!("containerimage.config/{platform}"))["config"]["Cmd"][0], "other");
    }
    assert!(!fake.log().contains(NGINX), "the original is not asked for: {}", fake.log());

    let digest = format!("sha256:{}", "a".repeat(64));
    let layout = format!("docker.io/library/nginx@{digest}");
    let fake = replaced(&format!("oci-layout://store@{digest}")).image(&layout, "{}");
    let returned = run(&fake).await.expect("built");
    assert_eq!(base(image(&returned, "linux/arm64")).0, format!("oci-layout://{layout}"));

    for (value, why) in [
        ("docker-image://scratch", "the build context that replaces it is not an image"),
        ("https://example.com/x.git", "the build context that replaces it is not an image"),
        (
            "docker-image://gone.example/x:1",
            "build context nginx:1.27-alpine=docker-image://gone.example/x:1: gone.example/x:1: not found",
        ),
    ] {
        let fake = project().option("platform", "linux/arm64").option("context:nginx:1.27-alpine", value);
        assert_eq!(told(&fake).await, format!("cannot resolve {NGINX} for linux/arm64: {why}"), "{value}");
    }
}
