//! The distribution registry of a run, and a small client for it. It does not know what the images are for.
//!
//! An image is named by its path in this registry: `org/x:tag`, `org/x@sha256:…`. An image of another registry lies
//! below that registry's host, where the daemons' mirror setting finds it: `docker.io/library/nginx:1.27-alpine`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use nix::sys::signal::Signal;
use serde_json::Value;

use super::http::{Response, request};
use super::image::{INDEX, Image, MANIFEST, digest, platform_of};
use super::process::Process;
use super::tools::Tools;
use super::workspace::Workspace;
use super::{Context, Error, Result};

/// A running registry.
pub struct Registry {
    host: String,
    storage: PathBuf,
    directory: PathBuf,
    tools: Tools,
    process: Process,
}

/// A request the registry answered, from its access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// `GET`, `HEAD`, `PUT`, …
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The status code.
    pub status: u16,
    /// The bytes of the answer's body.
    pub bytes: u64,
}

/// One platform's image.
#[derive(Debug, Clone)]
pub struct PlatformImage {
    /// The manifest's digest.
    pub digest: String,
    /// The manifest.
    pub manifest: Value,
    /// The config.
    pub config: Value,
}

impl PlatformImage {
    /// The digests of the layers (compressed, as pushed), lowest first.
    pub fn layers(&self) -> Vec<String> {
        strings(&self.manifest["layers"], |layer| &layer["digest"])
    }

    /// The digests of the layers' tars, lowest first.
    pub fn diff_ids(&self) -> Vec<String> {
        strings(&self.config["rootfs"]["diff_ids"], |id| id)
    }
}

fn strings(list: &Value, of: impl Fn(&Value) -> &Value) -> Vec<String> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|item| of(item).as_str().unwrap_or_default().to_owned()).collect()
}

impl Registry {
    /// Starts a registry with empty storage on a free port of 127.0.0.1.
    pub fn start(tools: &Tools) -> Result<Self> {
        let directory = Workspace::get().directory("registry");
        let (process, host) = Self::launch(tools, &directory, "127.0.0.1:0")?;
        Ok(Self { host, storage: directory.join("storage"), directory, tools: tools.clone(), process })
    }

    /// `kill -9`; [`Registry::restart`] starts it again.
    pub fn kill(&mut self) {
        self.process.signal(Signal::SIGKILL);
        self.process.wait(Duration::from_secs(10)).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Starts it again where it was, with what it had.
    pub fn restart(&mut self) -> Result<()> {
        self.process.stop();
        (self.process, self.host) = Self::launch(&self.tools, &self.directory, &self.host)?;
        Ok(())
    }

    /// Starts it at an address, and says which that is.
    fn launch(tools: &Tools, directory: &Path, address: &str) -> Result<(Process, String)> {
        let storage = directory.join("storage");
        let config = directory.join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
             http: {{addr: '{address}', secret: harness}}\n",
            storage.display()
        );
        std::fs::write(&config, text).context("the registry's config could not be written")?;
        let mut command = tools.command("registry", directory);
        command.arg("serve").arg(&config).env("OTEL_TRACES_EXPORTER", "none");
        let log = directory.join("log");
        let before = std::fs::read_to_string(&log).unwrap_or_default().len();
        let mut process = Process::start("registry", command, &log)?;
        let host = process.wait_until(Duration::from_secs(20), |process| {
            let log = process.log().split_off(before);
            let at = log.find("listening on 127.0.0.1:")? + "listening on ".len();
            let end = log[at..].find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'))?;
            Some(log[at..at + end].to_owned())
        })?;
        Ok((process, host))
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What a builder is told to push to or to pull from: `org/x:tag` becomes `127.0.0.1:PORT/org/x:tag`.
    pub fn reference(&self, image: &str) -> String {
        format!("{}/{image}", self.host)
    }

    /// The folder of its filesystem storage, which holds `docker/registry/v2`.
    pub fn storage(&self) -> &PathBuf {
        &self.storage
    }

    /// Every request answered so far.
    pub fn accesses(&self) -> Vec<Access> {
        self.process.log().lines().filter_map(Access::parse).collect()
    }

    /// The bytes of all bodies that were sent so far.
    pub fn sent(&self) -> u64 {
        self.accesses().iter().filter(|access| access.method == "GET").map(|access| access.bytes).sum()
    }

    /// The top document of an image, which must be an index.
    #[track_caller]
    pub fn index(&self, image: &str) -> Value {
        let index = self.document(image);
        assert!(index["manifests"].is_array(), "{image} is no index but {index:#}");
        index
    }

    /// The top document of an image, whatever it is: an index or a manifest.
    #[track_caller]
    pub fn document(&self, image: &str) -> Value {
        json_of(&self.fetch(image), image)
    }

    /// The digest of the top document of an image.
    #[track_caller]
    pub fn digest(&self, image: &str) -> String {
        digest(&self.fetch(image))
    }

    /// The manifest and config of one platform (`linux/arm64`); if the image is a single manifest, that one.
    #[track_caller]
    pub fn image(&self, image: &str, platform: &str) -> PlatformImage {
        let (name, _) = split(image);
        let top = self.fetch(image);
        let document = json_of(&top, image);
        let manifest = match document["manifests"].as_array() {
            None => top,
            Some(manifests) => {
                let wanted = platform_of(platform);
                let found = manifests
                    .iter()
                    .find(|manifest| ["os", "architecture"].iter().all(|key| manifest["platform"][key] == wanted[key]));
                let found = found.unwrap_or_else(|| panic!("{image} has no {platform}: {document:#}"));
                self.fetch(&format!("{name}@{}", found["digest"].as_str().unwrap_or_default()))
            }
        };
        let digest = digest(&manifest);
        let manifest = json_of(&manifest, image);
        let config = json_of(&self.blob(name, manifest["config"]["digest"].as_str().unwrap_or_default()), image);
        PlatformImage { digest, manifest, config }
    }

    /// The bytes of a blob of a repository.
    #[track_caller]
    pub fn blob(&self, repository: &str, digest: &str) -> Vec<u8> {
        let response = self.get(&format!("/v2/{repository}/blobs/{digest}"));
        assert_eq!(response.status, 200, "blob {digest} of {repository}: {}", response.text());
        response.body
    }

    /// Everything that a pushed image consists of, with what it is: documents, attestations, configs, and layers as they are
    /// and unpacked. It must be an index.
    #[track_caller]
    pub fn everything(&self, image: &str) -> Vec<(String, Vec<u8>)> {
        let (name, _) = split(image);
        let mut all = vec![("the index".to_owned(), self.fetch(image))];
        for entry in self.index(image)["manifests"].as_array().into_iter().flatten() {
            let digest = entry["digest"].as_str().unwrap_or_default();
            let manifest = self.fetch(&format!("{name}@{digest}"));
            let document = json_of(&manifest, image);
            all.push((format!("the manifest {digest}"), manifest));
            let layers = document["layers"].as_array().into_iter().flatten();
            for descriptor in layers.chain([&document["config"]]) {
                let digest = descriptor["digest"].as_str().unwrap_or_default();
                let bytes = self.blob(name, digest);
                let mut unpacked = Vec::new();
                if MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked).is_ok() {
                    all.push((format!("the layer {digest}, unpacked,"), unpacked));
                }
                all.push((format!("the blob {digest}"), bytes));
            }
        }
        all
    }

