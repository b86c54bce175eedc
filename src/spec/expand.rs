//! From a definition and its lists to a [`Spec`]. Owns which architecture asks for what; does not know how a list was
//! read.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::arch::Arch;
use super::definition::{Definition, FilesEntry, ListEntry, UrlEntry};
use super::file_url::FileUrl;
use super::invalid::Invalid;
use super::kubespray::RenderedFile;
use super::list::{self, UrlLine};
use super::place::{self, Request};
use super::wanted;
use super::{PinnedBy, Spec};
use crate::diagnostic::rules::UNUSED_LIST_ENTRY;
use crate::diagnostic::{Diagnostic, Source, Span, Spanned, quoted};

/// Why a list could not be read, as a fact (`is a directory`), or its text.
pub type ListText = Result<Arc<Source>, String>;

impl Definition {
    /// The spec that the definition and its lists make. A path that is absent from `lists` is a missing list.
    pub fn expand(&self, lists: &BTreeMap<String, ListText>, diagnostics: &mut Vec<Diagnostic>) -> Spec {
        let mut requests = Vec::new();
        let mut urls = Lists::new(lists, "list", "write one URL per line", list::parse::<UrlLine>);
        for entry in &self.files {
            match entry {
                FilesEntry::List(entry) => {
                    self.expand_list(entry, &mut urls, &mut requests, diagnostics);
                }
                FilesEntry::Url(entry) => self.expand_url(entry, &mut requests),
            }
        }
        for file in &self.rendered.files {
            self.expand_rendered(file, &mut requests, diagnostics);
        }
        let used = self.lists();
        for (name, arch, span) in self.unwanted().filter(|(name, ..)| !used.contains(*name)) {
            if let Some(Ok(_)) = lists.get(name) {
                let message = format!("the list {} is not used: {arch} is not in `architectures`", quoted(name));
                diagnostics.push(Diagnostic::lint(&UNUSED_LIST_ENTRY, message).at(span.clone()));
            }
        }
        Spec {
            args: self.args.clone(),
            kubespray: self.kubespray.as_ref().map(|kubespray| kubespray.include),
            architectures: self.architectures.clone(),
            files: place::files(requests, diagnostics),
            mirrors: self.mirrors.clone(),
            hosts: self.hosts.clone(),
            file_server: self.file_server.clone(),
            images: wanted::images(self, lists, diagnostics),
            registry: self.registry.clone(),
        }
    }

    fn expand_list(
        &self,
        entry: &ListEntry,
        lists: &mut Lists<'_, Spanned<UrlLine>>,
        requests: &mut Vec<Request>,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let Spanned { value: template, span } = &entry.list;
        for (name, architectures) in self.by_value(|arch| template.get(arch).as_str()) {
            for line in lists.get(name, span, diagnostics) {
                let Spanned { value: UrlLine { url, path }, span } = line.clone();
                requests.push(Request {
                    url,
                    path,
                    sha256: None,
                    pinned_by: PinnedBy::Definition,
                    architectures: architectures.clone(),
                    spans: vec![span],
                });
            }
        }
    }

    fn expand_rendered(&self, file: &RenderedFile, requests: &mut Vec<Request>, diagnostics: &mut Vec<Diagnostic>) {
        let spans = self.rendered_spans(&file.span);
        let url = file.url.parse::<FileUrl>().and_then(|url| Ok((url.stored_path()?, url)));
        match url {
            Ok((path, url)) => {
                let sha256 = file.sha256.clone().map(|digest| Spanned::new(digest, file.span.clone()));
                let (pinned_by, architectures) = (PinnedBy::Kubespray, BTreeSet::from([file.arch]));
                requests.push(Request { url, path, sha256, pinned_by, architectures, spans });
            }
            Err(invalid) => diagnostics.push(rendered(&invalid, &file.url, &spans)),
        }
    }

    /// The places that ask for what Kubespray names: the definition's, and Kubespray's own.
    pub(super) fn rendered_spans(&self, span: &Span) -> Vec<Span> {
        let asked = self.kubespray.as_ref().map(|kubespray| kubespray.source.span.clone());
        asked.into_iter().chain([span.clone()]).collect()
    }

    fn expand_url(&self, entry: &UrlEntry, requests: &mut Vec<Request>) {
        let variants = self.by_value(|arch| {
            (entry.url.value.get(arch), entry.path.get(arch), entry.sha256.get(arch).map(|digest| &digest.value))
        });
        for ((url, path, _), architectures) in variants {
            let sha256 = architectures.first().and_then(|arch| entry.sha256.get(*arch)).cloned();
            let (url, path, span) = (url.clone(), path.clone(), entry.url.span.clone());
            let pinned_by = PinnedBy::Definition;
            requests.push(Request { url, path, sha256, pinned_by, architectures, spans: vec![span] });
        }
    }

    /// The architectures that share a value, for each value, in the order of the architectures.
    pub(super) fn by_value<T: PartialEq>(&self, value: impl Fn(Arch) -> T) -> Vec<(T, BTreeSet<Arch>)> {
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

/// The problem of a name that Kubespray's variables made.
pub(super) fn rendered(invalid: &Invalid, text: &str, spans: &[Span]) -> Diagnostic {
    let problem = Diagnostic::error(format!("Kubespray's variables produce {}: {}", quoted(text), invalid.message));
    match spans {
        [asked, place, ..] => problem.at(place.clone()).related(asked.clone(), "requested here"),
        _ => problem,
    }
}

/// The lists of one kind, each parsed once, so that its problems are told once.
pub(super) struct Lists<'a, T> {
    texts: &'a BTreeMap<String, ListText>,
    /// What the user calls them.
    what: &'static str,
    /// What to write into an empty one.
    help: &'static str,
    parse: Parse<T>,
    parsed: BTreeMap<String, Vec<T>>,
}

/// The lines of a text; `None` where there are none.
type Parse<T> = fn(&Arc<Source>, &mut Vec<Diagnostic>) -> Option<Vec<T>>;

impl<'a, T> Lists<'a, T> {
    pub(super) fn new(
        texts: &'a BTreeMap<String, ListText>,
        what: &'static str,
        help: &'static str,
        parse: Parse<T>,
    ) -> Self {
        Self { texts, what, help, parse, parsed: BTreeMap::new() }
    }

    /// The lines of the list `name`, which `span` asks for.
    pub(super) fn get(&mut self, name: &str, span: &Span, diagnostics: &mut Vec<Diagnostic>) -> &[T] {
        match self.parsed.entry(name.to_owned()) {
            Entry::Occupied(lines) => lines.into_mut(),
            Entry::Vacant(place) => {
                let (what, quoted) = (self.what, quoted(name));
                let lines = match self.texts.get(name) {
                    None => Err(Diagnostic::error(format!("the {what} {quoted} is not in the build context"))
                        .help(format!("the path of a {what} is relative to the build context"))),
                    Some(Err(why)) => Err(Diagnostic::error(format!("the {what} {quoted} cannot be read: it {why}"))),
                    Some(Ok(source)) => (self.parse)(source, diagnostics)
                        .ok_or_else(|| Diagnostic::error(format!("the {what} {quoted} is empty")).help(self.help)),
                };
                place.insert(lines.unwrap_or_else(|problem| {
                    diagnostics.push(problem.at(span.clone()));
                    Vec::new()
                }))
            }
        }
    }
}
