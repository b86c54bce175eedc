//! What clients pull from the started image.

use std::collections::{BTreeMap, BTreeSet};

use super::project::{BOTH, Project, STORAGE, put, unpack};
use crate::harness::client::{garbage, htpasswd};
use crate::harness::{
    Buildkitd, Certificate, Client, Harness, Kind, REGISTRY, Rules, Sample, Storage, Upstream, digest,
};

pub(super) const TESTS: &[(&str, fn())] = &[
    ("every_kind_is_pulled", every_kind_is_pulled),
    ("all_architectures_are_pulled_from_one_image", all_architectures_are_pulled_from_one_image),
    ("the_registry_is_the_users", the_registry_is_the_users),
    ("tls_and_htpasswd", tls_and_htpasswd),
];

/// What is behind `docker.io` and `quay.io`, with an image of every kind that has both architectures.
struct World {
    /// The source registries, which answer while this lives.
    _upstreams: [Upstream; 2],
    daemon: Buildkitd,
    definition: String,
    /// What each platform's registry must serve: the reference below `127.0.0.1:5000`, the architecture, the image.
    served: Vec<(String, &'static str, Sample)>,
}

fn world(name: &str) -> World {
    let harness = Harness::get();
    let plain = harness.upstream(Rules::default());
    let strict = harness.upstream(Rules { strict_accept: true, ..Rules::default() });
    let mut definition = Vec::new();
    let mut served = Vec::new();
    let mut serve = |name: &str, sample: &Sample| {
        served.extend(["amd64", "arm64"].map(|arch| (name.to_owned(), arch, sample.clone())));
    };
    for (host, upstream) in [("docker.io", &plain), ("quay.io", &strict)] {
        for (image, kind) in [
            ("index:1.0", Kind::OciIndex),
            ("list:1.0", Kind::DockerList),
            ("zstd:1.0", Kind::Zstd),
            ("attested:1.0", Kind::Attested),
            ("chart:1.0", Kind::Chart),
            ("signature:sha256-0.sig", Kind::Signature),
        ] {
            let image = format!("{name}/{image}");
            serve(&format!("k8s/{host}/{image}"), &put(upstream, &image, kind));
            definition.push(format!("  - image: {host}/{image}\n"));
        }
        let image = format!("{name}/tagless");
        let tagless = put(upstream, &image, Kind::OciIndex);
        serve(&format!("k8s/{host}/{image}@{}", tagless.digest()), &tagless);
        definition.push(format!("  - image: {host}/{image}@{}\n", tagless.digest()));
        let image = format!("{name}/both:1.0");
        let both = put(upstream, &image, Kind::OciIndex);
        serve(&format!("k8s/{host}/{image}"), &both);
        definition.push(format!("  - image: {host}/{image}@{}\n", both.digest()));
        let image = format!("{name}/renamed:1.0");
        serve(
            "library/renamed-from-{host}:1.0".replace("{host}", host).as_str(),
            &put(upstream, &image, Kind::DockerList),
        );
        definition.push(format!("  - {{ image: '{host}/{image}', as: 'library/renamed-from-{host}:1.0' }}\n"));
    }
    for arch in ["amd64", "arm64"] {
        for (image, kind) in [
            (format!("{name}/in-the-name-{arch}:1.0"), Kind::DockerManifest(arch)),
            (format!("{name}/in-the-tag:1.0-{arch}"), Kind::OciManifest(arch)),
        ] {
            let sample = put(&strict, &image, kind);
            served.push((format!("k8s/quay.io/{image}"), arch, sample));
        }
    }
    definition.push(format!("  - image: quay.io/{name}/in-the-name-{{arch}}:1.0\n"));
    definition.push(format!("  - image: quay.io/{name}/in-the-tag:1.0-{{arch}}\n"));
    let daemon = harness.daemon_with(&[("docker.io", &plain), ("quay.io", &strict)]);
    World { _upstreams: [plain, strict], daemon, definition: definition.concat(), served }
}

/// Pulls what this architecture must have, by tag and by digest, with both clients.
fn pull(client: &Client<'_>, served: &[(String, &'static str, Sample)], arch: &str) {
    let platform = format!("linux/{arch}");
    for (name, _, sample) in served.iter().filter(|(_, of, _)| *of == arch) {
        let repository = name.split_once('@').or_else(|| name.rsplit_once(':')).unwrap().0;
        let manifest = sample.manifest(&platform).unwrap();
        assert_eq!(digest(&client.raw(name)), sample.digest(), "{name}");
        for reference in [name.clone(), format!("{repository}@{}", sample.digest())] {
            let pulled = client.pull(&reference, &platform);
            assert_eq!(pulled.digest(), manifest.digest(), "{reference} for {platform}");
            assert_eq!(pulled.blobs(), manifest.blobs(), "{reference} for {platform}");
            // crane pulls images only, by their config.
            if !["chart", "signature"].iter().any(|kind| reference.contains(kind)) {
                assert_eq!(client.crane_pull(&reference, &platform), sample.digest(), "{reference} for {platform}");
            }
        }
    }
}

