//! A BuildKit of tests: serves the gateway's protocol in memory, from tables. Does not build anything.
//!
//! ```
//! # use buildkit::gateway::{BuildContext, BuildResult, Client, Error, Options};
//! # use buildkit::testing::Fake;
//! async fn frontend(client: Client, options: Options) -> Result<BuildResult, Error> {
//!     let file = BuildContext::new(&client, &options).await?.read_dockerfile("hello.yaml").await?;
//!     Err(Error::new(format!("{} has {} bytes", file.name, file.bytes.len())))
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let fake = Fake::new().local("dockerfile", "hello.yaml", "name: world");
//! let error = fake.run(frontend).await.expect_err("it does nothing else");
//! assert_eq!(error.message(), "hello.yaml has 11 bytes");
//! assert!(fake.log().starts_with("solve [internal] load build definition from hello.yaml"));
//! # });
//! ```

mod graph;
mod server;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::frontend::llb_bridge_server::LlbBridgeServer;
use bollard_buildkit_proto::pb;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};

use crate::gateway::capability::ALL;
use crate::gateway::{BuildResult, Client, Error, MAX_MESSAGE, Options, ResolvedImage, Warning, Watched, serve};
use crate::llb::Graph;

pub use graph::{Solve, Source, Vertex};

/// A warning that the client was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shown {
    /// The digest of the vertex that it is shown with.
    pub vertex: String,
    /// The warning, with the lines of one file.
    pub warning: Warning,
}

/// The files of a result, by path without a leading slash.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What a source gives when it is asked.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A file (`http`), named as the source says, or `context`.
    Bytes(Vec<u8>),
    /// Files (`git`).
    Files(Files),
    /// An error of that message, with the vertex and its lines as details.
    Fails(String),
}

impl Answer {
    /// A file of these bytes.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bytes(bytes.into())
    }

    /// An error of that message.
    pub fn fails(message: &str) -> Self {
        Self::Fails(message.to_owned())
    }
}

/// What a build ended with.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Returned {
    /// Keys of the references, and what they stand for; the key of a single one is empty.
    pub references: BTreeMap<String, Option<Solve>>,
    /// Metadata, by key.
    pub metadata: BTreeMap<String, Vec<u8>>,
}

impl Returned {
    /// Metadata as text.
    pub fn text(&self, key: &str) -> String {
        self.metadata.get(key).map_or_else(String::new, |value| String::from_utf8_lossy(value).into_owned())
    }
}

/// The fake daemon. Clones are the same one.
#[derive(Clone, Default)]
pub struct Fake {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    capabilities: BTreeMap<String, bool>,
    options: Vec<(String, String)>,
    locals: BTreeMap<String, Files>,
    answers: HashMap<String, Vec<Answer>>,
    asked: HashMap<String, usize>,
    images: HashMap<String, Result<ResolvedImage, String>>,
    inputs: HashMap<String, pb::Definition>,
    delay: Duration,
    /// What a vertex gave: a failed one stays failed within a build.
    vertices: HashMap<String, Result<Files, Error>>,
    /// The vertex of each cache key that is known before it is done, and whether it ignores the cache.
    edges: HashMap<String, (String, bool)>,
    references: Vec<Solve>,
    solves: Vec<Solve>,
    running: usize,
    most_running: usize,
    warnings: Vec<Shown>,
    returned: Option<Result<Returned, Error>>,
    returns: usize,
    log: Vec<String>,
}

