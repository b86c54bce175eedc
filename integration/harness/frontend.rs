//! The frontend image, made from this working tree and pushed where `# syntax=` lines look for it. It knows how kso is
//! compiled, and not what it does.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::process::run;
use super::tools::search_path;
use super::{Build, Buildx, Context, Error, FRONTEND, Harness, Result};

/// The architecture of this machine, as images name it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// What of kso's compiled programs a test needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    Nothing,
    /// The frontend image, or the program in it.
    Frontend,
    /// The programs of both architectures.
    Both,
}

thread_local! {
    /// What this thread asked for, and how long it waited for that.
    static ASKED: Cell<(Needs, Duration)> = const { Cell::new((Needs::Nothing, Duration::ZERO)) };
}

/// Does what waits for a compiler, and counts the time.
pub fn wait<T>(needs: Needs, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    let (before, waited) = ASKED.get();
    ASKED.set((needs.max(before), waited + began.elapsed()));
    done
}

/// What this thread asked for since it last called this, and how long it waited for that.
pub fn take_asked() -> (Needs, Duration) {
    ASKED.replace((Needs::Nothing, Duration::ZERO))
}

/// Compiles static binaries as they are published (cargo knows when nothing changed); returns the directory with `kso-amd64` and
/// `kso-arm64`, as far as they were asked for by `arguments` of `frontends/build`.
pub fn binaries(arguments: &[&str]) -> Result<PathBuf> {
    build("release", arguments)
}

/// Compiles with a profile of cargo.
fn build(profile: &str, arguments: &[&str]) -> Result<PathBuf> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| package.join("target"), PathBuf::from);
    let binaries = target.join("frontend-binaries").join(profile);
    let mut command = Command::new(package.join("frontends/build"));
    command.args(["--profile", profile]).args(arguments).arg(&binaries).current_dir(package).env("PATH", search_path());
    // A bound for what hangs: beside the tests, a slow machine of two cores needs twenty minutes for one program.
    let output = run(command, b"", Duration::from_hours(1)).context("frontends/build")?;
    if !output.status.success() {
        return Err(Error(format!("frontends/build failed:\n{}", output.stderr)));
    }
    Ok(binaries)
}

/// Compiles for the architecture that this machine does not have.
pub fn compile_other() -> Result<()> {
    let other = if architecture() == "amd64" { "arm64" } else { "amd64" };
    binaries(&["--arch", other]).map(|_| ())
}

/// The program for this machine as it is published.
pub fn published() -> Result<PathBuf> {
    let binaries = wait(Needs::Frontend, || binaries(&["--arch", architecture()]))?;
    Ok(binaries.join(format!("kso-{}", architecture())))
}

/// The program for this machine with the optimization of the published one, whatever `KSO_QUICK` says.
pub fn optimized() -> Result<PathBuf> {
    let binaries = wait(Needs::Frontend, trial)?;
    Ok(binaries.join(format!("kso-{}", architecture())))
}

/// Compiles what is published but for the optimization while linking: in a third of the time, and a quarter larger.
fn trial() -> Result<PathBuf> {
    build("trial", &["--arch", architecture()])
}

/// Compiles without optimization, in seconds: for work on kso, not for a test that counts.
fn quick() -> Result<PathBuf> {
    let binary = compiled(&["--bin", "kso"], "kso")?;
    let binaries = binary.with_file_name("binaries");
    std::fs::create_dir_all(&binaries)
        .and_then(|()| std::fs::copy(binary, binaries.join(format!("kso-{}", architecture()))))
        .context("the binary could not be copied")?;
    Ok(binaries)
}

/// Compiles an example of `crates/buildkit` without optimization.
pub fn example(name: &str) -> Result<PathBuf> {
    compiled(&["--package", "buildkit", "--example", name], &format!("examples/{name}"))
}

/// Compiles a static program without optimization; returns its path.
fn compiled(arguments: &[&str], program: &str) -> Result<PathBuf> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| package.join("target"), PathBuf::from);
    let target = target.join("quick");
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut command = Command::new("cargo");
    command.args(["build", "--locked"]).args(arguments).args(["--target", &triple, "--target-dir"]).arg(&target);
    command.current_dir(package).env("PATH", search_path()).env("RUSTFLAGS", "-Ctarget-feature=+crt-static");
    let output = run(command, b"", Duration::from_mins(20)).context("cargo build")?;
    if !output.status.success() {
        return Err(Error(format!("cargo build failed:\n{}", output.stderr)));
    }
    Ok(target.join(&triple).join("debug").join(program))
}

/// The build of the image from binaries, without a platform and a destination.
pub fn image(buildx: &Buildx, binaries: &Path) -> Build {
    buildx
        .build(env!("CARGO_MANIFEST_DIR"))
        .file("frontends/kso/Dockerfile")
        .args(["--build-context", &format!("binaries={}", binaries.display())])
}

/// What [`push_both`] pushes, as the first line of a definition writes it.
pub const BOTH: &str = "ghcr.io/org/kso-frontend:both";

/// The binary for this machine, in its folder.
fn own() -> Result<PathBuf> {
    if std::env::var_os("KSO_QUICK").is_some() { quick() } else { trial() }
}

/// Compiles for this machine and pushes an image for both platforms, which all hold that program, as [`BOTH`].
pub fn push_both(harness: &Harness) -> Result<()> {
    let binary = own()?.join(format!("kso-{}", architecture()));
    let folder = harness.folder("binaries");
    for name in ["kso-amd64", "kso-arm64"] {
        std::fs::copy(&binary, folder.join(name)).context("the binary could not be copied")?;
    }
    let output = image(harness.buildx(), &folder).platform("linux/amd64,linux/arm64").push(BOTH).run();
    if output.status.success() { Ok(()) } else { Err(Error(format!("the frontend image:\n{}", output.stderr))) }
}

/// Compiles for this machine and pushes to the harness's registry as [`FRONTEND`].
pub fn push(harness: &Harness) -> Result<()> {
    let binaries = own()?;
    let build = image(harness.buildx(), &binaries);
    let output = build.platform(&format!("linux/{}", architecture())).push(FRONTEND).run();
    if output.status.success() { Ok(()) } else { Err(Error(format!("the frontend image:\n{}", output.stderr))) }
}
