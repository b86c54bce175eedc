//! `docker buildx build`, as a user would type it. It does not know what is built.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use super::process::{Process, run, watch};
use super::tools::Tools;
use super::upstream::Login;
use super::workspace::Workspace;
use super::{Context, Error, Result};

const BUILDER: &str = "harness";

/// A build that takes longer hangs.
const WITHIN: Duration = Duration::from_mins(10);

/// A buildx with one builder.
pub struct Buildx {
    program: Program,
    builder: String,
    daemon_log: PathBuf,
}

enum Program {
    /// The standalone buildx of the tools, with a home of its own.
    Own(Tools, PathBuf),
    /// `docker buildx` with the user's home, logins and builders.
    Users,
}

impl Buildx {
    /// Registers the daemon at `address`, which logs to `daemon_log`, as the builder.
    pub fn new(tools: &Tools, home: PathBuf, address: &str, daemon_log: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&home).context("buildx's home could not be made")?;
        let buildx = Self { program: Program::Own(tools.clone(), home), builder: BUILDER.to_owned(), daemon_log };
        let mut command = buildx.command();
        command.args(["create", "--name", BUILDER, "--driver", "remote", "--use", address]);
        let output = run(command, b"", Duration::from_mins(1))?;
        if output.status.success() { Ok(buildx) } else { Err(Error(format!("buildx create: {}", output.stderr))) }
    }

    /// A builder of several nodes: a platform, and the address of the daemon that builds for it.
    pub fn nodes(tools: &Tools, home: PathBuf, nodes: &[(&str, &str)]) -> Result<Self> {
        std::fs::create_dir_all(&home).context("buildx's home could not be made")?;
        let daemon_log = PathBuf::new();
        let buildx = Self { program: Program::Own(tools.clone(), home), builder: BUILDER.to_owned(), daemon_log };
        for (number, (platform, address)) in nodes.iter().enumerate() {
            let mut command = buildx.command();
            command.args(["create", "--name", BUILDER, "--driver", "remote", "--platform", platform]);
            command.arg(if number == 0 { "--use" } else { "--append" }).arg(address);
            let output = run(command, b"", Duration::from_mins(1))?;
            if !output.status.success() {
                return Err(Error(format!("buildx create: {}", output.stderr)));
            }
        }
        Ok(buildx)
    }

    /// The user's own, with a builder that exists.
    pub fn users(builder: &str) -> Self {
        Self { program: Program::Users, builder: builder.to_owned(), daemon_log: PathBuf::new() }
    }

    /// `buildx build DIRECTORY`, to be completed and run. The folder is also the working directory, and the context
    /// unless [`Build::context`] says otherwise.
    pub fn build(&self, directory: impl AsRef<Path>) -> Build {
        let mut command = self.command();
        command.current_dir(directory.as_ref()).args(["build", "--progress", "plain"]);
        Build { command, context: ".".to_owned(), stdin: Vec::new(), daemon_log: self.daemon_log.clone() }
    }

    /// Any buildx command, with the environment of this builder.
    pub fn command(&self) -> Command {
        let mut command = match &self.program {
            Program::Own(tools, home) => {
                let mut command = tools.command("buildx", home);
                command.env("DOCKER_CONFIG", home).env("BUILDX_CONFIG", home.join("buildx"));
                command
            }
            Program::Users => {
                let mut command = Command::new("docker");
                command.arg("buildx");
                command
            }
        };
        command.env("BUILDX_BUILDER", &self.builder);
        command
    }
}

/// A `buildx build` that is being put together.
pub struct Build {
    command: Command,
    context: String,
    stdin: Vec<u8>,
    daemon_log: PathBuf,
}

impl Build {
    /// Any argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Any arguments.
    #[must_use]
    pub fn args<A: AsRef<std::ffi::OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// `-f FILE`
    #[must_use]
    pub fn file(self, file: impl AsRef<Path>) -> Self {
        self.arg("-f").arg(file.as_ref())
    }

