//! Diagnostics: a problem as a fact, with the places in the user's files that it is about. Owns the excerpt printer and
//! the table of lint rules; does not know what the problems are, nor where they are shown.

mod excerpt;
pub(crate) mod hints;
pub mod rules;
mod unreadable;
mod words;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use excerpt::{plain, quoted, render, sorted};
pub use unreadable::Unreadable;
pub use words::{counted, size};

/// A text the user wrote: the definition or a list file.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
    /// Byte offset of the start of each line.
    lines: Vec<usize>,
}

impl Source {
    /// A source named as the user knows it (`kso.yaml`, `temp/files-amd64.list`).
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        let text = text.into();
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Arc::new(Self { name: name.into(), text, lines })
    }

    /// A source from the bytes of a file, without a byte order mark. The error is that there are more than `max_bytes`, or that
    /// they are not UTF-8.
    pub fn from_bytes(name: impl Into<String>, bytes: Vec<u8>, max_bytes: usize) -> Result<Arc<Self>, Unreadable> {
        if bytes.len() > max_bytes {
            return Err(Unreadable::TooLarge(max_bytes));
        }
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return Err(Unreadable::Utf16);
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(name, text.strip_prefix('\u{feff}').unwrap_or(&text))),
            Err(error) => {
                let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                Err(Unreadable::NotUtf8(good.split(|byte| *byte == b'\n').count()))
            }
        }
    }

    /// The name as the user knows it: a path relative to the build context.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The bytes of a 1-based line, without its line break; empty past the last line.
    pub fn line(&self, number: usize) -> Range<usize> {
        let Some(start) = number.checked_sub(1).and_then(|index| self.lines.get(index)) else { return 0..0 };
        let end = self.lines.get(number).map_or(self.text.len(), |next| next - 1);
        let text = self.text.get(*start..end).unwrap_or_default();
        *start..*start + text.strip_suffix('\r').unwrap_or(text).len()
    }

    /// The 1-based line and 1-based column (in characters) of a byte offset.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line_at(offset);
        let start = self.lines[line - 1];
        let column = self.text.get(start..offset.min(self.text.len())).map_or(0, |s| s.chars().count());
        (line, column + 1)
    }

    /// The 1-based line of a byte offset. Does not look at the text, so that many places of one long line cost little.
    fn line_at(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset)
    }
}

/// A range of bytes of a [`Source`]. Carries its source, so that it means something wherever it travels.
#[derive(Clone)]
pub struct Span {
    source: Arc<Source>,
    range: Range<usize>,
}

impl Span {
    /// The bytes `range` of `source`; an end past the text is cut, and a piece of a character is all of it.
    pub fn new(source: &Arc<Source>, range: Range<usize>) -> Self {
        let end = source.text.ceil_char_boundary(range.end.min(source.text.len()));
        let start = source.text.floor_char_boundary(range.start.min(end));
        Self { source: Arc::clone(source), range: start..end }
    }

    /// The source that the bytes are of.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The range in bytes.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Whether both are the same place of the same source.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source) && self.range == other.range
    }

    /// What the user wrote there.
    pub fn text(&self) -> &str {
        self.source.text.get(self.range.clone()).unwrap_or_default()
    }

    /// The 1-based first line.
    pub fn line(&self) -> usize {
        self.source.line_at(self.range.start)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.source.position(self.range.start);
        write!(f, "{}:{line}:{column}", self.source.name)
    }
}

/// A value together with the place where the user wrote it.
#[derive(Clone)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// A value written at `span`.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }

    /// The value changed, the place kept.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned { value: f(self.value), span: self.span }
    }
}

impl<T: fmt::Debug> fmt::Debug for Spanned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} @ {:?}", self.value, self.span)
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The build cannot go on.
    Error,
    /// The build goes on, but the user should know.
    Warning,
    /// A note, reported only by a check.
    Note,
}

