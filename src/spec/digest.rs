//! The digest of a file. Owns its spelling; does not know what was hashed.

use std::fmt;
use std::str::FromStr;

use super::invalid::Invalid;

/// A SHA-256 digest. Shown as `sha256:` and 64 lower-case hex digits, as in the OCI image specification.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hex digits, without `sha256:`.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = Invalid;

    /// 64 hex digits of either case (PowerShell writes capitals), with or without `sha256:` before them.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        const HELP: &str = "write the 64 hex digits that `sha256sum FILE` prints";
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let before = text.len() - hex.len();
        if let Some((at, c)) = hex.char_indices().find(|(_, c)| !c.is_ascii_hexdigit()) {
            let message = match hex.split_once(':') {
                Some((algorithm, _)) if algorithm.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                    return Err(Invalid::new(format!("a checksum of kind `{algorithm}`, but only sha256 is known"))
                        .help(HELP)
                        .within(before..before + algorithm.len()));
                }
                _ => format!("{} is no hex digit, so this is no sha256", crate::diagnostic::quoted(&c.to_string())),
            };
            return Err(Invalid::new(message).help(HELP).within(before + at..before + at + c.len_utf8()));
        }
        let mut bytes = [0; 32];
        if hex.len() != 2 * bytes.len() {
            return Err(Invalid::new(format!("a sha256 has 64 hex digits, this has {}", hex.len())).help(HELP));
        }
        for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *byte = digits.iter().fold(0, |value, digit| {
                value << 4 | char::from(*digit).to_digit(16).and_then(|d| u8::try_from(d).ok()).unwrap_or(0)
            });
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn reads_what_tools_write() {
        for text in [EMPTY.to_owned(), format!("sha256:{EMPTY}"), EMPTY.to_uppercase()] {
            assert_eq!(text.parse::<Digest>().unwrap().to_string(), format!("sha256:{EMPTY}"));
        }
    }

    #[test]
    fn refuses_the_rest() {
        let message = |text: &str| text.parse::<Digest>().unwrap_err().message;
        assert_eq!(message(&EMPTY[1..]), "a sha256 has 64 hex digits, this has 63");
        assert_eq!(message(""), "a sha256 has 64 hex digits, this has 0");
        assert_eq!(message("xyz"), "`x` is no hex digit, so this is no sha256");
        assert_eq!(message(&format!("sha512:{EMPTY}")), "a checksum of kind `sha512`, but only sha256 is known");
    }
}
