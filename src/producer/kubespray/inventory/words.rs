//! The words of a host's line, as Python's `shlex` splits them: quotes, escapes, comments. Owns their places; does not know what
//! they say.

use std::ops::Range;

/// A word without its quotes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Where it stands, quotes included.
    pub(super) range: Range<usize>,
}

/// What a character is read in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between words.
    Between,
    Word,
    /// Within this quote.
    Quoted(char),
}

/// The words of a line up to its comment, which `#` begins anywhere outside of quotes. The error is what is not closed, and
/// where it begins.
pub(super) fn split(line: &str) -> Result<Vec<Word>, (&'static str, usize)> {
    let (mut words, mut state) = (Vec::new(), State::Between);
    let (mut text, mut start, mut quote_at) = (String::new(), 0, 0);
    let mut characters = line.char_indices();
    let mut end = line.len();
    while let Some((at, character)) = characters.next() {
        if state == State::Between && !character.is_whitespace() {
            (state, start) = (State::Word, at);
        }
        match (state, character) {
            (State::Between, _) => {}
            (State::Word, '#') => {
                end = at;
                break;
            }
            (State::Word, character) if character.is_whitespace() => {
                words.push(Word { text: std::mem::take(&mut text), range: start..at });
                state = State::Between;
            }
            (State::Word, '\'' | '"') => (state, quote_at) = (State::Quoted(character), at),
            (State::Word, '\\') => match characters.next() {
                Some((_, escaped)) => text.push(escaped),
                None => return Err(("no character after the backslash", at)),
            },
            (State::Quoted(quote), character) if character == quote => state = State::Word,
            (State::Quoted('"'), '\\') => match characters.next() {
                Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                Some((_, other)) => text.extend(['\\', other]),
                None => return Err(("no closing quotation mark", quote_at)),
            },
            (State::Word | State::Quoted(_), character) => text.push(character),
        }
    }
    match state {
        State::Quoted(_) => return Err(("no closing quotation mark", quote_at)),
        // A comment right at the beginning of a word is none.
        State::Word if start < end => words.push(Word { text, range: start..end }),
        State::Word | State::Between => {}
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<String> {
        split(line).unwrap().into_iter().map(|word| word.text).collect()
    }

    /// The right values are what Python's `shlex.split(line, comments=True)` returns.
    #[test]
    fn lines_are_split_as_python_does() {
        for (line, words) in [
            ("node1 ip=192.0.2.1", &["node1", "ip=192.0.2.1"][..]),
            ("a\tb  c", &["a", "b", "c"]),
            (r#"a b="c d" e='f "g"'"#, &["a", "b=c d", "e=f \"g\""]),
            (r#"a b="c \" \\ \n" d=e\ f"#, &["a", "b=c \" \\ \\n", "d=e f"]),
            (r"a 'b \' c", &["a", "b \\", "c"]),
            ("a b # c", &["a", "b"]),
            ("a b#c d", &["a", "b"]),
            ("a 'b#c' d", &["a", "b#c", "d"]),
            ("a '' b", &["a", "", "b"]),
            ("a ''", &["a", ""]),
            ("# a", &[]),
        ] {
            assert_eq!(texts(line), words, "{line}");
        }
    }

    #[test]
    fn what_is_not_closed_is_an_error_where_it_begins() {
        assert_eq!(split("a b='c"), Err(("no closing quotation mark", 4)));
        assert_eq!(split("a \"b\\"), Err(("no closing quotation mark", 2)));
        assert_eq!(split("a b\\"), Err(("no character after the backslash", 3)));
    }

    #[test]
    fn a_word_has_its_quotes_in_its_range() {
        let line = "a b='c' d";
        let words = split(line).unwrap();
        assert_eq!(words.iter().map(|word| &line[word.range.clone()]).collect::<Vec<_>>(), ["a", "b='c'", "d"]);
    }
}
