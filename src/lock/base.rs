//! The entry of a base image. Owns what is known of it; does not know what is built on it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Lock;
use crate::base::BaseImage;
use crate::diagnostic::quoted;
use crate::name::text::{self, Exact};
use crate::name::{Digest, ImageRef, InvalidPlatform, Platform};

/// A base image: what a name was resolved to, and its config for each platform that was locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedBase {
    reference: ImageRef,
    digest: Digest,
    configs: BTreeMap<Platform, String>,
}

impl LockedBase {
    /// The base image that a definition calls `reference` and that leads to `digest`. `configs` are the texts of its OCI
    /// configs by platform. `Err` is a fact about it.
    pub fn new(reference: ImageRef, digest: Digest, configs: BTreeMap<Platform, String>) -> Result<Self, String> {
        if reference.digest().is_some_and(|named| named != digest) {
            return Err(format!("is referenced by a different digest than {digest}"));
        }
        if configs.is_empty() {
            return Err("has no platform".into());
        }
        Ok(Self { reference, digest, configs })
    }

    /// The base image `reference`, from what was found for each platform. `Err` is a fact about it.
    pub fn of(reference: &ImageRef, bases: Vec<BaseImage>) -> Result<Self, String> {
        let mut configs = BTreeMap::new();
        let mut digests = Vec::<Digest>::new();
        for base in bases {
            digests.push(base.reference.digest().ok_or("has no digest")?);
            let config = String::from_utf8(base.config).map_err(|_| "has a config that is not UTF-8")?;
            configs.insert(base.platform, config);
        }
        digests.dedup();
        match digests.as_slice() {
            [digest] => Self::new(reference.clone(), digest.clone(), configs),
            _ => Err("changed while it was being locked: try again".into()),
        }
    }

    /// What the definition calls it.
    pub fn reference(&self) -> &ImageRef {
        &self.reference
    }

    /// The digest of the reference: of its index, or of its only manifest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The platforms that it was locked for, each with the text of its OCI config.
    pub fn configs(&self) -> &BTreeMap<Platform, String> {
        &self.configs
    }

    /// Its name with the digest, `docker.io/library/nginx:1.27-alpine@sha256:…`: what any platform of it is asked for by.
    pub fn pinned(&self) -> ImageRef {
        self.reference.pinned(&self.digest)
    }

    /// The image for one of the platforms that it was locked for.
    pub fn base(&self, platform: &Platform) -> Option<BaseImage> {
        let config = self.configs.get(platform)?.clone().into_bytes();
        Some(BaseImage { platform: platform.clone(), reference: self.pinned(), config })
    }
}

/// The base image of each platform where nobody is asked: as the lock has it, or by its name alone.
pub fn assumed_bases(reference: &ImageRef, lock: Option<&Lock>, platforms: &[Platform]) -> Vec<BaseImage> {
    let locked = lock.and_then(|lock| lock.base(reference));
    let base = |platform: &Platform| {
        locked.and_then(|locked| locked.base(platform)).unwrap_or_else(|| BaseImage {
            reference: locked.map_or_else(|| reference.clone(), LockedBase::pinned),
            config: b"{}".to_vec(),
            platform: platform.clone(),
        })
    };
    platforms.iter().map(base).collect()
}

/// A base image.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schemars(rename = "LockedBase")]
pub(super) struct Written {
    /// The full name in the definition. No two base images have one reference.
    #[serde(with = "text")]
    #[schemars(with = "String")]
    reference: ImageRef,
    /// The digest of the reference: of its index, or of its only manifest.
    #[serde(with = "text")]
    #[schemars(with = "String", regex(pattern = text::DIGEST))]
    digest: Digest,
    /// The locked platforms, sorted. Others are resolved by the digest.
    #[schemars(length(min = 1))]
    platforms: Vec<WrittenPlatform>,
}

/// One platform of a base image.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schemars(rename = "LockedPlatform")]
struct WrittenPlatform {
    /// Such as `linux/amd64`.
    platform: String,
    /// Its OCI config.
    config: Exact,
}

impl From<&LockedBase> for Written {
    fn from(base: &LockedBase) -> Self {
        let platforms = base.configs.iter();
        let platforms =
            platforms.map(|(name, config)| WrittenPlatform { platform: name.to_string(), config: Exact::of(config) });
        Self { reference: base.reference.clone(), digest: base.digest.clone(), platforms: platforms.collect() }
    }
}

impl TryFrom<Written> for LockedBase {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let mut configs = BTreeMap::new();
        for WrittenPlatform { platform, config } in written.platforms {
            let text = config.read();
            let text = text.ok_or_else(|| format!("has a config for {platform} that does not match its digest"))?;
            let parsed = platform.parse().map_err(|InvalidPlatform| {
                format!("names {} for a platform, which is `OS/ARCHITECTURE`", quoted(&platform))
            })?;
            if let Some(_twice) = configs.insert(parsed, text) {
                return Err(format!("lists the platform {} twice", quoted(&platform)));
            }
        }
        Self::new(written.reference, written.digest, configs)
    }
}
