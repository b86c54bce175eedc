//! The GitHub Action, without GitHub: its metadata linted, and its steps run as a runner would run them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use libtest_mimic::Trial;

use crate::harness::{Client, FRONTEND, Harness, Kind, Origin, Output, Rules, Sample, Upstream, digest, run};
use crate::images::project::{sample, unpack};
use crate::trials::{Test, trials};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    const TESTS: &[Test] = &[
        ("workflows_have_no_lint", workflows_have_no_lint),
        ("one_runner", one_runner),
        ("a_runner_for_each_platform", a_runner_for_each_platform),
        ("wrong_settings_are_told", wrong_settings_are_told),
        ("tags_of_a_release", tags_of_a_release),
    ];
    trials("action", TESTS)
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

/// No step takes longer.
fn within() -> Duration {
    Duration::from_mins(5)
}

/// Our own workflows, and those that users copy, with the action of this working tree in the place of the published one:
/// actionlint then checks the action's metadata too, and that what they set are inputs of it.
fn workflows_have_no_lint() {
    let project = Harness::get().folder("actionlint");
    let workflows = project.join(".github/workflows");
    fs::create_dir_all(&workflows).unwrap();
    fs::create_dir(project.join(".git")).unwrap();
    fs::copy(repository().join("action.yml"), project.join("action.yml")).unwrap();
    let mut names = Vec::new();
    for folder in [".github/workflows", "examples/github"] {
        for entry in fs::read_dir(repository().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let text = fs::read_to_string(&path).unwrap();
            assert!(folder.starts_with('.') || text.contains("uses: org/kso@v1\n"), "{name} uses the action");
            fs::write(workflows.join(&name), text.replace("uses: org/kso@v1\n", "uses: ./\n")).unwrap();
            names.push(name);
        }
    }
    let lint = || {
        let mut command = Harness::get().tools().command("actionlint", &project);
        command.current_dir(&project);
        run(command, b"", within()).unwrap()
    };
    let clean = lint();
    assert!(clean.status.success(), "{}{}", text(&clean.stdout), clean.stderr);
    assert!(names.len() >= 4, "{names:?}");

    let wrong = workflows.join("one-runner.yml");
    let good = fs::read_to_string(&wrong).unwrap();
    fs::write(&wrong, good.replace("kubespray: ${{", "kubspray: ${{")).unwrap();
    let told = lint();
    assert!(
        !told.status.success() && text(&told.stdout).contains("input \"kubspray\" is not defined"),
        "{}",
        text(&told.stdout)
    );
}

/// The inputs of `action.yml` with their defaults, and the variables that its step makes of them. Read by the line: the
/// file is ours.
fn action() -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let text = fs::read_to_string(repository().join("action.yml")).unwrap();
    let (mut inputs, mut variables) = (BTreeMap::new(), BTreeMap::new());
    let mut input = String::new();
    for line in text.lines().skip_while(|line| *line != "inputs:") {
        if let Some(name) = line.strip_prefix("  ").filter(|name| !name.starts_with(' ')) {
            name.trim_end_matches(':').clone_into(&mut input);
        } else if let Some(default) = line.strip_prefix("    default: ") {
            inputs.insert(input.clone(), default.trim_matches('\'').to_owned());
        } else if let Some((name, value)) = line.trim().split_once(": ${{ inputs.").filter(|_| line.contains(" KSO_")) {
            variables.insert(name.to_owned(), value.trim_end_matches(" }}").to_owned());
        }
    }
    (inputs, variables)
}

/// A user's repository, with files and images.
struct Project {
    folder: PathBuf,
    upstream: Upstream,
    image: Sample,
    tool: String,
    _origin: Origin,
}

impl Project {
    fn new(name: &str) -> Self {
        let harness = Harness::get();
        let _ = harness.frontend();
        let folder = harness.folder(name);
        let upstream = harness.upstream(Rules::default());
        let image = sample(Kind::OciIndex, &format!("{name}/tool:1.0"));
        upstream.put(&format!("{name}/tool:1.0"), &image);
        let origin = Origin::start();
        let host = format!("{name}.example");
        let definition = format!(
            "# syntax={FRONTEND}\napiVersion: kso/v1\nfiles:\n  - url: https://{host}/tool.tgz\nimages:\n  - image: \
             {}/{name}/tool:1.0\nmirrors:\n  - {{ from: \"https://{host}/\", to: [\"{}\"] }}\n",
            upstream.host(),
            origin.mirror(&host)
        );
        fs::write(folder.join("kso.yaml"), definition).unwrap();
        Self { folder, upstream, image, tool: format!("/{host}/tool.tgz"), _origin: origin }
    }

