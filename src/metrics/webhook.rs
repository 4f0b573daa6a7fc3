//! What became of the changes that webhooks announce.

use std::sync::atomic::{AtomicU64, Ordering};

/// What became of one change; the label `outcome` of `driftd_webhook_deliveries_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The receiver took it.
    Delivered,
    /// The receiver refused it, and would again.
    Rejected,
    /// The receiver wants nothing any more: 410.
    Gone,
    /// The receiver did not take it within `retry_for`.
    Expired,
    /// Newer changes took its place in a full queue.
    Dropped,
}

/// The counters of every receiver.
#[derive(Debug, Default)]
pub struct WebhookCounters {
    receivers: Vec<Receiver>,
}

/// The counters of one receiver at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookSnapshot {
    /// Its name.
    pub receiver: String,
    /// Changes by what became of them, one per [`Delivery`].
    pub outcomes: [u64; Delivery::ALL.len()],
    /// Tries that failed and were, or will be, followed by another.
    pub retries: u64,
    /// Changes it does not have yet.
    pub waiting: u64,
}

#[derive(Debug)]
struct Receiver {
    name: String,
    outcomes: [AtomicU64; Delivery::ALL.len()],
    retries: AtomicU64,
    waiting: AtomicU64,
}

// === impl Delivery ===

impl Delivery {
    /// Every outcome, in the order of the exposition.
    pub const ALL: [Self; 5] = [
        Self::Delivered,
        Self::Rejected,
        Self::Gone,
        Self::Expired,
        Self::Dropped,
    ];

    /// The word used in labels and in the window.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Rejected => "rejected",
            Self::Gone => "gone",
            Self::Expired => "expired",
            Self::Dropped => "dropped",
        }
    }
}

// === impl WebhookCounters ===

impl WebhookCounters {
    /// Nothing yet, for receivers of these names.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let receiver = |name| Receiver {
            name,
            outcomes: Default::default(),
            retries: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
        };
        Self {
            receivers: names.into_iter().map(receiver).collect(),
        }
    }

    /// Counts what became of a change for the receiver at `index`.
    pub fn settled(&self, index: usize, delivery: Delivery) {
        if let Some(receiver) = self.receivers.get(index) {
            receiver.outcomes[delivery as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a try that is to be followed by another.
    pub fn retried(&self, index: usize) {
        if let Some(receiver) = self.receivers.get(index) {
            receiver.retries.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Says how many changes the receiver at `index` does not have yet.
    pub fn waiting(&self, index: usize, changes: usize) {
        if let Some(receiver) = self.receivers.get(index) {
            receiver.waiting.store(changes as u64, Ordering::Relaxed);
        }
    }

    /// The counts as they are, in the configuration's order.
    #[must_use]
    pub fn snapshot(&self) -> Vec<WebhookSnapshot> {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let receiver = |receiver: &Receiver| WebhookSnapshot {
            receiver: receiver.name.clone(),
            outcomes: std::array::from_fn(|index| load(&receiver.outcomes[index])),
            retries: load(&receiver.retries),
            waiting: load(&receiver.waiting),
        };
        self.receivers.iter().map(receiver).collect()
    }
}
