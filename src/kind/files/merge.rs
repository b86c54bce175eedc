//! One file for each place. Owns what holds between requests: their checksums agree, and no place is both a file and a
//! directory; does not know who asked.

use std::collections::BTreeSet;

use crate::artifact::PinnedAt;
use crate::diagnostic::rules::DUPLICATE_URL;
use crate::diagnostic::{Diagnostic, Span, Spanned, quoted};
use crate::kind::files::{File, PinnedBy};
use crate::name::{Arch, Digest, FileUrl, StoredPath};

/// A file as one line asks for it.
pub(crate) struct Request {
    pub(crate) url: FileUrl,
    pub(crate) path: StoredPath,
    pub(crate) pin: Option<Pin>,
    pub(crate) architectures: BTreeSet<Arch>,
    /// The lines that ask: one, or the definition's and Kubespray's own.
    pub(crate) spans: Vec<Span>,
}

/// A checksum as one line gives it.
pub(crate) struct Pin {
    pub(crate) sha256: Spanned<Digest>,
    pub(crate) by: PinnedBy,
    /// Where it is written, if not at that line.
    pub(crate) at: Option<PinnedAt>,
}

/// The requests for one URL at one place, made one.
struct Wanted {
    url: FileUrl,
    pin: Option<Pin>,
    architectures: BTreeSet<Arch>,
    spans: Vec<Span>,
    /// The number of its first request.
    order: usize,
}

/// The files that requests in the order of the definition make, sorted by place.
pub(crate) fn files(requests: Vec<Request>, diagnostics: &mut Vec<Diagnostic>) -> Vec<File> {
    let places = places(requests, diagnostics);
    check_folders(&places, diagnostics);
    places.into_iter().filter_map(|(path, wanted)| one_file(path, wanted, diagnostics)).collect()
}

/// What is wanted at each place, sorted by place, then in the order in which it was asked for.
fn places(requests: Vec<Request>, diagnostics: &mut Vec<Diagnostic>) -> Vec<(StoredPath, Vec<Wanted>)> {
    let mut requests: Vec<_> = requests.into_iter().enumerate().collect();
    requests.sort_by(|(_, a), (_, b)| (&a.path, &a.url).cmp(&(&b.path, &b.url)));
    let mut places = Vec::<(StoredPath, Vec<Wanted>)>::new();
    for (order, Request { url, path, pin, architectures, spans }) in requests {
        if places.last().is_none_or(|(last, _)| *last != path) {
            places.push((path, Vec::new()));
        }
        let Some((_, wanted)) = places.last_mut() else { continue };
        match wanted.last_mut().filter(|last| last.url == url) {
            Some(same) => same.join(pin, architectures, spans, diagnostics),
            None => wanted.push(Wanted { url, pin, architectures, spans, order }),
        }
    }
    for (_, wanted) in &mut places {
        wanted.sort_by_key(|wanted| wanted.order);
    }
    places
}

impl Wanted {
    /// Another request for the same.
    fn join(
        &mut self,
        pin: Option<Pin>,
        architectures: BTreeSet<Arch>,
        spans: Vec<Span>,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        match (&self.pin, pin) {
            // One line of a producer that makes the same URL for all architectures.
            (Some(Pin { sha256: first, .. }), Some(Pin { sha256: second, .. }))
                if first.value != second.value && first.span.is_same(&second.span) =>
            {
                let url = quoted(self.url.as_str());
                let problem = format!("{url} is the same for every architecture, but each has a checksum of its own");
                let help = "write the architecture into the URL, as the release does: `{{ image_arch }}`";
                diagnostics.push(Diagnostic::error(problem).at(second.span).help(help));
            }
            (Some(Pin { sha256: first, .. }), Some(Pin { sha256: second, .. })) if first.value != second.value => {
                diagnostics.push(
                    Diagnostic::error(format!("two checksums for {}", quoted(self.url.as_str())))
                        .at(second.span)
                        .related(first.span.clone(), "the first checksum")
                        .help("keep the correct one"),
                );
            }
            // An entry that adds a checksum to what a list names is no repetition.
            (None, Some(pin)) => self.pin = Some(pin),
            (Some(known), Some(pin)) => {
                if pin.by < known.by {
                    self.pin = Some(pin);
                }
                self.report_duplicate(&architectures, &spans, diagnostics);
            }
            (Some(_), None) => {}
            (None, None) => self.report_duplicate(&architectures, &spans, diagnostics),
        }
        self.architectures.extend(architectures);
        // One line asks twice where two entries name its list.
        for span in spans {
            if !self.spans.iter().rev().take(2).any(|last| last.is_same(&span)) {
                self.spans.push(span);
            }
        }
    }

