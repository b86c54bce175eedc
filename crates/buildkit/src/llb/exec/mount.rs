//! What a program sees in addition to its root: directories, caches, secrets and agents. Does not know the program.

use bollard_buildkit_proto::pb;

use super::State;

/// Whether the content of a mount is another key of the result, in addition to the definition of what is mounted. BuildKit reads
/// all of it for that, where the definition alone finds nothing in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentCache {
    /// Yes, except for the root.
    Default,
    /// Yes.
    On,
    /// No: the definition says all.
    Off,
}

/// Who may use a cache directory at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cache {
    /// Everybody.
    Shared,
    /// One program; another one gets a cache of its own.
    Private,
    /// One program; another one waits.
    Locked,
}

/// A directory that the program sees, and that is no result.
#[derive(Debug, Clone)]
pub struct Mount(pub(super) Bound);

/// A directory that the program sees and whose content afterwards is a result.
#[derive(Debug, Clone)]
pub struct Output(pub(super) Bound);

/// A state, a cache or nothing, at a path.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    pub(super) dest: String,
    pub(super) input: Option<State>,
    selector: String,
    readonly: bool,
    content_cache: ContentCache,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Bind,
    Cache { id: String, sharing: Cache },
    Tmpfs { bytes: i64 },
}

impl Bound {
    fn new(dest: &str, input: Option<&State>, readonly: bool, kind: Kind) -> Self {
        let (dest, selector) = (dest.to_owned(), String::new());
        Self { dest, input: input.cloned(), selector, readonly, content_cache: ContentCache::Default, kind }
    }

    pub(super) fn root(state: &State, readonly: bool) -> Self {
        Self::new("/", Some(state), readonly, Kind::Bind)
    }

    pub(super) fn is_output(&self) -> bool {
        !self.readonly && matches!(self.kind, Kind::Bind)
    }

    pub(super) fn capabilities(&self) -> &'static [&'static str] {
        let caches = self.content_cache != ContentCache::Default;
        match (&self.kind, self.selector.is_empty(), caches) {
            (Kind::Cache { .. }, true, _) => &["exec.mount.cache", "exec.mount.cache.sharing"],
            (Kind::Cache { .. }, false, _) => &["exec.mount.cache", "exec.mount.cache.sharing", "exec.mount.selector"],
            (Kind::Tmpfs { bytes: 0 }, ..) => &["exec.mount.tmpfs"],
            (Kind::Tmpfs { .. }, ..) => &["exec.mount.tmpfs", "exec.mount.tmpfs.size"],
            (Kind::Bind, true, false) => &[],
            (Kind::Bind, true, true) => &["exec.mount.cache.content"],
            (Kind::Bind, false, false) => &["exec.mount.selector"],
            (Kind::Bind, false, true) => &["exec.mount.cache.content", "exec.mount.selector"],
        }
    }

    pub(super) fn to_pb(&self, input: i64, output: i64) -> pb::Mount {
        let content_cache = match self.content_cache {
            ContentCache::Default => pb::MountContentCache::Default,
            ContentCache::On => pb::MountContentCache::On,
            ContentCache::Off => pb::MountContentCache::Off,
        };
        let mount = pb::Mount {
            input,
            dest: self.dest.clone(),
            output,
            readonly: self.readonly,
            selector: self.selector.clone(),
            content_cache: content_cache.into(),
            ..pb::Mount::default()
        };
        match &self.kind {
            Kind::Bind => mount,
            Kind::Cache { id, sharing } => {
                let sharing = match sharing {
                    Cache::Shared => pb::CacheSharingOpt::Shared,
                    Cache::Private => pb::CacheSharingOpt::Private,
                    Cache::Locked => pb::CacheSharingOpt::Locked,
                };
                let cache = pb::CacheOpt { id: id.clone(), sharing: sharing.into() };
                pb::Mount { mount_type: pb::MountType::Cache.into(), cache_opt: Some(cache), ..mount }
            }
            Kind::Tmpfs { bytes } => {
                let tmpfs = pb::TmpfsOpt { size: *bytes };
                pb::Mount { mount_type: pb::MountType::Tmpfs.into(), tmpfs_opt: Some(tmpfs), ..mount }
            }
        }
    }
}

impl Mount {
    /// A state that the program cannot change.
    pub fn readonly(dest: &str, state: &State) -> Self {
        Self(Bound::new(dest, Some(state), true, Kind::Bind))
    }

    /// A directory that keeps its content from one build to the next on the same daemon, under `id`.
    pub fn cache(dest: &str, id: &str, sharing: Cache) -> Self {
        Self(Bound::new(dest, None, false, Kind::Cache { id: id.to_owned(), sharing }))
    }

    /// [`Self::cache`] that begins with what is in `state`.
    pub fn cache_from(dest: &str, id: &str, sharing: Cache, state: &State) -> Self {
        Self(Bound::new(dest, Some(state), false, Kind::Cache { id: id.to_owned(), sharing }))
    }

