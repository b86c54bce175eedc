//! References, URLs, digests, paths and platforms: what is written of a name is read as the same name.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use buildkit::gateway::{GitRef, parse_platform};
use kso::diagnostic::{Source, Span};
use kso::kind::images::{Held, Prefix};
use kso::name::{
    Arch, ContextPath, Digest, FileUrl, ImageRef, Invalid, Repository, ServedName, ServerPath, ServerRoot, StoredPath,
    Template, UrlPrefix,
};
use kso::producer::kubespray::{Checkout, DownloadSet};
use kso::registry::Endpoint;

use super::lists::clean;
use super::told;

/// A name of the kind that the first byte says.
pub fn holds(data: &[u8]) {
    let Some((kind, Ok(text))) = data.split_first().map(|(kind, text)| (kind, std::str::from_utf8(text))) else {
        return;
    };
    match kind {
        b'u' => url(text),
        b's' => drop(name::<StoredPath>(text).map(|path| clean(path.as_str()))),
        b'c' => drop(name::<ContextPath>(text).map(|path| clean(path.as_str()))),
        b'n' => drop(name::<ServedName>(text).map(|name| clean(name.repository.as_str()))),
        b'r' => drop(name::<Repository>(text).map(|name| clean(name.as_str()))),
        b'd' => drop(name::<Digest>(text)),
        b'/' => drop(name::<ServerRoot>(text).map(|root| clean(&root.as_str()[1..]))),
        b'p' => drop(name::<ServerPath>(text).map(|path| clean(path.as_str()))),
        b'x' => drop(name::<Prefix>(text)),
        b'a' => drop(name::<Arch>(text)),
        b'k' => drop(told_at::<Checkout>(text)),
        b'h' => drop((told_at::<Held>(text), told_at::<DownloadSet>(text))),
        b'l' => {
            if let Ok(platform) = parse_platform(text) {
                assert_eq!(parse_platform(&platform.to_string()).as_ref(), Ok(&platform));
            }
        }
        b'g' => drop(GitRef::parse(text)),
        b't' => {
            if let Some(template) = told_at::<Template<FileUrl>>(text) {
                for arch in Arch::ALL {
                    drop(template.get(arch).stored_path());
                }
            }
        }
        _ => drop(name::<ImageRef>(text).map(|image| image_parts(&image))),
    }
}

fn url(text: &str) {
    let url = name::<FileUrl>(text);
    if let Some(url) = &url
        && let Ok(path) = url.stored_path()
    {
        clean(path.as_str());
        assert_eq!(path.as_str().parse(), Ok(path.clone()));
    }
    if let Some(prefix) = name::<UrlPrefix>(text)
        && let Some(url) = url
    {
        assert!(prefix.holds(&url));
        assert_eq!(prefix.rebase(&url, &prefix).map(|url| url.to_string()), Some(url.to_string()));
    }
}

fn image_parts(image: &ImageRef) {
    let tag = image.tag().map(|tag| format!(":{tag}")).unwrap_or_default();
    let digest = image.digest().map(|digest| format!("@{digest}")).unwrap_or_default();
    assert_eq!(format!("{}/{}{tag}{digest}", image.domain(), image.path()), image.as_str());
    assert!(!tag.is_empty() || !digest.is_empty());
    assert!(!image.as_str().starts_with('-'), "it would be an option where kso is run with it");
    if let Ok(endpoint) = Endpoint::of(image.domain()) {
        let page = format!("{}/manifests/x", image.path());
        let url = endpoint.url(&page).expect("a repository is a path");
        assert!(url.path() == format!("/v2/{page}") && url.query().is_none(), "{url}");
    }
    if let Ok(served) = ServedName::of(image, "k8s") {
        clean(served.repository.as_str());
        assert!(served.repository.as_str().starts_with("k8s/"));
    }
}

/// A name, if it is one: written and read again it is the same.
fn name<T: FromStr<Err = Invalid> + Display + Debug + PartialEq>(text: &str) -> Option<T> {
    let name = told_at::<T>(text)?;
    let again = name.to_string().parse::<T>();
    assert_eq!(again.as_ref(), Ok(&name), "{text:?}");
    assert_eq!(again.map(|again| again.to_string()), Ok(name.to_string()));
    Some(name)
}

/// A name, if it is one; if not, what is told of it can be shown.
fn told_at<T: FromStr<Err = Invalid>>(text: &str) -> Option<T> {
    let source = Source::new("a.list", text);
    text.parse::<T>().map_err(|invalid| told(&[invalid.at(text, &Span::new(&source, 0..text.len()))])).ok()
}
