//! The URL of a file, and the prefix of URLs that a mirror stands for. Owns what is accepted as a URL; does not know
//! where the file is stored (that is [`StoredPath`]) nor how it is fetched.
//!
//! The text is kept as the user wrote it, since that is what the server is asked for: only the scheme and the host are
//! lower-cased, the default port is dropped, and characters beyond ASCII are percent-encoded. A library that repairs
//! URLs as browsers do (it turns `\` into `/`, drops tabs, resolves `..`) would hide the mistakes that must be reported.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;
use std::ops::Range;
use std::str::FromStr;

use percent_encoding::{AsciiSet, percent_decode_str, utf8_percent_encode};

use crate::diagnostic::quoted;
use crate::name::{Invalid, StoredPath, is_loopback};

/// The absolute `http` or `https` URL of a file: no user info, no fragment, no `.` or `..` segments.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileUrl(String);

impl FileUrl {
    /// The whole URL, as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `host` or `host:port`, in lower case, without the scheme's default port.
    pub fn authority(&self) -> &str {
        let rest = self.after_scheme();
        &rest[..rest.find('/').unwrap_or(rest.len())]
    }

    /// The path as written, beginning with `/`, without the query.
    pub fn path(&self) -> &str {
        let path = &self.after_scheme()[self.authority().len()..];
        &path[..path.find('?').unwrap_or(path.len())]
    }

    /// What follows the `?`, if there is one.
    pub fn query(&self) -> Option<&str> {
        self.0.split_once('?').map(|(_, query)| query)
    }

    /// Where `wget -x` stores it: `host[:port]/path`, percent-decoded. Invalid where a file server that looks up the
    /// decoded path could not answer a request for the original one, or where no file can have that name.
    pub fn stored_path(&self) -> Result<StoredPath, Invalid> {
        StoredPath::of_url(self)
    }

    fn after_scheme(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, rest)| rest)
    }
}

impl fmt::Display for FileUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FileUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for FileUrl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (scheme, start) = scheme(text)?;
        if let Some((at, c)) = text.char_indices().find(|(_, c)| c.is_whitespace() || c.is_control()) {
            let invalid = if c.is_control() {
                Invalid::new("a URL cannot contain a control character").help("remove it")
            } else {
                Invalid::new("a URL cannot contain a space").help("write a single URL, with `%20` for a space in it")
            };
            return Err(invalid.within(at..at + c.len_utf8()));
        }
        if let Some(at) = text.find('#') {
            return Err(Invalid::new("the URL has a fragment: the part after `#` is never sent to the server")
                .help("remove it, or write `%23` if the `#` is part of the file name")
                .within(at..text.len()));
        }
        let end = text[start..].find(['/', '?']).map_or(text.len(), |at| start + at);
        let authority = authority(text, start..end, scheme)?;
        let path_end = text[end..].find('?').map_or(text.len(), |at| end + at);
        segments(text, end..path_end)?;
        let slash = if end == path_end { "/" } else { "" };
        Ok(Self(format!("{scheme}://{authority}{slash}{}", encoded(text, end)?)))
    }
}

/// The scheme in lower case, and where the authority begins.
fn scheme(text: &str) -> Result<(&'static str, usize), Invalid> {
    for scheme in ["https", "http"] {
        let rest = text.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme));
        if rest.is_some() && text[scheme.len()..].starts_with("://") {
            return Ok((scheme, scheme.len() + "://".len()));
        }
    }
    let invalid = Invalid::new(format!("{} is not an http(s) URL", quoted(text)));
    let host = text.split(['/', '?', '#', ' ']).next().unwrap_or_default();
    Err(match text.split_once("://") {
        Some((scheme, _)) => {
            invalid.help("only `http://` and `https://` URLs are supported").within(0..scheme.len() + "://".len())
        }
        None if host.contains('.') && !host.starts_with('.') && !text.contains(char::is_whitespace) => {
            invalid.help(format!("did you mean {}?", quoted(&format!("https://{text}"))))
        }
        None => invalid.help("write a full URL, such as `https://dl.k8s.io/release/v1.29.10/bin/linux/amd64/kubelet`"),
    })
}

