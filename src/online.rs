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
use crate::kind::images::resolve::{Registries, Run, Why, problem, told as tried_places};
use crate::kind::images::resolved::{Blobs, Kind, Missing, Resolved, Wanted};
use crate::lock::ask::{Fetched, World};
use crate::name::{Arch, Digest, FileUrl, Hasher, ImageRef, Platform};
use crate::oci::{MAX_DOCUMENT_BYTES, check_digest};
use crate::origin::{HeaderValue, Host};
use crate::registry::{self, Client, Credentials};
use crate::secrets::Secrets;
use crate::web::{self, Request, Url, Web};

/// How much at once. The client tries again by itself, and waits for as long as a server says; but not at a place after
/// which there is another one. Where that does not help either, all are asked once more, with patience.
const LIMITS: Limits = Limits { total: 32, per_host: 8, tries: 2, pause: std::time::Duration::ZERO };
/// The largest checksum file that is read, in bytes.
const CHECKSUM_BYTES: usize = 4 << 10;

/// Is told how it goes on.
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
    web: Web,
    /// Asks registries with patience, and without.
    clients: (Client, Client),
    watch: &'a dyn Watch,
    throttle: Throttle,
    known: RefCell<Blobs>,
}

impl World for Online<'_> {
    type Error = Infallible;

    async fn fetch(&self, artifacts: &Artifacts, sources: Sources) -> Result<(Vec<Fetched>, Vec<Lost>), Infallible> {
        let files = Files { world: self, artifacts, read: RefCell::default() };
        let lost = fetch::fetch(sources, &files, &LIMITS, true).await.err().unwrap_or_default();
        for _ in &lost {
            self.watch.done();
        }
        Ok((files.read.into_inner().into_values().collect(), lost))
    }

    async fn beside(&self, url: &FileUrl) -> Option<Vec<u8>> {
        let address: Url = url.as_str().parse().ok()?;
        let text = fetch::persist(&LIMITS, &self.throttle, std::slice::from_ref(url), async |_| {
            let authorization = self.authorization(url, &address)?;
            let request = self.request(url, &address, authorization.as_deref());
            let read = self.web.persist(async || {
                let mut response = self.web.send(request).await?;
                web::check(&response)?;
                web::body(&mut response, CHECKSUM_BYTES).await
            });
            read.await.map_err(|failure| settled(plain(failure), true))
        });
        Some(text.await.ok()?.1)
    }

    async fn resolve(&self, image: &Image) -> Result<Resolved, Diagnostic> {
        let resolved = self.run(self.spec.registry.attestations).image(&image.reference, &image.architectures).await;
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
        let clients = (Client::new(web.clone(), credentials.clone()), Client::new(web.once(), credentials.clone()));
        Self { spec, secrets, web, clients, watch, throttle: Throttle::new(&LIMITS), known: RefCell::default() }
    }

    fn run(&self, attestations: bool) -> Run<'_, Self> {
        let mirrors = &self.spec.mirrors;
        Run { registries: self, mirrors, limits: &LIMITS, throttle: &self.throttle, attestations }
    }

    /// The request for a file, with what the definition says of its server.
    fn request<'r>(&'r self, url: &FileUrl, address: &'r Url, authorization: Option<&'r str>) -> Request<'r> {
        let host = self.spec.host(url);
        let header = |name: &str| host.and_then(|host| host.headers.get(name)).map(HeaderValue::as_str);
        let (accept, user_agent) = (header("accept"), header("user-agent"));
        Request { accept, user_agent, authorization, ..Request::get(address) }
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

    /// Who asks a registry, and whether with patience.
    fn client(&self, tried: Try) -> (&Client, bool) {
        let patient = tried.last || tried.number > 0;
        (if patient { &self.clients.0 } else { &self.clients.1 }, patient)
    }

    /// The bytes of a document or a config, proved.
    async fn read(&self, image: &ImageRef, digest: &Digest, kind: Kind, tried: Try) -> Result<Vec<u8>, Failure> {
        if let Some(bytes) = self.known.borrow().get(digest) {
            return Ok(bytes.clone());
        }
        let (domain, repository) = (image.domain(), image.path());
        let (client, patient) = self.client(tried);
        let bytes = match kind {
            Kind::Manifest => client.manifest(domain, repository, digest.as_str()).await,
            Kind::Blob => client.blob(domain, repository, digest, MAX_DOCUMENT_BYTES).await,
        };
        let bytes = bytes.map_err(|failure| settled(told(failure), patient))?;
        check_digest(&bytes, digest).map_err(|error| Failure::Other(error.to_string()))?;
        self.known.borrow_mut().insert(digest.clone(), bytes.clone());
        Ok(bytes)
    }
}

