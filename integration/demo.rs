//! `make demo`: builds `examples/files` for both platforms and shows what was built. Without options everything is the
//! harness's own and needs no internet; `BUILDER=name REGISTRY=host/name` uses the user's builder and the real hosts.

#[allow(unused, reason = "the tests use more of it")]
mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::Value;

use harness::{Build, Buildx, Container, Error, Harness, Origin, Result, Workspace, architecture, frontend, run};

const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

fn main() -> ExitCode {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let shown = match (variable("BUILDER"), variable("REGISTRY")) {
        (None, None) => embedded(),
        (Some(builder), Some(registry)) => users(&builder, &registry),
        _ => Err(Error("BUILDER=name and REGISTRY=host/name go together".to_owned())),
    };
    if let Err(error) = &shown {
        eprintln!("error: {error}");
    }
    Workspace::end(shown.is_err());
    if shown.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Builds with daemons of our own; an origin of our own is the mirror of every host.
fn embedded() -> Result<()> {
    let harness = Harness::start()?;
    let origin = Origin::start();
    origin.sizes(200_000..=4_000_000);
    let folder = harness.folder("files");
    copy(&example(), &folder)?;
    let urls = urls(&folder)?;
    let hosts: BTreeSet<&str> = urls.iter().filter_map(|url| url.split('/').nth(2)).collect();
    let mut definition = read(&folder.join("kso.yaml"))? + "mirrors:\n";
    for host in hosts {
        let _ = writeln!(definition, "  - {{ from: 'https://{host}/', to: ['{}'] }}", origin.mirror(host));
    }
    std::fs::write(folder.join("kso.yaml"), &definition).map_err(|error| Error(error.to_string()))?;
    harness.frontend();

    println!("\n{}", definition.trim_end());
    let image = "org/kubespray-files:demo";
    let reference = harness.registry().reference(image);
    let build = |image: &str| harness.buildx().build(&folder).push(image);
    let took = build_twice(&reference, || build(image))?;
    show(harness.buildx(), &reference)?;
    println!("\nThe first build took {:.1} s, the same again {:.1} s.", took[0].as_secs_f64(), took[1].as_secs_f64());

    let platform = format!("linux/{}", architecture());
    let container = Container::start(harness, image, &platform);
    println!("\nThe image of {platform}, started, answers:");
    for url in urls {
        let path = format!("/k8s/{}", url.trim_start_matches("https://"));
        let answer = container.get(&path);
        println!("  {} {:>9}  {path}", answer.status, size(answer.body.len() as u64));
        let expected = origin.sha256(&path["/k8s".len()..]);
        if answer.status != 200 || answer.sha256() != expected {
            return Err(Error(format!("{path} should be the file with sha256 {expected}")));
        }
    }
    Ok(())
}

/// Builds with the user's builder, from the real hosts.
fn users(builder: &str, registry: &str) -> Result<()> {
    Workspace::create()?;
    let buildx = Buildx::users(builder);
    let binaries = harness::step("kso, compiled", || frontend::binaries(&["--allow-missing"]))?;
    let platforms: Vec<&str> =
        PLATFORMS.into_iter().filter(|platform| binaries.join(platform.replace("linux/", "kso-")).exists()).collect();
    let frontend = format!("{registry}/kso-frontend:demo");
    frontend::image(&buildx, &binaries).platform(&platforms.join(",")).args(["--push", "-t", &frontend]).watch()?;
    let reference = format!("{registry}/kso-demo:latest");
    let syntax = format!("BUILDKIT_SYNTAX={frontend}");
    let build = || buildx.build(example()).args(["--build-arg", &syntax, "--push", "-t", &reference]);
    let took = build_twice(&reference, build)?;
    show(&buildx, &reference)?;
    println!("\nThe first build took {:.1} s, the same again {:.1} s.", took[0].as_secs_f64(), took[1].as_secs_f64());
    println!("\nIt holds the files of {} URLs. To see them:", urls(&example())?.len());
    println!("  docker run --rm -p 8080:80 {reference}    # http://localhost:8080/k8s/");
    Ok(())
}

/// Builds what `build` begins, and once more with nothing changed; returns how long each took.
fn build_twice(reference: &str, build: impl Fn() -> Build) -> Result<[Duration; 2]> {
    let platforms = PLATFORMS.join(",");
    println!("\n$ docker buildx build --platform {platforms} -f kso.yaml -t {reference} --push .");
    let once = || {
        let began = Instant::now();
        build().platform(&platforms).file("kso.yaml").watch().map(|()| began.elapsed())
    };
    let first = once()?;
    println!("\n$ !!    # nothing changed");
    Ok([first, once()?])
}

/// Prints platforms, layers, sizes, and what the platforms share.
fn show(buildx: &Buildx, reference: &str) -> Result<()> {
    let index = inspect(buildx, &["--raw", reference])?;
    let configs = inspect(buildx, &["--format", "{{json .Image}}", reference])?;
    let repository = reference.rsplit_once(':').map_or(reference, |(name, _)| name);
    let mut layers = BTreeMap::new();
    println!("\n{reference}");
    for platform in PLATFORMS {
        let named = |manifest: &&Value| {
            let platform_of = &manifest["platform"];
            format!("{}/{}", text(&platform_of["os"]), text(&platform_of["architecture"])) == platform
        };
        let manifest = index["manifests"].as_array().and_then(|list| list.iter().find(named));
        let digest =
            text(&manifest.ok_or_else(|| Error(format!("{reference} has no {platform}")))?["digest"]).to_owned();
        let manifest = inspect(buildx, &["--raw", &format!("{repository}@{digest}")])?;
        let found: Vec<(String, u64)> = list(&manifest["layers"])
            .map(|layer| (text(&layer["digest"]).to_owned(), layer["size"].as_u64().unwrap_or(0)))
            .collect();
        let bytes = found.iter().map(|(_, size)| size).sum();
        println!("  {platform}  {:>3} layers  {:>9}  {digest}", found.len(), size(bytes));
        layers.insert(platform, found);
    }
    let [first, second] = PLATFORMS.map(|platform| &layers[platform]);
    let shared: Vec<_> = first.iter().filter(|layer| second.contains(layer)).collect();
    let bytes = shared.iter().map(|(_, size)| size).sum();
    println!("  of these the platforms share {} layers, {}: stored and pushed once\n", shared.len(), size(bytes));

    let mut created = list(&configs[PLATFORMS[0]]["history"]).filter(|entry| entry["empty_layer"] != true);
    for (digest, bytes) in first {
        let by = created.next().map(|entry| text(&entry["created_by"]).to_owned()).unwrap_or_default();
        println!("  {:>9}  {}  {by}", size(*bytes), &digest["sha256:".len()..][..12]);
    }
    Ok(())
}

fn inspect(buildx: &Buildx, arguments: &[&str]) -> Result<Value> {
    let mut command = buildx.command();
    command.args(["imagetools", "inspect"]).args(arguments);
    let output = run(command, b"", Duration::from_mins(2))?;
    serde_json::from_slice(&output.stdout).map_err(|error| {
        Error(format!("buildx imagetools inspect {}: {error}\n{}", arguments.join(" "), output.stderr))
    })
}

/// The URLs of the example's lists, each once.
fn urls(folder: &Path) -> Result<BTreeSet<String>> {
    let mut urls = BTreeSet::new();
    for architecture in ["amd64", "arm64"] {
        let list = read(&folder.join(format!("temp/files-{architecture}.list")))?;
        urls.extend(list.lines().map(str::trim).filter(|line| line.starts_with("https://")).map(str::to_owned));
    }
    Ok(urls)
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/files")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let files = || -> std::io::Result<()> {
        std::fs::create_dir_all(to.join("temp"))?;
        for file in ["kso.yaml", "temp/files-amd64.list", "temp/files-arm64.list"] {
            std::fs::copy(from.join(file), to.join(file))?;
        }
        Ok(())
    };
    files().map_err(|error| Error(format!("{} could not be copied: {error}", from.display())))
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Error(format!("{}: {error}", path.display())))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
