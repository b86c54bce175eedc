//! Base images: what an image is built on. Owns what a name was resolved to; does not know how a registry is asked.

use std::fmt;

use futures_util::future::join_all;

use crate::diagnostic::{Diagnostic, Span};
use crate::name::{ImageRef, Platform};
use crate::origin::Mirrors;

/// The base image of one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImage {
    /// What it runs on.
    pub platform: Platform,
    /// The name that it is fetched by, with the digest that it was resolved to where somebody was asked:
    /// `docker.io/library/nginx:1.27-alpine@sha256:…`
    pub reference: ImageRef,
    /// The OCI config, JSON.
    pub config: Vec<u8>,
}

/// Asks for images. One implementor per world: BuildKit's gateway, and a fake in tests.
pub trait Resolver {
    /// The image that `reference` names for `platform`; the error is a sentence.
    fn image(&self, reference: &ImageRef, platform: &Platform) -> impl Future<Output = Result<BaseImage, String>>;
}

/// What the first place answers that does: the mirrors of `image` in their order, or itself. The error is a sentence that
/// holds why each did not.
pub async fn first_of<T, E: fmt::Display>(
    mirrors: &Mirrors,
    image: &ImageRef,
    mut ask: impl AsyncFnMut(ImageRef) -> Result<T, E>,
) -> Result<T, String> {
    let mut told = Vec::new();
    for place in mirrors.images(image) {
        let (own, name) = (place == *image, place.name().to_owned());
        match ask(place).await {
            Ok(answer) => return Ok(answer),
            Err(error) if own => told.push(error.to_string()),
            Err(error) => told.push(format!("from {name}: {error}")),
        }
    }
    Err(told.join("; then "))
}

/// The base image `image` for each platform, in their order; all are asked for at once. `span` is where it is named.
pub async fn bases(
    image: &ImageRef,
    span: Option<&Span>,
    platforms: &[Platform],
    resolver: &impl Resolver,
) -> Result<Vec<BaseImage>, Vec<Diagnostic>> {
    let answers = join_all(platforms.iter().map(|platform| resolver.image(image, platform))).await;
    let mut bases = Vec::new();
    let mut lost = Vec::<(String, Vec<String>)>::new();
    for (platform, answer) in platforms.iter().zip(answers) {
        match answer {
            Ok(base) => bases.push(base),
            Err(why) => match lost.iter_mut().find(|(known, _)| *known == why) {
                Some((_, platforms)) => platforms.push(platform.to_string()),
                None => lost.push((why, vec![platform.to_string()])),
            },
        }
    }
    if lost.is_empty() {
        return Ok(bases);
    }
    let problem = |(why, platforms): (String, Vec<String>)| {
        Diagnostic::error(format!("cannot resolve {image} for {}: {why}", platforms.join(", "))).at(span.cloned())
    };
    Err(lost.into_iter().map(problem).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has every platform but those without an image.
    struct Registry {
        lacks: [(&'static str, &'static str); 3],
    }

    impl Resolver for Registry {
        async fn image(&self, reference: &ImageRef, platform: &Platform) -> Result<BaseImage, String> {
            match self.lacks.iter().find(|(lacking, _)| *lacking == platform.to_string()) {
                Some((_, why)) => Err((*why).to_owned()),
                None => Ok(BaseImage { platform: platform.clone(), reference: reference.clone(), config: Vec::new() }),
            }
        }
    }

    fn platforms(names: &[&str]) -> Vec<Platform> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn each_reason_is_reported_once_with_its_platforms() {
        let registry =
            Registry { lacks: [("linux/s390x", "none"), ("linux/riscv64", "refused"), ("linux/386", "none")] };
        let image = "nginx:1.27".parse().unwrap();
        let all = platforms(&["linux/arm64", "linux/amd64"]);
        let found = bases(&image, None, &all, &registry).await.unwrap();
        assert_eq!(found.iter().map(|base| base.platform.clone()).collect::<Vec<_>>(), all);

        let all = platforms(&["linux/s390x", "linux/amd64", "linux/riscv64", "linux/386"]);
        let problems = bases(&image, None, &all, &registry).await.unwrap_err();
        let said: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(
            said,
            [
                format!("cannot resolve {image} for linux/s390x, linux/386: none"),
                format!("cannot resolve {image} for linux/riscv64: refused"),
            ]
        );
    }

    #[tokio::test]
    async fn a_place_that_is_not_the_image_itself_is_named_with_its_reason() {
        let image: ImageRef = "quay.io/a:1".parse().unwrap();
        let mut mirrors = Mirrors::default();
        let ask = async |place: ImageRef| if place.name() == "good.example/a" { Ok(1) } else { Err("refused") };
        assert_eq!(first_of(&mirrors, &image, ask).await, Err("refused".into()));
        mirrors.replace(&image, &"bad.example/a:1".parse().unwrap());
        assert_eq!(first_of(&mirrors, &image, ask).await, Err("from bad.example/a: refused".into()));
        mirrors.replace(&image, &"good.example/a:1".parse().unwrap());
        assert_eq!(first_of(&mirrors, &image, ask).await, Ok(1));
    }
}
