//! Large inputs: what is said of them, and that the work grows as they grow, not as their square. The unit tests give some
//! thousands of entries to a debug build, the integration tests a hundred thousand to the program that is published. It
//! does not know which step might be quadratic.
//!
//! Work is time of the processor, in which whatever else the machine does has little part, and two sizes are compared with
//! one another, never with a clock.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The larger input has so many times the entries of the smaller one.
const TIMES: usize = 4;
/// How much more the larger one may take: what is linear takes four times as much, what is quadratic sixteen times.
const MOST: f64 = 8.0;
/// What is less, in seconds, is not work, but the start of a program.
const START: f64 = 0.02;
/// The errors that are shown.
const SHOWN: usize = 100;

/// A program, and the number of entries in the smaller input.
#[derive(Clone, Copy)]
pub(crate) struct Large<'a> {
    pub(crate) program: &'a Path,
    pub(crate) entries: usize,
}

/// What a program said, stdout first, its exit code, and the time of the processor that it took, in seconds.
struct Said {
    text: String,
    code: Option<i32>,
    seconds: f64,
}

impl Large<'_> {
    fn run(self, folder: &Path, arguments: &[&str]) -> Said {
        // The second line of `times` is that of the children: user and system, as `0m1.25s 0m0.01s`.
        let script = "\"$@\" >stdout 2>stderr; code=$?; times >times; exit $code";
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(self.program).args(arguments).current_dir(folder);
        let status = command.env_remove("BUILDKIT_SESSION_ID").status().expect("sh is there");
        let read = |name: &str| fs::read_to_string(folder.join(name)).expect("UTF-8");
        let times = read("times");
        let seconds = times.lines().nth(1).expect("two lines").split_whitespace().map(|time| {
            let (minutes, seconds) = time.trim_end_matches('s').split_once('m').expect("minutes");
            minutes.parse::<f64>().expect("a number") * 60.0 + seconds.parse::<f64>().expect("a number")
        });
        Said { text: read("stdout") + &read("stderr"), code: status.code(), seconds: seconds.sum() }
    }

    /// Runs for both numbers of entries. What takes too long by chance does not do so three times.
    fn compare(self, what: &str, run: impl Fn(usize) -> f64) {
        let ratio = || run(self.entries * TIMES) / run(self.entries).max(START);
        let least = (0..3).map(|_| ratio()).find(|ratio| *ratio < MOST);
        assert!(least.is_some(), "{what}: {TIMES} times the entries take more than {MOST} times as long");
    }

    /// Checks a definition and `a.list`, made for a number of entries; `ends` is how what is said of them ends.
    fn check(self, what: &str, input: impl Fn(usize) -> (String, String), ends: impl Fn(usize) -> String) {
        self.compare(what, |entries| {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let (definition, list) = input(entries);
            fs::write(folder.path().join("kso.yaml"), definition).expect("a file");
            fs::write(folder.path().join("a.list"), list).expect("a file");
            let said = self.run(folder.path(), &["check", "--build-arg=BUILDKIT_DOCKERFILE_CHECK=skip=all"]);
            let (from, ends) = (said.text.len().saturating_sub(300), ends(entries));
            assert!(said.text.ends_with(&ends), "{what}: it ends with {:?}", said.text.get(from..));
            // However many errors there are, and however long a line is, a person can read it.
            assert!(said.text.len() < 64 << 10, "{what}: {} bytes", said.text.len());
            said.seconds
        });
    }
}

/// So many lines.
fn lines(entries: usize, line: impl Fn(usize) -> String) -> String {
    (0..entries).map(line).collect()
}

fn files(entries: usize) -> String {
    format!("kso.yaml: {entries} files for amd64, arm64\n")
}

fn errors(count: usize) -> String {
    format!("\n{count} errors, {} of them not shown\n", count - SHOWN)
}

