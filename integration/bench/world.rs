//! What the contenders build from: an origin, a registry that images come from, base images. Counts what both send; does not
//! know who asks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::harness::{
    Error, Harness, Process, Registry, Result, Storage, incompressible, push_apart, search_path, step,
};
use crate::inputs::{Inputs, Size};
use crate::record::Work;

/// Everything that is the same for all contenders.
pub(crate) struct World {
    harness: &'static Harness,
    origin: Origin,
    source: Registry,
    inputs: Inputs,
    programs: Inputs,
    /// The blobs of each image, by its name: where each is found.
    blobs: BTreeMap<String, Vec<String>>,
    facts: BTreeMap<String, u64>,
    hauler: Option<PathBuf>,
}

impl World {
    /// Starts the servers and fills them.
    pub(crate) fn start(size: Size) -> Result<Self> {
        let harness = Harness::start()?;
        push_apart(harness.tools(), harness.registry())?;
        harness.frontend();
        let inputs = Inputs::of(size)?;
        let origin = Origin::start(harness)?;
        let source = Registry::start(harness.tools())?;
        let programs = origin.programs(harness)?;
        let mut world = Self {
            harness,
            origin,
            source,
            inputs,
            programs,
            blobs: BTreeMap::new(),
            facts: BTreeMap::new(),
            hauler: hauler(),
        };
        step("contents", || world.fill())?;
        Ok(world)
    }

    /// Makes the contents of every row.
    fn fill(&mut self) -> Result<()> {
        let with_files = self.inputs.changed(Work::Files);
        for path in self.inputs.paths().chain(with_files.paths()) {
            self.origin.fill(path, self.inputs.bytes(path))?;
        }
        let storage = Storage::at(self.source.storage());
        let with_image = self.inputs.changed(Work::Images);
        for member in self.inputs.images.iter().chain(&with_image.images) {
            if self.blobs.contains_key(&member.name) {
                continue;
            }
            let sample = member.sample();
            storage.write(member.split().1, &sample);
            let repository = member.split().1.rsplit_once(':').map_or("", |(repository, _)| repository);
            let url = |digest: &String| format!("http://{}/v2/{repository}/blobs/{digest}", self.source.host());
            self.blobs.insert(member.name.clone(), sample.blobs.keys().map(url).collect());
        }
        let sizes = storage.blobs();
        let digests: BTreeSet<&str> = self
            .inputs
            .images
            .iter()
            .flat_map(|member| &self.blobs[&member.name])
            .filter_map(|url| url.rsplit('/').next())
            .collect();
        let files: BTreeSet<&String> = self.inputs.paths().collect();
        let counts = [
            ("file bytes", files.iter().map(|path| self.inputs.bytes(path)).sum()),
            ("files", files.len() as u64),
            ("images", self.inputs.images.len() as u64),
            ("image blob bytes", digests.iter().map(|digest| sizes[*digest]).sum()),
            ("image blobs", digests.len() as u64),
            ("program bytes", self.programs.paths().map(|path| self.origin.size(path)).sum()),
            ("programs", self.programs.paths().count() as u64),
        ];
        self.facts = counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        Ok(())
    }

    /// The harness.
    pub(crate) fn harness(&self) -> &'static Harness {
        self.harness
    }

    /// What every contender builds.
    pub(crate) fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// Programs of this machine, which compress as kubelet does.
    pub(crate) fn programs(&self) -> &Inputs {
        &self.programs
    }

    /// Counts and bytes of the inputs.
    pub(crate) fn facts(&self) -> BTreeMap<String, u64> {
        self.facts.clone()
    }

    /// Whether what a contender's script needs is there.
    pub(crate) fn has(&self, script: &str) -> bool {
        let there = script != "hauler" || self.hauler.is_some();
        if !there {
            eprintln!("bench: hauler is left out: KSO_HAULER names no program");
        }
        there
    }

    /// Where programs are found.
    pub(crate) fn path(&self) -> std::ffi::OsString {
        let tools = ["buildx", "registry", "skopeo"].map(|name| self.harness.tools().path(name).to_owned());
        let folders = tools.iter().chain(&self.hauler).filter_map(|program| program.parent());
        let mut path = std::env::join_paths(folders).unwrap_or_default();
        path.push(":");
        path.push(search_path());
        path
    }

    /// The registry that images come from.
    pub(crate) fn source(&self) -> &str {
        self.source.host()
    }

    /// The bytes of bodies that were sent so far.
    pub(crate) fn fetched(&self) -> u64 {
        self.origin.sent() + self.source.sent()
    }

    /// Writes the lists of `inputs` into a folder.
    pub(crate) fn lists(&self, inputs: &Inputs, folder: &std::path::Path) -> Result<()> {
        let write = |name: String, text: String| {
            fs::write(folder.join(&name), text).map_err(|error| Error(format!("{name}: {error}")))
        };
        for (arch, paths) in &inputs.files {
            let lines = paths.iter().fold(String::new(), |mut text, path| {
                let _ = writeln!(text, "{}{path}", self.origin.url());
                text
            });
            write(format!("files-{arch}.list"), lines)?;
        }
        let (mut images, mut blobs) = (String::new(), BTreeMap::new());
        for member in &inputs.images {
            let _ = writeln!(images, "{}/{}", self.source(), member.split().1);
            blobs.extend(self.blobs[&member.name].iter().map(|url| (url.rsplit('/').next(), url)));
        }
        write("images.list".to_owned(), images)?;
        write("blobs.list".to_owned(), blobs.values().fold(String::new(), |text, url| text + url + "\n"))
    }
}