/// `host[:port]`, normalised.
fn authority(text: &str, range: Range<usize>, scheme: &str) -> Result<String, Invalid> {
    let authority = &text[range.clone()];
    if let Some(at) = authority.rfind('@') {
        return Err(Invalid::new("the URL contains credentials, which would appear in logs and in the image history")
            .help("remove the part before the `@`")
            .within(range.start..range.start + at + 1));
    }
    let (host, port) = match authority.rfind(':') {
        Some(at) if !authority.starts_with('[') || authority[..at].ends_with(']') => {
            (&authority[..at], &authority[at + 1..])
        }
        _ => (authority, ""),
    };
    let host_range = range.start..range.start + host.len();
    let name = host_name(host).map_err(|invalid| invalid.within(host_range.clone()))?;
    let port = if port.is_empty() {
        None
    } else {
        let number = port.parse::<u16>().ok().filter(|number| *number != 0 && port.bytes().all(|b| b.is_ascii_digit()));
        Some(number.ok_or_else(|| {
            Invalid::new(format!("{} is not a valid port", quoted(port)))
                .help("a port is a number from 1 to 65535")
                .within(host_range.end + 1..range.end)
        })?)
    };
    let default = if scheme == "http" { 80 } else { 443 };
    Ok(match port {
        Some(port) if port != default => format!("{name}:{port}"),
        _ => name,
    })
}

/// A host in lower case: a DNS name of ASCII letters, digits, `-` and `_`, an IPv4 address, or an IPv6 one in brackets.
fn host_name(host: &str) -> Result<String, Invalid> {
    if host.is_empty() {
        return Err(Invalid::new("the URL has no host").help("write it as `https://HOST/PATH`"));
    }
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']').and_then(|address| address.parse::<Ipv6Addr>().ok());
        return address
            .map(|address| format!("[{address}]"))
            .ok_or_else(|| Invalid::new(format!("{} is not a valid IPv6 address", quoted(host))));
    }
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if let Some(c) = host.chars().find(|c| !known(*c)) {
        let invalid =
            Invalid::new(format!("{} is not a valid host name: it contains {}", quoted(host), quoted(&c.to_string())));
        return Err(if c.is_ascii() {
            invalid
        } else {
            invalid.help("write its ASCII form, which starts with `xn--`")
        });
    }
    if host.len() > 253 || host.split('.').any(|label| label.is_empty() || label.len() > 63) {
        return Err(Invalid::new(format!("{} is not a valid host name", quoted(host)))
            .help("each part between dots has 1 to 63 characters, and the whole name at most 253"));
    }
    Ok(host.to_ascii_lowercase())
}

/// Refuses segments that are `.` or `..` once decoded: every client resolves them before it sends the request.
fn segments(text: &str, range: Range<usize>) -> Result<(), Invalid> {
    let mut start = range.start;
    for segment in text[range].split('/') {
        let within = start..start + segment.len();
        start = within.end + 1;
        if !segment.contains('.') && !segment.contains('%') {
            continue;
        }
        // A `%` without two hex digits stands for itself.
        let decoded: Cow<'_, [u8]> = percent_decode_str(segment).into();
        if decoded.split(|byte| *byte == b'/').any(|part| part == b"..") {
            return Err(Invalid::new(format!("a URL path cannot contain the segment {}", quoted(segment)))
                .help("write the URL without `..`: `/a/../b` is `/b`")
                .within(within));
        }
        if *decoded == *b"." {
            return Err(Invalid::new(format!("a URL path cannot contain the segment {}", quoted(segment)))
                .help("remove it")
                .within(within));
        }
    }
    Ok(())
}

/// The path and query from `start`, with characters beyond ASCII percent-encoded. Refuses what RFC 3986 §3.3 and §3.4
/// do not allow there.
fn encoded(text: &str, start: usize) -> Result<Cow<'_, str>, Invalid> {
    for (at, c) in text[start..].char_indices() {
        let at = start + at;
        let within = at..at + c.len_utf8();
        match c {
            '%' if !text.as_bytes().get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) => {
                return Err(Invalid::new("a `%` in a URL must be followed by two hex digits")
                    .help("write `%25` for a percent sign")
                    .within(within));
            }
            '{' | '}' => {
                return Err(Invalid::new(format!("a URL cannot contain `{c}`"))
                    .help("if this is a template, replace it with its value")
                    .within(within));
            }
            '"' | '<' | '>' | '\\' | '^' | '`' | '|' | '[' | ']' => {
                return Err(Invalid::new(format!("a URL cannot contain {}", quoted(&c.to_string())))
                    .help(format!("write it as `%{:02X}`", u32::from(c)))
                    .within(within));
            }
            _ => {}
        }
    }
    Ok(utf8_percent_encode(&text[start..], &AsciiSet::EMPTY).into())
}

