//! What is tried again, and what is reported when that does not help. The clock stands still until everybody waits.

use buildkit::testing::{Fake, Source};

use super::*;
use crate::fetch::Failure;

const URL: &str = "https://a.example/x";
/// Of `right`.
const PIN: &str = "27042f4e6eca7d0b2a7ee4026df2ecfa51d3339e6d122aa099118ecd8563bad9";

/// A daemon with a definition of one file.
fn one(sha256: &str, answers: impl IntoIterator<Item = Answer>) -> Fake {
    let pin = if sha256.is_empty() { String::new() } else { format!("    sha256: {sha256}\n") };
    daemon(&format!("apiVersion: kso/v1\nfiles:\n  - url: {URL}\n{pin}")).http(URL, answers)
}

/// BuildKit's words for an answer with that status.
fn status(status: u16) -> Answer {
    Answer::fails(&format!("invalid response status {status}"))
}

fn reset() -> Answer {
    Answer::fails("read: connection reset by peer")
}

fn right() -> Answer {
    Answer::bytes("right")
}

/// The sources of the files in the final graph.
fn downloads(returned: &Returned) -> Vec<Source> {
    let mut sources = image(returned, "").sources();
    sources.retain(|source| source.identifier.starts_with("https:"));
    sources
}

#[tokio::test(start_paused = true)]
async fn an_unpinned_file_is_tried_again() {
    let fake = one("", [reset(), status(429), right()]);
    let returned = run(&fake).await.expect("the third try succeeds");
    assert_eq!(fake.asked(URL), 3);
    let used = downloads(&returned).remove(0);
    assert_eq!(used.attrs["kso.retry"], "2", "the graph uses the vertex that succeeded");
    assert!(!used.attrs.contains_key("http.checksum"));
}

