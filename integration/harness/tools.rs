//! The programs the harness runs, installed by `integration/tools/install`. It does not know how they are used.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Context, Error, Result};

/// Where each program lies.
#[derive(Debug, Clone)]
pub struct Tools {
    paths: BTreeMap<String, PathBuf>,
}

impl Tools {
    /// Installs what is missing (the first time minutes, then nothing) and returns where everything is.
    pub fn install() -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/tools/install");
        let output = Command::new("bash")
            .arg(&script)
            .stderr(Stdio::inherit())
            .output()
            .context(format_args!("{} could not be started", script.display()))?;
        if !output.status.success() {
            return Err(Error(format!("{} failed ({})", script.display(), output.status)));
        }
        let mut paths: BTreeMap<String, PathBuf> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, path)| (name.to_owned(), PathBuf::from(path)))
            .collect();
        if let Some(buildkitd) = std::env::var_os("KSO_BUILDKITD") {
            paths.insert("buildkitd".to_owned(), PathBuf::from(buildkitd));
        }
        Ok(Self { paths })
    }

    /// The path of `buildkitd`, `buildkitd-floor`, `buildctl`, `buildx`, `registry` or `runc`, or of the folder `nginx` was unpacked in.
    pub fn path(&self, name: &str) -> &Path {
        self.paths.get(name).unwrap_or_else(|| panic!("integration/tools/install names no {name}"))
    }

    /// A command that gets nothing from our environment but a search path, and `home` as its home.
    pub fn command(&self, name: &str, home: &Path) -> Command {
        Self::bare(Command::new(self.path(name)), home)
    }

    /// The same in a network of its own, which has no address.
    pub fn command_offline(&self, name: &str, home: &Path) -> Command {
        let mut command = Self::bare(Command::new("unshare"), home);
        command.arg("--net").arg(self.path(name));
        command
    }

    fn bare(mut command: Command, home: &Path) -> Command {
        command.env_clear().env("HOME", home).env("TMPDIR", home).env("PATH", search_path());
        command
    }
}

/// The value of `KEY` in `versions.env`.
pub fn version(key: &str) -> &'static str {
    include_str!("../../versions.env")
        .lines()
        .filter_map(|line| line.split_once('='))
        .find_map(|(name, value)| (name == key).then_some(value))
        .unwrap_or_else(|| panic!("versions.env has no {key}"))
}

/// The search path, with what a bare one often lacks: the folders of cargo and of the administrator's programs.
pub fn search_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(cargo) = std::env::var_os("CARGO").as_deref().and_then(|cargo| Path::new(cargo).parent()) {
        path.push(":");
        path.push(cargo);
    }
    path.push(":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin");
    path
}
