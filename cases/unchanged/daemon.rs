//! A BuildKit for the record: serves the gateway's protocol to the frontend as a process, gives every source what the world
//! has, and keeps the graphs. Makes no copies and no merges. On its own, so that it stays as it is while the crate's own fake
//! daemon moves.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::result::Result as StdResult;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bollard_buildkit_proto::fsutil::types::Stat;
use bollard_buildkit_proto::moby::buildkit::v1::apicaps::ApiCap;
use bollard_buildkit_proto::moby::buildkit::v1::frontend::llb_bridge_server::{LlbBridge, LlbBridgeServer};
#[allow(clippy::wildcard_imports, reason = "the requests and answers of the protocol")]
use bollard_buildkit_proto::moby::buildkit::v1::frontend::{self as proto, *};
use bollard_buildkit_proto::pb;
use prost::Message as _;
use tonic::codegen::{BoxStream, async_trait};
use tonic::{Code, Request, Response, Status, Streaming};

use super::graph::head;
use super::world::{World, digest};

/// What BuildKit of today can do, as far as it matters.
const CAPABILITIES: [&str; 18] = [
    "gateway.solve.evaluate",
    "frontend.inputs",
    "gateway.warnings",
    "source.metaresolver",
    "proto.refarray",
    "statfile",
    "source.http.checksum",
    "source.http.perm",
    "source.http.auth",
    "source.http.header",
    "source.imageblob",
    "source.ocilayout",
    "mergeop",
    "diffop",
    "file.base",
    "file.symlink.create",
    "reference.attestations",
    "exporter.sourcedateepoch",
];

/// The image that the frontend comes from, where it is told.
const FRONTEND: &str = "docker-image://ghcr.io/org/kso-frontend:1@sha256:\
                        1111111111111111111111111111111111111111111111111111111111111111";

/// A build that is to be run.
pub(crate) struct Build<'a> {
    /// The definition's directory, which is the build context too.
    pub(crate) directory: &'a Path,
    /// What the client sends: `("target", "files")`.
    pub(crate) options: Vec<(String, String)>,
    /// Whether the frontend finds the image that it comes from, and so may run kso in steps. Needs root.
    pub(crate) runs: bool,
}

/// What a build ended with.
pub(crate) struct Built {
    /// The graph of each platform, or BuildKit's error.
    pub(crate) result: StdResult<BTreeMap<String, pb::Definition>, String>,
    /// What was to be done before the result: the line of each vertex, sorted.
    pub(crate) asked: BTreeSet<String>,
}

impl Build<'_> {
    /// Runs the frontend to its end.
    pub(crate) fn run(&self, world: &mut World) -> Built {
        let state = State { world: std::mem::take(world), directory: self.directory.to_owned(), ..State::default() };
        let daemon = Daemon(Arc::new(Mutex::new(state)));
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mut child = self.command(folder.path());
        child.stdin(OwnedFd::from(theirs.try_clone().expect("a socket"))).stdout(OwnedFd::from(theirs));
        let child = child.stderr(Stdio::piped()).spawn().expect("the frontend starts");
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let serving = daemon.clone();
        let server = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                ours.set_nonblocking(true).expect("a socket");
                let connection = tokio::net::UnixStream::from_std(ours).expect("a socket");
                let service = LlbBridgeServer::new(serving)
                    .max_decoding_message_size(16 << 20)
                    .max_encoding_message_size(16 << 20);
                let incoming = futures_util::stream::iter([Ok::<_, std::io::Error>(connection)]);
                tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
                let _ = ended.await;
            });
        });
        let output = child.wait_with_output().expect("the frontend ends");
        drop(end);
        server.join().expect("the daemon ends");
        let mut state = daemon.state();
        *world = std::mem::take(&mut state.world);
        let returned = state.returned.take();
        let said = || format!("the frontend returned nothing: {}", String::from_utf8_lossy(&output.stderr));
        Built { result: returned.unwrap_or_else(|| panic!("{}", said())), asked: std::mem::take(&mut state.asked) }
    }

    /// The frontend as BuildKit starts it. What it is called is a part of graphs, so it is called the same everywhere.
    fn command(&self, folder: &Path) -> Command {
        let program = env!("CARGO_BIN_EXE_kso");
        let mut command = if self.runs {
            let origin = folder.join("frontend.bin");
            fs::write(&origin, frontend().encode_to_vec()).expect("a file");
            let script = "mount -t tmpfs none /run && mkdir -p /run/config/buildkit/metadata && \
                          cp \"$1\" /run/config/buildkit/metadata/ && ln -s \"$2\" /run/kso && exec /run/kso";
            let mut command = Command::new("unshare");
            command.args(["--mount", "sh", "-c", script, "sh"]).arg(origin).arg(program);
            command
        } else {
            Command::new(program)
        };
        let workers =
            r#"[{"platforms":[{"architecture":"amd64","os":"linux"}],"buildkitVersion":{"version":"v0.32.0"}}]"#;
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin");
        command.env("BUILDKIT_SESSION_ID", "session").env("BUILDKIT_WORKERS", workers);
        for (at, (key, value)) in self.options.iter().enumerate() {
            command.env(format!("BUILDKIT_FRONTEND_OPT_{at}"), format!("{key}={value}"));
        }
        command
    }
}

