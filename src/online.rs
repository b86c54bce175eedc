//! The world over HTTPS, without BuildKit: what `kso lock` asks registries and file servers for. Owns how a file is read
//! and hashed; does not know what is done with the answers.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use crate::artifact::{ArtifactId, Artifacts};
use crate::base::{BaseImage, Resolver};
use crate::definition::Spec;
use crate::diagnostic::Diagnostic;
use crate::fetch::{self, Attempt, Failure, Fetcher, Limits, Lost, Throttle, Try, Wanted as Sources};
use crate::kind::images::Image;
use crate::kind::images::resolve::{Registries, Run, Why, problem, tries};
use crate::kind::images::resolved::{Blobs, Kind, Missing, Resolved, Wanted};
use crate::lock::ask::{Fetched, World};
use crate::name::{Arch, Digest, FileUrl, Hasher, ImageRef, Platform};
use crate::oci::{MAX_DOCUMENT_BYTES, check_digest};
use crate::origin::{HeaderValue, Host};
use crate::registry::{self, Client, Credentials};
use crate::retry::{Retry, is_transient_status};
use crate::secrets::Secrets;
use crate::web::{self, Request, Response, Url, Web};

/// How much at once.
const LIMITS: Limits = Limits { total: 32, per_host: 8, retry: Retry::DEFAULT };
/// The largest checksum file that is read, in bytes.
const CHECKSUM_BYTES: usize = 4 << 10;

/// Shows the progress.
pub trait Watch {
    /// So many bytes of files were read.
    fn bytes(&self, bytes: u64);
    /// An entry is done, or lost.
    fn done(&self);
}

/// Asks for what a specification names.
pub struct Online<'a> {
    spec: &'a Spec,
    secrets: &'a Secrets,
    /// Sends a request once: it is sent again, here or elsewhere, as `limits` say.
    web: Web,
    registries: Client,
    limits: Limits,
    watch: &'a dyn Watch,
    throttle: Throttle,
    known: RefCell<Blobs>,
}

impl World for Online<'_> {
    type Error = Infallible;

    async fn fetch(&self, artifacts: &Artifacts, sources: Sources) -> Result<(Vec<Fetched>, Vec<Lost>), Infallible> {
        let files = Files { world: self, artifacts, read: RefCell::default() };
        let lost = fetch::fetch(sources, &files, &self.limits, true).await.err().unwrap_or_default();
        for _ in &lost {
            self.watch.done();
        }
        Ok((files.read.into_inner().into_values().collect(), lost))
    }

    async fn beside(&self, url: &FileUrl) -> Option<Vec<u8>> {
        let address: Url = url.as_str().parse().ok()?;
        let places = std::slice::from_ref(url);
        let text = fetch::try_places(&self.limits.retry, &self.throttle, places, async |_| {
            let mut response = self.send(url, &address).await?;
            web::body(&mut response, CHECKSUM_BYTES).await.map_err(failed)
        });
        Some(text.await.ok()?.1)
    }

    async fn resolve(&self, image: &Image) -> Result<Resolved, Diagnostic> {
        let run = Run { attestations: self.spec.registry.attestations, configs: true, ..self.run() };
        let resolved = run.image(&image.reference, &image.architectures).await;
        resolved.map_err(|why| problem(image, &why))
    }

    fn done(&self) {
        self.watch.done();
    }
}

impl<'a> Online<'a> {
    /// Asks over `web`, registries with the logins of `credentials`, file servers with `secrets` where the specification
    /// says so.
    pub fn new(
        spec: &'a Spec,
        web: Web,
        credentials: &Credentials,
        secrets: &'a Secrets,
        watch: &'a dyn Watch,
    ) -> Self {
        let (web, retry) = web.once();
        let limits = Limits { retry, ..LIMITS };
        let registries = Client::new(web.clone(), credentials.clone());
        let throttle = Throttle::new(&limits);
        Self { spec, secrets, web, registries, limits, watch, throttle, known: RefCell::default() }
    }

    /// How images are asked for, without attestations and configs.
    fn run(&self) -> Run<'_, Self> {
        let (mirrors, retry, throttle) = (&self.spec.mirrors, &self.limits.retry, &self.throttle);
        Run { registries: self, mirrors, retry, throttle, attestations: false, configs: false }
    }

    /// Requests a file, with what the definition says of its server.
    async fn send(&self, url: &FileUrl, address: &Url) -> Result<Response, Failure> {
        let host = self.spec.host(url);
        let header = |name: &str| host.and_then(|host| host.headers.get(name)).map(HeaderValue::as_str);
        let (accept, user_agent) = (header("accept"), header("user-agent"));
        let authorization = self.authorization(url, address)?;
        let request = Request { accept, user_agent, authorization: authorization.as_deref(), ..Request::get(address) };
        let response = self.web.send(request).await.map_err(failed)?;
        web::check(&response).map_err(failed)?;
        Ok(response)
    }

    /// What a file is asked for with. Secrets that are named after the server count too, as for BuildKit, which looks for
    /// them without being told (`newHTTPRequest` of `source/http/source.go`, v0.32).
    fn authorization(&self, url: &FileUrl, address: &Url) -> Result<Option<Cow<'_, str>>, Failure> {
        let secret = |id: &str| self.secrets.header(id).map_err(Failure::Other);
        if let Some(id) = self.spec.host(url).and_then(Host::secret) {
            return secret(id)?.map(|value| Some(value.into())).ok_or_else(|| Failure::Secret(id.to_owned()));
        }
        let name = address.host_str().unwrap_or_default();
        if let Some(token) = secret(&format!("HTTP_AUTH_TOKEN_{name}"))? {
            return Ok(Some(format!("Bearer {token}").into()));
        }
        Ok(secret(&format!("HTTP_AUTH_HEADER_{name}"))?.map(Cow::from))
    }

    /// The bytes of a document or a config, proved.
    async fn read(&self, image: &ImageRef, digest: &Digest, kind: Kind) -> Result<Vec<u8>, Failure> {
        if let Some(bytes) = self.known.borrow().get(digest) {
            return Ok(bytes.clone());
        }
        let (domain, repository) = (image.domain(), image.path());
        let bytes = match kind {
            Kind::Manifest => self.registries.manifest(domain, repository, digest.as_str()).await,
            Kind::Blob => self.registries.blob(domain, repository, digest, MAX_DOCUMENT_BYTES).await,
        };
        let bytes = bytes.map_err(failed_registry)?;
        check_digest(&bytes, digest).map_err(|error| Failure::Other(error.to_string()))?;
        self.known.borrow_mut().insert(digest.clone(), bytes.clone());
        Ok(bytes)
    }
}

