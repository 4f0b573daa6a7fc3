//! Connections to the upstreams: one kept by each client connection, a few spare on each thread.
//!
//! Invariant: a connection is given out only if it is open, idle and was used a moment ago.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use tokio::task::AbortHandle;

use super::body::TapBody;

/// Spare connections to one upstream that a thread keeps.
const MAX_SPARE: usize = 64;

/// A connection to an upstream.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) requests: SendRequest<TapBody<Incoming>>,
    /// The task that drives it: to be ended when an answer is not wanted any more.
    pub(super) task: AbortHandle,
}

/// Connections that wait for their next request.
#[derive(Debug, Default)]
pub(super) struct Kept(RefCell<Vec<Connection>>);

/// A connection and what decides whether it is used again.
#[derive(Debug)]
struct Connection {
    /// Index of the upstream it leads to.
    upstream: usize,
    sender: Sender,
    /// When its last response's head came.
    used: Instant,
}

// === impl Kept ===

impl Kept {
    /// The freshest connection to `upstream` that can take a request now. Those found on the way
    /// that never will are let go; those at another exchange of an HTTP/2 client stay.
    pub(super) fn take(&self, upstream: usize, max_idle: Duration) -> Option<Sender> {
        let mut kept = self.0.borrow_mut();
        let mut end = kept.len();
        while let Some(at) = kept[..end].iter().rposition(|c| c.upstream == upstream) {
            end = at;
            if kept[at].is_busy() {
                continue;
            }
            let connection = kept.remove(at);
            if connection.is_fit(max_idle) {
                return Some(connection.sender);
            }
        }
        None
    }

    /// Keeps a connection that has just brought a response's head.
    pub(super) fn keep(&self, upstream: usize, sender: Sender) {
        self.0.borrow_mut().push(Connection {
            upstream,
            sender,
            used: Instant::now(),
        });
    }

    /// Hands the connections that are still fit over to `spare`.
    pub(super) fn hand_over(&self, spare: &Self, max_idle: Duration) {
        let mut spare = spare.0.borrow_mut();
        for connection in self.0.borrow_mut().drain(..) {
            let alike = |other: &&Connection| other.upstream == connection.upstream;
            if connection.is_fit(max_idle) && spare.iter().filter(alike).count() < MAX_SPARE {
                spare.push(connection);
            }
        }
    }

    /// Lets go of connections that idled too long: an upstream with a thread for each connection
    /// should get it back. A connection whose response is still coming stays.
    pub(super) fn prune(&self, max_idle: Duration) {
        self.0
            .borrow_mut()
            .retain(|connection| connection.is_busy() || connection.is_fit(max_idle));
    }
}

// === impl Connection ===

impl Connection {
    /// Its last response or request is not over.
    fn is_busy(&self) -> bool {
        let requests = &self.sender.requests;
        !requests.is_ready() && !requests.is_closed()
    }

    fn is_fit(&self, max_idle: Duration) -> bool {
        // Not ready: its last response or request is not over, or the upstream closed it.
        let requests = &self.sender.requests;
        requests.is_ready() && !requests.is_closed() && self.used.elapsed() <= max_idle
    }
}
