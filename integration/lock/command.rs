//! `kso lock`: the same bytes as the target `lock`, without a builder; what it says when the world moved; how fast it is.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::project::{Project, sample};
use crate::harness::{Auth, Buildkitd, Fault, Harness, Kind, Login, Origin, Rules, fleet};

pub(super) const TESTS: &[(&str, fn())] = &[
    ("the_command_writes_the_bytes_of_the_target", the_command_writes_the_bytes_of_the_target),
    ("the_command_checks_and_updates", the_command_checks_and_updates),
    ("the_command_asks_at_once_and_again", the_command_asks_at_once_and_again),
];

/// A daemon, and a command, for which both registries of a project are that of the project.
fn daemon(project: &Project) -> Buildkitd {
    Harness::get().daemon_with(&[("quay.io", &project.upstream), ("docker.io", &project.upstream)])
}

/// `kso lock` in a folder, with the proxy and the certificates of a daemon, and the logins of a folder.
fn lock(folder: &Path, daemon: &Buildkitd, logins: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kso"));
    command.env_clear().envs(daemon.environment()).env("DOCKER_CONFIG", logins);
    command.arg("lock").args(arguments).current_dir(folder).output().unwrap()
}

#[track_caller]
fn success(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn the_command_writes_the_bytes_of_the_target() {
    let login = Login::new("robot", "open sesame");
    for (name, auth) in [("command-token", Auth::AnonymousToken), ("command-login", Auth::Token(login.clone()))] {
        let project = Project::new(name, Rules { auth, strict_accept: true });
        let helm = project.origin.sha256(&project.file("helm"));
        project.origin.serve(&project.file("helm.sha256"), format!("{helm}  helm\n").into_bytes());
        let daemon = daemon(&project);
        let hosts = ["quay.io", "docker.io", "https://index.docker.io/v1/"];
        // A server of tokens for everybody knows no logins.
        let logins: Vec<_> = hosts.iter().filter(|_| name == "command-login").map(|host| (*host, &login)).collect();
        // The steps of a build cannot go the way of the names: the target is compared below, where no token is wanted.
        let (_, file) = project.build(&daemon, "lock").logins(&logins);
        let _ = success(&lock(&project.folder, &daemon, file.parent().unwrap(), &[]));
        let text = fs::read_to_string(project.folder.join("kso.lock")).unwrap();
        assert!(text.contains("\"checksum\": \"upstream\"") && text.contains("\"first-use\""), "{text}");
        let none = Harness::get().folder("no-logins");
        let output = lock(&project.folder, &daemon, &none, &["--check"]);
        assert_eq!(output.status.success(), name == "command-token", "{}", String::from_utf8_lossy(&output.stderr));
    }
    let project = Project::new("command-same", Rules::default());
    let daemon = daemon(&project);
    let by_target = project.lock(&daemon);
    fs::remove_file(project.folder.join("kso.lock")).unwrap();
    let _ = success(&lock(&project.folder, &daemon, &project.folder, &[]));
    assert_eq!(fs::read_to_string(project.folder.join("kso.lock")).unwrap(), by_target);
}

fn the_command_checks_and_updates() {
    let project = Project::new("command-moved", Rules::default());
    let daemon = daemon(&project);
    let run = |arguments: &[&str]| lock(&project.folder, &daemon, &project.folder, arguments);
    let read = || fs::read_to_string(project.folder.join("kso.lock")).unwrap();
    let _ = success(&run(&[]));
    let before = read();
    assert_eq!(success(&run(&["--check"])), "");

    project.upstream.put("command-moved/index:1.0", &sample(Kind::OciIndex, "command-moved/index", "1.1"));
    project.origin.change(&project.file("helm"));
    project.origin.always(&project.file("arm64/kubelet"), Fault::Status(404));
    let output = run(&["--check"]);
    assert_eq!(output.status.code(), Some(1));
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = told.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(
        lines,
        ["changed https://dl.command-moved.example/helm", "changed quay.io/command-moved/index:1.0"],
        "{told}{errors}"
    );
    assert!(errors.contains("cannot fetch https://dl.command-moved.example/arm64/kubelet"), "{errors}");
    assert_eq!(read(), before, "a check writes nothing");

    // What is not named is not asked for: the file that is gone is no obstacle.
    let _ = success(&run(&["--update", "helm"]));
    let after = read();
    let changed: Vec<_> = before.lines().zip(after.lines()).filter(|(before, after)| before != after).collect();
    assert!((1..=2).contains(&changed.len()), "one block: {changed:?}");
    let _ = success(&run(&["--update", "quay.io/command-moved/index"]));
    assert_ne!(read(), after);
    let output = run(&["--update", "helmet"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing in the definition is named `helmet`"));
}

/// What Kubespray v2.25.1 downloads by default for both architectures: files and images. A set of our own where the shared
/// data are absent.
fn default_set() -> (BTreeSet<String>, Vec<String>) {
    let variants = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/kubespray/v2.25.1/expected/variants");
    let lines = |name: &str| -> Option<Vec<String>> {
        Some(fs::read_to_string(variants.join(name)).ok()?.lines().map(str::to_owned).collect())
    };
    let files = ["amd64", "arm64"].map(|arch| lines(&format!("default.files-{arch}.list")));
    if let ([Some(amd64), Some(arm64)], Some(images)) = (files, lines("default.images-amd64.list")) {
        return (amd64.into_iter().chain(arm64).collect(), images);
    }
    eprintln!("{} is absent: a set of our own", variants.display());
    let files = (0..22).map(|number| format!("https://dl.k8s.io/{number}")).collect();
    (files, (0..13).map(|number| format!("quay.io/fleet/default-{number}:v1")).collect())
}

fn the_command_asks_at_once_and_again() {
    let harness = Harness::get();
    let (files, images) = default_set();
    let members = fleet::named(&images);
    let (upstream, origin) = (harness.upstream(Rules::default()), Origin::start());
    let _ = fleet::put(&members, &upstream);
    origin.sizes(500..=3_000);
    upstream.delay(Duration::from_millis(50));
    origin.delay_all(Duration::from_millis(50));
    let folder = harness.folder("command-fleet");
    let write = |name: &str, lines: &mut dyn Iterator<Item = String>| {
        let text: String = lines.map(|line| line + "\n").collect();
        fs::write(folder.join(name), text).unwrap();
    };
    write("images.list", &mut members.iter().map(|member| upstream.reference(member.split().1)));
    write("files.list", &mut files.iter().cloned());
    let hosts: BTreeSet<&str> = files.iter().filter_map(|url| url.split('/').nth(2)).collect();
    let mirror = |host: &&str| format!("  - {{ from: 'https://{host}/', to: ['{}'] }}\n", origin.mirror(host));
    let mirrors: String = hosts.iter().map(mirror).collect();
    let registry = |image: &str| harness.registry().reference(image);
    fs::write(
        folder.join("kso.yaml"),
        format!(
            "apiVersion: kso/v1\nfiles:\n  - list: files.list\nimages:\n  - list: images.list\nmirrors:\n{mirrors}\
             fileServer: {{ image: '{}' }}\nregistry: {{ image: '{}' }}\n",
            registry("docker.io/library/nginx:1.27-alpine"),
            registry("docker.io/library/registry:3"),
        ),
    )
    .unwrap();
    let paths: Vec<&str> = files.iter().filter_map(|url| url.strip_prefix("https:/")).collect();
    origin.times(paths[1], 1, &Fault::RetryAfter(429, 1));
    origin.times(paths[2], 2, &Fault::Status(503));
    origin.times(paths[3], 1, &Fault::Drop);
    let first = members[0].sample().digest();
    let tag = members[0].name.rsplit_once(':').unwrap().1;
    upstream.times(tag, 1, &Fault::RetryAfter(429, 1));
    upstream.times(tag, 1, &Fault::Drop);
    upstream.times(tag, 1, &Fault::Status(503));
    let daemon = harness.fresh_daemon();
    let _ = success(&lock(&folder, &daemon, &folder, &[]));
    let text = fs::read_to_string(folder.join("kso.lock")).unwrap();
    assert!(text.contains(&first) && text.contains(&origin.sha256(paths[3])));

    let calls = upstream.calls();
    let times = calls.iter().map(|call| call.time.clone());
    let files = origin.requests();
    let times = times.chain(files.iter().filter_map(|file| Some(file.began..file.ended?)));
    let times: Vec<std::ops::Range<Instant>> = times.collect();
    // The time that all answers took one after the other, against the time from the first to the last: without the pauses
    // that the faults cost.
    let pauses = Duration::from_secs(3);
    let (began, ended) = (times.iter().map(|it| it.start).min().unwrap(), times.iter().map(|it| it.end).max().unwrap());
    let sequential: Duration = times.iter().map(|it| it.end - it.start).sum();
    let took = (ended - began).saturating_sub(pauses);
    assert!(took * 4 < sequential, "{took:?} of {sequential:?} for {} answers", times.len());
}
