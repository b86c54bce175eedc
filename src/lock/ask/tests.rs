//! A world that answers by names alone.

use std::cell::Cell;
use std::convert::Infallible;

use futures_util::FutureExt as _;

use super::*;
use crate::base::BaseImage;
use crate::definition::Definition;
use crate::diagnostic::Source;
use crate::fetch::Failure;
use crate::kind::images::locked::tests::sample;
use crate::kind::images::to_ask;
use crate::name::Platform;

/// Files hash to their URLs; what has `lost` in its name cannot be had, and next to what has `lie` lies another checksum.
#[derive(Default)]
struct Fake {
    done: Cell<usize>,
}

impl Resolver for Fake {
    async fn image(&self, reference: &ImageRef, platform: &Platform) -> Result<BaseImage, String> {
        if reference.name().contains("lost") {
            return Err("nobody has it".into());
        }
        // An index that changes between two questions.
        let of = if reference.name().contains("moving") { platform.to_string() } else { reference.to_string() };
        let reference = reference.pinned(&Digest::of(of.as_bytes()));
        Ok(BaseImage { platform: platform.clone(), reference, config: b"{}".to_vec() })
    }
}

impl World for Fake {
    type Error = Infallible;

    async fn fetch(&self, artifacts: &Artifacts, sources: Wanted) -> Result<(Vec<Fetched>, Vec<Lost>), Infallible> {
        let (mut fetched, mut lost) = (Vec::new(), Vec::new());
        for (artifact, sources) in sources {
            assert_eq!(sources.first(), artifacts[artifact].url());
            let source = sources.into_iter().next().expect("a source");
            if source.as_str().contains("lost") {
                lost.push(Lost { artifact, tried: vec![(source, 1, Failure::Status(404))] });
            } else {
                let text = source.as_str();
                let (sha256, bytes) = (Digest::of(text.as_bytes()), text.len() as u64);
                fetched.push(Fetched { artifact, source, sha256, bytes });
            }
        }
        Ok((fetched, lost))
    }

    async fn beside(&self, url: &FileUrl) -> Option<Vec<u8>> {
        let file = url.as_str().strip_suffix(".sha256")?;
        let said = if file.contains("lie") { Digest::of(b"lie") } else { Digest::of(file.as_bytes()) };
        ["vouched", "lie"].iter().any(|it| file.contains(it)).then(|| said.hex().as_bytes().to_vec())
    }

    async fn resolve(&self, image: &Image) -> Result<Resolved, Diagnostic> {
        let name = image.reference.to_string();
        if name.contains("lost") { Err(Diagnostic::error(format!("no {name}"))) } else { Ok(sample(&name).resolved) }
    }

    fn done(&self) {
        self.done.set(self.done.get() + 1);
    }
}

fn spec(definition: &str) -> Spec {
    let mut problems = Vec::new();
    let source = Source::new("kso.yaml", format!("apiVersion: kso/v1\n{definition}"));
    let definition = Definition::parse(&source, &mut problems).expect("a definition");
    definition.expand(&BTreeMap::new(), &mut problems)
}

#[test]
fn what_is_found_makes_the_answers() {
    let spec = spec(
        "files: [{url: https://h.example/a}, {url: https://h.example/vouched}]\n\
         images: [{image: quay.io/a/b:1}]\n",
    );
    let wanted = to_ask(&spec.images);
    let nothing = Kept::nothing(&spec, &wanted);
    let (world, question) = (Fake::default(), nothing.question());
    assert_eq!((question.bases.len(), question.files.len(), question.images.len()), (2, 2, 1));
    let Ok(found) = ask(&world, &spec, &question).now_or_never().expect("nothing waits");
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    assert_eq!(world.done.get(), 3, "two base images and an image; files are counted by the world");
    let vouched: Vec<bool> = found.files.values().map(|answer| answer.vouched).collect();
    assert_eq!(vouched, [false, true]);
    let answers = nothing.answers(found).expect("everything was found");
    assert_eq!((answers.bases.len(), answers.files.len(), answers.images.len()), (2, 2, 1));
}

#[test]
fn every_problem_is_reported_and_no_answers_are_made() {
    let spec = spec(
        "files: [{url: https://h.example/lie}, {url: https://h.example/lost}, {url: https://h.example/good}]\n\
         images: [{image: quay.io/lost/b:1}, {image: quay.io/good/b:1}]\n\
         fileServer: {image: quay.io/moving/nginx:1}\nregistry: {image: quay.io/lost/registry:3}\n",
    );
    let wanted = to_ask(&spec.images);
    let nothing = Kept::nothing(&spec, &wanted);
    let question = nothing.question();
    let Ok(found) = ask(&Fake::default(), &spec, &question).now_or_never().expect("nothing waits");
    let lines: Vec<(String, usize)> = found
        .problems
        .iter()
        .map(|problem| (problem.message.clone(), problem.span.as_ref().map_or(0, crate::diagnostic::Span::line)))
        .collect();
    let of = |text: &str| Digest::of(text.as_bytes());
    let (url, lie) = ("https://h.example/lie", of("lie"));
    assert_eq!(
        lines,
        [
            ("cannot resolve quay.io/lost/registry:3 for linux/amd64, linux/arm64: nobody has it".to_owned(), 5),
            ("the base image quay.io/moving/nginx:1 changed while it was being locked: try again".to_owned(), 4),
            ("cannot fetch https://h.example/lost: the server has no such file (status 404)".to_owned(), 2),
            (format!("{url} has {}, but the `.sha256` file next to it says {lie}", of(url)), 2),
            ("no quay.io/lost/b:1".to_owned(), 0),
        ]
    );
    assert_eq!((found.files.len(), found.images.len(), found.bases.len()), (1, 1, 0));
    assert_eq!(nothing.answers(found), None);
}
