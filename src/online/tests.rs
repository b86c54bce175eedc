//! What is asked of servers on this machine, and what is found.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::definition::Definition;
use crate::diagnostic::Source;
use crate::kind::files::{self, FileAnswer};
use crate::kind::images::resolved::tests as made;
use crate::lock::ask::{self, Found, Question};
use crate::secrets::SecretOption;
use crate::web::Trust;
use crate::web::fake::{Asked, Fake, Reply, run};

/// Counts.
#[derive(Default)]
struct Counter {
    bytes: Cell<u64>,
    done: Cell<usize>,
}

impl Watch for Counter {
    fn bytes(&self, bytes: u64) {
        self.bytes.set(self.bytes.get() + bytes);
    }

    fn done(&self) {
        self.done.set(self.done.get() + 1);
    }
}

fn spec(definition: &str) -> Spec {
    let mut problems = Vec::new();
    let source = Source::new("kso.yaml", format!("apiVersion: kso/v1\n{definition}"));
    let definition = Definition::parse(&source, &mut problems).expect("a definition");
    let spec = definition.expand(&BTreeMap::new(), &mut problems);
    assert!(!problems.iter().any(Diagnostic::is_error), "{problems:?}");
    spec
}

async fn ask(spec: &Spec, secrets: &Secrets, question: &Question<'_>) -> (Found, Counter) {
    let retry = Retry { pause: Duration::from_millis(1), ..Retry::default() };
    let web = Web::new(&Trust::default(), retry).expect("a client");
    let counter = Counter::default();
    let world = Online::new(spec, web, &Credentials::default(), secrets, &counter);
    let Ok(found) = ask::ask(&world, spec, question).await;
    (found, counter)
}

async fn files(spec: &Spec, wanted: &[usize]) -> (Found, Counter) {
    ask(spec, &Secrets::default(), &Question { files: ids(spec, wanted), ..Question::default() }).await
}

/// The files of a specification with these indexes.
fn ids(spec: &Spec, wanted: &[usize]) -> Vec<ArtifactId> {
    let all: Vec<ArtifactId> = files::tree::artifacts(spec.file_section()).ids().collect();
    wanted.iter().map(|at| all[*at]).collect()
}

fn read(found: &Found) -> Vec<ArtifactId> {
    found.files.keys().copied().collect()
}

fn messages(found: &Found) -> Vec<String> {
    found.problems.iter().map(|problem| problem.message.clone()).collect()
}

fn missing() -> Reply {
    (404, vec![], vec![])
}

/// The bytes of a path are the path, except where it says that they are missing.
fn by_path(_: &str, asked: &Asked) -> Reply {
    let path = asked.line.trim_start_matches("GET ");
    if path.contains("missing") || path.ends_with(".sha256") {
        return missing();
    }
    (200, vec![], path.as_bytes().to_vec())
}

#[test]
fn files_are_read_and_hashed() {
    run(async {
        let server = Fake::start(|host, asked| match asked.line.as_str() {
            "GET /b.sha256" => (200, vec![], format!("{}  b\n", Digest::of(b"/b").hex()).into_bytes()),
            _ => by_path(host, asked),
        })
        .await;
        let host = &server.host;
        let spec = spec(&format!("files:\n  - url: http://{host}/a\n  - url: http://{host}/b\n"));
        let (found, counter) = files(&spec, &[0, 1]).await;
        assert_eq!(messages(&found), [""; 0]);
        let answer = |path: &[u8], vouched| FileAnswer { sha256: Digest::of(path), bytes: 2, vouched };
        let answers: Vec<_> = found.files.into_values().collect();
        assert_eq!(answers, [answer(b"/a", false), answer(b"/b", true)]);
        assert_eq!((counter.bytes.get(), counter.done.get()), (4, 2));
    });
}

/// What is asked for need not be all there is: problems belong to the files of the definition.
#[test]
fn what_is_lost_has_its_own_line() {
    run(async {
        let server = Fake::start(by_path).await;
        let host = &server.host;
        let list = ["a", "b-missing", "c", "d-missing", "e"].map(|name| format!("  - url: http://{host}/{name}\n"));
        let spec = spec(&format!("files:\n{}", list.concat()));
        let (answer, counter) = files(&spec, &[2, 3, 4]).await;
        assert_eq!(read(&answer), ids(&spec, &[2, 4]));
        let problems: Vec<_> =
            answer.problems.iter().map(|it| it.span.as_ref().map(crate::diagnostic::Span::line)).collect();
        assert_eq!(problems, [Some(6)], "{:?}", messages(&answer));
        assert!(messages(&answer)[0].contains("/d-missing"), "{:?}", messages(&answer));
        assert_eq!(counter.done.get(), 3);
        assert!(!server.lines().iter().any(|line| line.contains("/a") || line.contains("b-missing")));
    });
}

