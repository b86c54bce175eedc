//! `make bench`: what the frontend itself takes for large definitions of which everything is resolved, as a process on its
//! own against the fake daemon of the tests, which does nothing and answers at once. Needs root, for a mount of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use gateway::fake::{Answer, Fake};
use kso::llb;
use kso::lock::{Answers, FileAnswer, Lock, LockedBase};
use kso::resolve::image::{Blobs, Resolved, Wanted};
use kso::spec::{Arch, Definition, Digest, ImageRef, Spec};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};

/// What the fake daemon finds around it in the crate.
#[path = "../src/gateway"]
mod gateway {
    pub(crate) use kso::gateway::*;

    pub(crate) mod run {
        pub(crate) use kso::gateway::serve;
    }

    #[allow(dead_code, clippy::wildcard_imports, reason = "the tests use all of it, and may import by wildcard")]
    #[path = "fake/mod.rs"]
    pub(crate) mod fake;
}

/// So many files, and so many blobs.
const MANY: usize = 2_000;
const IMAGES: usize = 100;
/// Beside its config.
const LAYERS: usize = MANY / IMAGES / 2 - 1;

/// What is promised.
const MOST_TIME: Duration = Duration::from_secs(1);
const MOST_MEMORY: u64 = 150 << 20;

const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];
const BASE_CONFIG: &str = r#"{"os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[1,2,3,4,5]}}"#;

fn main() -> ExitCode {
    let cases = [files(), images()];
    let mut good = true;
    for (name, fake) in cases {
        match measure(&fake) {
            Ok(taken) => {
                good &= taken.time <= MOST_TIME && taken.memory <= MOST_MEMORY;
                println!("{name}: {taken}");
            }
            Err(why) => {
                good = false;
                println!("{name}: {why}");
            }
        }
    }
    println!("allowed: {:.1} s, {} MiB", MOST_TIME.as_secs_f64(), MOST_MEMORY >> 20);
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What a run of the frontend took.
struct Taken {
    /// Of the processor, in and for the process.
    time: Duration,
    /// From its start to its end, with the time that it waited for the fake daemon.
    all: Duration,
    /// The most that was resident, in bytes.
    memory: u64,
    requests: usize,
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { time, all, memory, requests } = self;
        let (time, all, memory) = (time.as_secs_f64(), all.as_secs_f64(), memory >> 20);
        write!(f, "{time:.2} s of its own, {memory} MiB ({all:.2} s in all, {requests} requests)")
    }
}

