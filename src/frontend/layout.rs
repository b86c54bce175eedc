//! A directory with an OCI layout in the place of registries: `--build-context images=DIR`, or `IMAGE=DIR` for one. Owns which of
//! its names is which image; does not know what an image is made of.
//!
//! A layout is a directory with `index.json`, which names some of what lies in `blobs/sha256/` (OCI image layout
//! specification). Tools write names there as they were given them, with the host or without (`skopeo copy --all
//! docker://X oci:DIR:X`). What no name leads to is found by its digest all the same.

use std::collections::{BTreeMap, BTreeSet};

use buildkit::gateway::{Content, Error, Reference};
use buildkit::llb::{Copy, File, State};
use serde::Deserialize;

use super::Build;
use super::report::Failure;
use crate::diagnostic::Diagnostic;
use crate::lower::FETCHED;
use crate::name::{Digest, ImageRef};
use crate::oci::MAX_DOCUMENT_BYTES;

/// Where blobs lie.
const BLOBS: &str = "blobs/sha256";

/// A layout that the user gave.
#[derive(Debug)]
pub(super) struct Layout {
    state: State,
    reference: Reference,
    /// The name that the user gave it.
    context: String,
    index: Index,
    /// What the names in `index.json` lead to.
    names: BTreeMap<ImageRef, Digest>,
    blobs: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Named>,
}

#[derive(Debug, Deserialize)]
struct Named {
    digest: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// The annotations that hold a name: the specification's, and that of containerd and Docker, which is a whole one.
const NAMES: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

impl Layout {
    /// The layout that the user gave by that name, if any.
    pub(super) async fn load(build: &Build<'_>, name: &str) -> Result<Option<Self>, Failure> {
        let Build { context, options, spec, .. } = *build;
        let Some(given) = context.named(name, &options.default_platform()).await? else { return Ok(None) };
        let problem = |why: &str| {
            let help =
                "use a directory with `index.json` and `blobs`, as `skopeo copy --all docker://… oci:DIR:NAME` creates";
            Diagnostic::error(format!("the build context {name} is not an OCI layout: {why}")).help(help)
        };
        let Some(state) = given.state else { return Err(problem("it is empty").into()) };
        let reference = context.solve(&state).await?;
        let Content::Bytes(index) = reference.read_file("index.json", MAX_DOCUMENT_BYTES as u64).await? else {
            return Err(problem("it has no readable `index.json`").into());
        };
        let index: Index = serde_json::from_slice(&index).map_err(|error| problem(&format!("index.json: {error}")))?;
        let mut names = names(&index);
        // Asked for is an image by the name that it has at a mirror.
        for image in &spec.images {
            if let Some(digest) = names.get(&image.reference).cloned() {
                names.extend(spec.mirrors.images(&image.reference).into_iter().map(|place| (place, digest.clone())));
            }
        }
        let entries = reference.read_dir(BLOBS, None).await?;
        let blobs = entries.into_iter().map(|entry| entry.path.rsplit('/').next().unwrap_or_default().to_owned());
        Ok(Some(Self { state, reference, context: name.to_owned(), index, names, blobs: blobs.collect() }))
    }

    /// The digest of the one that has this name or this tag, or of the only one that there is.
    pub(super) fn only(&self, image: &ImageRef) -> Option<Digest> {
        let manifests = &self.index.manifests;
        let tagged = manifests.iter().find(|manifest| manifest.names().any(|name| Some(name) == image.tag()));
        let only = if let [one] = &manifests[..] { Some(one) } else { None };
        self.digest(image).or_else(|| tagged.or(only)?.digest.parse().ok())
    }

    /// The digest that a name leads to.
    pub(super) fn digest(&self, image: &ImageRef) -> Option<Digest> {
        self.names.get(image).cloned()
    }

    /// The bytes of a blob that is a document; `None` where there is none. They are not proved.
    pub(super) async fn read(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        if !self.has(digest) {
            return Ok(None);
        }
        let path = format!("{BLOBS}/{}", digest.hex());
        Ok(self.reference.read_file(&path, MAX_DOCUMENT_BYTES as u64).await?.bytes())
    }

    /// The vertex of a blob, with it as [`FETCHED`]; `None` where there is none.
    pub(super) fn blob(&self, digest: &Digest) -> Option<State> {
        self.has(digest).then(|| self.vertex(digest))
    }

    /// The vertex of a blob, with it as [`FETCHED`]; it fails where there is none.
    pub(super) fn vertex(&self, digest: &Digest) -> State {
        let copy = Copy::new(&self.state, &format!("/{BLOBS}/{}", digest.hex()), &format!("/{FETCHED}"));
        let file = File::scratch().copy(copy.follow_symlink().mode(0o644).timestamp(0));
        file.state().named(format!("[images] {digest} of the build context {}", self.context))
    }

    fn has(&self, digest: &Digest) -> bool {
        self.blobs.contains(digest.hex())
    }
}

impl Named {
    fn names(&self) -> impl Iterator<Item = &str> {
        NAMES.iter().filter_map(|key| self.annotations.get(*key)).map(String::as_str)
    }
}

/// The names of an index, in full. One that is not a valid image name, such as a tag alone, names nothing.
fn names(index: &Index) -> BTreeMap<ImageRef, Digest> {
    let named = index.manifests.iter().flat_map(|manifest| {
        manifest.names().filter_map(|name| Some((name.parse().ok()?, manifest.digest.parse().ok()?)))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_users_write_them() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let manifest =
            |key: &str, name: &str| format!(r#"{{"digest": "{digest}", "annotations": {{"{key}": "{name}"}}}}"#);
        let manifests = [
            manifest("org.opencontainers.image.ref.name", "nginx:1.27"),
            manifest("org.opencontainers.image.ref.name", "quay.io/calico/node:v3.27.3"),
            manifest("io.containerd.image.name", "docker.io/library/redis:7"),
            manifest("org.opencontainers.image.ref.name", "NO NAME"),
            format!(r#"{{"digest": "{digest}"}}"#),
        ];
        let index = format!(r#"{{"schemaVersion": 2, "manifests": [{}]}}"#, manifests.join(","));
        let names = names(&serde_json::from_str(&index).expect("an index"));
        let names: Vec<&str> = names.keys().map(ImageRef::as_str).collect();
        assert_eq!(names, ["docker.io/library/nginx:1.27", "docker.io/library/redis:7", "quay.io/calico/node:v3.27.3"]);
    }
}
