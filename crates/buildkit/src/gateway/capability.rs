//! What the daemon can do, and since which version of BuildKit a capability exists. Does not know what a frontend needs
//! it for.

use std::collections::BTreeMap;

use bollard_buildkit_proto::moby::buildkit::v1::apicaps::ApiCap;

use super::Error;

/// `evaluate` in a solve.
pub const SOLVE_EVALUATE: &str = "gateway.solve.evaluate";
/// The inputs that a client hands to a frontend.
pub const FRONTEND_INPUTS: &str = "frontend.inputs";
/// Warnings that the client shows.
pub const WARNINGS: &str = "gateway.warnings";
/// `ResolveSourceMeta`.
pub const SOURCE_META_RESOLVER: &str = "source.metaresolver";
/// References as messages instead of bare ids.
pub const REFERENCE_ARRAY: &str = "proto.refarray";
/// The type and size of a file of a result.
pub const STAT_FILE: &str = "statfile";
/// `http(s)` sources with a checksum.
pub const HTTP_CHECKSUM: &str = "source.http.checksum";
/// `http(s)` sources with permission bits.
pub const HTTP_PERM: &str = "source.http.perm";
/// `http(s)` sources with a secret as their `Authorization`.
pub const HTTP_AUTH: &str = "source.http.auth";
/// `http(s)` sources with request headers.
pub const HTTP_HEADER: &str = "source.http.header";
/// Single blobs of a registry.
pub const IMAGE_BLOB: &str = "source.imageblob";
/// Images of an OCI layout of the client.
pub const OCI_LAYOUT: &str = "source.ocilayout";
/// Several inputs as one, without copying.
pub const MERGE: &str = "mergeop";
/// What one state has and another has not.
pub const DIFF: &str = "diffop";
/// File operations.
pub const FILE: &str = "file.base";
/// Symbolic links made by file operations.
pub const FILE_SYMLINK: &str = "file.symlink.create";
/// Attestations in addition to the references of a result.
pub const ATTESTATIONS: &str = "reference.attestations";
/// `source.date.epoch` in the metadata of a result.
pub const SOURCE_DATE_EPOCH: &str = "exporter.sourcedateepoch";

/// All of the above: what a daemon of today has.
pub const ALL: &[&str] = &[
    SOLVE_EVALUATE,
    FRONTEND_INPUTS,
    WARNINGS,
    SOURCE_META_RESOLVER,
    REFERENCE_ARRAY,
    STAT_FILE,
    HTTP_CHECKSUM,
    HTTP_PERM,
    HTTP_AUTH,
    HTTP_HEADER,
    IMAGE_BLOB,
    OCI_LAYOUT,
    MERGE,
    DIFF,
    FILE,
    FILE_SYMLINK,
    ATTESTATIONS,
    SOURCE_DATE_EPOCH,
];

/// What to do about a daemon that is too old.
const UPDATE: &str = "create a newer builder: `docker buildx create --use --driver-opt image=moby/buildkit:latest`";

/// The minor version of BuildKit's 0.x releases that brought a capability, for those newer than 0.5
/// (`solver/pb/caps.go` and `frontend/gateway/pb/caps.go` of each release).
const SINCE: &[(&str, u32)] = &[
    ("frontend.inputs", 7),
    ("proto.refarray", 7),
    ("reference.output", 7),
    ("frontend.caps", 8),
    ("gateway.solve.evaluate", 8),
    ("gateway.solve.metadata", 8),
    ("file.copy.includeexcludepatterns", 9),
    ("source.git.subdir", 9),
    ("source.local.differ", 9),
    ("diffop", 10),
    ("exec.secretenv", 10),
    ("gateway.warnings", 10),
    ("mergeop", 10),
    ("exporter.image.annotations", 11),
    ("exporter.image.attestations", 11),
    ("exporter.sourcedateepoch", 11),
    ("gateway.evaluate", 11),
    ("reference.attestations", 11),
    ("source.ocilayout", 11),
    ("source.policy", 11),
    ("source.metaresolver", 13),
    ("file.copy.alwaysreplaceexistingdestpaths", 14),
    ("exec.validexitcode", 17),
    ("file.copy.modestring", 17),
    ("file.symlink.create", 19),
    ("source.http.auth", 21),
    ("source.http.header", 21),
    ("source.local.metadatatransfer", 21),
    ("source.git.checksum", 22),
    ("source.git.skipsubmodules", 24),
    ("source.image.checksum", 25),
    ("file.copy.requiredpaths", 26),
    ("source.imageblob", 28),
    ("source.metaresolver.http.checksumrequest", 28),
    ("source.git.mtime", 29),
    ("source.git.fetchbycommit", 30),
    ("passthroughop", 31),
];

