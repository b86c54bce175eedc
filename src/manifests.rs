//! `kso manifests`: asks a registry for the manifests of an image and writes them to files. Owns what a vertex with network
//! does, and how it tells why it failed; does not know how it is run.
//!
//! The last way to a manifest, after the lock, BuildKit's blob source and its `http` source: for registries that want both a
//! token and an `Accept` header. What is written is named by its digest, so that whoever reads it can prove it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::fetch::{self, Limits, Throttle, Try};
use crate::kind::images::resolve::{Registries, Run, Why, tries};
use crate::kind::images::resolved::{Blobs, Kind, Missing, Wanted};
use crate::name::{Arch, Digest, ImageRef, Invalid};
use crate::oci::{MAX_DOCUMENT_BYTES, check_digest};
use crate::origin::Mirrors;
use crate::registry::{Client, Credentials, Failure, Login};
use crate::retry::Retry;
use crate::web::{self, Trust, Web};

/// The file, below the output, with the digest that the reference leads to.
pub const DIGEST: &str = "digest";
/// The directory, below the output, with a file for each manifest, named by the 64 hex digits of its digest.
pub const DOCUMENTS: &str = "sha256";

/// The most requests to one registry at a time.
const AT_A_TIME: usize = 6;

/// The arguments of the step.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Arguments {
    /// The image: `quay.io/calico/node:v3.27.3`, or with a digest
    pub image: String,
    /// The directory to write to
    pub out: PathBuf,
    /// A requested architecture
    #[arg(long = "architecture", value_name = "ARCH", required = true, value_parser = architecture)]
    pub architectures: Vec<Arch>,
    /// Also write its attestations
    #[arg(long)]
    pub attestations: bool,
    /// Docker's config.json, with logins; it may be missing
    #[arg(long, value_name = "FILE")]
    pub docker_config: Option<PathBuf>,
    /// Certificates of authorities to trust, PEM; the file may be missing
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

impl Arguments {
    /// The words of the command line that they are read from, after the program and its command: what a vertex runs.
    pub fn words(&self) -> Vec<String> {
        let path = |option: &str, path: &PathBuf| format!("{option}={}", path.display());
        let mut words: Vec<String> = self.architectures.iter().map(|arch| format!("--architecture={arch}")).collect();
        words.extend(self.attestations.then(|| "--attestations".to_owned()));
        words.extend(self.docker_config.iter().map(|file| path("--docker-config", file)));
        words.extend(self.ca.iter().map(|file| path("--ca", file)));
        words.extend([self.image.clone(), self.out.display().to_string()]);
        words
    }
}

fn architecture(text: &str) -> Result<Arch, String> {
    text.parse().map_err(|invalid: Invalid| invalid.message)
}

/// Why a step failed, as its exit code: BuildKit reports nothing else of a failed vertex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The registry refuses access, and there was no login for it.
    NoLogin = 10,
    /// The registry refuses access with the login that was there.
    BadLogin = 11,
    /// The login is with a credential helper, which a build does not have.
    Helper = 12,
    /// The registry has no such image.
    NotFound = 13,
    /// The registry did not answer.
    Unreachable = 14,
    /// The registry answers with errors, such as too many requests.
    Status = 15,
    /// What the registry sent is not what the digest says.
    Corrupt = 16,
}

impl Cause {
    const ALL: [Self; 7] =
        [Self::NoLogin, Self::BadLogin, Self::Helper, Self::NotFound, Self::Unreachable, Self::Status, Self::Corrupt];

    /// The exit code.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The cause with an exit code.
    pub fn of_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| u32::from(cause.code()) == code)
    }
}

/// Why nothing could be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What the exit code says; `None` for what is nobody's fault but ours.
    pub cause: Option<Cause>,
    /// A sentence.
    pub message: String,
}

impl Error {
    fn own(message: impl Into<String>) -> Self {
        Self { cause: None, message: message.into() }
    }
}

/// Asks for what the image needs, and writes it. Where the registry has what it should, but the image is not usable (an
/// architecture is missing), what was read is written: whoever reads it comes to the same end.
pub async fn write(arguments: &Arguments) -> Result<(), Error> {
    let image: ImageRef = arguments.image.parse().map_err(|_| {
        Error::own(format!("{} is not a valid image name", crate::diagnostic::quoted(&arguments.image)))
    })?;
    let trust = match file(arguments.ca.as_deref())? {
        Some(pem) => Trust::default().with_pem(&pem).map_err(|why| Error::own(format!("the secret `ca` {why}")))?,
        None => Trust::default(),
    };
    let credentials = match file(arguments.docker_config.as_deref())? {
        Some(config) => {
            Credentials::from_config(&config).map_err(|why| Error::own(format!("the secret `docker-config` {why}")))?
        }
        None => Credentials::default(),
    };
    let web = Web::new(&trust, Retry::default()).map_err(Error::own)?;
    let client = Client::new(web, credentials);
    let reader = Reader { client, top: RefCell::default(), read: RefCell::default(), failed: RefCell::default() };
    // The client tries again by itself.
    let retry = Retry { tries: 1, ..Retry::DEFAULT };
    let throttle = Throttle::new(&Limits { total: AT_A_TIME, per_host: AT_A_TIME, ..Limits::DEFAULT });
    // A mirror is asked by its own name.
    let (mirrors, attestations) = (Mirrors::default(), arguments.attestations);
    let (retry, throttle) = (&retry, &throttle);
    let run = Run { registries: &reader, mirrors: &mirrors, retry, throttle, attestations, configs: false };
    let architectures: BTreeSet<Arch> = arguments.architectures.iter().copied().collect();
    if let Err(Why::Asked(tried)) = run.image(&image, &architectures).await {
        let failed = reader.failed.into_inner();
        return Err(failed.unwrap_or_else(|| Error::own(tries(&image, &tried))));
    }
    let (top, read) = (reader.top.into_inner(), reader.read.into_inner());
    let top = image.digest().or(top).ok_or_else(|| Error::own("the image has no digest"))?;
    save(&arguments.out, &top, &read).map_err(|error| Error::own(format!("{}: {error}", arguments.out.display())))
}

