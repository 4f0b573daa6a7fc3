//! Connections to the upstreams that wait for a request: those of one thread, whichever client comes.
//!
//! Invariant: a connection is given out only if it is open, idle and was used a moment ago.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use hyper::client::conn::http1::SendRequest;
use tokio::task::AbortHandle;

use super::body::TapBody;
use super::received::Received;
use super::worker::Worker;
use crate::pulse;

/// How often connections are looked through while one may idle: by one part of that it may seem older.
const LOOKS: u32 = 4;

/// How often they are looked through at most.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// A connection to an upstream.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) requests: SendRequest<TapBody<Received>>,
    /// The task that drives it: to be ended when an answer is not wanted any more.
    pub(super) task: AbortHandle,
}

/// The connections of one thread that wait for their next request, by the index of their upstream.
/// The one used last goes out first: as many stay in use as exchanges are under way at once, however
/// many clients there are, and the rest idle until they are let go.
#[derive(Debug)]
pub(super) struct Idle {
    connections: RefCell<Vec<Vec<Connection>>>,
    /// When they were last looked through.
    looked: Cell<Instant>,
}

/// A connection at an exchange.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) worker: Rc<Worker>,
    /// Index of the upstream it leads to.
    pub(super) upstream: usize,
    pub(super) sender: Sender,
    /// Whether it may be used again.
    pub(super) keeps: bool,
}

/// A connection and what decides whether it is used again.
#[derive(Debug)]
struct Connection {
    sender: Sender,
    /// A moment before its last response was over: when all were last looked through. To ask the clock for
    /// each exchange would cost more than it tells.
    used: Instant,
}

// === impl Idle ===

impl Idle {
    /// None so far.
    pub(super) fn new() -> Self {
        Self {
            connections: RefCell::default(),
            looked: Cell::new(Instant::now()),
        }
    }

    /// How often to [`Idle::prune`] those that may idle for `max_idle`.
    pub(super) fn interval(max_idle: Duration) -> Duration {
        (max_idle / LOOKS).clamp(SHORTEST_INTERVAL, pulse::INTERVAL)
    }

    /// The connection to `upstream` used last that can take a request `now`. Those found on the way
    /// that never will are let go; those whose last request is not over yet stay.
    pub(super) fn take(&self, upstream: usize, max_idle: Duration, now: Instant) -> Option<Sender> {
        let mut all = self.connections.borrow_mut();
        let idle = all.get_mut(upstream)?;
        let mut end = idle.len();
        while let Some(at) = idle[..end].iter().rposition(|c| !c.is_busy()) {
            end = at;
            let connection = idle.remove(at);
            if connection.is_fit(max_idle, now) {
                return Some(connection.sender);
            }
        }
        None
    }

    fn keep(&self, upstream: usize, sender: Sender) {
        let mut all = self.connections.borrow_mut();
        if all.len() <= upstream {
            all.resize_with(upstream + 1, Vec::new);
        }
        all[upstream].push(Connection {
            sender,
            used: self.looked.get(),
        });
    }

    /// Lets go of connections that idled too long: an upstream with a thread for each connection
    /// should get it back. One whose last request is not over yet stays.
    pub(super) fn prune(&self, max_idle: Duration) {
        let now = Instant::now();
        self.looked.set(now);
        for idle in &mut *self.connections.borrow_mut() {
            idle.retain(|connection| connection.is_busy() || connection.is_fit(max_idle, now));
        }
    }
}

// === impl Lease ===

impl Lease {
    /// The response is over: the connection waits for another request, if it may.
    pub(super) fn end(self) {
        let Self {
            worker,
            upstream,
            sender,
            keeps,
        } = self;
        if keeps {
            worker.idle.keep(upstream, sender);
        }
    }

    /// The rest of the response is not wanted.
    pub(super) fn abort(self) {
        self.sender.task.abort();
    }
}

// === impl Connection ===

impl Connection {
    /// Its last response or request is not over.
    fn is_busy(&self) -> bool {
        let requests = &self.sender.requests;
        !requests.is_ready() && !requests.is_closed()
    }

    fn is_fit(&self, max_idle: Duration, now: Instant) -> bool {
        // Not ready: its last response or request is not over, or the upstream closed it.
        let requests = &self.sender.requests;
        requests.is_ready()
            && !requests.is_closed()
            && now.saturating_duration_since(self.used) <= max_idle
    }
}
