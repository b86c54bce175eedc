//! The stand-ins for the official images that kso builds on. It does not know what is built on them.

mod nginx;
mod registry;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::image::{Entry, Image, Layer, Tree};
use super::registry::Registry;
use super::tools::{Tools, search_path};
use super::{Context, Error, Result};

pub use nginx::NGINX;
pub use registry::REGISTRY;

/// No clock: the same machine gives the same image on every run.
const CREATED: &str = "2025-01-02T03:04:05Z";

/// Pushes them all for linux/amd64 and linux/arm64.
pub fn push(tools: &Tools, registry: &Registry) -> Result<()> {
    push_image(registry, NGINX, &nginx::layers(tools)?, &nginx::config(), |_| Ok(None))?;
    push_image(registry, REGISTRY, &registry::layers(tools)?, &registry::config(), |_| Ok(None))
}

/// The same, but with a lowest layer for each platform, as official images have: what is copied onto them is then copied
/// for each. And [`DOWNLOADER`].
pub fn push_apart(tools: &Tools, registry: &Registry) -> Result<()> {
    push_image(registry, NGINX, &nginx::layers(tools)?, &nginx::config(), own)?;
    push_image(registry, REGISTRY, &registry::layers(tools)?, &registry::config(), own)?;
    let wget = ["/usr/bin/wget", "/bin/wget"].map(Path::new).into_iter().find(|wget| wget.exists());
    let wget = wget.context("wget is missing")?;
    let mut system = system(&[wget])?;
    system.copy(wget, "usr/bin/wget")?;
    push_image(registry, DOWNLOADER, &[Layer::of(&system)?], &nginx::config(), own)
}

/// An image with wget and a shell, for the first stage of a Dockerfile.
pub const DOWNLOADER: &str = "docker.io/library/downloader:1";

/// A layer that no other platform has.
fn own(platform: &str) -> Result<Option<Layer>> {
    let mut tree = Tree::default();
    tree.text("etc/platform", platform);
    Layer::of(&tree).map(Some)
}

/// Both platforms hold this machine's programs, above the lowest layer that each has: only the native one can be started,
/// but they are two manifests with two configs.
fn push_image(
    registry: &Registry,
    name: &str,
    layers: &[Layer],
    config: &Value,
    lowest: impl Fn(&str) -> Result<Option<Layer>>,
) -> Result<()> {
    let mut image = Image::default();
    for platform in ["linux/amd64", "linux/arm64"] {
        let layers: Vec<Layer> = lowest(platform)?.into_iter().chain(layers.iter().cloned()).collect();
        image.add(platform, config.clone(), &layers);
    }
    registry.push(name, &image)
}

/// What a program needs to start: libraries, a shell, users.
fn system(programs: &[&Path]) -> Result<Tree> {
    let mut tree = Tree::default();
    for folder in ["dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "var/cache"] {
        tree.add(folder, Entry::Folder);
    }
    let shell = ["/bin/dash", "/bin/bash"].map(Path::new).into_iter().find(|shell| shell.exists());
    let shell = shell.context("this machine has neither /bin/dash nor /bin/bash")?;
    tree.copy(shell, "bin/sh")?;
    for program in std::iter::once(&shell).chain(programs) {
        for library in libraries(program)? {
            tree.copy(Path::new(&library), &library)?;
        }
    }
    tree.text("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n");
    Ok(tree)
}

/// The shared libraries a program loads, its loader included, as paths that `ldd` names; none for a static program.
fn libraries(program: &Path) -> Result<Vec<String>> {
    let output = Command::new("ldd")
        .arg(program)
        .env("PATH", search_path())
        .env("LC_ALL", "C")
        .output()
        .context("ldd could not be started")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("not a dynamic executable") {
        return Ok(Vec::new());
    }
    if !output.status.success() || text.contains("not found") {
        return Err(Error(format!("ldd {}:\n{text}{errors}", program.display())));
    }
    let paths = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(str::to_owned).collect())
}
