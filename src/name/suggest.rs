//! What was probably meant by a misspelled word. Does not know what the words are.

/// The candidate that was probably meant: one with few letters changed, or one that begins the same.
pub(crate) fn suggest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Longer words than any key or name; their distances would take time that grows with the square of the length.
    const LONGEST: usize = 40;
    if text.is_empty() || text.len() > LONGEST {
        return None;
    }
    let text = text.to_lowercase();
    let distance = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let begins = text.len() >= 3 && (candidate.starts_with(&text) || text.starts_with(&candidate));
        if begins { 1 } else { strsim::damerau_levenshtein(&text, &candidate) }
    };
    candidates
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_probably_meant() {
        let keys = ["images", "files", "architectures", "at"];
        for (text, meant) in [
            ("image", Some("images")),
            ("imgaes", Some("images")),
            ("Files", Some("files")),
            ("fil", Some("files")),
            ("filesystem", Some("files")),
            ("architecture", Some("architectures")),
            // A third of the candidate's letters may differ, and one of a short one.
            ("arkitektures", Some("architectures")),
            ("a", Some("at")),
            ("on", None),
            ("pakages", None),
            ("", None),
        ] {
            assert_eq!(suggest(text, keys), meant, "{text}");
        }
    }

    /// Two letters begin many words.
    #[test]
    fn a_beginning_has_three_letters() {
        assert_eq!(suggest("ar", ["architectures"]), None);
        assert_eq!(suggest("arc", ["architectures"]), Some("architectures"));
        assert_eq!(suggest("ab", ["abcdefghi"]), None);
        assert_eq!(suggest("abc", ["ab"]), Some("ab"));
    }

    #[test]
    fn a_long_text_is_no_misspelled_word() {
        let long = "x".repeat(40);
        assert_eq!(suggest(&long, [long.as_str()]), Some(long.as_str()));
        let longer = "x".repeat(41);
        assert_eq!(suggest(&longer, [longer.as_str()]), None);
    }
}
