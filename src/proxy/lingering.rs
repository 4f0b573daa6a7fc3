//! A client's socket that speaks HTTP/2: tells the connection's [`Stay`] what the client takes, and closes so
//! that it gets all that was sent.
//!
//! A socket that is closed with something unread in it is reset, and what the kernel has not sent by
//! then is lost: the end of an answer, or the GOAWAY that says why it ends.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::stay::Stay;
use super::stream::Stream;

/// How long the peer may take to read the rest and close its side.
const PATIENCE: Duration = Duration::from_secs(1);

/// A stream that, once shut down, reads on until the peer has closed, and throws that away.
#[derive(Debug)]
pub(super) struct Lingering {
    stream: Stream,
    stay: Rc<Stay>,
    /// Set once our side is shut down.
    until: Option<Pin<Box<Sleep>>>,
}

// === impl Lingering ===

impl Lingering {
    pub(super) fn new(stream: Stream, stay: Rc<Stay>) -> Self {
        Self {
            stream,
            stay,
            until: None,
        }
    }

    /// Tells of what was written, or was not.
    fn wrote(&self, polled: &Poll<io::Result<usize>>) {
        self.stay.written(polled.is_ready());
        if let Poll::Ready(Ok(bytes)) = polled {
            self.stay.took(*bytes);
        }
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(&polled);
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        if !self.stream.is_plain() {
            // TLS takes up to 64 KiB more than its client does.
            self.stay.written(polled.is_ready());
        }
        polled
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self {
            stream,
            stay,
            until,
        } = self.get_mut();
        let until = match until {
            Some(until) => until,
            None => {
                let polled = Pin::new(&mut *stream).poll_shutdown(cx);
                if polled.is_pending() {
                    stay.written(false);
                }
                ready!(polled)?;
                until.insert(Box::pin(sleep(PATIENCE)))
            }
        };
        if until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut space = [0; 2048];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            match ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                // Closed, or broken: either way there is nobody to wait for.
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if self.stay.is_cut() {
            // Else the kernel would go on offering the client what it does not take. A socket that cannot be
            // told is closed as ever.
            let _ = set_socket_linger(&self.stream, Some(Duration::ZERO));
        }
    }
}
