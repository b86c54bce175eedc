//! A list file: one URL or one image per line. Owns its lines; does not know who named it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Source, Span, Spanned, Unreadable, quoted};
use crate::name::Invalid;

/// The most bad lines that are reported of one list.
const MAX_PROBLEMS: usize = 100;
/// With more bad lines than this and not one good, it is no such list at all: a page of HTML, a binary.
const MAX_OF_NO_LIST: usize = 10;

/// The keys of an entry that names a list.
pub(crate) const LIST_KEYS: [&str; 1] = ["list"];

/// What a list is of.
pub(crate) trait Line: Sized {
    /// One line without its comment.
    fn parse(text: &str) -> Result<Self, Invalid>;
}

/// The lines of a list. Blank lines, what follows a `#` at the start of a line or after a space, a byte order mark,
/// carriage returns and spaces around a line are skipped. `None` where there is no line with anything else.
pub(crate) fn parse<T: Line>(source: &Arc<Source>, diagnostics: &mut Vec<Diagnostic>) -> Option<Vec<Spanned<T>>> {
    let mut lines = Vec::new();
    let mut problems = Vec::<Diagnostic>::new();
    let mut bad = 0;
    let mut start = 0;
    for raw in source.text().split_inclusive('\n') {
        let offset = start;
        start += raw.len();
        let line = if offset == 0 { raw.trim_start_matches('\u{feff}') } else { raw };
        let text = without_comment(line).trim();
        if text.is_empty() {
            continue;
        }
        let at = offset + raw.find(text).unwrap_or_default();
        let span = Span::new(source, at..at + text.len());
        match T::parse(text) {
            Ok(value) => lines.push(Spanned::new(value, span)),
            Err(invalid) => {
                bad += 1;
                if problems.len() < MAX_PROBLEMS {
                    problems.push(invalid.at(text, &span));
                }
            }
        }
    }
    if lines.is_empty() && bad > MAX_OF_NO_LIST {
        problems.truncate(1);
    }
    let untold = bad - problems.len();
    if let Some(last) = problems.last_mut().filter(|_| untold > 0) {
        last.message = format!("{}; {untold} more lines of this list are invalid", last.message);
    }
    let empty = lines.is_empty() && problems.is_empty();
    diagnostics.append(&mut problems);
    (!empty).then_some(lines)
}

fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with('#') {
        return "";
    }
    [" #", "\t#"].iter().filter_map(|mark| line.find(mark)).min().map_or(line, |at| &line[..at])
}

/// The text of a list, or why it cannot be read.
pub type ListText = Result<Arc<Source>, Unreadable>;

/// The lists of one kind, each parsed once, so that its problems are reported once.
pub(crate) struct Lists<'a, T> {
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
    pub(crate) fn new(
        texts: &'a BTreeMap<String, ListText>,
        what: &'static str,
        help: &'static str,
        parse: Parse<T>,
    ) -> Self {
        Self { texts, what, help, parse, parsed: BTreeMap::new() }
    }

    /// The lines of the list `name`, which `span` asks for.
    pub(crate) fn get(&mut self, name: &str, span: &Span, diagnostics: &mut Vec<Diagnostic>) -> &[T] {
        match self.parsed.entry(name.to_owned()) {
            Entry::Occupied(lines) => lines.into_mut(),
            Entry::Vacant(place) => {
                let (what, quoted) = (self.what, quoted(name));
                let lines = match self.texts.get(name) {
                    None => Err(Diagnostic::error(format!("the {what} {quoted} is not in the build context"))
                        .help(format!("the path of a {what} is relative to the build context"))),
                    Some(Err(why)) => {
                        let problem = Diagnostic::error(format!("the {what} {quoted} cannot be read: it {why}"));
                        Err(if *why == Unreadable::Directory {
                            problem.help("write the path of a file")
                        } else {
                            problem
                        })
                    }
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
