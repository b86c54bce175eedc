//! A BuildKit daemon of our own: its root, its socket, its registry mirrors. It does not know who builds with it.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use super::buildx::Buildx;
use super::process::Process;
use super::registry::Registry;
use super::tools::Tools;
use super::workspace::Workspace;
use super::{Context, Result};

/// The registries that daemons look for in the harness's own: a host is the first part of the path there.
pub const MIRRORED: [&str; 7] =
    ["docker.io", "ghcr.io", "quay.io", "registry.k8s.io", "k8s.gcr.io", "gcr.io", "public.ecr.aws"];

/// A running daemon.
pub struct Buildkitd {
    tools: Tools,
    directory: PathBuf,
    process: Option<Process>,
    buildx: OnceLock<Buildx>,
}

impl Buildkitd {
    /// Starts a daemon with an empty cache.
    pub fn start(tools: &Tools, registry: &Registry) -> Result<Self> {
        let directory = Workspace::get().directory("buildkitd");
        std::fs::write(directory.join("buildkitd.toml"), config(tools, &directory, registry))
            .context("buildkitd.toml could not be written")?;
        let mut daemon = Self { tools: tools.clone(), directory, process: None, buildx: OnceLock::new() };
        daemon.launch()?;
        Ok(daemon)
    }

    /// Ends the daemon and starts it again with the cache it had.
    pub fn restart(&mut self) -> Result<()> {
        self.process = None;
        self.launch()
    }

    /// The address for `BUILDKIT_HOST` and `buildctl --addr`.
    pub fn address(&self) -> String {
        format!("unix://{}", self.directory.join("buildkitd.sock").display())
    }

    /// Everything the daemon has logged; the frontend's stderr is in it.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// A buildx whose only builder is this daemon.
    pub fn buildx(&self) -> &Buildx {
        self.buildx.get_or_init(|| {
            Buildx::new(&self.tools, self.directory.join("home"), &self.address(), self.log_path())
                .unwrap_or_else(|error| panic!("{error}"))
        })
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("log")
    }

    fn launch(&mut self) -> Result<()> {
        let mut command = self.tools.command("buildkitd", &self.directory);
        command.arg("--config").arg(self.directory.join("buildkitd.toml"));
        let log = self.log_path();
        let before = std::fs::read_to_string(&log).unwrap_or_default().len();
        let mut process = Process::start("buildkitd", command, &log)?;
        process.wait_until(Duration::from_secs(30), |process| {
            process.log().get(before..)?.contains("running server on").then_some(())
        })?;
        self.process = Some(process);
        Ok(())
    }
}

/// The network of the host is for the steps of a Dockerfile; frontends that ask for none get none. The snapshotter is
/// overlayfs where the kernel allows it, else native: buildkitd finds out. Nothing is collected during a run.
fn config(tools: &Tools, directory: &std::path::Path, registry: &Registry) -> String {
    let mut text = format!(
        "root = \"{root}\"\n\n[grpc]\naddress = [\"unix://{socket}\"]\n\n[cdi]\ndisabled = true\n\n[worker.containerd]\n\
         enabled = false\n\n[worker.oci]\nenabled = true\nbinary = \"{runc}\"\nnetworkMode = \"host\"\ngc = false\n\
         defaultCgroupParent = \"/{cgroup}\"\n\n[registry.\"{host}\"]\nhttp = true\n",
        root = directory.join("root").display(),
        socket = directory.join("buildkitd.sock").display(),
        runc = tools.path("runc").display(),
        cgroup = Workspace::get().cgroup(),
        host = registry.host(),
    );
    for host in MIRRORED {
        let _ = write!(text, "\n[registry.\"{host}\"]\nmirrors = [\"{}/{host}\"]\n", registry.host());
    }
    text
}