    /// The tags of a repository; empty when there is no such repository.
    #[track_caller]
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let response = self.get(&format!("/v2/{repository}/tags/list"));
        if response.status == 404 {
            return Vec::new();
        }
        strings(&json_of(&response.body, repository)["tags"], |tag| tag)
    }

    /// Pushes an image: every blob, every manifest, and the index under the tag.
    pub fn push(&self, image: &str, content: &Image) -> Result<()> {
        let (name, tag) = split(image);
        for (digest, bytes) in &content.blobs {
            let upload = self.send("POST", &format!("/v2/{name}/blobs/uploads/"), "", &[])?;
            let location = upload.headers.get("location").context("the registry names no upload")?;
            let path = location.split_once(&self.host).map_or(location.as_str(), |(_, path)| path);
            self.send("PUT", &format!("{path}&digest={digest}"), "application/octet-stream", bytes)?;
        }
        for manifest in &content.manifests {
            self.send("PUT", &format!("/v2/{name}/manifests/{}", digest(manifest)), MANIFEST, manifest)?;
        }
        self.send("PUT", &format!("/v2/{name}/manifests/{tag}"), INDEX, &content.index())?;
        Ok(())
    }

    #[track_caller]
    fn fetch(&self, image: &str) -> Vec<u8> {
        let (name, reference) = split(image);
        let response = self.get(&format!("/v2/{name}/manifests/{reference}"));
        assert_eq!(response.status, 200, "{image}: {}", response.text());
        response.body
    }

    #[track_caller]
    fn get(&self, path: &str) -> Response {
        let accept = format!(
            "{INDEX}, {MANIFEST}, application/vnd.docker.distribution.manifest.list.v2+json, \
             application/vnd.docker.distribution.manifest.v2+json"
        );
        let url = format!("http://{}{path}", self.host);
        request("GET", &url, &[("accept", &accept)], None).unwrap_or_else(|error| panic!("{error}"))
    }

    fn send(&self, method: &str, path: &str, media_type: &str, body: &[u8]) -> Result<Response> {
        let url = format!("http://{}{path}", self.host);
        let response = request(method, &url, &[("content-type", media_type)], Some(body))?;
        match response.status {
            200..=299 => Ok(response),
            status => Err(Error(format!("{method} {path}: {status} {}", response.text()))),
        }
    }
}

impl Access {
    /// A line of the combined log format: `127.0.0.1 - - [date] "GET /v2/ HTTP/1.1" 200 2 …`.
    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.split_once("] \"")?;
        let (request, rest) = rest.split_once("\" ")?;
        let mut words = request.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut words = rest.split(' ');
        let status = words.next()?.parse().ok()?;
        Some(Self { method, path, status, bytes: words.next().and_then(|bytes| bytes.parse().ok()).unwrap_or(0) })
    }
}

fn split(image: &str) -> (&str, &str) {
    image.split_once('@').or_else(|| image.rsplit_once(':')).unwrap_or((image, "latest"))
}

#[track_caller]
fn json_of(bytes: &[u8], what: &str) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("{what} is no JSON: {error}"))
}
