//! Every mistake has a picture: `invalid/NAME/` holds a definition and its lists, and what `kso check` says of them;
//! `valid/NAME/` holds what they ask for; `lint/RULE/` breaks a rule, and holds what is said of it. The binary is run as a user runs it.

mod architecture;
mod benchmarks;
mod buildkit;
mod documents;
mod editor;
mod findings;
mod large;
mod markdown;
mod schema;
mod unchanged;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kso::decode::LayerLimit;
use kso::definition::Spec;
use kso::diagnostic::{Span, rules};
use kso::kind::images::Held;

/// The folders of `cases/KIND`, sorted.
fn cases(kind: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases").join(kind);
    let mut folders: Vec<_> = fs::read_dir(&root)
        .expect("the cases lie beside this file")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    folders.sort();
    assert!(!folders.is_empty(), "no cases in {}", root.display());
    folders
}

/// Compares each case with its snapshot, and fails only after all were compared.
fn compare(kind: &str, name: &str, show: impl Fn(&Path) -> String) {
    let mut failed = Vec::new();
    for folder in cases(kind) {
        let mut settings = insta::Settings::new();
        settings.set_snapshot_path(&folder);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        let compared =
            catch_unwind(AssertUnwindSafe(|| settings.bind(|| insta::assert_snapshot!(name, show(&folder)))));
        if compared.is_err() {
            failed.push(folder.file_name().map(|name| name.display().to_string()).unwrap_or_default());
        }
    }
    assert!(failed.is_empty(), "{kind} cases that failed: {}", failed.join(", "));
}

fn kso(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().expect("the binary starts")
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kso"));
    command.args(arguments).current_dir(folder).env_remove("BUILDKIT_SESSION_ID");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("what kso prints is UTF-8")
}

/// The argument of a check that looks for mistakes alone.
const NO_LINT: &str = "--build-arg=BUILDKIT_DOCKERFILE_CHECK=skip=all";

/// A server that answers every request, also those that are meant for other hosts and come to it as their proxy, and sends
/// an `ETag` for names with `with-etag` alone. Its address.
fn file_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound socket has an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.expect("a connection"));
            let lines: Vec<String> =
                stream.by_ref().lines().map_while(Result::ok).take_while(|it| !it.is_empty()).collect();
            let etag =
                if lines.first().is_some_and(|line| line.contains("with-etag")) { "ETag: \"1\"\r\n" } else { "" };
            let head = format!("HTTP/1.1 200 OK\r\n{etag}Content-Length: 0\r\nConnection: close\r\n\r\n");
            // A client that is gone has what it wanted.
            let _ = stream.get_mut().write_all(head.as_bytes());
        }
    });
    format!("http://{address}")
}

#[test]
fn lint() {
    let folders = cases("lint");
    let names: Vec<_> = folders.iter().filter_map(|folder| folder.file_name()?.to_str()).collect();
    assert_eq!(names, rules::ALL.iter().map(|rule| rule.name).collect::<Vec<_>>(), "a case for every rule");
    let proxy = file_server();
    compare("lint", "check", |folder| {
        let more = fs::read_to_string(folder.join("arguments")).unwrap_or_default();
        let mut command = command(folder, &["check"]);
        let output = command.args(more.lines()).env("http_proxy", &proxy).output().expect("the binary starts");
        let told = text(&output.stderr);
        let rule = folder.file_name().unwrap_or_default().display().to_string();
        assert!(told.contains(&format!("[{rule}]: ")), "{rule} is not told: {told}");
        assert_eq!(output.status.code(), Some(0), "{told}");
        text(&output.stdout) + &told
    });
}

#[test]
fn a_hint_never_asks_for_no_architectures() {
    let folder = cases("lint").into_iter().find(|folder| folder.ends_with("ArchitectureWithoutPlatform"));
    let reported = text(&kso(&folder.expect("the case"), &["check", "--platform", "linux/s390x"]).stderr);
    assert!(reported.contains("help: add `linux/amd64` to `--platform`\n"), "{reported}");
}

