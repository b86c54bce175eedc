//! A built image really started: unpacked, run by runc in a network of its own, asked over HTTP. It does not know
//! what the image holds.

use std::fs::File;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use serde_json::{Value, json};

use super::http::{Response, request};
use super::image::unpack;
use super::process::{Output, Process, run};
use super::workspace::Workspace;
use super::{Context, Harness, Result, Tools};

/// What Docker gives a container.
const CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// A running container. It sees no network but its own loopback, so port 80 is always free.
pub struct Container {
    tools: Tools,
    id: String,
    directory: PathBuf,
    process: Process,
    network: File,
    root: PathBuf,
}

/// An image of the harness's registry that is unpacked and can be started, once.
pub struct Unpacked {
    tools: Tools,
    root: PathBuf,
    config: Value,
    port: u16,
}

impl Unpacked {
    /// The folder that is the container's root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `docker run -e NAME=VALUE`
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        let env = &mut self.config["Env"];
        if env.is_null() {
            *env = json!([]);
        }
        env.as_array_mut().expect("Env is a list").push(format!("{name}={value}").into());
        self
    }

    /// A file that a user would mount.
    #[must_use]
    pub fn file(self, path: &str, content: &[u8]) -> Self {
        let path = self.root.join(path.trim_start_matches('/'));
        let written = std::fs::create_dir_all(path.parent().expect("a file lies in a folder"))
            .and_then(|()| std::fs::write(&path, content));
        written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self
    }

    /// The port that is waited for.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Starts it, and waits until somebody listens on the port.
    #[track_caller]
    pub fn start(self) -> Container {
        let started = Container::run(&self.tools, &self.root, &self.config);
        let listening = started.and_then(|container| container.listening(self.port).map(|()| container));
        listening.unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Container {
    /// Starts an image of the harness's registry, and waits until it answers on port 80.
    #[track_caller]
    pub fn start(harness: &Harness, image: &str, platform: &str) -> Self {
        Self::unpack(harness, image, platform).start()
    }

    /// Unpacks an image of the harness's registry.
    #[track_caller]
    pub fn unpack(harness: &Harness, image: &str, platform: &str) -> Unpacked {
        let found = harness.registry().image(image, platform);
        let repository = image.split_once('@').or_else(|| image.rsplit_once(':')).map_or(image, |(name, _)| name);
        let root = Workspace::get().directory("rootfs");
        for layer in found.layers() {
            unpack(&harness.registry().blob(repository, &layer), &root)
                .unwrap_or_else(|error| panic!("{image} for {platform}: {error}"));
        }
        Unpacked { tools: harness.tools().clone(), root, config: found.config["config"].clone(), port: 80 }
    }

    /// Runs what `config` (the `config` object of an image config: `Entrypoint`, `Cmd`, `Env`, …) says in `root`.
    pub fn run(tools: &Tools, root: &Path, config: &Value) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let workspace = Workspace::get();
        let directory = workspace.directory("container");
        let id = format!("{}-{}", workspace.cgroup(), NEXT.fetch_add(1, Ordering::Relaxed));
        let bundle = runtime_config(root, config, &format!("/{}/{id}", workspace.cgroup()));
        std::fs::write(directory.join("config.json"), bundle.to_string())
            .context("config.json could not be written")?;
        let mut command = runc(tools, &directory);
        command.arg("run").arg("--bundle").arg(&directory).arg("--pid-file").arg(directory.join("pid")).arg(&id);
        let mut process = Process::start("runc run", command, &directory.join("log"))?;
        let network = process.wait_until(Duration::from_secs(20), |_| {
            let pid: u32 = std::fs::read_to_string(directory.join("pid")).ok()?.trim().parse().ok()?;
            File::open(format!("/proc/{pid}/ns/net")).ok()
        })?;
        Ok(Self { tools: tools.clone(), id, directory, process, network, root: root.to_owned() })
    }

    /// The folder that is the container's root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The programs it was started with.
    pub(super) fn tools(&self) -> &Tools {
        &self.tools
    }

    /// What the container has written to stdout and stderr.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// `docker exec`: runs a program in it.
    #[track_caller]
    pub fn exec(&self, arguments: &[&str]) -> Output {
        let mut command = runc(&self.tools, &self.directory);
        command.arg("exec").arg(&self.id).args(arguments);
        run(command, b"", Duration::from_mins(2)).unwrap_or_else(|error| panic!("{error}"))
    }

    /// GETs a path at `127.0.0.1:80` inside the container's network.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.request("GET", "127.0.0.1", path, &[])
    }

    /// GETs a path at `[::1]:80` inside the container's network.
    #[track_caller]
    pub fn get6(&self, path: &str) -> Response {
        self.request("GET", "[::1]", path, &[])
    }

    /// Any request without a body, to any host the container's network has.
    #[track_caller]
    pub fn request(&self, method: &str, host: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        self.inside(|| request(method, &format!("http://{host}{path}"), headers, None))
            .unwrap_or_else(|error| panic!("{error}\nthe container's log:\n{}", self.log()))
    }

    /// Does `work` inside the container's network, in a thread of its own, since a network belongs to a thread.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&self.network, CloneFlags::CLONE_NEWNET).context("the network could not be entered")?;
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn listening(&self, port: u16) -> Result<()> {
        let began = Instant::now();
        loop {
            match self.inside(|| TcpStream::connect(("127.0.0.1", port)).context(format_args!("port {port}"))) {
                Ok(_) => return Ok(()),
                Err(error) if began.elapsed() > Duration::from_secs(20) => {
                    return Err(error).context(format_args!("no answer; its log:\n{}\n", self.log()));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // runc hands SIGTERM on to the container; the container's record is then removed, and whatever still runs in it.
        self.process.stop();
        let mut command = runc(&self.tools, &self.directory);
        command.args(["delete", "--force", &self.id]);
        let _ = run(command, b"", Duration::from_secs(20));
    }
}

fn runc(tools: &Tools, directory: &Path) -> Command {
    let mut command = tools.command("runc", directory);
    command.arg("--root").arg(Workspace::get().path().join("runc"));
    command
}

/// The OCI runtime config: Docker's defaults as far as a server needs them.
fn runtime_config(root: &Path, config: &Value, cgroup: &str) -> Value {
    let list = |key: &str| config[key].as_array().cloned().unwrap_or_default();
    let args: Vec<Value> = list("Entrypoint").into_iter().chain(list("Cmd")).collect();
    let cwd = config["WorkingDir"].as_str().filter(|folder| !folder.is_empty()).unwrap_or("/");
    let namespaces = ["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({ "type": kind }));
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": args,
            "env": list("Env"),
            "cwd": cwd,
            "capabilities": { "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES },
            "noNewPrivileges": true,
        },
        "root": { "path": root, "readonly": false },
        "hostname": "container",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
            { "destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev"] },
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": namespaces,
        },
    })
}
