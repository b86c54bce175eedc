//! From a specification and what the world answered to a lock. Pure: whoever asked, the same answers give the same lock.

use super::{Lock, LockedBase};
use crate::definition::Spec;
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
    pub fn of(spec: &Spec, layout: u32, answers: Answers) -> Self {
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
        lock
    }
}
