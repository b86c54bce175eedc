//! Literals of Python, which values in an INI inventory may be. Owns their syntax, as `ast.literal_eval` reads it; does not know
//! variables.

use std::sync::Arc;

use crate::diagnostic::Span;
use crate::producer::kubespray::yaml::{Entry, Key, Map, Node, Value};

/// Brackets within one another. Python's own bound is near 200.
const MAX_DEPTH: usize = 100;

/// The value of a text: that of the literal that it is, or the text itself.
pub(super) fn value(text: &str, span: &Span) -> Arc<Node> {
    let mut reader = Reader { text, at: 0, span };
    reader.whole().unwrap_or_else(|| reader.node(Value::Text(text.into(), true)))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// What every part of the literal stands at.
    span: &'a Span,
}

/// `None` is what is no literal.
impl Reader<'_> {
    fn node(&self, value: Value) -> Arc<Node> {
        Arc::new(Node::new(self.span.clone(), value))
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start_matches([' ', '\t', '\x0c']).len();
    }

    /// Takes a character, and the space behind it.
    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
            self.skip_space();
        }
        found
    }

    /// A literal, a tuple without parentheses, and a comment.
    fn whole(&mut self) -> Option<Arc<Node>> {
        self.skip_space();
        let first = self.literal(0)?;
        let value = if self.take(',') {
            let mut items = vec![first];
            self.items(&mut items, 0, &|reader| reader.at_end())?;
            self.node(Value::List(items))
        } else {
            first
        };
        self.at_end().then_some(value)
    }

    fn at_end(&self) -> bool {
        matches!(self.peek(), None | Some('#'))
    }

    /// Items with commas between them, until `done`.
    fn items(&mut self, items: &mut Vec<Arc<Node>>, depth: usize, done: &dyn Fn(&Self) -> bool) -> Option<()> {
        while !done(self) {
            items.push(self.literal(depth)?);
            if !self.take(',') && !done(self) {
                return None;
            }
        }
        Some(())
    }

    fn literal(&mut self, depth: usize) -> Option<Arc<Node>> {
        if depth > MAX_DEPTH {
            return None;
        }
        let value = match self.peek()? {
            '[' => self.list(depth)?,
            '(' => return self.tuple(depth),
            '{' => self.mapping(depth)?,
            '+' | '-' => {
                let negative = self.peek() == Some('-');
                self.at += 1;
                self.skip_space();
                self.number(negative)?
            }
            '0'..='9' | '.' => self.number(false)?,
            _ => match self.word() {
                Some(value) => value,
                None => self.strings()?,
            },
        };
        self.skip_space();
        Some(self.node(value))
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        self.take('[');
        let mut items = Vec::new();
        self.items(&mut items, depth + 1, &|reader| reader.peek() == Some(']'))?;
        self.at += 1;
        Some(Value::List(items))
    }

    /// A tuple, or a literal in parentheses.
    fn tuple(&mut self, depth: usize) -> Option<Arc<Node>> {
        self.take('(');
        let mut items = Vec::new();
        let mut is_tuple = self.peek() == Some(')');
        if !is_tuple {
            items.push(self.literal(depth + 1)?);
            is_tuple = self.take(',');
            if is_tuple {
                self.items(&mut items, depth + 1, &|reader| reader.peek() == Some(')'))?;
            }
        }
        if !self.take(')') {
            return None;
        }
        if is_tuple { Some(self.node(Value::List(items))) } else { items.pop() }
    }

    /// A mapping, or a set, which is a list here.
    fn mapping(&mut self, depth: usize) -> Option<Value> {
        self.take('{');
        let done = |reader: &Self| reader.peek() == Some('}');
        let (mut entries, mut items) = (Vec::new(), Vec::new());
        while !done(self) {
            let key = self.literal(depth + 1)?;
            if self.take(':') {
                let key = match &key.value {
                    Value::Null => Key::Null,
                    Value::Bool(value) => Key::Bool(*value),
                    Value::Int(value) => Key::Int(*value),
                    Value::Float(value) => Key::Float(value.to_bits()),
                    Value::Text(text, _) => Key::String(Arc::clone(text)),
                    Value::List(_) | Value::Map(_) | Value::Vault | Value::Unknown(_) => return None,
                };
                entries.push(Entry { key, span: self.span.clone(), value: self.literal(depth + 1)? });
            } else {
                items.push(key);
            }
            if !self.take(',') && !done(self) {
                return None;
            }
        }
        self.at += 1;
        match (entries.is_empty(), items.is_empty()) {
            (_, true) => Some(Value::Map(Map::new(entries))),
            (true, false) => Some(Value::List(items)),
            (false, false) => None,
        }
    }

    /// `None`, `True`, `False`.
    fn word(&mut self) -> Option<Value> {
        let is_part = |character: char| character.is_alphanumeric() || character == '_';
        let (word, value) = [("None", Value::Null), ("True", Value::Bool(true)), ("False", Value::Bool(false))]
            .into_iter()
            .find(|(word, _)| self.rest().strip_prefix(word).is_some_and(|rest| !rest.starts_with(is_part)))?;
        self.at += word.len();
        Some(value)
    }

    fn number(&mut self, negative: bool) -> Option<Value> {
        let is_part = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '.');
        let rest = self.rest();
        let mut end = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
        let is_hexadecimal = rest.starts_with("0x") || rest.starts_with("0X");
        // The sign of an exponent.
        if rest[..end].ends_with(['e', 'E']) && !is_hexadecimal && rest[end..].starts_with(['+', '-']) {
            let more = &rest[end + 1..];
            end += 1 + more.find(|character| !is_part(character)).unwrap_or(more.len());
        }
        let text = &rest[..end];
        let value = number(text, negative)?;
        self.at += end;
        Some(value)
    }

    /// Strings one behind the other, which are one.
    fn strings(&mut self) -> Option<Value> {
        let mut text = self.string()?;
        self.skip_space();
        while let Some(more) = self.string() {
            text.push_str(&more);
            self.skip_space();
        }
        Some(Value::Text(text.into(), true))
    }

    fn string(&mut self) -> Option<String> {
        let rest = self.rest();
        let prefix = rest.find(['\'', '"']).filter(|length| *length <= 2)?;
        let is_raw = match rest[..prefix].to_ascii_lowercase().as_str() {
            "" | "u" | "b" => false,
            "r" | "br" | "rb" => true,
            _ => return None,
        };
        let quote = rest[prefix..].chars().next()?;
        let triple = String::from_iter([quote; 3]);
        let close = if rest[prefix..].starts_with(&triple) { triple } else { quote.to_string() };
        let (mut text, mut left) = (String::new(), &rest[prefix + close.len()..]);
        loop {
            if let Some(behind) = left.strip_prefix(close.as_str()) {
                self.at = self.text.len() - behind.len();
                return Some(text);
            }
            let character = left.chars().next()?;
            left = &left[character.len_utf8()..];
            if character != '\\' {
                text.push(character);
            } else if is_raw {
                let escaped = left.chars().next()?;
                text.extend(['\\', escaped]);
                left = &left[escaped.len_utf8()..];
            } else {
                left = escape(left, &mut text)?;
            }
        }
    }
}

