//! A body that hyper received, without the wake-up that its last part costs over HTTP/1.
//!
//! Whoever takes a part of such a body wakes the task of the connection it came on, as that may have to
//! read on. hyper does so for the last part too, when that connection needs no more of the body: where
//! lengths are known, two of the six times that the tasks of an exchange were polled. So HTTP/1 connections
//! are polled with a [`Waker`] of ours, and what it is told while a part is taken is passed on unless it is
//! known that nothing more comes.
//!
//! Over HTTP/2 the last part has its connection tell the peer how much more it may send: those connections
//! must not be polled so.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// A body that hyper received.
#[derive(Debug)]
pub(super) struct Received(Incoming);

/// What an HTTP/1 connection of hyper's is polled with.
#[derive(Debug, Default)]
pub(super) struct ConnectionWaker(Option<(Arc<Relay>, Waker)>);

/// Wakes a connection's task, or leaves that to who takes a part of a body.
#[derive(Debug)]
struct Relay {
    task: Waker,
}

thread_local! {
    /// Whom the part of a body that this thread is taking would wake.
    static HELD: RefCell<Held> = const { RefCell::new(Held::Nothing) };
}

/// A part is being taken; at the end of that its wake-up is passed on.
struct Part;

#[derive(Debug)]
enum Held {
    /// No part is being taken.
    Nothing,
    /// It has woken nobody so far.
    Part,
    /// It would wake this one.
    Wake(Arc<Relay>),
}

// === impl Received ===

impl Received {
    pub(super) const fn new(body: Incoming) -> Self {
        Self(body)
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let part = Part::take();
        let polled = Pin::new(&mut self.0).poll_frame(cx);
        if self.0.is_end_stream() {
            part.was_the_last();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

// === impl ConnectionWaker ===

impl ConnectionWaker {
    /// Polls an HTTP/1 connection for the task of `cx`.
    pub(super) fn poll<T>(
        &mut self,
        cx: &Context<'_>,
        connection: impl FnOnce(&mut Context<'_>) -> T,
    ) -> T {
        if let Some((relay, waker)) = &self.0
            && relay.task.will_wake(cx.waker())
        {
            return connection(&mut Context::from_waker(waker));
        }
        let relay = Arc::new(Relay {
            task: cx.waker().clone(),
        });
        let (_, waker) = self.0.insert((Arc::clone(&relay), Waker::from(relay)));
        connection(&mut Context::from_waker(waker))
    }
}

// === impl Part ===

impl Part {
    fn take() -> Self {
        let before = HELD.replace(Held::Part);
        debug_assert!(matches!(before, Held::Nothing), "a part within a part");
        Self
    }

    /// Nobody need read on.
    fn was_the_last(self) {
        // Dropped when the cell is free again: a task may go with it.
        drop(HELD.replace(Held::Nothing));
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Held::Wake(relay) = HELD.replace(Held::Nothing) {
            relay.task.wake_by_ref();
        }
    }
}

// === impl Relay ===

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Another thread's wake is none of this thread's taking.
        let kept = HELD.try_with(|held| {
            let mut held = held.borrow_mut();
            // A part wakes one connection at most, its own.
            let first = matches!(*held, Held::Part);
            if first {
                *held = Held::Wake(Arc::clone(self));
            }
            first
        });
        if !kept.unwrap_or(false) {
            self.task.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{pending, poll_fn};
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http_body_util::Full;
    use hyper::client::conn as client;
    use hyper::server::conn as server;
    use hyper::service::service_fn;
    use hyper::{Request, Response};
    use hyper_util::rt::TokioIo;
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[derive(Debug, Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Count {
        fn taken(&self) -> usize {
            self.0.swap(0, Ordering::Relaxed)
        }
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(future)
    }

    /// Polls a connection that goes on, as the task of `count`.
    fn poll(connection: impl Future, count: &Arc<Count>, waker: &mut ConnectionWaker) {
        let (connection, task) = (pin!(connection), Waker::from(Arc::clone(count)));
        let polled = waker.poll(&Context::from_waker(&task), |cx| connection.poll(cx));
        assert!(polled.is_pending());
    }

    /// How often the first part of `body` wakes the connection it came on.
    async fn wakes(body: Incoming, count: &Count) -> usize {
        count.taken();
        let mut body = Received::new(body);
        let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "hello");
        count.taken()
    }

    /// Where a request came with this body and what says how long it is.
    fn wakes_of_request(rest: &str) -> usize {
        block_on(async {
            let (mut client, server) = tokio::io::duplex(1024);
            let request = format!("POST / HTTP/1.1\r\nhost: x\r\n{rest}");
            client.write_all(request.as_bytes()).await.unwrap();
            let bodies = RefCell::new(Vec::new());
            let service = service_fn(|request: Request<Incoming>| {
                bodies.borrow_mut().push(request.into_body());
                pending::<Result<Response<Full<Bytes>>, Infallible>>()
            });
            let mut connection =
                server::http1::Builder::new().serve_connection(TokioIo::new(server), service);
            let (count, mut waker) = <(Arc<Count>, ConnectionWaker)>::default();
            poll(&mut connection, &count, &mut waker);
            let body = bodies.borrow_mut().pop().unwrap();
            wakes(body, &count).await
        })
    }

    /// Where an answer did.
    fn wakes_of_answer(rest: &str) -> usize {
        block_on(async {
            let (mut server, client) = tokio::io::duplex(1024);
            let shaking = client::http1::handshake(TokioIo::new(client));
            let (mut requests, mut connection) = shaking.await.unwrap();
            let sent = requests.send_request(Request::new(Full::new(Bytes::new())));
            let (count, mut waker) = <(Arc<Count>, ConnectionWaker)>::default();
            poll(&mut connection, &count, &mut waker);
            let answer = format!("HTTP/1.1 200 OK\r\n{rest}");
            server.write_all(answer.as_bytes()).await.unwrap();
            poll(&mut connection, &count, &mut waker);
            let body = sent.await.unwrap().into_body();
            let woken = wakes(body, &count).await;
            // It takes the next request without that.
            assert_eq!(requests.is_ready(), woken == 0);
            woken
        })
    }

    #[test]
    fn a_connection_is_woken_only_where_more_of_a_body_may_come() {
        for wakes in [wakes_of_request, wakes_of_answer] {
            assert_eq!(wakes("content-length: 5\r\n\r\nhello"), 0);
            assert_eq!(wakes("content-length: 6\r\n\r\nhello"), 1);
            let chunked = "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
            assert_eq!(wakes(chunked), 1);
        }
    }

    #[test]
    fn nothing_else_is_kept_from_waking() {
        let count = Arc::new(Count::default());
        let relay = |count: &Arc<Count>| {
            Arc::new(Relay {
                task: Waker::from(Arc::clone(count)),
            })
        };
        let waker = Waker::from(relay(&count));
        waker.wake_by_ref();
        assert_eq!(count.taken(), 1);

        let part = Part::take();
        waker.wake_by_ref();
        assert_eq!(count.taken(), 0);
        // By another thread, or a second one.
        std::thread::scope(|scope| scope.spawn(|| waker.wake_by_ref()).join().unwrap());
        assert_eq!(count.taken(), 1);
        let other = Arc::new(Count::default());
        Waker::from(relay(&other)).wake();
        assert_eq!(other.taken(), 1);
        // A part that is not the last, or whose taking panicked.
        drop(part);
        assert_eq!(count.taken(), 1);

        let part = Part::take();
        waker.wake_by_ref();
        part.was_the_last();
        assert_eq!(count.taken(), 0);
        waker.wake_by_ref();
        assert_eq!(count.taken(), 1);
    }
}
