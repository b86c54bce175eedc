//! From the text of a lock to its data. Owns the messages about an invalid lock; does not know what the entries mean.
//!
//! Each entry is read by itself, from its own piece of the text, so that every problem has its lines, and one run reports
//! all of them. The text is walked a fixed number of times, whatever stands in it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::diagnostic::hints::{NEWER_KSO, UPDATE_LOCK};
use crate::diagnostic::{Diagnostic, Source, Span, quoted};
use crate::kind::files::LockedFile;
use crate::kind::images::{LockedImage, locked as image};
use crate::lock::{Lock, LockedBase, VERSION, base};
use crate::name::{ImageRef, StoredPath};
use crate::producer::kubespray::LockedKubespray;

/// An entry of a lock, by its key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// The version of the layer layout.
    Layout,
    /// What the lists of Kubespray were rendered from.
    Kubespray,
    /// A base image.
    Base(ImageRef),
    /// A file.
    File(StoredPath),
    /// A container image.
    Image(ImageRef),
}

/// A lock as it was read: its data, and the lines of its entries.
#[derive(Debug, Clone)]
pub struct LockFile {
    source: Arc<Source>,
    lock: Lock,
    places: BTreeMap<Name, Range<usize>>,
}

impl LockFile {
    /// Its name as the user knows it.
    pub fn name(&self) -> &str {
        self.source.name()
    }

    /// What it says.
    pub fn lock(&self) -> &Lock {
        &self.lock
    }

    /// What the lists of Kubespray were rendered from, and where that is written.
    pub fn kubespray(&self) -> Option<(&LockedKubespray, Span)> {
        Some((self.lock.kubespray.as_ref()?, self.span(&Name::Kubespray)?))
    }

    /// Where an entry is written.
    pub fn span(&self, name: &Name) -> Option<Span> {
        self.places.get(name).map(|range| Span::new(&self.source, range.clone()))
    }
}

/// The keys of the file, as `Written` in `mod.rs` writes them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Keys<'a> {
    #[serde(borrow, rename = "version")]
    _version: &'a RawValue,
    #[serde(borrow)]
    layout: &'a RawValue,
    #[serde(borrow, default)]
    kubespray: Option<&'a RawValue>,
    #[serde(borrow, default)]
    bases: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    files: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    images: Vec<&'a RawValue>,
}

/// The version, whatever else is there.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Version<'a> {
    #[serde(borrow)]
    version: Option<&'a RawValue>,
}

impl Lock {
    /// Reads a lock. The version is checked first, alone; then all problems are reported at once.
    pub fn read(source: &Arc<Source>) -> Result<LockFile, Vec<Diagnostic>> {
        let mut reader = Reader { source, problems: Vec::new(), places: BTreeMap::new() };
        let lock = reader.version().and_then(|()| reader.keys());
        match lock {
            Some(lock) if reader.problems.is_empty() => {
                Ok(LockFile { source: Arc::clone(source), lock, places: reader.places })
            }
            _ => Err(reader.problems),
        }
    }
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    problems: Vec<Diagnostic>,
    places: BTreeMap<Name, Range<usize>>,
}

impl<'a> Reader<'a> {
    /// Whether it is a version that is known; nothing else can be judged before.
    fn version(&mut self) -> Option<()> {
        let written = self.json::<Version<'_>>(self.source.text())?.version;
        let Some(written) = written else {
            self.report(0..0, "not a valid kso.lock: the key `version` is missing".into());
            return None;
        };
        let place = self.place(written.get());
        match written.get().parse::<u32>() {
            Ok(VERSION) => Some(()),
            Ok(newer) if newer > VERSION => {
                let problem =
                    format!("the lock has version {newer}, which is newer than this kso: it supports {VERSION}");
                self.problems.push(Diagnostic::error(problem).at(Span::new(self.source, place)).help(NEWER_KSO));
                None
            }
            _ => {
                self.report(place, format!("unknown lock version {}", quoted(written.get())));
                None
            }
        }
    }

    fn keys(&mut self) -> Option<Lock> {
        let keys = self.json::<Keys<'a>>(self.source.text())?;
        let layout = self.json::<u32>(keys.layout.get())?;
        let place = self.place(keys.layout.get());
        if layout == 0 {
            self.report(place.clone(), "the layer layout 0 is invalid".into());
        }
        self.places.insert(Name::Layout, place);
        let mut lock = Lock::new(layout);
        if let Some(raw) = keys.kubespray {
            lock.kubespray = self.json(raw.get());
            let place = self.place_of(raw.get(), "source");
            self.places.insert(Name::Kubespray, place);
        }
        for raw in keys.bases {
            let Some(base) = self.entry::<base::Written, LockedBase>(raw, "reference") else { continue };
            if self.is_first(Name::Base(base.reference().clone()), raw, "reference") {
                lock.put_base(base);
            }
        }
        for raw in keys.files {
            let Some(file) = self.json::<LockedFile>(raw.get()) else { continue };
            if self.is_first(Name::File(file.path.clone()), raw, "path") {
                lock.put_file(file);
            }
        }
        for raw in keys.images {
            let Some(image) = self.entry::<image::Written, LockedImage>(raw, "reference") else { continue };
            if self.is_first(Name::Image(image.reference().clone()), raw, "reference") {
                lock.put_image(image);
            }
        }
        Some(lock)
    }

