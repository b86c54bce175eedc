//! A warning that the client shows during the build. Does not know what it warns of.

use bollard_buildkit_proto::moby::buildkit::v1::frontend as proto;
use bollard_buildkit_proto::pb;

use crate::llb::{Digest, Location};

/// A warning, shown by `docker buildx build` after the build with its lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Warning {
    /// One line.
    pub short: String,
    /// More lines, if one is not enough.
    pub detail: Vec<String>,
    /// Where to read more.
    pub url: String,
    /// The lines of one file of the user's: a warning has no more than one file, that of the first.
    pub locations: Vec<Location>,
}

impl Warning {
    /// A warning of one line.
    pub fn new(short: impl Into<String>) -> Self {
        Self { short: short.into(), ..Self::default() }
    }

    /// Adds lines of the user's files.
    #[must_use]
    pub fn at(mut self, locations: &[Location]) -> Self {
        self.locations.extend_from_slice(locations);
        self
    }

    pub(super) fn into_proto(self, digest: &Digest) -> proto::WarnRequest {
        let file = self.locations.first().map(|location| location.file.clone());
        let of_file = self.locations.iter().filter(|location| Some(&location.file) == file.as_ref());
        proto::WarnRequest {
            digest: digest.as_str().to_owned(),
            level: 1,
            short: self.short.into_bytes(),
            detail: self.detail.into_iter().map(String::into_bytes).collect(),
            url: self.url,
            ranges: of_file.map(Location::to_range).collect(),
            info: file.map(|file| pb::SourceInfo {
                filename: file.name.clone(),
                data: file.data.clone(),
                language: file.language.clone(),
                definition: None,
            }),
        }
    }
}
