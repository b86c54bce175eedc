//! The stand-in for `registry:3`, with a storage that was filled by hand, and the clients that pull from it.

use std::collections::BTreeSet;
use std::fs;

use crate::harness::client::{ADDRESS, garbage, htpasswd};
use crate::harness::{
    Certificate, Client, Container, Harness, Kind, Sample, Storage, Unpacked, architecture, digest, step,
};

pub(super) const TESTS: &[(&str, fn())] = &[
    ("a_filled_registry_is_pulled_from", a_filled_registry_is_pulled_from),
    ("tls_and_htpasswd", tls_and_htpasswd),
    ("garbage_is_found", garbage_is_found),
];

/// A name for every kind that a registry of today serves.
const IMAGES: [(&str, Kind); 9] = [
    ("calico/node:v3.27.4", Kind::OciIndex),
    ("library/nginx:1.25.2-alpine", Kind::DockerList),
    ("coreos/flannel:v0.14.0-amd64", Kind::DockerManifest("amd64")),
    ("coreos/flannel:v0.14.0-arm64", Kind::OciManifest("arm64")),
    ("zstd:1", Kind::Zstd),
    ("attested:1", Kind::Attested),
    ("without-arm64:1", Kind::WithoutArm64),
    ("charts/app:1.2.3", Kind::Chart),
    ("signed:sha256-0.sig", Kind::Signature),
];

/// Builds `org/NAME:1` from `registry:3` and a storage with these images, as Dockerfiles do it.
fn build(name: &str, storage: impl FnOnce(&Storage)) -> Unpacked {
    let harness = Harness::get();
    let folder = harness.folder("context");
    storage(&Storage::at(folder.join("storage")));
    fs::write(folder.join("Dockerfile"), "FROM registry:3\nCOPY storage /var/lib/registry\n").unwrap();
    let (image, platform) = (format!("org/{name}:1"), format!("linux/{}", architecture()));
    let build = harness.buildx().build(&folder).platform(&platform).push(&image);
    let _ = step("build of a filled registry", || build.run()).success();
    Container::unpack(harness, &image, &platform).port(5000)
}

fn sample((image, kind): &(&str, Kind)) -> Sample {
    let (name, version) = image.split_once(':').unwrap();
    Sample::new(*kind, name, version)
}

fn a_filled_registry_is_pulled_from() {
    let unpacked = build("filled", |storage| {
        for image in &IMAGES {
            storage.write(image.0, &sample(image));
        }
        storage.write("tagless", &Sample::new(Kind::OciIndex, "tagless", "1"));
    });
    let container = step("start", || unpacked.start());
    let client = Client::new(&container);
    for image in &IMAGES {
        let sample = sample(image);
        let (name, tag) = image.0.split_once(':').unwrap();
        assert_eq!(digest(&client.raw(image.0)), sample.digest(), "{}", image.0);
        assert_eq!(
            client.tags(name),
            IMAGES.iter().filter_map(|other| other.0.strip_prefix(name)?.strip_prefix(':')).collect::<Vec<_>>()
        );
        for platform in ["linux/amd64", "linux/arm64"] {
            let Some(manifest) = sample.manifest(platform) else { continue };
            for reference in [format!("{name}:{tag}"), format!("{name}@{}", sample.digest())] {
                let pulled = client.pull(&reference, platform);
                assert_eq!(pulled.digest(), manifest.digest(), "{reference} {platform}");
                assert_eq!(pulled.blobs(), manifest.blobs(), "{reference} {platform}");
                if !matches!(image.1, Kind::Chart | Kind::Signature) {
                    assert_eq!(client.crane_pull(&reference, platform), sample.digest(), "{reference} {platform}");
                }
            }
        }
    }
    let tagless = Sample::new(Kind::OciIndex, "tagless", "1");
    client.pull(&format!("tagless@{}", tagless.digest()), "linux/arm64");
    // To distribution, a repository without a tag has no list of tags; it is in the catalog all the same.
    let unknown = client.crane(&["ls", &format!("{ADDRESS}/tagless")]).unwrap_err().0;
    assert!(unknown.contains("NAME_UNKNOWN"), "{unknown}");
    let mut catalog: BTreeSet<&str> = IMAGES.iter().map(|(image, _)| image.split_once(':').unwrap().0).collect();
    catalog.insert("tagless");
    assert_eq!(client.catalog(), catalog.into_iter().collect::<Vec<_>>());

    let one = client.pull("calico/node:v3.27.4", "linux/amd64");
    client.push(&one, "pushed/by-skopeo:1");
    assert_eq!(client.pull("pushed/by-skopeo:1", "linux/amd64").digest(), one.digest());
    let (from, to) = (format!("{ADDRESS}/zstd:1"), format!("{ADDRESS}/pushed/by-crane:1"));
    client.crane(&["copy", &from, &to]).unwrap();
    assert_eq!(client.crane_pull("pushed/by-crane:1", "linux/arm64"), client.crane_pull("zstd:1", "linux/arm64"));
    let storage = Storage::at(container.root().join("var/lib/registry"));
    assert!(storage.tags("pushed/by-crane").contains("1"), "what is pushed lies in the container");
}