/// The graph of the frontend's own image.
fn frontend() -> pb::Definition {
    let platform = pb::Platform { os: "linux".into(), architecture: "amd64".into(), ..pb::Platform::default() };
    let source = pb::SourceOp { identifier: FRONTEND.into(), ..pb::SourceOp::default() };
    let image = pb::Op { op: Some(pb::op::Op::Source(source)), platform: Some(platform), ..pb::Op::default() };
    let image = image.encode_to_vec();
    let input = pb::Input { digest: digest(&image), index: 0 };
    let result = pb::Op { inputs: vec![input], ..pb::Op::default() }.encode_to_vec();
    pb::Definition { def: vec![image, result], ..pb::Definition::default() }
}

/// The files of a result, by path without a leading slash.
type Files = BTreeMap<String, Vec<u8>>;

/// What a vertex gives: files, or an error's message.
type Given = StdResult<Arc<Files>, String>;

#[derive(Default)]
struct State {
    world: World,
    directory: PathBuf,
    /// What a vertex gave, by its digest and whether it ignores the cache: a failed one stays failed within a build.
    vertices: HashMap<(String, bool), Given>,
    /// The graphs that were handed over, and what those gave that were done.
    references: Vec<(pb::Definition, Option<Given>)>,
    asked: BTreeSet<String>,
    returned: Option<StdResult<BTreeMap<String, pb::Definition>, String>>,
}

impl State {
    /// Does every source and program of a graph, and gives the files of the result.
    fn evaluate(&mut self, graph: &pb::Definition) -> Given {
        let mut last = Arc::default();
        for bytes in &graph.def {
            let op = pb::Op::decode(bytes.as_slice()).map_err(|error| error.to_string())?;
            let digest = digest(bytes);
            let ignores = graph.metadata.get(&digest).is_some_and(|metadata| metadata.ignore_cache);
            let key = (digest, ignores);
            let given = match (&op.op, self.vertices.get(&key)) {
                (_, Some(known)) => known.clone(),
                (Some(pb::op::Op::Source(source)), None) => self.source(source).map(Arc::new),
                (Some(pb::op::Op::Exec(exec)), None) => Ok(Arc::new(self.program(exec))),
                (Some(_), None) => Ok(Arc::default()),
                // The op that only names the result.
                (None, None) => continue,
            };
            self.vertices.insert(key, given.clone());
            last = given.map_err(|message| format!("failed to load cache key: {message}"))?;
        }
        Ok(last)
    }

    fn source(&mut self, source: &pb::SourceOp) -> StdResult<Files, String> {
        let (scheme, rest) = source.identifier.split_once("://").unwrap_or_default();
        let bytes = match scheme {
            "local" => {
                let own = self.directory.join(rest);
                return Ok(files(if own.is_dir() { &own } else { &self.directory }));
            }
            "docker-image" | "oci-layout" => return Ok(Files::new()),
            "docker-image+blob" | "oci-layout+blob" => self.world.blob(&source.identifier)?,
            "http" | "https" => self.world.http(&source.identifier)?,
            _ => return Err(format!("{}: not found", source.identifier)),
        };
        // A checksum that is not that of a server's document is taken at its word: what a definition pins, nobody has here.
        let pinned =
            source.attrs.get("http.checksum").filter(|_| rest.contains("/v2/") && rest.contains("/manifests/"));
        if let Some(pinned) = pinned.filter(|pinned| **pinned != digest(&bytes)) {
            return Err(format!("digest mismatch {}: {pinned}", digest(&bytes)));
        }
        let name = source.attrs.get("http.filename").map_or("index", String::as_str);
        Ok(Files::from([(name.to_owned(), bytes)]))
    }

