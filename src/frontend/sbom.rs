//! The bills of materials of a build: attached to its images where the client wants them, and the target `sbom`. Owns when
//! there is one and where it lies; does not know what it says.

use std::borrow::Cow;
use std::collections::BTreeSet;

use buildkit::gateway::{BuildResult, MAX_MESSAGE, Options};
use buildkit::llb::{File, Mkfile, State};

use super::report::Failure;
use super::{Build, epoch, lock_target, platforms};
use crate::diagnostic::Diagnostic;
use crate::kind::images::Held;
use crate::lock::Lock;
use crate::lower::FILE_MODE;
use crate::name::{Arch, Platform};
use crate::plan;
use crate::sbom::{Content, PREDICATE, Subject, document};
use crate::target::ImageTarget;

/// The attestation as the client names it.
const ASKED: &str = "sbom";
/// The largest documents (bytes) that a build can write: their text is a part of the graph.
const LARGEST: usize = MAX_MESSAGE - (1 << 20);

/// Whether the client wants one. Who names a scanner (`generator=`) wants that one, which BuildKit runs.
fn is_asked(options: &Options) -> bool {
    let attestations = options.attestations();
    let asked = attestations.get(ASKED);
    asked.is_some_and(|sbom| !sbom.contains_key("generator") && sbom.get("disabled").is_none_or(|it| it != "true"))
}

/// Attaches its bill of materials to the image of each platform, if the client wants that (`--sbom=true`).
pub(super) async fn attach(
    build: &Build<'_>,
    target: ImageTarget,
    platforms: &[Platform],
    replaced: bool,
    mut result: BuildResult,
) -> Result<BuildResult, Failure> {
    if !is_asked(build.options) {
        return Ok(result);
    }
    let lock = lock(build).await?;
    for platform in platforms {
        let text = text(build, &lock, target, platform, replaced)?;
        let path = path(target, platform);
        let reference = build.client.solve_state(&written(&[(path.clone(), text)])?).await?;
        result = result.with_sbom(&platform.to_string(), reference, &path, PREDICATE);
    }
    Ok(result)
}

/// The bills of materials as files of a plain result, one for each image and platform.
pub(super) async fn build(build: &Build<'_>) -> Result<BuildResult, Failure> {
    let lock = lock(build).await?;
    let asked = build.options.platforms()?;
    let platforms = if asked.is_empty() { build.spec.platforms() } else { platforms(build.options)? };
    let mut files = Vec::new();
    for target in ImageTarget::of(build.spec) {
        for platform in &platforms {
            files.push((path(target, platform), text(build, &lock, target, platform, false)?));
        }
    }
    Ok(BuildResult::single(build.client.solve_state(&written(&files)?).await?))
}

/// The lock of the build; where there is none, what would be locked now.
async fn lock<'a>(build: &Build<'a>) -> Result<Cow<'a, Lock>, Failure> {
    match build.lock {
        Some(locked) => Ok(Cow::Borrowed(locked.lock())),
        None => Ok(Cow::Owned(lock_target::lock(build, None).await?)),
    }
}

/// `files-linux-amd64.spdx.json`
fn path(target: ImageTarget, platform: &Platform) -> String {
    format!("{}-{}.spdx.json", target.as_str(), platform.to_string().replace('/', "-"))
}

fn text(
    build: &Build<'_>,
    lock: &Lock,
    target: ImageTarget,
    platform: &Platform,
    replaced: bool,
) -> Result<String, Failure> {
    let spec = build.spec;
    let held = architectures(build, platform);
    let (content, base) = match target {
        ImageTarget::Files => (Content::Files, &spec.file_server.image),
        ImageTarget::Images => {
            let held = held.as_ref().ok_or_else(|| plan::Error::Platform {
                platform: platform.clone(),
                architectures: spec.architectures.clone(),
            })?;
            (Content::Images(held), &spec.registry.image)
        }
    };
    let base = lock.base(base).filter(|_| !replaced);
    Ok(document(lock, &Subject { target: target.as_str(), platform, content, base }, epoch(build.options)))
}

/// The architectures that the registry image of a platform holds; `None` where there is no such image.
fn architectures(build: &Build<'_>, platform: &Platform) -> Option<BTreeSet<Arch>> {
    let all = build.spec.architectures.iter().copied();
    let own = platform.content_arch()?;
    match build.spec.registry.architectures {
        _ if !build.spec.architectures.contains(&own) => None,
        Held::All => Some(all.collect()),
        Held::Match => Some(BTreeSet::from([own])),
    }
}

/// Files in the root of a vertex.
fn written(files: &[(String, String)]) -> Result<State, Failure> {
    let size: usize = files.iter().map(|(_, text)| text.len()).sum();
    if size > LARGEST {
        let (size, most) = (size.div_ceil(1 << 20), LARGEST >> 20);
        let problem = format!("the SBOMs have {size} MiB, but a build can write at most {most} MiB");
        return Err(Diagnostic::error(problem).help("build fewer platforms at a time, or split the definition").into());
    }
    let write = |file: File, (path, text): &(String, String)| {
        file.mkfile(Mkfile::new(&format!("/{path}"), FILE_MODE, text.as_str()).timestamp(0))
    };
    Ok(files.iter().fold(File::scratch(), write).state().named("[sbom] write the SBOMs"))
}
