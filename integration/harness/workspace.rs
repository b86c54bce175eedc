//! The one temporary directory of a run, and the guarantee that nothing is left behind. It does not know what runs in it.
//!
//! A small process of its own, the reaper, is told about every process that is started. When this program ends, in
//! whatever way, the reaper ends those processes and deletes the directory: after a panic, Ctrl-C and `kill -9` too.
//! Processes, mounts and control groups are gone when [`Workspace::end`] returns. The directory has another name by then,
//! and is deleted in the background.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::{Context, Result};

static WORKSPACE: OnceLock<Workspace> = OnceLock::new();

/// The directory of this run. There is one per program, because there is one reaper per program.
pub struct Workspace {
    directory: PathBuf,
    cgroup: String,
    reaper: Mutex<Option<(Child, ChildStdin)>>,
    next: AtomicU64,
}

impl Workspace {
    /// Makes the directory and starts the reaper; called once, first of all.
    pub fn create() -> Result<&'static Self> {
        let directory = tempfile::Builder::new()
            .prefix("kso-")
            .tempdir()
            .context("a temporary directory could not be made")?
            .keep();
        let mut reaper = Command::new("bash")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/integration/harness/reaper.bash"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .context("bash could not be started")?;
        let stdin = reaper.stdin.take().expect("stdin is piped");
        let name = directory.file_name().and_then(|name| name.to_str()).expect("tempfile makes an ASCII name");
        let cgroup = name.to_owned();
        let workspace = Self { directory, cgroup, reaper: Mutex::new(Some((reaper, stdin))), next: AtomicU64::new(1) };
        workspace.tell(&format!("directory {}", workspace.directory.display()));
        workspace.tell(&format!("cgroup {}", workspace.cgroup));
        if std::env::var_os("KSO_KEEP").is_some() {
            workspace.tell("keep yes");
        }
        assert!(WORKSPACE.set(workspace).is_ok(), "the workspace is made once");
        Ok(Self::get())
    }

    /// The workspace of this run.
    pub fn get() -> &'static Self {
        WORKSPACE.get().expect("Harness::start makes the workspace first")
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// The control group below which every container of this run lies: a name without slashes.
    pub fn cgroup(&self) -> &str {
        &self.cgroup
    }

    /// A name nobody had before in this run, such as `origin-7`.
    pub fn name(&self, what: &str) -> String {
        format!("{what}-{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// A new empty directory, such as `<workspace>/context-3`. It stays until the end of the run.
    pub fn directory(&self, what: &str) -> PathBuf {
        let path = self.directory.join(self.name(what));
        std::fs::create_dir(&path).unwrap_or_else(|error| panic!("{} could not be made: {error}", path.display()));
        path
    }

    /// From now on the reaper ends this process, which leads a process group of its own, should we not do it.
    pub(super) fn started(&self, pid: u32) {
        self.tell(&format!("process {pid}"));
    }

    /// The process is gone, and its number may soon be another's.
    pub(super) fn ended(&self, pid: u32) {
        self.tell(&format!("ended {pid}"));
    }

    /// Ends every process that still runs, unmounts, and has the directory deleted, if there is a workspace. With `KSO_KEEP`
    /// set, a run that failed keeps it.
    pub fn end(failed: bool) {
        let Some(workspace) = WORKSPACE.get() else { return };
        if !failed {
            workspace.tell("keep");
        }
        let reaper = workspace.reaper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((mut reaper, stdin)) = reaper {
            drop(stdin);
            let _ = reaper.wait();
        }
    }

    fn tell(&self, line: &str) {
        if let Some((_, stdin)) = &mut *self.reaper.lock().unwrap_or_else(PoisonError::into_inner) {
            // Should the reaper be gone, Drop still ends every process; only the safety net is missing.
            let _ = writeln!(stdin, "{line}");
        }
    }
}
