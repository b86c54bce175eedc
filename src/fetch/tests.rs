//! Fetching from a fake world whose clock stands still until everybody waits.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::*;
use crate::definition::Spec;
use crate::diagnostic::{Source as Text, Span};

/// What a URL answers, try after try; after the last it succeeds.
#[derive(Default)]
struct World {
    script: BTreeMap<String, Vec<Failure>>,
    asked: RefCell<Vec<(String, u32)>>,
    running: RefCell<Vec<String>>,
    most: RefCell<(usize, usize)>,
}

impl World {
    fn failing(url: &str, failures: Vec<Failure>) -> Self {
        Self { script: BTreeMap::from([(url.into(), failures)]), ..Self::default() }
    }

    fn asked(&self, url: &str) -> usize {
        self.asked.borrow().iter().filter(|(asked, _)| asked == url).count()
    }
}

impl Fetcher for World {
    async fn fetch(&self, attempt: &Attempt, measure: bool) -> Result<Option<u64>, Failure> {
        self.asked.borrow_mut().push((attempt.source.to_string(), attempt.number));
        let own = attempt.source.authority().to_owned();
        self.running.borrow_mut().push(own.clone());
        let count = {
            let running = self.running.borrow();
            (running.len(), running.iter().filter(|host| **host == own).count())
        };
        self.most.replace_with(|most| (most.0.max(count.0), most.1.max(count.1)));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut running = self.running.borrow_mut();
        let at = running.iter().position(|host| *host == own).expect("it was put there");
        running.remove(at);
        let failure = self.script.get(attempt.source.as_str()).and_then(|script| script.get(attempt.number as usize));
        match failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(measure.then_some(7)),
        }
    }
}

/// A definition of these URLs, with an optional rest of the file.
fn spec(urls: &[String], rest: &str) -> Spec {
    let list: String = urls.iter().map(|url| format!("  - url: {url}\n")).collect();
    let text = format!("apiVersion: kso/v1\nfiles:\n{list}{rest}");
    let mut diagnostics = Vec::new();
    let source = Text::new("kso.yaml", text);
    let definition = crate::definition::Definition::parse(&source, &mut diagnostics).expect("a good version");
    let spec = definition.expand(&BTreeMap::new(), &mut diagnostics);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    spec
}

/// The files of a definition, with their sources.
fn wanted(spec: &Spec) -> Wanted {
    crate::kind::files::tree::artifacts(spec.file_section()).downloads(&spec.mirrors)
}

/// The id of the file with that index.
fn id(index: usize) -> ArtifactId {
    let urls: Vec<String> = (0..10).map(|at| format!("https://a.example/{at}")).collect();
    crate::kind::files::tree::artifacts(spec(&urls, "").file_section()).ids().nth(index).expect("ten files")
}

async fn run(world: &World, urls: &[&str]) -> Result<Vec<Fetched>, Vec<Lost>> {
    let urls: Vec<String> = urls.iter().map(ToString::to_string).collect();
    fetch(wanted(&spec(&urls, "")), world, &Limits::default(), true).await
}

fn url(text: &str) -> FileUrl {
    text.parse().expect("a good URL")
}

