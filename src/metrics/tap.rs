//! What became of every exchange offered to the tap.
//!
//! Invariant: an exchange is counted as offered before its outcome is, so that
//! offered = Σ outcomes + in flight, and in flight is never negative.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::exchange::{DropReason, Outcome};

/// The counters of every model, shared by the proxy's threads and the recorder.
#[derive(Debug)]
pub struct TapCounters {
    /// One entry per model, in the configuration's order.
    models: Vec<ModelCounters>,
}

/// The counters of one model at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct TapSnapshot {
    /// Exchanges offered.
    pub offered: u64,
    /// Committed to the window.
    pub captured: u64,
    /// Left out by sampling.
    pub sampled_out: u64,
    /// Left out by configuration.
    pub excluded: u64,
    /// Committed without rows.
    pub undecodable: u64,
    /// Lost, for any reason.
    pub dropped: u64,
    /// Offered, the outcome still open.
    pub in_flight: u64,
    /// Of which a body exceeded the tap's cap; independent of the outcome.
    pub truncated: u64,
    /// Of `captured` those answered with success and read into rows: what checks rest on.
    pub checked: u64,
    /// `dropped` by reason.
    pub dropped_by: DroppedBy,
}

/// Exchanges lost, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct DroppedBy {
    /// The tap's queue was full.
    pub queue_full: u64,
    /// The window could not be written.
    pub window_error: u64,
    /// The window had reached its byte budget.
    pub window_full: u64,
    /// The monitoring half was not running.
    pub tap_closed: u64,
}

#[derive(Debug, Default)]
struct ModelCounters {
    offered: AtomicU64,
    outcomes: [AtomicU64; Outcome::ALL.len()],
    dropped: [AtomicU64; DropReason::ALL.len()],
    truncated: AtomicU64,
    checked: AtomicU64,
}

// === impl TapCounters ===

impl TapCounters {
    /// Counters for `models` models, all zero.
    #[must_use]
    pub fn new(models: usize) -> Self {
        let models = (0..models).map(|_| ModelCounters::default()).collect();
        Self { models }
    }

    /// Counts an exchange offered to the tap. A model that does not exist is ignored, here and below.
    pub fn offered(&self, model: usize) {
        if let Some(counters) = self.models.get(model) {
            counters.offered.fetch_add(1, Ordering::Release);
        }
    }

    /// Counts `n` exchanges whose outcome is known. For lost ones use [`Self::dropped`], which also
    /// counts the reason.
    pub fn outcome(&self, model: usize, outcome: Outcome, n: u64) {
        if let Some(counters) = self.models.get(model) {
            counters.outcomes[outcome as usize].fetch_add(n, Ordering::Release);
        }
    }

    /// Counts `n` lost exchanges: their outcome and the reason.
    pub fn dropped(&self, model: usize, reason: DropReason, n: u64) {
        if let Some(counters) = self.models.get(model) {
            counters.dropped[reason as usize].fetch_add(n, Ordering::Release);
            counters.outcomes[Outcome::Dropped as usize].fetch_add(n, Ordering::Release);
        }
    }

    /// Counts an exchange of which a body exceeded the tap's cap.
    pub fn truncated(&self, model: usize) {
        if let Some(counters) = self.models.get(model) {
            counters.truncated.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a captured exchange whose rows feed the checks.
    pub fn checked(&self, model: usize) {
        if let Some(counters) = self.models.get(model) {
            counters.checked.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Exchanges offered whose outcome is still open.
    #[must_use]
    pub fn in_flight(&self, model: usize) -> u64 {
        self.snapshot(model).in_flight
    }

    /// Every counter of one model, consistent with each other; all zero for a model that does not
    /// exist.
    #[must_use]
    pub fn snapshot(&self, model: usize) -> TapSnapshot {
        let Some(counters) = self.models.get(model) else {
            return TapSnapshot::default();
        };
        // Outcomes before offered: whatever is counted in between is in flight, never negative.
        let of = |outcome: Outcome| counters.outcomes[outcome as usize].load(Ordering::Acquire);
        let lost = |reason: DropReason| counters.dropped[reason as usize].load(Ordering::Acquire);
        let mut snapshot = TapSnapshot {
            captured: of(Outcome::Captured),
            sampled_out: of(Outcome::SampledOut),
            excluded: of(Outcome::Excluded),
            undecodable: of(Outcome::Undecodable),
            dropped: of(Outcome::Dropped),
            checked: counters.checked.load(Ordering::Relaxed),
            dropped_by: DroppedBy {
                queue_full: lost(DropReason::QueueFull),
                window_error: lost(DropReason::WindowError),
                window_full: lost(DropReason::WindowFull),
                tap_closed: lost(DropReason::TapClosed),
            },
            truncated: counters.truncated.load(Ordering::Relaxed),
            ..TapSnapshot::default()
        };
        snapshot.offered = counters.offered.load(Ordering::Acquire);
        let settled: u64 = Outcome::ALL
            .map(|outcome| snapshot.of(outcome))
            .iter()
            .sum();
        snapshot.in_flight = snapshot.offered.saturating_sub(settled);
        snapshot
    }
}

// === impl TapSnapshot ===

impl TapSnapshot {
    /// The exchanges with this outcome.
    #[must_use]
    pub const fn of(&self, outcome: Outcome) -> u64 {
        match outcome {
            Outcome::Captured => self.captured,
            Outcome::SampledOut => self.sampled_out,
            Outcome::Excluded => self.excluded,
            Outcome::Undecodable => self.undecodable,
            Outcome::Dropped => self.dropped,
        }
    }

    /// The exchanges lost for this reason.
    #[must_use]
    pub const fn lost_to(&self, reason: DropReason) -> u64 {
        match reason {
            DropReason::QueueFull => self.dropped_by.queue_full,
            DropReason::WindowError => self.dropped_by.window_error,
            DropReason::WindowFull => self.dropped_by.window_full,
            DropReason::TapClosed => self.dropped_by.tap_closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offered_exchange_has_an_outcome_or_is_in_flight() {
        let tap = TapCounters::new(2);
        for _ in 0..10 {
            tap.offered(1);
        }
        tap.outcome(1, Outcome::Captured, 4);
        tap.outcome(1, Outcome::Undecodable, 1);
        tap.dropped(1, DropReason::WindowFull, 2);
        tap.truncated(1);
        let seen = tap.snapshot(1);
        assert_eq!((seen.offered, seen.in_flight), (10, 3));
        assert_eq!((seen.dropped, seen.dropped_by.window_full), (2, 2));
        assert_eq!(seen.truncated, 1);
        assert_eq!(tap.snapshot(0), TapSnapshot::default());
    }

    #[test]
    fn a_model_that_does_not_exist_is_ignored() {
        let tap = TapCounters::new(1);
        tap.offered(7);
        tap.dropped(7, DropReason::QueueFull, 1);
        assert_eq!(tap.snapshot(7), TapSnapshot::default());
        assert_eq!(tap.in_flight(0), 0);
    }
}
