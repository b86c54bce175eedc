//! What a build looks like, in a log and in a terminal: the recordings of docs/progress.md. Owns what is evened out in them,
//! because it differs from run to run; does not know what the steps do.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use libtest_mimic::Trial;

use crate::harness::{Auth, Buildkitd, Harness, Host, Kind, Origin, Rules, frontend, run};
use crate::images::project::{BOTH, sample};
use crate::trials::{Test, trials};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    const TESTS: &[Test] = &[
        ("builds_are_recorded", builds_are_recorded),
        ("a_build_that_succeeds_shows_no_error", a_build_that_succeeds_shows_no_error),
    ];
    trials("progress", TESTS)
}

/// The frontend that the recordings name.
const FRONTEND: &str = "ghcr.io/org/kso-frontend:1";

/// What is built.
const PROJECT: [(&str, &str); 4] = [
    (
        "kso.yaml",
        "# syntax=FRONTEND\napiVersion: kso/v1\nfiles:\n  - list: temp/files-{arch}.list\nimages:\n  - list: temp/images.list\n",
    ),
    (
        "temp/files-amd64.list",
        "https://dl.k8s.io/release/v1.29.10/bin/linux/amd64/kubelet\nhttps://get.helm.sh/helm-v3.14.4-linux-amd64.tar.gz\n",
    ),
    (
        "temp/files-arm64.list",
        "https://dl.k8s.io/release/v1.29.10/bin/linux/arm64/kubelet\nhttps://get.helm.sh/helm-v3.14.4-linux-arm64.tar.gz\n",
    ),
    ("temp/images.list", "registry.k8s.io/pause:3.9\nquay.io/calico/node:v3.27.4\n"),
];

fn project() -> PathBuf {
    let folder = Harness::get().folder("recorded");
    fs::create_dir_all(folder.join("temp")).unwrap();
    for (path, text) in PROJECT {
        fs::write(folder.join(path), text.replace("FRONTEND", Harness::get().frontend_of_both())).unwrap();
    }
    folder
}

fn builds_are_recorded() {
    let (harness, folder, origin) = (Harness::get(), project(), Origin::start());
    origin.sizes(1_000..=50_000);
    let upstream = harness.upstream(Rules { strict_accept: true, ..Rules::default() });
    upstream.put("pause:3.9", &sample(Kind::DockerList, "recorded-a/pause:3.9"));
    upstream.put("calico/node:v3.27.4", &sample(Kind::OciIndex, "recorded-b/node:v3.27.4"));
    let names = ["dl.k8s.io", "get.helm.sh"].map(|name| (name, Host::Files(&origin)));
    let registries = ["registry.k8s.io", "quay.io"].map(|name| (name, Host::Registry(&upstream)));
    let names: Vec<_> = names.into_iter().chain(registries).chain([("registry.example", Host::Own)]).collect();

    let first = harness.daemon_online(&names);
    let (lock, out) = first.buildx().build(&folder).file("kso.yaml").target("lock").output("local");
    let _ = lock.run().success();
    fs::copy(out.join("kso.lock"), folder.join("kso.lock")).unwrap();

    let (log, screen) = (harness.daemon_online(&names), harness.daemon_online(&names));
    for target in ["files", "images"] {
        insta::assert_snapshot!(format!("{target}_in_a_log"), in_a_log(&plain(&build(&log, &folder, target, "plain"))));
        let shown = on_a_screen(&terminal(&build(&screen, &folder, target, "tty")));
        insta::assert_snapshot!(format!("{target}_in_a_terminal"), shown);
    }
}

/// As the registries of the world are: a token for everybody, and an Accept header. Manifests are then had at the second or
/// the third try, and nobody is told of the first.
fn a_build_that_succeeds_shows_no_error() {
    let harness = Harness::get();
    let upstream = harness.upstream(Rules { auth: Auth::AnonymousToken, strict_accept: true });
    upstream.put("quiet-a/node:v1", &sample(Kind::OciIndex, "quiet-a/node:v1"));
    let folder = harness.folder("quiet");
    let (frontend, image) = (harness.frontend_of_both(), upstream.reference("quiet-a/node:v1"));
    let definition = format!("# syntax={frontend}\napiVersion: kso/v1\nimages:\n  - image: '{image}'\n");
    fs::write(folder.join("kso.yaml"), definition).unwrap();
    let build = harness.buildx().build(&folder).file("kso.yaml").platform(BOTH).push("org/quiet:1");
    let said = build.run().success().stderr;
    assert!(said.contains("(kso, with network)"), "the first try has failed: {said}");
    assert!(!said.contains("ERROR") && !said.contains("------"), "{said}");
}

