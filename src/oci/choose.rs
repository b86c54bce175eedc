//! Which manifests of an index are needed. Owns how platforms are matched; does not know how a manifest is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Descriptor, Error, Index, Manifest};
use crate::name::{Arch, Platform};

/// The manifests of an index that are needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// One for each architecture that was wanted.
    pub manifests: BTreeMap<Arch, Needs>,
}

/// What is needed for an architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// The manifest.
    pub manifest: Descriptor,
    /// Whether the index does not say what it runs on: then [`runs_on`] decides.
    pub unnamed: bool,
    /// The attestations of it.
    pub attestations: Vec<Descriptor>,
}

/// An image lacks some of the requested architectures: `lacks arm64; it has amd64, s390x`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacks {
    /// What was wanted and is missing; never empty.
    pub missing: BTreeSet<Arch>,
    /// What there is, such as `amd64`, `arm/v7` and `windows/amd64`; sorted.
    pub has: BTreeSet<String>,
}

/// Platforms that a message names: an index has room for thousands.
const MAX_NAMED: usize = 12;
/// Characters of the name of a platform in a message.
const MAX_PLATFORM: usize = 40;

/// The name of a platform, cut if it is longer than any that exists.
pub fn short(platform: &str) -> String {
    match platform.char_indices().nth(MAX_PLATFORM) {
        Some((at, _)) => format!("{}…", &platform[..at]),
        None => platform.to_owned(),
    }
}

impl fmt::Display for Lacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing: Vec<&str> = self.missing.iter().map(|arch| arch.as_str()).collect();
        let mut has: Vec<String> = self.has.iter().take(MAX_NAMED).map(|platform| short(platform)).collect();
        match self.has.len() - has.len() {
            0 if has.is_empty() => has.push("nothing that runs on Linux".to_owned()),
            0 => {}
            more => has.push(format!("and {more} more")),
        }
        write!(f, "lacks {}; it has {}", missing.join(" and "), has.join(", "))
    }
}

/// Why the manifests of an index cannot be named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotChosen {
    /// An architecture is missing.
    Lacks(Lacks),
    /// It is there, but its descriptor is unusable.
    Unusable(Error),
}

/// The manifests of `index` for the architectures that are wanted, and their attestations if these are.
///
/// The first that fits is taken, as containerd does; one for which the index names no platform only where none fits.
/// Unlike in containerd, an image for 32-bit x86 does not match amd64.
pub fn needed(index: &Index, wanted: &BTreeSet<Arch>, attestations: bool) -> Result<Needed, NotChosen> {
    let content = || index.entries.iter().filter(|entry| entry.is_content());
    let mut manifests = BTreeMap::new();
    let mut missing = BTreeSet::new();
    for &arch in wanted {
        let named = content().find(|entry| entry.platform.as_ref().and_then(Platform::arch) == Some(arch));
        let Some(entry) = named.or_else(|| content().find(|entry| entry.platform.is_none())) else {
            missing.insert(arch);
            continue;
        };
        let manifest = entry.manifest.clone().map_err(NotChosen::Unusable)?;
        let about = |entry: &&super::Entry| attestations && entry.attests.as_ref() == Some(&manifest.digest);
        let attestations = index.entries.iter().filter(about).map(|entry| entry.manifest.clone());
        let attestations = attestations.collect::<Result<_, _>>().map_err(NotChosen::Unusable)?;
        manifests.insert(arch, Needs { manifest, unnamed: entry.platform.is_none(), attestations });
    }
    if missing.is_empty() {
        return Ok(Needed { manifests });
    }
    let has = content().filter_map(|entry| entry.platform.as_ref()).map(Platform::short).collect();
    Err(NotChosen::Lacks(Lacks { missing, has }))
}

/// Whether a manifest that no index names a platform for is for all architectures that are wanted. That of an image is
/// for the one that its config names (`config`: where [`Manifest::is_image`]); an artifact is for all.
pub fn runs_on(manifest: &Manifest, config: Option<&Platform>, wanted: &BTreeSet<Arch>) -> Result<(), Lacks> {
    // A signature has the config of an image, which names no platform.
    let platform = config.filter(|platform| manifest.is_image() && !platform.short().is_empty());
    let Some(platform) = platform else { return Ok(()) };
    let missing: BTreeSet<Arch> = wanted.iter().copied().filter(|arch| platform.arch() != Some(*arch)).collect();
    if missing.is_empty() { Ok(()) } else { Err(Lacks { missing, has: BTreeSet::from([platform.short()]) }) }
}

#[cfg(test)]
mod tests {
    use super::super::Document;
    use super::*;
    use crate::name::Digest;

