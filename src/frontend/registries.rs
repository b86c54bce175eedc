//! Registries through BuildKit's gateway: names, documents and blobs of container images. Owns the ways by which a
//! manifest can be had: from a blob source, from an `http` source, from a vertex that runs kso; does not decide what is
//! asked, nor whether to ask again.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use buildkit::gateway::{CacheImport, Client, Content, Error, Reference, ResolveMode, SolveRequest};
use buildkit::llb::{Http, Platform, ProgressGroup, Proxy, State};

use super::image_sources::{ImageSources, Place, at};
use super::{Build, errors, self_image};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::hints::lock_command;
use crate::fetch::{Attempt, Failure, Fetcher, Limits, Source, Throttle, Try};
use crate::kind::images::resolve::{Registries, Run, problem};
use crate::kind::images::resolved::{Kind, Missing, Resolved, Wanted};
use crate::kind::images::{self, Image};
use crate::lower::images::{LOGIN_SECRET, Question, Runner, manifests, quiet};
use crate::lower::{self, FETCHED};
use crate::manifests::{Cause, DIGEST, DOCUMENTS};
use crate::name::{Arch, Digest, ImageRef};
use crate::oci::{MAX_DOCUMENT_BYTES, check_digest};
use crate::registry::{ACCEPT, Endpoint};
use crate::retry::{Retry, Transient as _};

/// A blob of a place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Blob {
    /// Where it is asked for.
    pub(super) place: Place,
    /// What it must hash to.
    pub(super) digest: Digest,
    /// Whether what is cached will not do: it is known to be wrong.
    pub(super) fresh: bool,
}

impl Blob {
    /// The blob of that place.
    pub(super) fn new(place: Place, digest: &Digest) -> Self {
        Self { place, digest: digest.clone(), fresh: false }
    }
}

impl Source for Blob {
    fn host(&self) -> &str {
        self.place.name().split('/').next().unwrap_or_default()
    }
}

/// Registries, as the daemon reaches them; and where it cannot ask, as a step of the build does.
pub(super) struct Gateway<'a> {
    client: &'a Client,
    mode: ResolveMode,
    ignore_cache: bool,
    /// What asks a registry in a step; `None` where that is forbidden.
    runner: Option<Runner>,
    proxy: Proxy,
    attestations: bool,
    /// Where images come from.
    places: ImageSources,
    /// Where results may come from that this daemon has not (`--cache-from`).
    imports: Vec<CacheImport>,
    /// What was read already, proved: documents that several images name, and configs that came with a digest.
    known: RefCell<BTreeMap<Digest, Vec<u8>>>,
    /// What steps have written, by name and digest of the image.
    written: RefCell<BTreeMap<String, Reference>>,
    /// What the progress shows of each blob.
    groups: RefCell<BTreeMap<Digest, ProgressGroup>>,
    /// The vertices of blobs by how they are asked for, each made once, and the names of the files in them.
    sources: RefCell<BTreeMap<(Blob, u32), (State, String)>>,
    /// Registries of which `http` sources get no manifest, because they want a token.
    tokens: RefCell<BTreeSet<String>>,
}

impl<'a> Gateway<'a> {
    /// Asks as a build does. The error is a resolve mode or a cache import that cannot be understood.
    pub(super) fn new(build: &Build<'a>, places: ImageSources) -> Result<Self, Error> {
        let Build { client, options, spec, .. } = *build;
        Ok(Self {
            client,
            mode: options.resolve_mode()?,
            ignore_cache: options.is_no_cache("images"),
            imports: options.cache_imports()?,
            runner: build.runner(),
            proxy: self_image::proxy(options),
            attestations: spec.registry.attestations,
            places,
            known: RefCell::default(),
            written: RefCell::default(),
            groups: RefCell::default(),
            sources: RefCell::default(),
            tokens: RefCell::default(),
        })
    }

    /// Asks for images, in their order; with their attestations if these are wanted.
    pub(super) async fn resolve(&self, section: images::Section<'_>) -> Result<Vec<Resolved>, Vec<Diagnostic>> {
        images::resolve::images(section, self.places.mirrors(), self, &Limits::default()).await
    }

    /// Asks for one image, and compares its configs with its index; `throttle` is shared with others.
    pub(super) async fn resolve_one(&self, image: &Image, throttle: &Throttle) -> Result<Resolved, Diagnostic> {
        let (mirrors, retry, attestations) = (self.places.mirrors(), &Retry::DEFAULT, self.attestations);
        let run = Run { registries: self, mirrors, retry, throttle, attestations, configs: true };
        let resolved = run.image(&image.reference, &image.architectures).await;
        resolved.map_err(|why| problem(image, &why))
    }

