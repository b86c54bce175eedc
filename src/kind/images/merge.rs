//! One image for each name. Owns what holds between requests: no two images under one served name; does not know who asked.

use std::collections::{BTreeMap, BTreeSet};

use super::{Held, Image, Section};
use crate::diagnostic::rules::DUPLICATE_IMAGE;
use crate::diagnostic::{Diagnostic, quoted};
use crate::name::{Arch, Digest, ImageRef, ServedName};

/// Makes one of what was asked for twice, and reports names that two images have.
pub(crate) fn images(requests: Vec<Image>, held: Held, diagnostics: &mut Vec<Diagnostic>) -> Vec<Image> {
    let mut found = BTreeMap::<(ServedName, ImageRef), (usize, Image)>::new();
    for (order, request) in requests.into_iter().enumerate() {
        let key = (request.served.clone(), request.reference.clone());
        match found.get_mut(&key) {
            Some((_, image)) => {
                report_duplicate(image, &request, diagnostics);
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
    for same in images.chunk_by(|(_, a), (_, b)| a.served == b.served) {
        let mut same: Vec<_> = same.iter().collect();
        same.sort_by_key(|(order, _)| *order);
        let pairs = under_one_name(same.into_iter().map(|(_, image)| image), held).into_iter();
        diagnostics
            .extend(pairs.filter(|(a, b)| !may_agree(a, b)).map(|(image, owner)| two_under_one_name(image, owner)));
    }
    images.drain(..).map(|(_, image)| image).collect()
}

/// The problems of images that [`may_agree`], and do not: `digest` says what each reference leads to, as far as it is known.
pub(crate) fn disagreements<'a>(
    section: Section<'_>,
    digest: impl Fn(&ImageRef) -> Option<&'a Digest>,
) -> Vec<Diagnostic> {
    let same = section.images.chunk_by(|a, b| a.served == b.served);
    let pairs = same.flat_map(|same| under_one_name(same, section.server.architectures));
    pairs
        .filter_map(|(image, owner)| {
            let (tag, pinned) = if image.reference.digest().is_none() { (image, owner) } else { (owner, image) };
            let (now, wanted) = (digest(&tag.reference)?, digest(&pinned.reference)?);
            (now != wanted).then(|| {
                let message = format!("{} leads to {now}, but another line asks for {wanted}", tag.reference);
                Diagnostic::error(message)
                    .at(tag.spans.first().cloned())
                    .related(pinned.spans.first().cloned(), "requested with that digest here")
                    .help("keep the line with the digest, or update its digest")
            })
        })
        .collect()
}

/// The images that one registry would serve under one tag, each with the one before that has the name. All of `images` are served
/// under one name.
fn under_one_name<'a>(images: impl IntoIterator<Item = &'a Image>, held: Held) -> Vec<(&'a Image, &'a Image)> {
    let mut pairs = Vec::new();
    let mut owners = BTreeMap::<Arch, &Image>::new();
    for image in images.into_iter().filter(|image| image.served.tag.is_some()) {
        let platforms = match held {
            Held::All => BTreeSet::from(Arch::ALL),
            Held::Match => image.architectures.clone(),
        };
        let owner = platforms.iter().find_map(|arch| owners.get(arch)).copied();
        pairs.extend(owner.map(|owner| (image, owner)));
        // A third one is compared with the digest, where one of the two has it.
        if owner.is_none_or(|owner| may_agree(image, owner) && image.reference.digest().is_some()) {
            owners.extend(platforms.into_iter().map(|arch| (arch, image)));
        }
    }
    pairs
}

/// Whether two references may lead to the same bytes: one tag, written with its digest and without.
fn may_agree(a: &Image, b: &Image) -> bool {
    let (a, b) = (&a.reference, &b.reference);
    a.name() == b.name() && a.tag() == b.tag() && a.digest().is_some() != b.digest().is_some()
}

/// Reports a line that asks for what another line asks for, for the same architecture. What Kubespray names is no line of
/// the user's.
fn report_duplicate(image: &Image, request: &Image, diagnostics: &mut Vec<Diagnostic>) {
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
    let has_port = |image: &Image| image.reference.name().split('/').next().is_some_and(|host| host.contains(':'));
    let port = if has_port(image) || has_port(owner) {
        ", because served names do not include the registry's port"
    } else {
        ""
    };
    let ([span, ..], [first, ..]) = (&image.spans[..], &owner.spans[..]) else {
        return Diagnostic::error(format!("two images would be served as {name}{port}"));
    };
    if span.is_same(first) {
        return Diagnostic::error(format!("the images of several architectures would be served as {name}"))
            .at(span.clone())
            .help("add `{arch}` to its `as:`, or remove `architectures: all` from `registry:`");
    }
    Diagnostic::error(format!("two images would be served as {name}{port}"))
        .at(span.clone())
        .related(first.clone(), "the other image")
        .help("remove one, or serve one under another name: an entry of `images` with `as:`, or a `rename:` table")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::images::Registry;

    fn image(reference: &str, architectures: &[Arch]) -> Image {
        let served = "k8s/a:1".parse().expect("a name");
        let architectures = architectures.iter().copied().collect();
        Image { reference: reference.parse().expect("a name"), served, architectures, spans: Vec::new() }
    }

    fn told(diagnostics: &[Diagnostic]) -> Vec<&str> {
        diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect()
    }

    #[test]
    fn a_tag_may_stand_beside_its_digest() {
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        let merged = |references: &[String], held| {
            let requests = references.iter().map(|reference| image(reference, &Arch::ALL)).collect();
            let mut diagnostics = Vec::new();
            let images = images(requests, held, &mut diagnostics);
            (images, told(&diagnostics).len())
        };
        let tag = "h.io/a:1".to_owned();
        let pinned = |digest: &Digest| format!("h.io/a:1@{digest}");
        for held in [Held::Match, Held::All] {
            for pair in [[tag.clone(), pinned(&one)], [pinned(&one), tag.clone()]] {
                let (images, problems) = merged(&pair, held);
                assert_eq!((images.len(), problems), (2, 0), "{pair:?}");
            }
            assert_eq!(merged(&[tag.clone(), pinned(&one), pinned(&two)], held).1, 1, "two digests of one tag");
            assert_eq!(merged(&[tag.clone(), pinned(&one), tag.clone()], held).1, 0);
            assert_eq!(merged(&[tag.clone(), format!("other.io/a:1@{one}")], held).1, 1, "another repository");
            assert_eq!(merged(&[tag.clone(), format!("h.io/a:2@{one}")], held).1, 1, "another tag");
        }

        let (images, _) = merged(&[tag.clone(), pinned(&one)], Held::Match);
        let server = Registry::default();
        let section = Section { images: &images, server: &server, architectures: &Arch::ALL };
        let leads_to = |now: Option<&Digest>| {
            let problems = disagreements(section, |reference| reference.digest().map_or(now, |_| Some(&one)));
            told(&problems).join("\n")
        };
        assert_eq!(leads_to(Some(&one)), "");
        assert_eq!(leads_to(None), "");
        assert_eq!(leads_to(Some(&two)), format!("h.io/a:1 leads to {two}, but another line asks for {one}"));
    }
}
