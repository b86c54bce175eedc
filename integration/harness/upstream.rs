//! A registry that images come from, as they are in the world: with rules of its own about Accept headers and logins,
//! counting what it is asked, failing as it is told. What it does not decide, distribution answers behind it. It does not
//! know who asks.
//!
//! It is read only; images are put into it by [`Upstream::put`]. A definition names it as `127.0.0.1:PORT/calico/node:v1`,
//! or, with a daemon that was told so, by any host name.

mod auth;

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::origin::Fault;
use super::registry::Registry;
use super::sample::{DOCKER_MANIFEST, SCHEMA1, Sample};
use super::server::{Head, Server};
use super::storage::Storage;
use super::workspace::Workspace;

pub use auth::{Auth, Login};

/// What distribution is asked for when only the media type of a document is wanted.
const ANY: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                   application/vnd.docker.distribution.manifest.list.v2+json, \
                   application/vnd.docker.distribution.manifest.v2+json";

/// What a registry wants of its clients.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// Who may read.
    pub auth: Auth,
    /// Answers 404 to whoever does not name the media type of what is there in Accept, as ghcr.io does; a schema 2
    /// manifest is for everyone. Otherwise as distribution: an OCI manifest needs it, an index does not.
    pub strict_accept: bool,
}

/// A request as it was answered.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: String,
    /// Without host and query.
    pub path: String,
    /// The `Host` header: the name by which the client knows the registry.
    pub host: String,
    /// The `Accept` headers, joined.
    pub accept: Option<String>,
    /// The scheme of the `Authorization` header: `Basic`, `Bearer`.
    pub authorization: Option<String>,
    pub status: u16,
    /// A GET was answered with 200 and the whole body, right or wrong.
    pub complete: bool,
    /// When it came, and when the answer was ready.
    pub time: Range<Instant>,
}

