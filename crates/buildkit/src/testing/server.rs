//! The requests that the fake answers. Does not know what a graph gives.

use std::ops::Deref;
use std::result::Result as StdResult;
use std::sync::Arc;

use bollard_buildkit_proto::fsutil::types::Stat;
use bollard_buildkit_proto::google::rpc;
use bollard_buildkit_proto::moby::buildkit::v1::apicaps::ApiCap;
use bollard_buildkit_proto::moby::buildkit::v1::frontend::llb_bridge_server::LlbBridge;
use bollard_buildkit_proto::moby::buildkit::v1::frontend::{
    self as proto, EvaluateRequest, EvaluateResponse, ExecMessage, InputsRequest, InputsResponse, NewContainerRequest,
    NewContainerResponse, PingRequest, PongResponse, ReadDirRequest, ReadDirResponse, ReadFileRequest,
    ReadFileResponse, Ref, ReleaseContainerRequest, ReleaseContainerResponse, ResolveImageConfigRequest,
    ResolveImageConfigResponse, ResolveSourceGitResponse, ResolveSourceHttpResponse, ResolveSourceImageResponse,
    ResolveSourceMetaRequest, ResolveSourceMetaResponse, ReturnRequest, ReturnResponse, SolveRequest, SolveResponse,
    StatFileRequest, StatFileResponse, WarnRequest, WarnResponse, result,
};
use bollard_buildkit_proto::pb;
use prost::Message;
use tonic::codegen::{BoxStream, async_trait};
use tonic::transport::server::Connected;
use tonic::{Code, Request, Response, Status, Streaming};

use super::{Answer, Error, Fake, Files, Returned, Shown, Solve, graph};
use crate::gateway::{Warning, Watched, is_match};
use crate::llb::{Location, SourceFile};

type Reply<T> = StdResult<Response<T>, Status>;

fn status(error: &Error) -> Status {
    let rpc = error.to_rpc();
    let details = rpc::Status { ..rpc.clone() }.encode_to_vec();
    Status::with_details(Code::from(rpc.code), rpc.message, details.into())
}

fn unknown(message: impl Into<String>) -> Status {
    Status::new(Code::Unknown, message)
}

/// [`Fake`] as the server of the protocol, whose types are no part of its own.
pub(super) struct Bridge(pub(super) Fake);

impl Deref for Bridge {
    type Target = Fake;

    fn deref(&self) -> &Fake {
        &self.0
    }
}

/// A connection of any kind, as tonic takes it.
impl<I> Connected for Watched<I> {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl Fake {
    fn log_line(&self, line: String) {
        self.state().log.push(line);
    }

    fn reference(&self, id: &str) -> StdResult<Solve, Status> {
        let at: Option<usize> = id.strip_prefix("ref").and_then(|at| at.parse().ok());
        let solve = at.and_then(|at| self.state().references.get(at).cloned());
        solve.ok_or_else(|| unknown(format!("no such ref: {id}")))
    }

    fn files(&self, id: &str) -> StdResult<Files, Status> {
        let mut solve = self.reference(id)?;
        self.state().evaluate(&mut solve).map_err(|error| status(&error))
    }
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
    let folder = if path.is_empty() { path } else { format!("{path}/") };
    let is_folder = folder.is_empty() || files.keys().any(|path| path.starts_with(&folder));
    is_folder.then(|| Stat { path: name, mode: 1 << 31 | 0o755, ..Stat::default() })
}

#[async_trait]
impl LlbBridge for Bridge {
    async fn ping(&self, _: Request<PingRequest>) -> Reply<PongResponse> {
        let state = self.state();
        let caps = state.capabilities.iter();
        let caps = caps.map(|(id, enabled)| ApiCap { id: id.clone(), enabled: *enabled, ..ApiCap::default() });
        Ok(Response::new(PongResponse { llb_caps: caps.collect(), ..PongResponse::default() }))
    }