    /// What a step leaves behind: a layer is nothing, since nobody reads it.
    fn program(&mut self, exec: &pb::ExecOp) -> Files {
        let args = exec.meta.as_ref().map(|meta| meta.args.as_slice()).unwrap_or_default();
        match args {
            [_, step, .., image, _] if step == "manifests" => self.world.manifests(image),
            _ => Files::new(),
        }
    }

    fn read(&mut self, reference: &str) -> StdResult<Arc<Files>, Status> {
        let at: usize = reference.parse().map_err(|_| unknown("no such reference"))?;
        let (graph, given) = self.references.get(at).cloned().ok_or_else(|| unknown("no such reference"))?;
        let given = given.unwrap_or_else(|| self.evaluate(&graph));
        self.references[at].1 = Some(given.clone());
        given.map_err(unknown)
    }
}

/// The regular files below a directory.
fn files(root: &Path) -> Files {
    fn walk(root: &Path, directory: &Path, found: &mut Files) {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(root, &path, found);
            } else if let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str) {
                found.insert(name.to_owned(), fs::read(&path).unwrap_or_default());
            }
        }
    }
    let mut found = Files::new();
    walk(root, root, &mut found);
    found
}

#[derive(Clone)]
struct Daemon(Arc<Mutex<State>>);

impl Daemon {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unknown(message: impl Into<String>) -> Status {
    Status::new(Code::Unknown, message)
}

/// A path without what does not count: `./a//b` is `a/b`.
fn clean(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}

fn stat(files: &Files, path: &str) -> Option<Stat> {
    let path = clean(path);
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    if let Some(bytes) = files.get(&path) {
        let size = i64::try_from(bytes.len()).expect("a size");
        return Some(Stat { path: name, mode: 0o644, size, ..Stat::default() });
    }
    let below = if path.is_empty() { path } else { format!("{path}/") };
    files.keys().any(|path| path.starts_with(&below)).then(|| Stat {
        path: name,
        mode: 1 << 31 | 0o755,
        ..Stat::default()
    })
}

type Reply<T> = StdResult<Response<T>, Status>;

#[async_trait]
impl LlbBridge for Daemon {
    async fn ping(&self, _: Request<PingRequest>) -> Reply<PongResponse> {
        let caps = CAPABILITIES.map(|id| ApiCap { id: id.to_owned(), enabled: true, ..ApiCap::default() });
        Ok(Response::new(PongResponse { llb_caps: caps.into(), ..PongResponse::default() }))
    }

    async fn solve(&self, request: Request<SolveRequest>) -> Reply<SolveResponse> {
        let request = request.into_inner();
        let graph = request.definition.unwrap_or_default();
        let mut state = self.state();
        let mut given = None;
        if request.evaluate {
            let head = head(&graph).filter(|line| !line.contains("local://"));
            state.asked.extend(head);
            given = Some(Ok(state.evaluate(&graph).map_err(unknown)?));
        }
        let id = state.references.len().to_string();
        state.references.push((graph.clone(), given));
        let result = result::Result::Ref(Ref { id, def: Some(graph) });
        let result = Some(proto::Result { result: Some(result), ..Default::default() });
        Ok(Response::new(SolveResponse { result, ..SolveResponse::default() }))
    }

