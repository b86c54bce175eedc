//! What the frontend itself takes for definitions of which everything is resolved: a process on its own against the fake
//! daemon of the unit tests, which does nothing and answers at once. Needs root, for a mount of its own. Does not know what
//! is allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use buildkit::llb;
use buildkit::testing::{Answer, Fake};
use kso::definition::{Definition, Spec};
use kso::kind::files::FileAnswer;
use kso::kind::images::resolved::{Blobs, Resolved, Wanted};
use kso::lock::{Answers, Lock, LockedBase};
use kso::name::{Arch, Digest, ImageRef};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde_json::{Value, json};

use crate::harness::{Context, Error, Result, search_path};

/// The layers of an image of one architecture, beside its config.
const LAYERS: usize = 9;
/// The blobs of an image: those of two architectures.
const BLOBS: usize = 2 * (LAYERS + 1);

const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];
const BASE_CONFIG: &str = r#"{"os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[1,2,3,4,5]}}"#;

/// What a run of the frontend took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    /// Of the processor, in seconds.
    pub(crate) cpu: f64,
    /// From its start to its end, with the time that it waited for the fake daemon, in seconds.
    pub(crate) wall: f64,
    /// The most that was resident, in bytes.
    pub(crate) memory: u64,
}

/// A definition of so many files, with its lock.
pub(crate) fn files(count: usize) -> Fake {
    let list = (0..count).fold(String::new(), |mut list, at| {
        let _ = writeln!(list, "https://host{}.example/release/v1.2.{at}/bin/tool{at}x", at % 7);
        list
    });
    let spec = spec("files:\n  - list: files.list\n", "files.list", &list);
    let mut fake = Fake::new().local("context", "files.list", list);
    let mut answers = Answers { bases: vec![base(&spec.file_server.image)], ..Answers::default() };
    for file in &spec.files {
        let bytes = file.url.to_string();
        let sha256 = Digest::of(bytes.as_bytes());
        answers.files.push(FileAnswer { sha256, bytes: bytes.len() as u64, vouched: false });
        fake = fake.http(file.url.as_str(), [Answer::bytes(bytes.clone())]);
    }
    let lock = Lock::of(&spec, kso::plan::LAYOUT, answers).expect("they agree").write();
    let definition = "apiVersion: kso/v1\nfiles:\n  - list: files.list\n";
    fake.local("dockerfile", "kso.yaml", definition).local("dockerfile", "kso.lock", lock)
}

/// A definition of images with so many blobs, with its lock.
pub(crate) fn images(blobs: usize) -> Fake {
    let list = (0..blobs / BLOBS).fold(String::new(), |mut list, at| {
        let _ = writeln!(list, "registry{}.example/project/image{at}x:v1.2.{at}", at % 7);
        list
    });
    let spec = spec("images:\n  - list: images.list\n", "images.list", &list);
    let mut fake = Fake::new().local("context", "images.list", list);
    let mut answers = Answers { bases: vec![base(&spec.registry.image)], ..Answers::default() };
    for image in kso::kind::images::to_ask(&spec.images) {
        let resolved = resolved(&image.reference);
        for descriptor in resolved.manifests().iter().flat_map(|held| held.manifest.blobs()) {
            let source = format!("docker-image+blob://{}@{}", image.reference.name(), descriptor.digest);
            fake = fake.http(&source, [Answer::bytes("a blob")]);
        }
        answers.images.push(resolved);
    }
    let lock = Lock::of(&spec, kso::plan::LAYOUT, answers).expect("they agree").write();
    let definition = "apiVersion: kso/v1\nimages:\n  - list: images.list\n";
    fake.local("dockerfile", "kso.yaml", definition).local("dockerfile", "kso.lock", lock)
}

