//! What an image runs on. Owns how a platform is written, and which architecture of kso's runs it; does not know which
//! platforms are asked for.

use std::fmt;
use std::str::FromStr;

use crate::name::Arch;

/// Operating system, architecture and variant, as OCI documents name them (image specification, "image index").
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Platform {
    /// `linux`; may be empty in a document.
    pub os: String,
    /// `amd64`
    pub architecture: String,
    /// `v8`; empty where there is none.
    pub variant: String,
}

impl Platform {
    /// Linux on an architecture, without a variant.
    pub fn linux(arch: Arch) -> Self {
        Self { os: "linux".into(), architecture: arch.as_str().into(), variant: String::new() }
    }

    /// The architecture of kso's that runs this, where it is Linux for one of them.
    ///
    /// As containerd does it (`platforms/database.go`): an operating system that is not named is Linux, `aarch64` is
    /// `arm64`, and the variants that every machine has (`v8` of arm64, `v1` of amd64) are none.
    pub fn arch(&self) -> Option<Arch> {
        let lower = |text: &str| text.to_ascii_lowercase();
        if !matches!(&*lower(&self.os), "" | "linux") {
            return None;
        }
        match (&*lower(&self.architecture), &*lower(&self.variant)) {
            ("amd64" | "x86_64" | "x86-64", "" | "v1") => Some(Arch::Amd64),
            ("arm64" | "aarch64", "" | "8" | "v8" | "v8.0") => Some(Arch::Arm64),
            _ => None,
        }
    }

    /// The architecture of kso's whose content an image for this platform holds: a variant has that of its architecture.
    pub fn content_arch(&self) -> Option<Arch> {
        self.architecture.parse().ok()
    }

    /// As a message names it: `arm/v7`, `windows/amd64`; Linux is left out.
    pub fn short(&self) -> String {
        if let Some(arch) = self.arch() {
            return arch.to_string();
        }
        let parts = [if self.os == "linux" { "" } else { &self.os }, &self.architecture, &self.variant];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join("/")
    }
}

impl fmt::Display for Platform {
    /// `linux/amd64`, `linux/arm/v7`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

/// The text is not `OS/ARCHITECTURE` or `OS/ARCHITECTURE/VARIANT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidPlatform;

impl FromStr for Platform {
    type Err = InvalidPlatform;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, InvalidPlatform> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, ""),
            [os, architecture, variant] if !variant.is_empty() => (os, architecture, variant),
            _ => return Err(InvalidPlatform),
        };
        if os.is_empty() || architecture.is_empty() {
            return Err(InvalidPlatform);
        }
        Ok(Self { os: os.into(), architecture: architecture.into(), variant: variant.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in ["linux/amd64", "linux/arm/v7", "windows/amd64"] {
            assert_eq!(text.parse::<Platform>().expect(text).to_string(), text);
        }
        for text in ["", "amd64", "linux/", "/amd64", "linux/arm/", "a/b/c/d"] {
            assert_eq!(text.parse::<Platform>(), Err(InvalidPlatform), "{text}");
        }
    }

    #[test]
    fn linux_is_left_out_of_messages() {
        let short = |text: &str| text.parse::<Platform>().expect(text).short();
        assert_eq!(
            ["linux/arm64/v8", "linux/arm/v7", "windows/amd64"].map(short),
            ["arm64", "arm/v7", "windows/amd64"]
        );
    }

    #[test]
    fn architectures_have_the_names_that_containerd_knows() {
        let arch = |text: &str| text.parse::<Platform>().expect(text).arch();
        for text in ["linux/amd64", "Linux/AMD64", "linux/x86_64", "linux/x86-64", "linux/amd64/v1"] {
            assert_eq!(arch(text), Some(Arch::Amd64), "{text}");
        }
        for text in ["linux/arm64", "linux/aarch64", "linux/arm64/8", "linux/arm64/v8", "linux/arm64/v8.0"] {
            assert_eq!(arch(text), Some(Arch::Arm64), "{text}");
        }
        for text in ["linux/386", "linux/arm/v8", "linux/arm64/v9", "windows/amd64", "darwin/arm64"] {
            assert_eq!(arch(text), None, "{text}");
        }
        let unnamed = Platform { os: String::new(), ..Platform::linux(Arch::Arm64) };
        assert_eq!((unnamed.arch(), unnamed.to_string()), (Some(Arch::Arm64), "/arm64".into()));
        assert_eq!(Platform::linux(Arch::Amd64).to_string(), "linux/amd64");
    }

    #[test]
    fn a_variant_has_the_content_of_its_architecture() {
        let of = |text: &str| text.parse::<Platform>().expect(text);
        assert_eq!((of("linux/amd64/v2").arch(), of("linux/amd64/v2").content_arch()), (None, Some(Arch::Amd64)));
        assert_eq!((of("linux/s390x").arch(), of("linux/s390x").content_arch()), (None, None));
    }
}
