//! Why a text is not the name it should be. Owns the fact; does not know where the text was written.

use std::ops::Range;

use crate::diagnostic::{Diagnostic, Span};

/// Why a text is not a valid name: a fact, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// What is wrong: lower-case start, no final period.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// The bytes of the text that are wrong; `None` when it is all of it.
    pub range: Option<Range<usize>>,
}

impl Invalid {
    /// A fact about the whole text.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, range: None }
    }

    /// What to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Only these bytes of the text are wrong.
    #[must_use]
    pub fn within(mut self, range: Range<usize>) -> Self {
        self.range = Some(range);
        self
    }

    /// The problem of `text` as it was written at `span`. The excerpt marks only the wrong bytes where the user's
    /// bytes are the text itself, except for quotes around it.
    pub fn at(self, text: &str, span: &Span) -> Diagnostic {
        let place = match self.range {
            Some(range) if span.text().trim_matches(['"', '\'']) == text => {
                let quote = span.text().find(text).unwrap_or_default();
                let start = span.range().start + quote;
                Span::new(span.source(), start + range.start..start + range.end)
            }
            _ => span.clone(),
        };
        let diagnostic = Diagnostic::error(self.message).at(place);
        match self.help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;

    /// What is marked of `written`, which stands behind a key.
    fn marked(written: &str, text: &str, invalid: Invalid) -> String {
        let source = Source::new("kso.yaml", format!("url: {written}\n"));
        let problem = invalid.at(text, &Span::new(&source, 5..5 + written.len()));
        problem.span.unwrap().text().to_owned()
    }

    #[test]
    fn only_the_wrong_bytes_are_marked_where_they_are_the_users_own() {
        let invalid = || Invalid::new("a space").within(1..4);
        assert_eq!(marked("a b-c", "a b-c", invalid()), " b-");
        assert_eq!(marked("\"a b-c\"", "a b-c", invalid()), " b-");
        assert_eq!(marked("'a b-c'", "a b-c", invalid()), " b-");
        assert_eq!(marked("${NAME}", "a b-c", invalid()), "${NAME}");
        assert_eq!(marked("a b-c", "a b-c", Invalid::new("all of it")), "a b-c");
    }

    #[test]
    fn the_help_is_there_where_it_is_known() {
        let source = Source::new("kso.yaml", "x");
        let help = |invalid: Invalid| invalid.at("x", &Span::new(&source, 0..1)).help;
        assert_eq!(help(Invalid::new("a")), None);
        assert_eq!(help(Invalid::new("a").help("write b")).as_deref(), Some("write b"));
    }
}
