//! A condition of a play, which holds, does not hold, or hangs on what only a run would know. Owns the three values; does not
//! know what is done under a condition.

use crate::diagnostic::Span;
use crate::producer::kubespray::scope::Scope;
use crate::producer::kubespray::yaml::{Node, Value};

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Yes,
    No,
    /// It hangs on a result of a task, or on a fact of a machine.
    Maybe,
}

impl Verdict {
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Maybe,
        }
    }

    fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }

    fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
        }
    }
}

impl From<bool> for Verdict {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// Whether what a key `when` has holds: an expression, or a list of them that must all hold.
pub(super) fn of_node(scope: &Scope, node: &Node) -> Verdict {
    match &node.value {
        Value::Null => Verdict::Yes,
        Value::Bool(holds) => Verdict::from(*holds),
        Value::List(all) => all.iter().fold(Verdict::Yes, |verdict, one| verdict.and(of_node(scope, one))),
        Value::Text(text, _) => of_text(scope, text, &node.span),
        _ => Verdict::Maybe,
    }
}

/// Whether an expression holds. Its parts are judged one by one, because `a and b` does not hold where `b` does not, whatever
/// `a` is.
pub(super) fn of_text(scope: &Scope, text: &str, span: &Span) -> Verdict {
    let text = unwrapped(text);
    // Older playbooks write conditions as templates.
    let text = text.strip_prefix("{{").and_then(|text| text.strip_suffix("}}")).map_or(text, str::trim);
    let words = words(text);
    // The branches of an inline `if` are no parts of an `or`.
    if !words.iter().any(|(_, word)| *word == "if") {
        for (operator, join) in [("or", Verdict::or as fn(Verdict, Verdict) -> Verdict), ("and", Verdict::and)] {
            let parts = split(text, &words, operator);
            if parts.len() > 1 {
                let mut verdicts = parts.into_iter().map(|part| of_text(scope, part, span));
                let first = verdicts.next().unwrap_or(Verdict::Yes);
                return verdicts.fold(first, join);
            }
        }
        if let Some(inner) = text.strip_prefix("not").filter(|rest| rest.starts_with([' ', '(', '\n'])) {
            return of_text(scope, inner, span).not();
        }
    }
    match scope.expression("a condition", text, span) {
        Ok(value) => Verdict::from(value.is_true()),
        Err(_) => Verdict::Maybe,
    }
}

/// Without space around it, and without parentheses that enclose all of it.
fn unwrapped(text: &str) -> &str {
    let mut text = text.trim();
    while let Some(inner) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
        let mut depth = 0_usize;
        let closes_early = outside_of_strings(inner).any(|(_, c)| match c {
            '(' => {
                depth += 1;
                false
            }
            ')' if depth == 0 => true,
            ')' => {
                depth -= 1;
                false
            }
            _ => false,
        });
        if closes_early {
            break;
        }
        text = inner.trim();
    }
    text
}

/// The characters that are in no string literal, each with its place.
fn outside_of_strings(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut quote = None;
    let mut escaped = false;
    text.char_indices().filter(move |(_, c)| {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if *c == '\\' => escaped = true,
            Some(open) if open == *c => quote = None,
            Some(_) => {}
            None if matches!(c, '\'' | '"') => quote = Some(*c),
            None => return true,
        }
        false
    })
}

/// The words that are in no string literal and in no brackets, each with its place.
fn words(text: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let (mut depth, mut start, mut last) = (0_usize, None, 0);
    let mut end_word = |start: &mut Option<usize>, end: usize| {
        if let Some(start) = start.take() {
            words.push((start, &text[start..end]));
        }
    };
    for (at, c) in outside_of_strings(text) {
        // A string literal lies between.
        if at > last {
            end_word(&mut start, last);
        }
        last = at + c.len_utf8();
        match c {
            '(' | '[' | '{' => {
                end_word(&mut start, at);
                depth += 1;
            }
            ')' | ']' | '}' => {
                end_word(&mut start, at);
                depth = depth.saturating_sub(1);
            }
            c if c.is_alphanumeric() || c == '_' || c == '.' => {
                if depth == 0 {
                    start.get_or_insert(at);
                }
            }
            _ => end_word(&mut start, at),
        }
    }
    end_word(&mut start, last);
    words
}

/// The parts of an expression between the occurrences of an operator.
fn split<'a>(text: &'a str, words: &[(usize, &str)], operator: &str) -> Vec<&'a str> {
    let mut parts = Vec::new();
    let mut from = 0;
    for (at, _) in words.iter().filter(|(_, word)| *word == operator) {
        parts.push(&text[from..*at]);
        from = at + operator.len();
    }
    parts.push(&text[from..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;
    use crate::producer::kubespray::play::tests::scope;

    #[test]
    fn what_is_unknown_leaves_open_only_what_hangs_on_it() {
        let scope = scope("yes_: true\nno_: false\nname: calico\nempty: ''\n", &["result"]);
        let source = Source::new("x", "");
        for (text, expected) in [
            ("yes_", Verdict::Yes),
            ("not yes_", Verdict::No),
            ("no_ and result", Verdict::No),
            ("result and no_", Verdict::No),
            ("result.rc == 0 and no_", Verdict::No),
            ("result.rc == 0 or yes_", Verdict::Yes),
            ("result is defined", Verdict::Maybe),
            ("not result.stat.exists", Verdict::Maybe),
            ("(no_ or result) and (yes_)", Verdict::Maybe),
            ("(no_ and result) or (no_)", Verdict::No),
            ("name in ['calico', 'or'] and yes_", Verdict::Yes),
            ("name == 'a or b' and result", Verdict::No),
            ("(result if yes_ else no_)", Verdict::Maybe),
            ("yes_ if yes_ else result", Verdict::Yes),
            ("nowhere is defined and result", Verdict::No),
            ("{{ yes_ }}", Verdict::Yes),
            ("empty | length > 0", Verdict::No),
            ("not (yes_ and no_)", Verdict::Yes),
            ("ansible_memtotal_mb < 2", Verdict::Maybe),
            ("item is skipped", Verdict::Maybe),
        ] {
            assert_eq!(of_text(&scope, text, &Span::new(&source, 0..0)), expected, "{text}");
        }
    }
}
