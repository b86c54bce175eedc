//! Child processes: started in a process group of their own, logged to a file, waited for, ended by their number.
//! It does not know which programs these are.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::workspace::Workspace;
use super::{Context, Error, Result};

/// How long a process may take from SIGTERM to its end, before its whole group is killed.
const GRACE: Duration = Duration::from_secs(10);

/// A process that runs until it is dropped.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command`; stdout and stderr are appended to `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .context(format_args!("{} could not be opened", log.display()))?;
        command.stdin(Stdio::null()).stderr(output.try_clone().context("a file handle could not be copied")?);
        let child = spawn(command.stdout(output))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned(), ended: None })
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has written so far, stdout and stderr together.
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Asks `ready` every few milliseconds until it has an answer. An error when the process ends first, or when
    /// `within` has passed: then the error carries the end of the log.
    pub fn wait_until<T>(&mut self, within: Duration, mut ready: impl FnMut(&Self) -> Option<T>) -> Result<T> {
        let began = Instant::now();
        loop {
            if let Some(answer) = ready(self) {
                return Ok(answer);
            }
            let problem = match self.status() {
                Some(status) => format!("{} ended early ({status})", self.name),
                None if began.elapsed() > within => format!("{} was not ready after {within:?}", self.name),
                None => {
                    sleep(Duration::from_millis(10));
                    continue;
                }
            };
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            let tail: String = tail.iter().rev().flat_map(|line| ["\n    ", line]).collect();
            return Err(Error(format!("{problem}; the end of its log:{tail}")));
        }
    }

    /// Sends a signal to the process alone, not to its group.
    pub fn signal(&self, signal: Signal) {
        let _ = kill(pid_of(&self.child), signal);
    }

    /// Waits for its end; an error when that takes longer than `within`.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let began = Instant::now();
        loop {
            match self.status() {
                Some(status) => return Ok(status),
                None if began.elapsed() > within => {
                    return Err(Error(format!("{} did not end within {within:?}:\n{}", self.name, self.log())));
                }
                None => sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Sends SIGTERM, waits, kills the group if that did not help. A second call does nothing.
    pub fn stop(&mut self) {
        if self.status().is_none() {
            let _ = kill(pid_of(&self.child), Signal::SIGTERM);
            let began = Instant::now();
            while self.status().is_none() && began.elapsed() < GRACE {
                sleep(Duration::from_millis(10));
            }
        }
        if self.status().is_none() {
            let _ = killpg(pid_of(&self.child), Signal::SIGKILL);
            self.ended = self.child.wait().ok();
            Workspace::get().ended(self.child.id());
        }
    }

    fn status(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
            if self.ended.is_some() {
                Workspace::get().ended(self.child.id());
            }
        }
        self.ended
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What a process that ran to its end left behind.
#[derive(Debug)]
pub struct Output {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its stdout, as bytes: an exporter may write an image there.
    pub stdout: Vec<u8>,
    /// Its stderr.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

/// Runs `command` to its end with `stdin` as its input. An error when it could not be started, or not within `within`:
/// its group is then killed.
pub fn run(mut command: Command, stdin: &[u8], within: Duration) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    let directory = tempfile::tempdir_in(Workspace::get().path()).context("a temporary directory could not be made")?;
    let file = |name: &str| File::create(directory.path().join(name)).context("a temporary file could not be made");
    command.stdin(Stdio::piped()).stdout(file("stdout")?).stderr(file("stderr")?);
    let began = Instant::now();
    let mut child = spawn(&mut command)?;
    let mut pipe = child.stdin.take().expect("stdin is piped");
    let status = std::thread::scope(|scope| {
        // A program that does not read its input closes the pipe; that is no error of ours.
        scope.spawn(move || pipe.write_all(stdin));
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break Ok(status),
                Ok(None) if began.elapsed() > within => {
                    let _ = killpg(pid_of(&child), Signal::SIGKILL);
                    let _ = child.wait();
                    break Err(Error(format!("{program} did not end within {within:?}")));
                }
                Ok(None) => sleep(Duration::from_millis(5)),
                Err(error) => break Err(Error(format!("{program}: {error}"))),
            }
        };
        Workspace::get().ended(child.id());
        status
    });
    let took = began.elapsed();
    let read = |name: &str| std::fs::read(directory.path().join(name)).context("a temporary file could not be read");
    let stderr = String::from_utf8_lossy(&read("stderr")?).into_owned();
    let status = status.map_err(|Error(problem)| Error(format!("{problem}; it wrote:\n{stderr}")))?;
    Ok(Output { status, stdout: read("stdout")?, stderr, took })
}

/// Runs `command` to its end with our own stdout and stderr.
pub fn watch(mut command: Command) -> Result<ExitStatus> {
    let mut child = spawn(command.stdin(Stdio::null()))?;
    let status = child.wait().context("a process could not be waited for");
    Workspace::get().ended(child.id());
    status
}

fn spawn(command: &mut Command) -> Result<Child> {
    let child = command
        .process_group(0)
        .spawn()
        .context(format_args!("{} could not be started", command.get_program().to_string_lossy()))?;
    Workspace::get().started(child.id());
    Ok(child)
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("process numbers fit"))
}
