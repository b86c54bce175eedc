//! The proof that an `offline.yml` is complete. Owns what is judged, and what is left out for which reason; does not know
//! how a variable is overridden.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::diagnostic::{Source, Span};
use crate::name::Arch;
use crate::producer::kubespray::downloads::{Downloads, Include};
use crate::producer::kubespray::offline::{Address, Named, REGISTRY_HOST, View, offline};
use crate::producer::kubespray::release::Release;
use crate::producer::kubespray::scope::Scope;
use crate::producer::kubespray::variables::Rank;
use crate::producer::kubespray::{beside, python, yaml};

/// What was proved of an `offline.yml`, and what was not.
#[derive(Debug, Clone, Default)]
pub struct Proof {
    /// What leads to the servers, and to what the images hold: the architecture and the variable or item.
    pub proved: BTreeSet<String>,
    /// What leads elsewhere, or to what the images lack: an error for each.
    pub failed: Vec<String>,
    /// What the proof leaves out, each with the reason.
    pub left_out: Vec<String>,
    /// The architectures that it was made for.
    architectures: Vec<Arch>,
}

impl Proof {
    /// The proof as text: its scope, its result, and what it leaves out.
    pub fn text(&self) -> String {
        let mut text = String::from(
            "Scope: the variables of Kubespray's roles `kubespray_defaults` (or `kubespray-defaults`) and `download`: every item\n\
             of `downloads`, every pair of a repository and a tag, and every variable named like a URL, rendered again with the\n\
             `offline.yml` that is written, for ",
        );
        let architectures: Vec<&str> = self.architectures.iter().map(|arch| arch.as_str()).collect();
        text += &architectures.join(" and ");
        text += ". Not covered: packages of the operating system, and what other\nroles set in their own files.\n";
        let _ = writeln!(
            text,
            "\n{} items and variables point to `files_repo` or `registry_host`, and to content of the images.",
            self.proved.len()
        );
        for (title, lines) in [("Points elsewhere", &self.failed), ("Left out", &self.left_out)] {
            if !lines.is_empty() {
                let _ = writeln!(text, "\n{title}:");
            }
            for line in lines {
                let _ = writeln!(text, "  {line}");
            }
        }
        text
    }
}

/// Renders a release again with its `offline.yml`: every URL must lie under `files_repo`, every image under
/// `registry_host`, and both must be among what the built images hold, which is `planned`.
pub fn prove(release: &Release, address: &Address, planned: &BTreeMap<Arch, Downloads>) -> Proof {
    let text = offline(release, address);
    let entries = yaml::variables(&Source::new("offline.yml", text)).unwrap_or_default();
    let redirected = release.with_group_vars(entries);
    let (after, named) = (View::of(&redirected), Named::of(release));
    let mut proof = Proof { architectures: planned.keys().copied().collect(), ..Proof::default() };
    for (arch, hosts) in &after.0 {
        let scope = &hosts.first();
        let Some(planned) = planned.get(arch) else { continue };
        let held = Held {
            files: planned.files.iter().filter_map(|file| address.file(&file.url)).collect(),
            images: planned.images.iter().filter_map(|image| address.image(&image.reference.parse().ok()?)).collect(),
        };
        // What is enabled must be there now as before: nothing may be lost on the way.
        let enabled = redirected.downloads(Include::Enabled, *arch, &mut Vec::new());
        proof.judge_enabled(*arch, &enabled, &held);
        let (files, images) = (enabled.files.iter(), enabled.images.iter());
        let enabled: BTreeSet<&str> =
            files.map(|file| file.url.as_str()).chain(images.map(|image| image.reference.as_str())).collect();
        for (name, value) in values(&after, &named, *arch) {
            let name = format!("{arch} {name}");
            match value {
                None => proof.leave(format!("{name}: it has no value for this version of Kubernetes")),
                Some(value) if enabled.contains(value.text.as_str()) => drop(proof.proved.insert(name)),
                Some(Value { text, is_file: true }) => {
                    proof.judge(&held.files, &text, &name, Some(&address.files_repo()));
                }
                Some(Value { text, is_file: false }) => proof.judge(&held.images, &text, &name, Some(REGISTRY_HOST)),
            }
        }
        for (name, variable) in release.of_first().iter().filter(|(_, variable)| variable.rank != Rank::Extra) {
            if name.ends_with("_image_repo") && !named.has_repository(name) {
                proof.judge_beginning(*arch, name, scope);
            } else if name.ends_with("_url") && !named.urls.iter().any(|known| known == name) {
                proof.leave_url(*arch, name, &variable.span, scope, &address.files_repo());
            }
        }
    }
    proof
}

