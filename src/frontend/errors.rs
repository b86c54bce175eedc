//! What BuildKit's error messages say of a file server or a registry. There is nothing but the message: this is the only file that
//! reads one. Owns the words; does not know what is asked again.

use buildkit::gateway::Error;

use crate::fetch::Failure;
use crate::secrets;

/// What asking again cannot help against.
const FINAL_OF_FILES: [&str; 6] = [
    "denied by policy",
    "not allowed by policy",
    "x509:",
    "unsupported protocol scheme",
    "no such host",
    "context canceled",
];

/// What a daemon says that cannot store what it was sent.
const FULL: &str = "no space left on device";

/// What is reported then.
fn full() -> Failure {
    Failure::Other(format!("the disk of the builder is full ({FULL}); `docker buildx prune` makes room"))
}

/// What a message of BuildKit's http source (`source/http/source.go`, v0.32) says. There is nothing but the message.
pub(super) fn of_file(error: &Error) -> Failure {
    let message = error.message();
    if error.is_own() || error.is_disconnected() {
        return Failure::Other(message.to_owned());
    }
    if let Some((_, rest)) = message.split_once("invalid response status ") {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        if let Ok(status) = digits.parse() {
            return Failure::Status(status);
        }
    }
    if message.contains("digest mismatch") {
        let mut digests = digests(message);
        let got = digests.next().unwrap_or_default();
        let expected = digests.next_back().unwrap_or_default();
        return Failure::Mismatch { got, expected };
    }
    if let Some((_, rest)) = message.split_once("failed to retrieve HTTP auth secret ") {
        let id = rest.split_once(": ").map_or(rest, |(id, _)| id);
        return Failure::Secret(id.to_owned());
    }
    // Go's client says so before it sends anything, and does not say the value.
    if message.contains("invalid header field value for \"Authorization\"") {
        return Failure::Other(secrets::unfit(None));
    }
    if message.contains(FULL) {
        return full();
    }
    // What Go's client says after ten of them.
    if message.contains("stopped after 10 redirects") {
        return Failure::Other("the server redirects in a loop".into());
    }
    let message = last_cause(message);
    if FINAL_OF_FILES.iter().any(|known| message.contains(known)) {
        Failure::Other(message)
    } else {
        unanswered(message)
    }
}

/// What Go's client says where no connection can be made.
const UNREACHABLE: [&str; 2] = ["dial tcp", "connection refused"];

/// A failure of a connection, from the message of Go's client.
fn unanswered(message: String) -> Failure {
    let is_unreachable = UNREACHABLE.iter().any(|known| message.contains(known));
    if is_unreachable { Failure::Unreachable(message) } else { Failure::Connection(message) }
}

/// Every `sha256:…` of a message.
fn digests(message: &str) -> impl DoubleEndedIterator<Item = String> {
    message
        .match_indices("sha256:")
        .map(|(at, _)| {
            let hex = message[at + 7..].chars().take_while(char::is_ascii_hexdigit).count();
            message[at..at + 7 + hex].to_owned()
        })
        .collect::<Vec<_>>()
        .into_iter()
}

/// A message without the names that BuildKit and Go put before it.
fn last_cause(message: &str) -> String {
    let message = message.strip_prefix("failed to load cache key: ").unwrap_or(message);
    let message = message.strip_prefix("failed to compute cache key: ").unwrap_or(message);
    let message = message.strip_prefix("failed to solve: ").unwrap_or(message);
    message.to_owned()
}

/// What asking again cannot help against. `unexpected commit digest` is what containerd's store says of wrong bytes; it keeps
/// them as the beginning of the same download, so that even another registry then meets the same error. Only the ways that
/// do not use that store are left.
const FINAL_OF_REGISTRIES: [&str; 10] = [
    "unexpected commit digest",
    "which reports content size of zero",
    "invalid desc sha256:",
    "unsupported protocol scheme",
    "no match for platform",
    "encountered unknown type",
    "x509:",
    "no such host",
    "not allowed by policy",
    "context canceled",
];

/// What a message of BuildKit about a registry says (containerd's resolver, v2). There is nothing but the message.
pub(super) fn of_registry(error: &Error) -> Failure {
    let message = error.message();
    if error.is_own() || error.is_disconnected() {
        return Failure::Other(message.to_owned());
    }
    if message.contains(FULL) {
        return full();
    }
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    match status(message) {
        Some(status) if status != 404 => return Failure::Status(status),
        _ => {}
    }
    if has(&["401 Unauthorized", "unauthorized", "authorization failed", "insufficient_scope", "denied"]) {
        Failure::Status(401)
    } else if has(&["not found", "404 Not Found"]) {
        Failure::Other(message.to_owned())
    } else if has(&["Too Many Requests"]) {
        Failure::Status(429)
    } else if has(&FINAL_OF_REGISTRIES) {
        Failure::Other(message.to_owned())
    } else {
        unanswered(message.to_owned())
    }
}