/// What the URLs of a mirrored place begin with: a URL that ends with `/` and has no query.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UrlPrefix(String);

impl UrlPrefix {
    /// The prefix, ending with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether what is sent there can be read by others on the way: plain HTTP, but to this machine.
    pub(crate) fn is_open(&self) -> bool {
        let Some((authority, _)) = self.0.strip_prefix("http://").and_then(|rest| rest.split_once('/')) else {
            return false;
        };
        let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
        // The last `:` of an IPv6 address without a port is its own.
        !is_loopback(if port.ends_with(']') { authority } else { host })
    }

    /// Whether the URL lies below the prefix.
    pub fn holds(&self, url: &FileUrl) -> bool {
        url.0.starts_with(&self.0)
    }

    /// The same URL below `to` instead of below this prefix; `None` where it does not lie below it.
    pub fn rebase(&self, url: &FileUrl, to: &Self) -> Option<FileUrl> {
        url.0.strip_prefix(&self.0).map(|rest| FileUrl(format!("{}{rest}", to.0)))
    }
}

impl fmt::Display for UrlPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UrlPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for UrlPrefix {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let url: FileUrl = text.parse().map_err(|invalid: Invalid| {
            // What the help suggests must be a prefix, too.
            match format!("{}/", text.trim_end_matches('/')).parse::<FileUrl>() {
                Err(Invalid { help, .. }) => Invalid { help, ..invalid },
                Ok(_) => invalid,
            }
        })?;
        if let Some(at) = text.find('?') {
            return Err(Invalid::new("a URL prefix cannot have a query").within(at..text.len()));
        }
        if !text.ends_with('/') {
            return Err(
                Invalid::new("a URL prefix must end with `/`").help(format!("write {}", quoted(&format!("{text}/"))))
            );
        }
        Ok(Self(url.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<(String, String), String> {
        let url: FileUrl = text.parse().map_err(|invalid: Invalid| invalid.message)?;
        let path = url.stored_path().map_err(|invalid| invalid.message)?;
        Ok((url.to_string(), path.to_string()))
    }

    #[test]
    fn a_debugger_shows_the_url_alone() {
        let url: FileUrl = "https://a.example/x".parse().unwrap();
        assert_eq!(format!("{url:?}"), "https://a.example/x");
    }

    #[test]
    fn what_no_url_contains() {
        let said = |url: &str| url.parse::<FileUrl>().unwrap_err();
        for c in ['{', '}', '"', '<', '>', '\\', '^', '`', '|', '[', ']'] {
            let url = format!("https://a.example/x{c}y");
            let invalid = said(&url);
            assert!(invalid.message.starts_with("a URL cannot contain "), "{}", invalid.message);
            assert_eq!(invalid.range, Some(19..20), "{c}");
            let escaped = invalid.help.is_some_and(|help| help == format!("write it as `%{:02X}`", u32::from(c)));
            assert_eq!(escaped, !matches!(c, '{' | '}'), "{c}");
        }
    }

    #[test]
    fn a_prefix_holds_what_begins_with_it() {
        let prefix: UrlPrefix = "https://a.example/x/".parse().unwrap();
        let holds = |url: &str| prefix.holds(&url.parse().unwrap());
        assert!(holds("https://a.example/x/y") && !holds("https://a.example/xy") && !holds("https://b.example/x/y"));
        assert_eq!((prefix.as_str(), format!("{prefix:?}").as_str()), ("https://a.example/x/", "https://a.example/x/"));
    }

    #[test]
    fn plain_http_is_open_but_to_this_machine() {
        for (prefix, open) in [
            ("http://h.example/", true),
            ("http://127.evil.example/", true),
            ("http://127.0.0.1.example:80/x/", true),
            ("http://[2001:db8::1]/", true),
            ("http://[2001:db8::1]:8080/", true),
            ("http://localhost:8080/", false),
            ("http://127.0.0.1/", false),
            ("http://127.0.0.1:8080/x/", false),
            ("http://[::1]/", false),
            ("http://[::1]:8080/", false),
            ("https://h.example/", false),
        ] {
            assert_eq!(prefix.parse::<UrlPrefix>().unwrap().is_open(), open, "{prefix}");
        }
    }

    #[test]
    fn the_text_is_kept_but_for_what_names_the_host() {
        for (text, url, path) in [
            ("HTTP://H.Example:80/A%2e%2E.b", "http://h.example/A%2e%2E.b", "h.example/A...b"),
            ("https://h:0443/a", "https://h/a", "h/a"),
            ("https://h:/a", "https://h/a", "h/a"),
            ("https://h:5000/a%7Eb", "https://h:5000/a%7Eb", "h:5000/a~b"),
            ("https://h//a/", "", ""),
            ("https://h/ä", "https://h/%C3%A4", "h/ä"),
        ] {
            match read(text) {
                Ok(read) => assert_eq!(read, (url.into(), path.into())),
                Err(message) => assert_eq!((message.as_str(), url), ("the URL has no file name", "")),
            }
        }
        let url: FileUrl = "https://h?q=/%2F".parse().unwrap();
        assert_eq!((url.as_str(), url.authority(), url.path()), ("https://h/?q=/%2F", "h", "/"));
        assert_eq!(url.query(), Some("q=/%2F"));
    }

    #[test]
    fn prefixes() {
        let url: FileUrl = "https://h.example/a/b".parse().unwrap();
        let prefix = |text: &str| text.parse::<UrlPrefix>();
        let to = prefix("http://127.0.0.1:80/x/").unwrap();
        assert_eq!(
            prefix("https://H.example:443/a/").unwrap().rebase(&url, &to).unwrap().as_str(),
            "http://127.0.0.1/x/b"
        );
        assert_eq!(prefix("https://h.example/a/c/").unwrap().rebase(&url, &to), None);
        assert_eq!(prefix("http://h.example/").unwrap().rebase(&url, &to), None);
        for bad in ["https://h.example", "https://h.example/a", "https://h/?a/", "h/", "https://u@h/", "https://h/../"]
        {
            assert!(prefix(bad).is_err(), "{bad}");
        }
    }

    /// What wget and nginx make of a path, said another way than in the code.
    fn encode(scheme: &str, path: &str) -> String {
        let (host, rest) = path.split_once('/').unwrap();
        let encoded: String = rest.bytes().map(|b| if b == b'/' { "/".into() } else { format!("%{b:02x}") }).collect();
        format!("{scheme}://{host}/{encoded}")
    }

    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[a-z.%/?#@:\\[\\] +~ä]{0,3}",
            Just("..".to_owned()),
            Just("%2e".to_owned()),
            Just("%2F".to_owned()),
            Just("%00".to_owned()),
            Just("%C3%A4".to_owned()),
            Just("%ff".to_owned()),
            Just("/".to_owned()),
        ];
        let rest = proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat());
        (prop_oneof![Just("http://"), Just("https://h/"), Just("HTTPS://h.x:8080/"), Just("")], rest)
            .prop_map(|(start, rest)| format!("{start}{rest}"))
    }

