//! Descriptors: what a document says of another blob. Owns their fields and their platform; does not know which
//! documents hold them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Error;
use crate::name::{Digest, Platform};

/// What a document says of a blob.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Descriptor {
    /// What the blob is, such as `application/vnd.oci.image.layer.v1.tar+gzip`.
    pub media_type: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its size in bytes.
    pub bytes: u64,
}

/// A descriptor as it is written. Go writes `null` for what is empty.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "a descriptor")]
pub(super) struct Written {
    pub(super) media_type: Option<String>,
    pub(super) digest: Option<String>,
    pub(super) size: Option<u64>,
    pub(super) platform: Option<WrittenPlatform>,
    pub(super) annotations: Option<BTreeMap<String, Option<String>>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, expecting = "a platform")]
pub(super) struct WrittenPlatform {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
}

impl Written {
    pub(super) fn descriptor(&self) -> Result<Descriptor, Error> {
        let digest = self.digest.as_deref().unwrap_or_default();
        let Some(bytes) = self.size else {
            return Err(Error::Json(format!("the descriptor of {} has no size", crate::diagnostic::quoted(digest))));
        };
        // The specification has a signed number of 64 bits, and Go's clients read nothing else.
        if i64::try_from(bytes).is_err() {
            return Err(Error::Size { said: bytes, found: None });
        }
        Ok(Descriptor {
            media_type: self.media_type.clone().unwrap_or_default(),
            digest: strict_digest(digest)?,
            bytes,
        })
    }

    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key)?.as_deref()
    }
}

impl WrittenPlatform {
    pub(super) fn platform(self) -> Platform {
        let text = |field: Option<String>| field.unwrap_or_default();
        Platform { os: text(self.os), architecture: text(self.architecture), variant: text(self.variant) }
    }
}

/// A digest as the specification writes it: `sha256:` and 64 lower-case digits, nothing else.
pub(super) fn strict_digest(text: &str) -> Result<Digest, Error> {
    let refuse = || Error::Digest(text.to_owned());
    let digest: Digest = text.parse().map_err(|_| refuse())?;
    if digest.as_str() == text { Ok(digest) } else { Err(refuse()) }
}
