//! Exec vertices: the one kind that runs a program. Does not know what the program does.

use super::file::Inputs;
use super::{Platform, State};
use bollard_buildkit_proto::pb;

/// What network the program sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// The sandbox's own, as the daemon is configured.
    Sandbox,
    /// None but loopback.
    None,
}

/// Whether the content of a mount is another key of the result, beside the definition of what is mounted. BuildKit reads
/// all of it for that, where the definition alone finds nothing in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentCache {
    /// Yes, but for the root.
    Default,
    /// No: the definition says all.
    Off,
}

impl ContentCache {
    fn proto(self) -> i32 {
        match self {
            Self::Default => pb::MountContentCache::Default,
            Self::Off => pb::MountContentCache::Off,
        }
        .into()
    }
}

/// A directory that the program sees.
#[derive(Debug, Clone)]
pub struct Mount {
    dest: String,
    input: Option<State>,
    readonly: bool,
    content_cache: ContentCache,
}

/// A file of the client's that the program sees, if the client has it. It is in no result, and does not count for the
/// cache.
#[derive(Debug, Clone)]
pub struct Secret {
    dest: String,
    id: String,
}

impl Secret {
    /// The secret `id` (`--secret id=…`) as the file `dest`, readable by root alone.
    pub fn optional(dest: &str, id: &str) -> Self {
        Self { dest: dest.into(), id: id.into() }
    }

    fn to_pb(&self) -> pb::Mount {
        let options = pb::SecretOpt { id: self.id.clone(), mode: 0o400, optional: true, ..pb::SecretOpt::default() };
        pb::Mount {
            input: -1,
            dest: self.dest.clone(),
            mount_type: pb::MountType::Secret.into(),
            secret_opt: Some(options),
            ..pb::Mount::default()
        }
    }
}

/// The proxies that the program sees, as variables of its environment. They do not count for the cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxy {
    /// `HTTP_PROXY`
    pub http: String,
    /// `HTTPS_PROXY`
    pub https: String,
    /// `FTP_PROXY`
    pub ftp: String,
    /// `NO_PROXY`
    pub no: String,
    /// `ALL_PROXY`
    pub all: String,
}

impl Mount {
    /// A state, to be changed.
    pub fn new(dest: &str, state: &State) -> Self {
        Self { dest: dest.into(), input: Some(state.clone()), readonly: false, content_cache: ContentCache::Default }
    }

    /// A state that the program cannot change: no output.
    pub fn readonly(dest: &str, state: &State) -> Self {
        Self { readonly: true, ..Self::new(dest, state) }
    }

    /// An empty directory.
    pub fn scratch(dest: &str) -> Self {
        Self { dest: dest.into(), input: None, readonly: false, content_cache: ContentCache::Default }
    }

    /// Whether its content is a key of the result.
    #[must_use]
    pub fn content_cache(self, content_cache: ContentCache) -> Self {
        Self { content_cache, ..self }
    }
}

/// A program to run.
#[derive(Debug, Clone)]
pub struct Exec {
    platform: Platform,
    args: Vec<String>,
    network: Network,
    mounts: Vec<Mount>,
    secrets: Vec<Secret>,
    proxy: Proxy,
}

impl Exec {
    /// Runs `args` in `root` on `platform`.
    pub fn new<S: Into<String>>(root: &State, platform: &Platform, args: impl IntoIterator<Item = S>) -> Self {
        Self::within(Mount::new("/", root), platform, args)
    }

    /// Runs `args` in `root`, which it cannot change.
    pub fn readonly<S: Into<String>>(root: &State, platform: &Platform, args: impl IntoIterator<Item = S>) -> Self {
        Self::within(Mount::readonly("/", root), platform, args)
    }

    fn within<S: Into<String>>(root: Mount, platform: &Platform, args: impl IntoIterator<Item = S>) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        let (network, secrets, proxy) = (Network::Sandbox, Vec::new(), Proxy::default());
        Self { platform: platform.clone(), args, network, mounts: vec![root], secrets, proxy }
    }

    /// What network it sees.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// One more directory.
    #[must_use]
    pub fn mount(mut self, mount: Mount) -> Self {
        self.mounts.push(mount);
        self
    }

    /// One more secret.
    #[must_use]
    pub fn secret(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// The proxies that it is to use.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = proxy;
        self
    }

    /// The vertex: what the program leaves in the mount at `dest`. `None` if there is no such mount or it cannot be
    /// changed.
    pub fn output(mut self, dest: &str) -> Option<State> {
        // BuildKit wants mounts in order of their path (client/llb/exec.go sorts them the same way).
        self.mounts.sort_by(|a, b| a.dest.cmp(&b.dest));
        let mut inputs = Inputs::default();
        let mut outputs = 0;
        let mut wanted = None;
        let mounts: Vec<pb::Mount> = self
            .mounts
            .iter()
            .map(|mount| {
                let input = mount.input.as_ref().map_or(-1, |state| inputs.place(state));
                let output = if mount.readonly {
                    -1
                } else {
                    outputs += 1;
                    outputs - 1
                };
                if mount.dest == dest && output >= 0 {
                    wanted = Some(output);
                }
                pb::Mount {
                    input,
                    dest: mount.dest.clone(),
                    output,
                    readonly: mount.readonly,
                    content_cache: mount.content_cache.proto(),
                    ..Default::default()
                }
            })
            // The Go client writes secrets last, in the order in which they were asked for.
            .chain(self.secrets.iter().map(Secret::to_pb))
            .collect();
        let content_cache = self.mounts.iter().any(|mount| mount.content_cache != ContentCache::Default);
        let (network, mut capabilities) = match self.network {
            Network::Sandbox => (pb::NetMode::Unset, vec![]),
            Network::None => (pb::NetMode::None, vec!["exec.meta.network"]),
        };
        capabilities.extend(["exec.meta.base", "exec.mount.bind"]);
        capabilities.extend(content_cache.then_some("exec.mount.cache.content"));
        if !self.secrets.is_empty() {
            capabilities.push("exec.mount.secret");
        }
        let proxy = (self.proxy != Proxy::default()).then_some(self.proxy);
        if proxy.is_some() {
            capabilities.push("exec.meta.proxyenv");
        }
        let op = pb::ExecOp {
            meta: Some(pb::Meta {
                args: self.args,
                cwd: "/".into(),
                proxy_env: proxy.map(|Proxy { http, https, ftp, no, all }| pb::ProxyEnv {
                    http_proxy: http,
                    https_proxy: https,
                    ftp_proxy: ftp,
                    no_proxy: no,
                    all_proxy: all,
                }),
                remove_mount_stubs_recursive: true,
                ..pb::Meta::default()
            }),
            mounts,
            network: network.into(),
            ..pb::ExecOp::default()
        };
        let mut state = State::new(pb::op::Op::Exec(op), Some(&self.platform), inputs.into_states(), &capabilities);
        state.output = wanted?;
        Some(state)
    }
}
