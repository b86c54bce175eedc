//! Errors of the conversation with BuildKit: code, message, and the typed details, which are kept unchanged so that they
//! can be passed on. Does not know which request failed.

use std::error::Error as _;
use std::fmt;

use bollard_buildkit_proto::google::rpc;
use prost::Message;
use tonic::Status;

use super::excerpt::{self, Excerpt};
use super::status::{Code, Detail};
use crate::llb::{Digest, Location};

/// The type URL of the digest of the vertex that failed.
const VERTEX: &str = "github.com/moby/buildkit/errdefs.Vertex+json";
/// The type URL of the name of a question that a frontend does not answer.
const SUBREQUEST: &str = "github.com/moby/buildkit/errdefs.Subrequest+json";

/// What went wrong: of BuildKit, or of a frontend for BuildKit to show.
#[derive(Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    code: Code,
    message: String,
    details: Vec<Detail>,
    own: bool,
}

impl Error {
    /// An error of the frontend's own.
    pub fn new(message: impl Into<String>) -> Self {
        // BuildKit shows the names of all other codes before the message.
        Self { code: Code::Unknown, message: message.into(), details: Vec::new(), own: true }
    }

    /// An error as BuildKit gives it, for tests of what a frontend makes of it.
    pub fn received(code: Code, message: impl Into<String>, details: Vec<Detail>) -> Self {
        Self { code, message: message.into(), details, own: false }
    }

    /// The answer to a question (`requestid`) that this frontend does not know.
    pub fn unsupported_subrequest(name: &str) -> Self {
        let value = serde_json::json!({ "name": name }).to_string().into_bytes();
        let detail = Detail { type_url: SUBREQUEST.into(), value };
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
    pub fn details(&self) -> &[Detail] {
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
    pub fn vertex(&self) -> Option<Digest> {
        let detail = self.details.iter().find(|detail| detail.type_url == VERTEX)?;
        let json: serde_json::Value = serde_json::from_slice(&detail.value).ok()?;
        json.get("digest")?.as_str()?.parse().ok()
    }

    /// Whether a file or directory was asked for that is not there. BuildKit gives no code for it.
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
    pub(crate) fn to_rpc(&self) -> rpc::Status {
        let details = self.details.iter().cloned().map(Into::into).collect();
        rpc::Status { code: self.code.number(), message: self.message.clone(), details }
    }

    /// As `Return` carried it.
    pub(crate) fn from_rpc(status: rpc::Status) -> Self {
        let details = status.details.into_iter().map(Into::into).collect();
        Self::received(Code::of_number(status.code), status.message, details)
    }

    pub(super) fn from_status(status: &Status) -> Self {
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
                Self::received(Code::of_number(status.code().into()), message, Vec::new())
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use bollard_buildkit_proto::google::protobuf::Any;

    /// As Go's `grpcerrors.ToGRPC` writes it.
    fn vertex() -> Any {
        Any { type_url: VERTEX.into(), value: format!(r#"{{"digest":"{}"}}"#, Digest::of(b"x")).into() }
    }

    #[test]
    fn details_of_a_status_are_kept() {
        let unknown = Any { type_url: "example.org/x".into(), value: vec![1, 2] };
        let full = rpc::Status { code: 5, message: "not there".into(), details: vec![vertex(), unknown] };
        let status = Status::with_details(tonic::Code::NotFound, "not there", full.encode_to_vec().into());
        let error = Error::from_status(&status).context("failed to load");
        assert_eq!(error.code(), Code::NotFound);
        assert_eq!(error.to_string(), "failed to load: not there");
        assert_eq!(error.vertex(), Some(Digest::of(b"x")));
        assert_eq!(error.to_rpc().details, full.details);
        assert!(error.is_absent());
    }

    #[test]
    fn a_status_without_details_keeps_code_and_message() {
        let error = Error::from_status(&Status::new(tonic::Code::Unknown, "open /x: no such file or directory"));
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