#[test]
fn warnings_fail_where_the_definition_says_so() {
    let folder = cases("lint").into_iter().find(|folder| folder.ends_with("PlainHttp")).expect("the case");
    let check = |argument: &str| {
        let output = kso(&folder, &["check", "--build-arg", &format!("BUILDKIT_DOCKERFILE_CHECK={argument}")]);
        (output.status.code(), text(&output.stderr))
    };
    let (code, told) = check("error=true;skip=UnpinnedFile");
    assert_eq!(code, Some(1));
    assert!(told.starts_with("error: lint violation found for rules: PlainHttp\n"), "{told}");
    assert_eq!(check("error=true;skip=all"), (Some(0), String::new()));
    let (code, told) = check("sikp=all");
    assert_eq!(code, Some(1));
    assert!(told.starts_with("error: BUILDKIT_DOCKERFILE_CHECK has an unknown option `sikp`\n"), "{told}");
    let notes = cases("lint").into_iter().find(|folder| folder.ends_with("UnreadKubespray")).expect("the case");
    let output = kso(&notes, &["check", "--build-arg", "BUILDKIT_DOCKERFILE_CHECK=error=true"]);
    assert_eq!(output.status.code(), Some(0), "a note is no warning");
}

#[test]
fn invalid() {
    compare("invalid", "check", |folder| {
        let more = fs::read_to_string(folder.join("arguments")).unwrap_or_default();
        let output = command(folder, &["check"]).args(more.lines()).output().expect("the binary starts");
        assert_eq!(text(&output.stdout), "", "nothing but problems");
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr)
    });
}

#[test]
fn valid() {
    compare("valid", "spec", |folder| {
        let more = fs::read_to_string(folder.join("arguments")).unwrap_or_default();
        let output = command(folder, &["check", NO_LINT]).args(more.lines()).output().expect("the binary starts");
        assert_eq!(text(&output.stderr), "");
        assert_eq!(output.status.code(), Some(0));
        let mut diagnostics = Vec::new();
        let build_args = more.lines().filter_map(|line| Some(line.strip_prefix("--build-arg=")?.to_owned())).collect();
        let spec = kso::cli::load(&folder.join("kso.yaml"), folder, build_args, &mut diagnostics);
        let spec = spec.expect("a good definition");
        format!("{}{}", text(&output.stdout), shown(&spec))
    });
}

/// A spec as text: what a file or an image is, where it comes from, and who asked for it.
fn shown(spec: &Spec) -> String {
    let mut out = String::new();
    for file in &spec.files {
        let architectures: Vec<_> = file.architectures.iter().map(|arch| arch.as_str()).collect();
        let _ = writeln!(out, "\n{}", file.path);
        let _ = writeln!(out, "  url   {}", file.url);
        for candidate in spec.candidates(file).iter().filter(|candidate| **candidate != file.url) {
            let _ = writeln!(out, "  from  {candidate}");
        }
        if let Some(sha256) = &file.sha256 {
            let _ = writeln!(out, "  bytes {sha256}");
        }
        let _ = writeln!(out, "  for   {}", architectures.join(", "));
        let _ = writeln!(out, "  asked {}", lines(&file.spans));
    }
    if !spec.files.is_empty() {
        let server = &spec.file_server;
        let layers = layers(server.layers, LayerLimit::FILES);
        let _ = writeln!(out, "\nserved by {} from {} below /{}/{layers}", server.image, server.root, server.path);
    }
    for image in &spec.images {
        let architectures: Vec<_> = image.architectures.iter().map(|arch| arch.as_str()).collect();
        let _ = writeln!(out, "\n{}", image.served);
        let _ = writeln!(out, "  image {}", image.reference);
        for place in spec.mirrors.images(&image.reference).iter().filter(|place| **place != image.reference) {
            let _ = writeln!(out, "  from  {place}");
        }
        let _ = writeln!(out, "  for   {}", architectures.join(", "));
        let _ = writeln!(out, "  asked {}", lines(&image.spans));
    }
    if !spec.images.is_empty() {
        let registry = &spec.registry;
        let held = match registry.architectures {
            Held::Match => "each platform its own",
            Held::All => "each platform all",
        };
        let with = if registry.attestations { ", with attestations" } else { "" };
        let layers = layers(registry.layers, LayerLimit::IMAGES);
        let _ = writeln!(out, "\nserved by {}, {held}{with}{layers}", registry.image);
    }
    for host in &spec.hosts {
        let headers = host.headers.iter().map(|(name, value)| format!(", {name}: {}", value.as_str()));
        let headers: String = headers.collect();
        let _ = writeln!(out, "\n{} is sent the secret {}{headers}", host.at.value, host.secret().unwrap_or("-"));
    }
    out
}

