//! The connection to BuildKit, and its requests as methods. Does not know what is built.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::frontend as proto;
use bollard_buildkit_proto::moby::buildkit::v1::frontend::llb_bridge_client::LlbBridgeClient;
use bollard_buildkit_proto::pb;
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};

use super::watched::Watched;
use super::{
    BuildResult, Capabilities, Error, Platform, Reference, ResolveMode, SolveRequest, SourceMetadata, Warning,
    capability,
};
use crate::llb::{self, Digest, Graph};

/// The largest message (bytes) that either side takes: what BuildKit's server is set to (containerd's
/// `defaults.DefaultMaxRecvMsgSize`).
pub const MAX_MESSAGE: usize = 16 << 20;

/// The largest set of headers (bytes) that we take. An error's details travel in them, each with a whole file of the
/// user's; BuildKit resets the request where they are larger than what its peer announced, and hyper's default is
/// 16 KiB. This is grpc-go's own.
const MAX_HEADERS: u32 = 16 << 20;

/// How long the first answer may take (what Go's client allows).
const FIRST_ANSWER: Duration = Duration::from_secs(15);
/// How long the end of the connection may take.
const LAST_BYTE: Duration = Duration::from_secs(2);

/// A connection to BuildKit. Cheap to clone; any number of requests may be under way at once.
#[derive(Clone)]
pub struct Client {
    pub(super) bridge: LlbBridgeClient<Channel>,
    shared: Arc<Shared>,
}

struct Shared {
    capabilities: Capabilities,
    returned: AtomicBool,
    /// Fires when the connection is gone.
    closed: Mutex<Option<oneshot::Receiver<()>>>,
}

/// What a name of an image stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedImage {
    /// The name as BuildKit will fetch it: the one asked for, unless a policy of the daemon changed it.
    pub reference: String,
    /// The digest of the index or manifest.
    pub digest: String,
    /// The OCI image configuration of the platform, as it is in the registry.
    pub config: Vec<u8>,
}

impl ResolvedImage {
    /// The name with its digest.
    pub fn pinned(&self) -> String {
        if self.digest.is_empty() || self.reference.contains('@') {
            self.reference.clone()
        } else {
            format!("{}@{}", self.reference, self.digest)
        }
    }
}

