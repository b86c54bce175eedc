//! Lines and columns of byte offsets. Owns the index of line starts.

/// Where the lines of a text start, to tell lines and columns of byte offsets.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    /// The lines of a text, which end with `\n`.
    pub fn new(text: &'a str) -> Self {
        Self { text, starts: std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect() }
    }

    /// The line and the column of a byte offset, both from 1; columns count characters. An offset past the end is at the end,
    /// and one within a character is before it.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        (line, self.text[start..offset].chars().count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_and_in_characters() {
        let lines = Lines::new("aä\nb\r\n\n");
        for (offset, position) in [
            (0, (1, 1)),
            (1, (1, 2)),
            (2, (1, 2)),
            (3, (1, 3)),
            (4, (2, 1)),
            (6, (2, 3)),
            (7, (3, 1)),
            (8, (4, 1)),
            (99, (4, 1)),
        ] {
            assert_eq!(lines.position(offset), position, "{offset}");
        }
        assert_eq!(Lines::new("").position(0), (1, 1));
    }
}
