//! The contenders and the places they build in. Owns what each is called and what comes of a build; a contender's way of
//! building is its script.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Buildkitd, Error, Registry, Result, Storage, sha256};
use crate::inputs::Inputs;
use crate::measure::{Taken, measured};
use crate::record::{Row, Run, Work};
use crate::report::COMPRESSIONS;
use crate::world::World;

/// One way to make something.
pub(crate) struct Contender {
    /// Its script in `contenders/`, without `.sh`.
    pub(crate) script: &'static str,
    /// What it makes.
    pub(crate) work: Work,
    /// What it hands to its script beyond what all are given.
    pub(crate) extra: Vec<(&'static str, String)>,
    /// Whether what it makes is pushed as an image; else it lies in a folder.
    pub(crate) image: bool,
    /// What it is called in records.
    pub(crate) name: &'static str,
}

fn contender(script: &'static str, work: Work, image: bool) -> Contender {
    Contender { script, work, extra: Vec::new(), image, name: script }
}

/// kso, with what the exporter is told; nothing as it comes.
fn kso(name: &'static str, work: Work, compression: &str) -> Contender {
    let definition = if matches!(work, Work::Files | Work::Programs) { "kso-files.yaml" } else { "kso-images.yaml" };
    let extra = vec![("DEFINITION", definition.to_owned()), ("COMPRESSION", compression.to_owned())];
    Contender { script: "kso", work, extra, image: true, name }
}

/// In the order in which they take turns.
pub(crate) fn contenders() -> Vec<Contender> {
    vec![
        kso("kso-files", Work::Files, ""),
        kso("kso-files-zstd", Work::Files, "compression=zstd"),
        contender("dockerfile", Work::Files, true),
        contender("curl", Work::Files, false),
        kso("kso-images", Work::Images, ""),
        kso("kso-images-uncompressed", Work::Images, "compression=uncompressed"),
        contender("script", Work::Images, true),
        contender("links", Work::Images, true),
        contender("archives", Work::Images, false),
        contender("hauler", Work::Images, false),
        contender("blobs", Work::Images, false),
    ]
}

/// Ways to compress layers, those of the base too, each for an image of either kind.
pub(crate) fn exporters() -> Vec<Contender> {
    let exporter = |name: &'static str| {
        let compression = name.replace(", level ", ",compression-level=");
        let compression = format!("compression={compression},force-compression=true");
        [Work::Programs, Work::Compressed].map(|work| kso(name, work, &compression))
    };
    COMPRESSIONS.into_iter().flat_map(exporter).collect()
}

/// A folder, a daemon and a registry of one contender, with what its builds left there.
pub(crate) struct Place<'a> {
    contender: &'a Contender,
    folder: PathBuf,
    registry: Registry,
    daemon: Option<Buildkitd>,
    builds: u32,
    /// The layers of the image for amd64, or the files, and their bytes.
    had: BTreeMap<String, u64>,
    /// The blobs of the registry, or the files.
    stored: BTreeMap<String, u64>,
}

/// What came of a build, in bytes where it is not said otherwise.
pub(crate) struct Built {
    taken: Taken,
    fetched: u64,
    pushed: u64,
    pulled_again: u64,
    layers: u64,
}

