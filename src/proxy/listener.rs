//! The socket clients connect to.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};

use tokio::sync::OwnedSemaphorePermit;

use super::upstream::Stream;

/// A bound socket, handed in by whoever binds or inherits it.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
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

    /// Its address or path, for messages.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|error| error.to_string(), |address| address.to_string()),
            Self::Unix(listener) => listener
                .local_addr()
                .map_or_else(|error| error.to_string(), |address| format!("{address:?}")),
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

impl TryFrom<Socket> for Stream {
    type Error = io::Error;

    /// Registers the socket with the current thread's runtime.
    fn try_from(socket: Socket) -> io::Result<Self> {
        match socket {
            Socket::Tcp(stream) => tokio::net::TcpStream::from_std(stream).map(Self::Tcp),
            Socket::Unix(stream) => tokio::net::UnixStream::from_std(stream).map(Self::Unix),
        }
    }
}
