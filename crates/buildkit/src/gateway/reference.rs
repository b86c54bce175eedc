//! A reference: a result in BuildKit's hands, whose files can be read. Does not know how it was solved.

use std::fmt;

use bollard_buildkit_proto::fsutil::types::Stat as ProtoStat;
use bollard_buildkit_proto::moby::buildkit::v1::frontend as proto;

use super::{Client, Error};
use crate::llb::Graph;

/// How much (bytes) of a file is read by one request.
const CHUNK: u64 = 4 << 20;

/// A result in BuildKit's hands. Reading a file of it solves it first, if that has not been done.
#[derive(Clone)]
pub struct Reference {
    client: Client,
    id: String,
    definition: Option<Graph>,
}

/// What a path is. Links have been followed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stat {
    /// The name within its directory.
    pub path: String,
    /// The size in bytes.
    pub size: u64,
    /// Go's `os.FileMode`: the permission bits, and in the upper half the type.
    pub mode: u32,
    /// The target, in a listing that shows a symbolic link.
    pub link: String,
}

impl Stat {
    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.mode & (1 << 31) != 0
    }

    /// Whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.mode & (1 << 27) != 0
    }

    fn of(stat: ProtoStat) -> Self {
        Self {
            path: stat.path,
            size: u64::try_from(stat.size).unwrap_or_default(),
            mode: stat.mode,
            link: stat.linkname,
        }
    }
}

/// What was found where a file was asked for.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// The bytes of a file.
    Bytes(Vec<u8>),
    /// Nothing is there.
    Absent,
    /// A directory.
    Directory,
    /// A file that is larger than the limit: its size in bytes.
    TooLarge(u64),
}

impl Content {
    /// The bytes, if it is a file within the limit.
    pub fn bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// Text as text: a list of bytes tells nobody anything.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({:?})", String::from_utf8_lossy(bytes)),
            Self::Absent => f.write_str("Absent"),
            Self::Directory => f.write_str("Directory"),
            Self::TooLarge(bytes) => write!(f, "TooLarge({bytes})"),
        }
    }
}

impl Reference {
    pub(super) fn new(client: &Client, reference: proto::Ref) -> Self {
        Self { client: client.clone(), id: reference.id, definition: reference.def.map(Graph) }
    }

    /// Only the name goes back: BuildKit looks no further (`frontend/gateway/gateway.go`, `convertRef`), and the graphs of many
    /// platforms together can be more than it takes.
    pub(super) fn into_proto(self) -> proto::Ref {
        proto::Ref { id: self.id, def: None }
    }

    /// BuildKit's name of it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The graph that it is the result of, where BuildKit tells.
    pub fn definition(&self) -> Option<&Graph> {
        self.definition.as_ref()
    }

    /// Solves it now.
    pub async fn evaluate(&self) -> Result<(), Error> {
        self.client
            .bridge
            .clone()
            .evaluate(proto::EvaluateRequest { r#ref: self.id.clone() })
            .await
            .map_err(|status| Error::from_status(&status))?;
        Ok(())
    }

    /// What `path` is; none if nothing is there. Links are followed within the reference.
    pub async fn stat(&self, path: &str) -> Result<Option<Stat>, Error> {
        let request = proto::StatFileRequest { r#ref: self.id.clone(), path: path.to_owned(), mount_index: 0 };
        match self.client.bridge.clone().stat_file(request).await.map_err(|status| Error::from_status(&status)) {
            Ok(response) => Ok(response.into_inner().stat.map(Stat::of)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What is in the directory `path`, not deeper; `pattern` may hold `*`.
    pub async fn read_dir(&self, path: &str, pattern: Option<&str>) -> Result<Vec<Stat>, Error> {
        let request = proto::ReadDirRequest {
            r#ref: self.id.clone(),
            dir_path: path.to_owned(),
            include_pattern: pattern.unwrap_or_default().to_owned(),
            mount_index: 0,
        };
        let entries = self
            .client
            .bridge
            .clone()
            .read_dir(request)
            .await
            .map_err(|status| Error::from_status(&status))?
            .into_inner()
            .entries;
        Ok(entries.into_iter().map(Stat::of).collect())
    }

    /// At most `length` bytes of a file from `offset` on; fewer only at its end.
    pub async fn read_range(&self, path: &str, offset: u64, length: u64) -> Result<Vec<u8>, Error> {
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let request = proto::ReadFileRequest {
            r#ref: self.id.clone(),
            file_path: path.to_owned(),
            range: Some(proto::FileRange { offset: number(offset), length: number(length.min(CHUNK)) }),
            mount_index: 0,
        };
        Ok(self
            .client
            .bridge
            .clone()
            .read_file(request)
            .await
            .map_err(|status| Error::from_status(&status))?
            .into_inner()
            .data)
    }

    /// A whole file of at most `limit` bytes. Its size is asked for first, so that no more is ever sent.
    pub async fn read_file(&self, path: &str, limit: u64) -> Result<Content, Error> {
        let Some(stat) = self.stat(path).await? else { return Ok(Content::Absent) };
        if stat.is_dir() {
            return Ok(Content::Directory);
        }
        if stat.size > limit {
            return Ok(Content::TooLarge(stat.size));
        }
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < stat.size {
            let offset = bytes.len() as u64;
            let read = self.read_range(path, offset, stat.size - offset).await?;
            if read.is_empty() {
                break;
            }
            bytes.extend(read);
        }
        Ok(Content::Bytes(bytes))
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reference({})", self.id)
    }
}