fn spec(content: &str, name: &str, list: &str) -> Spec {
    let source = |name: &str, text: &str| kso::diagnostic::Source::new(name, text);
    let mut problems = Vec::new();
    let definition = Definition::parse(&source("kso.yaml", &format!("apiVersion: kso/v1\n{content}")), &mut problems);
    let lists = BTreeMap::from([(name.to_owned(), Ok(source(name, list)))]);
    let spec = definition.expect("a definition").expand(&lists, &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    spec
}

fn base(reference: &ImageRef) -> LockedBase {
    let configs = PLATFORMS.map(|platform| (platform.parse().expect("a platform"), BASE_CONFIG.to_owned()));
    LockedBase::new(reference.clone(), Digest::of(b"base"), configs.into()).expect("a base image")
}

/// An image whose blobs are no one else's, from 1 kB to 100 MB each.
fn resolved(reference: &ImageRef) -> Resolved {
    let mut have = Blobs::new();
    let mut keep = |document: &Value| -> Value {
        let bytes = document.to_string().into_bytes();
        let (digest, size) = (Digest::of(&bytes), bytes.len());
        have.insert(digest.clone(), bytes);
        json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest.as_str(), "size": size })
    };
    let manifests = ["amd64", "arm64"].map(|arch| {
        let blob = |kind: &str, number: usize| {
            let digest = Digest::of(format!("{reference} {arch} {kind} {number}").as_bytes());
            let size = 1_000_u64 << ((usize::from(digest.hex().as_bytes()[0]) + number) % 17);
            json!({ "mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest.as_str(), "size": size })
        };
        let layers: Vec<Value> = (0..LAYERS).map(|number| blob("layer.v1.tar+gzip", number)).collect();
        let config = blob("config.v1+json", 0);
        let mut entry = keep(&json!({ "schemaVersion": 2, "config": config, "layers": layers }));
        entry["platform"] = json!({ "os": "linux", "architecture": arch });
        entry
    });
    let index = keep(&json!({ "schemaVersion": 2, "manifests": manifests }));
    let digest = index["digest"].as_str().expect("text").parse().expect("a digest");
    let architectures: BTreeSet<Arch> = Arch::ALL.into_iter().collect();
    let wanted = Wanted { reference: reference.clone(), digest, architectures, attestations: false, configs: false };
    wanted.resolve(&have).expect("complete")
}

/// Runs the frontend on a fake daemon, to its end.
pub(crate) fn measure(program: &Path, fake: &Fake) -> Result<Taken> {
    let before = processor();
    let start = Instant::now();
    let memory = run(&[program.as_os_str()], fake)?;
    let wall = start.elapsed().as_secs_f64();
    Ok(Taken { cpu: processor() - before, wall, memory })
}

/// The instructions that the frontend takes on a fake daemon, as valgrind counts them: whatever else the machine does, the
/// same but for what hash maps make of their seeds.
pub(crate) fn instructions(program: &Path, fake: &Fake) -> Result<u64> {
    let folder = tempfile::tempdir().context("a folder could not be made")?;
    let log = folder.path().join("log");
    let out = format!("--callgrind-out-file={}", folder.path().join("out").display());
    let log_file = format!("--log-file={}", log.display());
    let arguments = ["valgrind", "--tool=callgrind", &out, &log_file].map(OsStr::new);
    run(&[&arguments[..], &[program.as_os_str()]].concat(), fake)?;
    let text = fs::read_to_string(&log).context("valgrind wrote no log")?;
    let collected = text.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    collected.context(format_args!("valgrind counted nothing:\n{text}"))
}

/// Starts the frontend by a command and waits for its answer; returns the most that was resident, in bytes.
fn run(command: &[&OsStr], fake: &Fake) -> Result<u64> {
    let folder = tempfile::tempdir().context("a folder could not be made")?;
    let (ours, theirs) = UnixStream::pair().context("no pair of sockets")?;
    let mut child = start_frontend(folder.path(), command, theirs).context("the frontend could not be started")?;
    let daemon = fake.clone();
    // It ends with this function.
    let (_end, ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            ours.set_nonblocking(true).expect("a socket");
            daemon.serve(tokio::net::UnixStream::from_std(ours).expect("a socket"));
            let _ = ended.await;
        });
    });
    let mut memory = 0;
    let status = loop {
        memory = memory.max(peak(child.id()));
        if let Some(status) = child.try_wait().context("the frontend is lost")? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    match fake.returned() {
        _ if !status.success() => Err(Error(format!("the frontend ended with {status}"))),
        None => Err(Error("the frontend returned nothing".into())),
        Some(Err(error)) => Err(Error(format!("the frontend returned an error: {}", error.message()))),
        Some(Ok(returned)) if returned.references.len() != PLATFORMS.len() => Err(Error("an image is missing".into())),
        Some(Ok(_)) => Ok(memory),
    }
}

/// The frontend as BuildKit starts it: with the graph that it came from at its place, below a `/run` of its own.
fn start_frontend(folder: &Path, command: &[&OsStr], socket: UnixStream) -> std::io::Result<Child> {
    let platform =
        buildkit::gateway::parse_platform(PLATFORMS[0]).map_err(|error| std::io::Error::other(error.to_string()))?;
    let origin = llb::Image::new("ghcr.io/org/kso-frontend:1", &platform).state().marshal();
    let origin_file = folder.join("frontend.bin");
    fs::write(&origin_file, origin.to_bytes())?;
    let script = "mount -t tmpfs none /run && mkdir -p /run/config/buildkit/metadata && \
                  cp \"$1\" /run/config/buildkit/metadata/ && shift && exec \"$@\"";
    let workers = r#"[{"platforms":[{"architecture":"amd64","os":"linux"}],"buildkitVersion":{"version":"v0.32.0"}}]"#;
    let input = OwnedFd::from(socket.try_clone()?);
    Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(&origin_file)
        .args(command)
        .env("PATH", search_path())
        .env("BUILDKIT_SESSION_ID", "session")
        .env("BUILDKIT_WORKERS", workers)
        .env("BUILDKIT_FRONTEND_OPT_0", format!("platform={}", PLATFORMS.join(",")))
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(OwnedFd::from(socket)))
        .spawn()
}

/// The seconds of the processor that all children took that have ended.
fn processor() -> f64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return 0.0 };
    let micros = (usage.user_time() + usage.system_time()).num_microseconds();
    Duration::from_micros(micros.unsigned_abs()).as_secs_f64()
}

/// The most that a process has had in memory, in bytes; 0 if it has ended.
fn peak(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}
