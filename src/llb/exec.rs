//! Exec vertices: the one kind that runs a program. Nothing that was downloaded may run
//! in a build, only kso itself; this module does not know that.

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

/// A directory that the program sees.
#[derive(Debug, Clone)]
pub struct Mount {
    dest: String,
    input: Option<State>,
    readonly: bool,
}

impl Mount {
    /// A state, to be changed.
    pub fn new(dest: &str, state: &State) -> Self {
        Self { dest: dest.into(), input: Some(state.clone()), readonly: false }
    }

    /// A state that the program cannot change: no output.
    pub fn readonly(dest: &str, state: &State) -> Self {
        Self { dest: dest.into(), input: Some(state.clone()), readonly: true }
    }

    /// An empty directory.
    pub fn scratch(dest: &str) -> Self {
        Self { dest: dest.into(), input: None, readonly: false }
    }
}

/// A program to run.
#[derive(Debug, Clone)]
pub struct Exec {
    platform: Platform,
    args: Vec<String>,
    network: Network,
    mounts: Vec<Mount>,
}

impl Exec {
    /// Runs `args` in `root` on `platform`.
    pub fn new<S: Into<String>>(root: &State, platform: &Platform, args: impl IntoIterator<Item = S>) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        Self { platform: platform.clone(), args, network: Network::Sandbox, mounts: vec![Mount::new("/", root)] }
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

    /// The vertex: what the program leaves in the mount at `dest`. `None` if there is no such mount or it cannot be
    /// changed.
    pub fn output(mut self, dest: &str) -> Option<State> {
        // BuildKit wants mounts in order of their path (client/llb/exec.go sorts them the same way).
        self.mounts.sort_by(|a, b| a.dest.cmp(&b.dest));
        let mut inputs = Inputs::default();
        let mut outputs = 0;
        let mut wanted = None;
        let mounts = self
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
                pb::Mount { input, dest: mount.dest.clone(), output, readonly: mount.readonly, ..Default::default() }
            })
            .collect();
        let (network, mut capabilities) = match self.network {
            Network::Sandbox => (pb::NetMode::Unset, vec![]),
            Network::None => (pb::NetMode::None, vec!["exec.meta.network"]),
        };
        capabilities.extend(["exec.meta.base", "exec.mount.bind"]);
        let op = pb::ExecOp {
            meta: Some(pb::Meta {
                args: self.args,
                cwd: "/".into(),
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
