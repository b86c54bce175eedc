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
