//! How long a release of Kubespray takes to render for both architectures. Owns the measurement; prints it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use kso::name::Arch;
use kso::producer::kubespray::{Folder, Include, Input, Release, is_variables, texts};

/// Renders each release of `../shared/data`, or the small one of the tests, and prints the best of five times.
pub fn kubespray() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = root.join("../shared/data/kubespray");
    let mut releases: Vec<_> =
        fs::read_dir(&shared).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    releases.sort();
    let mut checkouts: Vec<_> = releases.iter().map(|release| release.join("checkout")).collect();
    if checkouts.is_empty() {
        println!("{} is absent: the small release of the tests", shared.display());
        checkouts.push(root.join("src/producer/kubespray/tests/fixture"));
    }
    for checkout in checkouts {
        let mut input = Input::default();
        walk(&checkout, &checkout, &mut input.checkout);
        let best = (0..5).map(|_| render(&input)).min().unwrap_or_default();
        println!("{:>8.1} ms  {}", best.as_secs_f64() * 1e3, checkout.display());
    }
}

fn render(input: &Input) -> Duration {
    let start = Instant::now();
    let release = Release::read(input, &mut Vec::new()).expect("a release");
    let lists = texts(&release.all_downloads(Include::All, &Arch::ALL, &mut Vec::new()));
    assert!(!lists.is_empty());
    start.elapsed()
}

fn walk(root: &Path, path: &Path, folder: &mut Folder) {
    for path in fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            walk(root, &path, folder);
        } else if let Some(relative) = path.strip_prefix(root).ok().and_then(Path::to_str)
            && relative.starts_with("roles/")
            && is_variables(relative)
        {
            folder.files.insert(relative.to_owned(), fs::read(&path).expect("a file"));
        }
    }
}

fn main() {
    kubespray();
}
