//! `kso arrange`: puts blobs where a storage wants them, if each is what its digest says. Owns the proof
//! (BuildKit's blob source does not check what it stored); does not know what the blobs are, nor where they came from.
//!
//! This runs in a vertex of the build, without network, with the blobs mounted read-only. What the image holds is what this
//! wrote, so a proof cannot outlive its bytes.

use std::collections::BTreeSet;
use std::fs::{self, File, FileTimes};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::name::Hasher;

/// What is to be arranged: the file that the frontend writes for the vertex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The modification time of every file and directory, in seconds since 1970.
    pub epoch: u64,
    /// The files to write, each path once.
    pub files: Vec<OrderedFile>,
}

/// One file to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderedFile {
    /// Where it belongs, relative to the output.
    pub path: String,
    /// What it holds.
    #[serde(flatten)]
    pub content: OrderedContent,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderedContent {
    /// A blob.
    Blob {
        /// Where it is mounted.
        from: PathBuf,
        /// 64 lower-case hex digits: what its bytes must hash to.
        sha256: String,
        /// The image that requested it, for the error: `quay.io/calico/node:v3.27.3`.
        image: String,
    },
    /// This text.
    Text(String),
}

/// Why nothing could be arranged.
#[derive(Debug, Error)]
pub enum Error {
    /// A blob is not what it should be.
    #[error("a blob of {image} is corrupt: expected sha256:{expected}, got sha256:{got}")]
    Wrong {
        /// The digest that it is filed under.
        expected: String,
        /// The digest of its bytes.
        got: String,
        /// The image that requested it.
        image: String,
    },
    /// The order is not one.
    #[error("cannot read the order: {0}")]
    Order(String),
    /// A file could not be read or written.
    #[error("{path}: {1}", path = .0.display())]
    Io(PathBuf, io::Error),
}

/// Does what the order in the file `order` says, below `out`. Every wrong blob is reported, and none of them is written.
pub fn arrange(order: &Path, out: &Path) -> Result<(), Vec<Error>> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| vec![Error::Io(path, error)]
    };
    let bytes = fs::read(order).map_err(at(order))?;
    let order: Order = serde_json::from_slice(&bytes).map_err(|error| vec![Error::Order(error.to_string())])?;
    let time = UNIX_EPOCH + Duration::from_secs(order.epoch);
    let times = FileTimes::new().set_accessed(time).set_modified(time);
    let mut folders = BTreeSet::new();
    let mut errors = Vec::new();
    for file in &order.files {
        if let Err(error) = write(file, out, times, &mut folders) {
            errors.push(error);
        }
    }
    // Writing into a folder dates it: so they come last, the deepest first.
    for folder in folders.iter().rev() {
        if let Err(error) = File::open(folder).and_then(|folder| folder.set_times(times)) {
            errors.push(Error::Io(folder.clone(), error));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn write(file: &OrderedFile, out: &Path, times: FileTimes, folders: &mut BTreeSet<PathBuf>) -> Result<(), Error> {
    let path = out.join(&file.path);
    let io = |error| Error::Io(path.clone(), error);
    let parents: Vec<PathBuf> =
        path.ancestors().skip(1).take_while(|folder| folder.starts_with(out)).map(Into::into).collect();
    fs::create_dir_all(&parents[0]).map_err(io)?;
    folders.extend(parents);
    let mut to = File::create(&path).map_err(io)?;
    match &file.content {
        OrderedContent::Text(text) => to.write_all(text.as_bytes()).map_err(io)?,
        OrderedContent::Blob { from, sha256, image } => {
            let mut source = File::open(from).map_err(|error| Error::Io(from.clone(), error))?;
            let got = copy(&mut source, &mut to).map_err(io)?;
            if got != *sha256 {
                fs::remove_file(&path).map_err(io)?;
                return Err(Error::Wrong { expected: sha256.clone(), got, image: image.clone() });
            }
        }
    }
    to.set_times(times).map_err(io)
}

/// Copies everything; the SHA-256 of what was written, in hex.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<String> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(hasher.finish().0.hex().to_owned());
        }
        hasher.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    fn blob(folder: &Path, text: &str) -> OrderedFile {
        let from = folder.join("blob");
        fs::write(&from, text).unwrap();
        let content = OrderedContent::Blob { from, sha256: HELLO.into(), image: "a.example/x:1".into() };
        OrderedFile { path: "blobs/data".into(), content }
    }

    fn run(folder: &Path, files: Vec<OrderedFile>) -> Result<(), Vec<Error>> {
        let order = folder.join("order.json");
        fs::write(&order, serde_json::to_vec(&Order { epoch: 7, files }).unwrap()).unwrap();
        arrange(&order, &folder.join("out"))
    }

    #[test]
    fn what_is_right_is_written_and_dated() {
        let folder = tempfile::tempdir().unwrap();
        let link = OrderedFile { path: "links/a/link".into(), content: OrderedContent::Text("sha256:x".into()) };
        run(folder.path(), vec![blob(folder.path(), "hello"), link]).unwrap();
        let out = folder.path().join("out");
        assert_eq!(fs::read_to_string(out.join("blobs/data")).unwrap(), "hello");
        assert_eq!(fs::read_to_string(out.join("links/a/link")).unwrap(), "sha256:x");
        for path in ["", "blobs", "blobs/data", "links", "links/a", "links/a/link"] {
            let modified = fs::metadata(out.join(path)).unwrap().modified().unwrap();
            assert_eq!(modified, SystemTime::UNIX_EPOCH + Duration::from_secs(7), "{path}");
        }
    }

    #[test]
    fn what_is_wrong_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let errors = run(folder.path(), vec![blob(folder.path(), "hellO")]).unwrap_err();
        assert!(!folder.path().join("out/blobs/data").exists());
        assert_eq!(
            errors[0].to_string(),
            "a blob of a.example/x:1 is corrupt: expected sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824, \
             got sha256:04a6f55face2f46be8c23f627d539827615851e10751b63ec59db6d2c706b770"
        );
    }

    #[test]
    fn an_order_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let order = folder.path().join("order.json");
        fs::write(&order, "{}").unwrap();
        assert!(matches!(arrange(&order, folder.path()).unwrap_err()[..], [Error::Order(_)]));
    }
}
