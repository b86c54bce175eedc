//! Registries through BuildKit's gateway: names, documents and blobs of container images. Owns the ways by which a
//! manifest can be had (DESIGN §10); does not decide what is asked, nor whether to ask again.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::fetch::{Attempt, Failure, Fetcher, Source};
use crate::gateway::{Client, Content, Error, Options, ResolveMode, SolveRequest};
use crate::llb::{Http, ImageBlob, Platform, State};
use crate::lower::{FETCHED, FILE_MODE};
use crate::oci::{MAX_DOCUMENT_BYTES, check_digest};
use crate::resolve::image::{Kind, Missing};
use crate::resolve::images::Registries;
use crate::spec::{Arch, Digest, ImageRef};

/// All that a registry may have under the digest of a manifest.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// A blob of a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Blob {
    /// Registry and repository: `quay.io/calico/node`.
    pub(super) name: String,
    /// What it must hash to.
    pub(super) digest: Digest,
}

impl Source for Blob {
    fn host(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }
}

/// Registries, as the daemon reaches them.
pub(super) struct Gateway<'a> {
    client: &'a Client,
    mode: ResolveMode,
    ignore_cache: bool,
    /// What was read already, proved: documents that several images name, and configs that came with a digest.
    known: RefCell<BTreeMap<Digest, Vec<u8>>>,
}

impl<'a> Gateway<'a> {
    /// Asks through `client`. The error is a resolve mode that does not exist.
    pub(super) fn new(client: &'a Client, options: &Options) -> Result<Self, Error> {
        let ignore_cache = options.is_no_cache("images");
        Ok(Self { client, mode: options.resolve_mode()?, ignore_cache, known: RefCell::default() })
    }

    /// The bytes of a blob that was read on the way, if they are text: it need not be fetched again.
    pub(super) fn known(&self, digest: &Digest) -> Option<String> {
        let known = self.known.borrow();
        known.get(digest).and_then(|bytes| String::from_utf8(bytes.clone()).ok())
    }

    /// Solves a source at once.
    fn request(&self, source: State) -> SolveRequest {
        let source = if self.ignore_cache { source.ignore_cache(true) } else { source };
        SolveRequest::new(&source.marshal()).evaluate(true)
    }

    /// The bytes of a source that is one small file of that name.
    async fn read(&self, source: State, file: &str) -> Result<Vec<u8>, Error> {
        let request = self.request(source);
        let result = self.client.solve(request).await?;
        let reference = result.reference.ok_or_else(|| Error::new("BuildKit gave no result"))?;
        match reference.read_file(&format!("/{file}"), MAX_DOCUMENT_BYTES as u64).await? {
            Content::Bytes(bytes) => Ok(bytes),
            Content::TooLarge(bytes) => Err(Error::new(format!("a manifest of {bytes} bytes is too large"))),
            Content::Absent | Content::Directory => Err(Error::new("BuildKit stored no file")),
        }
    }
}

impl Registries for Gateway<'_> {
    async fn digest(&self, image: &ImageRef, architectures: &BTreeSet<Arch>) -> Result<Digest, Failure> {
        // BuildKit asks for a platform, and fails where the image lacks it: then another may lead to the same index.
        let mut failure = Failure::Other("it is wanted for no architecture".into());
        for arch in architectures.iter().copied().chain(Arch::ALL).collect::<BTreeSet<_>>() {
            let platform = Platform::linux(arch.as_str());
            let name = format!("[images] resolve {image}");
            match self.client.resolve_image_config(image.as_str(), Some(&platform), self.mode, &name).await {
                Ok(resolved) => {
                    self.known.borrow_mut().insert(Digest::of(&resolved.config), resolved.config);
                    let digest = resolved.digest.parse();
                    return digest.map_err(|_| Failure::Other(format!("the registry gave {}", resolved.digest)));
                }
                Err(error) => failure = classify(&error),
            }
            if !matches!(failure, Failure::Other(_)) {
                return Err(failure);
            }
        }
        // BuildKit wants an image's config, and an artifact (a Helm chart) has another: its manifest has the digest too.
        let Some(tag) = image.tag() else { return Err(failure) };
        let source = manifest_by_http(image.name(), tag).state().named(format!("[internal] read {image}"));
        let bytes = self.read(source, FETCHED).await.map_err(|error| second(&failure, &error))?;
        let digest = Digest::of(&bytes);
        self.known.borrow_mut().insert(digest.clone(), bytes);
        Ok(digest)
    }

    async fn document(&self, image: &ImageRef, document: &Missing, again: bool) -> Result<Vec<u8>, Failure> {
        let Missing { digest, kind, .. } = document;
        if let Some(bytes) = self.known.borrow().get(digest) {
            return Ok(bytes.clone());
        }
        let blob = Blob { name: image.name().into(), digest: digest.clone() };
        let name = format!("[internal] read {digest} of {}", image.name());
        let from_blob = self.read(source(&blob, again).named(name.clone()), file(again)).await;
        let bytes = match from_blob {
            Ok(bytes) => bytes,
            // The blob source sends no Accept header: an OCI manifest is then "not found".
            Err(error) => match (classify(&error), kind) {
                (failure @ Failure::Connection(_), _) | (failure, Kind::Blob) => return Err(failure),
                (failure, Kind::Manifest) => {
                    let source = manifest_by_http(&blob.name, digest.as_str()).checksum(digest.as_str());
                    let source = source.state().named(name);
                    self.read(source, FETCHED).await.map_err(|error| second(&failure, &error))?
                }
            },
        };
        check_digest(&bytes, digest).map_err(|error| Failure::Other(error.to_string()))?;
        self.known.borrow_mut().insert(digest.clone(), bytes.clone());
        Ok(bytes)
    }
}

