//! Servers with everything that a lock promises, and each fault that may befall them.

use std::collections::BTreeMap;

use super::*;
use crate::kind::files::verify::FileServer;
use crate::kind::images::verify::RegistryServer;
use crate::registry::{Client, Credentials, Endpoint};
use crate::retry::Retry;
use crate::web::fake::{Asked, Fake, Reply, run};
use crate::web::{Netrc, Trust, Web};

/// Answers by their paths.
type Pages = BTreeMap<String, Vec<u8>>;

fn web() -> Web {
    let retry = Retry { pause: std::time::Duration::from_millis(1), tries: 2, ..Retry::default() };
    Web::new(&Trust::default(), retry).expect("a client")
}

fn shown(report: &Report, host: &str) -> String {
    let problems = report.problems.iter().map(|it| format!("{} {}: {}\n", it.kind, it.name, it.why));
    let notes = report.notes.iter().map(|note| format!("note {note}\n"));
    problems.chain(notes).collect::<String>().replace(host, "SERVER")
}

/// A file server: pages, and lists of its directories except for those that have a page.
fn list(pages: &Pages, asked: &Asked) -> Reply {
    let path = asked.line.trim_start_matches("GET ");
    if let Some(page) = pages.get(path) {
        return (200, vec![], page.clone());
    }
    let below = pages.keys().filter_map(|page| page.strip_prefix(path)).filter(|_| path.ends_with('/'));
    let names: BTreeSet<String> = below
        .map(|rest| rest.split_inclusive('/').next().unwrap_or_default())
        // As nginx does: what a URL may hold as it is, is encoded too.
        .map(|name| format!("<a href=\"{}\">{name}</a>\n", name.replace('b', "%62")))
        .collect();
    if names.is_empty() {
        return (404, vec![], vec![]);
    }
    let names = names.into_iter().collect::<String>();
    let page = format!("<html><head><title>Index of {path}</title></head><pre><a href=\"../\">../</a>\n{names}");
    (200, vec![], page.into_bytes())
}

fn files() -> Pages {
    ["a/x", "b"].map(|name| (format!("/k8s/h.example/{name}"), name.as_bytes().to_vec())).into()
}

async fn of_files(pages: Pages) -> Result<String, String> {
    let server = Fake::start(move |_, asked| list(&pages, asked)).await;
    let url = format!("http://{}/k8s", server.host);
    let web = web();
    let files = FileServer::new(&web, &url, |url| Netrc::default().authorization(url))?;
    let report = files.check(&lock().0.files().collect::<Vec<_>>(), &|_| {}).await?;
    assert_eq!(report.files, 2);
    Ok(shown(&report, &server.host))
}

#[test]
fn every_fault_of_a_file_server_is_found() {
    run(async {
        assert_eq!(of_files(files()).await, Ok(String::new()));
        let faults: [(&str, &str, Option<&[u8]>); 7] = [
            ("a flipped byte", "h.example/b", Some(b"c")),
            ("a truncated file", "h.example/a/x", Some(b"a/")),
            ("a file that goes on", "h.example/b", Some(b"bb")),
            ("a missing file", "h.example/b", None),
            ("an extra file", "h.example/a/y", Some(b"y")),
            ("an extra folder", "old/1/x", Some(b"y")),
            ("a page instead of a list", "h.example/", Some(b"<title>Welcome</title>")),
        ];
        let mut pictures = Vec::new();
        for (what, path, bytes) in faults {
            let (mut pages, path) = (files(), format!("/k8s/{path}"));
            match bytes {
                Some(bytes) => drop(pages.insert(path, bytes.to_vec())),
                None => drop(pages.remove(&path)),
            }
            pictures.push(format!("--- {what}\n{}", of_files(pages).await.expect("it answers")));
        }
        insta::assert_snapshot!(pictures.concat());
    });
}

#[test]
fn where_no_file_server_is_nothing_is_proved() {
    run(async {
        let web = web();
        let said = async |url: &str| {
            let server = FileServer::new(&web, url, |url| Netrc::default().authorization(url))?;
            server.check(&lock().0.files().collect::<Vec<_>>(), &|_| {}).await.map(|_| ())
        };
        let closed = said("http://127.0.0.1:9/k8s").await.unwrap_err();
        assert!(closed.contains("refused"), "{closed}");
        let locked = Fake::start(|_, _| (401, vec![], vec![])).await;
        let refused = said(&format!("http://{}/k8s", locked.host)).await;
        assert_eq!(refused, Err("the server refuses access without a login (status 401)".into()));
        let broken = Fake::start(|_, _| (502, vec![], vec![])).await;
        let why = said(&format!("http://{}/k8s", broken.host)).await;
        assert_eq!(why, Err("the server answered with status 502".into()));
        for (url, why) in [
            ("k8s", "it is not a valid URL"),
            ("ftp://h/k8s", "it is not an http or https URL"),
            (
                "http://u:p@h/",
                "it contains a login, which every user of this machine can read: put the login into ~/.netrc",
            ),
            ("http://h/k8s?x", "it is not a directory: it has a query or a fragment"),
        ] {
            assert_eq!(said(url).await, Err(why.into()), "{url}");
        }
    });
}

