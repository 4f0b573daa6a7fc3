//! What moves an HTTP/1 connection to an upstream on: the exchange that uses it, within its own task.
//!
//! A task for each connection would be woken twice for every request, and wake the client's task each
//! time. Only where an answer comes before its request is over, or protocols are switched, does a
//! connection go on in a task of its own: neither way may wait for the other there.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use hyper::body::Incoming;
use hyper::client::conn::http1::Connection;
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;

use super::body::TapBody;
use super::upstream_io::UpstreamIo;

type Io = TokioIo<UpstreamIo>;

/// A connection until it ends; hyper does not name the type.
type Moving = Pin<Box<dyn Future<Output = hyper::Result<()>>>>;

/// Moves one connection on.
#[derive(Debug)]
pub(super) enum Driver {
    /// Whoever waits for what the connection brings.
    User(Driven),
    /// A task of its own.
    Task(AbortHandle),
}

/// A connection that its user moves on.
pub(super) struct Driven {
    /// `None` once it has ended.
    connection: Option<Moving>,
    relay: Arc<Relay>,
    /// The relay's: the connection knows no other, however many tasks use it one after the other.
    waker: Waker,
}

/// Wakes whoever uses the connection now, and nobody for what the user does to it himself.
#[derive(Debug, Default)]
struct Relay(Mutex<Listener>);

#[derive(Debug, Default)]
struct Listener {
    /// The task to wake; `None` while the connection is moved on, or idles.
    task: Option<Waker>,
    /// It was to be woken while nobody listened.
    missed: bool,
}

// === impl Driver ===

impl Driver {
    /// Of a connection that was just opened.
    pub(super) fn new(connection: Connection<Io, TapBody<Incoming>>) -> Self {
        let relay = Arc::new(Relay::default());
        Self::User(Driven {
            connection: Some(Box::pin(connection.with_upgrades())),
            waker: Waker::from(Arc::clone(&relay)),
            relay,
        })
    }

    /// What `future`, which waits for this connection alone, comes to.
    pub(super) async fn bring<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| self.poll_for(cx, |cx| future.as_mut().poll(cx))).await
    }

    /// Polls for what only this connection can bring, and moves it on where that is not there yet.
    pub(super) fn poll_for<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let driven = match self {
            Self::User(driven) if driven.connection.is_some() => driven,
            Self::User(_) | Self::Task(_) => return poll(cx),
        };
        // The connection brings it while it is moved on, so there is nothing to be woken for.
        let mut unheard = Context::from_waker(Waker::noop());
        let polled = poll(&mut unheard);
        if polled.is_ready() {
            return polled;
        }
        driven.move_on(cx);
        match driven.connection {
            Some(_) => poll(&mut unheard),
            None => poll(cx),
        }
    }

    /// Its user needs it no more, but it is not done.
    pub(super) fn leave(&mut self) {
        let Self::User(driven) = self else { return };
        let Some(connection) = driven.connection.take() else {
            return;
        };
        let task = tokio::task::spawn_local(async move { ended(connection.await) });
        *self = Self::Task(task.abort_handle());
    }

    /// Its user needs it no more, and it waits for the next.
    pub(super) fn rest(&self) {
        if let Self::User(driven) = self {
            driven.relay.listener().task = None;
        }
    }

    /// Looks whether the upstream has closed it, where nobody else does.
    pub(super) fn look(&mut self) {
        if let Self::User(driven) = self {
            driven.poll();
        }
    }

    /// Ends the connection.
    pub(super) fn abort(&mut self) {
        match self {
            Self::User(driven) => driven.connection = None,
            Self::Task(task) => task.abort(),
        }
    }
}

// === impl Driven ===

impl Driven {
    /// Moves the connection on; what comes later wakes the task of `cx`.
    fn move_on(&mut self, cx: &Context<'_>) {
        {
            let mut listener = self.relay.listener();
            listener.task = None;
            listener.missed = false;
        }
        self.poll();
        let mut listener = self.relay.listener();
        listener.task = Some(cx.waker().clone());
        // It gave way to others, and wants to go on.
        if std::mem::take(&mut listener.missed) {
            cx.waker().wake_by_ref();
        }
    }

    fn poll(&mut self) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let mut cx = Context::from_waker(&self.waker);
        if let Poll::Ready(end) = connection.as_mut().poll(&mut cx) {
            self.connection = None;
            ended(end);
        }
    }
}

impl std::fmt::Debug for Driven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driven").finish_non_exhaustive()
    }
}

// === impl Relay ===

impl Relay {
    fn listener(&self) -> MutexGuard<'_, Listener> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut listener = self.listener();
        match &listener.task {
            Some(task) => task.wake_by_ref(),
            None => listener.missed = true,
        }
    }
}

/// An error reaches the request it hit; an idle connection that ends is no error.
fn ended(end: hyper::Result<()>) {
    if let Err(error) = end {
        tracing::debug!(%error, "Upstream connection ended");
    }
}
