//! The status of gRPC as values of our own: codes and typed details. Does not know what they mean to a frontend.

use bollard_buildkit_proto::google::protobuf::Any;

/// The code of an error (`google.rpc.Code`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// The request was given up by who made it.
    Cancelled = 1,
    /// Most errors of BuildKit, and all of a frontend's own.
    Unknown = 2,
    /// The request makes no sense.
    InvalidArgument = 3,
    /// It took too long.
    DeadlineExceeded = 4,
    /// What was asked for does not exist.
    NotFound = 5,
    /// What was to be made exists.
    AlreadyExists = 6,
    /// It is not allowed.
    PermissionDenied = 7,
    /// Something is used up.
    ResourceExhausted = 8,
    /// The system is not in the state that the request needs.
    FailedPrecondition = 9,
    /// Another request was in the way.
    Aborted = 10,
    /// A number is out of its range.
    OutOfRange = 11,
    /// The daemon does not know the request.
    Unimplemented = 12,
    /// A bug of the other side.
    Internal = 13,
    /// The connection is gone.
    Unavailable = 14,
    /// Data is lost.
    DataLoss = 15,
    /// Nobody is logged in.
    Unauthenticated = 16,
}

impl Code {
    const ALL: [Self; 16] = [
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// The code of a number; [`Self::Unknown`] where the number is unknown, and where it says that all is well.
    pub(crate) fn of_number(number: i32) -> Self {
        Self::ALL.into_iter().find(|code| *code as i32 == number).unwrap_or(Self::Unknown)
    }

    pub(crate) fn number(self) -> i32 {
        self as i32
    }
}

/// A typed detail of an error, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// The type: `github.com/moby/buildkit/errdefs.Vertex+json`.
    pub type_url: String,
    /// The value, in the encoding that the type says.
    pub value: Vec<u8>,
}

impl From<Any> for Detail {
    fn from(any: Any) -> Self {
        Self { type_url: any.type_url, value: any.value }
    }
}

impl From<Detail> for Any {
    fn from(detail: Detail) -> Self {
        Self { type_url: detail.type_url, value: detail.value }
    }
}
