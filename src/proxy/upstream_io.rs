//! A connection to an upstream, on which what it said counts more than that it stopped listening.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::Stream;

/// A socket whose failed writes wait for the end of reading, so that what the upstream said before
/// it closed is read: an early 413 or 401 would else be lost to the broken pipe of the upload it
/// answers. Reading comes to an end on such a socket, so nothing waits for ever.
#[derive(Debug)]
pub(super) struct UpstreamIo {
    stream: Stream,
    /// Nothing more can be read.
    read: bool,
    /// Waits with a failed write for the end of reading.
    writer: Option<Waker>,
}

// === impl UpstreamIo ===

impl UpstreamIo {
    pub(super) const fn new(stream: Stream) -> Self {
        Self {
            stream,
            read: false,
            writer: None,
        }
    }

    /// What a write came to, unless that the upstream takes no more must wait.
    fn written(
        &mut self,
        cx: &Context<'_>,
        polled: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        match polled {
            Poll::Ready(Err(error))
                if !self.read
                    && matches!(
                        error.kind(),
                        BrokenPipe | ConnectionAborted | ConnectionReset
                    ) =>
            {
                self.writer = Some(cx.waker().clone());
                Poll::Pending
            }
            other => other,
        }
    }
}

impl AsyncRead for UpstreamIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if polled.is_ready() && buf.filled().len() == before && buf.remaining() > 0 {
            self.read = true;
            if let Some(writer) = self.writer.take() {
                writer.wake();
            }
        }
        polled
    }
}

impl AsyncWrite for UpstreamIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