impl<'a> Place<'a> {
    /// Nothing is there yet.
    pub(crate) fn new(world: &World, contender: &'a Contender) -> Result<Self> {
        let tools = world.harness().tools();
        let folder = world.harness().folder(contender.script);
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/bench/contenders");
        let copied = || -> std::io::Result<()> {
            fs::create_dir(folder.join("temp"))?;
            for entry in fs::read_dir(&own)? {
                let entry = entry?;
                fs::copy(entry.path(), folder.join(entry.file_name()))?;
            }
            Ok(())
        };
        copied().map_err(|error| Error(format!("{}: {error}", own.display())))?;
        let registry = Registry::start(tools)?;
        let daemon = contender.image.then(|| Buildkitd::start(tools, world.harness().registry(), &[])).transpose()?;
        let (had, stored) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { contender, folder, registry, daemon, builds: 0, had, stored })
    }

    /// Runs the script once.
    pub(crate) fn build(&mut self, world: &World, inputs: &Inputs) -> Result<Built> {
        self.builds += 1;
        world.lists(inputs, &self.folder.join("temp"))?;
        let before = world.fetched();
        let taken = measured(&self.command(world, inputs), self.daemon.as_ref())?;
        let (stored, now) = if self.contender.image {
            let image = self.registry.image(&self.image(), "linux/amd64");
            let sizes = Storage::at(self.registry.storage()).blobs();
            let layers = image.layers().into_iter().map(|digest| (digest.clone(), sizes[&digest])).collect();
            (sizes, layers)
        } else {
            let files = files(&self.folder.join("out"))?;
            (files.clone(), files)
        };
        let fresh = |now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>| {
            now.iter().filter(|(digest, _)| !before.contains_key(*digest)).map(|(_, bytes)| bytes).sum()
        };
        let built = Built {
            taken,
            fetched: world.fetched() - before,
            pushed: fresh(&stored, &self.stored),
            pulled_again: fresh(&now, &self.had),
            layers: if self.contender.image { now.len() as u64 } else { 0 },
        };
        (self.stored, self.had) = (stored, now);
        Ok(built)
    }

    /// Gives its disk back.
    pub(crate) fn end(self) {
        let storage = self.registry.storage().clone();
        let daemon = self.daemon.as_ref().map(|daemon| daemon.directory().to_owned());
        drop((self.daemon, self.registry));
        for folder in [Some(self.folder), Some(storage), daemon].into_iter().flatten() {
            // What is left goes with the run.
            let _ = fs::remove_dir_all(folder);
        }
    }

    fn image(&self) -> String {
        format!("org/bench:{}", self.builds)
    }

    fn command(&self, world: &World, inputs: &Inputs) -> Command {
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail"]).arg(format!("{}.sh", self.contender.script));
        command.current_dir(&self.folder).env("HOME", &self.folder).env("TMPDIR", &self.folder);
        if let Some(daemon) = &self.daemon {
            let buildx = daemon.buildx().command();
            command.envs(buildx.get_envs().filter_map(|(name, value)| Some((name, value?))));
        }
        let architectures = inputs.architectures();
        let platforms: Vec<String> = architectures.iter().map(|arch| format!("linux/{arch}")).collect();
        command.env("PATH", world.path()).env("ARCHITECTURES", architectures.join(" "));
        command.env("PLATFORMS", platforms.join(",")).env("IMAGE", self.registry.reference(&self.image()));
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        command.env("PORT", free.map_or(0, |address| address.port()).to_string());
        command.env("SOURCE", world.source()).envs(self.contender.extra.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Built {
    /// As a record keeps it.
    pub(crate) fn row(self, contender: &Contender, row: Row, number: u32) -> Run {
        let Taken { wall, cpu, client_memory, daemon_memory } = self.taken;
        let Self { fetched, pushed, pulled_again, layers, .. } = self;
        let (work, contender) = (contender.work, contender.name.to_owned());
        let round = |seconds: f64| (seconds * 1000.0).round() / 1000.0;
        let (wall, cpu) = (round(wall), round(cpu));
        Run {
            work,
            contender,
            row,
            number,
            wall,
            cpu,
            client_memory,
            daemon_memory,
            fetched,
            pushed,
            pulled_again,
            layers,
        }
    }
}

/// The files of a folder: by what they hold, and how big they are.
fn files(folder: &Path) -> Result<BTreeMap<String, u64>> {
    let read = || -> std::io::Result<_> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let bytes = fs::read(&path)?;
            files.insert(format!("{} {}", path.display(), sha256(&bytes)), bytes.len() as u64);
        }
        Ok(files)
    };
    read().map_err(|error| Error(format!("{}: {error}", folder.display())))
}
