//! A list file: one URL per line. Owns its lines; does not know who named it.

use std::sync::Arc;

use super::file_url::FileUrl;
use super::stored_path::StoredPath;
use crate::diagnostic::{Diagnostic, Source, Span};

/// A file that is no list of URLs at all (a page of HTML, a binary) is told by its first lines, not by all of them.
const MAX_PROBLEMS: usize = 100;

/// A URL of a list and its place.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) url: FileUrl,
    pub(super) path: StoredPath,
    pub(super) span: Span,
}

/// The URLs of a list. Blank lines, what follows a `#` at the start of a line or after a space, a byte order mark,
/// carriage returns and spaces around a URL are skipped. `None` where there is no line with anything else.
pub(super) fn parse(source: &Arc<Source>, diagnostics: &mut Vec<Diagnostic>) -> Option<Vec<Line>> {
    let mut lines = Vec::new();
    let mut empty = true;
    let mut problems = 0;
    let mut start = 0;
    for raw in source.text().split_inclusive('\n') {
        let offset = start;
        start += raw.len();
        let line = if offset == 0 { raw.trim_start_matches('\u{feff}') } else { raw };
        let text = without_comment(line).trim();
        if text.is_empty() {
            continue;
        }
        empty = false;
        let at = offset + raw.find(text).unwrap_or_default();
        let span = Span::new(source, at..at + text.len());
        let parsed = text.parse::<FileUrl>().and_then(|url| Ok((url.stored_path()?, url)));
        match parsed {
            Ok((path, url)) => lines.push(Line { url, path, span }),
            Err(_) if problems == MAX_PROBLEMS => {
                diagnostics.push(
                    Diagnostic::error(format!("more than {MAX_PROBLEMS} bad lines: the rest was not read")).at(span),
                );
                break;
            }
            Err(invalid) => {
                problems += 1;
                diagnostics.push(invalid.at(text, &span));
            }
        }
    }
    (!empty).then_some(lines)
}

fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with('#') {
        return "";
    }
    [" #", "\t#"].iter().filter_map(|mark| line.find(mark)).min().map_or(line, |at| &line[..at])
}
