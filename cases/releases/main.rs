//! Real releases of Kubespray, as users have them: their files lie in `../shared/data`, beside the repository, not in it.
//! Where that directory is absent, their tests are counted as ignored, and fail when they are asked for with
//! `--include-ignored`. The small release of the unit tests (`src/producer/kubespray/tests/fixture`) is always there.

mod lists;
mod proof;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use kso::name::Arch;
use kso::producer::kubespray::{Downloads, Folder, Include, Input, Release, Vars, is_variables};
use libtest_mimic::{Arguments, Trial, run};

/// A test: its name, and what it runs.
type Test = (&'static str, fn());

const RELEASES: [&str; 4] = ["v2.16.0", "v2.21.0", "v2.25.1", "v2.31.0"];

fn main() -> ExitCode {
    let trial = |&(name, test): &Test| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let absent = !shared().is_dir();
    if absent {
        eprintln!("There is no {}: the tests of real releases are ignored.", shared().display());
    }
    let real = lists::TESTS.iter().chain(proof::TESTS).map(|test| trial(test).with_ignored_flag(absent));
    run(&Arguments::from_args(), real.chain(proof::OF_THE_FIXTURE.iter().map(trial)).collect()).exit_code()
}

/// Where the real releases lie, with what Ansible made of them.
fn shared() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data")
}

/// The small release of the unit tests.
fn fixture(inventory: bool, vars: &[&str]) -> Input {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/producer/kubespray/tests/fixture");
    let vars: Vec<String> = vars.iter().map(|text| (*text).to_owned()).collect();
    Input {
        checkout: folder("", &root),
        inventory: inventory.then(|| folder("inventory/mine", &root.join("inventory/mine"))),
        vars: Vars::of_arguments(&vars).expect("arguments"),
        span: None,
    }
}

fn folder(name: &str, root: &Path) -> Folder {
    fn walk(root: &Path, path: &Path, folder: &mut Folder) {
        let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for entry in entries {
            let path = entry.expect("a readable directory").path();
            if path.is_dir() {
                walk(root, &path, folder);
            } else if let Some(relative) = path.strip_prefix(root).ok().and_then(Path::to_str)
                && is_variables(relative)
            {
                folder.files.insert(relative.to_owned(), fs::read(&path).expect("a file"));
            }
        }
    }
    let mut folder = Folder { name: name.to_owned(), ..Folder::default() };
    walk(root, root, &mut folder);
    folder
}

fn input(release: &Path, sample: bool, vars: &[&str]) -> Input {
    let vars: Vec<String> = vars.iter().map(|text| (*text).to_owned()).collect();
    Input {
        checkout: folder("", &release.join("checkout")),
        inventory: sample.then(|| folder("inventory/sample", &release.join("checkout/inventory/sample"))),
        vars: Vars::of_arguments(&vars).expect("arguments"),
        span: None,
    }
}

fn downloads(input: &Input, include: Include, arch: Arch) -> Downloads {
    let mut diagnostics = Vec::new();
    let release = Release::read(input, &mut diagnostics).expect("a release");
    let downloads = release.downloads(include, arch, &mut diagnostics);
    let errors: Vec<_> = diagnostics.iter().filter(|problem| problem.is_error()).collect();
    assert!(errors.is_empty(), "{}", kso::diagnostic::render(&diagnostics, 20));
    downloads
}
