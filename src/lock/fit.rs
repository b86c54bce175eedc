//! Whether a lock fits a specification, entry by entry. Owns what is reported if it does not; does not know what is built.

use std::collections::BTreeSet;

use crate::definition::Spec;
use crate::diagnostic::hints::UPDATE_ENTRY;
use crate::diagnostic::rules::UNUSED_LOCK_ENTRY;
use crate::diagnostic::{Diagnostic, Span, quoted};
use crate::kind::files::File;
use crate::kind::images::resolved::Resolved;
use crate::kind::images::{self, Image, LockedImage};
use crate::lock::{LockFile, LockedBase, Name};
use crate::name::{ImageRef, ServedName};

/// The maximum number of unused entries that are named.
const NAMED: usize = 3;

/// What a lock says of a specification that it fits.
#[derive(Debug, Clone)]
pub struct Fit {
    /// The container images, parallel to those of the specification.
    pub images: Vec<Resolved>,
}

impl LockFile {
    /// Fits the lock to `spec`, whose files then have the checksums and sizes of the lock. The error reports every entry that is
    /// missing or fits no longer; what the lock has beyond is a warning.
    pub fn fit(&self, spec: &mut Spec, diagnostics: &mut Vec<Diagnostic>) -> Result<Fit, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        for (reference, span) in spec.bases() {
            if self.lock().base(&reference).is_none() {
                problems.push(self.lacks(&format!("the base image {reference}"), span.iter()));
            }
        }
        for file in &mut spec.files {
            self.file(file, &mut problems);
        }
        let served = images::served(&spec.images);
        let mut images = Vec::new();
        for image in &spec.images {
            match self.image(image, &served[&image.reference], spec.registry.attestations) {
                Ok(resolved) => images.push(resolved),
                Err(problem) => problems.push(problem),
            }
        }
        problems.extend(images::disagreements(spec.image_section(), |reference| {
            Some(&self.lock().image(reference)?.resolved.top().digest)
        }));
        if problems.is_empty() {
            diagnostics.extend(self.unasked(spec));
            Ok(Fit { images })
        } else {
            Err(problems)
        }
    }

    /// Pins a file.
    fn file(&self, file: &mut File, problems: &mut Vec<Diagnostic>) {
        let Some(locked) = self.lock().file(&file.path) else {
            problems.push(self.lacks(file.url.as_str(), file.spans.iter()));
            return;
        };
        let place = self.span(&Name::File(file.path.clone()));
        if let Err(message) = locked.pin(file, place.clone()) {
            problems.push(outdated(&message, file.spans.first(), place));
        }
    }

    fn image(&self, image: &Image, served: &BTreeSet<ServedName>, attestations: bool) -> Result<Resolved, Diagnostic> {
        let Some(locked) = self.lock().image(&image.reference) else {
            return Err(self.lacks(image.reference.as_str(), image.spans.iter()));
        };
        let place = || self.span(&Name::Image(image.reference.clone()));
        locked.part(image, served, attestations).map_err(|message| outdated(&message, image.spans.first(), place()))
    }

    fn lacks<'a>(&self, what: &str, mut spans: impl Iterator<Item = &'a Span>) -> Diagnostic {
        let problem =
            Diagnostic::error(format!("the lock {} has no entry for {what}", quoted(self.name()))).help(UPDATE_ENTRY);
        problem.at(spans.next().cloned())
    }

    /// The warning about unused entries.
    fn unasked(&self, spec: &Spec) -> Option<Diagnostic> {
        let files: BTreeSet<_> = spec.files.iter().map(|file| &file.path).collect();
        let images: BTreeSet<_> = spec.images.iter().map(|image| &image.reference).collect();
        let bases = spec.bases();
        let lock = self.lock();
        let files = lock.files().filter(|file| !files.contains(&file.path)).map(|file| file.url.as_str());
        let images = lock.images().map(LockedImage::reference).filter(|name| !images.contains(name));
        let bases = lock.bases().map(LockedBase::reference).filter(|name| !bases.contains_key(name));
        let names: Vec<&str> = files.chain(images.chain(bases).map(ImageRef::as_str)).collect();
        let (count, shown) = (names.len(), names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", "));
        let more = if count > NAMED { format!(" and {} more", count - NAMED) } else { String::new() };
        let name = quoted(self.name());
        let problem = Diagnostic::lint(
            &UNUSED_LOCK_ENTRY,
            format!("the definition does not use entries of the lock {name}: {shown}{more}"),
        );
        (count > 0).then_some(problem)
    }
}

/// An entry that fits no longer.
fn outdated(message: &str, span: Option<&Span>, place: Option<Span>) -> Diagnostic {
    Diagnostic::error(message).help(UPDATE_ENTRY).at(span.cloned()).related(place, "the lock's entry")
}
