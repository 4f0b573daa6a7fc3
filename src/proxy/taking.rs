//! Whether a client takes its answer, one stream of HTTP/2 at a time.
//!
//! On HTTP/1 a client that takes nothing stops the socket, which shows. On HTTP/2 it can read on, and
//! answer pings, and never open the window of one stream: hyper then holds a piece of the body that
//! there is no room for and asks for no other, as long as the connection lasts.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{self, Instant, Sleep};

tokio::task_local! {
    /// How the answer goes that is made by the task.
    static TAKING: Taking;
}

/// How an answer goes to its client; clones are of the same answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Taking(Rc<Progress>);

#[derive(Debug, Default)]
struct Progress {
    /// Pieces of the body that were handed over.
    pieces: Cell<u64>,
    /// None was asked for since the last one.
    untaken: Cell<bool>,
}

/// The client took nothing for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Untaken;

// === impl Taking ===

impl Taking {
    /// That of the answer this task makes; none where the connection itself tells.
    pub(super) fn current() -> Option<Self> {
        TAKING.try_with(Self::clone).ok()
    }

    /// The body was asked for the next piece, and had one or had not.
    pub(super) fn asked(&self, handed: bool) {
        self.0.untaken.set(handed);
        if handed {
            self.0.pieces.set(self.0.pieces.get().wrapping_add(1));
        }
    }

    /// The body is over.
    pub(super) fn over(&self) {
        self.0.untaken.set(false);
    }
}

/// Runs what makes an answer and hands it over, as long as a piece of it is taken within `limit`.
///
/// # Errors
///
/// If the client took none.
pub(super) async fn in_time(
    limit: Duration,
    serving: impl Future<Output = ()>,
) -> Result<(), Untaken> {
    let taking = Taking::default();
    let mut serving = pin!(TAKING.scope(taking.clone(), serving));
    // Made when it is first needed, as hardly ever.
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    let mut waits_at = None;
    std::future::poll_fn(|cx| {
        if serving.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let Progress { pieces, untaken } = &*taking.0;
        if !untaken.get() {
            waits_at = None;
            return Poll::Pending;
        }
        let end = Instant::now() + limit;
        let timer = timer.get_or_insert_with(|| Box::pin(time::sleep_until(end)));
        if waits_at.replace(pieces.get()) != Some(pieces.get()) {
            timer.as_mut().reset(end);
        }
        timer.as_mut().poll(cx).map(|()| Err(Untaken))
    })
    .await
}
