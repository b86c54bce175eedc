//! The completeness proof: `offline.yml` in an inventory, the release rendered again from its files, and everything that
//! it then downloads held by the images that the definition builds.

use std::collections::{BTreeMap, BTreeSet};

use kso::definition::{Definition, Spec};
use kso::diagnostic::{Diagnostic, Source};
use kso::name::Arch;
use kso::producer::kubespray::{Address, Downloads, Folder, Include, Input, Proof, Release, offline, prove, rendered};

use crate::{RELEASES, Test, downloads, fixture, input, shared};

/// Of real releases.
pub(crate) const TESTS: &[Test] =
    &[("every_download_of_a_release_leads_to_the_images", every_download_of_a_release_leads_to_the_images)];

/// Of the small release in the repository.
pub(crate) const OF_THE_FIXTURE: &[Test] =
    &[("so_does_every_one_of_the_fixture", so_does_every_one_of_the_fixture), ("a_hole_is_found", a_hole_is_found)];

const FILES: &str = "http://files.example:8080/k8s/";
const REGISTRY: &str = "registry.example:5000/";

fn release(input: &Input) -> Release {
    Release::read(input, &mut Vec::new()).expect("a release")
}

fn all(input: &Input, include: Include) -> BTreeMap<Arch, Downloads> {
    Arch::ALL.into_iter().map(|arch| (arch, downloads(input, include, arch))).collect()
}

/// What a definition builds that has nothing but this release.
fn spec(downloads: &BTreeMap<Arch, Downloads>, definition: &str) -> Spec {
    let mut diagnostics = Vec::new();
    let source = Source::new("kso.yaml", definition);
    let mut definition = Definition::parse(&source, &mut diagnostics).expect("a definition");
    definition.render(rendered(downloads));
    let spec = definition.expand(&BTreeMap::new(), &mut diagnostics);
    let errors: Vec<_> = diagnostics.iter().filter(|problem| Diagnostic::is_error(problem)).collect();
    assert!(errors.is_empty(), "{}", kso::diagnostic::render(&diagnostics, 20));
    spec
}

/// The same input with an `offline.yml` where a user puts it.
fn with_offline(input: &Input, text: &str) -> Input {
    let mut inventory =
        input.inventory.clone().unwrap_or_else(|| Folder { name: "inventory".into(), ..Folder::default() });
    inventory.files.insert("group_vars/all/zz-offline.yml".into(), text.as_bytes().to_vec());
    Input { inventory: Some(inventory), ..input.clone() }
}

/// Where the two servers have what is built for an architecture.
fn served(spec: &Spec, arch: Arch) -> BTreeSet<String> {
    let files = spec.files.iter().filter(|file| file.architectures.contains(&arch));
    let images = spec.images.iter().filter(|image| image.architectures.contains(&arch));
    let files = files.map(|file| format!("{FILES}{}", file.path.as_str()));
    files.chain(images.map(|image| format!("{REGISTRY}{}", image.served))).collect()
}

/// Renders the release with its `offline.yml`, and tells what then comes from elsewhere or is not built.
fn astray(input: &Input, include: Include, text: &str, spec: &Spec) -> Vec<String> {
    let redirected = with_offline(input, text);
    let mut astray = Vec::new();
    for arch in Arch::ALL {
        let (before, after) = (downloads(input, include, arch), downloads(&redirected, include, arch));
        assert_eq!(before.files.len(), after.files.len(), "{arch}: files are lost");
        assert_eq!(before.images.len(), after.images.len(), "{arch}: images are lost");
        let served = served(spec, arch);
        let found = after.files.into_iter().map(|file| file.url);
        let found = found.chain(after.images.into_iter().map(|image| image.reference));
        astray.extend(found.filter(|entry| !served.contains(entry)).map(|entry| format!("{arch} {entry}")));
    }
    astray
}

