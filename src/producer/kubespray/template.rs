//! A text as a template: whether it is one, whether it is one expression alone, and how it must be written for minijinja.
//! Owns the lexical differences between Ansible's Jinja2 and minijinja; does not know variables.

/// A text that Ansible would render.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Template {
    /// Plain text.
    Plain,
    /// `{{ expression }}` alone, whose value keeps its type.
    Expression(String),
    /// Anything else: its value is text.
    Mixed(String),
}

/// What a text is, with backslashes doubled in string literals of `{{ }}`: there they are literal for Ansible and begin
/// an escape for minijinja.
pub(super) fn classify(text: &str) -> Template {
    if !["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)) {
        return Template::Plain;
    }
    let (mut written, mut expressions) = (String::with_capacity(text.len() + 16), Vec::new());
    let (mut rest, mut other) = (text, false);
    while let Some(at) = rest.find('{') {
        let kind = rest[at + 1..].chars().next();
        let (end, close) = match kind {
            Some('{') => (inside(&rest[at + 2..]).map(|len| at + 2 + len), "}}"),
            Some('%') => (tag(&rest[at + 2..]).map(|len| at + 2 + len), "%}"),
            Some('#') => (rest[at + 2..].find("#}").map(|len| at + 2 + len), "#}"),
            _ => {
                written.push_str(&rest[..=at]);
                other = true;
                rest = &rest[at + 1..];
                continue;
            }
        };
        other |= at > 0 || kind != Some('{');
        written.push_str(&rest[..at]);
        let Some(end) = end else {
            // Not closed: minijinja says what is wrong.
            written.push_str(&rest[at..]);
            return Template::Mixed(written);
        };
        let content = &rest[at + 2..end];
        let content = if close == "}}" { doubled(content) } else { content.to_owned() };
        if close == "%}" && content.trim_matches(['-', '+']).trim() == "raw" {
            let block = &rest[end + 2..];
            let stop = end_of_raw(block).map_or(rest.len(), |len| end + 2 + len);
            written.push_str(&rest[at..stop]);
            rest = &rest[stop..];
            continue;
        }
        written.push_str(&rest[at..at + 2]);
        written.push_str(&content);
        written.push_str(close);
        if close == "}}" {
            expressions.push(content);
        }
        rest = &rest[end + 2..];
    }
    other |= !rest.is_empty();
    written.push_str(rest);
    match (expressions.pop(), expressions.is_empty(), other) {
        (Some(only), true, false) => Template::Expression(stripped(&only).to_owned()),
        _ => Template::Mixed(written),
    }
}

/// Without the marks of white-space control.
fn stripped(expression: &str) -> &str {
    let expression = expression.strip_prefix(['-', '+']).unwrap_or(expression);
    expression.strip_suffix(['-', '+']).unwrap_or(expression)
}

/// The bytes before the `}}` that ends an expression: not in a string, not within braces of its own.
pub(super) fn inside(text: &str) -> Option<usize> {
    let mut braces = 0_usize;
    let mut quote = None;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match (quote, byte) {
            (Some(_), b'\\') => drop(bytes.next()),
            (Some(open), byte) if open == byte => quote = None,
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'{') => braces += 1,
            (None, b'}') if braces > 0 => braces -= 1,
            (None, b'}') if text[at..].starts_with("}}") => return Some(at),
            _ => {}
        }
    }
    None
}

/// The bytes before the `%}` that ends a tag.
pub(super) fn tag(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (Some(open), byte) if open == byte => quote = None,
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'%') if text[at..].starts_with("%}") => return Some(at),
            _ => {}
        }
    }
    None
}

/// The bytes up to the end of `{% endraw %}`.
fn end_of_raw(text: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(open) = text[from..].find("{%").map(|at| from + at) {
        let close = text[open..].find("%}").map(|at| open + at)?;
        if text[open + 2..close].trim_matches(['-', '+']).trim() == "endraw" {
            return Some(close + 2);
        }
        from = open + 2;
    }
    None
}

/// Doubles each backslash of a string literal, except one that escapes a quote.
fn doubled(expression: &str) -> String {
    let mut written = String::with_capacity(expression.len() + 8);
    let mut quote = None;
    let mut chars = expression.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), '\\') => {
                // What stays of `\'` is the quote; `\\` is two backslashes.
                let next = chars.next_if(|next| *next == open || *next == '\\');
                written.push_str(if next == Some(open) { "\\" } else { "\\\\" });
                if next == Some('\\') {
                    written.push_str("\\\\");
                } else {
                    written.extend(next);
                }
                continue;
            }
            (Some(open), c) if open == c => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            _ => {}
        }
        written.push(c);
    }
    written
}

/// The names in a template.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Whether a template asks for the environment of Ansible's process.
pub(super) fn reads_environment(text: &str) -> bool {
    text.match_indices("lookup(").any(|(at, call)| {
        let plugin = text[at + call.len()..].trim_start().trim_start_matches(['"', '\'']);
        let plugin = plugin.strip_prefix("ansible.builtin.").unwrap_or(plugin);
        plugin.strip_prefix("env").is_some_and(|rest| rest.starts_with(['"', '\'']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_the_environment() {
        for text in ["{{ lookup('env', 'A') }}", "{{ a ~ lookup( \"ansible.builtin.env\",'A') }}"] {
            assert!(reads_environment(text), "{text}");
        }
        for text in ["{{ lookup('vars', 'env') }}", "{{ lookup('environment') }}", "{{ env }}", "lookup("] {
            assert!(!reads_environment(text), "{text}");
        }
    }

    #[test]
    fn one_expression_alone_keeps_its_type() {
        let expression = |text: &str| Template::Expression(text.into());
        assert_eq!(classify("{{ a }}"), expression(" a "));
        assert_eq!(classify("{{- a -}}"), expression(" a "));
        assert_eq!(classify("{{ {'a': {'b': 1}}['a'] }}"), expression(" {'a': {'b': 1}}['a'] "));
        assert_eq!(classify("{{ '}}' }}"), expression(" '}}' "));
        for mixed in
            ["{{ a }}{{ b }}", " {{ a }}", "{{ a }}\n", "x{{ a }}", "{% if a %}b{% endif %}", "{{ a", "{x{{ a }}"]
        {
            assert!(matches!(classify(mixed), Template::Mixed(_)), "{mixed}");
        }
        assert_eq!(classify("{ a }}"), Template::Plain);
    }

    #[test]
    fn backslashes_of_expressions_are_literal() {
        assert_eq!(classify(r"{{ a | f('\.', '\1') }}"), Template::Expression(r" a | f('\\.', '\\1') ".into()));
        assert_eq!(classify(r"{{ 'it\'s' }}"), Template::Expression(r" 'it\'s' ".into()));
        assert_eq!(classify(r"{{ '\\' ~ a }}"), Template::Expression(r" '\\\\' ~ a ".into()));
        assert_eq!(classify(r"{% if '\n' %}{{ '\n' }}"), Template::Mixed(r"{% if '\n' %}{{ '\\n' }}".into()));
        let raw = r"{% raw %}{{ '\' }}{% endraw %}{{ '\.' }}";
        assert_eq!(classify(raw), Template::Mixed(r"{% raw %}{{ '\' }}{% endraw %}{{ '\\.' }}".into()));
    }
}
