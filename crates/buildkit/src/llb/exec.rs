//! Exec vertices: the one kind that runs a program. Owns the encoding of BuildKit's `ExecOp`; does not know what the
//! program does.

mod mount;

pub use mount::{Cache, ContentCache, Mount, Output, Secret, Ssh};

use std::marker::PhantomData;
use std::net::IpAddr;

use bollard_buildkit_proto::pb;

use super::file::Inputs;
use super::{ImageConfig, Platform, State};

/// The network that the program sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Network {
    /// The sandbox's own, as the daemon is configured.
    Sandbox,
    /// Only loopback.
    None,
    /// The daemon's. The client must allow it (`--allow network.host`).
    Host,
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

/// [`Exec`] on a root that the program can change: [`Exec::root`] is what it leaves there.
#[derive(Debug, Clone, Copy)]
pub enum Writable {}

/// [`Exec`] on a root that the program cannot change: it has only the [`Output`]s.
#[derive(Debug, Clone, Copy)]
pub enum Readonly {}

/// A program to run. The last call says which result is wanted: [`Exec::root`], [`Exec::output`] or [`Exec::outputs`].
///
/// ```
/// # use buildkit::llb::{Exec, Image, Network, Output, Platform};
/// # let platform = Platform::linux("amd64");
/// let alpine = Image::new("docker.io/library/alpine:3", &platform).state();
/// let built = Exec::new(&alpine, &platform, ["sh", "-c", "echo $WHAT > /out/greeting"])
///     .env("WHAT", "hello")
///     .network(Network::None)
///     .output(Output::scratch("/out"));
/// assert_eq!(built.marshal().len(), 2);
/// ```
#[derive(Debug, Clone)]
pub struct Exec<Root = Writable> {
    platform: Platform,
    args: Vec<String>,
    env: Vec<(String, String)>,
    cwd: String,
    user: String,
    hostname: String,
    hosts: Vec<(String, IpAddr)>,
    valid_exit_codes: Option<Vec<i32>>,
    network: Network,
    insecure: bool,
    mounts: Vec<mount::Bound>,
    secrets: Vec<Secret>,
    ssh: Vec<Ssh>,
    proxy: Proxy,
    root: PhantomData<Root>,
}

impl Exec<Writable> {
    /// Runs `args` in `root` on `platform`.
    pub fn new<S: Into<String>>(root: &State, platform: &Platform, args: impl IntoIterator<Item = S>) -> Self {
        Self::within(mount::Bound::root(root, false), platform, args)
    }

    /// The vertex: what the program leaves in its root.
    pub fn root(self) -> State {
        self.root_and_outputs([]).0
    }

    /// The vertex: what the program leaves in its root, and in several directories.
    pub fn root_and_outputs<const N: usize>(self, outputs: [Output; N]) -> (State, [State; N]) {
        self.finish(outputs, |state, numbers| State { output: numbers.of("/"), ..state.clone() })
    }
}

impl Exec<Readonly> {
    /// Runs `args` in `root`, which it cannot change.
    pub fn readonly<S: Into<String>>(root: &State, platform: &Platform, args: impl IntoIterator<Item = S>) -> Self {
        Self::within(mount::Bound::root(root, true), platform, args)
    }
}

impl<Root> Exec<Root> {
    fn within<S: Into<String>>(root: mount::Bound, platform: &Platform, args: impl IntoIterator<Item = S>) -> Self {
        Self {
            platform: platform.clone(),
            args: args.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cwd: "/".into(),
            user: String::new(),
            hostname: String::new(),
            hosts: Vec::new(),
            valid_exit_codes: None,
            network: Network::Sandbox,
            insecure: false,
            mounts: vec![root],
            secrets: Vec::new(),
            ssh: Vec::new(),
            proxy: Proxy::default(),
            root: PhantomData,
        }
    }

    /// Takes the environment, the working directory and the user of an image's configuration, as `RUN` of a Dockerfile
    /// does. What is set afterwards stands above it.
    #[must_use]
    pub fn config(mut self, config: &ImageConfig) -> Self {
        self = config.env().fold(self, |exec, (name, value)| exec.env(name, value));
        if !config.working_dir().is_empty() {
            self = self.cwd(config.working_dir());
        }
        if config.user().is_empty() { self } else { self.user(config.user()) }
    }

