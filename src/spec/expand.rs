//! From a definition and its lists to a [`Spec`]. Owns what holds between entries: one file for each place; does not
//! know how a list was read.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::arch::Arch;
use super::definition::{Definition, FilesEntry, ListEntry, UrlEntry};
use super::digest::Digest;
use super::file_url::FileUrl;
use super::list::{self, Line};
use super::stored_path::StoredPath;
use super::{File, Spec};
use crate::diagnostic::{Diagnostic, Source, Span, Spanned, quoted};

/// Why a list could not be read, as a fact (`is a folder`), or its text.
pub type ListText = Result<Arc<Source>, String>;

impl Definition {
    /// The spec that the definition and its lists make. A path that is absent from `lists` is a missing list.
    pub fn expand(&self, lists: &BTreeMap<String, ListText>, diagnostics: &mut Vec<Diagnostic>) -> Spec {
        let mut files = Files::default();
        let mut lists = Lists { texts: lists, parsed: BTreeMap::new() };
        for entry in &self.files {
            match entry {
                FilesEntry::List(entry) => {
                    self.expand_list(entry, &mut lists, &mut files, diagnostics);
                }
                FilesEntry::Url(entry) => self.expand_url(entry, &mut files, diagnostics),
            }
        }
        Spec {
            architectures: self.architectures.clone(),
            files: files.finish(diagnostics),
            mirrors: self.mirrors.clone(),
            file_server: self.file_server.clone(),
        }
    }

    fn expand_list(
        &self,
        entry: &ListEntry,
        lists: &mut Lists<'_>,
        files: &mut Files,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let Spanned { value: template, span } = &entry.list;
        for (name, architectures) in self.by_value(|arch| template.get(arch).as_str()) {
            for line in lists.get(name, span, diagnostics) {
                let Line { url, path, span } = line.clone();
                files.add(Request { url, path, sha256: None, architectures: architectures.clone(), span }, diagnostics);
            }
        }
    }

    fn expand_url(&self, entry: &UrlEntry, files: &mut Files, diagnostics: &mut Vec<Diagnostic>) {
        let variants = self.by_value(|arch| {
            (entry.url.value.get(arch), entry.path.get(arch), entry.sha256.get(arch).map(|digest| &digest.value))
        });
        for ((url, path, _), architectures) in variants {
            let sha256 = architectures.first().and_then(|arch| entry.sha256.get(*arch)).cloned();
            let (url, path, span) = (url.clone(), path.clone(), entry.url.span.clone());
            files.add(Request { url, path, sha256, architectures, span }, diagnostics);
        }
    }

    /// The architectures that share a value, for each value, in the order of the architectures.
    fn by_value<T: PartialEq>(&self, value: impl Fn(Arch) -> T) -> Vec<(T, BTreeSet<Arch>)> {
        let mut groups = Vec::<(T, BTreeSet<Arch>)>::new();
        for arch in &self.architectures {
            let value = value(*arch);
            match groups.iter_mut().find(|(other, _)| *other == value) {
                Some((_, architectures)) => drop(architectures.insert(*arch)),
                None => groups.push((value, BTreeSet::from([*arch]))),
            }
        }
        groups
    }
}

/// The lists, each parsed once, so that its problems are told once.
struct Lists<'a> {
    texts: &'a BTreeMap<String, ListText>,
    parsed: BTreeMap<String, Vec<Line>>,
}

impl Lists<'_> {
    fn get(&mut self, name: &str, span: &Span, diagnostics: &mut Vec<Diagnostic>) -> &[Line] {
        match self.parsed.entry(name.to_owned()) {
            Entry::Occupied(lines) => lines.into_mut(),
            Entry::Vacant(place) => {
                let quoted = quoted(name);
                let lines = match self.texts.get(name) {
                    None => Err(Diagnostic::error(format!("the list {quoted} is not in the build context"))
                        .help("a list's path is relative to the build context; check that `.dockerignore` lets it in")),
                    Some(Err(why)) => Err(Diagnostic::error(format!("the list {quoted} cannot be read: it {why}"))),
                    Some(Ok(source)) => list::parse(source, diagnostics).ok_or_else(|| {
                        Diagnostic::error(format!("the list {quoted} is empty")).help("write one URL per line")
                    }),
                };
                place.insert(lines.unwrap_or_else(|problem| {
                    diagnostics.push(problem.at(span.clone()));
                    Vec::new()
                }))
            }
        }
    }
}