#[tokio::test(start_paused = true)]
async fn a_pinned_file_is_tried_again() {
    for failures in [vec![reset()], vec![reset(), reset()], vec![reset(), status(503), status(429)]] {
        let tries = failures.len() + 1;
        let fake = one(PIN, failures.into_iter().chain([right()]));
        let returned = run(&fake).await.unwrap_or_else(|error| panic!("try {tries} succeeds, but: {error}"));
        let used = downloads(&returned).remove(0);
        assert_eq!(used.attrs["http.checksum"], format!("sha256:{PIN}"));
        assert!(used.attrs.contains_key("kso.retry"));
        // Each try after the first looks without the checksum first; only the last one finds something there.
        assert_eq!(fake.asked(URL), tries + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pinned_file_that_is_there_is_asked_for_once() {
    let fake = one(PIN, [right()]);
    let returned = run(&fake).await.expect("built");
    assert_eq!(fake.asked(URL), 1);
    assert!(!downloads(&returned)[0].attrs.contains_key("kso.retry"));
}

#[tokio::test(start_paused = true)]
async fn why_a_checksum_does_not_fit_is_found_out() {
    // With a checksum BuildKit takes every answer for the file, so the first one is always a mismatch.
    let page = || Answer::bytes("<html>an error page</html>");
    let cases = [
        ("an error page", vec![page(), status(404)]),
        ("an error page that stays", vec![page(), status(500)]),
        ("other bytes", vec![page(), page()]),
    ];
    let mut text = String::new();
    for (what, answers) in cases {
        let _ = writeln!(text, "{what}\n{}\n", told(&one(PIN, answers)).await);
    }
    insta::assert_snapshot!(text);
    let fake = one(PIN, [page(), right()]);
    run(&fake).await.expect("the right bytes came after all");
}

#[tokio::test(start_paused = true)]
async fn other_bytes_end_a_retry_before_the_checksum_sees_them() {
    // A second mismatch under the checksum could not be tried again: the vertex that ignores the cache is used up.
    let fake = one(PIN, [reset(), Answer::bytes("wrong")]);
    let told = told(&fake).await;
    assert!(told.contains("wrong checksum: the server sent sha256:"), "{told}");
    assert_eq!(fake.asked(URL), 2);
    let evaluated = fake.solves().iter().filter(|solve| solve.evaluate).count();
    assert_eq!(evaluated, 1);
}

#[tokio::test(start_paused = true)]
async fn an_old_daemon_that_tells_nothing_of_sources_still_tells_the_failure() {
    let old = |answers: Vec<Answer>| one(PIN, answers).without(capability::SOURCE_META_RESOLVER);
    let told = told(&old(vec![Answer::bytes("wrong")])).await;
    assert!(told.contains("wrong checksum: the server sent sha256:"), "{told}");
    run(&old(vec![reset(), right()])).await.expect("one retry works without asking first");
}

#[tokio::test(start_paused = true)]
async fn a_mirror_has_what_the_first_one_has_not() {
    let mirrors = "mirrors:\n  - from: https://a.example/\n    to: [https://m.example/, https://n.example/]\n";
    for pin in ["", &format!("    sha256: {PIN}\n")] {
        let definition = format!("apiVersion: kso/v1\nfiles:\n  - url: {URL}\n{pin}{mirrors}");
        let fake =
            daemon(&definition).http("https://m.example/x", [status(404)]).http("https://n.example/x", [right()]);
        let returned = run(&fake).await.expect("the second mirror has it");
        assert_eq!(downloads(&returned)[0].identifier, "https://n.example/x");
        assert_eq!(fake.asked(URL), 0);
        let dead =
            daemon(&definition).http("https://m.example/x", [status(404)]).http("https://n.example/x", [status(403)]);
        let told = told(&dead).await;
        let sentence = format!(
            "kso.yaml:3: cannot fetch {URL} from https://m.example/x: {}; then from https://n.example/x: {}",
            Failure::Status(404),
            Failure::Status(403)
        );
        assert!(told.contains(&sentence), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_that_is_lost_is_told_with_its_line() {
    let list = "https://a.example/1\n# two\nhttps://a.example/2\nhttps://a.example/3\n";
    let fake = daemon("apiVersion: kso/v1\nfiles:\n  - list: a.list\n  - url: https://b.example/4\n")
        .local("context", "a.list", list)
        .http("https://a.example/1", [status(404)])
        .http("https://a.example/2", [right()])
        .http("https://a.example/3", [status(500)])
        .http("https://b.example/4", [Answer::fails("Get \"https://b.example/4\": tls: x509: expired")]);
    insta::assert_snapshot!(told(&fake).await);
    assert_eq!((fake.asked("https://a.example/1"), fake.asked("https://a.example/3")), (1, 5));
}

#[tokio::test(start_paused = true)]
async fn of_many_places_a_few_are_told() {
    let fake = daemon("apiVersion: kso/v1\nfiles: [{ list: a.list }]\n")
        .local("context", "a.list", "https://a.example/1\n".repeat(1_000))
        .http("https://a.example/1", [status(404)]);
    let told = told(&fake).await;
    assert_eq!(told.matches("also requested here").count(), 4, "{told}");
    assert!(told.contains("\n  and 995 more places\nhelp: "), "{told}");
}

#[tokio::test(start_paused = true)]
async fn without_the_cache_everything_is_asked_again() {
    let fake = one(PIN, [right()]).option("no-cache", "");
    let returned = run(&fake).await.expect("built");
    let ignoring: Vec<bool> = image(&returned, "").vertices().iter().map(|vertex| vertex.ignore_cache).collect();
    assert!(ignoring.iter().filter(|ignores| **ignores).count() >= 3, "{ignoring:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pinned_file_is_looked_for_in_imported_caches_as_its_layer() {
    let imports = r#"[{"Type":"registry","Attrs":{"ref":"a.example/cache:1"}}]"#;
    for failures in [vec![], vec![reset()], vec![reset(), status(503)]] {
        let fake = one(PIN, failures.into_iter().chain([right()])).option("cache-imports", imports);
        let returned = run(&fake).await.expect("built");
        let asked = fake.solves().into_iter().find(|solve| solve.evaluate).expect("a download");
        let (layer, op) = ops(&asked).pop().expect("a vertex");
        assert!(matches!(op.op, Some(pb::op::Op::File(_))), "caches are exported of layers, not of sources: {op:?}");
        let is_final = merged(image(&returned, "")).contains(&layer);
        assert_eq!(is_final, fake.asked(URL) == 1, "it is the very layer of the image, unless it failed");
    }
}