    /// `PLATFORM=NUMBER`, the platform as `os/arch/variant`, `-` for none, `att:NUMBER` for an attestation of it.
    fn index(entries: &[&str]) -> Index {
        let digest = |number: &str| Digest::of(number.as_bytes());
        let entry = |text: &&str| {
            let (platform, number) = text.split_once('=').unwrap();
            let platform = match platform.split_once(':') {
                Some((_, about)) => format!(
                    r#""platform":{{"os":"unknown","architecture":"unknown"}},"annotations":
                    {{"vnd.docker.reference.type":"attestation-manifest","vnd.docker.reference.digest":"{}"}}"#,
                    digest(about)
                ),
                None if platform == "-" => r#""platform":null"#.to_owned(),
                None => {
                    let mut parts = platform.split('/').chain(["", ""]);
                    let mut next = || parts.next().unwrap().to_owned();
                    format!(r#""platform":{{"os":"{}","architecture":"{}","variant":"{}"}}"#, next(), next(), next())
                }
            };
            let digest = if number == "512" { "sha512:00".to_owned() } else { digest(number).to_string() };
            format!(r#"{{"mediaType":"m","digest":"{digest}","size":{number},{platform}}}"#)
        };
        let entries: Vec<String> = entries.iter().map(entry).collect();
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
        match Document::parse(text.as_bytes()) {
            Ok(Document::Index(index)) => index,
            other => panic!("{other:?}"),
        }
    }

    /// What was chosen: `amd64 1, arm64 2+3`, or why not.
    fn chosen(entries: &[&str]) -> String {
        match needed(&index(entries), &BTreeSet::from(Arch::ALL), true) {
            Ok(needed) => {
                let one = |(arch, needs): (&Arch, &Needs)| {
                    let more: String = needs.attestations.iter().map(|it| format!("+{}", it.bytes)).collect();
                    format!("{arch} {}{more}{}", needs.manifest.bytes, if needs.unnamed { "?" } else { "" })
                };
                needed.manifests.iter().map(one).collect::<Vec<_>>().join(", ")
            }
            Err(NotChosen::Lacks(lacks)) => lacks.to_string(),
            Err(NotChosen::Unusable(error)) => error.to_string(),
        }
    }

    #[test]
    fn platforms_are_matched_as_containerd_does() {
        assert_eq!(chosen(&["linux/amd64=1", "linux/arm64=2"]), "amd64 1, arm64 2");
        assert_eq!(chosen(&["linux/arm/v7=3", "linux/arm64/v8=2", "Linux/x86_64=1"]), "amd64 1, arm64 2");
        assert_eq!(chosen(&["linux/amd64/v3=3", "linux/amd64/v1=1", "linux/aarch64=2"]), "amd64 1, arm64 2");
        assert_eq!(chosen(&["windows/amd64=3", "linux/amd64=1", "linux/amd64=4", "linux/arm64=2"]), "amd64 1, arm64 2");
        assert_eq!(chosen(&["-=7", "linux/arm64=2"]), "amd64 7?, arm64 2");
        assert_eq!(chosen(&["linux/amd64=1", "linux/arm64=2", "att:2=3", "att:9=4"]), "amd64 1, arm64 2+3");
    }

    #[test]
    fn what_is_there_is_told() {
        assert_eq!(chosen(&["linux/amd64=1", "linux/s390x=2", "att:1=3"]), "lacks arm64; it has amd64, s390x");
        assert_eq!(
            chosen(&["windows/amd64=1", "linux/arm/v7=2", "linux/386=3"]),
            "lacks amd64 and arm64; it has 386, arm/v7, windows/amd64"
        );
        assert_eq!(chosen(&[]), "lacks amd64 and arm64; it has nothing that runs on Linux");
        assert_eq!(
            chosen(&["linux/amd64=1", "linux/arm64=512"]),
            "`sha512:00` is not a SHA-256 digest, and no other algorithm is supported"
        );
        assert_eq!(chosen(&["linux/amd64=1", "linux/arm64=2", "linux/s390x=512"]), "amd64 1, arm64 2");
    }

    #[test]
    fn one_manifest_is_for_its_own_architecture() {
        let parse = |config: &str| {
            let digest = Digest::of(b"");
            let text = format!(
                r#"{{"schemaVersion":2,"config":{{"mediaType":"{config}","digest":"{digest}","size":1}},"layers":[]}}"#
            );
            match Document::parse(text.as_bytes()) {
                Ok(Document::Manifest(manifest)) => manifest,
                other => panic!("{other:?}"),
            }
        };
        let image = parse("application/vnd.oci.image.config.v1+json");
        let arm64 = Platform { os: "linux".into(), architecture: "arm64".into(), variant: "v8".into() };
        assert_eq!(runs_on(&image, Some(&arm64), &BTreeSet::from([Arch::Arm64])), Ok(()));
        let lacks = runs_on(&image, Some(&arm64), &BTreeSet::from(Arch::ALL)).unwrap_err();
        assert_eq!(lacks.to_string(), "lacks amd64; it has arm64");
        let chart = parse("application/vnd.cncf.helm.config.v1+json");
        assert_eq!(runs_on(&chart, Some(&arm64), &BTreeSet::from(Arch::ALL)), Ok(()));
    }

    #[test]
    fn a_crowd_is_counted() {
        let crowd: Vec<String> = (1000..3000).map(|number| format!("linux/x{number}{}=1", "y".repeat(500))).collect();
        let crowd: Vec<&str> = crowd.iter().map(String::as_str).collect();
        let told = chosen(&crowd);
        assert!(
            told.starts_with("lacks amd64 and arm64; it has x1000yyy") && told.ends_with("…, and 1988 more"),
            "{told}"
        );
        assert!(told.len() < 1000, "{told}");
    }
}