/// Variables that are named like URLs or repositories and that the proof neither proved nor left out.
fn forgotten(input: &Input, proof: &Proof) -> Vec<String> {
    let like = |name: &&str| name.ends_with("_url") || name.ends_with("_image_repo");
    let files = input.checkout.files.iter().filter(|(path, _)| path.starts_with("roles/"));
    let texts: Vec<String> = files.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect();
    let names = texts.iter().flat_map(|text| text.lines().filter_map(|line| Some(line.split_once(':')?.0)));
    let names: BTreeSet<&str> = names.filter(like).filter(|name| !name.contains(['#', ' '])).collect();
    assert!(!names.is_empty());
    let names = names.into_iter().flat_map(|name| Arch::ALL.map(|arch| format!("{arch} {name}")));
    let left_out = |name: &str| proof.left_out.iter().any(|line| line.starts_with(&format!("{name}:")));
    names.filter(|name| !proof.proved.contains(name) && !left_out(name)).collect()
}

const BOTH: [Include; 2] = [Include::All, Include::Enabled];
const DEFINITION: &str = "apiVersion: kso/v1\nkubespray: { source: kubespray, include: INCLUDE }\n";

fn definition(include: Include) -> String {
    DEFINITION.replace("INCLUDE", if include == Include::All { "all" } else { "enabled" })
}

fn holds(name: &str, input: &Input, includes: &[Include]) {
    for &include in includes {
        let release = release(input);
        let planned = all(input, include);
        let spec = spec(&planned, &definition(include));
        let address = Address::of(&spec.file_server, spec.image_section());
        let text = offline(&release, &address);
        assert_eq!(astray(input, include, &text, &spec), Vec::<String>::new(), "{name}");
        let proof = prove(&release, &address, &planned);
        assert_eq!(proof.failed, Vec::<String>::new(), "{name}");
        assert!(!proof.proved.is_empty(), "{name}");
        assert_eq!(forgotten(input, &proof), Vec::<String>::new(), "{name}");
        let reasons = [": not a download", ": a prefix of other ", ": it has no value for this version"];
        let not_enabled = ": not enabled, so the images lack it; it points to ";
        for line in &proof.left_out {
            let known = reasons.iter().any(|reason| line.contains(reason));
            let disabled = include == Include::Enabled && line.contains(not_enabled);
            assert!(known || disabled, "{name}: left out without a reason: {line}");
        }
    }
}

fn every_download_of_a_release_leads_to_the_images() {
    let shared = shared();
    for name in RELEASES {
        let release = shared.join("kubespray").join(name);
        holds(name, &input(&release, false, &[]), &BOTH);
        holds(name, &input(&release, true, &["kube_network_plugin=cilium", "helm_enabled=true"]), &[Include::Enabled]);
    }
}

fn so_does_every_one_of_the_fixture() {
    holds("fixture", &fixture(false, &[]), &BOTH);
    holds("fixture", &fixture(true, &["etcd_deployment_type=docker"]), &BOTH);
}

/// What the images lack, and what no line of `offline.yml` redirects, is found by the proof and by the tests above.
fn a_hole_is_found() {
    let input = fixture(false, &[]);
    let mut planned = all(&input, Include::Enabled);
    let whole = spec(&planned, &definition(Include::Enabled));
    let text = offline(&release(&input), &Address::of(&whole.file_server, whole.image_section()));
    let hole: String =
        text.lines().filter(|line| !line.starts_with("registry_host")).map(|line| format!("{line}\n")).collect();
    assert!(
        !astray(&input, Include::Enabled, &hole.replace("{{ registry_host }}", "elsewhere.example"), &whole).is_empty()
    );

    let lost = planned.get_mut(&Arch::Arm64).expect("arm64").files.remove(0);
    let proof = prove(&release(&input), &Address::of(&whole.file_server, whole.image_section()), &planned);
    assert!(
        proof.failed.iter().any(|line| line.starts_with("arm64 ") && line.contains(&lost.name)),
        "{:?}",
        proof.failed
    );
    let short = spec(&planned, &definition(Include::Enabled));
    assert!(!astray(&input, Include::Enabled, &text, &short).is_empty());
}
