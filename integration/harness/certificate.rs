//! Self-signed certificates. It does not know who serves with them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::process::run;
use super::tools::search_path;
use super::workspace::Workspace;
use super::{Context, Error, Result};

/// A certificate and its key, which is at the same time what a client must trust.
#[derive(Debug, Clone)]
pub struct Certificate {
    folder: PathBuf,
}

impl Certificate {
    /// Makes one for localhost, 127.0.0.1 and these host names.
    pub fn make(names: &[&str]) -> Result<Self> {
        let folder = Workspace::get().directory("certificate");
        let names: String = names.iter().flat_map(|name| [",DNS:", name]).collect();
        let mut command = Command::new("openssl");
        command.env("PATH", search_path()).current_dir(&folder);
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
        command.args(["-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem"]);
        // An authority may not serve (RFC 5280, as rustls reads it), though openssl makes one of it if it is not told.
        command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        command.arg("-addext").arg(format!("subjectAltName=DNS:localhost,IP:127.0.0.1{names}"));
        let output = run(command, b"", Duration::from_mins(1))?;
        if !output.status.success() {
            return Err(Error(format!("openssl req: {}", output.stderr)));
        }
        Ok(Self { folder })
    }

    /// The file of the certificate, PEM.
    pub fn path(&self) -> PathBuf {
        self.folder.join("cert.pem")
    }

    /// The file of the key, PEM.
    pub fn key_path(&self) -> PathBuf {
        self.folder.join("key.pem")
    }

    /// The certificate, PEM.
    #[track_caller]
    pub fn certificate(&self) -> Vec<u8> {
        read(&self.path())
    }

    /// The key, PEM.
    #[track_caller]
    pub fn key(&self) -> Vec<u8> {
        read(&self.key_path())
    }
}

#[track_caller]
fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
