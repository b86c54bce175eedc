//! The answer to `--call=kso.plan`: the layers of each image that would be built, what is in them, and what platforms share.
//! Nothing is asked for it: sizes, and the layers of container images, are known with a lock. Does not know how anything is
//! fetched.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use buildkit::gateway::{BuildResult, subrequest};
use serde_json::{Value, json};

use crate::artifact::Artifacts;
use crate::definition::Spec;
use crate::diagnostic::hints::{self, lock_build};
use crate::diagnostic::{Diagnostic, counted, size};
use crate::kind;
use crate::lock::{self, Fit, LockFile};
use crate::name::{ImageRef, Platform};
use crate::plan::{self, Plan};
use crate::target::{ImageTarget, Target};

/// What is known without asking.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// What the definition asks for.
    pub spec: &'a Spec,
    /// The lock, and what it says of the specification.
    pub lock: Option<(&'a LockFile, &'a Fit)>,
    /// The platforms of the build.
    pub platforms: &'a [Platform],
}

/// One target.
struct Part {
    target: ImageTarget,
    base: String,
    platforms: Vec<String>,
    layers: Vec<Row>,
    /// What it holds, in words: `3 files`.
    content: String,
}

/// One layer above the base.
struct Row {
    name: String,
    /// The names of the platforms whose images have it.
    platforms: BTreeSet<String>,
    /// What it holds: path, source, bytes.
    entries: Vec<(String, String, Option<u64>)>,
}

/// What a layer with kso itself is called.
const KSO: &str = "kso verify";

impl Row {
    /// Whether it is kso itself, whose size nobody asks for.
    fn is_kso(&self) -> bool {
        self.name == KSO
    }

    /// `None` where the size of an entry is unknown.
    fn bytes(&self) -> Option<u64> {
        total(self.entries.iter().map(|(.., bytes)| *bytes))
    }
}

/// All sizes together, if all are known. A lock says them, and it may say anything.
fn total(mut sizes: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    sizes.try_fold(0_u64, |all, bytes| Some(all.saturating_add(bytes?)))
}

/// The plan of a target, or of all that are images. `definition` is its name, for hints.
pub(super) fn answer(known: &Known<'_>, target: Option<Target>, definition: &str) -> Result<BuildResult, Diagnostic> {
    let targets = match target {
        None => ImageTarget::of(known.spec),
        Some(Target::Image(image)) => vec![image],
        Some(text @ Target::Text(_)) => {
            let problem = Diagnostic::error(format!("the target `{}` is text, and has no layers", text.as_str()));
            return Err(problem.help("ask for the plan of `files` or `images`"));
        }
    };
    let part = |target: &ImageTarget| match target {
        ImageTarget::Files => files_part(known),
        ImageTarget::Images => images_part(known, definition),
    };
    let parts = targets.iter().map(part).collect::<Result<Vec<Part>, Diagnostic>>()?;
    let text = parts.iter().map(text).collect::<Vec<_>>().join("\n");
    let json = json!({ "targets": parts.iter().map(json).collect::<Vec<_>>() });
    Ok(subrequest::answer(serde_json::to_string_pretty(&json).unwrap_or_default(), text))
}

fn files_part(known: &Known<'_>) -> Result<Part, Diagnostic> {
    let Known { spec, lock, platforms } = *known;
    let bases = lock::assumed_bases(&spec.file_server.image, lock.map(|(file, _)| file.lock()), platforms);
    let artifacts = kind::files::tree::artifacts(spec.file_section());
    let plan = kind::files::tree::plan(spec.file_section(), &artifacts, &bases, &plan::Options::default())?;
    let content = counted(spec.files.len(), "file");
    Ok(part(ImageTarget::Files, &spec.file_server.image, known, &plan, &artifacts, content))
}

fn images_part(known: &Known<'_>, definition: &str) -> Result<Part, Diagnostic> {
    let Known { spec, lock, platforms } = *known;
    let content = counted(spec.images.len(), "image");
    let base = &spec.registry.image;
    let Some((file, fit)) = lock else {
        let none = Plan { layers: Vec::new(), images: Vec::new() };
        let content =
            format!("{content}; the layers are known with a lock: {}", hints::named(lock_build!(), definition));
        return Ok(part(ImageTarget::Images, base, known, &none, &Artifacts::default(), content));
    };
    let bases = lock::assumed_bases(base, Some(file.lock()), platforms);
    let artifacts = kind::images::tree::artifacts(spec.image_section(), &fit.images);
    let plan =
        kind::images::tree::plan(spec.image_section(), &fit.images, &artifacts, &bases, &plan::Options::default())?;
    Ok(part(ImageTarget::Images, base, known, &plan, &artifacts, content))
}

