//! Clients that pull from a started registry container: skopeo and crane, run inside the container's network, where the
//! registry is `127.0.0.1:5000`. It does not know what the registry holds.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::certificate::Certificate;
use super::container::Container;
use super::image::digest;
use super::process::{Output, run};
use super::upstream::Login;
use super::workspace::Workspace;
use super::{Context, Error, Result};

/// Where a registry listens inside its own network.
pub const ADDRESS: &str = "127.0.0.1:5000";

const WITHIN: Duration = Duration::from_mins(2);

/// A line of an htpasswd file, in bcrypt as distribution wants it, and the login that fits.
pub fn htpasswd() -> (Login, &'static str) {
    let login = Login::new("harness", "open sesame");
    (login, "harness:$2b$05$ksoharnessksoharnesskuvw6HGKiT2cGjc9nCneHGrjJQMmiE4e2\n")
}

/// Somebody inside the network of a registry container.
pub struct Client<'a> {
    container: &'a Container,
    home: PathBuf,
    tls: bool,
}

impl<'a> Client<'a> {
    /// Over plain HTTP, without a login.
    pub fn new(container: &'a Container) -> Self {
        Self { container, home: Workspace::get().directory("client"), tls: false }
    }

    /// Over TLS; trusts this certificate and no other.
    #[must_use]
    pub fn trusting(mut self, certificate: &Certificate) -> Self {
        self.write("ca.crt", &certificate.certificate());
        self.tls = true;
        self
    }

    /// With what `docker login` leaves behind.
    #[must_use]
    pub fn login(self, login: &Login) -> Self {
        let auths = serde_json::json!({ "auths": { ADDRESS: { "auth": login.basic() } } });
        self.write("config.json", auths.to_string().as_bytes());
        self
    }

    /// Runs `skopeo` with these arguments, to which TLS and login are added where the command takes them.
    pub fn skopeo(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = self.command("skopeo");
        command.args(["--insecure-policy", "--tmpdir"]).arg(&self.home).args(arguments);
        let verify = match arguments.first() {
            Some(&"copy") if arguments.last().is_some_and(|last| last.starts_with("docker:")) => "--dest-tls-verify",
            Some(&"copy") => "--src-tls-verify",
            _ => "--tls-verify",
        };
        command.arg(format!("{verify}={}", self.tls));
        self.run(command)
    }

    /// Runs `crane` with these arguments.
    pub fn crane(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = self.command("crane");
        command.args(arguments);
        self.run(command)
    }

    /// `skopeo copy` of the image of one platform into a new folder, blobs checked; what was pulled.
    #[track_caller]
    pub fn pull(&self, image: &str, platform: &str) -> Pulled {
        let (os, arch) = platform.split_once('/').unwrap_or(("linux", platform));
        let folder = Workspace::get().directory("pulled");
        let (from, to) = (format!("docker://{ADDRESS}/{image}"), format!("dir:{}", folder.display()));
        let copied =
            self.skopeo(&["--override-os", os, "--override-arch", arch, "copy", "--preserve-digests", &from, &to]);
        copied.unwrap_or_else(|error| panic!("{image}: {error}\nthe registry's log:\n{}", self.container.log()));
        Pulled { folder }
    }

    /// `crane pull` of the image of one platform, which checks every digest; `crane digest` of what the reference names.
    #[track_caller]
    pub fn crane_pull(&self, image: &str, platform: &str) -> String {
        let reference = format!("{ADDRESS}/{image}");
        let layout = Workspace::get().directory("pulled");
        let pulled = self
            .crane(&["pull", "--platform", platform, "--format", "oci", &reference, &layout.to_string_lossy()])
            .and_then(|_| self.crane(&["digest", &reference]));
        match pulled {
            Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            Err(error) => panic!("{image}: {error}\nthe registry's log:\n{}", self.container.log()),
        }
    }

