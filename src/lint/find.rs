//! The rules that a whole specification is checked for. Owns when each is broken; what reading alone finds out (what is
//! requested twice, what is never used) is reported where it is read.

use std::collections::BTreeSet;

use crate::artifact::PinnedAt;
use crate::definition::Spec;
use crate::diagnostic::rules::{
    ARCHITECTURE_WITHOUT_PLATFORM, CHECKSUM_FROM_FIRST_USE, LATEST_TAG, MIRROR_WITHOUT_PIN, MISSING_ARCHITECTURE,
    PLAIN_HTTP, UNPINNED_FILE, UNPINNED_IMAGE,
};
use crate::diagnostic::{Diagnostic, Span, quoted};
use crate::kind::files::{ChecksumSource, File};
use crate::kind::images::{Held, Image};
use crate::lock::LockFile;
use crate::name::{Arch, ImageRef, Platform};

/// What is checked.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What the definition asks for; with the checksums of the lock, where there is one.
    pub spec: &'a Spec,
    /// The lock that the specification fits.
    pub lock: Option<&'a LockFile>,
    /// Whether missing pins are reported. They are not when the lock itself is built.
    pub pins: bool,
    /// The architectures of the platforms that registry images are built for; `None` where none is built.
    pub platforms: Option<&'a [Platform]>,
}

/// Everything that is found, in no order.
pub(super) fn all(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let Subject { spec, lock, pins, platforms } = *subject;
    if pins {
        files(spec, found);
        mirrors(spec, found);
    }
    if pins && lock.is_none() {
        images(spec, found);
    }
    if let Some(lock) = lock {
        first_use(spec, lock, found);
    }
    missing_files(spec, found);
    missing_images(spec, found);
    if let Some(platforms) = platforms.filter(|_| spec.registry.architectures == Held::Match) {
        without_platform(spec, platforms, found);
    }
}

fn unpinned(spec: &Spec) -> impl Iterator<Item = &File> {
    spec.files.iter().filter(|file| file.sha256.is_none())
}

fn files(spec: &Spec, found: &mut Vec<Diagnostic>) {
    for file in unpinned(spec) {
        let Some(span) = file.spans.first() else { continue };
        let url = quoted(file.url.as_str());
        found.push(Diagnostic::lint(&UNPINNED_FILE, format!("{url} has no checksum")).at(span.clone()));
        if is_plain(file.url.as_str()) && spec.candidates(file).contains(&file.url) {
            let message = format!("{url} is fetched over plain HTTP, and has no checksum");
            found.push(Diagnostic::lint(&PLAIN_HTTP, message).at(span.clone()));
        }
    }
}

fn mirrors(spec: &Spec, found: &mut Vec<Diagnostic>) {
    for mirror in spec.mirrors.for_files() {
        let mut served = unpinned(spec)
            .filter(|file| spec.mirrors.of_file(&file.url).is_some_and(|of| of.from.value == mirror.from.value));
        let Some(first) = served.next() else { continue };
        let (count, from) = (served.count() + 1, quoted(mirror.from.value.as_str()));
        let files = come(count, "file", "checksum");
        let problem = Diagnostic::lint(&MIRROR_WITHOUT_PIN, format!("{files} from the mirror of {from}"));
        let problem = problem.at(mirror.from.span.clone());
        found.push(problem.related(first.spans.first().cloned(), "one of these files"));
        for to in mirror.to.iter().filter(|to| is_plain(to.value.as_str())) {
            let message = format!("{files} over plain HTTP from {}", quoted(to.value.as_str()));
            found.push(Diagnostic::lint(&PLAIN_HTTP, message).at(to.span.clone()));
        }
    }
}

/// `1 file without a checksum is fetched`, `2 files without a checksum are fetched`
fn come(count: usize, what: &str, pin: &str) -> String {
    let (plural, comes) = if count == 1 { ("", "is fetched") } else { ("s", "are fetched") };
    format!("{count} {what}{plural} without a {pin} {comes}")
}

fn is_plain(url: &str) -> bool {
    url.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"))
}

fn images(spec: &Spec, found: &mut Vec<Diagnostic>) {
    let wanted = spec.images.iter().filter_map(|image| Some((&image.reference, image.spans.first()?)));
    let (server, registry) = (&spec.file_server, &spec.registry);
    let bases = [(&server.image, &server.image_span), (&registry.image, &registry.image_span)];
    let bases = bases.into_iter().filter_map(|(image, span)| Some((image, span.as_ref()?)));
    let wanted: Vec<(&ImageRef, &Span)> = wanted.chain(bases).collect();
    found.extend(wanted.iter().filter_map(|(image, span)| tag(image, span)));
    for mirror in spec.mirrors.for_images() {
        let mut asked = wanted.iter().filter(|(image, _)| {
            let of = spec.mirrors.of_image(image).filter(|_| image.digest().is_none());
            of.is_some_and(|of| of.from.value == mirror.from.value)
        });
        let Some((_, first)) = asked.next() else { continue };
        let (count, from) = (asked.count() + 1, quoted(mirror.from.value.as_str()));
        let images = come(count, "image", "digest");
        let problem = Diagnostic::lint(&MIRROR_WITHOUT_PIN, format!("{images} from the mirror of {from}"));
        found.push(problem.at(mirror.from.span.clone()).related((*first).clone(), "one of these images"));
    }
}

