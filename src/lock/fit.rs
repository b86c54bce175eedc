//! Whether a lock fits a specification, entry by entry. Owns what is reported if it does not; does not know what is built.

use std::collections::BTreeSet;

use super::{LockFile, LockedFile, Name, answers};
use crate::diagnostic::hints::UPDATE_ENTRY;
use crate::diagnostic::rules::UNUSED_LOCK_ENTRY;
use crate::diagnostic::{Diagnostic, Span, quoted};
use crate::resolve::image::Resolved;
use crate::spec::{File, Image, Spec};

/// The maximum number of unused entries that are named.
const NAMED: usize = 3;

/// What a lock says of a specification that it fits.
#[derive(Debug, Clone)]
pub struct Fit {
    /// The container images, parallel to those of the specification.
    pub images: Vec<Resolved>,
}

impl LockFile {
    /// Fits the lock to `spec`, whose files then have the checksums and sizes of the lock. The error tells every entry that is
    /// missing or fits no longer; what the lock has beyond is a warning.
    pub fn fit(&self, spec: &mut Spec, diagnostics: &mut Vec<Diagnostic>) -> Result<Fit, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        for (reference, span) in answers::bases(spec) {
            if self.lock().base(&reference).is_none() {
                problems.push(self.lacks(&format!("the base image {reference}"), span.iter()));
            }
        }
        for file in &mut spec.files {
            self.file(file, &mut problems);
        }
        let images: Vec<_> = {
            let served = answers::served(spec);
            let renamed = |image: &&Image| {
                self.lock().image(&image.reference).map(|it| &it.served) != served.get(&image.reference)
            };
            let renamed: BTreeSet<_> = spec.images.iter().filter(renamed).map(|image| &image.reference).collect();
            let attestations = spec.registry.attestations;
            let image = |image: &Image| self.image(image, attestations, renamed.contains(&image.reference));
            spec.images
                .iter()
                .map(image)
                .filter_map(|found| found.map_err(|problem| problems.push(problem)).ok())
                .collect()
        };
        if problems.is_empty() {
            diagnostics.extend(self.unasked(spec));
            Ok(Fit { images })
        } else {
            Err(problems)
        }
    }

    /// Pins a file.
    fn file(&self, file: &mut File, problems: &mut Vec<Diagnostic>) {
        let Some(LockedFile { url, sha256, bytes, .. }) = self.lock().file(&file.path) else {
            problems.push(self.lacks(file.url.as_str(), file.spans.iter()));
            return;
        };
        let place = self.span(&Name::File(file.path.clone()));
        let other = if *url != file.url {
            Some(format!("the lock has a different URL for {}: {url}", quoted(file.path.as_str())))
        } else if file.sha256.as_ref().is_some_and(|pin| pin != sha256) {
            Some(format!("the lock has a different checksum for {url}: {sha256}"))
        } else {
            None
        };
        if let Some(message) = other {
            problems.push(outdated(&message, file.spans.first(), place));
            return;
        }
        file.sha256 = Some(sha256.clone());
        file.locked_at = place;
        file.bytes = Some(*bytes);
    }

    fn image(&self, image: &Image, attestations: bool, renamed: bool) -> Result<Resolved, Diagnostic> {
        let Image { reference, served, architectures, spans } = image;
        let Some(locked) = self.lock().image(reference) else {
            return Err(self.lacks(reference.as_str(), spans.iter()));
        };
        let place = || self.span(&Name::Image(reference.clone()));
        if renamed {
            let message = format!(
                "the lock has other served names for {reference} (definition: {})",
                quoted(&served.to_string())
            );
            return Err(outdated(&message, spans.first(), place()));
        }
        locked
            .resolved
            .part(architectures, attestations)
            .map_err(|why| outdated(&format!("the lock's entry for {reference} {why}"), spans.first(), place()))
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
        let bases = answers::bases(spec);
        let lock = self.lock();
        let files = lock.files().filter(|file| !files.contains(&file.path)).map(|file| file.url.as_str());
        let images = lock.images().map(super::LockedImage::reference).filter(|name| !images.contains(name));
        let bases = lock.bases().map(super::LockedBase::reference).filter(|name| !bases.contains_key(name));
        let names: Vec<&str> = files.chain(images.chain(bases).map(crate::spec::ImageRef::as_str)).collect();
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