/// How many layers an image may have, where that is not as usual.
fn layers(limit: LayerLimit, usual: LayerLimit) -> String {
    if limit == usual { String::new() } else { format!(", in at most {limit} layers") }
}

/// `files.list:1, kso.yaml:3`
fn lines(spans: &[Span]) -> String {
    let line = |span: &Span| {
        let name = Path::new(span.source().name());
        format!("{}:{}", name.file_name().unwrap_or_default().display(), span.line())
    };
    spans.iter().map(line).collect::<Vec<_>>().join(", ")
}

#[test]
fn commands() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path();
    let version = kso(root, &["--version"]);
    assert_eq!(text(&version.stdout), format!("kso {}\n", env!("CARGO_PKG_VERSION")));
    let schema = kso(root, &["schema"]);
    assert_eq!(text(&schema.stdout), kso::definition::json_schema());

    let nothing = kso(root, &["check"]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(
        text(&nothing.stderr).starts_with("error: the file `kso.yaml` does not exist\n"),
        "{}",
        text(&nothing.stderr)
    );
    let a_folder = kso(root, &["check", "."]);
    assert_eq!(text(&a_folder.stderr), "error: the definition `.` cannot be read: it is a directory\n\n1 error\n");

    let definition = "apiVersion: kso/v1\nfiles: [{list: a.list}]\n";
    fs::create_dir(root.join("context")).expect("a folder");
    fs::write(root.join("other.yaml"), definition).expect("a file");
    fs::write(root.join("context/a.list"), "https://dl.k8s.io/a\n").expect("a file");
    let elsewhere = kso(root, &["check", NO_LINT, "other.yaml", "--context", "context"]);
    assert_eq!(text(&elsewhere.stderr), "");
    assert_eq!(text(&elsewhere.stdout), "other.yaml: 1 file for amd64, arm64\n");
    let by_stdin = Command::new(env!("CARGO_BIN_EXE_kso"))
        .args(["check", "-", "--context", "context"])
        .current_dir(root)
        .stdin(fs::File::open(root.join("other.yaml")).expect("a file"))
        .output()
        .expect("the binary starts");
    assert_eq!(text(&by_stdin.stdout), "<stdin>: 1 file for amd64, arm64\n");
    let no_context = kso(root, &["check", "other.yaml", "--context", "nowhere"]);
    assert!(text(&no_context.stderr).starts_with("error: the build context `nowhere` is not a directory\n"));
}

#[test]
fn files_that_are_too_large() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sized = |name: &str, mebibytes: u64| {
        let file = fs::File::create(folder.path().join(name)).expect("a file");
        file.set_len((mebibytes << 20) + 1).expect("room for a sparse file");
    };
    sized("large.yaml", 8);
    sized("large.list", 8);
    fs::write(folder.path().join("kso.yaml"), "apiVersion: kso/v1\nfiles: [{list: large.list}]\n").expect("a file");
    let output = kso(folder.path(), &["check", "large.yaml"]);
    let expected = "error: the definition `large.yaml` cannot be read: it is larger than 8 MiB\n\n1 error\n";
    assert_eq!(text(&output.stderr), expected);
    let output = kso(folder.path(), &["check"]);
    let expected = "error: the list `large.list` cannot be read: it is larger than 8 MiB\n  --> kso.yaml:2:16\n";
    assert!(text(&output.stderr).starts_with(expected), "{}", text(&output.stderr));
}