impl Client {
    /// Speaks gRPC as the client of whoever is at the other end of `io`, and asks what the daemon can do.
    pub async fn connect<I>(io: I) -> Result<Self, Error>
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (io, closed) = Watched::new(io);
        let io = Arc::new(Mutex::new(Some(TokioIo::new(io))));
        // There is one connection and no name to dial again.
        let connector = tower::service_fn(move |_| {
            let io = io.lock().unwrap_or_else(PoisonError::into_inner).take();
            std::future::ready(io.ok_or_else(|| std::io::Error::other("BuildKit closed the connection")))
        });
        let channel = Endpoint::from_static("http://localhost")
            .http2_max_header_list_size(MAX_HEADERS)
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .connect_with_connector(connector)
            .await
            .map_err(|error| {
                Error::from_status(&tonic::Status::from_error(Box::new(error))).context("cannot reach BuildKit")
            })?;
        let mut bridge =
            LlbBridgeClient::new(channel).max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE);
        let pong = timeout(FIRST_ANSWER, bridge.ping(proto::PingRequest {}))
            .await
            .map_err(|_| Error::new("BuildKit did not answer"))?
            .map_err(|status| Error::from_status(&status).context("cannot reach BuildKit"))?
            .into_inner();
        let capabilities = Capabilities::of(pong.frontend_api_caps.into_iter().chain(pong.llb_caps));
        let closed = Mutex::new(Some(closed));
        Ok(Self { bridge, shared: Arc::new(Shared { capabilities, returned: AtomicBool::new(false), closed }) })
    }

    /// What the daemon can do.
    pub fn capabilities(&self) -> &Capabilities {
        &self.shared.capabilities
    }

    /// Solves a graph, or runs another frontend. Without [`SolveRequest::evaluate`] nothing needs to have been done
    /// yet when the answer comes.
    pub async fn solve(&self, request: SolveRequest) -> Result<BuildResult, Error> {
        let request = request.into_proto();
        fits(&request, "the definition")?;
        let response =
            self.bridge.clone().solve(request).await.map_err(|status| Error::from_status(&status))?.into_inner();
        BuildResult::from_proto(self, response.result.unwrap_or_default())
    }

    /// Solves `state` and gives its reference.
    pub async fn solve_state(&self, state: &llb::State) -> Result<Reference, Error> {
        let result = self.solve(SolveRequest::new(&state.marshal())).await?;
        result.reference.ok_or_else(|| Error::new("BuildKit returned no result"))
    }

    /// The graphs that the client hands to the frontend by name; none where the daemon knows no inputs.
    pub async fn inputs(&self) -> Result<BTreeMap<String, Graph>, Error> {
        if !self.capabilities().supports(capability::FRONTEND_INPUTS) {
            return Ok(BTreeMap::new());
        }
        let answer = self.bridge.clone().inputs(proto::InputsRequest {}).await;
        let definitions = answer.map_err(|status| Error::from_status(&status))?.into_inner().definitions;
        Ok(definitions.into_iter().map(|(name, definition)| (name, Graph(definition))).collect())
    }

    /// Asks for the digest and the configuration of an image. `reference` is a full name
    /// (`docker.io/library/nginx:1.27-alpine`); `name` is what the progress shows.
    pub async fn resolve_image_config(
        &self,
        reference: &str,
        platform: Option<&Platform>,
        mode: ResolveMode,
        name: &str,
    ) -> Result<ResolvedImage, Error> {
        if !self.capabilities().supports(capability::SOURCE_META_RESOLVER) {
            let request = proto::ResolveImageConfigRequest {
                r#ref: reference.to_owned(),
                platform: platform.map(Platform::to_pb),
                resolve_mode: mode.as_str().to_owned(),
                log_name: name.to_owned(),
                ..Default::default()
            };
            let response = self
                .bridge
                .clone()
                .resolve_image_config(request)
                .await
                .map_err(|status| Error::from_status(&status))?
                .into_inner();
            let reference = if response.r#ref.is_empty() { reference.to_owned() } else { response.r#ref };
            return Ok(ResolvedImage { reference, digest: response.digest, config: response.config });
        }
        let source = pb::SourceOp { identifier: format!("docker-image://{reference}"), ..Default::default() };
        self.resolve_image_source(source, platform, mode, name).await
    }

    /// [`Self::resolve_image_config`] of an OCI layout that the client offers in its session as `store`.
    pub async fn resolve_oci_layout(
        &self,
        reference: &str,
        (session, store): (&str, &str),
        platform: Option<&Platform>,
        name: &str,
    ) -> Result<ResolvedImage, Error> {
        let attrs = [("oci.session", session), ("oci.store", store)];
        let source = pb::SourceOp {
            identifier: format!("oci-layout://{reference}"),
            attrs: attrs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        };
        self.resolve_image_source(source, platform, ResolveMode::Default, name).await
    }

    async fn resolve_image_source(
        &self,
        source: pb::SourceOp,
        platform: Option<&Platform>,
        mode: ResolveMode,
        name: &str,
    ) -> Result<ResolvedImage, Error> {
        let asked = source.identifier.clone();
        let request = proto::ResolveSourceMetaRequest {
            source: Some(source),
            platform: platform.map(Platform::to_pb),
            log_name: name.to_owned(),
            resolve_mode: mode.as_str().to_owned(),
            // With `no_config` the digest is empty too.
            image: Some(proto::ResolveSourceImageRequest::default()),
            ..Default::default()
        };
        let response = self
            .bridge
            .clone()
            .resolve_source_meta(request)
            .await
            .map_err(|status| Error::from_status(&status))?
            .into_inner();
        let identifier = response.source.map_or_else(|| asked.clone(), |source| source.identifier);
        let Some(image) = response.image else {
            return Err(Error::new(format!("{asked} is not an image: a source policy changed it to {identifier}")));
        };
        let reference = identifier.split_once("://").map_or(identifier.as_str(), |(_, rest)| rest).to_owned();
        Ok(ResolvedImage { reference, digest: image.digest, config: image.config })
    }

    /// Asks what is known of a source (the first op of `state`) before it is fetched: the commit of a git reference,
    /// the checksum of a URL. With a checksum of its own, an `http` source is not asked at all.
    pub async fn resolve_source_meta(&self, state: &llb::State, name: &str) -> Result<SourceMetadata, Error> {
        self.capabilities().require("asking for a source's metadata", [capability::SOURCE_META_RESOLVER], None)?;
        let definition = state.marshal();
        let op = definition.ops().next().and_then(|(_, bytes)| pb::Op::decode(bytes).ok()).and_then(|op| op.op);
        let Some(pb::op::Op::Source(source)) = op else {
            return Err(Error::new("only a source has metadata"));
        };
        let request =
            proto::ResolveSourceMetaRequest { source: Some(source), log_name: name.to_owned(), ..Default::default() };
        let answer = self.bridge.clone().resolve_source_meta(request).await;
        Ok(answer.map_err(|status| Error::from_status(&status))?.into_inner().into())
    }

    /// Shows a line in the progress, as a step that does nothing: a directory of the client has no metadata to ask for.
    /// Older daemons show none.
    pub async fn note(&self, line: &str) -> Result<(), Error> {
        if self.capabilities().supports(capability::SOURCE_META_RESOLVER) {
            // A step is known by its source: two lines with one source would be one step, with one of the names.
            let name: String = line.chars().filter(char::is_ascii_alphanumeric).collect();
            self.resolve_source_meta(&llb::Local::new(&format!("note-{name}")).state(), line).await?;
        }
        Ok(())
    }

    /// Shows a warning of the vertex `digest`, which must have been solved. Older daemons show none.
    pub async fn warn(&self, digest: &Digest, warning: Warning) -> Result<(), Error> {
        if self.capabilities().supports(capability::WARNINGS) {
            self.bridge.clone().warn(warning.into_proto(digest)).await.map_err(|status| Error::from_status(&status))?;
        }
        Ok(())
    }

    /// Ends the build with a result. Where this fails, an error can still be returned.
    pub async fn return_result(&self, result: BuildResult) -> Result<(), Error> {
        let request = proto::ReturnRequest { result: Some(result.into_proto()), error: None };
        self.give_back(request).await
    }

    /// Ends the build with an error.
    pub async fn return_error(&self, error: &Error) -> Result<(), Error> {
        let mut request = proto::ReturnRequest { result: None, error: Some(error.to_rpc()) };
        if let (Err(_), Some(error)) = (fits(&request, "the error"), &mut request.error) {
            error.details.clear();
            error.message = error.message.chars().take(MAX_MESSAGE / 8).collect();
        }
        self.give_back(request).await
    }

    async fn give_back(&self, request: proto::ReturnRequest) -> Result<(), Error> {
        if self.shared.returned.load(Ordering::SeqCst) {
            return Err(Error::new("the build has already ended"));
        }
        fits(&request, "the result")?;
        self.bridge.clone().r#return(request).await.map_err(|status| Error::from_status(&status))?;
        self.shared.returned.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Closes the connection once all else that uses it is dropped, and waits until the last byte is written, but not
    /// for ever.
    pub async fn close(self) {
        let closed = self.shared.closed.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(self);
        if let Some(closed) = closed {
            let _ = timeout(LAST_BYTE, closed).await;
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// Reports a message that is too large before it is sent, in words that a user understands.
fn fits(message: &impl Message, what: &str) -> Result<(), Error> {
    let size = message.encoded_len();
    if size <= MAX_MESSAGE {
        return Ok(());
    }
    let (size, most) = (size.div_ceil(1 << 20), MAX_MESSAGE >> 20);
    Err(Error::new(format!("{what} has {size} MiB, but BuildKit accepts at most {most} MiB")))
}
