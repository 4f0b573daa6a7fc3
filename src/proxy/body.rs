//! A body that passes on its way: same frames, same length, same end.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{self, Instant, Sleep};

use super::connections::Lease;
use super::flight::{Flight, Side};
use super::received::Received;
use super::taking::Taking;
use crate::exchange::Ending;

/// Passes a body's frames on and shows them to the exchange they belong to.
///
/// `is_end_stream` and `size_hint` are the inner body's: hyper decides by them whether a message
/// has a body, and how it is framed.
#[derive(Debug)]
pub(super) struct TapBody<B: Body> {
    inner: B,
    flight: Rc<Flight>,
    side: Side,
    /// The end has been told.
    ended: bool,
    /// Runs while the client owes the next part of a request's body.
    patience: Option<Pin<Box<Sleep>>>,
    /// It does so now.
    owed: bool,
    /// It was asked for a frame.
    asked: bool,
    /// Whether the client takes it, where it is an answer over HTTP/2.
    taking: Option<Taking>,
}

/// Why a body does not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// Its sender broke it off, or it is malformed.
    #[error(transparent)]
    Off(#[from] hyper::Error),
    /// The client sent nothing of it for too long.
    #[error("the body did not go on in time")]
    Timeout,
}

/// The body of a response.
#[derive(Debug)]
pub(super) enum Answer {
    /// The upstream's.
    Upstream(UpstreamBody),
    /// Our own.
    Own(Full<Bytes>),
}

/// Most bytes handed to an HTTP/2 client at once: its largest frames, usually. What is handed over
/// counts as taken only as a whole, and hyper reads up to 400 KB at once from an upstream.
const PIECE: usize = 16 * 1024;

/// The body of an upstream's answer. At its end the connection it came on is free for another
/// request; dropped before, it ends the connection: hyper alone would notice only when the upstream
/// said something more.
#[derive(Debug)]
pub(super) struct UpstreamBody {
    body: Received,
    /// What is left of a frame that is passed on in pieces.
    rest: Bytes,
    /// Most bytes passed on at once.
    piece: usize,
    /// `None` at the end, and where others share the connection.
    lease: Option<Lease>,
    /// Why it broke off: told only once the client has been given what came before.
    broken: Option<hyper::Error>,
}

// === impl TapBody ===

impl<B: Body> TapBody<B> {
    pub(super) fn new(inner: B, flight: Rc<Flight>, side: Side) -> Self {
        Self {
            inner,
            flight,
            side,
            ended: false,
            patience: None,
            owed: false,
            asked: false,
            taking: match side {
                Side::Request => None,
                Side::Response => Taking::current(),
            },
        }
    }

    /// Whether the client has sent nothing for too long, given that nothing is there now.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        if !std::mem::replace(&mut self.owed, true) {
            let end = Instant::now() + self.flight.body_timeout();
            match &mut self.patience {
                Some(timer) => timer.as_mut().reset(end),
                none => *none = Some(Box::pin(time::sleep_until(end))),
            }
        }
        let timer = self.patience.as_mut();
        timer.is_some_and(|timer| timer.as_mut().poll(cx).is_ready())
    }

    fn end(&mut self, ending: Ending) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        match self.side {
            Side::Response => self.flight.ended(ending),
            Side::Request if ending != Ending::Complete => self.flight.deadlines().left_unread(),
            Side::Request => {}
        }
    }
}

impl<B: Body<Data = Bytes, Error = hyper::Error> + Unpin> Body for TapBody<B> {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        if this.side == Side::Request {
            // What came with the head moved with it.
            if std::mem::replace(&mut this.asked, true) || polled.is_pending() {
                this.flight.moved(polled.is_pending());
            }
            if polled.is_pending() && this.is_late(cx) {
                this.flight.late();
                this.end(Ending::ClientAborted);
                return Poll::Ready(Some(Err(Broken::Timeout)));
            }
            this.owed = polled.is_pending();
        }
        if let Some(taking) = &this.taking {
            taking.asked(polled.is_ready());
        }
        let frame = ready!(polled);
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    let left = this.inner.size_hint().exact();
                    this.flight.passed(this.side, data, left);
                }
                if this.inner.is_end_stream() {
                    this.end(Ending::Complete);
                }
            }
            Some(Err(_)) => {
                if this.side == Side::Request {
                    this.flight.broken_off();
                }
                this.end(Ending::UpstreamFailed);
            }
            None => this.end(Ending::Complete),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Broken::Off)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: Body> Drop for TapBody<B> {
    fn drop(&mut self) {
        if let Some(taking) = &self.taking {
            taking.over();
        }
        // A body that is empty, or belongs to an answer to HEAD, is never asked for a frame.
        let complete = self.inner.is_end_stream();
        self.end(if complete {
            Ending::Complete
        } else {
            Ending::ClientAborted
        });
        if self.side == Side::Response {
            let end = self.flight.over();
            let end = end.unwrap_or_else(std::time::Instant::now);
            self.flight.deadlines().over(end);
        }
    }
}

// === impl UpstreamBody ===

impl UpstreamBody {
    pub(super) fn new(body: Incoming, lease: Option<Lease>) -> Self {
        let mut new = Self {
            body: Received::new(body),
            rest: Bytes::new(),
            piece: Taking::current().map_or(usize::MAX, |_| PIECE),
            lease,
            broken: None,
        };
        new.give_back();
        new
    }

    /// Gives the connection back where all of the body has come.
    fn give_back(&mut self) {
        if self.body.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.end();
        }
    }

    /// The next frame, of its data no more than one piece.
    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if self.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                None => {
                    if let Some(lease) = self.lease.take() {
                        lease.end();
                    }
                    return Poll::Ready(None);
                }
                Some(Err(error)) => {
                    // It ends by itself.
                    self.lease = None;
                    // hyper forgets what it has not written yet when a body breaks off.
                    self.broken = Some(error);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            };
            self.give_back();
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
        let piece = self.rest.split_to(self.piece.min(self.rest.len()));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.abort();
        }
    }
}

// === impl Answer ===

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Upstream(upstream) => upstream.poll_piece(cx),
            Self::Own(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Upstream(upstream) => upstream.rest.is_empty() && upstream.body.is_end_stream(),
            Self::Own(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Upstream(upstream) => upstream.size_hint(),
            Self::Own(body) => body.size_hint(),
        }
    }
}