/// What a build writes to a terminal of 120 columns.
fn build(daemon: &Buildkitd, folder: &Path, target: &str, progress: &str) -> Vec<u8> {
    let buildx = daemon.buildx().command();
    let line = format!(
        "stty cols 120 rows 200; exec {} build --progress={progress} -f kso.yaml --target {target} --platform {BOTH} \
         -t registry.example/org/recorded-{target}:1 --push .",
        buildx.get_program().display()
    );
    let mut script = Command::new("script");
    script.current_dir(folder).args(["-qec", &line, "/dev/null"]).env_clear().env("TERM", "xterm");
    script.envs(buildx.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = run(script, b"", Duration::from_mins(5)).unwrap_or_else(|error| panic!("{error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    output.stdout
}

/// A step of a build, or what it shows below.
#[derive(Debug, Default)]
struct Step {
    failed: bool,
    /// What is told of an export.
    notes: Vec<String>,
}

/// Steps by the place where they are shown.
type Steps = BTreeMap<(usize, usize, String), Step>;

/// In what order steps are shown: they run side by side.
const ORDER: [&str; 10] = [
    "[internal] load build definition",
    "resolve image config",
    "docker-image://",
    "[lock]",
    "[internal] load",
    "[base ",
    "[files ",
    "[images ",
    "[layers ",
    "[files]",
];

/// The place of a step.
fn place(name: &str) -> (usize, usize, String) {
    let name = even(name);
    let rank = ORDER.iter().position(|begin| name.starts_with(begin));
    let rank = rank.unwrap_or(ORDER.len() + usize::from(name.starts_with("exporting")));
    let number = name.split([' ', '/']).nth(1).and_then(|number| number.parse().ok()).unwrap_or_default();
    (rank, number, name)
}

/// A text without digests, and with the frontend's usual name; the same whatever machine builds.
fn even(text: &str) -> String {
    let text = text.replace(frontend::BOTH, FRONTEND);
    // kso for the platform that is not the builder's.
    let text = if text.starts_with("[internal]") { text.replace("linux/amd64", "linux/arm64") } else { text };
    let (first, rest) = text.split_once("sha256:").unwrap_or((&text, ""));
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_hexdigit() || c == '.');
    let first = first.strip_suffix('@').unwrap_or(first);
    format!("{first}{rest}").trim_end().to_owned()
}

/// A note of an export that is done, without its time.
fn note(text: &str) -> Option<String> {
    let text = text.strip_suffix(" done")?;
    let text = text.rsplit_once(' ').filter(|(_, time)| is_time(time)).map_or(text, |(text, _)| text);
    Some(even(text))
}

fn is_time(word: &str) -> bool {
    word.strip_suffix('s').is_some_and(|number| number.parse::<f64>().is_ok())
}

/// The steps of `--progress=plain`: lines of one begin with its number.
fn plain(text: &[u8]) -> Steps {
    let mut names = BTreeMap::<&str, String>::new();
    let mut steps = Steps::new();
    let text = String::from_utf8_lossy(text).into_owned();
    let lines = text.lines().filter_map(|line| line.trim_end().strip_prefix('#')?.split_once(' '));
    for (number, rest) in lines.filter(|(number, _)| *number != "0") {
        let Some(name) = names.get(number) else {
            names.insert(number, rest.to_owned());
            let _ = steps.entry(place(rest)).or_default();
            continue;
        };
        let step = steps.entry(place(name)).or_default();
        step.failed |= rest.starts_with("ERROR");
        if name.starts_with("exporting") {
            step.notes.extend(note(rest).filter(|note| !step.notes.contains(note)));
        }
    }
    steps
}

/// The steps of the last frame of a terminal: a line for each, and `=> =>` for what is below one.
fn terminal(text: &[u8]) -> Steps {
    let mut parser = vt100::Parser::new(200, 120, 0);
    parser.process(text);
    let screen = parser.screen().contents();
    let mut steps = Steps::new();
    let mut last = String::new();
    for line in screen.lines().filter_map(|line| line.trim_start().strip_prefix("=> ")) {
        let text = line.trim_end().rsplit_once(' ').map_or(line, |(text, _)| text.trim_end());
        match text.strip_prefix("=> ") {
            Some(below) if last.starts_with("exporting") => {
                let step = steps.entry(place(&last)).or_default();
                step.notes.extend(Some(even(below)).filter(|note| !step.notes.contains(note)));
            }
            Some(_) => {}
            None => {
                let failed = text.starts_with("ERROR ");
                text.trim_start_matches("ERROR ").trim_start_matches("CACHED ").clone_into(&mut last);
                steps.entry(place(&last)).or_default().failed |= failed;
            }
        }
    }
    steps
}

fn in_a_log(steps: &Steps) -> String {
    let mut text = String::new();
    for (at, ((.., name), step)) in steps.iter().enumerate() {
        let number = at + 1;
        let _ = writeln!(text, "#{number} {name}");
        for note in &step.notes {
            let _ = writeln!(text, "#{number} {note} done");
        }
        let _ = writeln!(text, "#{number} {}\n", if step.failed { "ERROR" } else { "DONE 0.1s" });
    }
    text
}

fn on_a_screen(steps: &Steps) -> String {
    let mut text = String::from("[+] Building 1.0s FINISHED\n");
    for ((.., name), step) in steps {
        let name = if step.failed { format!("ERROR {name}") } else { name.clone() };
        let _ = writeln!(text, " => {name:92} 0.1s");
        for note in &step.notes {
            let _ = writeln!(text, " => => {note:89} 0.1s");
        }
    }
    text
}