    /// `-f -`: the definition itself, on stdin.
    #[must_use]
    pub fn stdin(mut self, definition: impl Into<Vec<u8>>) -> Self {
        self.stdin = definition.into();
        self.file("-")
    }

    /// `--platform linux/amd64,linux/arm64`
    #[must_use]
    pub fn platform(self, platforms: &str) -> Self {
        self.args(["--platform", platforms])
    }

    /// `--target NAME`
    #[must_use]
    pub fn target(self, target: &str) -> Self {
        self.args(["--target", target])
    }

    /// `-t REGISTRY/IMAGE --push`, to the harness's registry: `org/x:tag`.
    #[must_use]
    pub fn push(self, image: &str) -> Self {
        let reference = super::Harness::get().registry().reference(image);
        self.args(["--push", "-t", &reference])
    }

    /// `-o type=KIND,dest=PATH` with a new path, which is returned too: a folder for `local`, a file for `oci`,
    /// `docker` and `tar`. Further options follow a comma: `oci,compression=zstd`.
    #[must_use]
    pub fn output(self, kind: &str) -> (Self, PathBuf) {
        let workspace = Workspace::get();
        let dest = workspace.path().join(workspace.name("output"));
        let (kind, options) = kind.split_once(',').unwrap_or((kind, ""));
        let comma = if options.is_empty() { "" } else { "," };
        let value = format!("type={kind},dest={}{comma}{options}", dest.display());
        (self.args(["-o", &value]), dest)
    }

    /// The context, where it is not the folder given to [`Buildx::build`]: a URL, another folder.
    #[must_use]
    pub fn context(mut self, context: &str) -> Self {
        context.clone_into(&mut self.context);
        self
    }

    /// A variable of buildx's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// What `docker login` leaves behind for these hosts, in a folder of its own that the build uses as `DOCKER_CONFIG`;
    /// the file is returned too, for `--secret id=docker-config,src=FILE`.
    #[must_use]
    pub fn logins(self, logins: &[(&str, &Login)]) -> (Self, PathBuf) {
        let folder = Workspace::get().directory("docker-config");
        let auths: serde_json::Map<String, serde_json::Value> =
            logins.iter().map(|(host, login)| ((*host).to_owned(), json!({ "auth": login.basic() }))).collect();
        let file = folder.join("config.json");
        std::fs::write(&file, json!({ "auths": auths }).to_string())
            .unwrap_or_else(|error| panic!("{} could not be written: {error}", file.display()));
        (self.env("DOCKER_CONFIG", &folder.to_string_lossy()), file)
    }

    /// Runs it to its end and lets the user watch; nothing is kept.
    pub fn watch(mut self) -> Result<()> {
        self.command.arg(&self.context);
        match watch(self.command)? {
            status if status.success() => Ok(()),
            status => Err(Error(format!("the build failed ({status})"))),
        }
    }

    /// Starts it, to be watched and interrupted.
    #[track_caller]
    pub fn start(mut self) -> Running {
        self.command.arg(&self.context);
        let log = Workspace::get().path().join(Workspace::get().name("build"));
        let before = std::fs::read(&self.daemon_log).unwrap_or_default().len();
        let process = Process::start("buildx", self.command, &log).unwrap_or_else(|error| panic!("{error}"));
        Running { process, daemon_log: self.daemon_log, before, began: Instant::now() }
    }

    /// Runs it to its end, good or bad.
    #[track_caller]
    pub fn run(mut self) -> BuildOutput {
        self.command.arg(&self.context);
        let log = || std::fs::read(&self.daemon_log).unwrap_or_default();
        let before = log().len();
        let output = run(self.command, &self.stdin, WITHIN).unwrap_or_else(|error| panic!("{error}"));
        BuildOutput {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: plain(&output.stderr),
            took: output.took,
            daemon_log: String::from_utf8_lossy(log().get(before..).unwrap_or_default()).into_owned(),
        }
    }
}

