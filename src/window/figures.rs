//! What the window holds of each model, readable from any thread without touching the file.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::timestamp::Timestamp;

/// What the window holds of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Its rows.
    pub rows: u64,
    /// Time of the oldest row.
    pub oldest: Option<Timestamp>,
    /// Time of the newest row.
    pub newest: Option<Timestamp>,
}

/// The same, while the writer changes it.
#[derive(Debug)]
pub(super) struct Live {
    rows: AtomicU64,
    oldest: AtomicI64,
    newest: AtomicI64,
}

/// Stands for no time.
const NONE: i64 = i64::MIN;

// === impl Live ===

impl Live {
    pub(super) const fn new() -> Self {
        Self {
            rows: AtomicU64::new(0),
            oldest: AtomicI64::new(NONE),
            newest: AtomicI64::new(NONE),
        }
    }

    pub(super) fn read(&self) -> Figures {
        let time = |time: &AtomicI64| match time.load(Ordering::Relaxed) {
            NONE => None,
            millis => Some(Timestamp(millis)),
        };
        Figures {
            rows: self.rows.load(Ordering::Relaxed),
            oldest: time(&self.oldest),
            newest: time(&self.newest),
        }
    }

    pub(super) fn write(&self, figures: Figures) {
        let millis = |time: Option<Timestamp>| time.map_or(NONE, |time| time.0);
        self.rows.store(figures.rows, Ordering::Relaxed);
        self.oldest.store(millis(figures.oldest), Ordering::Relaxed);
        self.newest.store(millis(figures.newest), Ordering::Relaxed);
    }
}