#[test]
fn other_bytes_than_those_of_the_checksum_are_a_problem() {
    run(async {
        let server = Fake::start(by_path).await;
        let (host, right, wrong) = (&server.host, Digest::of(b"/a"), Digest::of(b"/b"));
        let of = |digest: &Digest| format!("files: [{{ url: 'http://{host}/a', sha256: {} }}]\n", digest.hex());
        let (found, _) = files(&spec(&of(&right)), &[0]).await;
        assert_eq!(
            found.files[&ids(&spec(&of(&right)), &[0])[0]],
            FileAnswer { sha256: right.clone(), bytes: 2, vouched: false }
        );
        assert!(!server.lines().iter().any(|line| line.ends_with(".sha256")), "nobody else need vouch for it");
        let (found, _) = files(&spec(&of(&wrong)), &[0]).await;
        assert_eq!((found.files.len(), found.problems.len()), (0, 1));
        let told = &messages(&found)[0];
        assert!(told.contains(right.as_str()) && told.contains(wrong.as_str()), "{told}");
    });
}

#[test]
fn mirrors_are_asked_in_order() {
    run(async {
        let first = Fake::start(|_, _| (503, vec![], vec![])).await;
        let second = Fake::start(by_path).await;
        let origin = Fake::start(by_path).await;
        let (one, two, from) = (&first.host, &second.host, &origin.host);
        let spec = spec(&format!(
            "files: [{{ url: 'http://{from}/a' }}]\n\
             mirrors: [{{ from: 'http://{from}/', to: ['http://{one}/', 'http://{two}/m/'] }}]\n"
        ));
        let (found, _) = files(&spec, &[0]).await;
        assert_eq!(found.files[&ids(&spec, &[0])[0]].sha256, Digest::of(b"/m/a"), "{:?}", messages(&found));
        // There is another mirror: there is no waiting for the first one.
        assert_eq!(first.lines(), ["GET /a"]);
        assert_eq!(origin.lines(), [""; 0]);
    });
}

/// Where there is no other place, the same one is asked until it answers.
#[test]
fn the_last_place_is_asked_again() {
    run(async {
        let number = Cell::new(0);
        let server = Fake::start(move |host, asked| {
            number.set(number.get() + 1);
            if number.get() < 3 { (503, vec![], vec![]) } else { by_path(host, asked) }
        })
        .await;
        let spec = spec(&format!("files: [{{ url: 'http://{}/a' }}]\n", server.host));
        let (found, _) = files(&spec, &[0]).await;
        assert_eq!(found.files.len(), 1, "{:?}", messages(&found));
        assert_eq!(server.lines().iter().filter(|line| *line == "GET /a").count(), 3);
    });
}

/// A registry and its token server, each busy at first, are asked until they answer: no more than one after the other.
#[test]
fn a_busy_registry_is_asked_again() {
    run(async {
        let mut have = Blobs::new();
        let manifests = ["amd64", "arm64"].map(|arch| made::image(&mut have, arch, &[arch]));
        let top = made::index(&mut have, &manifests);
        let top = have[&top].clone();
        let busy = |text: &str| (429, vec![text.to_owned()], vec![]);
        let asked_before = std::cell::RefCell::new(BTreeMap::<String, usize>::new());
        let server = Fake::start(move |host, asked| {
            let mut asked_before = asked_before.borrow_mut();
            let number = asked_before.entry(asked.line.clone()).or_default();
            *number += 1;
            let line = asked.line.split('?').next().unwrap_or_default();
            match (line, *number) {
                ("GET /token", 1) => (503, vec![], vec![]),
                ("GET /token", _) => (200, vec![], b"{\"token\":\"t\"}".to_vec()),
                (_, 1) => busy("Retry-After: 0"),
                _ if asked.authorization() != "Bearer t" => {
                    let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"s\"");
                    (401, vec![challenge], vec![])
                }
                _ if line.ends_with("/manifests/1") => (200, vec![], top.clone()),
                _ => match line.rsplit('/').next().and_then(|digest| have.get(&digest.parse().ok()?)) {
                    Some(bytes) => (200, vec![], bytes.clone()),
                    None => missing(),
                },
            }
        })
        .await;
        let spec = spec(&format!("images: [{{ image: '{}/app:1' }}]\n", server.host));
        let question = Question { images: spec.images.iter().collect(), ..Question::default() };
        let (found, _) = ask(&spec, &Secrets::default(), &question).await;
        assert_eq!((found.images.len(), messages(&found)), (1, vec![]), "{:?}", server.lines());
        assert_eq!(server.lines().iter().filter(|line| line.starts_with("GET /token")).count(), 2);
    });
}