impl Registries for Online<'_> {
    async fn digest(&self, image: &ImageRef, _: &BTreeSet<Arch>, _: Try) -> Result<Digest, Failure> {
        let tag = image.tag().unwrap_or("latest");
        let bytes = self.registries.manifest(image.domain(), image.path(), tag).await;
        let bytes = bytes.map_err(failed_registry)?;
        let digest = Digest::of(&bytes);
        self.known.borrow_mut().insert(digest.clone(), bytes);
        Ok(digest)
    }

    async fn document(&self, image: &Wanted, document: &Missing, _: Try) -> Result<Vec<u8>, Failure> {
        self.read(&image.reference, &document.digest, document.kind).await
    }
}

impl Resolver for Online<'_> {
    async fn image(&self, image: &ImageRef, platform: &Platform) -> Result<BaseImage, String> {
        let arch = platform.arch().ok_or_else(|| format!("{platform} is not a supported platform of a base image"))?;
        let resolved = self.run().image(image, &BTreeSet::from([arch])).await.map_err(|why| match why {
            Why::Asked(tried) => tries(image, &tried).trim_start_matches([':', ' ']).to_owned(),
            Why::Answered(unresolved) => format!("it {unresolved}"),
        })?;
        let held = resolved.manifests().first().ok_or("it has no manifest")?;
        let config = self.config(image, &held.manifest.config.digest).await?;
        Ok(BaseImage { platform: platform.clone(), reference: image.pinned(&resolved.top().digest), config })
    }
}

impl Online<'_> {
    /// The bytes of a config, from the first place that has it. The error is a sentence.
    async fn config(&self, image: &ImageRef, digest: &Digest) -> Result<Vec<u8>, String> {
        let places = self.spec.mirrors.images(image);
        let ask = async |tried: Try| self.read(&places[tried.at], digest, Kind::Blob).await;
        match fetch::try_places(&self.limits.retry, &self.throttle, &places, ask).await {
            Ok((_, config)) => Ok(config),
            Err(tried) => Err(tried.last().map(|(_, failure)| failure.to_string()).unwrap_or_default()),
        }
    }
}

/// Files, as they are read.
struct Files<'a> {
    world: &'a Online<'a>,
    artifacts: &'a Artifacts,
    read: RefCell<BTreeMap<ArtifactId, Fetched>>,
}

impl Fetcher for Files<'_> {
    async fn fetch(&self, attempt: &Attempt, _: bool) -> Result<Option<u64>, Failure> {
        let url = attempt.source.as_str().parse::<Url>().map_err(|error| Failure::Other(error.to_string()))?;
        let mut response = self.world.send(&attempt.source, &url).await?;
        let mut hasher = Hasher::default();
        let read = web::each_part(&mut response, |part| {
            hasher.update(part);
            self.world.watch.bytes(part.len() as u64);
            Ok(())
        });
        read.await.map_err(failed)?;
        let (sha256, bytes) = hasher.finish();
        match &self.artifacts[attempt.artifact].pin {
            Some(pin) if *pin != sha256 => {
                Err(Failure::Mismatch { got: sha256.to_string(), expected: pin.to_string() })
            }
            _ => {
                self.world.watch.done();
                let (artifact, source) = (attempt.artifact, attempt.source.clone());
                self.read.borrow_mut().insert(artifact, Fetched { artifact, source, sha256, bytes });
                Ok(Some(bytes))
            }
        }
    }
}

fn failed(failure: web::Failure) -> Failure {
    match failure {
        web::Failure::Status { status, after: Some(after) } if is_transient_status(status) => {
            Failure::Busy { status, after }
        }
        web::Failure::Status { status, .. } => Failure::Status(status),
        web::Failure::Unreachable(why) => Failure::Unreachable(why),
        web::Failure::Connection(why) => Failure::Connection(why),
        web::Failure::Untrusted(why) | web::Failure::Other(why) => Failure::Other(why),
        web::Failure::Plain => Failure::Other(web::Failure::Plain.to_string()),
    }
}

fn failed_registry(failure: registry::Failure) -> Failure {
    match failure {
        registry::Failure::Web(failure) => failed(failure),
        refused => Failure::Other(refused.to_string()),
    }
}

#[cfg(test)]
mod tests;
