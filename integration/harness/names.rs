//! The host names of one daemon: a proxy that leads `https://quay.io` and `https://dl.k8s.io` to registries and origins
//! of this process, with a certificate that the daemon trusts. It does not know what they answer.
//!
//! The daemon asks the proxy for a tunnel; nginx, at the other end, takes the TLS off and asks the proxy again, in the
//! clear. Loopback addresses go past every proxy.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::certificate::Certificate;
use super::origin::{self, Origin};
use super::process::Process;
use super::registry::Registry;
use super::server::{Head, Server};
use super::tools::{Tools, search_path};
use super::upstream::{Reply, Site, Upstream, send};
use super::workspace::Workspace;
use super::{Context, Result};

/// Where clients look for docker.io.
const DOCKER: &str = "registry-1.docker.io";

/// What a host name is.
#[derive(Clone, Copy)]
pub enum Host<'a> {
    /// A registry that images come from.
    Registry(&'a Upstream),
    /// A file server: `https://dl.k8s.io/x` is `/dl.k8s.io/x` there.
    Files(&'a Origin),
    /// The harness's own registry, which is pushed to.
    Own,
}

/// Who answers for a name.
enum Behind {
    Registry(Arc<Site>),
    Files(origin::Door),
    Own,
}

impl Behind {
    fn is_off(&self) -> bool {
        matches!(self, Self::Registry(site) if site.is_off())
    }
}

/// The names, while they lead somewhere.
pub(super) struct Names {
    server: Server,
    certificate: Certificate,
    programs: PathBuf,
    _nginx: Process,
}

impl Names {
    pub(super) fn start(tools: &Tools, registry: &Registry, names: &[(&str, Host<'_>)]) -> Result<Self> {
        let mut sites: BTreeMap<String, Behind> = BTreeMap::new();
        for (name, host) in names {
            let name = if *name == "docker.io" { DOCKER } else { name };
            let behind = match host {
                Host::Registry(upstream) => Behind::Registry(upstream.site()),
                Host::Files(origin) => Behind::Files(origin.door()),
                Host::Own => Behind::Own,
            };
            sites.insert(name.to_owned(), behind);
        }
        let hosts: Vec<&str> = sites.keys().map(String::as_str).collect();
        let certificate = Certificate::make(&hosts)?;
        let folder = Workspace::get().directory("names");
        let socket = folder.join("tls");
        let behind = socket.clone();
        let server = Server::start(Box::new(move |stream, head| answer(stream, &head, &sites, &behind)));
        let own = names.iter().filter(|(_, host)| matches!(host, Host::Own)).map(|(name, _)| *name).collect::<Vec<_>>();
        let config = nginx_conf(&folder, &certificate, &server.address().to_string(), registry.host(), &own.join(" "));
        std::fs::write(folder.join("nginx.conf"), config).context("nginx.conf could not be written")?;
        let mut command = Command::new(tools.path("nginx").join("usr/sbin/nginx"));
        command.env_clear().arg("-p").arg(&folder).arg("-c").arg(folder.join("nginx.conf")).args(["-e", "stderr"]);
        let mut nginx = Process::start("nginx", command, &folder.join("log"))?;
        nginx.wait_until(Duration::from_secs(10), |_| UnixStream::connect(&socket).ok())?;
        let names = Self { server, certificate, programs: folder.join("programs"), _nginx: nginx };
        names.write_git().context("git's wrapper could not be written")?;
        Ok(names)
    }

    /// For `HTTP_PROXY` and `HTTPS_PROXY`.
    pub(super) fn proxy(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// A folder for the beginning of the search path of the daemon. It runs git without its own environment, and git, which
    /// knows no `SSL_CERT_FILE`, would trust only what the machine trusts.
    pub(super) fn programs(&self) -> &Path {
        &self.programs
    }

    fn write_git(&self) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.programs)?;
        let path = search_path();
        let paths = std::env::split_paths(&path).map(|folder| folder.join("git"));
        let git = paths.into_iter().find(|git| git.is_file()).unwrap_or_default();
        let certificate = self.certificate();
        let script = format!("#!/bin/sh\nGIT_SSL_CAINFO={} exec {} \"$@\"\n", certificate.display(), git.display());
        let file = self.programs.join("git");
        std::fs::write(&file, script)?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))
    }

    /// For `SSL_CERT_FILE`.
    pub(super) fn certificate(&self) -> PathBuf {
        self.certificate.path()
    }
}

/// A name that leads nowhere, or to a registry that is off, is a connection that is closed.
fn answer(stream: &TcpStream, head: &Head, sites: &BTreeMap<String, Behind>, tls: &Path) -> std::io::Result<bool> {
    if head.method == "CONNECT" {
        let host = head.path.strip_suffix(":443").unwrap_or(&head.path);
        if sites.get(host).is_none_or(Behind::is_off) {
            send(stream, "CONNECT", &Reply::text(502, "nobody is there\n"))?;
            return Ok(false);
        }
        tunnel(stream, &UnixStream::connect(tls)?)?;
        return Ok(false);
    }
    let host = head.headers.get("host").map(String::as_str).unwrap_or_default();
    match sites.get(host) {
        Some(Behind::Registry(site)) => {
            site.answer(stream, head, Some(if host == DOCKER { "docker.io" } else { host }))
        }
        Some(Behind::Files(door)) => {
            let path = format!("/{host}{}", head.path);
            door.answer(stream, Head { path, ..head.clone() })
        }
        // nginx asks the registry by itself.
        Some(Behind::Own) | None => Ok(false),
    }
}

/// Copies both ways until both are done.
fn tunnel(mut client: &TcpStream, mut server: &UnixStream) -> std::io::Result<()> {
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _ = std::io::copy(&mut client, &mut server);
            let _ = server.shutdown(Shutdown::Write);
        });
        // The server ends a connection; a client that waits for more must see that.
        let copied = std::io::copy(&mut server, &mut client);
        let _ = client.shutdown(Shutdown::Both);
        copied.map(|_| ())
    })
}

fn nginx_conf(folder: &Path, certificate: &Certificate, behind: &str, registry: &str, own: &str) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("    {kind}_temp_path {}/{kind};\n", folder.display()))
        .collect();
    format!(
        "daemon off;
master_process off;
pid {folder}/pid;
error_log stderr warn;
events {{ }}
http {{
    access_log off;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    client_max_body_size 0;
{temporary}    server {{
        listen unix:{folder}/tls ssl default_server;
        location / {{
            proxy_pass http://{behind};
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_buffering off;
            proxy_redirect off;
        }}
    }}
    server {{
        listen unix:{folder}/tls ssl;
        server_name \"{own}\";
        location / {{
            proxy_pass http://{registry};
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-Proto https;
            proxy_request_buffering off;
        }}
    }}
}}
",
        folder = folder.display(),
        certificate = certificate.path().display(),
        key = certificate.key_path().display(),
    )
}
