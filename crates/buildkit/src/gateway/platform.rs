//! Platform names as BuildKit's clients and daemons write them, normalised as containerd does. Knows nothing of options.

use serde::{Deserialize, Deserializer};

use super::Error;
use crate::llb::Platform;

/// Parses `<os>`, `<architecture>` or `<os>/<architecture>[/<variant>]` as `platforms.Parse` and then
/// `platforms.Normalize` of containerd do: `linux/x86_64` is `linux/amd64`, `linux/arm64/v8` is `linux/arm64`,
/// `linux/arm` is `linux/arm/v7`. Versions of Windows (`windows(10.0.17763)/amd64`) are not understood.
pub fn parse_platform(text: &str) -> Result<Platform, Error> {
    let invalid = || Error::new(format!("invalid platform `{text}`"));
    let word = |part: &&str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
    };
    let parts: Vec<_> = text.split('/').collect();
    if !parts.iter().all(word) {
        return Err(invalid());
    }
    match parts[..] {
        [os] if KNOWN_OS.contains(&normal_os(os).as_str()) => Ok(normalised(os, &own_platform().architecture, "")),
        [architecture] if KNOWN_ARCHITECTURES.contains(&normal_architecture(architecture, "").0.as_str()) => {
            Ok(normalised("linux", architecture, ""))
        }
        [os, architecture] => Ok(normalised(os, architecture, "")),
        [os, architecture, variant] => Ok(normalised(os, architecture, variant)),
        _ => Err(invalid()),
    }
}

/// The platform that this program runs on.
pub fn own_platform() -> Platform {
    let architecture = match std::env::consts::ARCH {
        "x86" => "386",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        known => known,
    };
    normalised("linux", architecture, "")
}

fn normalised(os: &str, architecture: &str, variant: &str) -> Platform {
    let (architecture, variant) = normal_architecture(architecture, variant);
    Platform { os: normal_os(os), architecture, variant }
}

fn normal_os(os: &str) -> String {
    match os.to_lowercase().as_str() {
        "" => "linux".into(),
        "macos" => "darwin".into(),
        other => other.into(),
    }
}

fn normal_architecture(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = (architecture.to_lowercase(), variant.to_lowercase());
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", other) => ("amd64", other),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64", other) => ("arm64", other),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    };
    (architecture.to_owned(), variant.to_owned())
}

const KNOWN_OS: [&str; 6] = ["darwin", "freebsd", "linux", "netbsd", "openbsd", "windows"];

const KNOWN_ARCHITECTURES: [&str; 12] =
    ["386", "amd64", "arm", "arm64", "loong64", "mips64", "mips64le", "ppc64", "ppc64le", "riscv64", "s390x", "wasm"];

/// Platforms as the OCI image specification writes them in JSON. Go writes an absent list as `null`.
pub(super) fn from_json<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Platform>, D::Error> {
    #[derive(Deserialize)]
    #[serde(default)]
    #[derive(Default)]
    struct Written {
        os: String,
        architecture: String,
        variant: String,
    }
    let written: Vec<Written> = Option::deserialize(from)?.unwrap_or_default();
    Ok(written.iter().map(|w| normalised(&w.os, &w.architecture, &w.variant)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        parse_platform(text).map_or_else(|error| error.to_string(), |platform| platform.to_string())
    }

    #[test]
    fn names_are_normalised_as_containerd_does() {
        for (written, normal) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("Linux/AMD64/v1", "linux/amd64"),
            ("linux/amd64/v2", "linux/amd64/v2"),
            ("linux/arm64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm64/8", "linux/arm64"),
            ("linux/arm64/v9", "linux/arm64/v9"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/aarch64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/arm/6", "linux/arm/v6"),
            ("arm64", "linux/arm64"),
            ("macos/arm64", "darwin/arm64"),
            ("linux/i386", "linux/386"),
            ("linux/mystery", "linux/mystery"),
        ] {
            assert_eq!(parsed(written), normal, "{written}");
        }
        assert_eq!(parsed("linux"), own_platform().to_string());
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "/", "linux/", "linux/amd64/v2/x", "linux/*", "mystery", "linux//v8", "windows(10.0)/amd64"] {
            assert_eq!(parsed(text), format!("invalid platform `{text}`"));
        }
    }
}