/// The tags of each repository, as they must be; of a tagless one none.
fn tags(served: &[(String, &'static str, Sample)], archs: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let mut repositories: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, _, _) in served.iter().filter(|(_, arch, _)| archs.contains(arch)) {
        if let Some((repository, _)) = name.split_once('@') {
            repositories.entry(repository.to_owned()).or_default();
        } else {
            let (repository, tag) = name.rsplit_once(':').unwrap();
            repositories.entry(repository.to_owned()).or_default().insert(tag.to_owned());
        }
    }
    repositories
}

fn catalog_is_complete(client: &Client<'_>, expected: &BTreeMap<String, BTreeSet<String>>) {
    assert_eq!(client.catalog(), expected.keys().cloned().collect::<Vec<_>>());
    for (repository, tags) in expected.iter().filter(|(_, tags)| !tags.is_empty()) {
        assert_eq!(client.tags(repository), tags.iter().cloned().collect::<Vec<_>>(), "{repository}");
    }
}

fn every_kind_is_pulled() {
    let world = world("kinds");
    let project = Project::new("kinds", &world.definition);
    let _ = project.build_by(world.daemon.buildx()).platform(BOTH).push("org/kinds:1").run().success();
    for arch in ["amd64", "arm64"] {
        let container = unpack("org/kinds:1", &format!("linux/{arch}")).start();
        let client = Client::new(&container);
        pull(&client, &world.served, arch);
        catalog_is_complete(&client, &tags(&world.served, &[arch]));
        let said = garbage(Harness::get().tools(), &container.root().join(STORAGE), &[]);
        assert!(said.contains(" 0 blobs and 0 manifests eligible for deletion"), "{said}");
        let one = client.pull(&world.served[0].0, &format!("linux/{arch}"));
        client.push(&one, "pushed/later:1");
        assert_eq!(client.pull("pushed/later:1", &format!("linux/{arch}")).digest(), one.digest());
        let storage = Storage::at(container.root().join(STORAGE));
        for digest in storage.blobs().into_keys() {
            assert_eq!(crate::harness::digest(&storage.read(&digest)), digest, "filed under its own digest");
        }
    }
}

fn all_architectures_are_pulled_from_one_image() {
    let world = world("all");
    let project = Project::new("all", "");
    project.define(&world.definition, ", architectures: all, attestations: true");
    let _ = project.build_by(world.daemon.buildx()).platform("linux/amd64").push("org/all:1").run().success();
    let container = unpack("org/all:1", "linux/amd64").start();
    let client = Client::new(&container);
    for arch in ["amd64", "arm64"] {
        pull(&client, &world.served, arch);
    }
    catalog_is_complete(&client, &tags(&world.served, &["amd64", "arm64"]));
    let (name, _, attested) = world.served.iter().find(|(name, ..)| name.contains("attested")).unwrap();
    let repository = name.rsplit_once(':').unwrap().0;
    for document in &attested.documents {
        assert_eq!(client.raw(&format!("{repository}@{}", document.digest())), document.bytes, "{}", document.platform);
    }
}

fn the_registry_is_the_users() {
    let upstream = Harness::get().upstream(Rules::default());
    let host = upstream.host();
    put(&upstream, "config/a:1", Kind::DockerList);
    let project = Project::new("config", &format!("  - {{ image: '{host}/config/a:1', as: 'a:1' }}\n"));
    let _ = project.build().platform(BOTH).push("org/config:1").run().success();
    let registry = Harness::get().registry();
    for platform in ["linux/amd64", "linux/arm64"] {
        let (base, built) = (registry.image(REGISTRY, platform), registry.image("org/config:1", platform));
        for key in ["Entrypoint", "Cmd", "ExposedPorts", "WorkingDir"] {
            assert_eq!(built.config["config"][key], base.config["config"][key], "{key}");
        }
        assert!(built.config["config"]["Volumes"].is_null(), "{:#}", built.config);
        assert_eq!(built.layers()[..base.layers().len()], base.layers(), "the base's layers come first");
    }
}

fn tls_and_htpasswd() {
    let upstream = Harness::get().upstream(Rules::default());
    let sample = put(&upstream, "secured/a:1", Kind::OciIndex);
    let host = upstream.host();
    let project = Project::new("secured", &format!("  - {{ image: '{host}/secured/a:1', as: 'a:1' }}\n"));
    let _ = project.build().platform(BOTH).push("org/secured-by-kso:1").run().success();
    let certificate = Certificate::make(&[]).unwrap();
    let (login, line) = htpasswd();
    let container = unpack("org/secured-by-kso:1", "linux/arm64")
        .file("/certs/tls.crt", &certificate.certificate())
        .file("/certs/tls.key", &certificate.key())
        .file("/auth/htpasswd", line.as_bytes())
        .env("REGISTRY_HTTP_TLS_CERTIFICATE", "/certs/tls.crt")
        .env("REGISTRY_HTTP_TLS_KEY", "/certs/tls.key")
        .env("REGISTRY_AUTH", "htpasswd")
        .env("REGISTRY_AUTH_HTPASSWD_REALM", "offline")
        .env("REGISTRY_AUTH_HTPASSWD_PATH", "/auth/htpasswd")
        .start();
    let client = Client::new(&container).trusting(&certificate).login(&login);
    assert_eq!(client.pull("a:1", "linux/arm64").digest(), sample.manifest("linux/arm64").unwrap().digest());
    assert_eq!(client.crane_pull("a:1", "linux/arm64"), sample.digest());
    let stranger = Client::new(&container).trusting(&certificate);
    assert!(stranger.skopeo(&["inspect", "--raw", "docker://127.0.0.1:5000/a:1"]).is_err());
}