    /// The vertex of a blob that is asked for after `earlier` attempts, and the name of the file in it.
    pub(super) fn source(&self, blob: &Blob, earlier: u32) -> (State, String) {
        // Where all vertices ignore the cache, the second attempt is not another one by that.
        let number = if self.ignore_cache && earlier > 0 { earlier + 1 } else { earlier };
        let new = || {
            let (state, file) = self.places.blob(&blob.place, &blob.digest, number, blob.fresh || self.ignore_cache);
            let name = format!("[images] {} of {}", short(&blob.digest), blob.place.name());
            if earlier > 0 {
                // A failed try stays an error of its group.
                return (state.named(format!("{name}, try {}", earlier + 1)), file);
            }
            let state = state.named(name);
            match self.groups.borrow().get(&blob.digest).cloned() {
                Some(group) => (state.grouped(group), file),
                None => (state, file),
            }
        };
        self.sources.borrow_mut().entry((blob.clone(), number)).or_insert_with(new).clone()
    }

    /// The bytes of a blob.
    async fn read_blob(&self, place: Place, digest: &Digest, earlier: u32) -> Result<Vec<u8>, Error> {
        let name = format!("[internal] read {digest} of {}", place.name());
        let (source, file) = self.source(&Blob::new(place, digest), earlier);
        self.read(quiet(source.named(name)), &file).await
    }

    /// From now on these blobs are shown so.
    pub(super) fn show(&self, groups: impl IntoIterator<Item = (Digest, ProgressGroup)>) {
        self.groups.borrow_mut().extend(groups);
    }

    /// Where images come from.
    pub(super) fn places(&self) -> &ImageSources {
        &self.places
    }

    /// The images of the specification as a lock has them; an error where the user put another in the place of one. A tag of
    /// another registry is asked for, if there is an answer: the bytes are those of the lock in any case.
    pub(super) async fn locked(
        &self,
        images: &[Image],
        locked: Vec<Resolved>,
    ) -> Result<Vec<Resolved>, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        for (image, resolved) in images.iter().zip(&locked) {
            let Some((name, digest)) = self.places.replaced(&image.reference) else { continue };
            let digest = match digest {
                Some(digest) => Some(digest.clone()),
                None => self.digest(name, &image.architectures, Try::FIRST).await.ok(),
            };
            let wanted = &resolved.top().digest;
            if let Some(got) = digest.filter(|got| got != wanted) {
                let message = format!("the build context {} is {got}, but the lock has {wanted}", image.reference);
                let problem =
                    Diagnostic::error(message).help("use the image in the lock, or update the lock with this one");
                problems.push(at(image, problem));
            }
        }
        if problems.is_empty() { Ok(locked) } else { Err(problems) }
    }

    /// The bytes of a blob that was read on the way, if they are text: it need not be fetched again.
    pub(super) fn known(&self, digest: &Digest) -> Option<String> {
        let known = self.known.borrow();
        known.get(digest).and_then(|bytes| String::from_utf8(bytes.clone()).ok())
    }

    /// Solves a source at once.
    fn request(&self, source: State) -> SolveRequest {
        self.solve_now(&if self.ignore_cache { source.ignore_cache(true) } else { source })
    }

    /// Solves a graph at once, with the caches that the user named.
    pub(super) fn solve_now(&self, state: &State) -> SolveRequest {
        SolveRequest::new(&state.marshal()).cache_imports(self.imports.iter().cloned()).evaluate(true)
    }

    async fn solve(&self, source: State) -> Result<Reference, Error> {
        let result = self.client.solve(self.request(source)).await?;
        result.reference.ok_or_else(|| Error::new("BuildKit returned no result"))
    }

    /// The bytes of a source that is one small file of that name.
    async fn read(&self, source: State, file: &str) -> Result<Vec<u8>, Error> {
        let bytes = read_file(&self.solve(source).await?, &format!("/{file}")).await?;
        bytes.ok_or_else(|| Error::new("BuildKit stored no file"))
    }

    /// The bytes of a manifest in one of the three ways that are left without a lock, each only where the one before
    /// cannot.
    async fn manifest(&self, image: &Wanted, digest: &Digest, earlier: u32) -> Result<Vec<u8>, Failure> {
        let reference = &image.reference;
        let pinned = format!("{}@{}", reference.name(), image.digest);
        if let Some(bytes) = self.written_by_step(&pinned, digest).await? {
            return Ok(bytes);
        }
        let repository = Place::Repository(reference.name().to_owned());
        let first = match self.read_blob(repository, digest, earlier).await {
            Ok(bytes) => return Ok(bytes),
            // The blob source sends no Accept header: an OCI manifest is then "not found".
            Err(error) => match errors::of_registry(&error) {
                failure if failure.is_transient() => return Err(failure),
                failure => failure,
            },
        };
        let domain = reference.domain();
        let mut second = None;
        if self.runner.is_none() || !self.tokens.borrow().contains(domain) {
            // The checksum is the key, whatever the URL: a mirror's answer has another name.
            let file = lower::images::blob_file(if earlier > 0 { earlier + 1 } else { 0 });
            let source = manifest_by_http(reference, digest.as_str(), &file)?.checksum(digest.as_str());
            let name = format!("[internal] read {digest} of {}", reference.name());
            match self.read(quiet(source.state().named(name)), &file).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => second = Some(error),
            }
        }
        if second.as_ref().is_some_and(wants_token) {
            self.tokens.borrow_mut().insert(domain.to_owned());
        }
        let Some(runner) = &self.runner else { return Err(forbidden(&first, second.as_ref())) };
        let question =
            Question { image: &pinned, architectures: &image.architectures, attestations: image.attestations };
        let written = self.solve(manifests(&question, runner, &self.proxy)).await;
        let written = written.map_err(|error| refused(&first, &error))?;
        self.written.borrow_mut().insert(pinned.clone(), written);
        // Not among what the image needs: nobody asks for such a one.
        self.written_by_step(&pinned, digest).await?.ok_or(first)
    }

    /// The bytes of a manifest, where a step has written it.
    async fn written_by_step(&self, pinned: &str, digest: &Digest) -> Result<Option<Vec<u8>>, Failure> {
        let written = self.written.borrow().get(pinned).cloned();
        let Some(written) = written else { return Ok(None) };
        let path = format!("/{DOCUMENTS}/{}", digest.hex());
        read_file(&written, &path).await.map_err(|error| Failure::Other(error.message().to_owned()))
    }

    /// The digest of a tag of what BuildKit takes for no image, such as a Helm chart.
    async fn digest_of_artifact(
        &self,
        image: &ImageRef,
        tag: &str,
        architectures: &BTreeSet<Arch>,
        failure: Failure,
    ) -> Result<Digest, Failure> {
        let source = manifest_by_http(image, tag, FETCHED)?.state().named(format!("[internal] read {image}"));
        let source = quiet(source);
        let error = match self.read(source, FETCHED).await {
            Ok(bytes) => {
                let digest = Digest::of(&bytes);
                self.known.borrow_mut().insert(digest.clone(), bytes);
                return Ok(digest);
            }
            Err(error) => error,
        };
        let Some(runner) = self.runner.as_ref().filter(|_| wants_token(&error)) else {
            return Err(forbidden(&failure, Some(&error)));
        };
        let question = Question { image: image.as_str(), architectures, attestations: self.attestations };
        // A tag may lead elsewhere tomorrow.
        let state = manifests(&question, runner, &self.proxy).ignore_cache(true);
        let written = self.solve(state).await.map_err(|error| refused(&failure, &error))?;
        let digest = read_file(&written, &format!("/{DIGEST}")).await;
        let digest = digest.ok().flatten().and_then(|bytes| String::from_utf8(bytes).ok()?.parse::<Digest>().ok());
        let digest = digest.ok_or(failure)?;
        self.written.borrow_mut().insert(format!("{}@{digest}", image.name()), written);
        Ok(digest)
    }
}