/// Adds what the escape at the beginning of `left`, without its backslash, stands for; returns what is behind it.
fn escape<'a>(left: &'a str, text: &mut String) -> Option<&'a str> {
    let character = left.chars().next()?;
    let behind = &left[character.len_utf8()..];
    let hexadecimal = |digits: usize| {
        let code = u32::from_str_radix(behind.get(..digits)?, 16).ok()?;
        Some((char::from_u32(code)?, &behind[digits..]))
    };
    let (meaning, behind) = match character {
        '\\' | '\'' | '"' => (character, behind),
        'a' => ('\x07', behind),
        'b' => ('\x08', behind),
        'f' => ('\x0c', behind),
        'n' => ('\n', behind),
        'r' => ('\r', behind),
        't' => ('\t', behind),
        'v' => ('\x0b', behind),
        'x' => hexadecimal(2)?,
        'u' => hexadecimal(4)?,
        'U' => hexadecimal(8)?,
        '0'..='7' => {
            let digits = left.bytes().take(3).take_while(|digit| (b'0'..=b'7').contains(digit)).count();
            (char::from_u32(u32::from_str_radix(&left[..digits], 8).ok()?)?, &left[digits..])
        }
        // Names of characters: nobody writes them, so the whole is left as it is.
        'N' => return None,
        other => {
            text.extend(['\\', other]);
            return Some(behind);
        }
    };
    text.push(meaning);
    Some(behind)
}

