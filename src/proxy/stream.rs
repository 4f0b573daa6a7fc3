//! A connection's bytes, whatever carries them: TCP, a Unix socket, TLS on either.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::tls::{self, TlsStream};

/// Up to this many bytes are copied together and sent as one: that costs less than to have the kernel
/// look at each part, head and body.
const SMALL: usize = 1024;

/// A socket.
#[derive(Debug)]
pub(super) enum Plain {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection to a client or an upstream.
#[derive(Debug)]
pub(super) struct Stream {
    /// Read already, to find out what the peer speaks, and not handed on yet.
    early: Vec<u8>,
    carrier: Carrier,
}

#[derive(Debug)]
enum Carrier {
    Plain(Plain),
    Tls(Box<TlsStream>),
}

// === impl Stream ===

impl Stream {
    /// Whether its bytes are those of the socket.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.carrier, Carrier::Plain(_))
    }

    /// Whether something came over the socket that has not been read, its end included.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let plain = match &self.carrier {
            Carrier::Plain(plain) => plain,
            Carrier::Tls(tls) => tls::socket(tls),
        };
        let ready = match plain {
            Plain::Tcp(stream) => stream.poll_read_ready(cx),
            Plain::Unix(stream) => stream.poll_read_ready(cx),
        };
        ready.map(drop)
    }

    /// Puts `early` in front of what will be read.
    pub(super) fn with_early(mut self, early: Vec<u8>) -> Self {
        self.early = early;
        self
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.carrier {
            Carrier::Plain(plain) => plain.as_fd(),
            Carrier::Tls(tls) => tls::socket(tls).as_fd(),
        }
    }
}

impl From<Plain> for Stream {
    fn from(plain: Plain) -> Self {
        Self {
            early: Vec::new(),
            carrier: Carrier::Plain(plain),
        }
    }
}

impl From<TlsStream> for Stream {
    fn from(stream: TlsStream) -> Self {
        Self {
            early: Vec::new(),
            carrier: Carrier::Tls(Box::new(stream)),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.early.is_empty() {
            return match &mut this.carrier {
                Carrier::Plain(plain) => Pin::new(plain).poll_read(cx, buf),
                Carrier::Tls(tls) => Pin::new(&mut **tls).poll_read(cx, buf),
            };
        }
        let taken = this.early.len().min(buf.remaining());
        buf.put_slice(&this.early[..taken]);
        if taken == this.early.len() {
            this.early = Vec::new();
        } else {
            this.early.drain(..taken);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().carrier {
            Carrier::Plain(plain) => Pin::new(plain).poll_write(cx, buf),
            Carrier::Tls(tls) => Pin::new(&mut **tls).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().carrier {
            Carrier::Plain(plain) => Pin::new(plain).poll_flush(cx),
            Carrier::Tls(tls) => Pin::new(&mut **tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().carrier {
            Carrier::Plain(plain) => Pin::new(plain).poll_shutdown(cx),
            Carrier::Tls(tls) => Pin::new(&mut **tls).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().carrier {
            Carrier::Plain(plain) => Pin::new(plain).poll_write_vectored(cx, bufs),
            Carrier::Tls(tls) => Pin::new(&mut **tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

// === impl Plain ===

impl AsFd for Plain {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

impl AsyncRead for Plain {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Plain {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if bufs.iter().map(|part| part.len()).sum::<usize>() <= SMALL {
            let mut copy = [0; SMALL];
            let length = gather(bufs, &mut copy);
            return self.poll_write(cx, &copy[..length]);
        }
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

/// Copies `parts`, for which there is room, one after the other; how long they are together.
fn gather(parts: &[io::IoSlice<'_>], copy: &mut [u8]) -> usize {
    let mut length = 0;
    for part in parts {
        copy[length..][..part.len()].copy_from_slice(part);
        length += part.len();
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_are_small_together_are_one() {
        let mut copy = [0; 8];
        let parts = [b"head".as_slice(), b"", b"body"].map(io::IoSlice::new);
        assert_eq!(gather(&parts, &mut copy), 8);
        assert_eq!(&copy, b"headbody");
    }
}