    /// Reports a line that asks for what another line asks for, for the same architecture. What Kubespray names is no line
    /// of the user's.
    fn report_duplicate(&self, architectures: &BTreeSet<Arch>, spans: &[Span], diagnostics: &mut Vec<Diagnostic>) {
        if let ([first, ..], [again]) = (&self.spans[..], spans)
            && !self.architectures.is_disjoint(architectures)
            && !self.spans.iter().rev().take(2).any(|span| span.is_same(again))
        {
            let message = format!("{} is requested twice", quoted(self.url.as_str()));
            let problem = Diagnostic::lint(&DUPLICATE_URL, message).at(again.clone());
            diagnostics.push(problem.related(first.clone(), "first requested here"));
        }
    }

    /// Whether both have checksums, and the same.
    fn has_bytes_of(&self, other: &Self) -> bool {
        match (&self.pin, &other.pin) {
            (Some(one), Some(two)) => one.sha256.value == two.sha256.value,
            _ => false,
        }
    }
}

/// Reports places that are both a file and a directory, once for each.
fn check_folders(places: &[(StoredPath, Vec<Wanted>)], diagnostics: &mut Vec<Diagnostic>) {
    // Sorted by segments, what lies in a folder follows directly on what is named like it.
    let mut places: Vec<_> = places.iter().collect();
    places.sort_by(|(a, _), (b, _)| a.segments().cmp(b.segments()));
    for pair in places.windows(2) {
        let [(file, outside), (path, inside)] = pair else { continue };
        let within = path.as_str().strip_prefix(file.as_str()).is_some_and(|rest| rest.starts_with('/'));
        if let (true, [inside, ..], [outside, ..]) = (within, &inside[..], &outside[..]) {
            let problem = Diagnostic::error(format!("{} is both a file and a directory", quoted(file.as_str())));
            let stored = format!("stored as {}", quoted(file.as_str()));
            let problem = both(problem, &inside.spans, &outside.spans, &stored);
            let help =
                "change the `path:` of one of them; first move a line of a list to an entry with `url:` and `path:`";
            diagnostics.push(problem.help(help));
        }
    }
}

/// The one file of a place: what was asked for first, and what has the same bytes by the user's own word.
fn one_file(path: StoredPath, wanted: Vec<Wanted>, diagnostics: &mut Vec<Diagnostic>) -> Option<File> {
    let mut wanted = wanted.into_iter();
    let mut first = wanted.next()?;
    for other in wanted {
        let place = quoted(path.as_str());
        if first.has_bytes_of(&other) {
            first.architectures.extend(other.architectures);
            first.spans.extend(other.spans);
        } else if let ([one, ..], [two, ..]) = (&first.spans[..], &other.spans[..])
            && one.is_same(two)
        {
            let problem = Diagnostic::error(format!("the files of several architectures have the same path, {place}"));
            diagnostics.push(problem.at(two.clone()).help("add `{arch}` to its `path:`"));
        } else {
            let problem = Diagnostic::error(format!("two URLs have the same path, {place}"));
            let problem = both(problem, &other.spans, &first.spans, "the other URL");
            diagnostics.push(problem.help("keep one, give both the same `sha256:`, or give one a different `path:`"));
        }
    }
    let Wanted { url, pin, architectures, spans, .. } = first;
    let pinned_by = pin.as_ref().map(|pin| pin.by).unwrap_or_default();
    let (sha256, pinned_at) = pin.map(|pin| (pin.sha256.value, pin.at)).unzip();
    let pinned_at = pinned_at.flatten();
    Some(File { url, sha256, pinned_by, pinned_at, bytes: None, path, architectures, spans })
}

/// A problem between two lines.
fn both(problem: Diagnostic, at: &[Span], other: &[Span], what: &str) -> Diagnostic {
    match (at, other) {
        ([at, ..], [other, ..]) => problem.at(at.clone()).related(other.clone(), what),
        _ => problem,
    }
}
