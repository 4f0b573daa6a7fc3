//! One client connection: its requests one after the other, the tunnel it may become, its times.

use std::cell::{Cell, OnceCell, RefCell};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::task::coop;
use tokio::time::{self, Instant};

use super::Limits;
use super::client_io::{ClientIo, Presence};
use super::deadlines::{Deadlines, Due};
use super::forward;
use super::forwarded::Peer;
use super::framing::Framing;
use super::received::ConnectionWaker;
use super::stay::Stay;
use super::tunnel::Tunnel;
use super::worker::Worker;
use crate::metrics::connection::Limit;

/// Most bytes read ahead of a client, where its heads may not be longer.
const MAX_BUFFER: usize = 64 * 1024;

/// One client connection.
pub(super) struct Client {
    pub(super) worker: Rc<Worker>,
    pub(super) peer: Peer,
    pub(super) deadlines: Rc<Deadlines>,
    /// How long it may stay, once it speaks HTTP/2.
    pub(super) stay: OnceCell<Rc<Stay>>,
    /// Where its HTTP/1 requests begin and end.
    pub(super) framing: Rc<RefCell<Framing>>,
    /// What the connection becomes when the exchange under way is over.
    pub(super) tunnel: Cell<Option<Tunnel>>,
    number: u64,
    /// Wakes the connection's task.
    waker: OnceCell<Waker>,
}

// === impl Client ===

impl Client {
    /// Begins with a connection that was just accepted.
    pub(super) fn connect(worker: &Rc<Worker>, peer: Peer) -> Rc<Self> {
        let number = worker.next_client.get();
        worker.next_client.set(number + 1);
        let client = Rc::new(Self {
            worker: Rc::clone(worker),
            peer,
            deadlines: Rc::new(Deadlines::new(&worker.shared.config.limits)),
            stay: OnceCell::new(),
            framing: Rc::default(),
            tunnel: Cell::new(None),
            number,
            waker: OnceCell::new(),
        });
        worker
            .clients
            .borrow_mut()
            .insert(number, Rc::downgrade(&client));
        client
    }

    /// Wakes the connection's task, so that it looks how far the proxy is.
    pub(super) fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    /// Has the connection's task woken when the drain begins.
    pub(super) fn wake_with(&self, waker: &Waker) {
        self.waker.get_or_init(|| waker.clone());
    }

    /// Serves the connection's requests, then the tunnel it may have become.
    pub(super) async fn serve(self: &Rc<Self>, io: ClientIo) {
        let limits = &self.worker.shared.config.limits;
        let service = service_fn(|request| {
            // Asked at once, before more is read.
            let begun = self.framing.borrow_mut().begin();
            forward::serve(Rc::clone(self), request, begun)
        });
        let mut builder = http1::Builder::new();
        builder
            // Where hyper looks for the end itself it takes a second buffer for every request. But the
            // end of what TLS carries shows in no socket.
            .half_close(io.is_plain())
            // The deadlines do better: hyper has one timer for heads and idleness.
            .header_read_timeout(None)
            .max_header_size(limits.max_head)
            .max_buf_size(limits.max_head.max(MAX_BUFFER));
        if limits.max_headers != Limits::default().max_headers {
            // Else hyper reads them without an allocation.
            builder.max_headers(limits.max_headers);
        }
        let mut connection = builder.serve_connection(TokioIo::new(io), service);
        let mut waker = ConnectionWaker::default();
        let mut told = false;
        let ended = std::future::poll_fn(|cx| {
            // A request that has arrived is served even if the drain began meanwhile.
            let mut polled = waker.poll(cx, |cx| Pin::new(&mut connection).poll(cx));
            if polled.is_pending() && self.worker.draining.get() && !told {
                told = true;
                Pin::new(&mut connection).graceful_shutdown();
                polled = waker.poll(cx, |cx| Pin::new(&mut connection).poll(cx));
            }
            polled
        })
        .await;
        let parts = connection.into_parts();
        let mut io = parts.io.into_inner();
        match ended {
            Ok(()) => match self.tunnel.take() {
                Some(tunnel) => {
                    self.framing.borrow_mut().stop();
                    let (early, observer) = (parts.read_buf, &self.worker.observer);
                    Box::pin(tunnel.run(io, early, observer, &self.deadlines)).await;
                }
                // hyper leaves it open where a switch of protocols was asked for.
                None => drop(io.shutdown().await),
            },
            Err(error) => self.failed(&error, parts.read_buf.len()),
        }
    }

    /// Counts what ended a connection before its time; `unread` bytes stood in its buffer.
    fn failed(&self, error: &hyper::Error, unread: usize) {
        let (limits, observer) = (&self.worker.shared.config.limits, &self.worker.observer);
        if error.is_parse_too_large() {
            observer.limited(if unread >= limits.max_head {
                Limit::MaxHead
            } else {
                Limit::MaxHeaders
            });
        } else if error.is_parse() {
            observer.malformed();
        }
        tracing::debug!(%error, "Client connection ended");
    }

    /// Runs what the connection does, as long as its client keeps its times and is there.
    pub(super) async fn in_time(
        &self,
        presence: &Presence,
        serving: impl Future<Output = ()>,
    ) -> Result<(), Limit> {
        self.deadlines.watch();
        let mut serving = pin!(serving);
        let mut timer = pin!(time::sleep_until(self.deadlines.next()));
        // It wakes this task once it has been polled; that again and again costs more than to look.
        let mut armed = false;
        std::future::poll_fn(|cx: &mut Context<'_>| {
            self.wake_with(cx.waker());
            if serving.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            // A client that went takes its request with it.
            if self.deadlines.answers() && presence.poll_hung_up(cx) {
                return Poll::Ready(Ok(()));
            }
            let next = self.deadlines.next();
            if next < timer.deadline() {
                timer.as_mut().reset(next);
                armed = false;
            }
            if armed && !timer.is_elapsed() {
                return Poll::Pending;
            }
            while timer.as_mut().poll(cx).is_ready() {
                let next = match self.deadlines.due(Instant::now()) {
                    Due::Expired(limit) => return Poll::Ready(Err(limit)),
                    Due::HangUpCheck(_) if presence.hung_up() => return Poll::Ready(Ok(())),
                    Due::HangUpCheck(next) => {
                        if self.deadlines.answer_is_late(Instant::now()) {
                            cx.waker().wake_by_ref();
                        }
                        next
                    }
                    Due::Later(next) => next,
                };
                timer.as_mut().reset(next);
            }
            // A task that has had its turn is refused before the timer knows of it.
            armed = coop::has_budget_remaining();
            Poll::Pending
        })
        .await
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.worker.clients.borrow_mut().remove(&self.number);
    }
}
