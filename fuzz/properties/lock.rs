//! The lock: what was read is written and read again as the same.

use kso::diagnostic::{Diagnostic, Source};
use kso::lock::{Lock, MAX_LOCK_BYTES, Name};

use super::{place, told};

/// A lock is read, or told what is wrong with it; one that is read is what it writes.
pub fn holds(data: &[u8]) {
    let Ok(source) = Source::from_bytes("kso.lock", data.to_vec(), MAX_LOCK_BYTES) else { return };
    let file = match Lock::read(&source) {
        Ok(file) => file,
        Err(problems) => {
            assert!(problems.iter().any(Diagnostic::is_error), "nothing was said");
            told(&problems);
            return;
        }
    };
    let lock = file.lock();
    let names = (lock.files().map(|file| Name::File(file.path.clone())))
        .chain(lock.images().map(|image| Name::Image(image.reference().clone())))
        .chain(lock.bases().map(|base| Name::Base(base.reference().clone())));
    for name in names {
        place(&file.span(&name).expect("each entry has its lines"));
    }
    let written = lock.write();
    let again = Lock::read(&Source::new("kso.lock", written.as_str())).expect("what is written is read");
    assert_eq!(again.lock(), lock);
    assert_eq!(again.lock().write(), written);
}
