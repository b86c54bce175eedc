//! `kso lock`: the lock, written without BuildKit. Owns which entries are asked for, and where the file lies; does not
//! know how anything is asked.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::Input;
use super::input::{UseLock, existing_lock};
use super::reach::Reach;
use crate::definition::Spec;
use crate::diagnostic::{Diagnostic, counted, quoted};
use crate::kind::files::{self, ChecksumSource, File, FileAnswer, LockedFile};
use crate::kind::images::{self, Image, LockedImage};
use crate::lock::ask::{self, Found, Kept, Question};
use crate::lock::{Answers, Lock, LockedBase};
use crate::name::ImageRef;
use crate::online::{Online, Watch};
use crate::plan;
use crate::registry::Credentials;
use crate::retry::Retry;
use crate::secrets::{SecretOption, Secrets};
use crate::web::{Trust, Web};

/// Write the lock, which pins every file and image of a definition by its digest
///
/// Asks registries and file servers directly, using the logins and credential helpers of `docker login` and the proxy
/// settings of the environment.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    input: Input,
    /// Update only these entries, and add missing ones: files by URL, path or file name, images by name, with or without
    /// their tag. Without names, everything is updated
    #[arg(long, value_name = "NAME", num_args = 0..)]
    update: Option<Vec<String>>,
    /// Write nothing; report differences from the lock, and exit with 1 if there are any
    #[arg(long, conflicts_with = "update")]
    check: bool,
    /// A secret that `hosts` in the definition uses, as in `docker buildx build`: `id=ID,src=FILE`,
    /// `id=ID,env=VARIABLE`
    #[arg(long = "secret", value_name = "SECRET")]
    secrets: Vec<SecretOption>,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let mut diagnostics = Vec::new();
    let done = locked(arguments, &mut diagnostics);
    let _ = write!(io::stderr(), "{}", super::report_of(&arguments.input.file, &mut diagnostics));
    match done {
        Some(text) if !diagnostics.iter().any(Diagnostic::is_error) => {
            let same = text.is_empty() || !arguments.check;
            super::print(text.as_bytes(), if same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Some(text) => super::print(text.as_bytes(), ExitCode::FAILURE),
        None => ExitCode::FAILURE,
    }
}

/// What is printed: for `--check` the differences.
fn locked(arguments: &Arguments, diagnostics: &mut Vec<Diagnostic>) -> Option<String> {
    let loaded = arguments.input.load(Reach::Network, UseLock::Never, diagnostics)?;
    if diagnostics.iter().any(Diagnostic::is_error) {
        return None;
    }
    let (path, spec, kubespray) = (loaded.lock_path, loaded.spec, loaded.kubespray);
    let names = arguments.update.as_deref().unwrap_or_default();
    let present = if arguments.check || !names.is_empty() {
        Some(existing_lock(&path).map_err(|problems| diagnostics.extend(problems)).ok()?.lock().clone())
    } else {
        None
    };
    let wanted = images::to_ask(&spec.images);
    // Without names, everything is asked for anew.
    let base = if names.is_empty() { None } else { present.as_ref() };
    if let Some(lost) = names.iter().find(|name| !is_known(name, &spec)) {
        diagnostics.push(
            Diagnostic::error(format!("nothing in the definition is named {}", quoted(lost)))
                .help("use the URL, path or file name of a file, or the name of an image, with or without its tag"),
        );
        return None;
    }
    let kept = kept(&spec, &wanted, base, names);
    let found = match ask(&spec, &arguments.secrets, &kept.question()) {
        Ok(found) => found,
        Err(why) => {
            diagnostics.push(Diagnostic::error(why));
            return None;
        }
    };
    if let (true, Some(present)) = (arguments.check, &present) {
        let text = differences(&spec, &wanted, present, &found);
        diagnostics.extend(found.problems);
        return Some(text);
    }
    if !found.problems.is_empty() {
        diagnostics.extend(found.problems);
        return None;
    }
    let answers = Answers { kubespray, ..kept.answers(found)? };
    let lock = Lock::of(&spec, plan::LAYOUT, answers).map_err(|problems| diagnostics.extend(problems)).ok()?;
    diagnostics.extend(lock.doubts(&spec));
    match save(&path, &lock.write()) {
        Ok(()) => {
            let entries = lock.entries();
            let count = counted(entries, "entry");
            Some(format!(
                "{}: {count}
",
                path.display()
            ))
        }
        Err(error) => {
            diagnostics.push(Diagnostic::error(format!("{} cannot be written: {error}", path.display())));
            None
        }
    }
}

/// Writes the whole file or none of it.
fn save(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Made here, because the crate's own temporary files are for nobody else to read.
    let mut part = tempfile::Builder::new().prefix(".kso.lock.").make_in(folder, |path| fs::File::create_new(path))?;
    part.as_file_mut().write_all(text.as_bytes())?;
    part.as_file().sync_all()?;
    part.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Whether a name on the command line means a file.
fn names_file(name: &str, file: &File) -> bool {
    let path = file.path.as_str();
    name == file.url.as_str() || name == path || path.rsplit('/').next() == Some(name)
}

/// Whether a name on the command line means an image: its whole name, or that without the tag, or the repository's end.
fn names_image(name: &str, image: &ImageRef) -> bool {
    let whole = name.parse::<ImageRef>().ok();
    let whole = whole.is_some_and(|named| {
        named == *image || (named.tag().is_none() && named.digest().is_none() && named.name() == image.name())
    });
    whole || name == image.name() || image.path() == name || image.path().rsplit('/').next() == Some(name)
}

fn is_known(name: &str, spec: &Spec) -> bool {
    spec.files.iter().any(|file| names_file(name, file))
        || spec.images.iter().any(|image| names_image(name, &image.reference))
        || spec.bases().keys().any(|base| names_image(name, base))
}

/// The entries of a lock that need not be asked for: all that still fit, except those with these names.
fn kept<'a>(spec: &Spec, wanted: &'a [Image], lock: Option<&Lock>, names: &[String]) -> Kept<'a> {
    let named_image = |image: &ImageRef| names.iter().any(|name| names_image(name, image));
    let base = |reference: ImageRef| {
        let base = lock.filter(|_| !named_image(&reference)).and_then(|lock| lock.base(&reference)).cloned();
        let base = base.filter(|base| spec.platforms().iter().eq(base.configs().keys()));
        (reference, base)
    };
    let file = |file: &File| {
        let meant = names.iter().any(|name| names_file(name, file));
        let LockedFile { url, sha256, bytes, checksum, .. } =
            lock.filter(|_| !meant).and_then(|lock| lock.file(&file.path))?;
        let same = *url == file.url && file.sha256.as_ref().is_none_or(|pin| pin == sha256);
        let vouched = *checksum == ChecksumSource::Upstream;
        same.then(|| FileAnswer { sha256: sha256.clone(), bytes: *bytes, vouched })
    };
    let image = |image: &Image| {
        let LockedImage { resolved, .. } =
            lock.filter(|_| !named_image(&image.reference)).and_then(|lock| lock.image(&image.reference))?;
        resolved.part(&image.architectures, spec.registry.attestations).ok()
    };
    Kept {
        wanted,
        bases: spec.bases().into_keys().map(base).collect(),
        files: files::tree::artifacts(spec.file_section()).ids().zip(spec.files.iter().map(file)).collect(),
        images: wanted.iter().map(image).collect(),
    }
}

