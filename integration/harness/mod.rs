//! Everything a test needs that is not kso: real daemons, a registry, an origin for downloads, containers.
//! See `integration/README.md`. It knows the programs and their protocols, and nothing about Kubernetes.
//!
//! What depends on the machine returns an error; what a test asks for panics with what was found instead.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "a private module shared by programs that each use a part of it"
)]
#![allow(clippy::missing_panics_doc, reason = "tests are the callers, and a panic is how they fail")]

mod base;
mod buildkitd;
mod buildx;
mod certificate;
pub mod client;
mod container;
mod content;
pub mod fleet;
pub mod frontend;
mod git;
mod http;
mod image;
mod names;
mod origin;
mod process;
mod registry;
mod sample;
mod server;
mod storage;
mod tools;
mod upstream;
mod workspace;

use std::fmt::{Display, Write};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Instant;

use sha2::{Digest, Sha256};

pub use base::{NGINX, REGISTRY, push_apart};
pub use buildkitd::Buildkitd;
pub use buildx::{Build, BuildOutput, Buildx, Running};
pub use certificate::Certificate;
pub use client::Client;
pub use container::{Container, Unpacked};
pub use content::incompressible;
pub use frontend::{Needs, architecture};
pub use git::GitServer;
pub use http::{Response, get, request};
pub use image::{Entry, Image, Layer, Tree, digest, unpack};
pub use names::Host;
pub use origin::{Fault, Origin, Request};
pub use process::{Output, Process, run};
pub use registry::{Access, PlatformImage, Registry};
pub use sample::{Document, Kind, Recipe, Sample};
pub use storage::Storage;
pub use tools::{Tools, search_path, version};
pub use upstream::{Auth, Call, Login, Rules, Upstream};
pub use workspace::Workspace;

/// What went wrong, for a person.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

/// What the harness returns where the machine decides.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Says what was being done when something went wrong.
pub trait Context<T> {
    fn context(self, what: impl Display) -> Result<T>;
}

impl<T, E: Display> Context<T> for Result<T, E> {
    fn context(self, what: impl Display) -> Result<T> {
        self.map_err(|error| Error(format!("{what}: {error}")))
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, what: impl Display) -> Result<T> {
        self.ok_or_else(|| Error(what.to_string()))
    }
}

/// The SHA-256 of `bytes` in hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Does a part of the work and says on stderr how long it took.
pub fn step<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    eprintln!("harness: {what} {:.1} s", began.elapsed().as_secs_f64());
    done
}

fn registries<'a>(names: &[(&'a str, &'a Upstream)]) -> Vec<(&'a str, Host<'a>)> {
    names.iter().map(|(name, upstream)| (*name, Host::Registry(upstream))).collect()
}

/// The daemons all tests of a run share.
pub struct Harness {
    tools: Tools,
    registry: Registry,
    daemon: Buildkitd,
    frontend: OnceLock<Result<()>>,
    frontend_of_both: OnceLock<Result<()>>,
    other_binary: OnceLock<Result<()>>,
}

static HARNESS: OnceLock<Harness> = OnceLock::new();

/// The image name of the frontend, as the first line of a definition writes it.
pub const FRONTEND: &str = "ghcr.io/org/kso-frontend:1";