    async fn solve(&self, request: Request<SolveRequest>) -> Reply<SolveResponse> {
        let request = request.into_inner();
        assert!(request.allow_result_return && request.allow_result_array_ref);
        let definition = request.definition.unwrap_or_default();
        let imports = request.cache_imports.into_iter();
        let cache_imports = imports.map(|mut one| (one.r#type, one.attrs.remove("ref").unwrap_or_default())).collect();
        let mut solve = Solve::new(definition, request.evaluate, cache_imports);
        let what = if request.frontend.is_empty() { solve.names().join(", ") } else { request.frontend };
        self.log_line(format!("solve{} {what}", if solve.evaluate { " now" } else { "" }));
        let delay = {
            let mut state = self.state();
            state.solves.push(solve.clone());
            state.running += 1;
            state.most_running = state.most_running.max(state.running);
            state.delay
        };
        if solve.evaluate && !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let mut state = self.state();
        state.running -= 1;
        if solve.evaluate {
            state.evaluate(&mut solve).map_err(|error| status(&error))?;
        }
        let id = format!("ref{}", state.references.len());
        let def = Some(pb::Definition::clone(&solve.definition));
        state.references.push(solve);
        let result = result::Result::Ref(Ref { id, def });
        let result = Some(proto::Result { result: Some(result), ..Default::default() });
        Ok(Response::new(SolveResponse { result, ..SolveResponse::default() }))
    }

    async fn evaluate(&self, request: Request<EvaluateRequest>) -> Reply<EvaluateResponse> {
        self.files(&request.into_inner().r#ref)?;
        Ok(Response::new(EvaluateResponse {}))
    }

    async fn read_file(&self, request: Request<ReadFileRequest>) -> Reply<ReadFileResponse> {
        let request = request.into_inner();
        let files = self.files(&request.r#ref)?;
        let path = request.file_path;
        let bytes =
            files.get(&clean(&path)).ok_or_else(|| unknown(format!("open {path}: no such file or directory")))?;
        let part = request.range.map_or(bytes.as_slice(), |range| {
            let at = |n: i64| usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len());
            &bytes[at(range.offset)..at(range.offset + range.length)]
        });
        self.log_line(format!("read {path} ({} bytes)", part.len()));
        Ok(Response::new(ReadFileResponse { data: part.to_vec() }))
    }

    async fn stat_file(&self, request: Request<StatFileRequest>) -> Reply<StatFileResponse> {
        let request = request.into_inner();
        let found = stat(&self.files(&request.r#ref)?, &request.path);
        let stat = found.ok_or_else(|| unknown(format!("lstat {}: no such file or directory", request.path)))?;
        Ok(Response::new(StatFileResponse { stat: Some(stat) }))
    }

    async fn read_dir(&self, request: Request<ReadDirRequest>) -> Reply<ReadDirResponse> {
        let request = request.into_inner();
        let files = self.files(&request.r#ref)?;
        let folder = clean(&request.dir_path);
        let inside = |path: &String| {
            let rest = if folder.is_empty() { path.as_str() } else { path.strip_prefix(&folder)?.strip_prefix('/')? };
            Some(rest.split('/').next().unwrap_or_default().to_owned())
        };
        let wanted = |name: &String| request.include_pattern.is_empty() || is_match(&request.include_pattern, name);
        let mut names: Vec<String> = files.keys().filter_map(inside).filter(wanted).collect();
        names.dedup();
        let entries = names.iter().filter_map(|name| stat(&files, &format!("{folder}/{name}"))).collect();
        Ok(Response::new(ReadDirResponse { entries }))
    }

    async fn r#return(&self, request: Request<ReturnRequest>) -> Reply<ReturnResponse> {
        let request = request.into_inner();
        let returned = match (request.result, request.error) {
            (None, Some(error)) => {
                self.log_line(format!("return error {}", error.message));
                Err(Error::from_rpc(error))
            }
            (Some(result), None) => {
                let refs = match result.result {
                    Some(result::Result::Ref(one)) => vec![(String::new(), one)],
                    Some(result::Result::Refs(map)) => map.refs.into_iter().collect(),
                    _ => return Err(unknown("a result of an old kind")),
                };
                let mut references = std::collections::BTreeMap::new();
                for (key, one) in refs {
                    let solve = if one.id.is_empty() { None } else { Some(self.reference(&one.id)?) };
                    references.insert(key, solve);
                }
                self.log_line(format!("return result [{}]", references.keys().cloned().collect::<Vec<_>>().join(", ")));
                Ok(Returned { references, metadata: result.metadata.into_iter().collect() })
            }
            _ => return Err(unknown("gateway return must be either result or err")),
        };
        let mut state = self.state();
        state.returns += 1;
        if state.returned.replace(returned).is_some() {
            return Err(unknown("gateway result is already set"));
        }
        Ok(Response::new(ReturnResponse {}))
    }

    async fn inputs(&self, _: Request<InputsRequest>) -> Reply<InputsResponse> {
        Ok(Response::new(InputsResponse { definitions: self.state().inputs.clone() }))
    }

    async fn resolve_image_config(
        &self,
        request: Request<ResolveImageConfigRequest>,
    ) -> Reply<ResolveImageConfigResponse> {
        let request = request.into_inner();
        self.log_line(format!("resolve {}, as of old", request.r#ref));
        let image = self.state().images.get(&request.r#ref).cloned();
        let image = image.ok_or_else(|| unknown(format!("{}: not found", request.r#ref)))?.map_err(unknown)?;
        let answer = ResolveImageConfigResponse { digest: image.digest, config: image.config, r#ref: image.reference };
        Ok(Response::new(answer))
    }

    async fn resolve_source_meta(
        &self,
        request: Request<ResolveSourceMetaRequest>,
    ) -> Reply<ResolveSourceMetaResponse> {
        let ResolveSourceMetaRequest { source, log_name, .. } = request.into_inner();
        let source = source.unwrap_or_default();
        let local = source.identifier.starts_with("local://");
        self.log_line(if local { format!("note {log_name}") } else { format!("resolve {}", source.identifier) });
        let mut answer = ResolveSourceMetaResponse::default();
        if local {
            // A folder of the client has none.
        } else if let Some(checksum) = source.attrs.get("http.checksum") {
            // BuildKit does not ask then.
            answer.http = Some(ResolveSourceHttpResponse { checksum: checksum.clone(), ..Default::default() });
        } else if let Some((_, reference)) =
            source.identifier.split_once("://").filter(|(scheme, _)| matches!(*scheme, "docker-image" | "oci-layout"))
        {
            let image = self.state().images.get(reference).cloned();
            let image = image.ok_or_else(|| unknown(format!("{reference}: not found")))?.map_err(unknown)?;
            let image = ResolveSourceImageResponse { digest: image.digest, config: image.config, ..Default::default() };
            answer.image = Some(image);
        } else {
            match self.state().answer(&source.identifier) {
                Some(Answer::Bytes(bytes)) => {
                    let checksum = graph::digest(&bytes);
                    answer.http = Some(ResolveSourceHttpResponse { checksum, ..Default::default() });
                }
                Some(Answer::Files(_)) => {
                    let checksum = "0123456789abcdef0123456789abcdef01234567".to_owned();
                    answer.git = Some(ResolveSourceGitResponse { checksum, ..Default::default() });
                }
                Some(Answer::Fails(message)) => return Err(unknown(message)),
                None => return Err(unknown(format!("the fake knows nothing of {}", source.identifier))),
            }
        }
        answer.source = Some(source);
        Ok(Response::new(answer))
    }

    async fn warn(&self, request: Request<WarnRequest>) -> Reply<WarnResponse> {
        let warning = request.into_inner();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.log_line(format!("warn {}", text(&warning.short)));
        let file = warning
            .info
            .map(|info| Arc::new(SourceFile { name: info.filename, data: info.data, language: info.language }));
        let line = |at: Option<pb::Position>| at.map_or(0, |at| usize::try_from(at.line).unwrap_or_default());
        let locations = file.iter().flat_map(|file| {
            let lines = warning.ranges.iter().map(|range| (line(range.start), line(range.end)));
            lines.map(|lines| Location { file: Arc::clone(file), lines })
        });
        let shown = Shown {
            vertex: warning.digest,
            warning: Warning {
                short: text(&warning.short),
                detail: warning.detail.iter().map(|line| text(line)).collect(),
                url: warning.url,
                locations: locations.collect(),
            },
        };
        self.state().warnings.push(shown);
        Ok(Response::new(WarnResponse {}))
    }

    async fn new_container(&self, _: Request<NewContainerRequest>) -> Reply<NewContainerResponse> {
        Err(Status::unimplemented("the fake runs nothing"))
    }

    async fn release_container(&self, _: Request<ReleaseContainerRequest>) -> Reply<ReleaseContainerResponse> {
        Err(Status::unimplemented("the fake runs nothing"))
    }

    type ExecProcessStream = BoxStream<ExecMessage>;

    async fn exec_process(&self, _: Request<Streaming<ExecMessage>>) -> Reply<Self::ExecProcessStream> {
        Err(Status::unimplemented("the fake runs nothing"))
    }

    async fn read_file_container(&self, _: Request<ReadFileRequest>) -> Reply<ReadFileResponse> {
        Err(Status::unimplemented("the fake runs nothing"))
    }

    async fn read_dir_container(&self, _: Request<ReadDirRequest>) -> Reply<ReadDirResponse> {
        Err(Status::unimplemented("the fake runs nothing"))
    }

    async fn stat_file_container(&self, _: Request<StatFileRequest>) -> Reply<StatFileResponse> {
        Err(Status::unimplemented("the fake runs nothing"))
    }
}