/// The status of a message such as `unexpected status from HEAD request to https://…/manifests/1: 403 Forbidden`.
fn status(message: &str) -> Option<u16> {
    let (_, rest) = message.rsplit_once("unexpected status")?;
    rest.split(": ").find_map(|part| part.split(' ').next()?.parse().ok()).filter(|status| (400..600).contains(status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use buildkit::gateway::Code;

    /// An error that came from BuildKit.
    fn told(code: Code, message: &str) -> Error {
        Error::received(code, message, Vec::new())
    }

    #[test]
    fn messages_of_the_http_source() {
        let (a, b) = (format!("sha256:{}", "a".repeat(64)), format!("sha256:{}", "b".repeat(64)));
        let mismatch = Failure::Mismatch { got: a.clone(), expected: b.clone() };
        for (message, expected) in [
            ("failed to load cache key: invalid response status 404".to_owned(), Failure::Status(404)),
            (format!("digest mismatch {a}: {b}"), mismatch.clone()),
            (format!("digest mismatch for https://x/y: {a} (expected: {b})"), mismatch),
            (
                "failed to load cache key: failed to retrieve HTTP auth secret files.token-1: secret files.token-1: not found"
                    .into(),
                Failure::Secret("files.token-1".into()),
            ),
            (
                "failed to load cache key: Get \"https://x/y\": net/http: invalid header field value for \"Authorization\""
                    .into(),
                Failure::Other(secrets::unfit(None)),
            ),
            ("write /var/lib/x: no space left on device".into(), full()),
            (
                "failed to load cache key: Get \"/x\": stopped after 10 redirects".into(),
                Failure::Other("the server redirects in a loop".into()),
            ),
            ("unexpected EOF".into(), Failure::Connection("unexpected EOF".into())),
            (
                "failed to load cache key: Get \"https://x/\": dial tcp 192.0.2.1:443: i/o timeout".into(),
                Failure::Unreachable("Get \"https://x/\": dial tcp 192.0.2.1:443: i/o timeout".into()),
            ),
            (
                "failed to load cache key: Get \"https://x/\": tls: x509: expired".into(),
                Failure::Other("Get \"https://x/\": tls: x509: expired".into()),
            ),
        ] {
            assert_eq!(of_file(&told(Code::Unknown, &message)), expected, "{message}");
        }
    }

    #[test]
    fn what_the_server_of_a_file_did_not_cause_is_not_tried_again() {
        let own = Error::new("the definition has 17 MiB");
        let gone = told(Code::Unavailable, "the connection is closed");
        for error in [own, gone] {
            assert_eq!(of_file(&error), Failure::Other(error.message().to_owned()));
        }
    }

    #[test]
    fn messages_of_registries() {
        let asked = "from HEAD request to https://a.example:5000/v2/x/manifests/1";
        let other = |message: &str| Failure::Other(message.into());
        for (message, expected) in [
            (format!("unexpected status {asked}: 403 Forbidden"), Failure::Status(403)),
            (format!("unexpected status {asked}: 401 Unauthorized"), Failure::Status(401)),
            (format!("unexpected status {asked}: 429 Too Many Requests\ntoomanyrequests: no"), Failure::Status(429)),
            (format!("unexpected status {asked}: 503 Service Unavailable"), Failure::Status(503)),
            (
                "failed to fetch oauth token: unexpected status from GET request to https://a/t: 403 Forbidden".into(),
                Failure::Status(403),
            ),
            (
                "pull access denied, repository does not exist or may require authorization: server message: \
                 insufficient_scope: authorization failed"
                    .into(),
                Failure::Status(401),
            ),
            ("a.example/x:1: not found".into(), other("a.example/x:1: not found")),
            (
                format!("unexpected status {asked}: 404 Not Found"),
                other(&format!("unexpected status {asked}: 404 Not Found")),
            ),
            (
                "tls: failed to verify certificate: x509: unknown".into(),
                other("tls: failed to verify certificate: x509: unknown"),
            ),
            (
                "failed commit on ref \"manifest-sha256:00\": unexpected commit digest sha256:01, expected sha256:00"
                    .into(),
                other(
                    "failed commit on ref \"manifest-sha256:00\": unexpected commit digest sha256:01, expected sha256:00",
                ),
            ),
            // An index where a manifest was promised, a document of both kinds, a redirect to a file.
            (
                "unable to fetch descriptor () which reports content size of zero: invalid argument".into(),
                other("unable to fetch descriptor () which reports content size of zero: invalid argument"),
            ),
            (
                "manifest: invalid desc sha256:00: media-type: expected manifest but found index (m)".into(),
                other("manifest: invalid desc sha256:00: media-type: expected manifest but found index (m)"),
            ),
            (
                "Get \"file:///etc/passwd\": unsupported protocol scheme \"file\"".into(),
                other("Get \"file:///etc/passwd\": unsupported protocol scheme \"file\""),
            ),
            ("dial tcp 127.0.0.1:1: refused".into(), Failure::Unreachable("dial tcp 127.0.0.1:1: refused".into())),
        ] {
            let error = Error::received(Code::Unknown, message.as_str(), Vec::new());
            assert_eq!(of_registry(&error), expected, "{message}");
        }
    }
}