/// The bytes of a small file, if it is there.
async fn read_file(from: &Reference, path: &str) -> Result<Option<Vec<u8>>, Error> {
    match from.read_file(path, MAX_DOCUMENT_BYTES as u64).await? {
        Content::Bytes(bytes) => Ok(Some(bytes)),
        Content::TooLarge(bytes) => Err(Error::new(format!("a manifest of {bytes} bytes is too large"))),
        Content::Absent | Content::Directory => Ok(None),
    }
}

impl Registries for Gateway<'_> {
    async fn digest(&self, image: &ImageRef, architectures: &BTreeSet<Arch>, _: Try) -> Result<Digest, Failure> {
        if let Some(digest) = self.places.digest(image) {
            return Ok(digest);
        }
        // BuildKit asks for a platform, and fails where the image lacks it: then another may lead to the same index.
        let mut failure = Failure::Other("no architecture requests it".into());
        for arch in architectures.iter().copied().chain(Arch::ALL).collect::<BTreeSet<_>>() {
            let platform = Platform::linux(arch.as_str());
            let name = format!("[internal] load metadata for {image}");
            match self.client.resolve_image_config(image.as_str(), Some(&platform), self.mode, &name).await {
                Ok(resolved) => {
                    self.known.borrow_mut().insert(Digest::of(&resolved.config), resolved.config);
                    let digest = resolved.digest.parse();
                    return digest.map_err(|_| {
                        Failure::Other(format!("the registry returned the invalid digest {}", resolved.digest))
                    });
                }
                Err(error) => failure = errors::of_registry(&error),
            }
            if !matches!(failure, Failure::Other(_)) {
                return Err(failure);
            }
        }
        // BuildKit wants an image's config, and an artifact (a Helm chart) has another: its manifest has the digest too.
        let Some(tag) = image.tag() else { return Err(failure) };
        self.digest_of_artifact(image, tag, architectures, failure).await
    }

    async fn document(&self, image: &Wanted, document: &Missing, tried: Try) -> Result<Vec<u8>, Failure> {
        let Missing { digest, kind, .. } = document;
        if let Some(bytes) = self.known.borrow().get(digest) {
            return Ok(bytes.clone());
        }
        let reference = &image.reference;
        let given = self.places.read(reference, digest).await.map_err(|error| errors::of_registry(&error))?;
        let bytes = match (given, kind) {
            (Some(bytes), _) => bytes,
            (None, Kind::Manifest) if !self.places.is_given(reference) => {
                self.manifest(image, digest, tried.earlier).await?
            }
            (None, _) => {
                let place = self.places.of(reference).swap_remove(0);
                let bytes = self.read_blob(place.clone(), digest, tried.earlier).await;
                bytes.map_err(|error| lacks(&place, digest, errors::of_registry(&error)))?
            }
        };
        check_digest(&bytes, digest).map_err(|error| Failure::Other(error.to_string()))?;
        self.known.borrow_mut().insert(digest.clone(), bytes.clone());
        Ok(bytes)
    }
}

