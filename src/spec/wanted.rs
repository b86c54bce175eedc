//! Which images are wanted for which architectures, and what they are served as. Owns what holds between requests: no
//! two images under one name; does not know how a list or a table is read.

use std::collections::{BTreeMap, BTreeSet};

use super::arch::Arch;
use super::definition::Definition;
use super::expand::{ListText, Lists, rendered};
use super::image_ref::ImageRef;
use super::images::{ImageEntry, ImagesEntry};
use super::invalid::Invalid;
use super::list;
use super::registry::Held;
use super::rename::{self, Renames};
use super::served::ServedName;
use super::template::Template;
use crate::diagnostic::rules::DUPLICATE_IMAGE;
use crate::diagnostic::{Diagnostic, Span, Spanned, quoted};

/// A container image and what it is served as.
#[derive(Debug, Clone)]
pub struct Image {
    /// Where it comes from.
    pub reference: ImageRef,
    /// What it is pulled by from the registry that is built.
    pub served: ServedName,
    /// The architectures that it was asked for.
    pub architectures: BTreeSet<Arch>,
    /// Every line that asked for it, in the order of the definition; never empty.
    pub spans: Vec<Span>,
}

/// The images that a definition asks for, sorted by served name. Two under one name are fine where no image that is
/// built holds both: each has architectures of its own, and the registry holds those of its platform only.
pub(super) fn images(
    definition: &Definition,
    texts: &BTreeMap<String, ListText>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Image> {
    let mut wanted = Wanted { definition, renames: renames(definition, texts, diagnostics), images: Vec::new() };
    let mut lists = Lists::new(texts, "list", "write one image per line", list::parse::<Template<ImageRef>>);
    for entry in &definition.images {
        match entry {
            ImagesEntry::List(entry) => {
                let Spanned { value: template, span } = &entry.list;
                for (name, architectures) in definition.by_value(|arch| template.get(arch).as_str()) {
                    for line in lists.get(name, span, diagnostics) {
                        wanted.add(line, None, &architectures, diagnostics);
                    }
                }
            }
            ImagesEntry::Image(ImageEntry { image, served }) => {
                let architectures = definition.architectures.iter().copied().collect();
                wanted.add(image, served.as_ref(), &architectures, diagnostics);
            }
            ImagesEntry::Rename(_) => {}
        }
    }
    for image in &definition.rendered.images {
        let spans = definition.rendered_spans(&image.span);
        match image.reference.parse::<ImageRef>() {
            Ok(reference) => {
                let before = wanted.images.len();
                let asked = Spanned::new(Template::same(reference), spans[0].clone());
                wanted.add(&asked, None, &BTreeSet::from([image.arch]), diagnostics);
                wanted.images[before..].iter_mut().for_each(|image| image.spans.clone_from(&spans));
            }
            Err(invalid) => diagnostics.push(rendered(&invalid, &image.reference, &spans)),
        }
    }
    if !wanted.images.is_empty() {
        wanted.renames.tell_unused(diagnostics);
    }
    one_for_each_name(wanted.images, definition.registry.architectures, diagnostics)
}

fn renames(definition: &Definition, texts: &BTreeMap<String, ListText>, diagnostics: &mut Vec<Diagnostic>) -> Renames {
    let mut renames = Renames::default();
    let help = "write a list of `{ src: REPOSITORY, dest: REPOSITORY }`";
    let mut tables = Lists::new(texts, "rename table", help, rename::parse);
    for entry in &definition.images {
        let ImagesEntry::Rename(entry) = entry else { continue };
        let Spanned { value: template, span } = &entry.rename;
        for (name, architectures) in definition.by_value(|arch| template.get(arch).as_str()) {
            for rename in tables.get(name, span, diagnostics) {
                renames.add(rename, &architectures, diagnostics);
            }
        }
    }
    renames
}

struct Wanted<'a> {
    definition: &'a Definition,
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
                None => self.renames.served(reference, *arch, self.definition.registry.prefix.as_str()),
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
}

/// Makes one of what was asked for twice, and tells names that two images have.
fn one_for_each_name(requests: Vec<Image>, held: Held, diagnostics: &mut Vec<Diagnostic>) -> Vec<Image> {
    let mut found = BTreeMap::<(ServedName, ImageRef), (usize, Image)>::new();
    for (order, request) in requests.into_iter().enumerate() {
        let key = (request.served.clone(), request.reference.clone());
        match found.get_mut(&key) {
            Some((_, image)) => {
                tell_twice(image, &request, diagnostics);
                image.architectures.extend(request.architectures);
                // One line asks twice where two entries name its list.
                for span in request.spans {
                    if !image.spans.iter().rev().take(2).any(|last| last.is_same(&span)) {
                        image.spans.push(span);
                    }
                }
            }
            None => drop(found.insert(key, (order, request))),
        }
    }
    let mut images: Vec<(usize, Image)> = found.into_values().collect();
    for same in images.chunk_by(|(_, a), (_, b)| a.served == b.served).filter(|same| same.len() > 1) {
        let mut same: Vec<_> = same.iter().collect();
        same.sort_by_key(|(order, _)| *order);
        let mut owners = BTreeMap::<Arch, &Image>::new();
        for (_, image) in same.into_iter().filter(|(_, image)| image.served.tag.is_some()) {
            let owner = match held {
                Held::All => owners.values().next(),
                Held::Match => image.architectures.iter().find_map(|arch| owners.get(arch)),
            };
            match owner {
                Some(owner) => diagnostics.push(two_under_one_name(image, owner)),
                None => owners.extend(image.architectures.iter().map(|arch| (*arch, image))),
            }
        }
    }
    images.drain(..).map(|(_, image)| image).collect()
}

/// Tells a line that asks for what another line asks for, for the same architecture. What Kubespray names is no line of
/// the user's.
fn tell_twice(image: &Image, request: &Image, diagnostics: &mut Vec<Diagnostic>) {
    if let ([first, ..], [again]) = (&image.spans[..], &request.spans[..])
        && !image.architectures.is_disjoint(&request.architectures)
        && !image.spans.iter().rev().take(2).any(|span| span.is_same(again))
    {
        let message = format!("{} is requested twice", quoted(image.reference.as_str()));
        let problem = Diagnostic::lint(&DUPLICATE_IMAGE, message).at(again.clone());
        diagnostics.push(problem.related(first.clone(), "first requested here"));
    }
}

fn two_under_one_name(image: &Image, owner: &Image) -> Diagnostic {
    let name = quoted(&image.served.to_string());
    let ([span, ..], [first, ..]) = (&image.spans[..], &owner.spans[..]) else {
        return Diagnostic::error(format!("two images have the same name, {name}"));
    };
    if span.is_same(first) {
        return Diagnostic::error(format!("the images of several architectures have the same name, {name}"))
            .at(span.clone())
            .help("add `{arch}` to its `as:`, or remove `architectures: all` from `registry:`");
    }
    Diagnostic::error(format!("two images have the same name, {name}"))
        .at(span.clone())
        .related(first.clone(), "the other image")
        .help("keep one, or give one another name: `as:` next to `image:`, or a `rename:`")
}
