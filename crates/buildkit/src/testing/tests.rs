//! The conversation, from the client's side and to its end.

use std::sync::Arc;

use futures_util::future::join_all;

use super::*;
use crate::gateway::{Content, Image, Platform, ResolveMode, SolveRequest, Warning, capability};
use crate::llb::{Digest, File, Http, Local, Location, Mkfile, SourceFile};

fn http(url: &str) -> crate::llb::State {
    Http::new(url).filename("file").state().named(url)
}

#[tokio::test]
async fn a_file_is_read_as_a_whole_and_within_its_limit() {
    let large: Vec<u8> = (0..9 << 20).map(|n: u32| n.to_le_bytes()[1]).collect();
    let fake = Fake::new().local("context", "a/b.list", "one\n").local("context", "large", large.clone());
    let client = fake.connect().await;
    let reference = client.solve_state(&Local::new("context").state()).await.expect("solved");
    assert_eq!(reference.read_file("a/b.list", 100).await, Ok(Content::Bytes(b"one\n".to_vec())));
    assert_eq!(reference.read_file("a/b.list", 3).await, Ok(Content::TooLarge(4)));
    assert_eq!(reference.read_file("a/c.list", 3).await, Ok(Content::Absent));
    assert_eq!(reference.read_file("a", 3).await, Ok(Content::Directory));
    assert_eq!(reference.read_file("large", 10 << 20).await, Ok(Content::Bytes(large)));
    let listed = reference.read_dir("", None).await.expect("a folder");
    assert_eq!(
        listed.iter().map(|stat| (stat.path.as_str(), stat.is_dir())).collect::<Vec<_>>(),
        [("a", true), ("large", false)]
    );
}

#[tokio::test]
async fn a_failure_keeps_its_details_to_the_end() {
    // Larger than hyper's own limit of headers, in which gRPC carries details.
    let list = "https://example.org/x\n".repeat(20_000);
    let file = Arc::new(SourceFile { name: "a.list".into(), data: list.into(), language: String::new() });
    let fake = Fake::new().http("https://example.org/x", [Answer::fails("connection reset by peer")]);
    let returned = fake
        .run(async |client, _| {
            let state = http("https://example.org/x").at(Location::line(&file, 7));
            let result = client.solve(SolveRequest::new(&state.marshal()).evaluate(true)).await;
            let error = result.expect_err("it fails");
            assert_eq!(error.vertex().as_ref(), Some(state.digest()));
            Err(error.context("the download failed"))
        })
        .await;
    let error = returned.expect_err("it fails");
    assert_eq!(error.message(), "the download failed: failed to load cache key: connection reset by peer");
    assert_eq!(error.excerpts()[0].lines, [7..=7]);
    assert_eq!(error.details().len(), 2);
    insta::assert_snapshot!(fake.log());
}

#[tokio::test]
async fn details_of_a_megabyte_arrive() {
    let text = "x".repeat(1 << 20);
    let fake = Fake::new().http("https://example.org/x", [Answer::fails(&text)]);
    let client = fake.connect().await;
    let request = SolveRequest::new(&http("https://example.org/x").marshal()).evaluate(true);
    let error = client.solve(request).await.expect_err("it fails");
    assert!(error.message().ends_with(&text), "{}", &error.message()[..error.message().len().min(200)]);
}

#[tokio::test]
async fn a_panic_is_told_as_a_bug() {
    let fake = Fake::new();
    let returned = fake.run(async |_, _| panic!("index {} out of range", 7)).await;
    assert_eq!(returned.expect_err("a bug").message(), "this is a bug: index 7 out of range");
}

#[tokio::test]
async fn a_definition_of_ten_megabytes_passes_and_one_of_twenty_does_not() {
    let fake = Fake::new();
    let client = fake.connect().await;
    let state = |size: usize| File::scratch().mkfile(Mkfile::new("/x", 0o644, vec![7; size])).state();
    let solved = client.solve(SolveRequest::new(&state(10 << 20).marshal()).evaluate(true)).await;
    assert!(solved.expect("it fits").reference.is_some());
    let error = client.solve(SolveRequest::new(&state(20 << 20).marshal())).await.expect_err("it does not fit");
    assert_eq!(error.message(), "the definition has 21 MiB, but BuildKit accepts at most 16 MiB");
}

#[tokio::test(start_paused = true)]
async fn solves_run_at_the_same_time() {
    let urls: Vec<String> = (0..50).map(|n| format!("https://example.org/{n}")).collect();
    let fake = Fake::new().delay(std::time::Duration::from_secs(1));
    let fake = urls.iter().fold(fake, |fake, url| fake.http(url, [Answer::bytes("x")]));
    let client = fake.connect().await;
    let solve = |url: &String| client.solve(SolveRequest::new(&http(url).marshal()).evaluate(true));
    for result in join_all(urls.iter().map(solve)).await {
        let reference = result.expect("solved").reference.expect("a reference");
        assert_eq!(reference.read_file("/file", 9).await, Ok(Content::Bytes(b"x".to_vec())));
    }
    assert_eq!(fake.most_running(), 50);
}

