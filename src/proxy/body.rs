//! A body that passes on its way: same frames, same length, same end.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::flight::{Flight, Side};
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
}

/// The body of a response.
#[derive(Debug)]
pub(super) enum Answer {
    /// The upstream's.
    Upstream(Incoming),
    /// Our own.
    Own(Full<Bytes>),
}

// === impl TapBody ===

impl<B: Body> TapBody<B> {
    pub(super) fn new(inner: B, flight: Rc<Flight>, side: Side) -> Self {
        Self {
            inner,
            flight,
            side,
            ended: false,
        }
    }

    fn end(&mut self, ending: Ending) {
        if !std::mem::replace(&mut self.ended, true) && self.side == Side::Response {
            self.flight.ended(ending);
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for TapBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        if this.side == Side::Request {
            this.flight.moved(polled.is_pending());
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
        Poll::Ready(frame)
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
        // A body that is empty, or belongs to an answer to HEAD, is never asked for a frame.
        let complete = self.inner.is_end_stream();
        self.end(if complete {
            Ending::Complete
        } else {
            Ending::ClientAborted
        });
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
            Self::Upstream(body) => Pin::new(body).poll_frame(cx),
            Self::Own(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Upstream(body) => body.is_end_stream(),
            Self::Own(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Upstream(body) => body.size_hint(),
            Self::Own(body) => body.size_hint(),
        }
    }
}
