//! Diagnostics as plain text for a terminal, with the lines they are about. Owns the layout, and that nothing from a
//! file can break it: long lines are cut, control characters are replaced.

use std::fmt::Write;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Diagnostic, Severity, Span};

/// The widest excerpt of a line, in columns.
const MAX_COLUMNS: usize = 120;
/// How much of a long line is shown before the place, in columns.
const COLUMNS_BEFORE: usize = 40;
/// The longest piece of a file that a message quotes, in characters.
const MAX_QUOTED: usize = 120;

/// A piece of a file or command line for use in a message: in backticks, cut if long, control characters replaced.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from("`");
    let mut chars = text.chars();
    quoted.extend(chars.by_ref().take(MAX_QUOTED).map(neutral));
    if chars.next().is_some() {
        quoted.push('…');
    }
    quoted.push('`');
    quoted
}

/// All diagnostics as text: those about no file first, then by file and place.
pub fn render(diagnostics: &[Diagnostic]) -> String {
    let mut sorted: Vec<_> = diagnostics.iter().collect();
    sorted.sort_by_key(|diagnostic| {
        diagnostic.span.as_ref().map(|span| (span.source().name().to_owned(), span.range().start, span.range().end))
    });
    let rendered: Vec<_> = sorted.into_iter().map(one).collect();
    rendered.join("\n")
}

fn one(diagnostic: &Diagnostic) -> String {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut out = format!("{severity}: {}\n", plain(&diagnostic.message));
    let places = || diagnostic.span.iter().chain(diagnostic.related.iter().map(|(span, _)| span));
    let width = places().map(|span| span.line().to_string().len()).max().unwrap_or(0).max(2);
    if let Some(span) = &diagnostic.span {
        excerpt(&mut out, "-->", span, '^', "", width);
    }
    for (span, label) in &diagnostic.related {
        excerpt(&mut out, ":::", span, '-', &plain(label), width);
    }
    if let Some(help) = &diagnostic.help {
        for (index, line) in help.lines().enumerate() {
            let lead = if index == 0 { "= help:" } else { "       " };
            let _ = writeln!(out, "{:width$} {lead} {}", "", plain(line));
        }
    }
    out
}

fn excerpt(out: &mut String, arrow: &str, span: &Span, mark: char, label: &str, width: usize) {
    let source = span.source();
    let (number, column) = source.position(span.range().start);
    let _ = writeln!(out, "{:width$}{arrow} {}:{number}:{column}", "", plain(source.name()));
    let line = source.line(number);
    let text = source.text().get(line.clone()).unwrap_or_default();
    // The mark stays on the line where the span begins.
    let start = span.range().start.clamp(line.start, line.end) - line.start;
    let end = span.range().end.clamp(line.start + start, line.end) - line.start;
    let (Some(before), Some(marked), Some(after)) = (text.get(..start), text.get(start..end), text.get(end..)) else {
        return;
    };
    let before = last_columns(before, COLUMNS_BEFORE, MAX_COLUMNS);
    let room = MAX_COLUMNS.saturating_sub(before.width());
    let marked = first_columns(marked, room);
    let after = first_columns(after, room.saturating_sub(marked.width()));
    let marks = mark.to_string().repeat(marked.width().max(1));
    let _ = writeln!(out, "{:width$} |", "");
    let _ = writeln!(out, "{number:>width$} | {}", format!("{before}{marked}{after}").trim_end());
    let indent = " ".repeat(before.width());
    let _ = writeln!(out, "{:width$} | {indent}{marks} {label}", "");
    while out.ends_with(" \n") {
        out.truncate(out.len() - 2);
        out.push('\n');
    }
}

/// The text up to `columns`, then `…`.
fn first_columns(text: &str, columns: usize) -> String {
    let mut shown = String::new();
    let mut used = 0;
    for c in text.chars().map(neutral) {
        used += c.width().unwrap_or(1);
        if used > columns {
            // A cut of an empty room would only add to it.
            if !shown.is_empty() || columns > 0 {
                shown.push('…');
            }
            break;
        }
        shown.push(c);
    }
    shown
}

/// All of the text if it takes at most `most` columns with room left for what follows; else `…` and its end.
fn last_columns(text: &str, columns: usize, most: usize) -> String {
    // Four bytes a character at most: what is longer than that need not be looked at.
    if text.len() <= most * 4 {
        let shown: String = text.chars().map(neutral).collect();
        if shown.width() + columns <= most {
            return shown;
        }
    }
    let mut kept = 0;
    let mut used = 0;
    for c in text.chars().rev() {
        used += neutral(c).width().unwrap_or(1);
        if used > columns {
            let cut = &text[text.len() - kept..];
            return std::iter::once('…').chain(cut.chars().map(neutral)).collect();
        }
        kept += c.len_utf8();
    }
    text.chars().map(neutral).collect()
}

fn plain(text: &str) -> String {
    text.chars().map(neutral).collect()
}

/// Control characters, and those that reorder or hide text, become visible and harmless.
fn neutral(c: char) -> char {
    match c {
        '\t' => ' ',
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}
