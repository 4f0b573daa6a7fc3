//! The socket clients connect to.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use tokio::sync::OwnedSemaphorePermit;

use super::stream::Plain;

/// A bound socket, handed in by whoever binds or inherits it.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// Where a socket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// A [`Listener`] on a runtime.
#[derive(Debug)]
pub(super) enum Polled {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

/// A socket just accepted, on its way to the thread that will serve it.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A client connection with its place among those allowed at once.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) socket: Socket,
    pub(super) permit: OwnedSemaphorePermit,
    /// It took the last place.
    pub(super) last: bool,
}

// === impl Listener ===

impl Listener {
    /// Makes it ready to be polled on the current runtime.
    pub(super) fn polled(self) -> io::Result<Polled> {
        match self {
            Self::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                tokio::net::TcpListener::from_std(listener).map(Polled::Tcp)
            }
            Self::Unix(listener) => {
                listener.set_nonblocking(true)?;
                tokio::net::UnixListener::from_std(listener).map(Polled::Unix)
            }
        }
    }

    /// Where it is, also where port 0 was asked for.
    #[must_use]
    pub fn address(&self) -> Option<Address> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok().map(Address::Tcp),
            Self::Unix(listener) => {
                let address = listener.local_addr().ok()?;
                address.as_pathname().map(|path| Address::Unix(path.into()))
            }
        }
    }

    /// Its address or path, for messages.
    pub(super) fn name(&self) -> String {
        self.address()
            .map_or_else(|| "a socket without a name".to_owned(), |a| a.to_string())
    }
}

// === impl Address ===

impl Address {
    /// Reads `127.0.0.1:8080`, `localhost:8080` or `unix:/path`.
    ///
    /// # Errors
    /// What is wrong with it; empty where it is none of them.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            // `unix:///path` is how others write the same.
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.starts_with('/') {
                return Err("the socket's path must be absolute".to_owned());
            }
            return Ok(Self::Unix(path.into()));
        }
        let mut found = text.to_socket_addrs().map_err(|_| String::new())?;
        found.next().map(Self::Tcp).ok_or_else(String::new)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

// === impl Polled ===

impl Polled {
    /// Accepts one connection; it belongs to no runtime yet.
    pub(super) async fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                stream.into_std().map(Socket::Tcp)
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.into_std().map(Socket::Unix)
            }
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self::Unix(listener)
    }
}

impl TryFrom<Socket> for Plain {
    type Error = io::Error;

    /// Registers the socket with the current thread's runtime.
    fn try_from(socket: Socket) -> io::Result<Self> {
        match socket {
            Socket::Tcp(stream) => tokio::net::TcpStream::from_std(stream).map(Self::Tcp),
            Socket::Unix(stream) => tokio::net::UnixStream::from_std(stream).map(Self::Unix),
        }
    }
}