    /// Sets a variable of the environment. The daemon sets `PATH` where it is not set.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        // Go's client moves a variable that is set again to the end.
        self.env.retain(|(known, _)| *known != name);
        self.env.push((name, value.into()));
        self
    }

    /// The working directory; `/` where it is not set.
    #[must_use]
    pub fn cwd(mut self, path: impl Into<String>) -> Self {
        self.cwd = path.into();
        self
    }

    /// The user, and the group after a colon, by name or number: `nobody`, `1000:1000`. Root where it is not set.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = user.into();
        self
    }

    /// The host name that the program sees.
    #[must_use]
    pub fn hostname(mut self, name: impl Into<String>) -> Self {
        self.hostname = name.into();
        self
    }

    /// Adds a line to `/etc/hosts`.
    #[must_use]
    pub fn extra_host(mut self, name: impl Into<String>, address: IpAddr) -> Self {
        self.hosts.push((name.into(), address));
        self
    }

    /// The exit codes that are no failure, instead of 0 alone. BuildKit 0.17 or newer.
    #[must_use]
    pub fn valid_exit_codes(mut self, codes: impl IntoIterator<Item = i32>) -> Self {
        self.valid_exit_codes = Some(codes.into_iter().collect());
        self
    }

    /// The network that it sees.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// Runs it with all privileges. The client must allow it (`--allow security.insecure`).
    #[must_use]
    pub fn insecure(mut self) -> Self {
        self.insecure = true;
        self
    }

    /// Adds a directory whose changes are not a result.
    #[must_use]
    pub fn mount(mut self, mount: Mount) -> Self {
        self.mounts.push(mount.0);
        self
    }

    /// Adds a secret of the client's.
    #[must_use]
    pub fn secret(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Adds an SSH agent of the client's.
    #[must_use]
    pub fn ssh(mut self, ssh: Ssh) -> Self {
        self.ssh.push(ssh);
        self
    }

    /// The proxies that it uses.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = proxy;
        self
    }

    /// The vertex: what the program leaves in a directory.
    pub fn output(self, output: Output) -> State {
        let [state] = self.outputs([output]);
        state
    }

    /// The vertex: what the program leaves in several directories, in the order in which they are given.
    pub fn outputs<const N: usize>(self, outputs: [Output; N]) -> [State; N] {
        self.finish(outputs, |_, _| ()).1
    }

    fn finish<const N: usize, R>(
        mut self,
        outputs: [Output; N],
        root: impl FnOnce(&State, &Numbers) -> R,
    ) -> (R, [State; N]) {
        let wanted = outputs.each_ref().map(|output| output.0.dest.clone());
        self.mounts.extend(outputs.map(|output| output.0));
        let (state, numbers) = self.vertex();
        let root = root(&state, &numbers);
        (root, wanted.map(|dest| State { output: numbers.of(&dest), ..state.clone() }))
    }

    fn vertex(mut self) -> (State, Numbers) {
        // BuildKit wants mounts in the order of their paths (client/llb/exec.go sorts them the same way).
        self.mounts.sort_by(|a, b| a.dest.cmp(&b.dest));
        let mut inputs = Inputs::default();
        let mut numbers = Numbers::default();
        let mut mounts: Vec<pb::Mount> = Vec::with_capacity(self.mounts.len() + self.secrets.len() + self.ssh.len());
        for mount in &self.mounts {
            let input = mount.input.as_ref().map_or(-1, |state| inputs.place(state));
            let output = if mount.is_output() { numbers.next(&mount.dest) } else { -1 };
            mounts.push(mount.to_pb(input, output));
        }
        // The Go client writes secrets and then agents last, in the order in which they were added.
        mounts.extend(self.secrets.iter().filter_map(Secret::to_mount));
        mounts.extend(self.ssh.iter().enumerate().map(|(at, ssh)| ssh.to_pb(at)));
        if let Some(first) = self.ssh.first()
            && !self.env.iter().any(|(name, _)| name == "SSH_AUTH_SOCK")
        {
            self.env.push(("SSH_AUTH_SOCK".into(), first.target(0)));
        }
        let capabilities = self.capabilities();
        let proxy = (self.proxy != Proxy::default()).then_some(self.proxy);
        let op = pb::ExecOp {
            meta: Some(pb::Meta {
                args: self.args,
                env: self.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
                cwd: self.cwd,
                user: self.user,
                hostname: self.hostname,
                extra_hosts: self
                    .hosts
                    .into_iter()
                    .map(|(host, address)| pb::HostIp { host, ip: address.to_string() })
                    .collect(),
                valid_exit_codes: self.valid_exit_codes.unwrap_or_default(),
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
            network: match self.network {
                Network::Sandbox => pb::NetMode::Unset,
                Network::Host => pb::NetMode::Host,
                Network::None => pb::NetMode::None,
            }
            .into(),
            security: if self.insecure { pb::SecurityMode::Insecure } else { pb::SecurityMode::Sandbox }.into(),
            secretenv: self.secrets.iter().filter_map(Secret::to_env).collect(),
            ..pb::ExecOp::default()
        };
        (State::new(pb::op::Op::Exec(op), Some(&self.platform), inputs.into_states(), &capabilities), numbers)
    }

    fn capabilities(&self) -> Vec<&'static str> {
        let mut capabilities = vec!["exec.meta.base", "exec.mount.bind"];
        let mut needs = |needed: bool, ids: &[&'static str]| {
            if needed {
                capabilities.extend(ids);
            }
        };
        needs(self.network != Network::Sandbox, &["exec.meta.network"]);
        needs(self.insecure, &["exec.meta.security"]);
        needs(self.valid_exit_codes.is_some(), &["exec.validexitcode"]);
        needs(self.proxy != Proxy::default(), &["exec.meta.proxyenv"]);
        needs(!self.secrets.is_empty(), &["exec.mount.secret"]);
        needs(self.secrets.iter().any(Secret::is_env), &["exec.secretenv"]);
        needs(!self.ssh.is_empty(), &["exec.mount.ssh"]);
        for mount in &self.mounts {
            needs(true, mount.capabilities());
        }
        capabilities
    }
}

/// The number of each output, by the path that it is mounted at.
#[derive(Debug, Default)]
struct Numbers(Vec<String>);

impl Numbers {
    fn next(&mut self, dest: &str) -> i64 {
        self.0.push(dest.to_owned());
        number(self.0.len() - 1)
    }

    /// The number of a path that was given one: the last, where several directories are mounted over each other.
    fn of(&self, dest: &str) -> i64 {
        number(self.0.iter().rposition(|known| known == dest).expect("an output has a number"))
    }
}

fn number(at: usize) -> i64 {
    i64::try_from(at).expect("the number of mounts fits in an i64")
}