impl Fetcher<Blob> for Gateway<'_> {
    async fn fetch(&self, attempt: &Attempt<Blob>, _: bool) -> Result<Option<u64>, Failure> {
        let source = source(&attempt.source, attempt.again);
        let name = format!("[images] {} of {}", short(&attempt.source.digest), attempt.source.name);
        match self.client.solve(self.request(source.named(name))).await {
            Ok(_) => Ok(None),
            Err(error) => Err(classify(&error)),
        }
    }
}

/// The vertex of a blob. A vertex that failed stays failed for its cache key, so a retry has another file name; and it
/// ignores the cache, which may hold wrong bytes under the good digest.
pub(super) fn source(blob: &Blob, again: bool) -> State {
    let state = ImageBlob::new(&format!("{}@{}", blob.name, blob.digest)).filename(file(again)).perm(FILE_MODE).state();
    state.ignore_cache(again)
}

/// The name of the file in the vertex of a blob.
pub(super) fn file(again: bool) -> &'static str {
    if again { "again" } else { FETCHED }
}

/// The manifest with a tag or a digest by its URL: for registries that want an Accept header, and no token.
fn manifest_by_http(name: &str, tag: &str) -> Http {
    let (domain, path) = name.split_once('/').unwrap_or((name, ""));
    let host = if domain == "docker.io" { "registry-1.docker.io" } else { domain };
    // What containerd takes for a registry without TLS.
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let local = name == "localhost" || name == "[::1]" || name.starts_with("127.");
    let scheme = if local { "http" } else { "https" };
    Http::new(&format!("{scheme}://{host}/v2/{path}/manifests/{tag}")).filename(FETCHED).accept(ACCEPT)
}

/// A manifest could be had in neither way.
fn second(first: &Failure, error: &Error) -> Failure {
    // With a checksum, the answer that asks for a token is only other bytes.
    let token = error.message().contains("digest mismatch") || error.message().contains("status 401");
    match classify(error) {
        _ if token => Failure::Other(TOKEN.into()),
        failure @ Failure::Connection(_) => failure,
        _ => first.clone(),
    }
}

/// Why a manifest cannot be had that its registry gives only to clients with a token.
const TOKEN: &str = "its registry gives this manifest only for a token, and BuildKit's sources send none for manifests of \
     OCI's types";

/// The first digits of a digest.
fn short(digest: &Digest) -> &str {
    &digest.hex()[..12]
}

/// What asking again cannot help against.
const FINAL: [&str; 6] = [
    "no match for platform",
    "encountered unknown type",
    "x509:",
    "no such host",
    "not allowed by policy",
    "context canceled",
];

/// What a message of BuildKit about a registry says (containerd's resolver, v2). There is nothing but the message.
fn classify(error: &Error) -> Failure {
    let message = error.message();
    if error.is_own() || error.is_disconnected() {
        return Failure::Other(message.to_owned());
    }
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if has(&[
        "401 Unauthorized",
        "403 Forbidden",
        "unauthorized",
        "authorization failed",
        "insufficient_scope",
        "denied",
    ]) {
        Failure::Status(401)
    } else if has(&["not found", "404 Not Found"]) {
        Failure::Other(message.to_owned())
    } else if has(&["Too Many Requests"]) {
        Failure::Status(429)
    } else if has(&FINAL) {
        Failure::Other(message.to_owned())
    } else {
        Failure::Connection(message.to_owned())
    }
}
