//! A server for tests: answers each request by a function, and remembers what it was asked.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// `GET /path?query`
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn authorization(&self) -> &str {
        self.headers.get("authorization").map_or("", String::as_str)
    }
}

/// Status, headers (`Name: value`) and body; a status of 0 closes the connection.
pub(crate) type Reply = (u16, Vec<String>, Vec<u8>);

/// A running server, on `127.0.0.1`.
pub(crate) struct Fake {
    pub(crate) host: String,
    asked: Rc<RefCell<Vec<Asked>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Fake {
    /// Starts one; `answer` gets the host, too. Needs a `LocalSet`.
    pub(crate) async fn start(answer: impl Fn(&str, &Asked) -> Reply + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let host = listener.local_addr().expect("a bound socket has an address").to_string();
        let (asked, answer) = (Rc::<RefCell<Vec<Asked>>>::default(), Rc::new(answer));
        let (seen, name) = (Rc::clone(&asked), host.clone());
        let task = tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, name, answer) = (Rc::clone(&seen), name.clone(), Rc::clone(&answer));
                tokio::task::spawn_local(async move {
                    let mut stream = BufReader::new(stream);
                    while let Some(request) = read(&mut stream).await {
                        seen.borrow_mut().push(request.clone());
                        if !write(stream.get_mut(), answer(&name, &request)).await {
                            break;
                        }
                    }
                });
            }
        });
        Self { host, asked, task }
    }

    /// What it was asked.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.borrow().clone()
    }

    /// The first lines of it.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked.borrow().iter().map(|asked| asked.line.clone()).collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let header = |line: &String| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: BTreeMap<String, String> = lines.iter().skip(1).filter_map(header).collect();
    let mut body = vec![0; headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    let line = lines.first()?.trim_end_matches(" HTTP/1.1").to_owned();
    Some(Asked { line, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

async fn write(stream: &mut TcpStream, (status, headers, body): Reply) -> bool {
    if status == 0 {
        return false;
    }
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length =
        if headers.contains("Content-Length") { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let head = format!("HTTP/1.1 {status} Status\r\n{length}{headers}\r\n");
    stream.write_all(head.as_bytes()).await.is_ok() && stream.write_all(&body).await.is_ok()
}

/// Runs a test that uses [`Fake`].
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, test)
}