/// A number as Python writes it, without its sign.
fn number(text: &str, negative: bool) -> Option<Value> {
    let underscores_fit = !text.starts_with('_') && !text.ends_with('_') && !text.contains("__");
    if !underscores_fit {
        return None;
    }
    let digits = text.replace('_', "");
    let lower = digits.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = lower.strip_prefix(prefix) {
            let number = i64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with(['+', '-']))?;
            return Some(Value::Int(if negative { -number } else { number }));
        }
    }
    let sign = if negative { "-" } else { "" };
    if digits.bytes().all(|digit| digit.is_ascii_digit()) {
        let is_zero = digits.bytes().all(|digit| digit == b'0');
        if digits.starts_with('0') && !is_zero {
            return None;
        }
        let signed = format!("{sign}{digits}");
        return Some(signed.parse().map_or_else(|_| Value::Text(signed.as_str().into(), true), Value::Int));
    }
    let is_float = lower.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'+' | b'-'));
    format!("{sign}{lower}").parse().ok().filter(|_| is_float).map(Value::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;

    /// The literal as JSON, or `=` and the text that it is not.
    fn shown(text: &str) -> String {
        let source = Source::new("inventory.ini", text);
        json(&value(text, &Span::new(&source, 0..text.len())))
    }

    fn json(node: &Node) -> String {
        match &node.value {
            Value::Null => "null".into(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => format!("{value:?}"),
            Value::Text(text, _) => format!("{text:?}"),
            Value::List(items) => format!("[{}]", items.iter().map(|item| json(item)).collect::<Vec<_>>().join(", ")),
            Value::Map(map) => {
                let entry = |entry: &Entry| format!("{}: {}", entry.key, json(&entry.value));
                format!("{{{}}}", map.entries().iter().map(entry).collect::<Vec<_>>().join(", "))
            }
            Value::Vault | Value::Unknown(_) => "vault".into(),
        }
    }

    /// The right values are what Python's `ast.literal_eval` returns.
    #[test]
    fn literals_of_python() {
        for (text, right) in [
            ("True", "true"),
            ("False", "false"),
            ("None", "null"),
            ("1", "1"),
            ("-1", "-1"),
            ("+ 1", "1"),
            ("00", "0"),
            ("1_000", "1000"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("1.20", "1.2"),
            (".5", "0.5"),
            ("1.", "1.0"),
            ("1e3", "1000.0"),
            ("-1.5e-3", "-0.0015"),
            ("99999999999999999999", "\"99999999999999999999\""),
            ("'a'", "\"a\""),
            (r#""a" 'b'"#, "\"ab\""),
            (r"'a\n\x41\u00e9\101\q'", r#""a\nAéA\\q""#),
            (r"r'a\n'", r#""a\\n""#),
            ("u'a'", "\"a\""),
            ("'''a'b'''", "\"a'b\""),
            ("[1, 'a', True,]", "[1, \"a\", true]"),
            ("[]", "[]"),
            ("(1,)", "[1]"),
            ("(1)", "1"),
            ("()", "[]"),
            ("1,2", "[1, 2]"),
            ("'a',", "[\"a\"]"),
            ("{'a': [1], 2: None}", "{a: [1], 2: null}"),
            ("{}", "{}"),
            ("{1, 2}", "[1, 2]"),
            ("5 # five", "5"),
        ] {
            assert_eq!(shown(text), right, "{text}");
        }
    }

    #[test]
    fn everything_else_is_a_text() {
        for text in [
            "",
            "true",
            "abc",
            "a b",
            "192.0.2.1",
            "01",
            "1.2.3",
            "1__0",
            "1_",
            "_1",
            "--1",
            "v1",
            "1 2",
            "[a]",
            "[1",
            "(1",
            "{1: 2, 3}",
            "'a",
            "'a'b",
            "f'a'",
            "{{ a }}",
            "[{{ a }}]",
            "1 + 2",
            "Truest",
            "a # b",
            "[1 2]",
            ",",
            "[,]",
            "{[1]: 2}",
            "0x",
            "1ex",
            "inf",
            "nan",
            "é'a'",
        ] {
            assert_eq!(shown(text), format!("{text:?}"), "{text}");
        }
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        assert_eq!(shown(&deep), format!("{deep:?}"));
    }
}
