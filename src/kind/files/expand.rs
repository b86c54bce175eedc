//! From the entries of `files:` and their lists to the files. Owns which architecture asks for what; does not know what holds
//! between the requests.

use std::collections::BTreeSet;

use super::merge::{self, Pin, Request};
use super::{File, FilesEntry, ListEntry, PinnedBy, RenderedFile, UrlEntry};
use crate::decode::list::{self, Line, Lists};
use crate::diagnostic::{Diagnostic, Spanned};
use crate::kind::{Expansion, Producer};
use crate::name::{Arch, FileUrl, Invalid, StoredPath};

/// The files that entries and a producer ask for, sorted by their stored paths, one for each path.
pub(crate) fn expand(
    entries: &[FilesEntry],
    produced: &[RenderedFile],
    with: &Expansion<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<File> {
    let mut requests = Vec::new();
    let mut urls = Lists::new(with.lists, "list", "write one URL per line", list::parse::<UrlLine>);
    for entry in entries {
        match entry {
            FilesEntry::List(entry) => requests.extend(of_list(entry, with, &mut urls, diagnostics)),
            FilesEntry::Url(entry) => requests.extend(of_url(entry, with)),
        }
    }
    if let Some(producer) = &with.producer {
        requests.extend(produced.iter().filter_map(|file| of_producer(file, producer, diagnostics)));
    }
    merge::files(requests, diagnostics)
}

/// A URL and where its file is stored.
#[derive(Debug, Clone)]
struct UrlLine {
    url: FileUrl,
    path: StoredPath,
}

impl Line for UrlLine {
    fn parse(text: &str) -> Result<Self, Invalid> {
        let url: FileUrl = text.parse()?;
        Ok(Self { path: url.stored_path()?, url })
    }
}

fn of_list(
    entry: &ListEntry,
    with: &Expansion<'_>,
    lists: &mut Lists<'_, Spanned<UrlLine>>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Request> {
    let Spanned { value: template, span } = &entry.list;
    let mut requests = Vec::new();
    for (name, architectures) in Arch::by_value(with.architectures, |arch| template.get(arch).as_str()) {
        for line in lists.get(name, span, diagnostics) {
            let Spanned { value: UrlLine { url, path }, span } = line.clone();
            let (architectures, spans) = (architectures.clone(), vec![span]);
            requests.push(Request { url, path, pin: None, architectures, spans });
        }
    }
    requests
}

fn of_url(entry: &UrlEntry, with: &Expansion<'_>) -> impl Iterator<Item = Request> {
    let variants = Arch::by_value(with.architectures, |arch| {
        (entry.url.value.get(arch), entry.path.get(arch), entry.sha256.get(arch).map(|digest| &digest.value))
    });
    variants.into_iter().map(|((url, path, _), architectures)| {
        let sha256 = architectures.first().and_then(|arch| entry.sha256.get(*arch)).cloned();
        let pin = sha256.map(|sha256| Pin { sha256, by: PinnedBy::Definition, at: None });
        let (url, path, spans) = (url.clone(), path.clone(), vec![entry.url.span.clone()]);
        Request { url, path, pin, architectures, spans }
    })
}

fn of_producer(file: &RenderedFile, producer: &Producer<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Request> {
    let url = file.url.parse::<FileUrl>().and_then(|url| Ok((url.stored_path()?, url)));
    match url {
        Ok((path, url)) => {
            let pin = file.sha256.clone().map(|digest| Pin {
                sha256: Spanned::new(digest, file.span.clone()),
                by: PinnedBy::Kubespray,
                at: file.pinned_at.clone(),
            });
            let (architectures, spans) = (BTreeSet::from([file.arch]), producer.spans(&file.span));
            Some(Request { url, path, pin, architectures, spans })
        }
        Err(invalid) => {
            producer.report(&invalid, &file.url, &file.span, diagnostics);
            None
        }
    }
}
