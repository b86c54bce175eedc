//! The frontend image, made from this working tree and pushed where `# syntax=` lines look for it. It knows how kso is
//! compiled, and not what it does.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::process::run;
use super::tools::search_path;
use super::{Context, Error, FRONTEND, Harness, Result};

/// The architecture of this machine, as images name it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Compiles the static binary (cargo knows when nothing changed) and builds and pushes the image with it.
pub fn push(harness: &Harness) -> Result<()> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| package.join("target"), PathBuf::from);
    let binaries = target.join("frontend-binaries");
    let mut command = Command::new(package.join("frontends/build"));
    command.args(["--arch", architecture()]).arg(&binaries).current_dir(package).env("PATH", search_path());
    let output = run(command, b"", Duration::from_secs(1200)).context("frontends/build")?;
    if !output.status.success() {
        return Err(Error(format!("frontends/build failed:\n{}", output.stderr)));
    }
    let built = harness
        .buildx()
        .build(package)
        .file("frontends/kso/Dockerfile")
        .args(["--build-context", &format!("binaries={}", binaries.display())])
        .platform(&format!("linux/{}", architecture()))
        .push(FRONTEND)
        .run();
    if built.status.success() { Ok(()) } else { Err(Error(format!("the frontend image:\n{}", built.stderr))) }
}