impl Fake {
    /// A daemon that can do all that the newest BuildKit can, and has nothing.
    pub fn new() -> Self {
        let fake = Self::default();
        fake.state().capabilities = ALL.iter().map(|id| ((*id).to_owned(), true)).collect();
        fake
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(self, change: impl FnOnce(&mut State)) -> Self {
        change(&mut self.state());
        self
    }

    /// A daemon without a capability.
    #[must_use]
    pub fn without(self, id: &str) -> Self {
        self.with(|state| _ = state.capabilities.remove(id))
    }

    /// An option of the client: `("target", "files")`.
    #[must_use]
    pub fn option(self, key: &str, value: &str) -> Self {
        self.with(|state| state.options.push((key.to_owned(), value.to_owned())))
    }

    /// A file of a directory that the client offers (`context`, `dockerfile`).
    #[must_use]
    pub fn local(self, name: &str, path: &str, text: impl Into<Vec<u8>>) -> Self {
        let text = text.into();
        self.with(|state| _ = state.locals.entry(name.to_owned()).or_default().insert(path.to_owned(), text))
    }

    /// What a URL answers: the first time, the second time, …; the last answer stands for all later ones.
    #[must_use]
    pub fn http(self, url: &str, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.with(|state| _ = state.answers.insert(url.to_owned(), answers.into_iter().collect()))
    }

    /// Whether it has an answer for a URL.
    pub fn knows(&self, url: &str) -> bool {
        self.state().answers.contains_key(url)
    }

    /// The files of a git source, by its identifier without `git://`.
    #[must_use]
    pub fn git(self, identifier: &str, files: impl IntoIterator<Item = (&'static str, &'static str)>) -> Self {
        let files = files.into_iter().map(|(path, text)| (path.to_owned(), text.into())).collect();
        let key = format!("git://{identifier}");
        self.with(|state| _ = state.answers.insert(key, vec![Answer::Files(files)]))
    }

    /// An image: its digest is that of its reference.
    #[must_use]
    pub fn image(self, reference: &str, config: &str) -> Self {
        let image = ResolvedImage {
            reference: reference.to_owned(),
            digest: graph::digest(reference.as_bytes()),
            config: config.into(),
        };
        self.with(|state| _ = state.images.insert(reference.to_owned(), Ok(image)))
    }

    /// An image that cannot be resolved.
    #[must_use]
    pub fn image_fails(self, reference: &str, message: &str) -> Self {
        self.with(|state| _ = state.images.insert(reference.to_owned(), Err(message.to_owned())))
    }

    /// A graph that the client hands over.
    #[must_use]
    pub fn input(self, name: &str, graph: Graph) -> Self {
        self.with(|state| _ = state.inputs.insert(name.to_owned(), graph.0))
    }

    /// How long each evaluated solve takes (of tokio's clock, which a test may pause).
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        self.with(|state| state.delay = delay)
    }

    /// The options that the client sends, as a frontend reads them.
    pub fn options(&self) -> Options {
        let workers =
            r#"[{"platforms":[{"architecture":"amd64","os":"linux"}],"buildkitVersion":{"version":"v0.32.0"}}]"#;
        let state = self.state();
        let options = state.options.iter().enumerate();
        let options = options.map(|(n, (key, value))| (format!("BUILDKIT_FRONTEND_OPT_{n}"), format!("{key}={value}")));
        let environment = [("BUILDKIT_SESSION_ID", "session"), ("BUILDKIT_WORKERS", workers)];
        Options::from_env(options.chain(environment.map(|(name, value)| (name.to_owned(), value.to_owned()))))
    }

    /// Serves a new connection, and gives its other end.
    pub fn listen(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        self.serve(ours);
        theirs
    }

    /// Serves a connection until it ends, or the runtime does.
    pub fn serve<C>(&self, connection: C)
    where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = LlbBridgeServer::new(server::Bridge(self.clone()))
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        let incoming = futures_util::stream::iter([Ok::<_, std::io::Error>(Watched::new(connection).0)]);
        tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    }

    /// A client of this daemon.
    pub async fn connect(&self) -> Client {
        Client::connect(self.listen()).await.expect("the fake answers")
    }

    /// Runs a frontend to its end.
    pub async fn run<F>(&self, frontend: F) -> Result<Returned, Error>
    where
        F: AsyncFnOnce(Client, Options) -> Result<BuildResult, Error>,
    {
        let bug = |message: &str| format!("this is a bug: {message}");
        serve(self.listen(), self.options(), bug, frontend).await?;
        assert_eq!(self.state().returns, 1, "a frontend returns exactly once");
        self.returned().expect("the frontend returned")
    }

    /// What a frontend has returned, if it has.
    pub fn returned(&self) -> Option<Result<Returned, Error>> {
        self.state().returned.clone()
    }

    /// Every request so far, one line each.
    pub fn log(&self) -> String {
        self.state().log.join("\n")
    }

    /// The solves so far.
    pub fn solves(&self) -> Vec<Solve> {
        self.state().solves.clone()
    }

    /// How often a source (a URL, or `git://…`) was asked.
    pub fn asked(&self, source: &str) -> usize {
        self.state().asked.get(source).copied().unwrap_or_default()
    }

    /// The most solves that were under way at once.
    pub fn most_running(&self) -> usize {
        self.state().most_running
    }

    /// The warnings so far.
    pub fn warnings(&self) -> Vec<Shown> {
        self.state().warnings.clone()
    }
}

#[cfg(test)]
mod tests;
