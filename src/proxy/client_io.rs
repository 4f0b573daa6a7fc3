//! A client's socket: tells the connection's [`Deadlines`] what moves and its [`Framing`] what comes,
//! and closes without losing what was written.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_linger;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::deadlines::Deadlines;
use super::framing::Framing;
use super::stream::Stream;

/// How long to read on after the last answer, where the client may not have stopped sending. A
/// socket closed with bytes unread sends a reset, which can take the answer from the client.
const LINGER: Duration = Duration::from_secs(5);

/// The bytes a lingering connection reads in one turn, so that others have theirs.
const LINGER_TURN: usize = 256 * 1024;

/// A client's socket, as hyper and tunnels use it. Clones are the same socket.
#[derive(Debug)]
pub(super) struct ClientIo {
    stream: Rc<RefCell<Stream>>,
    deadlines: Rc<Deadlines>,
    framing: Rc<RefCell<Framing>>,
    closing: Closing,
}

/// The same socket, to be asked about its client.
#[derive(Debug, Clone)]
pub(super) struct Presence(Rc<RefCell<Stream>>);

/// How far closing is.
#[derive(Debug)]
enum Closing {
    Open,
    /// Our side has ended; the client's is read until it ends or the time is over.
    Lingering(Pin<Box<Sleep>>),
    Closed,
}

// === impl ClientIo ===

impl ClientIo {
    pub(super) fn new(
        stream: Stream,
        deadlines: Rc<Deadlines>,
        framing: Rc<RefCell<Framing>>,
    ) -> Self {
        Self {
            stream: Rc::new(RefCell::new(stream)),
            deadlines,
            framing,
            closing: Closing::Open,
        }
    }

    /// Whether its bytes are those of the socket.
    pub(super) fn is_plain(&self) -> bool {
        self.stream.borrow().is_plain()
    }

    /// A handle that tells whether the client is still there.
    pub(super) fn presence(&self) -> Presence {
        Presence(Rc::clone(&self.stream))
    }

    /// Runs `act` on the socket and tells whether the client took anything.
    fn write(
        &self,
        act: impl FnOnce(Pin<&mut Stream>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let polled = act(Pin::new(&mut *self.stream.borrow_mut()));
        self.deadlines.written(polled.is_ready());
        polled
    }

    /// Reads and forgets until the client ends its side.
    fn poll_drained(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 8192];
        let mut total = 0;
        let mut stream = self.stream.borrow_mut();
        while total < LINGER_TURN {
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => total += buf.filled().len(),
                // The end, or nothing that could still be saved.
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut *self.stream.borrow_mut()).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.deadlines.received();
            self.framing.borrow_mut().received(&buf.filled()[before..]);
        }
        polled
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(|stream| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(|stream| stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.borrow().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.closing, Closing::Open) {
            ready!(Pin::new(&mut *self.stream.borrow_mut()).poll_shutdown(cx))?;
            self.closing = if self.deadlines.lingers() {
                Closing::Lingering(Box::pin(tokio::time::sleep_until(Instant::now() + LINGER)))
            } else {
                Closing::Closed
            };
        }
        if let Closing::Lingering(timer) = &mut self.closing {
            if timer.as_mut().poll(cx).is_pending() {
                ready!(self.poll_drained(cx));
            }
            self.closing = Closing::Closed;
        }
        Poll::Ready(Ok(()))
    }
}

// === impl Presence ===

impl Presence {
    /// Whether the client has ended its side or is gone, whatever is still to be read before that.
    pub(super) fn hung_up(&self) -> bool {
        let stream = self.0.borrow();
        let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        let mut asked = [PollFd::new(&*stream, gone)];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut asked, Some(&at_once)).is_ok_and(|found| found > 0)
    }

    /// The same, and wakes the task of `cx` when it is worth asking again: once there is something to read,
    /// or the end.
    pub(super) fn poll_hung_up(&self, cx: &mut Context<'_>) -> bool {
        let readable = self.0.borrow().poll_readable(cx);
        readable.is_ready() && self.hung_up()
    }

    /// Has the socket reset once it is closed. Else the kernel would go on offering the client what it
    /// does not take, and hold megabytes for it meanwhile.
    pub(super) fn reset_on_close(&self) {
        // A socket that cannot be told is closed as ever.
        let _ = set_socket_linger(&*self.0.borrow(), Some(Duration::ZERO));
    }

    /// Writes what fits at once; the connection is given up after it.
    pub(super) fn try_write(&self, bytes: &[u8]) {
        let stream = self.0.borrow();
        // In the midst of TLS it would be noise.
        if stream.is_plain() {
            // A client that does not take it does not need it.
            let _ = rustix::io::write(&*stream, bytes);
        }
    }
}