/// What a daemon said it can do, of the gateway and of the graph alike: their identifiers never collide.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Why a capability is not to be used, by its identifier; empty where it is enabled.
    known: BTreeMap<String, Option<String>>,
}

impl Capabilities {
    pub(super) fn of(caps: impl IntoIterator<Item = ApiCap>) -> Self {
        let disabled = |cap: &ApiCap| (!cap.enabled).then(|| cap.disabled_reason_msg.clone());
        Self { known: caps.into_iter().map(|cap| (cap.id.clone(), disabled(&cap))).collect() }
    }

    /// Whether the daemon has the capability and has not switched it off.
    pub fn supports(&self, id: &str) -> bool {
        matches!(self.known.get(id), Some(None))
    }

    /// Fails with "`what` needs BuildKit 0.28 or newer, but yours is 0.27.1" where the daemon lacks one of `ids`:
    /// the newest version that any of the missing ones needs. `version` is the daemon's, where it tells a real one
    /// ([`super::Options::buildkit_version`]).
    pub fn require<'a>(
        &self,
        what: &str,
        ids: impl IntoIterator<Item = &'a str>,
        version: Option<&str>,
    ) -> Result<(), Error> {
        let missing: Vec<&str> = ids.into_iter().filter(|id| !self.supports(id)).collect();
        let Some(first) = missing.first() else { return Ok(()) };
        for id in &missing {
            if let Some(Some(reason)) = self.known.get(*id) {
                let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                return Err(Error::new(format!("{what} needs `{id}`, which is disabled in this BuildKit{reason}")));
            }
        }
        let since = missing.iter().filter_map(|id| introduced(id)).max();
        let needs =
            since.map_or_else(|| format!("a newer BuildKit (with `{first}`)"), |n| format!("BuildKit 0.{n} or newer"));
        let yours = version.map_or_else(String::new, |version| format!(", but yours is {version}"));
        Err(Error::new(format!("{what} needs {needs}{yours}\nhelp: {UPDATE}")))
    }
}

/// The minor version of the 0.x release that brought a capability; none for the oldest and the unknown.
pub fn introduced(id: &str) -> Option<u32> {
    SINCE.iter().find(|(known, _)| *known == id).map(|(_, minor)| *minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capabilities() -> Capabilities {
        let cap = |id: &str, enabled, reason: &str| ApiCap {
            id: id.into(),
            enabled,
            disabled_reason_msg: reason.into(),
            ..ApiCap::default()
        };
        Capabilities::of([cap(MERGE, true, ""), cap(DIFF, false, "no snapshotter does it"), cap(FILE, false, "")])
    }

    fn error(ids: &[&str], version: Option<&str>) -> String {
        let result = capabilities().require("the target `images`", ids.iter().copied(), version);
        result.expect_err("something is missing").to_string()
    }

    #[test]
    fn what_is_missing_names_the_version() {
        assert_eq!(capabilities().require("x", [MERGE], None), Ok(()));
        assert_eq!(
            error(&[MERGE, HTTP_HEADER, IMAGE_BLOB], Some("0.20.1")),
            format!("the target `images` needs BuildKit 0.28 or newer, but yours is 0.20.1\nhelp: {UPDATE}")
        );
        assert_eq!(
            error(&[IMAGE_BLOB], None),
            format!("the target `images` needs BuildKit 0.28 or newer\nhelp: {UPDATE}")
        );
        assert_eq!(
            error(&["mystery"], None),
            format!("the target `images` needs a newer BuildKit (with `mystery`)\nhelp: {UPDATE}")
        );
    }

    #[test]
    fn what_is_switched_off_says_why() {
        assert!(!capabilities().supports(DIFF));
        assert_eq!(
            error(&[DIFF], Some("0.32.0")),
            "the target `images` needs `diffop`, which is disabled in this BuildKit: no snapshotter does it"
        );
        assert_eq!(error(&[FILE], None), "the target `images` needs `file.base`, which is disabled in this BuildKit");
    }
}