    proptest! {
        #[test]
        fn a_stored_path_stays_in_its_folder(text in hostile()) {
            let Ok(url) = text.parse::<FileUrl>() else { return Ok(()) };
            prop_assert_eq!(&url.as_str().parse::<FileUrl>().unwrap(), &url, "a URL reads as itself");
            let Ok(path) = url.stored_path() else { return Ok(()) };
            let folder = format!("{}/", url.authority());
            prop_assert!(path.as_str().starts_with(&folder));
            for segment in path.segments() {
                prop_assert!(!matches!(segment, "" | "." | "..") && !segment.contains(char::is_control), "{:?}", path);
            }
            prop_assert_eq!(&path.as_str().parse::<StoredPath>().unwrap(), &path, "a path reads as itself");
            let (scheme, _) = url.as_str().split_once("://").unwrap();
            let again = encode(scheme, path.as_str()).parse::<FileUrl>().unwrap();
            prop_assert_eq!(again.stored_path().unwrap(), path, "a path leads to itself");
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}", prefix in "(https?://)?") {
            let whole = format!("{prefix}{text}");
            let read = whole.parse::<FileUrl>().and_then(|url| url.stored_path());
            if let Err(Invalid { range: Some(range), .. }) = read {
                prop_assert!(whole.get(range).is_some());
            }
        }
    }
}
