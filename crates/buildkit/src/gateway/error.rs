//! Errors of the conversation with BuildKit: code, message, and the typed details, which are kept unchanged so that they
//! can be passed on. Does not know which request failed.

use std::error::Error as _;
use std::fmt;

use bollard_buildkit_proto::google::protobuf::Any;
use bollard_buildkit_proto::google::rpc;
use prost::Message;
use tonic::{Code, Status};

use super::excerpt::{self, Excerpt};
use crate::llb::Location;

/// The type URL of the digest of the vertex that failed.
const VERTEX: &str = "github.com/moby/buildkit/errdefs.Vertex+json";
/// The type URL of the name of a question that a frontend does not answer.
const SUBREQUEST: &str = "github.com/moby/buildkit/errdefs.Subrequest+json";

/// What went wrong: of BuildKit, or of a frontend for BuildKit to show.
#[derive(Clone, PartialEq)]
pub struct Error {
    code: Code,
    message: String,
    details: Vec<Any>,
    own: bool,
}

impl Error {
    /// An error of the frontend's own.
    pub fn new(message: impl Into<String>) -> Self {
        // BuildKit shows the names of all other codes before the message.
        Self { code: Code::Unknown, message: message.into(), details: Vec::new(), own: true }
    }

    /// The answer to a question (`requestid`) that this frontend does not know.
    pub fn unsupported_subrequest(name: &str) -> Self {
        let value = serde_json::json!({ "name": name }).to_string().into_bytes();
        let detail = Any { type_url: SUBREQUEST.into(), value };
        Self { details: vec![detail], ..Self::new(format!("unsupported request {name}")) }
    }

    /// The gRPC code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The typed details, as they came.
    pub fn details(&self) -> &[Any] {
        &self.details
    }

    /// The same error with another message: where the new one says all that the old one did.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// The same error with `what: ` before its message.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Adds lines of the user's files, for the client to show with an excerpt. At most [`excerpt::MAX_LINES`] of them
    /// are taken: it is the message's part to say how many more there are.
    #[must_use]
    pub fn at(mut self, locations: &[Location]) -> Self {
        self.details.extend(excerpt::details(locations));
        self
    }

    /// The excerpts of the user's files that the details hold, in the order in which the client prints them.
    pub fn excerpts(&self) -> Vec<Excerpt> {
        self.details.iter().rev().filter_map(Excerpt::of).collect()
    }

    /// The digest of the vertex that failed.
    pub fn vertex(&self) -> Option<String> {
        let detail = self.details.iter().find(|detail| detail.type_url == VERTEX)?;
        let json: serde_json::Value = serde_json::from_slice(&detail.value).ok()?;
        Some(json.get("digest")?.as_str()?.to_owned())
    }

    /// Whether a file or folder was asked for that is not there. BuildKit gives no code for it.
    pub fn is_absent(&self) -> bool {
        const ENDS: [&str; 4] = [
            "no such file or directory",
            "not a directory",
            "cannot find the file specified.",
            "cannot find the path specified.",
        ];
        self.code == Code::NotFound || ENDS.iter().any(|end| self.message.ends_with(end))
    }

    /// Whether it was found on this side, and BuildKit said nothing.
    pub fn is_own(&self) -> bool {
        self.own
    }

    /// Whether BuildKit is gone: nothing can be asked or returned any more.
    pub fn is_disconnected(&self) -> bool {
        self.code == Code::Unavailable
    }

    /// As `Return` carries it.
    pub fn to_rpc(&self) -> rpc::Status {
        rpc::Status { code: self.code.into(), message: self.message.clone(), details: self.details.clone() }
    }

    /// As `Return` carried it.
    pub fn from_rpc(status: rpc::Status) -> Self {
        Self { code: Code::from(status.code), message: status.message, details: status.details, own: false }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        // The details are a whole second status; its message is not cut where a header's is.
        match rpc::Status::decode(status.details()) {
            Ok(full) if !status.details().is_empty() => Self::from_rpc(full),
            _ => {
                let mut message = status.message().to_owned();
                let mut source = status.source();
                while let Some(cause) = source {
                    let text = cause.to_string();
                    if !message.ends_with(&text) {
                        message = if message.is_empty() { text } else { format!("{message}: {text}") };
                    }
                    source = cause.source();
                }
                Self { code: status.code(), message, details: Vec::new(), own: false }
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Code, message and the types of the details: their bytes hold whole files.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types: Vec<_> = self.details.iter().map(|detail| detail.type_url.as_str()).collect();
        f.debug_struct("Error")
            .field("code", &self.code)
            .field("message", &self.message)
            .field("details", &types)
            .field("own", &self.own)
            .finish()
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Go's `grpcerrors.ToGRPC` writes it.
    fn vertex() -> Any {
        Any { type_url: VERTEX.into(), value: br#"{"digest":"sha256:abc"}"#.to_vec() }
    }

    #[test]
    fn details_of_a_status_are_kept() {
        let unknown = Any { type_url: "example.org/x".into(), value: vec![1, 2] };
        let full = rpc::Status { code: 5, message: "not there".into(), details: vec![vertex(), unknown] };
        let status = Status::with_details(Code::NotFound, "not there", full.encode_to_vec().into());
        let error = Error::from(status).context("failed to load");
        assert_eq!(error.code(), Code::NotFound);
        assert_eq!(error.to_string(), "failed to load: not there");
        assert_eq!(error.vertex().as_deref(), Some("sha256:abc"));
        assert_eq!(error.to_rpc().details, full.details);
        assert!(error.is_absent());
    }

    #[test]
    fn a_status_without_details_keeps_code_and_message() {
        let error = Error::from(Status::new(Code::Unknown, "open /x: no such file or directory"));
        assert_eq!((error.message(), error.is_own()), ("open /x: no such file or directory", false));
        assert!(error.is_absent());
        assert!(!Error::new("open /x: permission denied").is_absent());
        assert_eq!(error.vertex(), None);
    }

    #[test]
    fn an_unsupported_question_is_told_as_go_does() {
        let error = Error::unsupported_subrequest("frontend.lint");
        assert_eq!(error.message(), "unsupported request frontend.lint");
        assert_eq!(error.details()[0].type_url, "github.com/moby/buildkit/errdefs.Subrequest+json");
        assert_eq!(error.details()[0].value, br#"{"name":"frontend.lint"}"#);
    }
}
