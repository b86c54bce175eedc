//! What a command took: time, processor, memory. Owns the process between that waits for it; does not know what it does.
//!
//! The kernel tells a process what its children took only all together, so each command is run by a process of its own: this
//! program, started once more.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

use crate::harness::{Buildkitd, Error, Result, Workspace, run};

/// The first argument of the process between.
const WRAPPED: &str = "--measured";

/// A build that takes longer hangs.
const WITHIN: Duration = Duration::from_mins(30);

/// What a command took.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Taken {
    /// From start to end, in seconds.
    pub(crate) wall: f64,
    /// Of the processor, in seconds.
    pub(crate) cpu: f64,
    /// The most that one process had resident, in bytes.
    pub(crate) client_memory: u64,
    /// The most that the daemon had resident, in bytes.
    pub(crate) daemon_memory: u64,
}

/// Runs `command` to its end, which must be a good one.
pub(crate) fn measured(command: &Command, daemon: Option<&Buildkitd>) -> Result<Taken> {
    let file = Workspace::get().path().join(Workspace::get().name("taken"));
    let own = std::env::current_exe().map_err(|error| Error(format!("this program cannot be found: {error}")))?;
    let mut wrapper = Command::new(own);
    wrapper.arg(WRAPPED).arg(&file).arg(command.get_program()).args(command.get_args());
    wrapper.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        wrapper.current_dir(folder);
    }
    let before = daemon.map(Daemon::begin).transpose()?;
    let output = run(wrapper, b"", WITHIN)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        return Err(Error(format!("{command:?} failed ({}):\n{said}\n{}", output.status, output.stderr)));
    }
    if std::env::var_os("SHOW").is_some() {
        eprintln!("{}{}", String::from_utf8_lossy(&output.stdout), output.stderr);
    }
    let text = fs::read_to_string(&file).map_err(|error| Error(format!("{}: {error}", file.display())))?;
    let mut taken: Taken = serde_json::from_str(&text).map_err(|error| Error(error.to_string()))?;
    if let Some(before) = before {
        let (cpu, memory) = before.end()?;
        taken.cpu += cpu;
        taken.daemon_memory = memory;
    }
    Ok(taken)
}

/// What the process between does: it runs the rest of its arguments and writes down what that took. `None` in any other
/// process.
pub(crate) fn wrapped() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != WRAPPED {
        return None;
    }
    let (file, program) = (arguments.next()?, arguments.next()?);
    let began = Instant::now();
    let status = Command::new(program).args(arguments).status();
    let wall = began.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).ok()?;
    let cpu = usage.user_time() + usage.system_time();
    #[expect(clippy::cast_precision_loss, reason = "microseconds of minutes")]
    let cpu = cpu.num_microseconds() as f64 / 1e6;
    // Linux counts kilobytes: getrusage(2).
    let client_memory = u64::try_from(usage.max_rss()).unwrap_or(0) << 10;
    let taken = Taken { wall, cpu, client_memory, daemon_memory: 0 };
    let written = serde_json::to_string(&taken).ok().and_then(|text| fs::write(Path::new(&file), text).ok());
    let good = written.is_some() && status.is_ok_and(|status| status.success());
    Some(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A daemon before a command.
struct Daemon {
    pid: u32,
    ticks: u64,
}

impl Daemon {
    fn begin(daemon: &Buildkitd) -> Result<Self> {
        let pid = daemon.pid();
        // 5: from now on the peak is counted anew. proc(5), /proc/pid/clear_refs.
        fs::write(format!("/proc/{pid}/clear_refs"), "5").map_err(|error| Error(format!("clear_refs: {error}")))?;
        Ok(Self { pid, ticks: ticks(pid)? })
    }

    /// The seconds of the processor since then, and the peak of its memory in bytes.
    fn end(self) -> Result<(f64, u64)> {
        let text = read(&format!("/proc/{}/status", self.pid))?;
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) << 10;
        #[expect(clippy::cast_precision_loss, reason = "hundredths of seconds")]
        let ticks = (ticks(self.pid)? - self.ticks) as f64;
        Ok((ticks / TICKS, peak))
    }
}

/// Of a second, in `/proc/pid/stat`: the same on every Linux of today, whatever its own clock does. time(7).
const TICKS: f64 = 100.0;

/// What a process and those it has waited for took of the processor. proc(5), /proc/pid/stat: utime, stime, cutime, cstime.
fn ticks(pid: u32) -> Result<u64> {
    let text = read(&format!("/proc/{pid}/stat"))?;
    let after_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    Ok(after_name.split_whitespace().skip(11).take(4).filter_map(|word| word.parse::<u64>().ok()).sum())
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).map_err(|error| Error(format!("{path}: {error}")))
}