#[test]
fn lists_that_a_build_would_not_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let context = folder.path().join("context");
    fs::create_dir_all(context.join("inside")).expect("a folder");
    fs::write(folder.path().join("outside.list"), "https://dl.k8s.io/secret\n").expect("a file");
    fs::write(context.join("inside/good.list"), "https://dl.k8s.io/a\n").expect("a file");
    symlink("../outside.list", context.join("link.list")).expect("a link");
    symlink("..", context.join("up")).expect("a link");
    symlink("inside/good.list", context.join("good.list")).expect("a link");
    symlink("/dev/zero", context.join("device.list")).expect("a link");
    let fifo = Command::new("mkfifo").arg(context.join("fifo.list")).status().expect("coreutils");
    assert!(fifo.success());
    let out = "is behind a link that leads out of the build context";
    for (list, why) in [
        ("link.list", out),
        ("up/outside.list", out),
        ("device.list", out),
        ("fifo.list", "is not a regular file"),
        ("good.list", ""),
    ] {
        let definition = format!("apiVersion: kso/v1\nfiles: [{{list: {list}}}]\n");
        fs::write(context.join("kso.yaml"), definition).expect("a file");
        let output = kso(&context, &["check", NO_LINT]);
        let told = text(&output.stderr);
        if why.is_empty() {
            assert_eq!((output.status.code(), told.as_str()), (Some(0), ""), "{list}");
        } else {
            assert!(told.contains(&format!("the list `{list}` cannot be read: it {why}")), "{told}");
        }
    }
}

/// A debug build, with some thousands of entries.
fn debug_build() -> large::Large<'static> {
    large::Large { program: Path::new(env!("CARGO_BIN_EXE_kso")), entries: 2_500 }
}

#[test]
fn large_lists() {
    large::lists(debug_build());
}

#[test]
fn large_definitions() {
    large::definitions(debug_build());
}

#[test]
fn large_lists_of_images() {
    large::images(debug_build());
}

#[test]
fn large_locks() {
    large::locks(debug_build());
}

/// What hands and merges make of a lock is told or makes no difference: `kso verify` never fails otherwise.
#[test]
fn hostile_locks() {
    let folder = tempfile::tempdir().expect("a folder");
    let served = folder.path().join("root/opt/k8s/k8s/h");
    fs::create_dir_all(&served).expect("made");
    fs::write(served.join("0"), "0").expect("written");
    let sha256 = "sha256:5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9";
    let entry = |number: usize| {
        format!(
            "{{\"url\":\"https://h/{number}\",\"path\":\"h/{number}\",\"sha256\":\"{sha256}\",\"bytes\":1,\"checksum\":\"first-use\"}}"
        )
    };
    let lock = |entries: &[String]| {
        format!("{{\"version\":1,\"layout\":1,\"bases\":[],\"files\":[{}],\"images\":[]}}", entries.join(","))
    };
    let good = lock(&[entry(0)]);
    for (what, lock, code, told) in [
        ("the lock", good.clone(), 0, "1 file, 1 B hashed: matches the lock"),
        ("another form", good.replace(',', " ,\r\n\t "), 0, "1 file, 1 B hashed: matches the lock"),
        ("a wrong digest", good.replace("5feceb66", "5feceb67"), 1, "instead of sha256:5feceb67"),
        ("a cut digest", good.replace("5feceb66", "5feceb6"), 2, "kso.lock:1"),
        ("an unknown version", good.replace("\"version\":1", "\"version\":7"), 2, "newer than this kso"),
        ("a duplicate entry", lock(&[entry(0), entry(0)]), 2, "duplicate entry for `h/0`"),
        ("a merge", good.replace("\"files\"", "\n<<<<<<< HEAD\n\"files\""), 2, "merge conflict markers"),
        ("half of it", good[..good.len() / 2].to_owned(), 2, "the lock is not valid JSON"),
        ("nothing", String::new(), 2, "the lock is not valid JSON"),
        ("a way out", lock(&[entry(0).replace("h/0\",\"sha", "../h/0\",\"sha")]), 2, "kso.lock:1"),
    ] {
        fs::write(folder.path().join("kso.lock"), lock).expect("written");
        let output = kso(folder.path(), &["verify", "root"]);
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{what}:\n{said}");
        assert!(said.contains(told) && !said.contains("panicked"), "{what}:\n{said}");
    }
}
