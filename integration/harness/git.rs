//! Git servers: `git daemon` for one repository that is made from a folder, and the smart HTTP protocol. It does not know
//! what is in the folder.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::process::{Process, run};
use super::server::Head;
use super::tools::search_path;
use super::workspace::Workspace;
use super::{Context, Error, Result};

/// A running server. Dropping it ends it.
pub struct GitServer {
    address: String,
    folder: PathBuf,
    _process: Process,
}

impl GitServer {
    /// Makes a repository of all that lies in `folder`, with one commit on the branch `main`, and serves it on a port of
    /// 127.0.0.1.
    pub fn start(folder: &Path) -> Result<Self> {
        git(folder, &["init", "--quiet", "--initial-branch", "main"])?;
        let directory = Workspace::get().directory("git");
        let exec_path = git(folder, &["--exec-path"])?;
        // git daemon cannot tell which port it chose.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).context("no free port")?.port();
        // The program itself: `git daemon` would be its parent, and end without it.
        let mut command = command(&Path::new(exec_path.trim()).join("git-daemon"));
        command
            .args(["--listen=127.0.0.1", "--export-all", "--reuseaddr", "--log-destination=stderr"])
            .arg(format!("--port={port}"))
            .arg(format!("--base-path={}", folder.display()))
            .arg(folder);
        let mut process = Process::start("git daemon", command, &directory.join("log"))?;
        let address = format!("127.0.0.1:{port}");
        process.wait_until(Duration::from_secs(10), |_| TcpStream::connect(&address).ok())?;
        let server = Self { address, folder: folder.to_owned(), _process: process };
        server.commit()?;
        Ok(server)
    }

    /// Commits all that lies in the folder now.
    pub fn commit(&self) -> Result<()> {
        git(&self.folder, &["add", "--all"])?;
        let author = ["-c", "user.name=harness", "-c", "user.email=harness@example.org"];
        git(&self.folder, &[&author[..], &["commit", "--quiet", "--message", "harness"]].concat())?;
        Ok(())
    }

    /// The repository as a build context; `#main:folder` may follow.
    pub fn url(&self) -> String {
        format!("git://{}/.git", self.address)
    }
}

/// Makes a repository of all that lies in `folder`, with one commit on the branch `main`, and this tag.
pub(super) fn repository(folder: &Path, tag: &str) -> Result<()> {
    git(folder, &["init", "--quiet", "--initial-branch", "main"])?;
    git(folder, &["add", "--all"])?;
    let author = ["-c", "user.name=harness", "-c", "user.email=harness@example.org"];
    git(folder, &[&author[..], &["commit", "--quiet", "--message", "harness"]].concat())?;
    git(folder, &["tag", tag])?;
    Ok(())
}

/// Answers a request of git's smart HTTP protocol (gitprotocol-http(5)) for the repository at `folder`.
pub(super) fn answer(mut stream: &TcpStream, head: &Head, folder: &Path) -> std::io::Result<bool> {
    let advertise = head.method == "GET";
    let mut command = command(Path::new("git"));
    command.args(["upload-pack", "--stateless-rpc"]).args(advertise.then_some("--advertise-refs")).arg(folder);
    let version = head.headers.get("git-protocol").cloned().unwrap_or_default();
    command.env("GIT_PROTOCOL", &version);
    let mut asked = Vec::new();
    if head.headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        flate2::read::GzDecoder::new(head.body.as_slice()).read_to_end(&mut asked)?;
    } else {
        asked.clone_from(&head.body);
    }
    let output = run(command, &asked, Duration::from_secs(30)).map_err(std::io::Error::other)?;
    let mut body = Vec::new();
    let what = if advertise { "advertisement" } else { "result" };
    if advertise && !version.contains("version=2") {
        body.extend_from_slice(b"001e# service=git-upload-pack\n0000");
    }
    body.extend_from_slice(&output.stdout);
    let (kind, length) = (format!("application/x-git-upload-pack-{what}"), body.len());
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n")?;
    stream.write_all(&body)?;
    Ok(true)
}

/// git with nothing of the user's configuration. The repository may be another user's than the server's.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", search_path()).env("HOME", Workspace::get().path());
    for (name, value) in [("COUNT", "1"), ("KEY_0", "safe.directory"), ("VALUE_0", "*")] {
        command.env(format!("GIT_CONFIG_{name}"), value);
    }
    command
}

fn git(folder: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = command(Path::new("git"));
    command.arg("-C").arg(folder).args(arguments);
    let output = run(command, b"", Duration::from_secs(30))?;
    if !output.status.success() {
        return Err(Error(format!("git {}: {}", arguments.join(" "), output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
