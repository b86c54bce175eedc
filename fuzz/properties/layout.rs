//! The tar of an OCI layout that `kso verify` is given, written to a file that only this process knows.

use std::path::PathBuf;
use std::sync::LazyLock;

use kso::rootfs::layout::Layout;

static PLACE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("kso-fuzz-{}.tar", std::process::id()))
});

/// Images are read, or it is told why not; nothing of them is an absolute path or leads upwards.
pub fn holds(data: &[u8]) {
    std::fs::write(&*PLACE, data).expect("a file of ours");
    let images = Layout::of_tar(&PLACE).and_then(|layout| layout.images(&["/srv", "/var/lib/registry"], &|_| {}));
    for image in images.into_iter().flatten() {
        for path in image.tree.below("") {
            assert!(path.starts_with("/srv/") || path.starts_with("/var/lib/registry/"), "{path:?}");
        }
    }
    drop(std::fs::remove_file(&*PLACE));
}