fn tag(image: &ImageRef, span: &Span) -> Option<Diagnostic> {
    if image.digest().is_some() {
        return None;
    }
    let name = quoted(image.as_str());
    let problem = if image.tag() == Some("latest") {
        Diagnostic::lint(&LATEST_TAG, format!("{name} is a moving tag"))
    } else {
        Diagnostic::lint(&UNPINNED_IMAGE, format!("{name} has no digest"))
    };
    Some(problem.at(span.clone()))
}

fn first_use(spec: &Spec, lock: &LockFile, found: &mut Vec<Diagnostic>) {
    for file in &spec.files {
        let locked = lock.lock().file(&file.path);
        let (true, Some(span)) = (locked.is_some_and(|it| it.checksum == ChecksumSource::FirstUse), file.spans.first())
        else {
            continue;
        };
        let message = format!(
            "the checksum of {} was taken from the first download and is not published anywhere kso looked",
            quoted(file.url.as_str())
        );
        let problem = Diagnostic::lint(&CHECKSUM_FROM_FIRST_USE, message).at(span.clone());
        let place = file.pinned_at.as_ref().and_then(|pinned| match pinned {
            PinnedAt::Lock(span) => Some(span.clone()),
            PinnedAt::Variable { .. } => None,
        });
        found.push(problem.related(place, "the lock's entry"));
    }
}

/// The words that projects write an architecture with, the longer ones first.
const WORDS: [&str; 6] = ["arm64v8", "aarch64", "arm64", "x86_64", "x86-64", "amd64"];

/// The text without its architecture; `None` where it names none.
fn neutral(text: &str) -> Option<String> {
    let neutral = WORDS.iter().fold(text.to_owned(), |text, word| text.replace(word, "{arch}"));
    (neutral != text).then_some(neutral)
}

/// Files that are asked for by the list of one architecture. One without an architecture in its URL is for all: the file
/// server of each platform has the files of all.
fn missing_files(spec: &Spec, found: &mut Vec<Diagnostic>) {
    let item = |file: &File| {
        Some((
            neutral(file.url.as_str())?,
            file.url.to_string(),
            file.architectures.clone(),
            file.spans.first()?.clone(),
        ))
    };
    missing(spec, &spec.files.iter().filter_map(item).collect::<Vec<_>>(), found);
}

/// Images that are asked for by the list of one architecture.
fn missing_images(spec: &Spec, found: &mut Vec<Diagnostic>) {
    let item = |image: &Image| {
        let name = image.reference.as_str();
        let key = neutral(name).unwrap_or_else(|| name.to_owned());
        Some((key, name.to_owned(), image.architectures.clone(), image.spans.first()?.clone()))
    };
    missing(spec, &spec.images.iter().filter_map(item).collect::<Vec<_>>(), found);
}

/// An item without its architecture, its name, the architectures that request it, and where.
type Item = (String, String, BTreeSet<Arch>, Span);

fn missing(spec: &Spec, items: &[Item], found: &mut Vec<Diagnostic>) {
    for arch in &spec.architectures {
        let has: BTreeSet<&str> =
            items.iter().filter(|(_, _, wanted, _)| wanted.contains(arch)).map(|(key, ..)| key.as_str()).collect();
        for (_, name, wanted, span) in items.iter().filter(|(key, ..)| !has.contains(key.as_str())) {
            let Some(other) = wanted.first() else { continue };
            let message = format!(
                "{} is in the list of {other}, but its counterpart is missing from the list of {arch}",
                quoted(name)
            );
            found.push(Diagnostic::lint(&MISSING_ARCHITECTURE, message).at(span.clone()));
        }
    }
}

fn without_platform(spec: &Spec, platforms: &[Platform], found: &mut Vec<Diagnostic>) {
    let is_built = |arch: &&Arch| platforms.iter().any(|platform| platform.content_arch() == Some(**arch));
    let (built, missing): (Vec<&Arch>, Vec<&Arch>) = spec.architectures.iter().partition(is_built);
    let built: Vec<&str> = built.into_iter().map(|arch| arch.as_str()).collect();
    // Without any, there is nothing else that `architectures` could be set to.
    let or = if built.is_empty() { String::new() } else { format!(", or set `architectures: [{}]`", built.join(", ")) };
    for arch in missing {
        let Some(image) = spec.images.iter().find(|image| image.architectures.contains(arch)) else { continue };
        let message = format!("no registry image is built for {arch}: `--platform` does not include `linux/{arch}`");
        let problem = Diagnostic::lint(&ARCHITECTURE_WITHOUT_PLATFORM, message)
            .help(format!("add `linux/{arch}` to `--platform`{or}"));
        found.push(problem.at(image.spans.first().cloned()));
    }
}