/// A registry of these architectures: its pages, lists included.
fn registry(architectures: &[Arch]) -> Pages {
    let (lock, have) = lock();
    let mut pages = Pages::new();
    let mut repositories = Vec::new();
    for image in lock.images() {
        let name = image.served.first().expect("a name");
        let (repository, tag) = (&name.repository, name.tag.as_deref().expect("a tag"));
        let path = |kind: &str, name: &str| format!("/v2/{repository}/{kind}/{name}");
        let top = &image.resolved.top().digest;
        pages.insert(path("manifests", tag), have[top].clone());
        pages.insert(path("manifests", top.as_str()), have[top].clone());
        for held in image.resolved.manifests() {
            if held.architectures.iter().any(|arch| architectures.contains(arch)) {
                pages.insert(path("manifests", held.text.digest.as_str()), have[&held.text.digest].clone());
                for blob in held.manifest.blobs() {
                    pages.insert(path("blobs", blob.digest.as_str()), have[&blob.digest].clone());
                }
            }
        }
        pages.insert(path("tags", "list?n=1000"), format!("{{\"tags\":[\"{tag}\"]}}").into_bytes());
        repositories.push(repository.to_string());
    }
    let catalog = serde_json::json!({ "repositories": repositories }).to_string();
    pages.insert("/v2/_catalog?n=1000".into(), catalog.into_bytes());
    pages
}

async fn of_registry(pages: Pages, architecture: Option<Arch>) -> Result<String, String> {
    let server = Fake::start(move |_, asked| {
        let (method, path) = asked.line.split_once(' ').expect("a method");
        match pages.get(path) {
            // What the server of these tests sends with it would be the next answer.
            Some(page) if method == "HEAD" => (200, vec![format!("Content-Length: {}", page.len())], vec![]),
            Some(page) => (200, vec![], page.clone()),
            None => (404, vec![], vec![]),
        }
    })
    .await;
    let (client, endpoint) = (Client::new(web(), Credentials::default()), Endpoint::of(&server.host).expect("a host"));
    let registry = RegistryServer { client: &client, endpoint: &endpoint };
    let report = registry.check(&lock().0.images().collect::<Vec<_>>(), architecture, &|_| {}).await?;
    assert_eq!(report.images, 2);
    Ok(shown(&report, &server.host))
}

#[test]
fn what_a_registry_needs_follows_from_what_it_has() {
    run(async {
        for (has, asked, missing) in [
            (&[Arch::Amd64][..], None, 0),
            (&Arch::ALL, None, 0),
            (&[Arch::Arm64], Some(Arch::Arm64), 0),
            // Of each of two images the manifest and its config; all layers are those of the other architecture.
            (&[Arch::Amd64], Some(Arch::Arm64), 4),
            (&[], None, 12),
        ] {
            let said = of_registry(registry(has), asked).await.expect("it answers");
            assert_eq!(said.matches("missing").count(), missing, "{has:?} {asked:?}\n{said}");
        }
    });
}

#[test]
fn every_fault_of_a_registry_is_found() {
    let (lock, _) = lock();
    let image = lock.images().next().expect("an image");
    let (repository, top) = (&image.served.first().expect("a name").repository, &image.resolved.top().digest);
    let manifest = &image.resolved.manifests()[0].text.digest;
    let blob = |text: &str| format!("blobs/{}", Digest::of(text.as_bytes()));
    let two = "k8s/quay.io/two";
    let page = |repository: &str, rest: &str| format!("/v2/{repository}/{rest}");
    let one = repository.as_str();
    let faults: [(&str, String, Option<&[u8]>); 10] = [
        ("a flipped byte in a blob", page(one, &blob("one")), Some(b"onf")),
        ("a truncated blob of both images", page(one, &blob("base")), Some(b"bas")),
        ("a blob that only one of two repositories has", page(two, &blob("base")), None),
        ("a flipped byte in a manifest", page(one, &format!("manifests/{manifest}")), Some(b"{}")),
        ("a missing index", page(one, &format!("manifests/{top}")), None),
        ("a missing tag", page(one, "manifests/1"), None),
        ("a tag that leads elsewhere", page(one, "manifests/1"), Some(b"{}")),
        ("an extra tag", page(one, "tags/list?n=1000"), Some(br#"{"tags":["1","2"]}"#)),
        (
            "an extra repository",
            "/v2/_catalog?n=1000".into(),
            Some(br#"{"repositories":["k8s/quay.io/one","k8s/quay.io/two","old"]}"#),
        ),
        ("no catalog", "/v2/_catalog?n=1000".into(), None),
    ];
    run(async {
        let mut pictures = Vec::new();
        for (what, path, bytes) in faults {
            let mut pages = registry(&[Arch::Amd64]);
            let before = match bytes {
                Some(bytes) => pages.insert(path, bytes.to_vec()),
                None => pages.remove(&path),
            };
            assert!(before.is_some(), "{what}");
            pictures.push(format!("--- {what}\n{}", of_registry(pages, None).await.expect("it answers")));
        }
        insta::assert_snapshot!(pictures.concat());
    });
}

#[test]
fn where_no_registry_is_nothing_is_proved() {
    run(async {
        let said = async |host: &str| {
            let (client, endpoint) = (Client::new(web(), Credentials::default()), Endpoint::of(host).expect("a host"));
            let registry = RegistryServer { client: &client, endpoint: &endpoint };
            registry.check(&lock().0.images().collect::<Vec<_>>(), None, &|_| {}).await.map(|_| ())
        };
        let closed = said("127.0.0.1:9").await.unwrap_err();
        assert!(closed.contains("refused"), "{closed}");
        let locked = Fake::start(|_, _| (401, vec!["WWW-Authenticate: Basic realm=\"x\"".into()], vec![])).await;
        let refused = said(&locked.host).await;
        assert_eq!(refused, Err("the registry refuses access without a login (status 401)".into()));
    });
}
