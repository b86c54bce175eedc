//! Both targets of one definition, by one command: `examples/kubespray`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::project::unpack;
use crate::harness::fleet::{self, HOSTS};
use crate::harness::{Client, Container, Harness, Origin, Rules, Unpacked, architecture, run};

pub(super) const TESTS: &[(&str, fn())] = &[("one_command_bakes_files_and_images", one_command_bakes_files_and_images)];

const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn one_command_bakes_files_and_images() {
    let harness = Harness::get();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/kubespray");
    let folder = harness.folder("bake");
    fs::create_dir(folder.join("temp")).unwrap();
    for file in ["kso.yaml", "docker-bake.hcl", "temp/files-amd64.list", "temp/files-arm64.list", "temp/images.list"] {
        fs::copy(example.join(file), folder.join(file)).unwrap();
    }
    let urls: BTreeSet<String> =
        ["amd64", "arm64"].iter().flat_map(|arch| lines(&folder.join(format!("temp/files-{arch}.list")))).collect();
    let origin = Origin::start();
    let hosts: BTreeSet<&str> = urls.iter().filter_map(|url| url.split('/').nth(2)).collect();
    let mut definition = fs::read_to_string(folder.join("kso.yaml")).unwrap() + "mirrors:\n";
    for host in hosts {
        let _ = writeln!(definition, "  - {{ from: 'https://{host}/', to: ['{}'] }}", origin.mirror(host));
    }
    fs::write(folder.join("kso.yaml"), definition).unwrap();
    let upstream = harness.upstream(Rules::default());
    let members = fleet::named(&lines(&folder.join("temp/images.list")));
    fleet::put(&members, &upstream);
    let daemon = harness.daemon_with(&HOSTS.map(|host| (host, &upstream)));
    let _ = harness.frontend();

    let mut bake = daemon.buildx().command();
    bake.current_dir(&folder).args(["bake", "--progress", "plain", "--push"]);
    bake.env("REPOSITORY", harness.registry().reference("baked")).env("BUILD", "7.8.9").env("KUBESPRAY", "2.25.1");
    let output = run(bake, b"", Duration::from_mins(10)).unwrap();
    assert!(output.status.success(), "{}", output.stderr);

    // Everything by intent: what two platforms or two images need is asked for once.
    let twice: Vec<_> = origin.bodies().into_iter().filter(|(_, count)| *count != 1).collect();
    assert!(twice.is_empty() && origin.bodies().len() == urls.len(), "{twice:?}");
    let twice: Vec<_> = upstream.blobs().into_iter().filter(|(_, count)| *count != 1).collect();
    assert!(twice.is_empty() && !upstream.blobs().is_empty(), "{twice:?}");
    let layers = |image: &str, platform: &str| -> BTreeSet<String> {
        let manifest = harness.registry().image(image, platform).manifest;
        let layers = manifest["layers"].as_array().unwrap().iter();
        layers.map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
    };
    // Nothing by accident: the images have no layer in common but what their bases have, and the one with kso.
    let above = |image: &str, platform| layers(&format!("docker.io/library/{image}"), platform);
    for platform in PLATFORMS {
        let files = layers("baked/kubespray-files:v7.8.9-2.25.1", platform);
        let images = layers("baked/kubespray-images:v7.8.9-2.25.1", platform);
        let (nginx, registry) = (above("nginx:1.27-alpine", platform), above("registry:3", platform));
        assert!(files.is_superset(&nginx) && images.is_superset(&registry), "{platform}: each has its base");
        let common: BTreeSet<_> = files.intersection(&images).cloned().collect();
        let of_bases: BTreeSet<_> = nginx.intersection(&registry).cloned().collect();
        let beyond: Vec<_> = common.difference(&of_bases).collect();
        // The harness's frontend image is for this machine alone.
        let own = platform == format!("linux/{}", architecture());
        assert!(common.is_superset(&of_bases) && beyond.len() == usize::from(own), "{platform}: {beyond:?}");
        if !own {
            continue;
        }
        let image = harness.registry().image("baked/kubespray-files:v7.8.9-2.25.1", platform);
        let at = image.layers().iter().position(|layer| layer == beyond[0]).unwrap();
        let history = image.config["history"].as_array().unwrap();
        let layers: Vec<_> = history.iter().filter(|step| step["empty_layer"] != true).collect();
        assert_eq!(layers[at]["created_by"], "kso: kso verify", "{platform}");
    }
    answers(&urls, &members);
}

/// Both images, started, serve what was asked for.
fn answers(urls: &BTreeSet<String>, members: &[fleet::Member]) {
    let harness = Harness::get();
    let platform = format!("linux/{}", architecture());
    let server = Container::start(harness, "baked/kubespray-files:v7.8.9-2.25.1", &platform);
    for url in urls {
        assert_eq!(server.get(&format!("/k8s/{}", url.trim_start_matches("https://"))).status, 200, "{url}");
    }
    let registry = Unpacked::start(unpack("baked/kubespray-images:v7.8.9-2.25.1", &platform));
    let client = Client::new(&registry);
    for member in members {
        let pulled = client.pull(&format!("k8s/{}", member.name), &platform);
        assert_eq!(
            pulled.digest(),
            member.sample().manifest(&platform).expect("it has both").digest(),
            "{}",
            member.name
        );
    }
}
