//! `kso verify` against running servers: nginx and the registry, started from what a locked build made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::project::{BOTH, Project};
use crate::harness::client::htpasswd;
use crate::harness::{Certificate, Container, Harness, Rules, Unpacked, run};

pub(super) const TESTS: &[(&str, fn())] = &[
    ("faults_of_running_servers_are_proved", faults_of_running_servers_are_proved),
    ("servers_with_certificates_and_logins_are_proved", servers_with_certificates_and_logins_are_proved),
];

const FILES: &str = "opt/k8s/k8s";
const STORAGE: &str = "var/lib/registry/docker/registry/v2";

/// Somebody at the site, with a home folder of their own.
struct Person<'a> {
    project: &'a Project,
    home: PathBuf,
}

impl<'a> Person<'a> {
    fn new(project: &'a Project) -> Self {
        Self { project, home: Harness::get().folder("person") }
    }

    /// What `kso verify` prints, both streams, if it ends with this code. It runs in the network of the container.
    #[track_caller]
    fn verify(&self, container: &Container, arguments: &[&str], code: i32) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kso"));
        command.current_dir(&self.project.folder).arg("verify").args(arguments);
        command.env("HOME", &self.home).env_remove("NETRC").env_remove("DOCKER_CONFIG");
        let output = container.inside(|| run(command, b"", Duration::from_mins(2))).unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        said
    }
}

/// A project with a lock, whose images are pushed as `org/NAME-files:1` and `org/NAME-images:1`.
fn built(name: &str) -> Project {
    let project = Project::new(name, Rules::default());
    let daemon = project.daemon();
    project.lock(&daemon);
    for target in ["files", "images"] {
        let _ = project.build(&daemon, target).platform(BOTH).push(&format!("org/{name}-{target}:1")).run().success();
    }
    project
}

fn unpack(name: &str, target: &str) -> Unpacked {
    let image = Container::unpack(Harness::get(), &format!("org/{name}-{target}:1"), "linux/amd64");
    image.port(if target == "files" { 80 } else { 5000 })
}

/// A file below a folder whose path holds this.
#[track_caller]
fn find(folder: &Path, part: &str) -> PathBuf {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().contains(part) {
                return path;
            }
        }
    }
    panic!("{part} is not in {}", folder.display())
}

/// Changes a file, looks what is said, and changes it back.
#[track_caller]
fn with(path: &Path, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>, look: impl FnOnce() -> String) -> String {
    let before = fs::read(path).unwrap();
    match change(before.clone()) {
        Some(bytes) => fs::write(path, bytes).unwrap(),
        None => fs::remove_file(path).unwrap(),
    }
    let said = look();
    fs::write(path, before).unwrap();
    said
}

#[expect(clippy::unnecessary_wraps, reason = "a change may leave nothing")]
fn flip(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    Some(bytes)
}

/// Whether exactly one line tells a problem, and it has these words.
#[track_caller]
fn tells(said: &str, kind: &str, words: &[&str]) {
    let lines: Vec<&str> =
        said.lines().filter(|line| ["missing", "wrong", "extra"].iter().any(|kind| line.starts_with(kind))).collect();
    assert!(
        matches!(lines[..], [line] if line.starts_with(kind) && words.iter().all(|word| line.contains(word))),
        "{kind} {words:?} is not what is told:\n{said}"
    );
}

