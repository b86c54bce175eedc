//! From the entries of `images:`, their lists and rename tables to the images. Owns which architecture asks for what, and what it
//! is served as; does not know what holds between the requests.

use std::collections::BTreeSet;

use super::rename::{self, Renames};
use super::{Image, ImageEntry, ImagesEntry, Registry, RenderedImage, merge};
use crate::decode::list::{self, Line, Lists};
use crate::diagnostic::{Diagnostic, Spanned};
use crate::kind::{Expansion, Producer};
use crate::name::{Arch, ImageRef, Invalid, ServedName, Template};

impl Line for Template<ImageRef> {
    fn parse(text: &str) -> Result<Self, Invalid> {
        text.parse().map_err(|invalid| two_names(text).unwrap_or(invalid))
    }
}

/// The problem of a line with two names, as tools that copy images take it: `a=>b`, or `a b`.
fn two_names(text: &str) -> Option<Invalid> {
    let (image, served) = text.split_once("=>").or_else(|| text.split_once(char::is_whitespace))?;
    let (image, served) = (image.trim(), served.trim());
    if image.is_empty() || served.is_empty() || served.contains(char::is_whitespace) {
        return None;
    }
    let help = format!(
        "to serve an image under another name, move it to `images:` of the definition: `- {{ image: {image}, as: {served} }}`"
    );
    Some(Invalid::new("a line of a list has one image, but this one has two names").help(help))
}

/// The images that entries and a producer ask for, sorted by served name. Two under one name are fine where no image that is
/// built holds both: each has architectures of its own, and the registry holds those of its platform only.
pub(crate) fn expand(
    entries: &[ImagesEntry],
    produced: &[RenderedImage],
    registry: &Registry,
    with: &Expansion<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Image> {
    let renames = renames(entries, with, diagnostics);
    let mut wanted = Wanted { registry, renames, images: Vec::new() };
    let mut lists = Lists::new(with.lists, "list", "write one image per line", list::parse::<Template<ImageRef>>);
    for entry in entries {
        match entry {
            ImagesEntry::List(entry) => {
                let Spanned { value: template, span } = &entry.list;
                for (name, architectures) in Arch::by_value(with.architectures, |arch| template.get(arch).as_str()) {
                    for line in lists.get(name, span, diagnostics) {
                        wanted.add(line, None, &architectures, diagnostics);
                    }
                }
            }
            ImagesEntry::Image(ImageEntry { image, served, architectures }) => {
                let of_all = |arch: &Arch| with.architectures.contains(arch);
                let architectures = architectures.iter().copied().filter(of_all).collect();
                wanted.add(image, served.as_ref(), &architectures, diagnostics);
            }
            ImagesEntry::Rename(_) => {}
        }
    }
    if let Some(producer) = &with.producer {
        for image in produced {
            wanted.add_produced(image, producer, diagnostics);
        }
    }
    if !wanted.images.is_empty() {
        wanted.renames.report_unused(diagnostics);
    }
    merge::images(wanted.images, registry.architectures, diagnostics)
}

fn renames(entries: &[ImagesEntry], with: &Expansion<'_>, diagnostics: &mut Vec<Diagnostic>) -> Renames {
    let mut renames = Renames::default();
    let help = "write a list of `{ src: REPOSITORY, dest: REPOSITORY }`";
    let mut tables = Lists::new(with.lists, "rename table", help, rename::parse);
    for entry in entries {
        let ImagesEntry::Rename(entry) = entry else { continue };
        let Spanned { value: template, span } = &entry.rename;
        for (name, architectures) in Arch::by_value(with.architectures, |arch| template.get(arch).as_str()) {
            for rename in tables.get(name, span, diagnostics) {
                renames.add(rename, &architectures, diagnostics);
            }
        }
    }
    renames
}

struct Wanted<'a> {
    registry: &'a Registry,
    renames: Renames,
    images: Vec<Image>,
}

impl Wanted<'_> {
    /// Asks for an image on behalf of some architectures.
    fn add(
        &mut self,
        image: &Spanned<Template<ImageRef>>,
        served: Option<&Template<ServedName>>,
        architectures: &BTreeSet<Arch>,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let mut variants = Vec::<(&ImageRef, Result<ServedName, Invalid>, BTreeSet<Arch>)>::new();
        for arch in architectures {
            let reference = image.value.get(*arch);
            let served = match served {
                Some(served) => Ok(served.get(*arch).clone().or_tag_of(reference)),
                None => self.renames.served(reference, *arch, self.registry.prefix.as_str()),
            };
            match variants.iter_mut().find(|(other, name, _)| *other == reference && *name == served) {
                Some((_, _, architectures)) => drop(architectures.insert(*arch)),
                None => variants.push((reference, served, BTreeSet::from([*arch]))),
            }
        }
        for (reference, served, architectures) in variants {
            let (reference, spans) = (reference.clone(), vec![image.span.clone()]);
            match served {
                Ok(served) => self.images.push(Image { reference, served, architectures, spans }),
                Err(invalid) => diagnostics.push(invalid.at("", &image.span)),
            }
        }
    }

    /// Asks for an image on behalf of a producer.
    fn add_produced(&mut self, image: &RenderedImage, producer: &Producer<'_>, diagnostics: &mut Vec<Diagnostic>) {
        match image.reference.parse::<ImageRef>() {
            Ok(reference) => {
                let before = self.images.len();
                let asked = Spanned::new(Template::same(reference), producer.asked.unwrap_or(&image.span).clone());
                self.add(&asked, None, &BTreeSet::from([image.arch]), diagnostics);
                let spans = producer.spans(&image.span);
                self.images[before..].iter_mut().for_each(|image| image.spans.clone_from(&spans));
            }
            Err(invalid) => producer.report(&invalid, &image.reference, &image.span, diagnostics),
        }
    }
}