/// A definition of files.
fn files() -> (&'static str, Fake) {
    let list = (0..MANY).fold(String::new(), |mut list, at| {
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
    let lock = Lock::of(&spec, kso::plan::LAYOUT, answers).write();
    let definition = "apiVersion: kso/v1\nfiles:\n  - list: files.list\n";
    ("2,000 files", fake.local("dockerfile", "kso.yaml", definition).local("dockerfile", "kso.lock", lock))
}

/// A definition of images.
fn images() -> (&'static str, Fake) {
    let list = (0..IMAGES).fold(String::new(), |mut list, at| {
        let _ = writeln!(list, "registry{}.example/project/image{at}x:v1.2.{at}", at % 7);
        list
    });
    let spec = spec("images:\n  - list: images.list\n", "images.list", &list);
    let mut fake = Fake::new().local("context", "images.list", list);
    let mut answers = Answers { bases: vec![base(&spec.registry.image)], ..Answers::default() };
    let mut blobs = BTreeSet::new();
    for image in kso::lock::images(&spec) {
        let resolved = resolved(&image.reference);
        for descriptor in resolved.manifests().iter().flat_map(|held| held.manifest.blobs()) {
            let source = format!("docker-image+blob://{}@{}", image.reference.name(), descriptor.digest);
            fake = fake.http(&source, [Answer::bytes("a blob")]);
            blobs.insert(descriptor.digest.clone());
        }
        answers.images.push(resolved);
    }
    assert_eq!(blobs.len(), MANY);
    let lock = Lock::of(&spec, kso::plan::LAYOUT, answers).write();
    let definition = "apiVersion: kso/v1\nimages:\n  - list: images.list\n";
    (
        "2,000 blobs of 100 images",
        fake.local("dockerfile", "kso.yaml", definition).local("dockerfile", "kso.lock", lock),
    )
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
    let configs = PLATFORMS.map(|platform| (platform.to_owned(), BASE_CONFIG.to_owned()));
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
    let wanted = Wanted { reference: reference.clone(), digest, architectures, attestations: false };
    wanted.resolve(&have).expect("complete")
}

/// Runs the frontend on a fake daemon, to its end.
fn measure(fake: &Fake) -> Result<Taken, String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let folder = tempfile::tempdir().map_err(|error| told(&error))?;
    let (ours, theirs) = UnixStream::pair().map_err(|error| told(&error))?;
    let before = processor();
    let start = Instant::now();
    let mut child = start_frontend(folder.path(), theirs).map_err(|error| told(&error))?;
    let daemon = fake.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            ours.set_nonblocking(true).expect("a socket");
            let mut ours = tokio::net::UnixStream::from_std(ours).expect("a socket");
            // It ends when the frontend closes its end.
            let _ = tokio::io::copy_bidirectional(&mut daemon.listen(), &mut ours).await;
        });
    });
    let mut memory = 0;
    let status = loop {
        memory = memory.max(peak(child.id()));
        if let Some(status) = child.try_wait().map_err(|error| told(&error))? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let all = start.elapsed();
    let requests = fake.log().lines().count();
    match fake.returned() {
        _ if !status.success() => Err(format!("the frontend ended with {status}")),
        None => Err("the frontend returned nothing".into()),
        Some(Err(error)) => Err(format!("the frontend returned an error: {}", error.message())),
        Some(Ok(returned)) if returned.references.len() != PLATFORMS.len() => Err("an image is missing".into()),
        Some(Ok(_)) => Ok(Taken { time: processor().saturating_sub(before), all, memory, requests }),
    }
}

/// The frontend as BuildKit starts it: with the graph that it came from at its place, below a `/run` of its own.
fn start_frontend(folder: &Path, socket: UnixStream) -> std::io::Result<Child> {
    let platform =
        kso::gateway::parse_platform(PLATFORMS[0]).map_err(|error| std::io::Error::other(error.to_string()))?;
    let origin = llb::Image::new("ghcr.io/org/kso-frontend:1", &platform).state().marshal();
    let origin_file = folder.join("frontend.bin");
    fs::write(&origin_file, origin.to_bytes())?;
    let script = "mount -t tmpfs none /run && mkdir -p /run/config/buildkit/metadata && \
                  cp \"$1\" /run/config/buildkit/metadata/ && exec \"$2\"";
    let workers = r#"[{"platforms":[{"architecture":"amd64","os":"linux"}],"buildkitVersion":{"version":"v0.32.0"}}]"#;
    let input = OwnedFd::from(socket.try_clone()?);
    Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(&origin_file)
        .arg(program()?)
        .env("BUILDKIT_SESSION_ID", "session")
        .env("BUILDKIT_WORKERS", workers)
        .env("BUILDKIT_FRONTEND_OPT_0", format!("platform={}", PLATFORMS.join(",")))
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(OwnedFd::from(socket)))
        .spawn()
}

/// kso, as `make bench` has built it: beside the folder of this example.
fn program() -> std::io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let program = own.ancestors().nth(2).map(|folder| folder.join("kso")).filter(|program| program.exists());
    program.ok_or_else(|| std::io::Error::other("kso is not built: run `make bench`"))
}

/// The processor time of all children that have ended.
fn processor() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return Duration::ZERO };
    let micros = [usage.user_time(), usage.system_time()].map(|time| time.tv_sec() * 1_000_000 + time.tv_usec());
    Duration::from_micros(micros.iter().sum::<i64>().unsigned_abs())
}

/// The most that a process has had in memory, in bytes; 0 if it has ended.
fn peak(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}