/// Asks for a file of a server that answers with `status` and `header`: what is said contains `said`, and nobody asks again.
fn is_asked_once(status: u16, header: &'static str, said: &str) {
    run(async {
        let server = Fake::start(move |_, _| (status, vec![header.into()], vec![])).await;
        let spec = spec(&format!("files: [{{ url: 'http://{}/a' }}]\n", server.host));
        let (found, _) = files(&spec, &[0]).await;
        assert!(messages(&found)[0].contains(said), "{:?}", messages(&found));
        assert_eq!(server.lines(), ["GET /a"]);
    });
}

/// `Retry-After` with a status that is final does not change the message.
#[test]
fn a_missing_file_is_not_waited_for() {
    is_asked_once(404, "Retry-After: 0", "the server has no such file (status 404)");
}

#[test]
fn a_server_that_asks_for_too_long_a_wait_is_asked_once() {
    is_asked_once(429, "Retry-After: 86400", "status 429");
}

#[test]
fn a_secret_goes_where_the_definition_says() {
    run(async {
        let [server, other] = [Fake::start(by_path).await, Fake::start(by_path).await];
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("token"), "Bearer s3cret").expect("written");
        let option = format!("id=token,src={}", folder.path().join("token").display());
        let secrets = Secrets::read(&[option.parse::<SecretOption>().expect("an option")]).expect("it is there");
        let spec = spec(&format!(
            "files: [{{ url: 'http://{0}/a' }}, {{ url: 'http://{1}/b' }}]\n\
             hosts: [{{ at: 'http://{0}/', secret: token }}]\n",
            server.host, other.host
        ));
        let question = Question { files: ids(&spec, &[0, 1]), ..Question::default() };
        let (found, _) = ask(&spec, &secrets, &question).await;
        assert_eq!(found.files.len(), 2, "{:?}", messages(&found));
        let sent = |fake: &Fake| fake.asked().iter().map(|asked| asked.authorization().to_owned()).collect::<Vec<_>>();
        // The file, and what may lie beside it.
        let (sent, to_other) = (sent(&server), sent(&other));
        assert!(sent.len() >= 2 && sent.iter().all(|value| value == "Bearer s3cret"), "{sent:?}");
        assert!(to_other.len() >= 2 && to_other.iter().all(String::is_empty), "{to_other:?}");

        let (answer, _) = ask(&spec, &Secrets::default(), &question).await;
        // Files are in the order of their paths, and these begin with the host.
        let without = spec.files.iter().position(|file| file.url.as_str().contains(&other.host));
        assert_eq!(read(&answer), ids(&spec, &without.into_iter().collect::<Vec<_>>()));
        assert!(messages(&answer)[0].contains("secret `token`"), "{:?}", messages(&answer));
    });
}

/// A registry with one image of both architectures, as `app:1`.
async fn registry() -> (Fake, Digest) {
    let mut have = Blobs::new();
    let manifests = ["amd64", "arm64"].map(|arch| made::image(&mut have, arch, &[arch]));
    let digest = made::index(&mut have, &manifests);
    let top = digest.clone();
    let registry = Fake::start(move |_, asked| {
        let reference = asked.line.rsplit('/').next().unwrap_or_default();
        let digest = if reference == "1" { Some(top.clone()) } else { reference.parse().ok() };
        match digest.and_then(|digest| have.get(&digest)) {
            Some(bytes) => (200, vec!["Content-Type: application/json".into()], bytes.clone()),
            None => missing(),
        }
    });
    (registry.await, digest)
}

#[test]
fn images_and_base_images_are_resolved() {
    run(async {
        let (registry, digest) = registry().await;
        let host = &registry.host;
        let spec = spec(&format!(
            "images: [{{ image: '{host}/app:1' }}, {{ image: '{host}/app:2' }}]\nregistry: {{ image: '{host}/app:1' }}\n"
        ));
        let bases = vec![&spec.registry.image];
        let question = Question { bases, images: spec.images.iter().collect(), ..Question::default() };
        let (found, counter) = ask(&spec, &Secrets::default(), &question).await;
        let resolved: Vec<_> =
            found.images.values().map(|image| (image.reference().to_string(), image.top())).collect();
        assert_eq!(resolved.len(), 1, "{:?}", messages(&found));
        assert_eq!((resolved[0].0.as_str(), &resolved[0].1.digest), (format!("{host}/app:1").as_str(), &digest));
        assert_eq!(found.bases.len(), 1, "{:?}", messages(&found));
        assert_eq!(found.problems.len(), 1, "{:?}", messages(&found));
        assert!(messages(&found)[0].contains(&format!("{host}/app:2")), "{:?}", messages(&found));
        assert_eq!(counter.done.get(), 3);
    });
}
