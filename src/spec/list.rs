//! A list file: one URL or one image per line. Owns its lines; does not know who named it.

use std::sync::Arc;

use super::file_url::FileUrl;
use super::image_ref::ImageRef;
use super::invalid::Invalid;
use super::stored_path::StoredPath;
use super::template::Template;
use crate::diagnostic::{Diagnostic, Source, Span, Spanned};

/// The most bad lines that are told of one list.
const MAX_PROBLEMS: usize = 100;
/// With more bad lines than this and not one good, it is no such list at all: a page of HTML, a binary.
const MAX_OF_NO_LIST: usize = 10;

/// What a list is of.
pub(super) trait Line: Sized {
    /// One line without its comment.
    fn parse(text: &str) -> Result<Self, Invalid>;
}

/// A URL and where its file is stored.
#[derive(Debug, Clone)]
pub(super) struct UrlLine {
    pub(super) url: FileUrl,
    pub(super) path: StoredPath,
}

impl Line for UrlLine {
    fn parse(text: &str) -> Result<Self, Invalid> {
        let url: FileUrl = text.parse()?;
        Ok(Self { path: url.stored_path()?, url })
    }
}

impl Line for Template<ImageRef> {
    fn parse(text: &str) -> Result<Self, Invalid> {
        text.parse()
    }
}

/// The lines of a list. Blank lines, what follows a `#` at the start of a line or after a space, a byte order mark,
/// carriage returns and spaces around a line are skipped. `None` where there is no line with anything else.
pub(super) fn parse<T: Line>(source: &Arc<Source>, diagnostics: &mut Vec<Diagnostic>) -> Option<Vec<Spanned<T>>> {
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
