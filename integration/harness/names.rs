//! The host names of one daemon: a proxy that leads `https://quay.io` and the like to registries of this process, with a
//! certificate that the daemon trusts. It does not know what the registries answer.
//!
//! The daemon asks the proxy for a tunnel; nginx, at the other end, takes the TLS off and asks the proxy again, in the
//! clear. Loopback addresses go past every proxy.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::certificate::Certificate;
use super::process::Process;
use super::server::{Head, Server};
use super::tools::Tools;
use super::upstream::{Reply, Site, Upstream, send};
use super::workspace::Workspace;
use super::{Context, Result};

/// Where clients look for docker.io.
const DOCKER: &str = "registry-1.docker.io";

/// The names, while they lead somewhere.
pub(super) struct Names {
    server: Server,
    certificate: Certificate,
    _nginx: Process,
}

impl Names {
    pub(super) fn start(tools: &Tools, names: &[(&str, &Upstream)]) -> Result<Self> {
        let mut sites: BTreeMap<String, Arc<Site>> = BTreeMap::new();
        for (name, upstream) in names {
            let name = if *name == "docker.io" { DOCKER } else { name };
            sites.insert(name.to_owned(), upstream.site());
        }
        let hosts: Vec<&str> = sites.keys().map(String::as_str).collect();
        let certificate = Certificate::make(&hosts)?;
        let folder = Workspace::get().directory("names");
        let socket = folder.join("tls");
        let behind = socket.clone();
        let server = Server::start(Box::new(move |stream, head| answer(stream, &head, &sites, &behind)));
        let config = nginx_conf(&folder, &certificate, &server.address().to_string());
        std::fs::write(folder.join("nginx.conf"), config).context("nginx.conf could not be written")?;
        let mut command = Command::new(tools.path("nginx").join("usr/sbin/nginx"));
        command.env_clear().arg("-p").arg(&folder).arg("-c").arg(folder.join("nginx.conf")).args(["-e", "stderr"]);
        let mut nginx = Process::start("nginx", command, &folder.join("log"))?;
        nginx.wait_until(Duration::from_secs(10), |_| UnixStream::connect(&socket).ok())?;
        Ok(Self { server, certificate, _nginx: nginx })
    }

    /// For `HTTP_PROXY` and `HTTPS_PROXY`.
    pub(super) fn proxy(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// For `SSL_CERT_FILE`.
    pub(super) fn certificate(&self) -> PathBuf {
        self.certificate.path()
    }
}

/// A name that leads nowhere, or to a registry that is off, is a connection that is closed.
fn answer(stream: &TcpStream, head: &Head, sites: &BTreeMap<String, Arc<Site>>, tls: &Path) -> std::io::Result<bool> {
    if head.method == "CONNECT" {
        let host = head.path.strip_suffix(":443").unwrap_or(&head.path);
        if sites.get(host).is_none_or(|site| site.is_off()) {
            send(stream, "CONNECT", &Reply::text(502, "nobody is there\n"))?;
            return Ok(false);
        }
        tunnel(stream, &UnixStream::connect(tls)?)?;
        return Ok(false);
    }
    let host = head.headers.get("host").map(String::as_str).unwrap_or_default();
    let Some(site) = sites.get(host) else { return Ok(false) };
    let name = if host == DOCKER { "docker.io" } else { host }.to_owned();
    site.answer(stream, head, Some(&name))
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

fn nginx_conf(folder: &Path, certificate: &Certificate, behind: &str) -> String {
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
{temporary}    server {{
        listen unix:{folder}/tls ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        location / {{
            proxy_pass http://{behind};
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_buffering off;
            proxy_redirect off;
        }}
    }}
}}
",
        folder = folder.display(),
        certificate = certificate.path().display(),
        key = certificate.key_path().display(),
    )
}