/// A file as one line asks for it.
struct Request {
    url: FileUrl,
    path: StoredPath,
    sha256: Option<Spanned<Digest>>,
    architectures: BTreeSet<Arch>,
    span: Span,
}

/// The requests for one URL at one place, made one.
struct Wanted {
    url: FileUrl,
    sha256: Option<Spanned<Digest>>,
    architectures: BTreeSet<Arch>,
    spans: Vec<Span>,
}

/// What is wanted at each place, in the order in which it was asked for.
#[derive(Default)]
struct Files(BTreeMap<StoredPath, Vec<Wanted>>);

impl Files {
    fn add(&mut self, request: Request, diagnostics: &mut Vec<Diagnostic>) {
        let Request { url, path, sha256, architectures, span } = request;
        let wanted = self.0.entry(path).or_default();
        let Some(same) = wanted.iter_mut().find(|wanted| wanted.url == url) else {
            wanted.push(Wanted { url, sha256, architectures, spans: vec![span] });
            return;
        };
        match (&same.sha256, sha256) {
            (Some(first), Some(second)) if first.value != second.value => diagnostics.push(
                Diagnostic::error(format!("two checksums for {}", quoted(url.as_str())))
                    .at(second.span)
                    .related(first.span.clone(), "the first")
                    .help("keep the right one"),
            ),
            (None, Some(digest)) => same.sha256 = Some(digest),
            _ => {}
        }
        same.architectures.extend(architectures);
        same.spans.push(span);
    }

    fn finish(self, diagnostics: &mut Vec<Diagnostic>) -> Vec<File> {
        self.check_folders(diagnostics);
        let mut files = Vec::with_capacity(self.0.len());
        for (path, wanted) in self.0 {
            let mut wanted = wanted.into_iter();
            let Some(mut first) = wanted.next() else { continue };
            for other in wanted {
                if first.has_bytes_of(&other) {
                    // The same bytes by the user's own word: one download serves both.
                    first.architectures.extend(other.architectures);
                    first.spans.extend(other.spans);
                } else {
                    let problem = Diagnostic::error(format!("two URLs for one place, {}", quoted(path.as_str())));
                    let problem = both(problem, &other.spans, &first.spans, "the other URL");
                    diagnostics.push(problem.help("keep one, or give both the same `sha256:`, or one another `path:`"));
                }
            }
            let Wanted { url, sha256, architectures, spans } = first;
            files.push(File { url, sha256: sha256.map(|digest| digest.value), path, architectures, spans });
        }
        files
    }

    /// Tells places that are both a file and a folder, once for each.
    fn check_folders(&self, diagnostics: &mut Vec<Diagnostic>) {
        let mut told = BTreeSet::new();
        for (path, inside) in &self.0 {
            for folder in path.folders() {
                let Some(outside) = self.0.get(folder).filter(|_| told.insert(folder)) else { continue };
                let (Some(inside), Some(outside)) = (inside.first(), outside.first()) else { continue };
                let problem = Diagnostic::error(format!("{} is both a file and a folder", quoted(folder)));
                let problem = both(problem, &inside.spans, &outside.spans, "the file");
                diagnostics.push(problem.help("give one of them another place: an entry with `url:` and `path:`"));
            }
        }
    }
}

impl Wanted {
    /// Whether both have checksums, and the same.
    fn has_bytes_of(&self, other: &Self) -> bool {
        match (&self.sha256, &other.sha256) {
            (Some(one), Some(two)) => one.value == two.value,
            _ => false,
        }
    }
}

/// A problem between two lines.
fn both(problem: Diagnostic, at: &[Span], other: &[Span], what: &str) -> Diagnostic {
    match (at, other) {
        ([at, ..], [other, ..]) => problem.at(at.clone()).related(other.clone(), what),
        _ => problem,
    }
}