    /// The bytes of what a reference names, as the registry has them: `skopeo inspect --raw`.
    #[track_caller]
    pub fn raw(&self, image: &str) -> Vec<u8> {
        let inspected = self.skopeo(&["inspect", "--raw", &format!("docker://{ADDRESS}/{image}")]);
        inspected
            .unwrap_or_else(|error| panic!("{image}: {error}\nthe registry's log:\n{}", self.container.log()))
            .stdout
    }

    /// All repositories: `crane catalog`.
    #[track_caller]
    pub fn catalog(&self) -> Vec<String> {
        self.lines(&["catalog", ADDRESS])
    }

    /// The tags of a repository: `crane ls`.
    #[track_caller]
    pub fn tags(&self, repository: &str) -> Vec<String> {
        self.lines(&["ls", &format!("{ADDRESS}/{repository}")])
    }

    /// Pushes what [`Client::pull`] has pulled under another name.
    #[track_caller]
    pub fn push(&self, pulled: &Pulled, image: &str) {
        let (from, to) = (format!("dir:{}", pulled.folder.display()), format!("docker://{ADDRESS}/{image}"));
        let copied = self.skopeo(&["copy", "--preserve-digests", &from, &to]);
        copied.unwrap_or_else(|error| panic!("{image}: {error}\nthe registry's log:\n{}", self.container.log()));
    }

    #[track_caller]
    fn lines(&self, arguments: &[&str]) -> Vec<String> {
        let output = self.crane(arguments).unwrap_or_else(|error| panic!("{error}"));
        let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    fn command(&self, name: &str) -> Command {
        let mut command = self.container.tools().command(name, &self.home);
        command.env("DOCKER_CONFIG", &self.home).env("REGISTRY_AUTH_FILE", self.home.join("config.json"));
        if self.tls {
            // Both are written in Go, whose TLS trusts what this names.
            command.env("SSL_CERT_FILE", self.home.join("ca.crt"));
        }
        command
    }

    fn run(&self, command: Command) -> Result<Output> {
        let what = format!("{command:?}");
        let output = self.container.inside(|| run(command, b"", WITHIN))?;
        if output.status.success() { Ok(output) } else { Err(Error(format!("{what}:\n{}", output.stderr))) }
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.home.join(name);
        std::fs::write(&path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// A folder that skopeo has pulled into.
pub struct Pulled {
    folder: PathBuf,
}

impl Pulled {
    /// The digest of the manifest as it was pulled.
    #[track_caller]
    pub fn digest(&self) -> String {
        digest(&self.read("manifest.json"))
    }

    /// The digests of the configs and layers, from their bytes.
    #[track_caller]
    pub fn blobs(&self) -> std::collections::BTreeSet<String> {
        let entries = std::fs::read_dir(&self.folder).unwrap_or_else(|error| panic!("{error}")).filter_map(Result::ok);
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.len() == 64).map(|name| digest(&self.read(&name))).collect()
    }

    #[track_caller]
    fn read(&self, name: &str) -> Vec<u8> {
        let path = self.folder.join(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

/// `registry garbage-collect --dry-run` on a storage folder: what it says.
#[track_caller]
pub fn garbage(tools: &super::Tools, storage: &Path, arguments: &[&str]) -> String {
    let folder = Workspace::get().directory("garbage");
    let config = folder.join("config.yml");
    let text = format!(
        "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n",
        storage.display()
    );
    std::fs::write(&config, text).unwrap_or_else(|error| panic!("{error}"));
    let mut command = tools.command("registry", &folder);
    command.args(["garbage-collect", "--dry-run"]).args(arguments).arg(&config).env("OTEL_TRACES_EXPORTER", "none");
    let output = run(command, b"", WITHIN).unwrap_or_else(|error| panic!("{error}"));
    assert!(output.status.success(), "garbage-collect ({}):\n{}", output.status, output.stderr);
    format!("{}{}", String::from_utf8_lossy(&output.stdout), output.stderr)
}
