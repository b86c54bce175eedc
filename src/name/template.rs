//! Texts with `{arch}` and `{uname}` in them. Owns the placeholders; does not know what the text names.

use std::str::FromStr;

use crate::diagnostic::quoted;
use crate::name::{Arch, Invalid, suggest};

const PLACEHOLDERS: [&str; 2] = ["arch", "uname"];

/// A name that may differ between architectures: parsed once for each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template<T> {
    /// One value for each of [`Arch::ALL`], in that order; equal where there is no placeholder.
    values: [T; 2],
    per_arch: bool,
}

impl<T> Template<T> {
    /// The same for every architecture.
    pub(crate) fn same(value: T) -> Self
    where
        T: Clone,
    {
        Self { values: [value.clone(), value], per_arch: false }
    }

    /// The value for an architecture.
    pub fn get(&self, arch: Arch) -> &T {
        match arch {
            Arch::Amd64 => &self.values[0],
            Arch::Arm64 => &self.values[1],
        }
    }

    /// Whether there is a placeholder, so that each architecture has a value of its own.
    pub fn per_arch(&self) -> bool {
        self.per_arch
    }

    /// Another value, worked out for each architecture.
    pub fn try_map<U, E>(&self, mut f: impl FnMut(&T) -> Result<U, E>) -> Result<Template<U>, E> {
        let [amd64, arm64] = &self.values;
        Ok(Template { values: [f(amd64)?, f(arm64)?], per_arch: self.per_arch })
    }
}

impl<T: FromStr<Err = Invalid>> FromStr for Template<T> {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let per_arch = placeholders(text)?;
        let parse = |arch: Arch| {
            if per_arch {
                // Places within the expanded text mean nothing in what the user wrote.
                expand(text, arch).parse().map_err(|invalid: Invalid| Invalid { range: None, ..invalid })
            } else {
                text.parse()
            }
        };
        Ok(Self { values: [parse(Arch::Amd64)?, parse(Arch::Arm64)?], per_arch })
    }
}

/// Whether the text has placeholders. One that is not known is a mistake: braces stand in no URL and no sensible path.
fn placeholders(text: &str) -> Result<bool, Invalid> {
    let mut found = false;
    let mut at = 0;
    while let Some(open) = text[at..].find('{').map(|open| at + open) {
        let Some(close) = text[open..].find('}').map(|close| open + close) else {
            return Err(Invalid::new("a `{` is not closed")
                .help("the placeholders are `{arch}` (amd64, arm64) and `{uname}` (x86_64, aarch64)")
                .within(open..open + 1));
        };
        let name = &text[open + 1..close];
        if !PLACEHOLDERS.contains(&name) {
            let invalid =
                Invalid::new(format!("unknown placeholder {}", quoted(&text[open..=close]))).within(open..close + 1);
            return Err(match suggest(name.trim(), PLACEHOLDERS) {
                Some(known) => invalid.help(format!("did you mean `{{{known}}}`?")),
                None => invalid.help("the placeholders are `{arch}` (amd64, arm64) and `{uname}` (x86_64, aarch64)"),
            });
        }
        found = true;
        at = close + 1;
    }
    Ok(found)
}

fn expand(text: &str, arch: Arch) -> String {
    text.replace("{arch}", arch.as_str()).replace("{uname}", arch.uname())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{ContextPath, FileUrl};

    #[test]
    fn placeholders_differ_between_architectures() {
        let template: Template<ContextPath> = "{arch}/{uname}-{arch}.list".parse().unwrap();
        assert!(template.per_arch());
        assert_eq!(template.get(Arch::Amd64).as_str(), "amd64/x86_64-amd64.list");
        assert_eq!(template.get(Arch::Arm64).as_str(), "arm64/aarch64-arm64.list");
        let template: Template<ContextPath> = "a.list".parse().unwrap();
        assert!(!template.per_arch());
        assert_eq!(template.get(Arch::Amd64), template.get(Arch::Arm64));
    }

    #[test]
    fn other_braces_are_mistakes() {
        let range = |text: &str| text.parse::<Template<ContextPath>>().unwrap_err().range.unwrap();
        assert_eq!(range("a{arhc}"), 1..7);
        assert_eq!(range("{arch}{"), 6..7);
        assert_eq!(range("{{arch}}"), 0..7);
        assert_eq!(range("{}"), 0..2);
        assert_eq!(range("{arch}{uname}{x}"), 13..16);
    }

    /// Places in the expanded text mean nothing to the user.
    #[test]
    fn what_is_wrong_with_an_expanded_text_has_no_place() {
        let range = |text: &str| text.parse::<Template<FileUrl>>().unwrap_err().range;
        assert_eq!(range("https://a.example/a^"), Some(19..20));
        assert_eq!(range("https://a.example/{arch}^"), None);
    }
}
