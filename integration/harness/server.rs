//! The part that HTTP servers of this process share: a free port of 127.0.0.1, a thread for each connection, request
//! heads, on and off. It does not know what is answered.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// A request as it came in.
#[derive(Debug, Clone)]
pub(super) struct Head {
    /// `GET`, `HEAD`, …
    pub(super) method: String,
    /// What stands in the request line: a path with its query; for a proxy a whole URL.
    pub(super) path: String,
    /// The headers, names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    /// The body, where it is not larger than a mebibyte: nobody here wants more.
    pub(super) body: Vec<u8>,
}

/// Writes the answer to one request; `false` when the connection must then be closed.
pub(super) type Answer = dyn Fn(&TcpStream, Head) -> std::io::Result<bool> + Send + Sync;

/// A running server. Dropping it closes every connection.
pub(super) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    answer: Box<Answer>,
    state: Mutex<State>,
}

struct State {
    on: bool,
    connections: Vec<Connection>,
}

struct Connection {
    stream: Option<TcpStream>,
    began: Instant,
    ended: Option<Instant>,
}

impl Server {
    /// Starts one on a free port.
    pub(super) fn start(answer: Box<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = Mutex::new(State { on: true, connections: Vec::new() });
        let shared = Arc::new(Shared { answer, state });
        let acceptor = Some(accept(listener, Arc::clone(&shared)));
        Self { address, shared, acceptor }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Refuses connections and closes the ones there are, until [`Server::on`].
    pub(super) fn off(&mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            self.shared.state().on = false;
            // Wakes the acceptor, which sees that it is off and closes its socket.
            drop(TcpStream::connect(self.address));
            let _ = acceptor.join();
            for connection in &self.shared.state().connections {
                if let Some(stream) = &connection.stream {
                    let _ = stream.shutdown(Shutdown::Both);
                }
            }
        }
    }

    /// Answers again, at the same port.
    pub(super) fn on(&mut self) {
        if self.acceptor.is_none() {
            let began = Instant::now();
            let listener = loop {
                match TcpListener::bind(self.address) {
                    Ok(listener) => break listener,
                    Err(error) if began.elapsed() > Duration::from_secs(10) => panic!("{}: {error}", self.address),
                    Err(_) => sleep(Duration::from_millis(20)),
                }
            };
            self.shared.state().on = true;
            self.acceptor = Some(accept(listener, Arc::clone(&self.shared)));
        }
    }

    /// When each connection was opened and closed.
    pub(super) fn connections(&self) -> Vec<(Instant, Option<Instant>)> {
        self.shared.state().connections.iter().map(|connection| (connection.began, connection.ended)).collect()
    }

    /// Forgets the connections that are closed.
    pub(super) fn forget(&self) {
        self.shared.state().connections.retain(|connection| connection.ended.is_none());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.off();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(listener: TcpListener, shared: Arc<Shared>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let began = Instant::now();
            {
                let mut state = shared.state();
                if !state.on {
                    return;
                }
                state.connections.push(Connection { stream: stream.try_clone().ok(), began, ended: None });
            }
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                // A client that goes away in the middle of a body is no error of ours.
                let _ = converse(&stream, &*shared.answer);
                let _ = stream.shutdown(Shutdown::Both);
                let mut state = shared.state();
                if let Some(connection) = state.connections.iter_mut().find(|connection| connection.began == began) {
                    connection.stream = None;
                    connection.ended = Some(Instant::now());
                }
            });
        }
    })
}

/// Answers the requests of one connection until it is closed.
fn converse(stream: &TcpStream, answer: &Answer) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(mut head) = head(&mut reader)? {
        let length = head.headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let close = head.headers.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if length <= 1 << 20 {
            reader.by_ref().take(length).read_to_end(&mut head.body)?;
        } else {
            std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
        }
        if !answer(stream, head)? || close {
            break;
        }
    }
    Ok(())
}

fn head(reader: &mut impl BufRead) -> std::io::Result<Option<Head>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.trim().split_once(':') else { break };
        let value = value.trim();
        // A header that is sent twice is one list (RFC 9110, 5.3); Go's registry clients send each Accept so.
        let list = headers.entry(name.to_ascii_lowercase()).or_insert_with(String::new);
        list.push_str(if list.is_empty() { "" } else { ", " });
        list.push_str(value);
    }
    let (method, path) = (method.to_owned(), path.to_owned());
    Ok(Some(Head { method, path, headers, body: Vec::new() }))
}