    /// An entry that must agree with itself.
    fn entry<W: Deserialize<'a>, T: TryFrom<W, Error = String>>(&mut self, raw: &'a RawValue, key: &str) -> Option<T> {
        let written = self.json::<W>(raw.get())?;
        match T::try_from(written) {
            Ok(entry) => Some(entry),
            Err(why) => {
                let place = self.place_of(raw.get(), key);
                let name = Span::new(self.source, place.clone());
                let name = name.text().trim_matches('"').to_owned();
                self.report(place, format!("the entry for {name} {why}"));
                None
            }
        }
    }

    /// Whether no earlier entry has the key; reports a duplicate.
    fn is_first(&mut self, name: Name, raw: &'a RawValue, key: &str) -> bool {
        let place = self.place_of(raw.get(), key);
        if let Some(first) = self.places.get(&name) {
            let (span, first) = (Span::new(self.source, place), Span::new(self.source, first.clone()));
            let problem = format!("duplicate entry for {}", quoted(span.text().trim_matches('"')));
            let problem = Diagnostic::error(problem).at(span).related(first, "the first entry");
            self.problems.push(problem.help(UPDATE_LOCK));
            return false;
        }
        self.places.insert(name, place);
        true
    }

    /// A value from a piece of the text.
    fn json<T: Deserialize<'a>>(&mut self, piece: &'a str) -> Option<T> {
        match serde_json::from_str(piece) {
            Ok(value) => Some(value),
            Err(error) => {
                let place = self.line(piece, error.line());
                let message = error.to_string();
                let message = message.rfind(" at line ").map_or(&*message, |at| &message[..at]);
                let line = self.source.text().get(place.clone()).unwrap_or_default();
                let merge = ["<<<<<<<", "=======", ">>>>>>>"].iter().any(|mark| line.starts_with(mark));
                let problem = match error.classify() {
                    _ if merge => "the lock contains merge conflict markers".to_owned(),
                    serde_json::error::Category::Data => format!("not a valid kso.lock: {}", plainly(message)),
                    _ => format!("the lock is not valid JSON: {message}"),
                };
                self.report(place, problem);
                None
            }
        }
    }

    fn report(&mut self, place: Range<usize>, problem: String) {
        self.problems.push(Diagnostic::error(problem).at(Span::new(self.source, place)).help(UPDATE_LOCK));
    }

    /// Where a piece of the text lies in it: pieces are borrowed, so their addresses tell.
    fn place(&self, piece: &str) -> Range<usize> {
        let start = (piece.as_ptr() as usize).saturating_sub(self.source.text().as_ptr() as usize);
        start..start + piece.len()
    }

    /// Where the value of a key lies in an object; all of it where there is no such key.
    fn place_of(&self, object: &'a str, key: &str) -> Range<usize> {
        let values = serde_json::from_str::<BTreeMap<std::borrow::Cow<'_, str>, &RawValue>>(object).ok();
        let value = values.and_then(|values| values.get(key).copied());
        self.place(value.map_or(object, RawValue::get))
    }

    /// A line of a piece of the text, 1-based, without the space around it.
    fn line(&self, piece: &str, number: usize) -> Range<usize> {
        let all = self.place(piece);
        let line = piece.split('\n').nth(number.saturating_sub(1)).unwrap_or_default();
        let start = if number == 0 { all.start } else { self.place(line).start };
        let indent = line.len() - line.trim_start().len();
        start + indent..start + indent + line.trim().len()
    }
}

/// What serde says, in JSON's words and not in Rust's.
fn plainly(message: &str) -> String {
    const WORDS: [(&str, &str); 7] = [
        ("unknown field", "unknown key"),
        ("missing field", "missing key"),
        ("duplicate field", "duplicate key"),
        ("unknown variant", "unknown value"),
        ("expected u32", "expected a whole number"),
        ("expected u64", "expected a whole number"),
        ("expected a sequence", "expected a list"),
    ];
    WORDS.iter().fold(message.to_owned(), |message, (theirs, ours)| message.replacen(theirs, ours, 1))
}
