//! Diagnostics as plain text for a terminal, with the lines they are about. Owns the layout, and that nothing from a
//! file can break it: long lines are cut, control characters are replaced.

use std::fmt::Write;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Diagnostic, Span};

/// The widest excerpt of a line, in columns.
const MAX_COLUMNS: usize = 120;
/// How much of a long line is shown before the place, in columns.
const COLUMNS_BEFORE: usize = 40;
/// The longest piece of a file that a message quotes, in characters.
const MAX_QUOTED: usize = 80;

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

/// The diagnostics in the order in which they are shown: those about no file first, then by file and place.
pub fn sorted<'a>(diagnostics: impl IntoIterator<Item = &'a Diagnostic>) -> Vec<&'a Diagnostic> {
    let mut sorted: Vec<_> = diagnostics.into_iter().collect();
    sorted.sort_by(|a, b| key(a).cmp(&key(b)));
    sorted
}

/// The first `most` diagnostics as text, [`sorted`].
pub fn render(diagnostics: &[Diagnostic], most: usize) -> String {
    let rendered: Vec<_> = sorted(diagnostics).into_iter().take(most).map(one).collect();
    rendered.join("\n")
}

fn key(diagnostic: &Diagnostic) -> Option<(&str, usize, usize)> {
    diagnostic.span.as_ref().map(|span| (span.source().name(), span.range().start, span.range().end))
}

fn one(diagnostic: &Diagnostic) -> String {
    let rule = diagnostic.rule.map(|rule| format!("[{}]", rule.name)).unwrap_or_default();
    let mut out = format!("{}{rule}: {}\n", diagnostic.severity.as_str(), plain(&diagnostic.message));
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
    if let Some(rule) = diagnostic.rule {
        let _ = writeln!(out, "{:width$} = see: {}", "", rule.url());
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
    let marks = format!("{}{} {label}", " ".repeat(before.width()), mark.to_string().repeat(marked.width().max(1)));
    let _ = writeln!(out, "{:width$} |", "");
    let _ = writeln!(out, "{}", format!("{number:>width$} | {before}{marked}{after}").trim_end());
    let _ = writeln!(out, "{:width$} | {}", "", marks.trim_end());
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

/// A line of text from a file, a server or BuildKit, made harmless for a terminal: control characters are replaced.
pub fn plain(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::super::Source;
    use super::*;

    fn shown(text: &str, range: std::ops::Range<usize>) -> String {
        render(&[Diagnostic::error("no").at(Span::new(&Source::new("a.list", text), range))], 1)
    }

    #[test]
    fn one_place() {
        let expected = "error: no\n  --> a.list:2:3\n   |\n 2 | cdef\n   |   ^^\n";
        assert_eq!(shown("ab\ncdef\n", 5..7), expected);
        assert_eq!(shown("ab\r\ncdef\r\n", 6..8), expected);
    }

    #[test]
    fn a_place_without_text() {
        assert_eq!(shown("", 0..0), "error: no\n  --> a.list:1:1\n   |\n 1 |\n   | ^\n");
        assert_eq!(shown("ab", 2..9), "error: no\n  --> a.list:1:3\n   |\n 1 | ab\n   |   ^\n");
    }

    #[test]
    fn the_mark_ends_with_the_line() {
        assert_eq!(shown("ab\ncd\n", 1..5), "error: no\n  --> a.list:1:2\n   |\n 1 | ab\n   |  ^\n");
    }

    #[test]
    fn two_places_and_help() {
        let a = Source::new("a.list", "x\n".repeat(1000));
        let b = Source::new("b.list", "y\n");
        let problem = Diagnostic::error("no")
            .at(Span::new(&a, 1998..1999))
            .related(Span::new(&b, 0..1), "the other")
            .help("write this\nor that");
        insta::assert_snapshot!(render(&[problem], 1), @r"
        error: no
            --> a.list:1000:1
             |
        1000 | x
             | ^
            ::: b.list:1:1
             |
           1 | y
             | - the other
             = help: write this
                     or that
        ");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let expected = "error: no\n  --> a.list:1:3\n   |\n 1 | 文件x\n   |     ^\n";
        assert_eq!(shown("文件x", 6..7), expected);
    }

    #[test]
    fn long_lines_are_cut() {
        let line = format!("{}HERE{}", "a".repeat(5_000_000), "b".repeat(5_000_000));
        let shown = shown(&line, 5_000_000..5_000_004);
        assert!(shown.len() < 500, "{shown}");
        assert!(shown.contains(&format!("…{}HERE{}", "a".repeat(40), "b".repeat(10))), "{shown}");
        let all = super::tests::shown(&line, 0..10_000_000);
        assert!(all.len() < 500, "{all}");
    }

    #[test]
    fn the_mark_begins_anywhere_in_any_line() {
        assert_eq!(shown("abcdef\nghi\n", 9..10), "error: no\n  --> a.list:2:3\n   |\n 2 | ghi\n   |   ^\n");
    }

    #[test]
    fn texts_are_cut_to_columns() {
        for (text, columns, expected) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "abc…"),
            ("", 0, ""),
            ("a", 0, ""),
            ("文a", 1, "…"),
            ("文a", 2, "文…"),
            ("文a", 3, "文a"),
        ] {
            assert_eq!(first_columns(text, columns), expected, "{text} {columns}");
        }
        for (text, columns, most, expected) in [
            ("abc", 2, 5, "abc"),
            ("abcd", 2, 5, "…cd"),
            ("文文", 1, 5, "文文"),
            ("文文", 2, 5, "…文"),
            // 11 bytes, one column.
            ("e\u{301}\u{301}\u{301}\u{301}\u{301}", 0, 5, "e\u{301}\u{301}\u{301}\u{301}\u{301}"),
            ("e\u{301}\u{301}", 5, 1, "e\u{301}\u{301}"),
        ] {
            assert_eq!(last_columns(text, columns, most), expected, "{text} {columns} {most}");
        }
    }

    #[test]
    fn control_characters_are_replaced() {
        let text = "a\u{1b}[2J\tb\u{202e}c\0\rd";
        assert!(shown(text, 0..1).contains(" 1 | a\u{fffd}[2J b\u{fffd}c\u{fffd}\u{fffd}d\n"));
        assert_eq!(quoted("a\nb"), "`a\u{fffd}b`");
        assert_eq!(quoted(&"a".repeat(1000)), format!("`{}…`", "a".repeat(MAX_QUOTED)));
    }

    #[test]
    fn sorted_by_file_and_place() {
        let (a, b) = (Source::new("a", "x\ny\n"), Source::new("b", "x\n"));
        let at = |source, start| Diagnostic::error("no").at(Span::new(source, start..start + 1));
        let shown = render(&[at(&b, 0), at(&a, 2), Diagnostic::error("first"), at(&a, 0)], 3);
        let places: Vec<_> = shown.lines().filter(|line| line.contains("-->") || line.contains("first")).collect();
        assert_eq!(places, ["error: first", "  --> a:1:1", "  --> a:2:1"]);
    }
}
