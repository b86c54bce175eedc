//! Words that messages share. Owns plurals; does not know what is counted.

use std::fmt::Display;

/// A count with its noun: `1 file`, `2 files`, `0 bytes`, `2 entries`.
pub fn counted<T: Copy + Display + PartialEq + From<u8>>(count: T, noun: &str) -> String {
    if count == T::from(1) {
        return format!("{count} {noun}");
    }
    match noun.strip_suffix('y') {
        Some(stem) => format!("{count} {stem}ies"),
        None => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn only_one_is_singular() {
        let counts =
            [counted(0_usize, "file"), counted(1_usize, "file"), counted(2_u64, "byte"), counted(3_u8, "entry")];
        assert_eq!(counts, ["0 files", "1 file", "2 bytes", "3 entries"]);
        assert_eq!(counted(1_u64, "entry"), "1 entry");
    }
}