impl Fetcher<Blob> for Gateway<'_> {
    async fn fetch(&self, attempt: &Attempt<Blob>, _: bool) -> Result<Option<u64>, Failure> {
        let (source, _) = self.source(&attempt.source, attempt.earlier);
        let Blob { place, digest, .. } = &attempt.source;
        match self.client.solve(self.request(source)).await {
            Ok(_) => Ok(None),
            Err(error) => Err(lacks(place, digest, errors::of_registry(&error))),
        }
    }
}

/// What is reported where something that the user gave has no such blob.
fn lacks(place: &Place, digest: &Digest, failure: Failure) -> Failure {
    match (place, failure) {
        (Place::Context(_), Failure::Other(message)) if message.contains("not found") => {
            Failure::Other(format!("its build context has no blob {digest}"))
        }
        (_, failure) => failure,
    }
}

/// The manifest with a tag or a digest by its URL: for registries that want an Accept header, and no token.
fn manifest_by_http(image: &ImageRef, tag: &str, file: &str) -> Result<Http, Failure> {
    let endpoint = Endpoint::of(image.domain());
    let url = endpoint.and_then(|endpoint| endpoint.url(&format!("{}/manifests/{tag}", image.path())));
    let url = url.map_err(|failure| Failure::Other(failure.to_string()))?;
    Ok(Http::new(url.as_str()).filename(file).header("accept", ACCEPT))
}

/// Whether an `http` source failed as it does where a registry wants a token: with a checksum, the answer that asks for one
/// is only other bytes.
fn wants_token(error: &Error) -> bool {
    error.message().contains("digest mismatch") || error.message().contains("status 401")
}

/// Why a manifest cannot be had without a step that runs kso, which is not allowed.
fn forbidden(first: &Failure, second: Option<&Error>) -> Failure {
    match second {
        Some(error) if wants_token(error) => Failure::Other(FORBIDDEN.into()),
        Some(error) => match errors::of_registry(error) {
            failure if failure.is_transient() => failure,
            _ => first.clone(),
        },
        None => first.clone(),
    }
}

const FORBIDDEN: &str = concat!(
    "its registry requires a token for this manifest, which BuildKit's sources do not send, and the kso step that does is \
     forbidden: remove `--build-arg KSO_EXEC=never`, or ",
    lock_command!()
);

/// Why the step that runs kso could not have it. Its log, in the progress, says more.
fn refused(first: &Failure, error: &Error) -> Failure {
    let other = |message: String| Failure::Other(message);
    match self_image::cause(error) {
        Some(Cause::NoLogin) => Failure::Login(
            "its registry refuses access without a login, and BuildKit does not log in for OCI manifests".into(),
        ),
        Some(Cause::BadLogin) => {
            Failure::Login(format!("its registry refuses access with the login in the secret `{LOGIN_SECRET}`"))
        }
        Some(Cause::Helper) => Failure::Login(format!(
            "the login for its registry is not in the secret `{LOGIN_SECRET}`, which only names a credential helper"
        )),
        Some(Cause::NotFound) => match first {
            Failure::Other(_) => first.clone(),
            _ => other("its registry has no such manifest (status 404)".into()),
        },
        Some(Cause::Unreachable) => other("its registry cannot be reached from a build step".into()),
        Some(Cause::Status) => other("its registry returns errors to a build step".into()),
        Some(Cause::Corrupt) => other("its registry sends bytes that do not match the digest".into()),
        None => other(error.message().to_owned()),
    }
}

/// The first digits of a digest.
fn short(digest: &Digest) -> &str {
    &digest.hex()[..12]
}