    /// Runs the action's step with these inputs, and these variables of the runner.
    fn run(&self, inputs: &[(&str, &str)], runner: &[(&str, &str)]) -> Output {
        let (defaults, variables) = action();
        let buildx = Harness::get().buildx().command();
        let mut command = Command::new("bash");
        command.current_dir(&self.folder).env_clear();
        command.envs(buildx.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("KSO_BUILDX", buildx.get_program()).arg(repository().join("action/kso")).arg("run");
        for (name, input) in &variables {
            let given = inputs.iter().find(|(known, _)| known == input).map(|(_, value)| *value);
            let default = defaults.get(input).unwrap_or_else(|| panic!("action.yml has no input {input}"));
            command.env(name, given.unwrap_or(default));
        }
        for (name, _) in inputs {
            assert!(variables.values().any(|input| input == name), "no variable for {name}");
        }
        command.env("KSO_DIGESTS", self.folder.join("digests")).env("GITHUB_OUTPUT", self.folder.join("output"));
        command.envs(runner.iter().copied());
        run(command, b"", within()).unwrap()
    }

    fn name(&self) -> String {
        Harness::get().registry().reference(&format!("org/{}-{{target}}", self.stem()))
    }

    fn stem(&self) -> String {
        self.tool.trim_start_matches('/').split('.').next().unwrap().to_owned()
    }

    /// Both images stand in the registry under `tag`, for both platforms, with what the definition asks for.
    fn is_pushed(&self, tag: &str) {
        let registry = Harness::get().registry();
        for target in ["files", "images"] {
            let image = format!("org/{}-{target}:{tag}", self.stem());
            for platform in ["linux/amd64", "linux/arm64"] {
                let found = registry.image(&image, platform);
                assert_eq!(found.config["architecture"], platform.trim_start_matches("linux/"));
                assert!(!found.layers().is_empty());
            }
        }
        let image = format!("org/{}-images:{tag}", self.stem());
        let container = unpack(&image, "linux/amd64").start();
        let name = format!("k8s/{}", self.upstream.host().split(':').next().unwrap());
        let served = format!("{name}/{}/tool:1.0", self.stem());
        let client = Client::new(&container);
        assert_eq!(digest(&client.raw(&served)), self.image.digest());
    }
}

/// For a git tag, with nothing set but the image's name: lint, both targets, both platforms, and a cache.
fn one_runner() {
    let project = Project::new("action-one");
    let tag = [("GITHUB_REF_TYPE", "tag"), ("GITHUB_REF_NAME", "v0.1.0-2.25.1")];
    let output = project.run(&[("image", &project.name())], &tag);
    assert!(output.status.success(), "{}{}", text(&output.stdout), output.stderr);
    project.is_pushed("v0.1.0-2.25.1");
    let outputs = fs::read_to_string(project.folder.join("output")).unwrap();
    let digest = Harness::get().registry().digest("org/action-one-files:v0.1.0-2.25.1");
    let files = project.name().replace("{target}", "files");
    assert!(outputs.contains(&format!("files={files}@{digest}\n")), "{outputs}");
    assert!(Harness::get().registry().tags("org/action-one-images").contains(&"cache".to_owned()));

    // By hand there is no git tag.
    let hand = [("image", project.name()), ("build", "0.1.1".into()), ("kubespray", "v2.25.1".into())];
    let hand: Vec<(&str, &str)> = hand.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let output = project.run(&hand, &[("GITHUB_REF_TYPE", "branch"), ("GITHUB_REF_NAME", "main")]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), output.stderr);
    project.is_pushed("v0.1.1-2.25.1");
}

/// Each platform on its own, without a tag; then one image of both.
fn a_runner_for_each_platform() {
    let project = Project::new("action-native");
    let name = project.name();
    for platform in ["linux/amd64", "linux/arm64"] {
        let output = project.run(&[("image", &name), ("platforms", platform), ("by-digest", "true")], &[]);
        assert!(output.status.success(), "{}{}", text(&output.stdout), output.stderr);
    }
    let tags = Harness::get().registry().tags("org/action-native-files");
    assert_eq!(tags, ["cache-linux-amd64", "cache-linux-arm64"], "no tag but those of the caches");
    let output = project.run(&[("image", &name), ("join", "true"), ("tag", "joined")], &[]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), output.stderr);
    project.is_pushed("joined");
}

/// What is missing is said before anything is built.
fn wrong_settings_are_told() {
    let project = Project::new("action-wrong");
    let name = project.name();
    let alone = name.replace("{target}", "all");
    for (inputs, told) in [
        (vec![("image", name.as_str())], "no tag is known"),
        (vec![("image", alone.as_str()), ("tag", "1")], "several targets have one image"),
        (vec![("image", name.as_str()), ("tag", "1"), ("lock", "perhaps")], "unknown lock mode perhaps"),
        (vec![("image", name.as_str()), ("tag", "1"), ("join", "true")], "no runner has pushed"),
        (vec![("image", name.as_str()), ("tag", "1"), ("file", "other.yaml")], "other.yaml"),
    ] {
        let output = project.run(&inputs, &[]);
        assert!(!output.status.success() && output.stderr.contains(told), "{told}: {}", output.stderr);
    }
}

fn tags_of_a_release() {
    let tags = |tag: &str| {
        let mut command = Command::new("bash");
        command.arg(repository().join("frontends/tags")).arg(tag);
        run(command, b"", within()).unwrap()
    };
    let version = env!("CARGO_PKG_VERSION");
    let good = tags(&format!("v{version}"));
    assert!(good.status.success() && text(&good.stdout).lines().next() == Some(version), "{}", text(&good.stdout));
    for tag in [version, "v0.0.0", ""] {
        assert!(tags(tag).stderr.contains("error: the git tag is"), "{tag}");
    }
}
