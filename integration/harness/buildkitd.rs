//! A BuildKit daemon of our own: its root, its socket, its registry mirrors. It does not know who builds with it.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::buildx::Buildx;
use super::names::{Host, Names};
use super::process::{Process, run};
use super::registry::Registry;
use super::tools::{Tools, search_path};
use super::workspace::Workspace;
use super::{Context, Error, Result};

/// The registries that daemons look for in the harness's own: a host is the first part of the path there.
pub const MIRRORED: [&str; 7] =
    ["docker.io", "ghcr.io", "quay.io", "registry.k8s.io", "k8s.gcr.io", "gcr.io", "public.ecr.aws"];

/// A running daemon.
pub struct Buildkitd {
    tools: Tools,
    program: &'static str,
    directory: PathBuf,
    process: Option<Process>,
    names: Option<Names>,
    buildx: OnceLock<Buildx>,
}

impl Buildkitd {
    /// Starts a daemon with an empty cache, for which each of these host names is what they say, over TLS, for images and
    /// for `http` sources. The other [`MIRRORED`] hosts it finds in the harness's own registry; what a name's registry
    /// lacks, there too.
    ///
    /// The daemon is given a proxy that knows the names, no mirrors: so credentials belong to the name, and nobody else is
    /// asked when the registry says no.
    pub fn start(tools: &Tools, registry: &Registry, names: &[(&str, Host<'_>)]) -> Result<Self> {
        Self::start_program("buildkitd", tools, registry, names)
    }

    /// The same of the oldest release that kso supports.
    pub fn start_oldest(tools: &Tools, registry: &Registry, names: &[(&str, Host<'_>)]) -> Result<Self> {
        Self::start_program("buildkitd-floor", tools, registry, names)
    }

    fn start_program(
        program: &'static str,
        tools: &Tools,
        registry: &Registry,
        names: &[(&str, Host<'_>)],
    ) -> Result<Self> {
        Self::start_on(program, tools, registry, names, None)
    }

    fn start_on(
        program: &'static str,
        tools: &Tools,
        registry: &Registry,
        names: &[(&str, Host<'_>)],
        mebibytes: Option<u64>,
    ) -> Result<Self> {
        let directory = Workspace::get().directory("buildkitd");
        if let Some(mebibytes) = mebibytes {
            // The reaper unmounts whatever is mounted below the directory of the run.
            let root = directory.join("root");
            std::fs::create_dir(&root).context("a folder could not be made")?;
            let mut command = Command::new("mount");
            command.args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"]).arg(&root);
            let output = run(command, b"", Duration::from_mins(1))?;
            if !output.status.success() {
                return Err(Error(format!("mount: {}", output.stderr)));
            }
        }
        let hosts: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        std::fs::write(directory.join("buildkitd.toml"), config(tools, &directory, registry, &hosts))
            .context("buildkitd.toml could not be written")?;
        let names = if names.is_empty() { None } else { Some(Names::start(tools, registry, names)?) };
        let mut daemon =
            Self { tools: tools.clone(), program, directory, process: None, names, buildx: OnceLock::new() };
        daemon.launch(true)?;
        Ok(daemon)
    }

    /// The same, with its state on a filesystem of its own of so many MiB.
    pub fn start_small(tools: &Tools, registry: &Registry, mebibytes: u64) -> Result<Self> {
        Self::start_on("buildkitd", tools, registry, &[], Some(mebibytes))
    }

    /// `kill -9` of the daemon alone: what it has started runs on. [`Buildkitd::restart`] starts it again.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::SIGKILL);
            process.wait(Duration::from_secs(10)).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// Fills the filesystem of its state until so many bytes are left, with a file that is returned.
    #[track_caller]
    pub fn fill(&self, left: u64) -> PathBuf {
        let (root, file) = (self.directory.join("root"), self.directory.join("root/ballast"));
        let mut command = Command::new("df");
        command.args(["-B1", "--output=avail"]).arg(&root);
        let output = run(command, b"", Duration::from_mins(1)).unwrap_or_else(|error| panic!("{error}"));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let free: u64 = said.lines().nth(1).and_then(|line| line.trim().parse().ok()).expect("df tells what is free");
        let mut command = Command::new("fallocate");
        command.args(["-l", &free.saturating_sub(left).to_string()]).arg(&file);
        let output = run(command, b"", Duration::from_mins(1)).unwrap_or_else(|error| panic!("{error}"));
        assert!(output.status.success(), "{}", output.stderr);
        file
    }

    /// Ends the daemon and starts it again with the cache it had.
    pub fn restart(&mut self) -> Result<()> {
        self.process = None;
        self.launch(true)
    }

    /// Ends the daemon and starts it again with the cache it had, in a network of its own without any address: whatever it
    /// would ask cannot be reached.
    pub fn restart_offline(&mut self) -> Result<()> {
        self.process = None;
        self.launch(false)
    }

    /// The address for `BUILDKIT_HOST` and `buildctl --addr`.
    pub fn address(&self) -> String {
        format!("unix://{}", self.directory.join("buildkitd.sock").display())
    }

    /// The proxy and the certificates by which this daemon's names are reached, as variables of an environment.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let of = |names: &Names| {
            let certificate = names.certificate().display().to_string();
            vec![("HTTP_PROXY", names.proxy()), ("HTTPS_PROXY", names.proxy()), ("SSL_CERT_FILE", certificate)]
        };
        self.names.as_ref().map(of).unwrap_or_default()
    }

    /// The number of its process.
    ///
    /// # Panics
    ///
    /// When it was killed.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the daemon runs").pid()
    }

    /// Where its state lies.
    pub fn directory(&self) -> &std::path::Path {
        &self.directory
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

    /// `buildctl prune` of the records that this filter picks: `description~="sha256:…"`. Returns what was pruned.
    #[track_caller]
    pub fn prune(&self, filter: &str) -> String {
        let mut command = self.tools.command("buildctl", &self.directory);
        command.args(["--addr", &self.address(), "prune", "--all", "--filter", filter]);
        let output = run(command, b"", Duration::from_mins(1)).unwrap_or_else(|error| panic!("{error}"));
        assert!(output.status.success(), "prune {filter}: {}", output.stderr);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("log")
    }

    fn launch(&mut self, online: bool) -> Result<()> {
        let mut command = if online {
            self.tools.command(self.program, &self.directory)
        } else {
            self.tools.command_offline(self.program, &self.directory)
        };
        command.arg("--config").arg(self.directory.join("buildkitd.toml"));
        command.envs(self.environment());
        if let Some(names) = &self.names {
            let path = search_path();
            let paths = std::iter::once(names.programs().to_owned()).chain(std::env::split_paths(&path));
            command.env("PATH", std::env::join_paths(paths).context("a folder's name has a colon")?);
        }
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
fn config(tools: &Tools, directory: &std::path::Path, registry: &Registry, names: &[&str]) -> String {
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
    for host in MIRRORED.iter().filter(|host| !names.contains(host)) {
        let _ = write!(text, "\n[registry.\"{host}\"]\nmirrors = [\"{}/{host}\"]\n", registry.host());
    }
    text
}