/// The bytes of a file, if it is there.
fn file(path: Option<&Path>) -> Result<Option<Vec<u8>>, Error> {
    let Some(path) = path else { return Ok(None) };
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::own(format!("{}: {error}", path.display()))),
    }
}

fn save(out: &Path, top: &Digest, read: &Blobs) -> std::io::Result<()> {
    let folder = out.join(DOCUMENTS);
    fs::create_dir_all(&folder)?;
    for (digest, bytes) in read {
        fs::write(folder.join(digest.hex()), bytes)?;
    }
    fs::write(out.join(DIGEST), top.as_str())
}

/// Reads through a client, and keeps what it read.
struct Reader {
    client: Client,
    /// The digest of the tag, where one was asked for.
    top: RefCell<Option<Digest>>,
    /// The documents, proved.
    read: RefCell<Blobs>,
    failed: RefCell<Option<Error>>,
}

impl Reader {
    /// Notes why a question failed; what `fetch` knows of failures is less.
    fn failed(&self, error: Error) -> fetch::Failure {
        let failure = fetch::Failure::Other(error.message.clone());
        self.failed.borrow_mut().get_or_insert(error);
        failure
    }

    fn registry_failed(&self, failure: &Failure) -> fetch::Failure {
        let cause = match failure {
            Failure::Refused { login: Login::None, .. } => Some(Cause::NoLogin),
            Failure::Refused { login: Login::Sent, .. } => Some(Cause::BadLogin),
            Failure::Refused { login: Login::Unavailable(_), .. } => Some(Cause::Helper),
            Failure::NotFound => Some(Cause::NotFound),
            Failure::Web(web::Failure::Status { .. }) => Some(Cause::Status),
            Failure::Web(_) => Some(Cause::Unreachable),
        };
        self.failed(Error { cause, message: failure.to_string() })
    }
}

impl Registries for Reader {
    async fn digest(&self, image: &ImageRef, _: &BTreeSet<Arch>, _: Try) -> Result<Digest, fetch::Failure> {
        let tag = image.tag().unwrap_or("latest");
        let bytes = self.client.manifest(image.domain(), image.path(), tag).await;
        let bytes = bytes.map_err(|failure| self.registry_failed(&failure))?;
        let digest = Digest::of(&bytes);
        *self.top.borrow_mut() = Some(digest.clone());
        self.read.borrow_mut().insert(digest.clone(), bytes);
        Ok(digest)
    }

    async fn document(&self, image: &Wanted, document: &Missing, _: Try) -> Result<Vec<u8>, fetch::Failure> {
        let Missing { digest, kind, .. } = document;
        if let Some(bytes) = self.read.borrow().get(digest) {
            return Ok(bytes.clone());
        }
        let (domain, repository) = (image.reference.domain(), image.reference.path());
        let bytes = match kind {
            Kind::Manifest => self.client.manifest(domain, repository, digest.as_str()).await,
            Kind::Blob => self.client.blob(domain, repository, digest, MAX_DOCUMENT_BYTES).await,
        };
        let bytes = bytes.map_err(|failure| self.registry_failed(&failure))?;
        check_digest(&bytes, digest)
            .map_err(|error| self.failed(Error { cause: Some(Cause::Corrupt), message: error.to_string() }))?;
        self.read.borrow_mut().insert(digest.clone(), bytes.clone());
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn the_words_of_a_vertex_are_read_back() {
        let (out, some) = (PathBuf::from("/out"), |path: &str| Some(PathBuf::from(path)));
        let image = "quay.io/a/b:1".to_owned();
        let all = [
            Arguments {
                image: image.clone(),
                out: out.clone(),
                architectures: Arch::ALL.into(),
                attestations: true,
                docker_config: some("/run/secrets/docker-config"),
                ca: some("/run/secrets/ca"),
            },
            Arguments {
                image,
                out,
                architectures: vec![Arch::Arm64],
                attestations: false,
                docker_config: None,
                ca: None,
            },
        ];
        for arguments in all {
            let words = ["manifests".to_owned()].into_iter().chain(arguments.words());
            let line = Line::try_parse_from(words).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(line.arguments, arguments);
        }
    }

    #[test]
    fn exit_codes_are_read_back() {
        for cause in Cause::ALL {
            assert_eq!(Cause::of_code(cause.code().into()), Some(cause));
        }
        assert_eq!(Cause::of_code(1), None);
    }
}