impl Harness {
    /// Starts registry and daemon, and pushes the stand-ins for official images. Called once, before the first test.
    pub fn start() -> Result<&'static Self> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Error(
                "the integration harness starts buildkitd and runc, which need root; try: sudo -E make test".into(),
            ));
        }
        let began = Instant::now();
        Workspace::create()?;
        let tools = step("tools", Tools::install)?;
        let registry = step("registry", || Registry::start(&tools))?;
        step("stand-ins for nginx and registry", || base::push(&tools, &registry))?;
        let daemon = step("buildkitd", || Buildkitd::start(&tools, &registry, &[]))?;
        let (frontend, frontend_of_both, other_binary) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        let harness = Self { tools, registry, daemon, frontend, frontend_of_both, other_binary };
        eprintln!("harness: ready after {:.1} s", began.elapsed().as_secs_f64());
        assert!(HARNESS.set(harness).is_ok(), "the harness is started once");
        Ok(Self::get())
    }

    /// Ends everything. With `KSO_KEEP` set, a run that failed keeps its directory, and the path is printed.
    pub fn stop(failed: bool) {
        Workspace::end(failed);
    }

    /// The harness of this run.
    pub fn get() -> &'static Self {
        HARNESS.get().expect("main starts the harness before any test")
    }

    /// The installed programs.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// The registry; also what daemons find behind `docker.io`, `ghcr.io` and the other hosts.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The shared daemon.
    pub fn daemon(&self) -> &Buildkitd {
        &self.daemon
    }

    /// A buildx for the shared daemon.
    pub fn buildx(&self) -> &Buildx {
        self.daemon.buildx()
    }

    /// Another daemon with an empty cache, which runs until it is dropped.
    #[track_caller]
    pub fn fresh_daemon(&self) -> Buildkitd {
        self.daemon_with(&[])
    }

    /// Another daemon with an empty cache, on a disk of its own of so many MiB.
    #[track_caller]
    pub fn small_daemon(&self, mebibytes: u64) -> Buildkitd {
        Buildkitd::start_small(&self.tools, &self.registry, mebibytes).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Another daemon with an empty cache, of the oldest BuildKit that kso supports, for which these host names lead to these
    /// registries.
    #[track_caller]
    pub fn oldest_daemon_with(&self, names: &[(&str, &Upstream)]) -> Buildkitd {
        Buildkitd::start_oldest(&self.tools, &self.registry, &registries(names))
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Another daemon with an empty cache, for which these host names lead to these registries.
    #[track_caller]
    pub fn daemon_with(&self, names: &[(&str, &Upstream)]) -> Buildkitd {
        self.daemon_online(&registries(names))
    }

    /// Another daemon with an empty cache, for which the internet is these hosts.
    #[track_caller]
    pub fn daemon_online(&self, names: &[(&str, Host<'_>)]) -> Buildkitd {
        Buildkitd::start(&self.tools, &self.registry, names).unwrap_or_else(|error| panic!("{error}"))
    }

    /// A registry that images come from, as `127.0.0.1:PORT/…`.
    pub fn upstream(&self, rules: Rules) -> Upstream {
        Upstream::start(&self.registry, rules)
    }

    /// A new empty folder, for the build context of a test. It stays until the end of the run.
    #[expect(clippy::unused_self, reason = "there is no workspace without a harness")]
    pub fn folder(&self, name: &str) -> PathBuf {
        Workspace::get().directory(name)
    }

    /// Compiles kso and pushes the frontend image in the background, so that tests that need none run meanwhile. Where
    /// both are needed, the program of the other architecture is compiled beside it: each link has one thread.
    pub fn compile_ahead(&'static self, needs: Needs) {
        if needs >= Needs::Frontend {
            std::thread::spawn(|| self.pushed());
        }
        if needs >= Needs::Both {
            std::thread::spawn(|| self.compiled());
        }
    }

    fn pushed(&self) -> &Result<()> {
        self.frontend.get_or_init(|| step("frontend image", || frontend::push(self)))
    }

    fn compiled(&self) -> &Result<()> {
        self.other_binary.get_or_init(|| step("program of the other architecture", frontend::compile_other))
    }

    /// Compiles kso and pushes the frontend image, the first time it is called. Returns [`FRONTEND`].
    #[track_caller]
    pub fn frontend(&self) -> &'static str {
        frontend::wait(Needs::Frontend, || self.pushed()).as_ref().unwrap_or_else(|error| panic!("{error}"));
        FRONTEND
    }

    /// The frontend image for both platforms, as [`Self::frontend`] is one for this machine's. Both hold this machine's program.
    /// Returns its name.
    #[track_caller]
    pub fn frontend_of_both(&self) -> &'static str {
        self.frontend();
        let pushed = self.frontend_of_both.get_or_init(|| frontend::push_both(self));
        pushed.as_ref().unwrap_or_else(|error| panic!("{error}"));
        frontend::BOTH
    }

    /// The directory with `kso-amd64` and `kso-arm64` as they are published, whatever `KSO_QUICK` says.
    #[track_caller]
    pub fn binaries_of_both(&self) -> PathBuf {
        self.frontend();
        frontend::wait(Needs::Both, || self.compiled()).as_ref().unwrap_or_else(|error| panic!("{error}"));
        frontend::binaries(&["--arch", "amd64,arm64"]).unwrap_or_else(|error| panic!("{error}"))
    }
}
