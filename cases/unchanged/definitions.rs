//! The definitions of the record, each in a directory of its own, and what is recorded of one: its lock, and the graphs of
//! `kso llb` and of builds. Reaches kso through its binary alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::string::FromUtf8Error;

use bollard_buildkit_proto::pb;
use prost::Message as _;
use serde_json::Value;

use super::daemon::{Build, Built};
use super::graph::{Ops, short};
use super::world::{World, digest};

/// A definition, its lists, and what it is built with.
pub(crate) struct Definition {
    pub(crate) name: String,
    /// `kso.yaml` and its lists; gone with this value.
    directory: tempfile::TempDir,
    world: World,
    /// A lock that lies beside the definition.
    own_lock: Option<Vec<u8>>,
    /// Options of each build: `("build-arg:X", "y")`.
    options: Vec<(String, String)>,
}

impl Definition {
    /// A copy of a directory. Images that are named by a digest, whose bytes nobody has, are given the digests of others.
    pub(crate) fn of(name: &str, root: &Path) -> Self {
        let mut definition = Self::empty(name);
        definition.copy(root, Path::new(""));
        let at = |name: &str| definition.directory.path().join(name);
        let (lock, arguments) = (at("kso.lock"), at("arguments"));
        definition.own_lock = fs::read(&lock).ok();
        let _ = fs::remove_file(lock);
        let arguments = fs::read_to_string(arguments).unwrap_or_default();
        let arguments = arguments.lines().filter_map(|line| line.strip_prefix("--build-arg=")?.split_once('='));
        definition.options = arguments.map(|(key, value)| (format!("build-arg:{key}"), value.to_owned())).collect();
        definition
    }

    /// A definition of that text.
    pub(crate) fn text(name: &str, text: &str) -> Self {
        Self::empty(name).file("kso.yaml", &format!("apiVersion: kso/v1\n{text}"))
    }

    fn empty(name: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self { name: name.to_owned(), directory, world: World::default(), own_lock: None, options: Vec::new() }
    }

    /// With one more file.
    pub(crate) fn file(self, path: &str, text: &str) -> Self {
        let path = self.directory.path().join(path);
        fs::create_dir_all(path.parent().expect("a file has a directory")).expect("a directory");
        fs::write(path, text).expect("a file");
        self
    }

    /// With a copy of a directory at a path.
    pub(crate) fn with(mut self, root: &Path, at: &str) -> Self {
        self.copy(root, Path::new(at));
        self
    }

    /// In another world.
    pub(crate) fn world(mut self, change: impl FnOnce(World) -> World) -> Self {
        self.world = change(self.world);
        self
    }

    /// With an option of each build.
    pub(crate) fn option(mut self, key: &str, value: &str) -> Self {
        self.options.push((key.to_owned(), value.to_owned()));
        self
    }

    fn copy(&mut self, root: &Path, at: &Path) {
        let to = self.directory.path().join(at);
        fs::create_dir_all(&to).expect("a directory");
        let mut entries: Vec<PathBuf> =
            fs::read_dir(root).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
        entries.sort();
        for entry in entries {
            let name = entry.file_name().expect("an entry has a name");
            if entry.is_dir() {
                self.copy(&entry, &at.join(name));
                continue;
            }
            let bytes = fs::read(&entry).expect("a file");
            let bytes =
                String::from_utf8(bytes).map_or_else(FromUtf8Error::into_bytes, |text| self.known(&text).into());
            fs::write(to.join(name), bytes).expect("a file");
        }
    }

