//! Tests of the harness itself, without kso: whatever they need, the other tests may rely on.

mod registry;
mod upstream;

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use libtest_mimic::Trial;

use crate::harness::{Container, Fault, Harness, Origin, get, step};
use crate::trials::{Test, trials};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    const TESTS: &[Test] = &[
        ("builds_and_serves", builds_and_serves),
        ("runs_a_step", runs_a_step),
        ("origin_fails_as_told", origin_fails_as_told),
        ("says_that_it_needs_root", says_that_it_needs_root),
        ("leaves_nothing_behind", leaves_nothing_behind),
    ];
    trials("harness", TESTS.iter().chain(registry::TESTS).chain(upstream::TESTS))
}

fn says_that_it_needs_root() {
    const NOBODY: u32 = 65534;
    // This program by its open file: the folder that it lies in may not be open to everybody.
    let output = Command::new("/proc/self/exe").uid(NOBODY).gid(NOBODY).current_dir("/").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("error: the integration harness starts buildkitd and runc, which need root"), "{said}");
}

/// What the reaper does when the program at the other end of its pipe is gone, however that went.
fn leaves_nothing_behind() {
    let directory = Harness::get().folder("reaped");
    let (mounted, deleted) = (directory.join("mounted"), directory.with_extension("deleted"));
    std::fs::create_dir(&mounted).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&mounted).status().unwrap();
    assert!(mount.success());
    std::fs::write(mounted.join("x"), "on another filesystem").unwrap();
    std::fs::write(directory.join("x"), "here").unwrap();
    let mut process = Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/integration/harness/reaper.bash");
    let mut reaper = Command::new("bash").arg(script).stdin(Stdio::piped()).spawn().unwrap();
    let told = format!("directory {}\nprocess {}\n", directory.display(), process.id());
    reaper.stdin.take().unwrap().write_all(told.as_bytes()).unwrap();
    assert!(reaper.wait().unwrap().success());

    // This at once, and the rest in the background.
    assert!(process.try_wait().unwrap().is_some(), "the process is ended");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(directory.to_str().unwrap()), "nothing is mounted: {mounts}");
    assert!(!directory.exists());
    for _ in 0..600 {
        if !deleted.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{} is not deleted", deleted.display());
}

fn builds_and_serves() {
    let harness = Harness::get();
    let folder = harness.folder("context");
    std::fs::write(folder.join("Dockerfile"), "FROM nginx:1.27-alpine\nCOPY x /usr/share/nginx/html/x\n").unwrap();
    std::fs::write(folder.join("x"), "hello\n").unwrap();
    let build =
        || harness.buildx().build(&folder).platform("linux/amd64,linux/arm64").push("org/hello:1").run().success();
    let first = step("build for two platforms", build);
    assert!(first.stderr.contains("docker.io/library/nginx:1.27-alpine"), "{}", first.stderr);
    let [amd64, arm64] =
        ["linux/amd64", "linux/arm64"].map(|platform| harness.registry().image("org/hello:1", platform));
    assert_eq!(amd64.config["architecture"], "amd64");
    assert_eq!(arm64.config["architecture"], "arm64");
    assert_eq!(amd64.layers().len(), 4);
    assert_eq!(amd64.layers(), arm64.layers());

    let platform = format!("linux/{}", crate::harness::architecture());
    let container = step("container", || Container::start(harness, "org/hello:1", &platform));
    for response in [container.get("/x"), container.get6("/x")] {
        assert_eq!((response.status, response.text().as_str()), (200, "hello\n"));
    }
    assert_eq!(container.get("/y").status, 404);

    assert_eq!(harness.registry().tags("org/hello"), ["1"]);
    let path = format!("/v2/org/hello/blobs/{}", amd64.layers()[3]);
    let accesses = harness.registry().accesses();
    assert!(
        accesses.iter().any(|access| (access.method.as_str(), access.status) == ("GET", 200) && access.path == path)
    );

    let mut daemon = step("fresh daemon", || harness.fresh_daemon());
    let build = daemon.buildx().build(&folder).platform("linux/arm64").arg("--provenance=false").output("oci");
    let (build, dest) = build;
    let _ = build.run().success();
    assert!(dest.metadata().unwrap().len() > 1000);
    daemon.restart().unwrap();
    let again = daemon.buildx().build(&folder).platform("linux/arm64").output("oci").0.run().success();
    assert!(again.stderr.contains("CACHED"), "a restarted daemon keeps its cache: {}", again.stderr);
}

/// What frontends need as well: a container that the daemon starts.
fn runs_a_step() {
    let harness = Harness::get();
    let folder = harness.folder("context");
    let dockerfile = "FROM nginx:1.27-alpine AS build\nRUN echo ran > /ran\nFROM scratch\nCOPY --from=build /ran /\n";
    let (build, dest) = harness.buildx().build(&folder).stdin(dockerfile).output("local");
    let _ = build.run().success();
    assert_eq!(std::fs::read_to_string(dest.join("ran")).unwrap(), "ran\n");
    let refused = harness.buildx().build(&folder).stdin("FROM nginx:1.27-alpine\nRUN exit 7\n").run();
    assert!(refused.failure().contains(">>> RUN exit 7"), "{}", refused.failure());
}

fn origin_fails_as_told() {
    let mut origin = Origin::start();
    let url = |path: &str| format!("{}{path}", origin.url());
    let (a, b) = (url("/dl.k8s.io/a"), url("/dl.k8s.io/b"));
    let good = get(&a).unwrap();
    assert_eq!((good.status, good.sha256()), (200, origin.sha256("/dl.k8s.io/a")));
    assert_eq!(good.body, origin.bytes("/dl.k8s.io/a"));
    assert_ne!(origin.sha256("/dl.k8s.io/a"), origin.sha256("/dl.k8s.io/b"));

    origin.times("/dl.k8s.io/b", 2, &Fault::Drop);
    origin.times("/dl.k8s.io/b", 1, &Fault::RetryAfter(429, 1));
    origin.times("/dl.k8s.io/b", 1, &Fault::WrongBytes);
    assert!(get(&b).is_err() && get(&b).is_err());
    let busy = get(&b).unwrap();
    assert_eq!((busy.status, busy.headers["retry-after"].as_str()), (429, "1"));
    assert_ne!(get(&b).unwrap().sha256(), origin.sha256("/dl.k8s.io/b"));
    assert_eq!(get(&b).unwrap().sha256(), origin.sha256("/dl.k8s.io/b"));
    assert_eq!(origin.bodies()["/dl.k8s.io/b"], 2);

    origin.forget();
    origin.delay_all(Duration::from_millis(100));
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| get(&a).unwrap());
        }
    });
    assert_eq!(origin.most_requests(), 5);

    origin.off();
    assert!(get(&a).is_err());
    origin.on();
    let before = get(&a).unwrap();
    origin.change("/dl.k8s.io/a");
    let after = get(&a).unwrap();
    assert_ne!((before.sha256(), &before.headers["etag"]), (after.sha256(), &after.headers["etag"]));
}
