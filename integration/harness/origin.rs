//! An HTTP server for downloads: any path has bytes, decided by its name and its generation; it counts what it is asked,
//! and fails as it is told. It does not know who downloads.
//!
//! The bytes of `https://dl.k8s.io/x` are asked for at `http://127.0.0.1:PORT/dl.k8s.io/x`, by a `mirrors:` entry.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::net::TcpStream;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::content::{self, File};
use super::git;
use super::server::{Head, Server};

/// A way to fail. A status counts for GET and HEAD; the others need a body, so only for GET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This status with a short text.
    Status(u16),
    /// This status, and `Retry-After` with these seconds.
    RetryAfter(u16, u64),
    /// 302 to this URL.
    Redirect(String),
    /// Half of the body, then the connection is closed.
    Drop,
    /// Other bytes, as many as the right ones.
    WrongBytes,
    /// The right bytes, a few at a time, during this time.
    Slow(Duration),
}

/// A request as it came in and was answered.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `HEAD`, …
    pub method: String,
    /// The path with its query, as it stood in the request line.
    pub path: String,
    /// The `Host` header.
    pub host: String,
    /// `If-None-Match`, if sent.
    pub if_none_match: Option<String>,
    /// `Authorization`, if sent.
    pub authorization: Option<String>,
    /// `User-Agent`, if sent.
    pub user_agent: Option<String>,
    /// The status it was answered with.
    pub status: u16,
    /// A GET was answered with 200 and the whole body.
    pub complete: bool,
    /// When it had come in.
    pub began: Instant,
    /// When it had been answered, well or not; `None` while that lasts.
    pub ended: Option<Instant>,
}

/// A running origin. Dropping it closes every connection.
pub struct Origin {
    server: Server,
    state: Arc<Mutex<State>>,
}

struct State {
    etags: bool,
    /// The `Authorization` without which nothing is sent.
    wanted: Option<String>,
    delay: Duration,
    sizes: RangeInclusive<u64>,
    paths: BTreeMap<String, Rules>,
    requests: Vec<Request>,
    /// Git repositories, by the path of each here.
    repositories: BTreeMap<String, PathBuf>,
}

/// What was said about one path.
#[derive(Default)]
struct Rules {
    generation: u64,
    size: Option<u64>,
    exact: Option<Arc<[u8]>>,
    delay: Option<Duration>,
    once: VecDeque<Fault>,
    always: Option<Fault>,
}