pub(crate) fn lists(large: Large<'_>) {
    let by_list = |what: &str, list: fn(usize) -> String, ends: fn(usize) -> String| {
        let definition = || "apiVersion: kso/v1\nfiles: [{list: a.list}]\n".to_owned();
        large.check(what, |entries| (definition(), list(entries)), ends);
    };
    by_list("files", |all| lines(all, |n| format!("https://dl.k8s.io/{}/{n}/file.tar.gz\n", n % 100)), files);
    let same = |all| "https://dl.k8s.io/file.tar.gz\n".repeat(all);
    by_list("the same file", same, |_| "kso.yaml: 1 file for amd64, arm64\n".to_owned());
    let below = |all| format!("https://h/a\n{}", lines(all, |n| format!("https://h/a/{n}\n")));
    by_list("files below a file", below, |_| "\n1 error\n".to_owned());
    by_list("pairs of one path", |all| lines(all, |n| format!("https://h/a%7E{n}\nhttps://h/a~{n}\n")), errors);
    by_list("one line", |all| "x".repeat(all * 50), |_| "\n1 error\n".to_owned());
}

pub(crate) fn definitions(large: Large<'_>) {
    let by_definition = |what: &str, entries: fn(usize) -> String, ends: fn(usize) -> String| {
        let head = "apiVersion: kso/v1\nfiles:\n";
        large.check(what, |all| (format!("{head}{}", entries(all)), String::new()), ends);
    };
    by_definition("files", |all| lines(all, |n| format!("- url: https://h/{n}\n")), files);
    by_definition("errors on one line", |all| format!(" [{}]\n", "{url: x}, ".repeat(all)), errors);
    let one_line = |all| format!(" [{}]\n", "{url: https://h/a}, ".repeat(all));
    by_definition("one line", one_line, |_| "kso.yaml: 1 file for amd64, arm64\n".to_owned());
    let one_path = |all| lines(all, |n| format!("- {{url: \"https://h/{n}\", path: a}}\n"));
    by_definition("one path", one_path, |all| errors(all - 1));
    let keys = |all| format!("- url: https://h/a\n{}", lines(all, |n| format!("key{n}: x\n")));
    by_definition("unknown keys", keys, errors);
}

pub(crate) fn images(large: Large<'_>) {
    let by_list = |what: &str, list: fn(usize) -> String, ends: fn(usize) -> String| {
        let definition = || "apiVersion: kso/v1\nimages: [{list: a.list}]\n".to_owned();
        large.check(what, |entries| (definition(), list(entries)), ends);
    };
    let images: fn(usize) -> String = |all| format!("kso.yaml: {all} images for amd64, arm64\n");
    by_list("images", |all| lines(all, |n| format!("quay.io/{}/image{n}:v1.{n}\n", n % 100)), images);
    let one = |_| "kso.yaml: 1 image for amd64, arm64\n".to_owned();
    by_list("the same image", |all| "nginx:1\n".repeat(all), one);
    by_list("one name", |all| lines(all, |n| format!("r.example:{n}/a:1\n")), |all| errors(all - 1));
    by_list("digests", |all| lines(all, |n| format!("r.io/a@sha256:{n:064x}\n")), images);
}

/// `kso verify` of a lock of which the directory has one file.
pub(crate) fn locks(large: Large<'_>) {
    let sha256 = "sha256:5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9";
    large.compare("a lock", |all| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let served = folder.path().join("root/opt/k8s/k8s/h");
        fs::create_dir_all(&served).expect("made");
        fs::write(served.join("0"), "0").expect("written");
        let entries = (0..all).map(|n| {
            format!(
                "{{\"url\":\"https://h/{n}\",\"path\":\"h/{n}\",\"sha256\":\"{sha256}\",\"bytes\":1,\
                 \"checksum\":\"first-use\"}}"
            )
        });
        let entries = entries.collect::<Vec<_>>().join(",");
        let lock = format!("{{\"version\":1,\"layout\":1,\"bases\":[],\"files\":[{entries}],\"images\":[]}}");
        fs::write(folder.path().join("kso.lock"), lock).expect("written");
        let said = large.run(folder.path(), &["verify", "root"]);
        let ends = format!("{all} files, 1 B hashed: {} problems", all - 1);
        assert!(said.code == Some(1) && said.text.contains(&ends), "{:?} {:.300}", said.code, said.text);
        said.seconds
    });
}
