//! `make demo`: builds `examples/files` for two platforms and shows what was built. With `BUILDER` and `REGISTRY` in the
//! environment it uses a builder and a registry of the user's, and the real hosts; else the harness's own.

#[path = "harness/mod.rs"]
mod harness;
mod summary;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use harness::{FRONTEND, Harness, Origin};

/// What is built, below the package.
const EXAMPLE: &str = "examples/files";
const PLATFORMS: &str = "linux/amd64,linux/arm64";

fn main() -> ExitCode {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let result = match (variable("BUILDER"), variable("REGISTRY")) {
        (Some(builder), Some(registry)) => with_builder(&builder, &registry),
        (None, None) => with_harness(),
        _ => Err("BUILDER=name and REGISTRY=host/name go together".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// On daemons that run only as long as this program, with a stand-in for the internet.
fn with_harness() -> Result<(), String> {
    let harness = Harness::start().map_err(|error| error.to_string())?;
    let result = std::panic::catch_unwind(|| {
        let _ = harness.frontend();
        let origin = Origin::start();
        origin.sizes(1_000_000..=4_000_000);
        let folder = project(harness, &origin);
        let image = harness.registry().reference("org/kso-demo:1");
        let mut build = harness.buildx().command();
        build.current_dir(folder).args([
            "build",
            "--platform",
            PLATFORMS,
            "-f",
            "kso.yaml",
            "-t",
            &image,
            "--push",
            ".",
        ]);
        show_and_run(build)?;
        summary::show(|| harness.buildx().command(), &image)
    });
    Harness::stop(false);
    result.unwrap_or_else(|_| Err("the demo broke off".into()))
}

/// On a builder of the user's, who has pushed rights to `registry`.
fn with_builder(builder: &str, registry: &str) -> Result<(), String> {
    let docker = || {
        let mut command = Command::new("docker");
        command.arg("buildx").env("BUILDX_BUILDER", builder);
        command
    };
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (frontend, image) = (format!("{registry}/kso-frontend:demo"), format!("{registry}/kso-demo:1"));
    let mut push = docker();
    push.current_dir(package).args(["build", "-f", "frontends/kso/Dockerfile", "--platform", PLATFORMS]);
    push.args(["-t", &frontend, "--push", "."]);
    show_and_run(push)?;
    let mut build = docker();
    build.current_dir(package.join(EXAMPLE)).args(["build", "--platform", PLATFORMS, "-f", "kso.yaml"]);
    build.args(["--build-arg", &format!("BUILDKIT_SYNTAX={frontend}"), "-t", &image, "--push", "."]);
    show_and_run(build)?;
    summary::show(docker, &image)
}

/// The example, with a mirror for each host of its lists, because nothing here reaches them.
fn project(harness: &Harness, origin: &Origin) -> PathBuf {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join(EXAMPLE);
    let folder = harness.folder("demo");
    fs::create_dir(folder.join("temp")).expect("the folder is new");
    let mut definition = fs::read_to_string(example.join("kso.yaml")).expect("the example is there");
    let mut hosts = std::collections::BTreeSet::new();
    for name in ["temp/files-amd64.list", "temp/files-arm64.list"] {
        let list = fs::read_to_string(example.join(name)).expect("the example is there");
        hosts.extend(
            list.lines().filter_map(|line| line.strip_prefix("https://")?.split('/').next().map(str::to_owned)),
        );
        fs::write(folder.join(name), list).expect("the folder can be written");
    }
    definition.push_str("mirrors:\n");
    for host in hosts {
        let _ = writeln!(definition, "  - {{ from: https://{host}/, to: [\"{}\"] }}", origin.mirror(&host));
    }
    println!("\nkso.yaml ({EXAMPLE}, with mirrors to a local stand-in; the frontend is {FRONTEND}):\n\n{definition}");
    fs::write(folder.join("kso.yaml"), definition).expect("the folder can be written");
    folder
}

/// Prints a command as one would type it, and runs it with its output on the terminal.
fn show_and_run(mut command: Command) -> Result<(), String> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let program = Path::new(&words[0]).file_name().unwrap_or_default().to_string_lossy().into_owned();
    println!("$ {program} {}", words[1..].join(" "));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} ended with {status}")),
        Err(error) => Err(format!("{program} cannot be started: {error}")),
    }
}