    /// A text in which each `@sha256:…` is the digest of an image of the world.
    fn known(&mut self, text: &str) -> String {
        let mut parts = text.split("@sha256:");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| {
            match part.get(..64).filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit())) {
                Some(hex) => text + "@" + &self.world.image(hex) + &part[64..],
                None => text + "@sha256:" + part,
            }
        })
    }

    /// The digest of an image of its world.
    pub(crate) fn image(&mut self, name: &str) -> String {
        self.world.image(name)
    }

    /// The digest of a layer of an image of its world.
    pub(crate) fn layer(&mut self, name: &str) -> String {
        self.world.layer_of(name)
    }

    fn kso(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kso"));
        command.current_dir(self.directory.path()).env_clear().args(arguments);
        let given = self.options.iter().filter_map(|(key, value)| Some((key.strip_prefix("build-arg:")?, value)));
        for (key, value) in given.filter(|(key, _)| !key.starts_with("KSO_")) {
            command.arg(format!("--build-arg={key}={value}"));
        }
        command.output().expect("kso starts")
    }

    /// What `kso check` says of it: the images that it is for (`files`, `images`), and their platforms with commas between.
    fn check(&self) -> (Vec<&'static str>, String) {
        let output = self.kso(&["check", "--build-arg=BUILDKIT_DOCKERFILE_CHECK=skip=all"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let (_, said) = said.trim_end().split_once(": ").unwrap_or_default();
        let (content, architectures) = said.split_once(" for ").unwrap_or_default();
        let found = [("files", " file"), ("images", " image")].into_iter().filter(|(_, word)| content.contains(word));
        let platforms: Vec<_> = architectures.split(", ").map(|arch| format!("linux/{arch}")).collect();
        (found.map(|(target, _)| target).collect(), platforms.join(","))
    }

    /// The digests of the ops of `kso llb`, by platform; the op that only names the result is not among them.
    pub(crate) fn llb(&self, target: &str, platforms: &str) -> Option<BTreeMap<String, Vec<String>>> {
        let output = self.kso(&["llb", "--format", "json", "--target", target, "--platform", platforms]);
        let graphs: BTreeMap<String, Vec<Value>> = serde_json::from_slice(&output.stdout).ok()?;
        let digests =
            |ops: Vec<Value>| ops.iter().map(|op| op["digest"].as_str().unwrap_or_default().to_owned()).collect();
        Some(graphs.into_iter().map(|(platform, ops)| (platform, digests(ops))).collect())
    }

    /// The graph of `kso llb` for one platform.
    pub(crate) fn protobuf(&self, target: &str, platform: &str) -> pb::Definition {
        let output = self.kso(&["llb", "--format", "protobuf", "--target", target, "--platform", platform]);
        pb::Definition::decode(output.stdout.as_slice()).expect("a graph")
    }

    /// The lines of `kso llb`.
    fn printed(&self, what: &str, target: &str, platforms: &str, text: &mut String) {
        let Some(graphs) = self.llb(target, platforms) else {
            let _ = writeln!(text, "llb    {what:<8} {target:<6} fails");
            return;
        };
        for (platform, digests) in graphs {
            let order: String = digests.iter().map(|digest| format!("{digest}\n")).collect();
            let (count, order) = (digests.len(), digest(order.as_bytes()));
            let _ = writeln!(text, "llb    {what:<8} {target:<6} {platform:<12} {count:>4} ops {}", short(&order));
        }
    }

    fn built(&mut self, target: &str, platforms: &str, runs: bool) -> Built {
        let mut options = self.options.clone();
        options.extend([("target", target), ("platform", platforms)].map(|(key, value)| (key.into(), value.into())));
        let directory = self.directory.path().to_owned();
        Build { directory: &directory, options, runs }.run(&mut self.world)
    }

    /// The lines of a build for these platforms, which may run kso in steps or not.
    fn build(&mut self, what: &str, target: &str, how: (&str, bool), ops: &mut Ops, text: &mut String) -> Built {
        let built = self.built(target, how.0, how.1);
        let mut line = |platform: &str, graph: &str| {
            let _ = writeln!(text, "build  {what:<8} {target:<6} {platform:<12} {graph}");
        };
        match &built.result {
            Ok(graphs) => graphs.iter().for_each(|(platform, graph)| line(platform, &ops.graph(graph))),
            Err(error) => {
                line("", "fails");
                eprintln!("{}: the {what} build of {target} fails: {error}", self.name);
            }
        }
        built
    }

    /// What the target `lock` writes: its path and its text.
    pub(crate) fn lock(&mut self) -> Option<(String, Vec<u8>)> {
        let graphs = self.built("lock", "linux/amd64", false).result.ok()?;
        let ops = graphs.values().flat_map(|graph| &graph.def);
        let ops = ops.filter_map(|bytes| pb::Op::decode(bytes.as_slice()).ok()?.op);
        let actions = ops.filter_map(|op| if let pb::op::Op::File(file) = op { Some(file.actions) } else { None });
        actions.flatten().find_map(|action| match action.action {
            Some(pb::file_action::Action::Mkfile(file)) => Some((file.path, file.data)),
            _ => None,
        })
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        fs::write(self.directory.path().join(path.trim_start_matches('/')), bytes).expect("a lock");
    }

    /// Everything that is recorded of it, without a lock and with one. With `runs` builds may run kso in steps, and only they
    /// are recorded.
    pub(crate) fn record(mut self, runs: bool) -> String {
        let (mut ops, mut text) = (Ops::default(), format!("# {}\n", self.name));
        let (targets, platforms) = self.check();
        let how = (platforms.as_str(), runs);
        for target in &targets {
            if !runs && *target == "files" {
                self.printed("open", target, &platforms, &mut text);
            }
            let _ = self.build("open", target, how, &mut ops, &mut text);
        }
        match self.lock() {
            Some((path, lock)) => {
                if !runs {
                    let _ = writeln!(text, "lock   {path} {} bytes {}", lock.len(), short(&digest(&lock)));
                }
                self.write(&path, &lock);
                for target in &targets {
                    if !runs {
                        self.printed("locked", target, &platforms, &mut text);
                    }
                    let _ = self.build("locked", target, how, &mut ops, &mut text);
                }
            }
            None => text += "lock   fails\n",
        }
        if let Some(lock) = self.own_lock.take().filter(|_| !runs) {
            self.write("kso.lock", &lock);
            self.printed("own lock", "files", &platforms, &mut text);
            let _ = self.build("own lock", "files", how, &mut ops, &mut text);
        }
        text + "ops\n" + &ops.lines()
    }

    /// [`Self::record`] without the ops one by one: for what is large, and not the repository's.
    pub(crate) fn record_short(self, runs: bool) -> String {
        let text = self.record(runs);
        let end = text.find("\nops\n").map_or(text.len(), |at| at + 1);
        text[..end].to_owned()
    }

    /// The graphs of builds without a lock, and what was asked for before them.
    pub(crate) fn record_asked(mut self, runs: bool) -> String {
        let (mut ops, mut text, mut asked) = (Ops::default(), format!("# {}\n", self.name), String::new());
        let (targets, platforms) = self.check();
        for target in targets {
            let built = self.build("open", target, (&platforms, runs), &mut ops, &mut text);
            asked.extend(built.asked.iter().map(|line| format!("  {target} {line}\n")));
        }
        text + "ops\n" + &ops.lines() + "asked\n" + &asked
    }
}

/// The record of each, in their order, made by two at a time.
pub(crate) fn records(definitions: Vec<Definition>, record: impl Fn(Definition) -> String + Sync) -> String {
    let count = definitions.len();
    let queue = std::sync::Mutex::new(definitions.into_iter().enumerate());
    let done = std::sync::Mutex::new(vec![String::new(); count]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("no panic before").next();
                    let Some((at, definition)) = next else { break };
                    let text = record(definition);
                    done.lock().expect("no panic before")[at] = text;
                }
            });
        }
    });
    done.into_inner().expect("no panic before").join("\n")
}

/// The definitions below a directory of the repository: `examples`, `cases/valid`; of `cases/lint` those with a lock.
pub(crate) fn below(directory: &str) -> Vec<Definition> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let entries = fs::read_dir(&root).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.join("kso.yaml").is_file()).collect();
    found.sort();
    assert!(!found.is_empty(), "no definition below {directory}");
    let with_lock = |path: &PathBuf| path.join("kso.lock").is_file();
    found.retain(|path| directory != "cases/lint" || with_lock(path));
    let of = |path: &PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy();
        Definition::of(&format!("{directory}/{name}"), path)
    };
    found.iter().map(of).collect()
}

/// The repository's own small release of Kubespray: all of it, and what an inventory enables.
pub(crate) fn kubespray() -> Vec<Definition> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/producer/kubespray/tests/fixture");
    let define = |name: &str, more: &str| {
        let text = format!("kubespray:\n  source: release\n{more}");
        Definition::text(name, &text).with(&root, "release").with(&root.join("inventory"), "inventory")
    };
    vec![
        define("kubespray, all", "  include: all\n"),
        define(
            "kubespray, an inventory and variables",
            "  inventory: inventory/mine\n  vars: { kube_version: v1.29.10, etcd_deployment_type: docker }\n",
        ),
    ]
}