#[tokio::test]
async fn a_failed_vertex_stays_failed_and_another_attribute_makes_it_new() {
    let url = "https://example.org/x";
    let fake = Fake::new().http(url, [Answer::fails("reset"), Answer::bytes("x")]);
    let client = fake.connect().await;
    let solve = |state: crate::llb::State| client.solve(SolveRequest::new(&state.marshal()).evaluate(true));
    assert!(solve(http(url)).await.is_err());
    assert!(solve(http(url)).await.is_err());
    assert!(solve(Http::new(url).filename("file").attribute("retry", "1").state()).await.is_ok());
    assert_eq!(fake.asked(url), 2);
}

#[tokio::test]
async fn an_image_of_two_platforms_is_returned() {
    let fake =
        Fake::new().option("platform", "linux/amd64,linux/arm64").image("docker.io/library/nginx:1", "{\"a\":1}");
    let returned = fake
        .run(async |client, options| {
            let mut images = Vec::new();
            for platform in options.platforms()? {
                let name = "docker.io/library/nginx:1";
                let base = client.resolve_image_config(name, Some(&platform), ResolveMode::Default, "").await?;
                assert_eq!(base.pinned(), format!("{name}@{}", base.digest));
                let state = crate::llb::Image::new(&base.pinned(), &platform).state();
                images.push(Image { platform, reference: client.solve_state(&state).await?, config: base.config });
            }
            Ok(BuildResult::images(images, options.multi_platform()?)?.with_epoch(7))
        })
        .await
        .expect("an image");
    assert_eq!(returned.references.keys().collect::<Vec<_>>(), ["linux/amd64", "linux/arm64"]);
    let metadata: BTreeMap<_, _> = returned.metadata.keys().map(|key| (key.clone(), returned.text(key))).collect();
    insta::assert_debug_snapshot!(metadata);
}

#[tokio::test]
async fn one_platform_is_a_plain_reference() {
    let returned = Fake::new()
        .run(async |client, _| {
            let reference = client.solve_state(&File::scratch().mkfile(Mkfile::new("/x", 0o644, "x")).state()).await?;
            BuildResult::images(
                vec![Image { platform: Platform::linux("amd64"), reference, config: b"{}".into() }],
                false,
            )
        })
        .await
        .expect("an image");
    assert_eq!(returned.references.keys().collect::<Vec<_>>(), [""]);
    assert_eq!(returned.text("containerimage.config"), "{}");
    assert_eq!(
        returned.text("refs.platforms"),
        r#"{"Platforms":[{"ID":"linux/amd64","Platform":{"architecture":"amd64","os":"linux"}}]}"#
    );
}

#[tokio::test]
async fn a_daemon_without_the_resolver_is_asked_as_of_old() {
    let fake = Fake::new().without(capability::SOURCE_META_RESOLVER).image("docker.io/library/nginx:1", "{}");
    let client = fake.connect().await;
    let image = client.resolve_image_config("docker.io/library/nginx:1", None, ResolveMode::Default, "").await;
    assert_eq!(image.expect("an image").config, b"{}");
    assert_eq!(fake.log(), "resolve docker.io/library/nginx:1, as of old");
    let error = client.resolve_source_meta(&http("https://example.org/x"), "").await.expect_err("too old");
    assert_eq!(
        error.message(),
        "asking for a source's metadata needs BuildKit 0.13 or newer\nhelp: create a newer builder: \
         `docker buildx create --use --driver-opt image=moby/buildkit:latest`"
    );
}

#[tokio::test]
async fn an_image_that_is_not_there_is_told() {
    let fake = Fake::new().image_fails("docker.io/library/nginx:9", "docker.io/library/nginx:9: not found");
    let client = fake.connect().await;
    let image = client.resolve_image_config("docker.io/library/nginx:9", None, ResolveMode::Pull, "").await;
    assert_eq!(image.expect_err("no image").message(), "docker.io/library/nginx:9: not found");
}

#[tokio::test]
async fn warnings_have_the_lines_of_one_file() {
    let fake = Fake::new();
    let client = fake.connect().await;
    let file =
        |name: &str| Arc::new(SourceFile { name: name.into(), data: b"x\ny\n".to_vec(), language: String::new() });
    let (a, b) = (file("a.list"), file("b.list"));
    let warning = Warning::new("twice").at(&[Location::line(&a, 1), Location::line(&b, 1), Location::line(&a, 2)]);
    let vertex = Digest::of(b"x");
    client.warn(&vertex, warning.clone()).await.expect("warned");
    let shown = &fake.warnings()[0];
    assert_eq!(vertex, shown.vertex);
    let lines: Vec<_> = shown.warning.locations.iter().map(|at| (at.file.name.as_str(), at.lines)).collect();
    assert_eq!(lines, [("a.list", (1, 1)), ("a.list", (2, 2))]);
    let old = Fake::new().without(capability::WARNINGS);
    old.connect().await.warn(&vertex, warning).await.expect("nothing is said");
    assert_eq!(old.log(), "");
}

#[tokio::test]
async fn a_connection_that_ends_is_an_error() {
    let (ours, theirs) = tokio::io::duplex(100);
    drop(theirs);
    let error = Client::connect(ours).await.map(|_| ()).expect_err("nobody is there");
    assert!(error.message().starts_with("cannot reach BuildKit: "), "{error}");
}

#[tokio::test]
async fn a_build_ends_once() {
    let fake = Fake::new();
    let client = fake.connect().await;
    client.return_result(BuildResult::default()).await.expect("ended");
    let error = client.return_error(&Error::new("too late")).await.expect_err("it has ended");
    assert_eq!(error.message(), "the build has already ended");
    assert_eq!(fake.log(), "return result []");
}
