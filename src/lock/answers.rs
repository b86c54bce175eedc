//! From a specification and what the world answered to a lock. Pure: whoever asked, the same answers give the same lock.

use super::{Lock, LockedBase};
use crate::definition::Spec;
use crate::diagnostic::Diagnostic;
use crate::kind::files::{FileAnswer, LockedFile};
use crate::kind::images::resolved::Resolved;
use crate::kind::images::{self, LockedImage};
use crate::producer::kubespray::LockedKubespray;

/// What the world answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// What the lists of Kubespray were rendered from, if they were.
    pub kubespray: Option<LockedKubespray>,
    /// The base images, for those of [`Spec::bases`].
    pub bases: Vec<LockedBase>,
    /// The files, parallel to those of the specification.
    pub files: Vec<FileAnswer>,
    /// The container images, parallel to those of [`images::to_ask`].
    pub images: Vec<Resolved>,
}

impl Lock {
    /// The lock of a specification. `layout` is the version of the layer layout that it is built with.
    ///
    /// # Errors
    /// Answers that contradict each other.
    pub fn of(spec: &Spec, layout: u32, answers: Answers) -> Result<Self, Vec<Diagnostic>> {
        let mut lock = Self::new(layout);
        lock.kubespray = answers.kubespray;
        for base in answers.bases {
            lock.put_base(base);
        }
        for (file, answer) in spec.files.iter().zip(answers.files) {
            lock.put_file(LockedFile::of(file, answer));
        }
        let mut served = images::served(&spec.images);
        for resolved in answers.images {
            let served = served.remove(resolved.reference()).unwrap_or_default();
            lock.put_image(LockedImage { served, resolved });
        }
        let problems = images::disagreements(spec.image_section(), |reference| {
            Some(&lock.image(reference)?.resolved.top().digest)
        });
        if problems.is_empty() { Ok(lock) } else { Err(problems) }
    }

    /// What the entries say that is worth a look, though it can be built, at the lines of `spec`.
    pub fn doubts(&self, spec: &Spec) -> Vec<Diagnostic> {
        let wanted = images::to_ask(&spec.images);
        let images = wanted.iter().filter_map(|image| Some((image, self.image(&image.reference)?)));
        let doubts = images.flat_map(|(image, locked)| {
            locked.resolved.mismatches().map(move |why| {
                let problem =
                    Diagnostic::warning(format!("{} {why}", image.reference)).at(image.spans.first().cloned());
                problem.help("the image may not run there: try it, and report it to its publisher if it does not")
            })
        });
        doubts.collect()
    }
}