/// What differs between a lock and the world, a line for each entry; empty where nothing does.
fn differences(spec: &Spec, wanted: &[Image], lock: &Lock, found: &Found) -> String {
    let mut out = String::new();
    let mut compare = |name: &str, before: Option<String>, after: &str| match before {
        Some(before) if before == after => {}
        Some(before) => drop(writeln!(out, "changed {name}: {before} is now {after}")),
        None => drop(writeln!(out, "new     {name}: {after}")),
    };
    for base in &found.bases {
        let before = lock.base(base.reference()).map(|base| base.digest().to_string());
        compare(base.reference().as_str(), before, base.digest().as_str());
    }
    let asked = spec.files.iter().zip(files::tree::artifacts(spec.file_section()).ids());
    for (file, answer) in asked.filter_map(|(file, id)| Some((file, found.files.get(&id)?))) {
        let before = lock.file(&file.path).map(|file| file.sha256.to_string());
        compare(file.url.as_str(), before, answer.sha256.as_str());
    }
    for (reference, image) in &found.images {
        let before = lock.image(reference).map(|image| image.resolved.top().digest.to_string());
        compare(reference.as_str(), before, image.top().digest.as_str());
    }
    let bases = spec.bases();
    let gone = lock.files().filter(|file| spec.files.iter().all(|wanted| wanted.path != file.path));
    let gone = gone.map(|file| file.url.to_string());
    let images = lock.images().map(LockedImage::reference);
    let images = images.filter(|image| wanted.iter().all(|wanted| wanted.reference != **image));
    let old = lock.bases().map(LockedBase::reference).filter(|base| !bases.contains_key(*base));
    for name in gone.chain(images.chain(old).map(ToString::to_string)) {
        let _ = writeln!(out, "gone    {name}");
    }
    out
}

/// Asks, and shows how it goes on where the standard error is a terminal.
fn ask(spec: &Spec, secrets: &[SecretOption], question: &Question<'_>) -> Result<Found, String> {
    let secrets = Secrets::read(secrets)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let web = Web::new(&Trust::default(), Retry::default())?;
    let credentials = Credentials::of_user()?;
    let entries = question.bases.len() + question.files.len() + question.images.len();
    let bar = Bar::new(entries as u64);
    let world = Online::new(spec, web, &credentials, &secrets, &bar);
    let Ok(found) = runtime.block_on(ask::ask(&world, spec, question));
    bar.entries.finish_and_clear();
    bar.bytes.finish_and_clear();
    Ok(found)
}

/// Two lines: the entries that are done, and the bytes that were read.
struct Bar {
    entries: ProgressBar,
    bytes: ProgressBar,
}

impl Bar {
    fn new(entries: u64) -> Self {
        let both = indicatif::MultiProgress::new();
        let style = |template: &str| ProgressStyle::with_template(template).expect("the template is a constant");
        let entries = both.add(ProgressBar::new(entries));
        entries.set_style(style("[lock] {bar:30} {pos}/{len} entries, {elapsed}"));
        let bytes = both.add(ProgressBar::new_spinner());
        bytes.set_style(style("[lock] {decimal_bytes} read, {decimal_bytes_per_sec}"));
        Self { entries, bytes }
    }
}

impl Watch for Bar {
    fn bytes(&self, bytes: u64) {
        self.bytes.inc(bytes);
    }

    fn done(&self) {
        self.entries.inc(1);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_lock_is_written_as_any_other_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let mode = |path: &Path| fs::metadata(path).expect("a file").permissions().mode();
        let (lock, other) = (folder.path().join("kso.lock"), folder.path().join("other"));
        fs::write(&other, "").expect("it is written");
        for text in ["first", "second"] {
            save(&lock, text).expect("it is written");
            assert_eq!(fs::read_to_string(&lock).expect("it is read"), text);
            assert_eq!(mode(&lock), mode(&other));
        }
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2);
        let error = save(&folder.path().join("none/kso.lock"), "").expect_err("there is no such folder");
        assert_eq!(error.to_string(), "No such file or directory (os error 2)");
    }
}