fn part(
    target: ImageTarget,
    base: &ImageRef,
    known: &Known<'_>,
    plan: &Plan,
    artifacts: &Artifacts,
    content: String,
) -> Part {
    let platforms = known.platforms;
    let entry = |entry: &plan::Entry| match &entry.content {
        plan::Content::Artifact(id) => {
            let artifact = &artifacts[*id];
            (entry.path.clone(), artifact.name().to_owned(), artifact.bytes)
        }
        plan::Content::Text(text) => (entry.path.clone(), "kso".to_owned(), Some(text.len() as u64)),
    };
    let has = |at: usize| {
        let images = plan.images.iter().zip(platforms).filter(move |(image, _)| image.layers.contains(&at));
        images.map(|(_, platform)| platform.to_string()).collect()
    };
    let layers = plan.layers.iter().enumerate().map(|(at, layer)| Row {
        name: layer.name.clone(),
        platforms: has(at),
        entries: layer.entries.iter().map(entry).collect(),
    });
    let mut layers: Vec<Row> = layers.collect();
    if !layers.is_empty() {
        layers.extend(above(known));
    }
    Part {
        target,
        base: base.to_string(),
        platforms: platforms.iter().map(ToString::to_string).collect(),
        layers,
        content,
    }
}

/// What lies above the content: the lock, and kso for each platform that the frontend's image has.
fn above(known: &Known<'_>) -> Vec<Row> {
    let row = |name: &str, path: &str, platforms: &[Platform], bytes| Row {
        name: name.to_owned(),
        platforms: platforms.iter().map(ToString::to_string).collect(),
        entries: vec![(path.to_owned(), "kso".to_owned(), bytes)],
    };
    let lock = known.lock.map(|(file, _)| file.lock().write().len()).filter(|bytes| *bytes <= plan::LARGEST_LOCK);
    let lock = lock.map(|bytes| row("the lock", "/kso.lock", known.platforms, Some(bytes as u64)));
    let kso = known.platforms.iter().map(|platform| row(KSO, "/kso", std::slice::from_ref(platform), None));
    lock.into_iter().chain(kso).collect()
}

fn json(part: &Part) -> Value {
    let layer = |layer: &Row| {
        let entry =
            |(path, from, bytes): &(String, String, Option<u64>)| json!({ "path": path, "from": from, "bytes": bytes });
        json!({
            "name": layer.name,
            "platforms": layer.platforms,
            "bytes": layer.bytes(),
            "entries": layer.entries.iter().map(entry).collect::<Vec<_>>(),
        })
    };
    let layers: Vec<Value> = part.layers.iter().map(layer).collect();
    json!({ "name": part.target.as_str(), "base": part.base, "platforms": part.platforms, "layers": layers })
}

fn text(part: &Part) -> String {
    let mut out = format!("TARGET:    {}\nBASE:      {}\n", part.target.as_str(), part.base);
    let _ = writeln!(out, "PLATFORMS: {}\nCONTENT:   {}", part.platforms.join(", "), part.content);
    if part.layers.is_empty() {
        return out;
    }
    let _ = writeln!(out, "\nLAYER  ENTRIES      SIZE  {:24}CONTENT", "PLATFORMS");
    for (at, layer) in part.layers.iter().enumerate() {
        let (platforms, entries) = (of(part, &layer.platforms), layer.entries.len());
        let _ = writeln!(
            out,
            "{:>5}  {entries:>7}  {:>8}  {platforms:24}{}",
            at + 1,
            known_size(layer.bytes()),
            layer.name
        );
    }
    out.push('\n');
    let groups: BTreeSet<&BTreeSet<String>> = part.layers.iter().map(|layer| &layer.platforms).collect();
    for group in groups {
        let layers = part.layers.iter().filter(|layer| layer.platforms == *group);
        let (count, kso) = (layers.clone().count(), layers.clone().any(Row::is_kso));
        let bytes = total(layers.filter(|layer| !layer.is_kso()).map(Row::bytes));
        let whose = match of(part, group) {
            all if all == "all" && part.platforms.len() > 1 => "shared by all platforms".to_owned(),
            all if all == "all" => part.platforms.join(", "),
            some => format!("only {some}"),
        };
        let bytes = match bytes {
            Some(0) if kso => "kso itself".to_owned(),
            Some(bytes) => size(bytes) + if kso { " and kso itself" } else { "" },
            None => "sizes are known only with a lock".to_owned(),
        };
        let _ = writeln!(out, "{whose}: {}, {bytes}", counted(count, "layer"));
    }
    out
}

/// The names of platforms; `all` where they are those of the build.
fn of(part: &Part, platforms: &BTreeSet<String>) -> String {
    if platforms.len() == part.platforms.len() {
        return "all".into();
    }
    platforms.iter().cloned().collect::<Vec<_>>().join(", ")
}

fn known_size(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "?".into(), size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_a_lock_invented_have_a_total() {
        assert_eq!(total([Some(u64::MAX), Some(u64::MAX)].into_iter()), Some(u64::MAX));
        assert_eq!(total([Some(1), Some(2)].into_iter()), Some(3));
        assert_eq!(total([Some(1), None].into_iter()), None);
    }
}