    /// A directory in memory, empty at first and gone afterwards, of at most `bytes`; 0 means no limit.
    pub fn tmpfs(dest: &str, bytes: u64) -> Self {
        Self(Bound::new(dest, None, false, Kind::Tmpfs { bytes: i64::try_from(bytes).unwrap_or(i64::MAX) }))
    }

    /// Mounts only this path of the state.
    #[must_use]
    pub fn selector(mut self, path: &str) -> Self {
        path.clone_into(&mut self.0.selector);
        self
    }

    /// Whether its content is a key of the result.
    #[must_use]
    pub fn content_cache(mut self, content_cache: ContentCache) -> Self {
        self.0.content_cache = content_cache;
        self
    }
}

impl Output {
    /// An empty directory.
    pub fn scratch(dest: &str) -> Self {
        Self(Bound::new(dest, None, false, Kind::Bind))
    }

    /// A state, to be changed.
    pub fn on(dest: &str, state: &State) -> Self {
        Self(Bound::new(dest, Some(state), false, Kind::Bind))
    }

    /// Whether its content is a key of the result.
    #[must_use]
    pub fn content_cache(mut self, content_cache: ContentCache) -> Self {
        self.0.content_cache = content_cache;
        self
    }
}

/// A secret of the client's (`--secret id=…`). It is in no result, and does not count for the cache. The build fails where
/// the client does not have it, unless it is [`Self::optional`].
#[derive(Debug, Clone)]
pub struct Secret {
    id: String,
    optional: bool,
    target: SecretTarget,
}

#[derive(Debug, Clone)]
enum SecretTarget {
    File { dest: String, uid: u32, gid: u32, mode: u32 },
    Env(String),
}

impl Secret {
    /// The secret `id` as the file `dest`, readable by root alone.
    pub fn file(id: &str, dest: &str) -> Self {
        let target = SecretTarget::File { dest: dest.to_owned(), uid: 0, gid: 0, mode: 0o400 };
        Self { id: id.to_owned(), optional: false, target }
    }

    /// The secret `id` as a variable of the environment. BuildKit 0.10 or newer.
    pub fn env(id: &str, name: &str) -> Self {
        Self { id: id.to_owned(), optional: false, target: SecretTarget::Env(name.to_owned()) }
    }

    /// Runs the program without it where the client does not have it.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The owner of the file and its permission bits; a variable has neither.
    #[must_use]
    pub fn owned_by(mut self, user: u32, group: u32, permissions: u32) -> Self {
        if let SecretTarget::File { uid, gid, mode, .. } = &mut self.target {
            (*uid, *gid, *mode) = (user, group, permissions);
        }
        self
    }

    pub(super) fn is_env(&self) -> bool {
        matches!(self.target, SecretTarget::Env(_))
    }

    pub(super) fn to_env(&self) -> Option<pb::SecretEnv> {
        let SecretTarget::Env(name) = &self.target else { return None };
        Some(pb::SecretEnv { id: self.id.clone(), name: name.clone(), optional: self.optional })
    }

    pub(super) fn to_mount(&self) -> Option<pb::Mount> {
        let SecretTarget::File { dest, uid, gid, mode } = &self.target else { return None };
        let (uid, gid, mode, optional) = (*uid, *gid, *mode, self.optional);
        Some(pb::Mount {
            input: -1,
            dest: dest.clone(),
            mount_type: pb::MountType::Secret.into(),
            secret_opt: Some(pb::SecretOpt { id: self.id.clone(), uid, gid, mode, optional }),
            ..pb::Mount::default()
        })
    }
}

/// The socket of an SSH agent of the client's (`--ssh id`). The variable `SSH_AUTH_SOCK` names the first one, unless it is
/// set otherwise.
#[derive(Debug, Clone)]
pub struct Ssh {
    id: String,
    dest: String,
    owner: (u32, u32, u32),
    optional: bool,
}

impl Ssh {
    /// The agent `id`; `default` is the one that `--ssh default` names.
    pub fn new(id: &str) -> Self {
        Self { id: id.to_owned(), dest: String::new(), owner: (0, 0, 0o600), optional: false }
    }

    /// The path of the socket, instead of `/run/buildkit/ssh_agent.N`.
    #[must_use]
    pub fn dest(mut self, path: &str) -> Self {
        path.clone_into(&mut self.dest);
        self
    }

    /// The owner of the socket and its permission bits, instead of root and `0600`.
    #[must_use]
    pub fn owned_by(mut self, user: u32, group: u32, permissions: u32) -> Self {
        self.owner = (user, group, permissions);
        self
    }

    /// Runs the program without it where the client does not have it.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The path of the socket of the agent that was added as number `at`.
    pub(super) fn target(&self, at: usize) -> String {
        if self.dest.is_empty() { format!("/run/buildkit/ssh_agent.{at}") } else { self.dest.clone() }
    }

    pub(super) fn to_pb(&self, at: usize) -> pb::Mount {
        let (uid, gid, mode) = self.owner;
        pb::Mount {
            input: -1,
            dest: self.target(at),
            mount_type: pb::MountType::Ssh.into(),
            ssh_opt: Some(pb::SshOpt { id: self.id.clone(), uid, gid, mode, optional: self.optional }),
            ..pb::Mount::default()
        }
    }
}