fn tls_and_htpasswd() {
    let sample = Sample::new(Kind::OciIndex, "calico/node", "v1");
    let certificate = Certificate::make(&[]).unwrap();
    let (login, line) = htpasswd();
    let unpacked = build("secured", |storage| storage.write("calico/node:v1", &sample))
        .file("/certs/tls.crt", &certificate.certificate())
        .file("/certs/tls.key", &certificate.key())
        .file("/auth/htpasswd", line.as_bytes())
        .env("REGISTRY_HTTP_TLS_CERTIFICATE", "/certs/tls.crt")
        .env("REGISTRY_HTTP_TLS_KEY", "/certs/tls.key")
        .env("REGISTRY_AUTH", "htpasswd")
        .env("REGISTRY_AUTH_HTPASSWD_REALM", "harness")
        .env("REGISTRY_AUTH_HTPASSWD_PATH", "/auth/htpasswd");
    let container = unpacked.start();
    let client = Client::new(&container).trusting(&certificate).login(&login);
    assert_eq!(client.pull("calico/node:v1", "linux/arm64").digest(), sample.manifest("linux/arm64").unwrap().digest());
    assert_eq!(client.crane_pull("calico/node:v1", "linux/arm64"), sample.digest());
    let reference = format!("docker://{ADDRESS}/calico/node:v1");
    let stranger = Client::new(&container).trusting(&certificate).skopeo(&["inspect", "--raw", &reference]);
    assert!(stranger.unwrap_err().0.contains("authentication required"));
    let other = Client::new(&container).trusting(&Certificate::make(&[]).unwrap()).login(&login);
    assert!(other.skopeo(&["inspect", "--raw", &reference]).unwrap_err().0.contains("certificate"));
}

fn garbage_is_found() {
    let root = Harness::get().folder("storage");
    let storage = Storage::at(&root);
    let tools = Harness::get().tools();
    // What the image of one architecture holds: an index that names more than there is.
    let sample = Sample::new(Kind::OciIndex, "calico/node", "v1").keep(&["linux/amd64"]);
    storage.write("calico/node:v1", &sample);
    storage.write("tagless", &sample);
    let clean = garbage(tools, &root, &[]);
    assert!(clean.contains(" 0 blobs and 0 manifests eligible for deletion"), "{clean}");
    let mut other = Sample::new(Kind::OciIndex, "calico/typha", "v1");
    other.documents.clear();
    other.documents.push(sample.top().clone());
    storage.write("calico/typha", &other);
    let found = garbage(tools, &root, &[]);
    assert!(!found.contains(" 0 blobs and 0 manifests eligible for deletion"), "{found}");
}