impl Origin {
    /// Starts one on a free port of 127.0.0.1. It sends `ETag` and `Last-Modified`, and files of 2 KiB to 256 KiB.
    pub fn start() -> Self {
        let state = State {
            etags: true,
            wanted: None,
            delay: Duration::ZERO,
            sizes: 2 << 10..=256 << 10,
            paths: BTreeMap::new(),
            requests: Vec::new(),
            repositories: BTreeMap::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let answering = Arc::clone(&state);
        let server = Server::start(Box::new(move |stream, head| answer(stream, &answering, head)));
        Self { server, state }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Where a mirror for everything below `https://HOST/` is: `http://127.0.0.1:PORT/HOST/`.
    pub fn mirror(&self, host: &str) -> String {
        format!("http://{}/{host}/", self.server.address())
    }

    /// Refuses connections and closes the ones there are, until [`Origin::on`].
    pub fn off(&mut self) {
        self.server.off();
    }

    /// Answers again, at the same port.
    pub fn on(&mut self) {
        self.server.on();
    }

    /// Fails every request for `path`.
    pub fn always(&self, path: &str, fault: Fault) {
        self.state().rules(path).always = Some(fault);
    }

    /// Fails the next `count` requests for `path`, after the ones that were already told to fail.
    pub fn times(&self, path: &str, count: usize, fault: &Fault) {
        self.state().rules(path).once.extend(std::iter::repeat_n(fault.clone(), count));
    }

    /// Takes back every fault of `path`.
    pub fn heal(&self, path: &str) {
        let mut state = self.state();
        let rules = state.rules(path);
        rules.once.clear();
        rules.always = None;
    }

    /// From now on `path` has other bytes, another `ETag` and a later date.
    pub fn change(&self, path: &str) {
        self.state().rules(path).generation += 1;
    }

    /// From now on `path` has these bytes, and another `ETag`.
    pub fn serve(&self, path: &str, bytes: impl Into<Arc<[u8]>>) {
        let mut state = self.state();
        let rules = state.rules(path);
        rules.exact = Some(bytes.into());
        rules.generation += 1;
    }

    /// From now on there is a git repository at `path`, which ends with `.git`: one commit of all that lies in `folder`, with
    /// this tag.
    pub fn repository(&self, path: &str, folder: &Path, tag: &str) {
        git::repository(folder, tag).unwrap_or_else(|error| panic!("{error}"));
        self.state().repositories.insert(path.to_owned(), folder.join(".git"));
    }

    /// The size of one file in bytes.
    pub fn size(&self, path: &str, bytes: u64) {
        self.state().rules(path).size = Some(bytes);
    }

    /// The sizes of all other files: each path has its own in this range, in bytes.
    pub fn sizes(&self, range: RangeInclusive<u64>) {
        self.state().sizes = range;
    }

    /// Waits before answering a request for `path`.
    pub fn delay(&self, path: &str, delay: Duration) {
        self.state().rules(path).delay = Some(delay);
    }

    /// Waits before answering any other request, so that requests overlap.
    pub fn delay_all(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// Whether to send `ETag` and `Last-Modified`, and to answer 304.
    pub fn etags(&self, send: bool) {
        self.state().etags = send;
    }

    /// Answers 401 to every request without this `Authorization`.
    pub fn require(&self, authorization: &str) {
        self.state().wanted = Some(authorization.to_owned());
    }

    /// The right bytes of `path` now.
    pub fn bytes(&self, path: &str) -> Vec<u8> {
        let file = self.state().file(path);
        let mut bytes = Vec::new();
        file.chunks(|chunk| {
            bytes.extend_from_slice(chunk);
            Ok(())
        })
        .expect("a vector takes everything");
        bytes
    }

    /// The SHA-256 of the right bytes of `path` now, in hex.
    pub fn sha256(&self, path: &str) -> String {
        self.state().file(path).sha256()
    }

    /// Every request so far, in the order they came in.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// Forgets the requests and connections so far.
    pub fn forget(&self) {
        self.state().requests.retain(|request| request.ended.is_none());
        self.server.forget();
    }

    /// How many requests of `method` came for `path`.
    pub fn count(&self, method: &str, path: &str) -> usize {
        self.state().requests.iter().filter(|request| request.method == method && request.path == path).count()
    }

    /// How many complete bodies were sent, right or wrong bytes, by path; paths without any are missing.
    pub fn bodies(&self) -> BTreeMap<String, usize> {
        // A client may have the last byte before we know that it was sent.
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(1) && self.requests().iter().any(|request| request.ended.is_none())
        {
            sleep(Duration::from_millis(1));
        }
        let mut bodies = BTreeMap::new();
        for request in self.state().requests.iter().filter(|request| request.complete) {
            *bodies.entry(request.path.clone()).or_default() += 1;
        }
        bodies
    }

    /// The most requests that were in progress at one time.
    pub fn most_requests(&self) -> usize {
        self.most_requests_where(|_| true)
    }

    /// The most requests in progress at one time, of those that `of` picks: by `Host` header, by path.
    pub fn most_requests_where(&self, of: impl Fn(&Request) -> bool) -> usize {
        most(self.state().requests.iter().filter(|request| of(request)).map(|request| (request.began, request.ended)))
    }

    /// The most connections that were open at one time; a client may keep some open without using them.
    pub fn most_connections(&self) -> usize {
        most(self.server.connections().into_iter())
    }

    /// The most requests that were in progress at one time at all of these.
    pub fn most_requests_of(origins: &[Self]) -> usize {
        let requests: Vec<Request> = origins.iter().flat_map(Self::requests).collect();
        most(requests.iter().map(|request| (request.began, request.ended)))
    }

    /// What is behind its door: a daemon's names open it too.
    pub(super) fn door(&self) -> Door {
        Door(Arc::clone(&self.state))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// An origin that is asked by another server.
pub(super) struct Door(Arc<Mutex<State>>);

impl Door {
    /// Answers one request; `false` when the connection must then be closed.
    pub(super) fn answer(&self, stream: &TcpStream, head: Head) -> std::io::Result<bool> {
        answer(stream, &self.0, head)
    }
}

/// The largest number of intervals that share a moment.
fn most(intervals: impl Iterator<Item = (Instant, Option<Instant>)>) -> usize {
    let mut edges: Vec<(Instant, bool)> = Vec::new();
    for (began, ended) in intervals {
        edges.push((began, true));
        edges.extend(ended.map(|ended| (ended, false)));
    }
    // At the same moment, an end comes before a beginning.
    edges.sort_unstable();
    let (mut now, mut most) = (0_usize, 0);
    for (_, begins) in edges {
        now = if begins { now + 1 } else { now.saturating_sub(1) };
        most = most.max(now);
    }
    most
}

impl State {
    fn rules(&mut self, path: &str) -> &mut Rules {
        self.paths.entry(path.to_owned()).or_default()
    }

    fn file(&self, path: &str) -> File {
        let rules = self.paths.get(path);
        let generation = rules.map_or(0, |rules| rules.generation);
        let exact = rules.and_then(|rules| rules.exact.clone());
        let size = match &exact {
            Some(bytes) => bytes.len() as u64,
            None => rules.and_then(|rules| rules.size).unwrap_or_else(|| content::size(path, &self.sizes)),
        };
        File { path: path.to_owned(), generation, size, exact }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers one request; `false` when the connection must then be closed.
fn answer(stream: &TcpStream, state: &Mutex<State>, head: Head) -> std::io::Result<bool> {
    let repository = head.path.find(".git/").map(|at| &head.path[..at + ".git".len()]);
    if let Some(folder) = repository.and_then(|path| lock(state).repositories.get(path).cloned()) {
        return git::answer(stream, &head, &folder);
    }
    let Head { method, path, headers, .. } = head;
    let asked = headers.get("if-none-match").cloned();
    let began = Instant::now();
    let request = Request {
        method: method.clone(),
        path: path.clone(),
        host: headers.get("host").cloned().unwrap_or_default(),
        if_none_match: asked.clone(),
        authorization: headers.get("authorization").cloned(),
        user_agent: headers.get("user-agent").cloned(),
        status: 0,
        complete: false,
        began,
        ended: None,
    };
    let (file, fault, delay, etags, refused) = {
        let mut state = lock(state);
        state.requests.push(request);
        let (delay, etags, file) = (state.delay, state.etags, state.file(&path));
        let refused = state.wanted.is_some() && state.wanted.as_ref() != headers.get("authorization");
        let rules = state.rules(&path);
        let about_body = |fault: &Fault| matches!(fault, Fault::Drop | Fault::WrongBytes | Fault::Slow(_));
        let applies = |fault: &&Fault| method == "GET" || !about_body(fault);
        let fault = match rules.once.front().filter(applies) {
            Some(_) => rules.once.pop_front(),
            None => rules.always.as_ref().filter(applies).cloned(),
        };
        (file, fault, rules.delay.unwrap_or(delay), etags, refused)
    };
    sleep(delay);
    let done = |status: u16, complete: bool| {
        let mut state = lock(state);
        let mine = |request: &&mut Request| request.began == began && request.path == path;
        if let Some(request) = state.requests.iter_mut().rev().find(mine) {
            request.status = status;
            request.complete = complete;
            request.ended = Some(Instant::now());
        }
    };
    let (status, extra) = match &fault {
        _ if refused => (401, String::new()),
        Some(Fault::Status(status)) => (*status, String::new()),
        Some(Fault::RetryAfter(status, seconds)) => (*status, format!("Retry-After: {seconds}\r\n")),
        Some(Fault::Redirect(to)) => (302, format!("Location: {to}\r\n")),
        _ if method != "GET" && method != "HEAD" => (405, String::new()),
        _ if etags && asked.is_some_and(|asked| asked.contains(&file.etag())) => (304, String::new()),
        _ => (200, String::new()),
    };
    let validators = match status {
        200 | 304 if etags => format!("ETag: {}\r\nLast-Modified: {}\r\n", file.etag(), file.last_modified()),
        _ => String::new(),
    };
    let text = format!("{status} by the harness's origin\n");
    let length = match status {
        200 => format!("Content-Length: {}\r\n", file.size),
        304 => String::new(),
        _ => format!("Content-Length: {}\r\n", text.len()),
    };
    let head = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: application/octet-stream\r\n{length}{validators}{extra}\r\n",
        reason(status)
    );
    let sent = (|| {
        let mut stream = stream;
        stream.write_all(head.as_bytes())?;
        match (status, method.as_str()) {
            (304, _) | (_, "HEAD") => {}
            (200, _) => body(stream, file, fault.as_ref())?,
            _ => stream.write_all(text.as_bytes())?,
        }
        stream.flush()
    })();
    let dropped = fault == Some(Fault::Drop);
    done(status, sent.is_ok() && !dropped && status == 200 && method == "GET");
    sent.map(|()| !dropped)
}

fn body(mut stream: &TcpStream, mut file: File, fault: Option<&Fault>) -> std::io::Result<()> {
    match fault {
        Some(Fault::Drop) => file.size /= 2,
        Some(Fault::WrongBytes) => {
            file.generation += 1 << 32;
            file.exact = None;
        }
        _ => {}
    }
    let pieces = u32::try_from(file.size / 4096).unwrap_or(u32::MAX).clamp(1, 20);
    let piece = usize::try_from(file.size).unwrap_or(usize::MAX).div_ceil(pieces as usize).max(1);
    file.chunks(|chunk| match fault {
        Some(Fault::Slow(during)) => chunk.chunks(piece).try_for_each(|part| {
            sleep(*during / pieces);
            stream.write_all(part)
        }),
        _ => stream.write_all(chunk),
    })
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        304 => "Not Modified",
        401 => "Unauthorized",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
