//! Words that messages share. Owns plurals and sizes; does not know what is counted.

use std::fmt::Display;

use indicatif::DecimalBytes;

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

/// A number of bytes for people: `48.20 MB`. It is also a part of graphs: the names of vertices have it.
pub fn size(bytes: u64) -> String {
    DecimalBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::{counted, size};

    /// Another version of the crate must not change the bytes of graphs.
    #[test]
    fn sizes_have_two_decimals_and_decimal_units() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (48_194_999, "48.19 MB"),
            (48_195_001, "48.20 MB"),
            (999_999, "1000.00 kB"),
            (1_500_000_000, "1.50 GB"),
            (u64::MAX, "18.45 EB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn only_one_is_singular() {
        let counts =
            [counted(0_usize, "file"), counted(1_usize, "file"), counted(2_u64, "byte"), counted(3_u8, "entry")];
        assert_eq!(counts, ["0 files", "1 file", "2 bytes", "3 entries"]);
        assert_eq!(counted(1_u64, "entry"), "1 entry");
    }
}
