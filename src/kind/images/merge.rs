//! One image for each name. Owns what holds between requests: no two images under one served name; does not know who asked.

use std::collections::BTreeMap;

use super::{Held, Image};
use crate::diagnostic::rules::DUPLICATE_IMAGE;
use crate::diagnostic::{Diagnostic, quoted};
use crate::name::{Arch, ImageRef, ServedName};

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