const X: &str = "https://a.example/x";
const Y: &str = "https://a.example/y";

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again() {
    let broken = Failure::Connection("unexpected EOF".into());
    let statuses = [408, 425, 429, 500, 502, 503, 504].map(Failure::Status);
    for failure in statuses.into_iter().chain([broken]) {
        let world = World::failing(X, vec![failure.clone(), failure]);
        let fetched = run(&world, &[X, Y]).await.expect("the third try succeeds");
        assert_eq!(fetched[0].attempt.number, 2);
        assert_eq!(fetched[0].bytes, Some(7));
        assert_eq!((world.asked(X), world.asked(Y)), (3, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn what_will_not_pass_is_asked_once() {
    let wrong = Failure::Mismatch { got: "sha256:1".into(), expected: "sha256:2".into() };
    let statuses = [400, 401, 403, 404, 410, 416, 451].map(Failure::Status);
    for failure in statuses.into_iter().chain([wrong, Failure::Other("denied by policy".into())]) {
        let world = World::failing(X, vec![failure.clone(); 9]);
        let lost = run(&world, &[X, Y]).await.expect_err("it never succeeds");
        assert_eq!(lost, [Lost { artifact: id(0), tried: vec![(url(X), 1, failure)] }]);
        assert_eq!((world.asked(X), world.asked(Y)), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn the_tries_end() {
    let world = World::failing(X, vec![Failure::Status(500); 99]);
    let lost = run(&world, &[X]).await.expect_err("it never succeeds");
    assert_eq!(lost[0].tried, [(url(X), 5, Failure::Status(500))]);
}

#[tokio::test(start_paused = true)]
async fn all_that_is_lost_is_told() {
    let urls: Vec<String> = (0..9).map(|at| format!("https://a.example/{at}")).collect();
    let script = urls.iter().step_by(3).map(|url| (url.clone(), vec![Failure::Status(404); 9])).collect();
    let world = World { script, ..World::default() };
    let lost = fetch(wanted(&spec(&urls, "")), &world, &Limits::default(), false).await.expect_err("three are dead");
    assert_eq!(lost.iter().map(|lost| lost.artifact).collect::<Vec<_>>(), [0, 3, 6].map(id));
}

#[tokio::test(start_paused = true)]
async fn never_more_at_once_than_the_bounds() {
    let urls: Vec<String> = (0..200).map(|at| format!("https://h{}.example/{at}", at % 7)).collect();
    let world = World::default();
    let limits = Limits { total: 9, per_host: 2, ..Limits::default() };
    let fetched = fetch(wanted(&spec(&urls, "")), &world, &limits, false).await.expect("nothing fails");
    assert_eq!(fetched.len(), 200);
    assert_eq!(*world.most.borrow(), (9, 2));
    assert_eq!(world.asked.borrow().len(), 200);
}

#[tokio::test(start_paused = true)]
async fn what_asks_several_hosts_has_one_place_at_each() {
    let (world, limits) = (World::default(), Limits { total: 4, per_host: 2, ..Limits::default() });
    let round = Round::new(&world, limits);
    let work = async |at: usize| {
        // One of two hosts twice, which counts once.
        let sources = [at % 3, (at + 1) % 3, at % 3].map(|host| url(&format!("https://h{host}.example/{at}")));
        let fetch = async || {
            for host in sources.iter().take(2) {
                world.running.borrow_mut().push(host.authority().to_owned());
            }
            let most = |host: &String| world.running.borrow().iter().filter(|running| *running == host).count();
            let most = world.running.borrow().iter().map(most).max().unwrap_or(0);
            assert!(most <= 2, "{:?}", world.running);
            tokio::time::sleep(Duration::from_millis(100)).await;
            for host in sources.iter().take(2) {
                let at = world.running.borrow().iter().position(|running| running == host.authority());
                world.running.borrow_mut().remove(at.expect("it was put there"));
            }
        };
        round.together(&sources, fetch()).await;
    };
    let began = tokio::time::Instant::now();
    futures_util::future::join_all((0..30).map(work)).await;
    assert!(began.elapsed() < Duration::from_secs(3), "one after the other: {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn mirrors_are_tried_in_order() {
    let mirrors = "mirrors:\n  - { from: https://a.example/, to: [http://m.example/a/, http://n.example/] }\n";
    let spec = spec(&[X.into()], mirrors);
    let world = World::failing("http://m.example/a/x", vec![Failure::Status(404)]);
    let fetched = fetch(wanted(&spec), &world, &Limits::default(), false).await.expect("the second has it");
    assert_eq!(fetched[0].attempt.source, url("http://n.example/x"));
    assert_eq!(world.asked(X), 0, "the origin is asked only where it is listed");
}

#[tokio::test(start_paused = true)]
async fn a_mirror_that_is_down_costs_no_pause() {
    let mirrors = "mirrors:\n  - { from: https://a.example/, to: [http://m.example/, http://n.example/] }\n";
    let spec = spec(&[X.into()], mirrors);
    let down = Failure::Connection("refused".into());
    let world = World::failing("http://m.example/x", vec![down.clone(); 9]);
    let began = tokio::time::Instant::now();
    let fetched = fetch(wanted(&spec), &world, &Limits::default(), false).await.expect("the second has it");
    assert_eq!(
        fetched[0].attempt,
        Attempt { artifact: id(0), source: url("http://n.example/x"), number: 0, earlier: 1 }
    );
    assert!(began.elapsed() < Limits::default().retry.pause, "{:?}", began.elapsed());

    // Where none answers, each is asked as often as if it were the only one, and none of them twice without a pause.
    let script = ["http://m.example/x", "http://n.example/x"].map(|url| (url.to_owned(), vec![down.clone(); 9]));
    let world = World { script: script.into(), ..World::default() };
    let lost = fetch(wanted(&spec), &world, &Limits::default(), false).await.expect_err("both are down");
    assert_eq!(lost[0].tried.iter().map(|(_, tries, _)| *tries).collect::<Vec<_>>(), [5, 5]);
    let asked: Vec<_> = world.asked.borrow().iter().map(|(url, _)| url.clone()).collect();
    assert!(asked.windows(2).all(|pair| pair[0] != pair[1]), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_mirror_is_asked_last() {
    let urls: Vec<String> = (0..40).map(|at| format!("https://a.example/{at}")).collect();
    let mirrors = "mirrors:\n  - { from: https://a.example/, to: [http://m.example/, http://n.example/] }\n";
    let down = Failure::Unreachable("dial tcp 192.0.2.1:443: i/o timeout".into());
    let script = (0..40).map(|at| (format!("http://m.example/{at}"), vec![down.clone(); 9])).collect();
    let world = World { script, ..World::default() };
    let limits = Limits::default();
    let fetched = fetch(wanted(&spec(&urls, mirrors)), &world, &limits, false).await.expect("the second has all");
    assert!(fetched.iter().all(|file| file.attempt.source.authority() == "n.example"));
    let asked = world.asked.borrow().iter().filter(|(url, _)| url.starts_with("http://m.example/")).count();
    assert!(asked <= limits.per_host * 2, "{asked} requests to a mirror that is silent");
}

#[tokio::test(start_paused = true)]
async fn wrong_bytes_are_asked_for_elsewhere() {
    let mirrors = "mirrors:\n  - { from: https://a.example/, to: [http://m.example/, http://n.example/] }\n";
    let spec = spec(&[X.into()], mirrors);
    let wrong = Failure::Mismatch { got: "sha256:1".into(), expected: "sha256:2".into() };
    let busy = vec![Failure::Status(503); 2];
    let script = [("http://m.example/x", vec![wrong; 9]), ("http://n.example/x", busy)];
    let world = World { script: script.map(|(url, failures)| (url.to_owned(), failures)).into(), ..World::default() };
    let fetched = fetch(wanted(&spec), &world, &Limits::default(), false).await.expect("the second has it at last");
    assert_eq!(
        fetched[0].attempt,
        Attempt { artifact: id(0), source: url("http://n.example/x"), number: 2, earlier: 3 }
    );
    assert_eq!(world.asked("http://m.example/x"), 1, "wrong bytes stay wrong");
}

/// A server that asks to be left alone is; one that asks for too long is not asked again, and holds nobody up.
#[tokio::test(start_paused = true)]
async fn servers_are_left_alone_for_as_long_as_they_ask() {
    let mirrors = "mirrors:\n  - { from: https://a.example/, to: [http://m.example/, http://n.example/] }\n";
    let spec = spec(&[X.into()], mirrors);
    let busy = |seconds| Failure::Busy { status: 429, after: Duration::from_secs(seconds) };
    let script = [("http://m.example/x", vec![busy(3600); 9]), ("http://n.example/x", vec![busy(30), busy(1)])];
    let world = World { script: script.map(|(url, failures)| (url.to_owned(), failures)).into(), ..World::default() };
    let began = tokio::time::Instant::now();
    let fetched = fetch(wanted(&spec), &world, &Limits::default(), false).await.expect("the second has it at last");
    assert_eq!(fetched[0].attempt.source, url("http://n.example/x"));
    assert_eq!((world.asked("http://m.example/x"), world.asked("http://n.example/x")), (1, 3));
    assert_eq!(began.elapsed().as_secs(), 30 + 2);
}

#[test]
fn a_place_in_a_file_is_kept() {
    let spec = spec(&[X.into(), Y.into()], "");
    let lines: Vec<usize> = spec.files.iter().map(|file| file.spans[0].line()).collect();
    assert_eq!(lines, [3, 4]);
    let _: &Span = &spec.files[0].spans[0];
}