impl Severity {
    /// Its name, as people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// A rule that a definition may break and still be built: a lint.
#[derive(Debug)]
pub struct Rule {
    /// Its name, by which it is skipped.
    pub name: &'static str,
    /// How bad it is to break it.
    pub severity: Severity,
    /// What it means to break it.
    pub description: &'static str,
    /// What to write instead.
    pub fix: &'static str,
}

/// A problem: what is wrong, where, and what to write instead.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The rule that is broken, if it is one.
    pub rule: Option<&'static Rule>,
    /// What is wrong: lower-case start, no final period.
    pub message: String,
    /// The place it is about; `None` for problems of no file (a command-line option).
    pub span: Option<Span>,
    /// A second place and what it has to do with it ("first defined here").
    pub related: Vec<(Span, String)>,
    /// What to write instead.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error about no file.
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            rule: None,
            message: message.into(),
            span: None,
            related: Vec::new(),
            help: None,
        }
    }

    /// A warning of no rule: about a build, and not about what it builds.
    pub fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    /// A broken rule, about no file, with the rule's own help.
    pub fn lint(rule: &'static Rule, message: impl Into<String>) -> Self {
        Self { severity: rule.severity, rule: Some(rule), ..Self::error(message) }.help(rule.fix)
    }

    /// The place it is about, if there is one.
    #[must_use]
    pub fn at(mut self, span: impl Into<Option<Span>>) -> Self {
        self.span = span.into().or(self.span);
        self
    }

    /// Whether another says the same of the same place.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let same_place = match (&self.span, &other.span) {
            (Some(one), Some(other)) => one.is_same(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        same_place && self.message == other.message
    }

    /// Whether it says that this rule is broken.
    pub(crate) fn is_of(&self, rule: &Rule) -> bool {
        self.rule.is_some_and(|broken| broken.name == rule.name)
    }

    /// Whether the build cannot go on.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// A second place, if there is one.
    #[must_use]
    pub fn related(mut self, span: impl Into<Option<Span>>, message: impl Into<String>) -> Self {
        self.related.extend(span.into().map(|span| (span, message.into())));
        self
    }

    /// What to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_a_source() {
        let read = |bytes: &[u8]| {
            let source = Source::from_bytes("a", bytes.to_vec(), 2 << 20);
            source.map(|source| source.text().to_owned()).map_err(|why| why.to_string())
        };
        assert_eq!(read(b"a"), Ok("a".into()));
        assert_eq!(read("\u{feff}a".as_bytes()), Ok("a".into()));
        assert_eq!(read(b"\xff\xfea\0"), Err("is UTF-16, but must be UTF-8".into()));
        assert_eq!(read(b"\xfe\xff\0a"), Err("is UTF-16, but must be UTF-8".into()));
        assert_eq!(read(b"ab\ncd\n\xff"), Err("is not UTF-8 on line 3".into()));
        assert!(read(&vec![b'a'; 2 << 20]).is_ok());
        assert_eq!(read(&vec![b'a'; (2 << 20) + 1]), Err("is larger than 2 MiB".into()));
    }

    #[test]
    fn places() {
        let [one, other] = ["one", "other"].map(|name| Source::new(name, "ab\ncd\n"));
        let span = Span::new(&one, 4..5);
        assert_eq!((span.text(), span.line(), format!("{span:?}")), ("d", 2, "one:2:2".into()));
        assert_eq!(format!("{:?}", Spanned::new(7, span.clone())), "7 @ one:2:2");
        assert!(span.is_same(&Span::new(&one, 4..5)));
        assert!(!span.is_same(&Span::new(&one, 4..6)));
        assert!(!span.is_same(&Span::new(&other, 4..5)));
    }

    #[test]
    fn what_stops_a_build() {
        assert!(Diagnostic::error("a").is_error());
        assert!(!Diagnostic::warning("a").is_error());
        assert!(!Diagnostic::lint(&rules::NO_ETAG, "a").is_error());
    }

    #[test]
    fn a_broken_rule_is_named_and_says_what_to_do() {
        let broken = Diagnostic::lint(&rules::NO_ETAG, "a");
        assert_eq!(broken.rule.map(|rule| rule.name), Some("NoETag"));
        assert_eq!(broken.help.as_deref(), Some(rules::NO_ETAG.fix));
        assert_eq!(Diagnostic::warning("a").rule.map(|rule| rule.name), None);
    }
}