impl Call {
    /// The digest or tag at the end of the path.
    pub fn reference(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// A running registry. Dropping it closes every connection.
pub struct Upstream {
    server: Server,
    site: Arc<Site>,
    storage: Storage,
}

/// What is behind the door: a daemon's name server opens it too.
pub(super) struct Site {
    /// `127.0.0.1:PORT` of this registry itself.
    address: OnceLock<SocketAddr>,
    /// `127.0.0.1:PORT` of distribution.
    backend: String,
    /// Every repository lies below this one there.
    prefix: String,
    rules: Rules,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    off: bool,
    faults: BTreeMap<String, Faults>,
    delay: Duration,
    calls: Vec<Call>,
    /// Documents that distribution would not serve, by repository and reference.
    odd: BTreeMap<(String, String), Odd>,
}

/// A document as it is served, whatever it is.
#[derive(Clone)]
struct Odd {
    media_type: String,
    /// `Docker-Content-Digest`
    digest: String,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Faults {
    once: VecDeque<Fault>,
    always: Option<Fault>,
}

impl Upstream {
    /// Starts a registry without images.
    pub fn start(registry: &Registry, rules: Rules) -> Self {
        let prefix = Workspace::get().name("upstream");
        let backend = registry.host().to_owned();
        let site = Arc::new(Site { address: OnceLock::new(), backend, prefix, rules, state: Mutex::default() });
        let answering = Arc::clone(&site);
        let server = Server::start(Box::new(move |stream, head| answering.answer(stream, &head, None)));
        site.address.set(server.address()).expect("the address is set once");
        Self { server, site, storage: Storage::at(registry.storage()) }
    }

    /// `127.0.0.1:PORT`
    pub fn host(&self) -> String {
        self.server.address().to_string()
    }

    /// `127.0.0.1:PORT/calico/node:v1`
    pub fn reference(&self, image: &str) -> String {
        format!("{}/{image}", self.host())
    }

    /// Puts an image under a tag: `calico/node:v1`; or under none: `calico/node`.
    pub fn put(&self, image: &str, sample: &Sample) {
        let (repository, tag) = image.split_once(':').map_or((image, None), |(name, tag)| (name, Some(tag)));
        self.storage.write(&format!("{}/{image}", self.site.prefix), sample);
        let top = sample.top();
        if top.media_type == SCHEMA1 {
            let mut state = self.site.state();
            for reference in tag.map(str::to_owned).into_iter().chain([top.digest()]) {
                let odd = Odd { media_type: top.media_type.to_owned(), digest: top.digest(), bytes: top.bytes.clone() };
                state.odd.insert((repository.to_owned(), reference), odd);
            }
        }
    }

    /// Serves these bytes under a tag, and under their digest, whatever they are; the tag's answer says that they have
    /// `digest`.
    pub fn lie(&self, image: &str, media_type: &str, digest: &str, bytes: &[u8]) {
        let (repository, tag) = image.split_once(':').expect("a tag");
        let of =
            |digest: &str| Odd { media_type: media_type.to_owned(), digest: digest.to_owned(), bytes: bytes.to_vec() };
        let own = super::image::digest(bytes);
        let mut state = self.site.state();
        for (reference, odd) in [(tag, of(digest)), (digest, of(digest)), (&own, of(&own))] {
            state.odd.insert((repository.to_owned(), reference.to_owned()), odd);
        }
    }

    /// Refuses connections and closes the ones there are, until [`Upstream::on`].
    pub fn off(&mut self) {
        self.site.state().off = true;
        self.server.off();
    }

    /// Answers again, at the same port.
    pub fn on(&mut self) {
        self.site.state().off = false;
        self.server.on();
    }

    /// Fails every request for a tag, or a digest of a manifest or blob, in whatever repository.
    pub fn always(&self, reference: &str, fault: Fault) {
        self.site.state().faults.entry(reference.to_owned()).or_default().always = Some(fault);
    }

    /// Fails the next `count` requests for it, after the ones that were already told to fail.
    pub fn times(&self, reference: &str, count: usize, fault: &Fault) {
        let mut state = self.site.state();
        let faults = state.faults.entry(reference.to_owned()).or_default();
        faults.once.extend(std::iter::repeat_n(fault.clone(), count));
    }

    /// Takes back every fault of it.
    pub fn heal(&self, reference: &str) {
        self.site.state().faults.remove(reference);
    }

    /// Waits before answering any request: a registry far away.
    pub fn delay(&self, delay: Duration) {
        self.site.state().delay = delay;
    }

    /// Every request answered so far, token requests too.
    pub fn calls(&self) -> Vec<Call> {
        self.site.state().calls.clone()
    }

    /// Forgets them.
    pub fn forget(&self) {
        self.site.state().calls.clear();
    }

    /// How often the whole content of each blob was sent, by digest; blobs that nobody got are missing.
    pub fn blobs(&self) -> BTreeMap<String, usize> {
        self.counts("/blobs/")
    }

    /// How often each manifest or index was sent, by what was asked for: tag or digest.
    pub fn manifests(&self) -> BTreeMap<String, usize> {
        self.counts("/manifests/")
    }

    /// What is behind its door.
    pub(super) fn site(&self) -> Arc<Site> {
        Arc::clone(&self.site)
    }

    fn counts(&self, part: &str) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in self.site.state().calls.iter().filter(|call| call.complete && call.path.contains(part)) {
            *counts.entry(call.reference().to_owned()).or_default() += 1;
        }
        counts
    }
}

/// An answer that is put together.
pub(super) struct Reply {
    status: u16,
    /// Without the length of the body.
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// What the client is told of the body's length; a HEAD has no body.
    length: usize,
}

impl Reply {
    pub(super) fn text(status: u16, text: &str) -> Self {
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body: text.as_bytes().to_vec(), length: text.len() }
    }

    /// An error as the OCI distribution specification has it.
    fn error(status: u16, code: &str, message: &str) -> Self {
        Self::text(status, &format!("{{\"errors\":[{{\"code\":\"{code}\",\"message\":\"{message}\"}}]}}\n"))
    }

    fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

impl Site {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn address(&self) -> SocketAddr {
        *self.address.get().expect("the server has started")
    }

    /// Whether nobody answers.
    pub(super) fn is_off(&self) -> bool {
        self.state().off
    }

    /// Answers one request. What was asked for by a host name and is not here may lie below that name in the harness's
    /// registry: the frontend and the base images do, and they are not counted.
    pub(super) fn answer(&self, stream: &TcpStream, head: &Head, name: Option<&str>) -> std::io::Result<bool> {
        let (path, query) = head.path.split_once('?').unwrap_or((&head.path, ""));
        let came = Instant::now();
        let mut call = Call {
            method: head.method.clone(),
            path: path.to_owned(),
            host: head.headers.get("host").cloned().unwrap_or_default(),
            accept: head.headers.get("accept").cloned(),
            authorization: head.headers.get("authorization").and_then(|v| v.split(' ').next()).map(str::to_owned),
            status: 0,
            complete: false,
            time: came..came,
        };
        let (off, delay, fault) = {
            let mut state = self.state();
            let (off, delay) = (state.off, state.delay);
            let fault = state.faults.get_mut(call.reference()).and_then(|faults| faults.take(&head.method));
            (off, delay, fault)
        };
        if off {
            return Ok(false);
        }
        std::thread::sleep(delay);
        let mut reply = match (path, &fault) {
            ("/token", _) => self.token(head, query),
            _ if self.refuses(head, path).is_some() => self.challenge(path),
            (_, Some(Fault::Status(status))) => Reply::error(*status, "UNKNOWN", "as the test told"),
            (_, Some(Fault::RetryAfter(status, seconds))) => {
                Reply::error(*status, "TOOMANYREQUESTS", "slow down").header("Retry-After", seconds.to_string())
            }
            (_, Some(Fault::Redirect(to))) => Reply::text(307, "").header("Location", to),
            _ => self.content(head, path)?,
        };
        if let (404, Some(name), Some(rest)) = (reply.status, name, path.strip_prefix("/v2/")) {
            let own = self.forward(&head.method, &format!("/v2/{name}/{rest}"), &passed(head))?;
            if own.status < 300 {
                send(stream, &head.method, &own)?;
                return Ok(true);
            }
        }
        let whole = reply.body.len();
        match fault {
            Some(Fault::WrongBytes) => {
                // In the middle, where no magic number shows it.
                if let Some(byte) = reply.body.get_mut(whole / 2) {
                    *byte ^= 1;
                }
            }
            Some(Fault::Drop) => reply.body.truncate(whole / 2),
            _ => {}
        }
        call.status = reply.status;
        call.complete = reply.status == 200 && head.method == "GET" && reply.body.len() == whole;
        call.time.end = Instant::now();
        let dropped = reply.body.len() < whole;
        self.state().calls.push(call);
        send(stream, &head.method, &reply)?;
        Ok(!dropped)
    }

    /// The answer to a request that is let in.
    fn content(&self, head: &Head, path: &str) -> std::io::Result<Reply> {
        let Some(rest) = path.strip_prefix("/v2/") else { return Ok(Reply::error(404, "UNSUPPORTED", "no such page")) };
        if head.method != "GET" && head.method != "HEAD" {
            return Ok(Reply::error(405, "UNSUPPORTED", "this registry is read only"));
        }
        let document = rest.split_once("/manifests/").map(|(name, reference)| (name.to_owned(), reference.to_owned()));
        if let Some(odd) = document.as_ref().and_then(|key| self.state().odd.get(key).cloned()) {
            let Odd { media_type, digest, bytes } = odd;
            let reply = Reply { status: 200, headers: Vec::new(), length: bytes.len(), body: bytes };
            return Ok(reply.header("Content-Type", media_type).header("Docker-Content-Digest", digest));
        }
        let path = if rest.is_empty() { "/v2/".to_owned() } else { format!("/v2/{}/{rest}", self.prefix) };
        if self.rules.strict_accept && document.is_some() {
            let there = self.forward("HEAD", &path, &[("accept", ANY)])?;
            let name = |(name, _): &&(String, String)| name.eq_ignore_ascii_case("content-type");
            let media_type = there.headers.iter().find(name).map(|(_, value)| value.as_str()).unwrap_or_default();
            let accept = head.headers.get("accept").map(String::as_str).unwrap_or_default();
            if there.status == 200 && media_type != DOCKER_MANIFEST && !accept.contains(media_type) {
                return Ok(Reply::error(404, "MANIFEST_UNKNOWN", "found, but the Accept header does not support it"));
            }
        }
        self.forward(&head.method, &path, &passed(head))
    }

    /// Asks distribution.
    fn forward(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> std::io::Result<Reply> {
        let mut backend = TcpStream::connect(&self.backend)?;
        let headers: String = headers.iter().flat_map(|(name, value)| [*name, ": ", *value, "\r\n"]).collect();
        write!(backend, "{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}Connection: close\r\n\r\n", self.backend)?;
        let mut answer = Vec::new();
        backend.read_to_end(&mut answer)?;
        let bad = || std::io::Error::other("distribution does not speak HTTP");
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or_else(bad)?;
        let body = answer.split_off(end + 4);
        let text = String::from_utf8_lossy(&answer);
        let mut lines = text.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or_else(bad)?;
        let mut reply = Reply { status, headers: Vec::new(), length: body.len(), body };
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            match name.to_ascii_lowercase().as_str() {
                "content-length" => reply.length = value.parse().map_err(|_| bad())?,
                "transfer-encoding" => return Err(std::io::Error::other("distribution sent chunks")),
                "connection" => {}
                _ => reply.headers.push((name.to_owned(), value.to_owned())),
            }
        }
        Ok(reply)
    }
}

/// The headers that distribution is given.
fn passed(head: &Head) -> Vec<(&str, &str)> {
    let names = ["accept", "range", "if-none-match"];
    names.iter().filter_map(|&name| Some((name, head.headers.get(name)?.as_str()))).collect()
}

impl Faults {
    /// The fault that a request of this method meets: the ones about bodies wait for a GET.
    fn take(&mut self, method: &str) -> Option<Fault> {
        let applies =
            |fault: &&Fault| method == "GET" || !matches!(fault, Fault::Drop | Fault::WrongBytes | Fault::Slow(_));
        match self.once.front().filter(applies) {
            Some(_) => self.once.pop_front(),
            None => self.always.as_ref().filter(applies).cloned(),
        }
    }
}

pub(super) fn send(mut stream: &TcpStream, method: &str, reply: &Reply) -> std::io::Result<()> {
    let mut head =
        format!("HTTP/1.1 {} {}\r\nContent-Length: {}\r\n", reply.status, reason(reply.status), reply.length);
    for (name, value) in &reply.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"\r\n")?;
    if method != "HEAD" {
        stream.write_all(&reply.body)?;
    }
    stream.flush()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
