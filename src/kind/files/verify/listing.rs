//! A page that lists a directory, as nginx's `autoindex` writes it. Owns how names are read from it; does not know what should
//! be in the directory.

use std::collections::BTreeSet;

use crate::web::Url;

/// The entries of a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Directories directly below it; their paths end with a slash.
    pub folders: BTreeSet<Url>,
    /// Files directly below it.
    pub files: BTreeSet<Url>,
}

impl Listing {
    /// The names in the page at `folder` (its path ends with a slash); `None` if it is not a listing.
    ///
    /// Only what lies directly below counts: links up, sideways, to other hosts and to other orders of the same list do not.
    pub fn read(page: &[u8], folder: &Url) -> Option<Self> {
        let page = std::str::from_utf8(page).ok()?;
        if !page.contains("<title>Index of ") {
            return None;
        }
        let mut listing = Self::default();
        for rest in page.split("<a href=\"").skip(1) {
            let target = unescape(rest.split('"').next().unwrap_or_default());
            let Ok(url) = folder.join(&target) else { continue };
            if url.origin() != folder.origin() || url.query().is_some() || url.fragment().is_some() {
                continue;
            }
            let Some(name) = url.path().strip_prefix(folder.path()) else { continue };
            match name.strip_suffix('/') {
                Some(name) if !name.is_empty() && !name.contains('/') => drop(listing.folders.insert(url)),
                None if !name.is_empty() && !name.contains('/') => drop(listing.files.insert(url)),
                _ => {}
            }
        }
        Some(listing)
    }
}

/// The characters that nginx writes as entities in a link.
fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nginx_writes() {
        let folder: Url = "http://h:8080/k8s/a%20b/".parse().unwrap();
        let page = b"<html>\r\n<head><title>Index of /k8s/a b/</title></head>\r\n<body>\r\n<h1>Index of /k8s/a b/</h1><hr><pre>\
            <a href=\"../\">../</a>\r\n<a href=\"v1.2%2B3/\">v1.2+3/</a>  01-Jan-1970 00:00  -\r\n\
            <a href=\"x%25&amp;%3F%23.tgz\">x%&amp;?#.tgz</a> 01-Jan-1970 00:00 5\r\n<a href=\"./c%3Ad\">c:d</a>\r\n\
            <a href=\"?C=N;O=D\">Name</a><a href=\"http://other/k8s/a%20b/x\">x</a><a href=\"/k8s/\">up</a>\
            <a href=\"deep/er\">no</a><a href=\"http://[\">no</a></pre><hr></body>\r\n</html>\r\n";
        let listing = Listing::read(page, &folder).expect("a list");
        let paths = |urls: &BTreeSet<Url>| urls.iter().map(|url| url.path().to_owned()).collect::<Vec<_>>();
        assert_eq!(paths(&listing.folders), ["/k8s/a%20b/v1.2%2B3/"]);
        assert_eq!(paths(&listing.files), ["/k8s/a%20b/c%3Ad", "/k8s/a%20b/x%25&%3F%23.tgz"]);
        for page in [&b"<html><title>Welcome</title><a href=\"x\">"[..], b"\xff<title>Index of /</title>", b""] {
            assert_eq!(Listing::read(page, &folder), None);
        }
    }
}