impl Registries for Online<'_> {
    async fn digest(&self, image: &ImageRef, _: &BTreeSet<Arch>, tried: Try) -> Result<Digest, Failure> {
        let tag = image.tag().unwrap_or("latest");
        let (client, patient) = self.client(tried);
        let bytes = client.manifest(image.domain(), image.path(), tag).await;
        let bytes = bytes.map_err(|failure| settled(told(failure), patient))?;
        let digest = Digest::of(&bytes);
        self.known.borrow_mut().insert(digest.clone(), bytes);
        Ok(digest)
    }

    async fn document(&self, image: &Wanted, document: &Missing, tried: Try) -> Result<Vec<u8>, Failure> {
        self.read(&image.reference, &document.digest, document.kind, tried).await
    }
}

impl Resolver for Online<'_> {
    async fn image(&self, image: &ImageRef, platform: &Platform) -> Result<BaseImage, String> {
        let arch = platform.arch().ok_or_else(|| format!("{platform} is not a supported platform of a base image"))?;
        let resolved = self.run(false).image(image, &BTreeSet::from([arch])).await.map_err(|why| match why {
            Why::Asked(tried) => tried_places(image, &tried).trim_start_matches([':', ' ']).to_owned(),
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
        let ask = async |tried: Try| self.read(&places[tried.at], digest, Kind::Blob, tried).await;
        match fetch::persist(&LIMITS, &self.throttle, &places, ask).await {
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
        let authorization = self.world.authorization(&attempt.source, &url)?;
        let request = self.world.request(&attempt.source, &url, authorization.as_deref());
        let artifact = &self.artifacts[attempt.artifact];
        let last = artifact.url().and_then(|url| self.world.spec.mirrors.files(url).pop());
        let patient = attempt.number > 0 || last.as_ref() == Some(&attempt.source);
        let web = if patient { self.world.web.clone() } else { self.world.web.once() };
        let read = web.persist(async || {
            let mut response = web.send(request).await?;
            web::check(&response)?;
            let mut hasher = Hasher::default();
            web::each_part(&mut response, |part| {
                hasher.update(part);
                self.world.watch.bytes(part.len() as u64);
                Ok(())
            })
            .await?;
            Ok(hasher.finish())
        });
        let (sha256, bytes) = read.await.map_err(|failure| settled(plain(failure), patient))?;
        match &artifact.pin {
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

/// A failure that is final where there was patience already.
fn settled(failure: Failure, patient: bool) -> Failure {
    if patient && failure.is_transient() { Failure::Other(failure.to_string()) } else { failure }
}

fn plain(failure: web::Failure) -> Failure {
    match failure {
        web::Failure::Status { status, .. } => Failure::Status(status),
        web::Failure::Unreachable(why) => Failure::Unreachable(why),
        web::Failure::Connection(why) => Failure::Connection(why),
        web::Failure::Untrusted(why) | web::Failure::Other(why) => Failure::Other(why),
    }
}

fn told(failure: registry::Failure) -> Failure {
    match failure {
        registry::Failure::Web(failure) => match plain(failure) {
            Failure::Status(status) => Failure::Other(format!("the registry answered with status {status}")),
            other => other,
        },
        other => Failure::Other(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