/// A text without the colours that buildx gives warnings, terminal or not.
fn plain(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or(part, |(_, rest)| rest))
}

/// A `buildx build` that runs.
pub struct Running {
    process: Process,
    daemon_log: PathBuf,
    /// The length of that log when the build was started.
    before: usize,
    began: Instant,
}

impl Running {
    /// Asks `ready`, which gets the progress so far, until it has an answer.
    #[track_caller]
    pub fn wait_until<T>(&mut self, within: Duration, mut ready: impl FnMut(&str) -> Option<T>) -> T {
        let answer = self.process.wait_until(within, |process| ready(&process.log()));
        answer.unwrap_or_else(|error| panic!("{error}"))
    }

    /// What Ctrl-C does.
    pub fn interrupt(&self) {
        self.process.signal(Signal::SIGINT);
    }

    /// Its end, good or bad; stdout and stderr are one.
    #[track_caller]
    pub fn end(mut self) -> BuildOutput {
        let status = self.process.wait(WITHIN).unwrap_or_else(|error| panic!("{error}"));
        let log = std::fs::read(&self.daemon_log).unwrap_or_default();
        BuildOutput {
            status,
            stdout: String::new(),
            stderr: self.process.log(),
            took: self.began.elapsed(),
            daemon_log: String::from_utf8_lossy(log.get(self.before..).unwrap_or_default()).into_owned(),
        }
    }
}

/// What `buildx build` said.
#[derive(Debug)]
pub struct BuildOutput {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its stdout: the answer of `--call` and of `--print`.
    pub stdout: String,
    /// Its stderr: the progress, then the error with its excerpt.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
    /// What the daemon logged meanwhile: a frontend's stderr is there, and what other builds did at the same time.
    pub daemon_log: String,
}

impl BuildOutput {
    /// Itself, if the build succeeded.
    #[track_caller]
    #[must_use = "the progress is in it; `let _ =` if only success matters"]
    pub fn success(self) -> Self {
        let Self { status, stderr, daemon_log, .. } = &self;
        assert!(status.success(), "the build failed ({status}):\n{stderr}\nthe daemon's log:\n{daemon_log}");
        self
    }

    /// What was said after the progress, if the build failed: the warnings, the excerpts and the error.
    #[track_caller]
    pub fn failure(&self) -> String {
        assert!(!self.status.success(), "the build succeeded:\n{}", self.stderr);
        // Progress lines begin with `#`; then each vertex that failed stands between two lines of six dashes, in no
        // certain order.
        let mut at = 0;
        let mut told = 0;
        for line in self.stderr.split_inclusive('\n') {
            at += line.len();
            if line.starts_with('#') || line.trim_end() == "------" {
                told = at;
            }
        }
        one_caller(&in_order(self.stderr[told..].trim_start_matches('\n')))
    }
}

/// The text with one name for what failed. buildx asks for the build with two calls that wait for each other, and reports the one
/// that fails first (`solve` in BuildKit's client/solve.go): which one that is differs from run to run.
fn one_caller(told: &str) -> String {
    told.replace("failed to build: failed to run Build function: ", "failed to build: failed to solve: ")
}

/// The text with its warnings sorted: buildx keeps them in a map of Go and prints them in no certain order
/// (`dedupWarnings` in its util/progress/printer.go).
fn in_order(told: &str) -> String {
    let mut lines: Vec<_> = told.lines().collect();
    for warnings in lines.chunk_by_mut(|one, next| is_warning(one) == is_warning(next)) {
        if is_warning(warnings[0]) {
            warnings.sort_unstable();
        }
    }
    lines.join("\n") + "\n"
}

/// Whether it is one of the lines after `2 warnings found`.
fn is_warning(line: &str) -> bool {
    line.starts_with(" - ")
}