fn faults_of_running_servers_are_proved() {
    let project = built("verify-served");
    let person = Person::new(&project);

    let container = unpack("verify-served", "files").start();
    let look = |code| person.verify(&container, &["--files", "http://127.0.0.1/k8s"], code);
    let good = look(0);
    assert!(good.ends_with(": matches the lock\n") && good.starts_with("http://127.0.0.1/k8s: 3 files, "), "{good}");
    let files = container.root().join(FILES).join("dl.verify-served.example");
    let (helm, name) = (files.join("helm"), "https://dl.verify-served.example/helm");
    tells(&with(&helm, flip, || look(1)), "wrong", &[name, "sha256:"]);
    let cut = |bytes: Vec<u8>| Some(bytes[..bytes.len() - 1].to_vec());
    tells(&with(&helm, cut, || look(1)), "wrong", &[name, " bytes instead of "]);
    tells(&with(&helm, |_| None, || look(1)), "missing", &[name, "status 404"]);
    fs::write(files.join("arm64/more & more.tgz"), b"more").unwrap();
    tells(&look(1), "extra", &["http://127.0.0.1/k8s/dl.verify-served.example/arm64/more%20%26%20more.tgz"]);
    fs::remove_file(files.join("arm64/more & more.tgz")).unwrap();
    let _ = look(0);

    let container = unpack("verify-served", "images").start();
    let look = |code| person.verify(&container, &["--registry", "127.0.0.1:5000"], code);
    let good = look(0);
    assert!(good.ends_with(": matches the lock\n") && good.starts_with("127.0.0.1:5000: 5 images, "), "{good}");
    let storage = container.root().join(STORAGE);
    let repository = "repositories/k8s/quay.io/verify-served/zstd";
    let digest = |folder: &str| {
        let link = find(&storage.join(repository).join(folder), "link");
        fs::read_to_string(link).unwrap().trim_start_matches("sha256:").to_owned()
    };
    let data = |hex: &str| storage.join("blobs/sha256").join(&hex[..2]).join(hex).join("data");
    let (layer, name) = (digest("_layers"), "quay.io/verify-served/zstd:1.0");
    tells(&with(&data(&layer), flip, || look(1)), "wrong", &[name, &layer, " has the digest sha256:"]);
    // The manifest of this platform, which no tag leads to.
    let tag = storage.join(repository).join("_manifests/tags/1.0/current/link");
    let top = fs::read_to_string(&tag).unwrap();
    let revisions = storage.join(repository).join("_manifests/revisions/sha256");
    let manifest = fs::read_dir(revisions).unwrap().map(|it| it.unwrap().file_name().to_string_lossy().into_owned());
    let manifest = manifest.into_iter().find(|hex| !top.contains(hex.as_str())).unwrap();
    let wrong = with(&data(&manifest), flip, || look(1));
    assert!(wrong.lines().any(|line| line.contains(name) && line.contains(&manifest)), "{wrong}");
    tells(&with(&tag, |_| None, || look(1)), "missing", &[name, "the tag k8s/quay.io/verify-served/zstd:1.0"]);
    let other = tag.parent().unwrap().with_file_name("..").join("2.0/current");
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("link"), &top).unwrap();
    tells(&look(1), "extra", &["k8s/quay.io/verify-served/zstd:2.0"]);
    fs::remove_dir_all(other.parent().unwrap()).unwrap();
    let _ = look(0);
    let arm64 = person.verify(&container, &["--registry", "127.0.0.1:5000", "--architecture", "arm64"], 1);
    assert!(arm64.contains("missing  quay.io/verify-served/index:1.0"), "{arm64}");

    // What proves nothing is no success.
    let gone = person.verify(&container, &["--files", "http://127.0.0.1/k8s", "--registry", "127.0.0.1:5000"], 2);
    assert!(
        gone.contains("error: cannot verify `http://127.0.0.1/k8s`: ") && gone.contains("matches the lock"),
        "{gone}"
    );
    fs::write(project.folder.join("bad.lock"), "{\"version\": 9}").unwrap();
    let bad = person.verify(&container, &["--lock", "bad.lock", "--registry", "127.0.0.1:5000"], 2);
    assert!(bad.contains("which is newer than this kso"), "{bad}");
}

fn servers_with_certificates_and_logins_are_proved() {
    let project = built("verify-secured");
    let (certificate, other) = (Certificate::make(&[]).unwrap(), Certificate::make(&[]).unwrap());
    let (ca, wrong) = (certificate.path(), other.path());
    let (ca, wrong) = (ca.to_str().unwrap(), wrong.to_str().unwrap());
    let (login, line) = htpasswd();
    let person = Person::new(&project);
    let stranger = Person::new(&project);
    let netrc = format!("machine 127.0.0.1 login {} password \"{}\"\n", login.user, login.password);
    fs::write(person.home.join(".netrc"), netrc).unwrap();
    fs::create_dir_all(person.home.join(".docker")).unwrap();
    let config = format!("{{\"auths\":{{\"127.0.0.1:5000\":{{\"auth\":\"{}\"}}}}}}", login.basic());
    fs::write(person.home.join(".docker/config.json"), config).unwrap();

    let secured = |target: &str| {
        let unpacked = unpack("verify-secured", target).file("/tls/cert.pem", &certificate.certificate());
        unpacked.file("/tls/key.pem", &certificate.key())
    };
    let server = "server {\n    listen 443 ssl;\n    ssl_certificate /tls/cert.pem;\n    ssl_certificate_key /tls/key.pem;\n    \
                  auth_basic offline;\n    auth_basic_user_file /tls/users;\n    location /k8s/ {\n        root /opt/k8s;\n        \
                  autoindex on;\n    }\n}\n";
    let users = format!("{}:{{PLAIN}}{}\n", login.user, login.password);
    let files = secured("files")
        .file("/etc/nginx/conf.d/secured.conf", server.as_bytes())
        .file("/tls/users", users.as_bytes())
        .start();
    let images = secured("images")
        .file("/tls/users", line.as_bytes())
        .env("REGISTRY_HTTP_TLS_CERTIFICATE", "/tls/cert.pem")
        .env("REGISTRY_HTTP_TLS_KEY", "/tls/key.pem")
        .env("REGISTRY_AUTH", "htpasswd")
        .env("REGISTRY_AUTH_HTPASSWD_REALM", "offline")
        .env("REGISTRY_AUTH_HTPASSWD_PATH", "/tls/users")
        .start();
    for (container, what) in
        [(&files, ["--files", "https://127.0.0.1/k8s"]), (&images, ["--registry", "https://127.0.0.1:5000"])]
    {
        let place = what[1].trim_start_matches("https://");
        let verify =
            |person: &Person<'_>, ca: &str, code| person.verify(container, &[what[0], what[1], "--ca", ca], code);
        let good = verify(&person, ca, 0);
        assert!(good.ends_with(": matches the lock\n"), "{good}");
        let untrusted = verify(&person, wrong, 1);
        tells(&untrusted, "wrong", &[place, "certificate"]);
        let refused = verify(&stranger, ca, 2);
        assert!(refused.contains("refuses access without a login (status 401)"), "{refused}");
        assert!(![good, untrusted, refused].concat().contains(&login.password));
    }
}