/// What the images hold for one architecture, by the addresses that it is served at.
struct Held {
    files: BTreeSet<String>,
    images: BTreeSet<String>,
}

/// The value of a variable, or of a pair of them.
struct Value {
    text: String,
    is_file: bool,
}

/// The values of the URL variables and of the image pairs; `None` where the release has no value.
fn values(after: &View, named: &Named, arch: Arch) -> Vec<(String, Option<Value>)> {
    let urls = named.urls.iter().map(|name| {
        let text = after.text(name).and_then(|urls| urls.get(&arch).cloned());
        (name.clone(), text.map(|text| Value { text, is_file: true }))
    });
    let images = named.repositories.iter().map(|(repo, tag, suffix)| {
        let text = after.text(repo).zip(after.text(tag)).and_then(|(repos, tags)| {
            let tag = tags.get(&arch).filter(|tag| !beside::NO_VERSION.contains(&tag.as_str()))?;
            Some(format!("{}{suffix}:{tag}", repos.get(&arch)?))
        });
        (repo.clone(), text.map(|text| Value { text, is_file: false }))
    });
    urls.chain(images).collect()
}

impl Proof {
    /// Judges the items of `downloads`.
    fn judge_enabled(&mut self, arch: Arch, enabled: &Downloads, held: &Held) {
        for file in &enabled.files {
            self.judge(&held.files, &file.url, &format!("{arch} {}", file.name), None);
        }
        for image in &enabled.images {
            self.judge(&held.images, &image.reference, &format!("{arch} {}", image.name), None);
        }
    }

    /// Leaves out a variable that is named like a URL and that nothing downloads.
    fn leave_url(&mut self, arch: Arch, name: &str, span: &Span, scope: &Scope, files_repo: &str) {
        let Ok(value) = scope.variable(name) else {
            return self.leave(format!("{arch} {name}: not a download (it has no value without a cluster)"));
        };
        let value = python::text(&value);
        let leads = value.starts_with(files_repo);
        let why = if leads { "a prefix of other URLs" } else { "not a download" };
        self.leave(format!("{arch} {name}: {why} ({value}), {}:{}", span.source().name(), span.line()));
    }

    /// Judges where a value leads. What is not held is an error, unless it only has to lie under `server`.
    fn judge(&mut self, held: &BTreeSet<String>, value: &str, name: &str, server: Option<&str>) {
        let lies_under = |server: &str| value.strip_prefix(server).is_some_and(|rest| rest.starts_with('/'));
        if held.contains(value) {
            self.proved.insert(name.to_owned());
        } else if server.is_some_and(lies_under) {
            self.leave(format!("{name}: not enabled, so the images lack it; it points to {value}"));
        } else {
            self.failed.push(format!("{name}: {value}"));
        }
    }

    /// Judges a variable that is named like a repository, and that no variable of a tag goes with.
    fn judge_beginning(&mut self, arch: Arch, name: &str, scope: &Scope) {
        match scope.variable(name).map(|value| python::text(&value)) {
            Ok(value) if value.starts_with(&format!("{REGISTRY_HOST}/")) => {
                self.leave(format!("{arch} {name}: a prefix of other names ({value}); no variable is its tag"));
            }
            Ok(value) => self.failed.push(format!("{arch} {name}: {value}")),
            Err(_) => self.leave(format!("{arch} {name}: it has no value without a cluster")),
        }
    }

    fn leave(&mut self, line: String) {
        self.left_out.push(line);
    }
}