/// `KSO_HAULER`, or what `hauler` is on the search path.
fn hauler() -> Option<PathBuf> {
    let named = std::env::var_os("KSO_HAULER").map(PathBuf::from);
    let found =
        || std::env::split_paths(&search_path()).map(|folder| folder.join("hauler")).find(|file| file.is_file());
    named.or_else(found).filter(|file| file.is_file())
}

/// nginx with files: quick, with `ETag`s, and it writes down what it sends.
struct Origin {
    folder: PathBuf,
    url: String,
    _process: Process,
}

impl Origin {
    fn start(harness: &Harness) -> Result<Self> {
        let folder = harness.folder("origin");
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.map_err(|error| Error(format!("there is no free port: {error}")))?;
        let root = folder.join("root");
        fs::create_dir(&root).map_err(|error| Error(error.to_string()))?;
        let at = folder.display();
        let config = format!(
            "daemon off; worker_processes 2; user root; pid {at}/pid; error_log {at}/error.log;\n\
             events {{ worker_connections 4096; }}\n\
             http {{\n  log_format sent '$status $body_bytes_sent';\n  access_log {at}/access.log sent;\n\
             sendfile on; tcp_nopush on;\n  client_body_temp_path {at}/1; proxy_temp_path {at}/2; \
             fastcgi_temp_path {at}/3; uwsgi_temp_path {at}/4; scgi_temp_path {at}/5;\n  \
             server {{ listen {address}; root {at}/root; }}\n}}\n"
        );
        fs::write(folder.join("nginx.conf"), config).map_err(|error| Error(error.to_string()))?;
        let mut command = Command::new(harness.tools().path("nginx").join("usr/sbin/nginx"));
        command.arg("-p").arg(&folder).arg("-c").arg(folder.join("nginx.conf"));
        let mut process = Process::start("nginx", command, &folder.join("log"))?;
        process.wait_until(Duration::from_secs(20), |_| std::net::TcpStream::connect(address).ok())?;
        Ok(Self { folder, url: format!("http://{address}"), _process: process })
    }

    fn url(&self) -> &str {
        &self.url
    }

    /// Makes a file of so many bytes, unless it is there.
    fn fill(&self, path: &str, bytes: u64) -> Result<()> {
        let file = self.file(path)?;
        if file.exists() {
            return Ok(());
        }
        let problem = |error: std::io::Error| Error(format!("{}: {error}", file.display()));
        let mut writer = std::io::BufWriter::new(fs::File::create(&file).map_err(problem)?);
        incompressible(path, bytes, |chunk| writer.write_all(chunk)).and_then(|()| writer.flush()).map_err(problem)
    }

    /// The programs that the harness runs, as files: written in Go, most of them, as the programs of Kubernetes are.
    fn programs(&self, harness: &Harness) -> Result<Inputs> {
        let mut paths = Vec::new();
        for name in ["buildkitd", "buildctl", "buildx", "registry", "crane", "actionlint", "runc"] {
            let path = format!("/programs.example/{name}");
            let (from, to) = (harness.tools().path(name), self.file(&path)?);
            fs::copy(from, &to).map_err(|error| Error(format!("{}: {error}", from.display())))?;
            paths.push(path);
        }
        Ok(Inputs::programs(paths))
    }

    fn file(&self, path: &str) -> Result<PathBuf> {
        let file = self.folder.join("root").join(path.trim_start_matches('/'));
        let folder = file.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(|error| Error(format!("{}: {error}", folder.display())))?;
        Ok(file)
    }

    fn size(&self, path: &str) -> u64 {
        let file = self.folder.join("root").join(path.trim_start_matches('/'));
        file.metadata().map_or(0, |metadata| metadata.len())
    }

    fn sent(&self) -> u64 {
        let log = fs::read_to_string(self.folder.join("access.log")).unwrap_or_default();
        let sent = |line: &str| line.split_once(' ')?.1.parse::<u64>().ok();
        log.lines().filter_map(sent).sum()
    }
}
