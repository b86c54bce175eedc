//! The statements of a template: text, expressions, and what is conditional or repeated. Owns how they are written and which
//! white space goes; does not know variables.

use std::ops::Range;

use crate::producer::kubespray::template::{inside, tag};

/// Statements within one another.
const MAX_DEPTH: usize = 40;

/// A part of a template; ranges are places in its text.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Text(Range<usize>),
    /// An expression within `{{ }}`.
    Expression(Range<usize>),
    /// The branches, each with its condition; that of `else` has none.
    If(Vec<(Option<Range<usize>>, Vec<Part>)>),
    For {
        target: Range<usize>,
        items: Range<usize>,
        body: Vec<Part>,
        otherwise: Vec<Part>,
    },
    /// `{% set name = expression %}`
    Set(Range<usize>),
    /// A statement that is not followed: what it encloses may be rendered.
    Other(Vec<Part>),
}

/// The parts of a template. What is not closed is text.
pub(super) fn parts(text: &str) -> Vec<Part> {
    Parser { text, at: 0, depth: 0, trim_start: false }.parts()
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// Whether the tag before ends with `-%}`.
    trim_start: bool,
}

/// What ends a list of parts.
enum End {
    /// The end of the text.
    Text,
    /// A tag: its first word, and where the rest is.
    Tag(String, Range<usize>),
}

impl Parser<'_> {
    /// The parts of the whole text. A tag that ends nothing is skipped.
    fn parts(&mut self) -> Vec<Part> {
        let mut all = Vec::new();
        loop {
            let (mut parts, end) = self.until(&[]);
            all.append(&mut parts);
            if matches!(end, End::Text) {
                return all;
            }
        }
    }

    /// The parts up to a tag of these, or up to one that ends a statement.
    fn until(&mut self, ends: &[&str]) -> (Vec<Part>, End) {
        let mut parts = Vec::new();
        self.depth += 1;
        let end = loop {
            let Some(open) = self.open() else {
                self.push_text(&mut parts, self.text.len(), false);
                break End::Text;
            };
            let rest = &self.text[open + 2..];
            let kind = self.text.as_bytes()[open + 1];
            let length = match kind {
                b'{' => inside(rest),
                b'%' => tag(rest),
                _ => rest.find("#}"),
            };
            let Some(length) = length else {
                self.push_text(&mut parts, self.text.len(), false);
                break End::Text;
            };
            let content = &rest[..length];
            let trims_before = content.starts_with('-');
            self.push_text(&mut parts, open, trims_before);
            self.at = open + 2 + length + 2;
            self.trim_start = content.ends_with('-');
            if kind != b'{' && !self.trim_start && self.text[self.at..].starts_with('\n') {
                self.at += 1;
            }
            let range = inner(self.text, open + 2..open + 2 + length);
            match kind {
                b'{' => parts.push(Part::Expression(range)),
                b'%' => {
                    let text = &self.text[range.clone()];
                    let word: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    let rest = inner(self.text, range.start + word.len()..range.end);
                    if ends.contains(&word.as_str()) || is_end(&word) || self.depth > MAX_DEPTH {
                        break End::Tag(word, rest);
                    }
                    self.statement(&word, rest, &mut parts);
                }
                _ => {}
            }
        };
        self.depth -= 1;
        (parts, end)
    }

    fn statement(&mut self, word: &str, rest: Range<usize>, parts: &mut Vec<Part>) {
        match word {
            "if" => {
                let mut branches = Vec::new();
                let mut condition = Some(rest);
                loop {
                    let (body, end) = self.until(&["elif", "else", "endif"]);
                    branches.push((condition.take(), body));
                    match end {
                        End::Tag(word, rest) if word == "elif" => condition = Some(rest),
                        End::Tag(word, _) if word == "else" => {}
                        _ => break,
                    }
                }
                parts.push(Part::If(branches));
            }
            "for" => {
                let text = &self.text[rest.clone()];
                let at = text.find(" in ").unwrap_or(text.len());
                let target = rest.start..rest.start + at;
                let items = inner(self.text, (target.end + 4).min(rest.end)..rest.end);
                let (body, end) = self.until(&["else", "endfor"]);
                let otherwise = match end {
                    End::Tag(word, _) if word == "else" => self.until(&["endfor"]).0,
                    _ => Vec::new(),
                };
                parts.push(Part::For { target, items, body, otherwise });
            }
            "set" if self.text[rest.clone()].contains('=') => parts.push(Part::Set(rest)),
            "raw" => {
                let end = self.text[self.at..].find("endraw").map_or(self.text.len(), |at| self.at + at);
                let open = self.text[self.at..end].rfind("{%").map_or(end, |at| self.at + at);
                self.push_text(parts, open, false);
                self.at = self.text[end..].find("%}").map_or(self.text.len(), |at| end + at + 2);
            }
            // The text of a macro is where it is called, and that is not followed.
            "macro" | "call" | "filter" | "with" | "block" | "set" | "autoescape" => {
                let end = format!("end{word}");
                let (body, _) = self.until(&[&end]);
                parts.push(Part::Other(body));
            }
            _ => {}
        }
    }

    /// Where the next statement, expression or comment begins.
    fn open(&self) -> Option<usize> {
        let mut from = self.at;
        loop {
            let at = from + self.text[from..].find('{')?;
            if matches!(self.text.as_bytes().get(at + 1), Some(b'{' | b'%' | b'#')) {
                return Some(at);
            }
            from = at + 1;
        }
    }

    /// Adds the text up to a place.
    fn push_text(&mut self, parts: &mut Vec<Part>, end: usize, trims_end: bool) {
        let mut range = self.at.min(end)..end;
        if std::mem::take(&mut self.trim_start) {
            range.start = range.end - self.text[range.clone()].trim_start().len();
        }
        if trims_end {
            range.end = range.start + self.text[range.clone()].trim_end().len();
        }
        if !range.is_empty() {
            parts.push(Part::Text(range));
        }
        self.at = end;
    }
}

/// Whether a tag ends a statement, or a branch of one.
fn is_end(word: &str) -> bool {
    word.starts_with("end") || matches!(word, "elif" | "else")
}

/// A range without the space in it, and without the marks of white-space control.
fn inner(text: &str, range: Range<usize>) -> Range<usize> {
    let content = &text[range.clone()];
    let from = content.trim_start_matches(['-', '+']).trim_start();
    let start = range.end - from.len();
    let to = from.trim_end_matches(['-', '+']).trim_end();
    start..start + to.len()
}