    async fn evaluate(&self, request: Request<EvaluateRequest>) -> Reply<EvaluateResponse> {
        self.state().read(&request.into_inner().r#ref)?;
        Ok(Response::new(EvaluateResponse {}))
    }

    async fn read_file(&self, request: Request<ReadFileRequest>) -> Reply<ReadFileResponse> {
        let request = request.into_inner();
        let files = self.state().read(&request.r#ref)?;
        let path = request.file_path;
        let bytes =
            files.get(&clean(&path)).ok_or_else(|| unknown(format!("open {path}: no such file or directory")))?;
        let part = request.range.map_or(bytes.as_slice(), |range| {
            let at = |n: i64| usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len());
            &bytes[at(range.offset)..at(range.offset + range.length)]
        });
        Ok(Response::new(ReadFileResponse { data: part.to_vec() }))
    }

    async fn stat_file(&self, request: Request<StatFileRequest>) -> Reply<StatFileResponse> {
        let request = request.into_inner();
        let files = self.state().read(&request.r#ref)?;
        let found = stat(&files, &request.path);
        let stat = found.ok_or_else(|| unknown(format!("lstat {}: no such file or directory", request.path)))?;
        Ok(Response::new(StatFileResponse { stat: Some(stat) }))
    }

    async fn read_dir(&self, request: Request<ReadDirRequest>) -> Reply<ReadDirResponse> {
        let request = request.into_inner();
        let files = self.state().read(&request.r#ref)?;
        let directory = clean(&request.dir_path);
        let inside = |path: &String| {
            let below = if directory.is_empty() {
                Some(path.as_str())
            } else {
                path.strip_prefix(&directory)?.strip_prefix('/')
            };
            Some(below?.split('/').next().unwrap_or_default().to_owned())
        };
        let names: BTreeSet<String> = files.keys().filter_map(inside).collect();
        let entries = names.iter().filter_map(|name| stat(&files, &format!("{directory}/{name}"))).collect();
        Ok(Response::new(ReadDirResponse { entries }))
    }

    async fn r#return(&self, request: Request<ReturnRequest>) -> Reply<ReturnResponse> {
        let request = request.into_inner();
        let mut state = self.state();
        let returned = match (request.result.and_then(|result| result.result), request.error) {
            (None, Some(error)) => Err(error.message),
            (Some(result::Result::Ref(one)), None) => Ok(vec![(String::new(), one)]),
            (Some(result::Result::Refs(map)), None) => Ok(map.refs.into_iter().collect()),
            _ => return Err(unknown("a result of an old kind")),
        };
        let graph = |id: &str| Some(state.references.get(id.parse::<usize>().ok()?)?.0.clone());
        let graphs =
            returned.map(|refs| refs.into_iter().filter_map(|(key, one)| Some((key, graph(&one.id)?))).collect());
        state.returned = Some(graphs);
        Ok(Response::new(ReturnResponse {}))
    }

    async fn inputs(&self, _: Request<InputsRequest>) -> Reply<InputsResponse> {
        Ok(Response::new(InputsResponse::default()))
    }

    async fn resolve_image_config(&self, _: Request<ResolveImageConfigRequest>) -> Reply<ResolveImageConfigResponse> {
        Err(Status::unimplemented("the way of old"))
    }

    async fn resolve_source_meta(
        &self,
        request: Request<ResolveSourceMetaRequest>,
    ) -> Reply<ResolveSourceMetaResponse> {
        let ResolveSourceMetaRequest { source, platform, .. } = request.into_inner();
        let source = source.unwrap_or_default();
        let mut state = self.state();
        let mut answer = ResolveSourceMetaResponse::default();
        let (scheme, rest) = source.identifier.split_once("://").unwrap_or_default();
        match scheme {
            "docker-image" | "oci-layout" => {
                let arch = platform.map(|platform| platform.architecture).unwrap_or_default();
                let (digest, config) = state.world.resolve(rest, &arch).map_err(unknown)?;
                answer.image = Some(ResolveSourceImageResponse { digest, config, ..Default::default() });
            }
            "http" | "https" => {
                let checksum = match source.attrs.get("http.checksum") {
                    Some(checksum) => checksum.clone(),
                    None => digest(&state.world.http(&source.identifier).map_err(unknown)?),
                };
                answer.http = Some(ResolveSourceHttpResponse { checksum, ..Default::default() });
            }
            "git" => return Err(unknown("repository not found")),
            _ => {}
        }
        answer.source = Some(source);
        Ok(Response::new(answer))
    }

    async fn warn(&self, _: Request<WarnRequest>) -> Reply<WarnResponse> {
        Ok(Response::new(WarnResponse {}))
    }

    async fn new_container(&self, _: Request<NewContainerRequest>) -> Reply<NewContainerResponse> {
        Err(Status::unimplemented("nothing is run"))
    }

    async fn release_container(&self, _: Request<ReleaseContainerRequest>) -> Reply<ReleaseContainerResponse> {
        Err(Status::unimplemented("nothing is run"))
    }

    type ExecProcessStream = BoxStream<ExecMessage>;

    async fn exec_process(&self, _: Request<Streaming<ExecMessage>>) -> Reply<Self::ExecProcessStream> {
        Err(Status::unimplemented("nothing is run"))
    }

    async fn read_file_container(&self, _: Request<ReadFileRequest>) -> Reply<ReadFileResponse> {
        Err(Status::unimplemented("nothing is run"))
    }

    async fn read_dir_container(&self, _: Request<ReadDirRequest>) -> Reply<ReadDirResponse> {
        Err(Status::unimplemented("nothing is run"))
    }

    async fn stat_file_container(&self, _: Request<StatFileRequest>) -> Reply<StatFileResponse> {
        Err(Status::unimplemented("nothing is run"))
    }
}
