//! The tap's queue: bounded in bytes from the first one captured to the last one released.
//!
//! Invariant: the sending side never waits and never wakes anyone. The receiver polls.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError, TrySendError};
use std::sync::{Arc, Weak};

use crossbeam_utils::CachePadded;

use super::SharedObserver;
use crate::exchange::{DropReason, Exchange};

/// What one exchange costs beside its bodies: the record, its strings, its place in the queue.
const OVERHEAD: usize = size_of::<Tapped>() + 256;

/// The tap's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TapConfig {
    /// Most bytes captured of one body.
    pub max_body: usize,
    /// Most bytes held by all exchanges under way, queued, and received but not yet dropped.
    pub queue: usize,
}

/// The sending side; each serving thread has a clone. All of them gone means the tap is closed.
#[derive(Debug, Clone)]
pub struct Tap {
    budget: Arc<Budget>,
    max_body: usize,
    queue: SyncSender<Box<Tapped>>,
    /// There as long as any sender is.
    _open: Arc<()>,
}

/// The receiving side. When it is dropped, what is queued counts as lost and traffic goes on.
#[derive(Debug)]
pub struct TapReceiver {
    budget: Arc<Budget>,
    queue: Receiver<Box<Tapped>>,
    /// Dead once every sender is gone.
    open: Weak<()>,
}

/// How much of the budget is used; keeps the tap neither open nor alive.
#[derive(Debug, Clone)]
pub struct TapBytes(Arc<Budget>);

/// An exchange with its share of the budget, which is free again when this is dropped.
#[derive(Debug)]
pub struct Tapped {
    /// The exchange.
    pub exchange: Exchange,
    permit: Permit,
    /// Someone has taken it, and with it the duty to count its outcome.
    delivered: bool,
}

/// Whether more may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapState {
    /// Serving threads may still send.
    Open,
    /// Every sender is gone and the queue is empty.
    Closed,
}

/// The bytes all exchanges may hold together.
struct Budget {
    limit: usize,
    /// Every exchange writes it, on every thread: alone on its cache line.
    used: CachePadded<AtomicUsize>,
    /// The receiver is gone: nothing need be captured.
    closed: AtomicBool,
    /// Learns of exchanges lost in the queue.
    observer: SharedObserver,
}

/// Bytes reserved of the budget.
#[derive(Debug)]
pub(super) struct Permit {
    budget: Arc<Budget>,
    bytes: usize,
}

/// Opens a tap. `observer` learns of what is lost when the receiver goes away, on whatever
/// thread that happens.
#[must_use]
pub fn tap(config: TapConfig, observer: SharedObserver) -> (Tap, TapReceiver) {
    // Each exchange costs at least its overhead, so the budget is used up before the queue is.
    let (sender, receiver) = mpsc::sync_channel(config.queue / OVERHEAD + 1);
    let budget = Arc::new(Budget {
        limit: config.queue,
        used: AtomicUsize::new(0).into(),
        closed: AtomicBool::new(false),
        observer,
    });
    let open = Arc::new(());
    let receiver = TapReceiver {
        budget: Arc::clone(&budget),
        queue: receiver,
        open: Arc::downgrade(&open),
    };
    let tap = Tap {
        budget,
        max_body: config.max_body,
        queue: sender,
        _open: open,
    };
    (tap, receiver)
}

// === impl Tap ===

impl Tap {
    /// A handle that tells how much of the budget is used.
    #[must_use]
    pub fn bytes(&self) -> TapBytes {
        TapBytes(Arc::clone(&self.budget))
    }

    /// Most bytes captured of one body.
    pub(super) fn max_body(&self) -> usize {
        self.max_body
    }

    /// Makes room for one more exchange.
    pub(super) fn begin(&self) -> Result<Permit, DropReason> {
        if self.budget.closed.load(Ordering::Relaxed) {
            return Err(DropReason::TapClosed);
        }
        let mut permit = Permit {
            budget: Arc::clone(&self.budget),
            bytes: 0,
        };
        if permit.grow(OVERHEAD) {
            Ok(permit)
        } else {
            Err(DropReason::QueueFull)
        }
    }

    /// Queues an exchange, or says why it is lost.
    pub(super) fn send(&self, exchange: Exchange, permit: Permit) -> Result<(), DropReason> {
        let tapped = Box::new(Tapped {
            exchange,
            permit,
            delivered: false,
        });
        let (mut refused, reason) = match self.queue.try_send(tapped) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(tapped)) => (tapped, DropReason::QueueFull),
            Err(TrySendError::Disconnected(tapped)) => (tapped, DropReason::TapClosed),
        };
        // The caller counts it.
        refused.delivered = true;
        Err(reason)
    }
}

// === impl TapBytes ===

impl TapBytes {
    /// Bytes held by exchanges under way, queued, and taken but not dropped.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }
}

// === impl TapReceiver ===

impl TapReceiver {
    /// Takes up to `max` exchanges, without waiting, in the order they ended on each thread. Poll
    /// every few milliseconds: being woken for each exchange would cost more than carrying it.
    /// The outcome of what was taken is the taker's to count.
    pub fn drain(&mut self, max: usize, mut take: impl FnMut(Box<Tapped>)) -> TapState {
        for _ in 0..max {
            match self.queue.try_recv() {
                Ok(mut tapped) => {
                    tapped.delivered = true;
                    take(tapped);
                }
                Err(TryRecvError::Empty) => return TapState::Open,
                Err(TryRecvError::Disconnected) => return TapState::Closed,
            }
        }
        TapState::Open
    }

    /// Whether every sender is gone; there may be exchanges left to take.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.open.strong_count() == 0
    }

    /// Bytes held by exchanges under way, queued, and taken but not dropped.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.budget.used.load(Ordering::Relaxed)
    }
}

impl Drop for TapReceiver {
    fn drop(&mut self) {
        self.budget.closed.store(true, Ordering::Relaxed);
    }
}

// === impl Tapped ===

impl Drop for Tapped {
    fn drop(&mut self) {
        if !self.delivered {
            let observer = &self.permit.budget.observer;
            observer.dropped(self.exchange.model, DropReason::TapClosed);
        }
    }
}

// === impl Budget ===

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budget")
            .field("limit", &self.limit)
            .field("used", &self.used)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

// === impl Permit ===

impl Permit {
    /// Reserves `bytes` more, unless that is over the limit.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let Budget { limit, used, .. } = &*self.budget;
        let before = used.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= *limit;
        if fits {
            self.bytes += bytes;
        } else {
            used.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
