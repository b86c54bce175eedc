//! What `kso verify` and `kso lock` are given of servers: addresses, a `.netrc`, pages that list a folder. The first byte says
//! which it is; then a line with a URL or an address, then the rest.

use kso::kind::files::verify::listing::Listing;
use kso::registry::Endpoint;
use kso::web::{Netrc, Url, is_near};

/// No address has a login in it, no login goes anywhere but to its host, and no list leads out of its folder.
pub fn holds(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let Ok(first) = std::str::from_utf8(&data[..end]) else { return };
    let rest = data.get(end + 1..).unwrap_or_default();
    match kind {
        b'e' => endpoint(first),
        b'n' => netrc(first, rest),
        b'l' => listing(first, rest),
        _ => {}
    }
}

/// An address leads to the API of one host, and in plain HTTP only to this machine, or where a person wrote so.
fn endpoint(text: &str) {
    for endpoint in [Endpoint::of(text), Endpoint::named(text)].into_iter().flatten() {
        let url = endpoint.url("library/nginx/manifests/1").expect("a path of the grammar");
        assert!(url.path() == "/v2/library/nginx/manifests/1" && url.query().is_none(), "{text:?}: {url}");
        assert!(url.username().is_empty() && url.password().is_none(), "{text:?}: {url}");
        assert!(url.scheme() == "https" || is_near(&url) || text.starts_with("http://"), "{text:?}: {url}");
    }
}

/// A login is for a host that is named, or for all; and it is not sent where others could read it.
fn netrc(url: &str, text: &[u8]) {
    let (Ok(url), Ok(text)) = (url.parse::<Url>(), std::str::from_utf8(text)) else { return };
    let netrc = Netrc::parse(text);
    let shown = format!("{netrc:?}");
    if let Ok(Some(value)) = netrc.authorization(&url) {
        assert!(value.strip_prefix("Basic ").is_some_and(|word| !word.contains(|c: char| !c.is_ascii_graphic())));
        assert!(url.scheme() == "https" || is_near(&url), "{url}");
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        // A host may stand there with escapes.
        let plain = text.to_ascii_lowercase().replace('\\', "");
        assert!(plain.contains(&host) || plain.contains("default"), "{host} is not in {shown}");
    }
}

/// What a list has lies directly below its folder.
fn listing(folder: &str, page: &[u8]) {
    let Ok(mut folder) = folder.parse::<Url>() else { return };
    if folder.cannot_be_a_base() || folder.query().is_some() || folder.fragment().is_some() {
        return;
    }
    if !folder.path().ends_with('/') {
        let path = format!("{}/", folder.path());
        folder.set_path(&path);
    }
    let Some(listing) = Listing::read(page, &folder) else { return };
    assert_eq!(Listing::read(page, &folder).as_ref(), Some(&listing));
    for url in listing.folders.iter().chain(&listing.files) {
        assert_eq!(url.origin(), folder.origin(), "{url}");
        assert!(url.query().is_none() && url.fragment().is_none(), "{url}");
        let name = url.path().strip_prefix(folder.path()).expect("below its folder");
        let name = name.strip_suffix('/').unwrap_or(name);
        assert!(!name.is_empty() && !name.contains('/') && name != "." && name != "..", "{url}");
    }
}
