//! The digest of a file. Owns its spelling, and how bytes are hashed that come in parts; does not know what was hashed.

use std::str::FromStr;
use std::{fmt, io};

use crate::name::Invalid;

const PREFIX: &str = "sha256:";
const DIGITS: usize = 64;

/// A SHA-256 digest: `sha256:` and 64 lower-case hex digits, as in the OCI image specification.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish().0
    }

    /// With `sha256:` before the digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 64 digits alone.
    pub fn hex(&self) -> &str {
        self.0.strip_prefix(PREFIX).unwrap_or_default()
    }
}

/// Hashes and counts bytes that come in parts, or are copied to it.
#[derive(Debug, Default)]
pub struct Hasher {
    hash: sha2::Sha256,
    bytes: u64,
}

impl Hasher {
    /// Takes the next part.
    pub fn update(&mut self, part: &[u8]) {
        sha2::Digest::update(&mut self.hash, part);
        self.bytes += part.len() as u64;
    }

    /// How many bytes it was given.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The digest of everything that it was given, and the number of bytes.
    pub fn finish(self) -> (Digest, u64) {
        let hash = sha2::Digest::finalize(self.hash);
        (Digest(format!("{PREFIX}{}", base16ct::lower::encode_string(&hash))), self.bytes)
    }
}

impl io::Write for Hasher {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.update(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Digest {
    type Err = Invalid;

    /// 64 hex digits of either case (PowerShell writes capitals), with or without `sha256:` before them.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        const HELP: &str = "write the 64 hex digits that `sha256sum FILE` prints";
        let hex = text.strip_prefix(PREFIX).unwrap_or(text);
        let before = text.len() - hex.len();
        if let Some((at, c)) = hex.char_indices().find(|(_, c)| !c.is_ascii_hexdigit()) {
            let message = match hex.split_once(':') {
                Some((algorithm, _)) if algorithm.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                    return Err(Invalid::new(format!(
                        "the checksum algorithm `{algorithm}` is not supported: use sha256"
                    ))
                    .help(HELP)
                    .within(before..before + algorithm.len()));
                }
                _ => {
                    format!("{} is not a hex digit, so this is not a sha256", crate::diagnostic::quoted(&c.to_string()))
                }
            };
            return Err(Invalid::new(message).help(HELP).within(before + at..before + at + c.len_utf8()));
        }
        if hex.len() != DIGITS {
            return Err(
                Invalid::new(format!("a sha256 has {DIGITS} hex digits, but this has {}", hex.len())).help(HELP)
            );
        }
        Ok(Self(format!("{PREFIX}{}", hex.to_ascii_lowercase())))
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
    fn bytes_are_hashed() {
        assert_eq!(Digest::of(b"").hex(), EMPTY);
        assert_eq!(Digest::of(b"").as_str(), format!("sha256:{EMPTY}"));
        assert_eq!(format!("{:?}", Digest::of(b"")), format!("sha256:{EMPTY}"));
        let mut hasher = Hasher::default();
        hasher.update(b"a");
        io::copy(&mut &b"bc"[..], &mut hasher).unwrap();
        assert_eq!(hasher.bytes(), 3);
        assert_eq!(hasher.finish(), (Digest::of(b"abc"), 3));
    }

    #[test]
    fn refuses_the_rest() {
        let message = |text: &str| text.parse::<Digest>().unwrap_err().message;
        assert_eq!(message(&EMPTY[1..]), "a sha256 has 64 hex digits, but this has 63");
        assert_eq!(message(""), "a sha256 has 64 hex digits, but this has 0");
        assert_eq!(message("xyz"), "`x` is not a hex digit, so this is not a sha256");
        assert_eq!(message(&format!("sha512:{EMPTY}")), "the checksum algorithm `sha512` is not supported: use sha256");
    }
}
