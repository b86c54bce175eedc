//! The two file descriptors that BuildKit speaks gRPC on. Knows nothing of gRPC.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream as StdUnixStream;

use tokio::io::{AsyncRead, AsyncWrite, Join};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

/// Standard input and output as one connection.
pub type Stdio = Join<Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>>;

/// Takes standard input and output as the wire.
///
/// From then on descriptor 1 is standard error, so that a stray `println!` of any library ends in the daemon's log
/// instead of corrupting the wire, and the only descriptor that keeps the wire open is the returned one.
///
/// # Errors
/// When either is neither a pipe nor a Unix socket (a terminal, a file): the process was not started by BuildKit.
///
/// # Panics
/// Outside a tokio runtime with IO enabled.
pub fn take() -> io::Result<Stdio> {
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    let io = connection(input, output)?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok(io)
}

/// Joins a readable and a writable descriptor, each a pipe or a Unix socket.
fn connection(input: OwnedFd, output: OwnedFd) -> io::Result<Stdio> {
    let input = File::from(input);
    let reader: Box<dyn AsyncRead + Send + Unpin> = if is_socket(&input)? {
        Box::new(socket(input)?)
    } else {
        Box::new(pipe::Receiver::from_file(input).map_err(|error| named(&error, "standard input"))?)
    };
    let output = File::from(output);
    let writer: Box<dyn AsyncWrite + Send + Unpin> = if is_socket(&output)? {
        Box::new(socket(output)?)
    } else {
        Box::new(pipe::Sender::from_file(output).map_err(|error| named(&error, "standard output"))?)
    };
    Ok(tokio::io::join(reader, writer))
}

fn is_socket(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.file_type().is_socket())
}

fn socket(file: File) -> io::Result<UnixStream> {
    let stream = StdUnixStream::from(OwnedFd::from(file));
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

fn named(error: &io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what} is not BuildKit's: {error}"))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn two_pipes_are_a_connection() {
        let (from_peer, to_us) = io::pipe().expect("a pipe");
        let (from_us, to_peer) = io::pipe().expect("a pipe");
        let mut ours = connection(from_peer.into(), to_peer.into()).expect("pipes");
        let mut theirs = connection(from_us.into(), to_us.into()).expect("pipes");
        ours.write_all(b"ping").await.expect("written");
        let mut read = [0; 4];
        theirs.read_exact(&mut read).await.expect("read");
        assert_eq!(&read, b"ping");
        drop(theirs);
        assert_eq!(ours.read(&mut read).await.expect("the end"), 0);
    }

    #[tokio::test]
    async fn one_socket_is_a_connection() {
        let (a, b) = StdUnixStream::pair().expect("a pair");
        let mut ours = connection(a.try_clone().expect("a clone").into(), a.into()).expect("a socket");
        let mut theirs = connection(b.try_clone().expect("a clone").into(), b.into()).expect("a socket");
        ours.write_all(b"ping").await.expect("written");
        let mut read = [0; 4];
        theirs.read_exact(&mut read).await.expect("read");
        assert_eq!(&read, b"ping");
    }

    #[tokio::test]
    async fn a_file_is_refused() {
        let null = || OwnedFd::from(File::open("/dev/null").expect("/dev/null"));
        let error = connection(null(), null()).map(|_| ()).expect_err("no pipe");
        assert_eq!(error.to_string(), "standard input is not BuildKit's: not a pipe");
    }
}
