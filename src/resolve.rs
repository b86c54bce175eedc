//! Resolving: names to digests. Owns what a name was resolved to; does not know how a registry is asked.

pub mod expected;
pub mod image;
pub mod images;

use crate::diagnostic::{Diagnostic, Span};
use crate::spec::{ImageRef, Mirrors};
use futures_util::future::join_all;
use std::fmt;

/// The base image of one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// `linux/amd64`
    pub platform: String,
    /// The normalized name with the digest that it was resolved to: `docker.io/library/nginx:1.27-alpine@sha256:…`
    pub reference: String,
    /// The OCI config, JSON.
    pub config: Vec<u8>,
}

/// Asks for images. One implementor per world: BuildKit's gateway, and a fake in tests.
pub trait Resolver {
    /// The image that `reference` names for `platform`; the error is a sentence.
    fn image(&self, reference: &str, platform: &str) -> impl Future<Output = Result<Base, String>>;
}

/// What the first place answers that does: the mirrors of the image `reference` in their order, or itself. The error is a
/// sentence that holds why each did not.
pub async fn first_of<T, E: fmt::Display>(
    mirrors: &Mirrors,
    reference: &str,
    mut ask: impl AsyncFnMut(String) -> Result<T, E>,
) -> Result<T, String> {
    let Ok(image) = reference.parse::<ImageRef>() else {
        return ask(reference.to_owned()).await.map_err(|error| error.to_string());
    };
    let mut told = Vec::new();
    for place in mirrors.images(&image) {
        match ask(place.to_string()).await {
            Ok(answer) => return Ok(answer),
            Err(error) if place == image => told.push(error.to_string()),
            Err(error) => told.push(format!("from {}: {error}", place.name())),
        }
    }
    Err(told.join("; then "))
}

/// The base image `image` for each platform, in their order; all are asked for at once. `span` is where it is named.
pub async fn bases(
    image: &ImageRef,
    span: Option<&Span>,
    platforms: &[String],
    resolver: &impl Resolver,
) -> Result<Vec<Base>, Vec<Diagnostic>> {
    let name = image.to_string();
    let answers = join_all(platforms.iter().map(|platform| resolver.image(&name, platform))).await;
    let mut bases = Vec::new();
    let mut lost = Vec::<(String, Vec<&str>)>::new();
    for (platform, answer) in platforms.iter().zip(answers) {
        match answer {
            Ok(base) => bases.push(base),
            Err(why) => match lost.iter_mut().find(|(known, _)| *known == why) {
                Some((_, platforms)) => platforms.push(platform),
                None => lost.push((why, vec![platform])),
            },
        }
    }
    if lost.is_empty() {
        return Ok(bases);
    }
    let problem = |(why, platforms): (String, Vec<&str>)| {
        let problem = Diagnostic::error(format!("cannot resolve {image} for {}: {why}", platforms.join(", ")));
        match span {
            Some(span) => problem.at(span.clone()),
            None => problem,
        }
    };
    Err(lost.into_iter().map(problem).collect())
}
