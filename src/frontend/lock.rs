//! The lock of a build: where it lies, whether it is wanted, and that it fits. Owns what the progress tells of it; does
//! not know what it holds.

use buildkit::gateway::{BuildContext, Client, Content, Dockerfile};

use super::report::Failure;
use super::settings::UseLock;
use crate::definition::Spec;
use crate::diagnostic::hints::{CREATE_IT, NEWER_KSO, UPDATE_LOCK};
use crate::diagnostic::{Diagnostic, Source, Span, Spanned, counted, quoted};
use crate::kind::images::resolved::Resolved;
use crate::lock::{self, Fit, Lock, LockFile, MAX_LOCK_BYTES, Name};
use crate::name::ContextPath;
use crate::plan;
use crate::producer::kubespray::LockedKubespray;

/// What `buildx` calls a definition that it got from its standard input. Nothing lies next to that.
const STDIN: &str = "Dockerfile";
/// The lock of such a definition, in the root of the build context.
const DEFAULT: &str = "kso.lock";

/// A lock that fits the specification of its build.
#[derive(Debug)]
pub(super) struct Locked {
    file: LockFile,
    fit: Fit,
}

impl Locked {
    /// What it says of the specification.
    pub(super) fn said(&self) -> &Fit {
        &self.fit
    }

    /// The lock itself.
    pub(super) fn file(&self) -> &LockFile {
        &self.file
    }

    /// All that it says.
    pub(super) fn lock(&self) -> &Lock {
        self.file.lock()
    }

    /// The text of the lock, as kso writes it.
    pub(super) fn text(&self) -> String {
        self.file.lock().write()
    }

    /// The container images, parallel to those of the specification.
    pub(super) fn images(&self) -> Vec<Resolved> {
        self.fit.images.clone()
    }
}

/// What was found where a lock is looked for.
#[derive(Debug)]
pub(super) struct FoundLock {
    /// Its path as the user knows it.
    pub(super) name: String,
    /// Where the definition names it, if it does.
    named: Option<Spanned<ContextPath>>,
    content: Content,
}

/// A lock that was read, and that may fit the definition or not.
#[derive(Debug)]
pub(super) struct OpenLock {
    /// Its path as the user knows it.
    name: String,
    file: LockFile,
}

impl OpenLock {
    /// What the lists of Kubespray were rendered from, and where the lock says so.
    pub(super) fn kubespray(&self) -> Option<(&LockedKubespray, Span)> {
        self.file.kubespray()
    }

    /// Fits the lock to `spec`, whose files then are pinned. Reports to the user which it is.
    pub(super) async fn fit(
        self,
        client: &Client,
        spec: &mut Spec,
        warnings: &mut Vec<Diagnostic>,
    ) -> Result<Locked, Failure> {
        let Self { name, file } = self;
        let fit = file.fit(spec, warnings)?;
        let entries = file.lock().entries();
        let count = counted(entries, "entry");
        client.note(&format!("[lock] {name}, {count}")).await?;
        Ok(Locked { file, fit })
    }
}

/// Looks for the lock: where the definition says, or else next to it. It is not read where it is
/// not used.
pub(super) async fn find(
    use_lock: UseLock,
    context: &BuildContext,
    definition: &Dockerfile,
    named: Option<&Spanned<ContextPath>>,
) -> Result<FoundLock, Failure> {
    let beside = lock::path_beside(&definition.name);
    let name = named.map_or(beside.as_str(), |named| named.value.as_str()).to_owned();
    let mut found = FoundLock { name, named: named.cloned(), content: Content::Absent };
    if use_lock == UseLock::Never {
        return Ok(found);
    }
    let context = context.clone().limit(MAX_LOCK_BYTES as u64);
    let in_context = async |path: &str| {
        let mut files = context.read_files([path]).await?;
        Ok::<_, Failure>(files.remove(path).unwrap_or(Content::Absent))
    };
    found.content = match named {
        Some(_) => in_context(&found.name).await?,
        None => context.read_beside_dockerfile(&beside).await?,
    };
    if found.content == Content::Absent && named.is_none() && definition.name == STDIN {
        DEFAULT.clone_into(&mut found.name);
        found.content = in_context(DEFAULT).await?;
    }
    Ok(found)
}

impl FoundLock {
    /// Reads the lock; `None` if it does not exist, which the progress shows.
    pub(super) async fn open(self, client: &Client, use_lock: UseLock) -> Result<Option<OpenLock>, Failure> {
        if use_lock == UseLock::Never {
            client.note("[lock] ignored").await?;
            return Ok(None);
        }
        let name = quoted(&self.name);
        let wanted = use_lock == UseLock::Required || self.named.is_some();
        let bytes = match &self.content {
            Content::Bytes(bytes) => bytes.clone(),
            Content::Absent if wanted => {
                return Err(self.problem(format!("the lock {name} does not exist")).help(CREATE_IT).into());
            }
            Content::Absent => {
                client.note("[lock] none").await?;
                return Ok(None);
            }
            Content::Directory => {
                let problem = self.problem(format!("the lock {name} is a directory"));
                return Err(problem.help("remove the directory, or set another path: `lock: PATH`").into());
            }
            Content::TooLarge(_) => {
                let most = MAX_LOCK_BYTES >> 20;
                return Err(self
                    .problem(format!("the lock {name} is larger than {most} MiB"))
                    .help(UPDATE_LOCK)
                    .into());
            }
        };
        let source = Source::from_bytes(&self.name, bytes, MAX_LOCK_BYTES)
            .map_err(|why| Diagnostic::error(format!("the lock {name} cannot be read: it {why}")))?;
        let file = Lock::read(&source)?;
        let layout = file.lock().layout;
        if layout > plan::LAYOUT {
            let newest = plan::LAYOUT;
            let problem = Diagnostic::error(format!(
                "the lock requires layer layout {layout}, but this kso supports at most {newest}"
            ));
            let problem = problem.at(file.span(&Name::Layout));
            return Err(problem.help(NEWER_KSO).into());
        }
        Ok(Some(OpenLock { name: self.name, file }))
    }

    /// A problem of the lock as a whole, at the line that names it.
    fn problem(&self, message: String) -> Diagnostic {
        Diagnostic::error(message).at(self.named.as_ref().map(|named| named.span.clone()))
    }
}
