//! Directives at the top of a definition, as a Dockerfile has them: `# check=`. Owns where they count; does not know what they
//! may say.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::diagnostic::{Source, Span};

/// The text of `# check=` among the directives at the top of a file, up to the first space. A comment for the editor's
/// language server may stand between them.
pub(super) fn directive(source: &Arc<Source>) -> Option<(&str, Span)> {
    let mut seen = BTreeSet::new();
    for number in 1.. {
        let range = source.line(number);
        let comment = source.text().get(range.clone())?.strip_prefix('#')?.trim_start();
        if comment.starts_with("yaml-language-server:") {
            continue;
        }
        let (name, value) = assignment(comment)?;
        let name = name.to_ascii_lowercase();
        if !matches!(name.as_str(), "syntax" | "escape" | "check") || !seen.insert(name.clone()) {
            return None;
        }
        if name == "check" {
            return Some((value, Span::new(source, range)));
        }
    }
    None
}

/// `name = value`: letters and digits, then the text up to the first space.
pub(super) fn assignment(comment: &str) -> Option<(&str, &str)> {
    let (name, value) = comment.split_once('=')?;
    let (name, value) = (name.trim_end(), value.trim());
    let is_name =
        name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric());
    (is_name && !value.is_empty()).then(|| (name, value.split(' ').next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_letters_and_digits() {
        assert_eq!(assignment("check=skip=all"), Some(("check", "skip=all")));
        assert_eq!(assignment("check1 = a b"), Some(("check1", "a")));
        for other in ["1check=a", "che-ck=a", "=a", "check=", "check= ", "check"] {
            assert_eq!(assignment(other), None, "{other}");
        }
    }

    #[test]
    fn only_the_first_comments_are_directives() {
        let of =
            |text: &str| directive(&Source::new("kso.yaml", text)).map(|(value, span)| (value.to_owned(), span.line()));
        assert_eq!(of("# syntax=a\n# check=b\n"), Some(("b".into(), 2)));
        assert_eq!(of("# yaml-language-server: $schema=a\n#check = b c\n"), Some(("b".into(), 2)));
        for none in
            ["# check\n", "# other=a\n# check=b\n", "# syntax=a\n# syntax=b\n# check=c\n", "a: 1\n# check=b\n", ""]
        {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
