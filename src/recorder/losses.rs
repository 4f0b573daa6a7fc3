//! What was lost, written down: one gap per model and spell of losses, wherever on the way from the
//! tap to the window they happened.

use std::time::{Duration, Instant};

use crate::metrics::tap::{DroppedBy, TapCounters};
use crate::timestamp::Timestamp;
use crate::window::{CommitError, Gap, Window};

/// Between looks at the counters; also between two gaps of one spell.
const EVERY: Duration = Duration::from_secs(1);

/// Between two log lines about a window that still cannot be written.
const REMIND: Duration = Duration::from_secs(60);

/// Losses counted and not yet written down.
#[derive(Debug)]
pub(super) struct Losses {
    models: Vec<Spell>,
    looked: Instant,
    /// Since when the window cannot be written, and when that was last said.
    failing: Option<(Instant, Instant)>,
}

/// The losses of one model.
#[derive(Debug, Clone)]
struct Spell {
    /// The counters when they were last written down.
    written: DroppedBy,
    /// When they last were as they were written down.
    since: Timestamp,
}

// === impl Losses ===

impl Losses {
    /// Nothing lost yet.
    pub(super) fn new(models: usize) -> Self {
        let spell = Spell {
            written: DroppedBy::default(),
            since: Timestamp::now(),
        };
        Self {
            models: vec![spell; models],
            looked: Instant::now(),
            failing: None,
        }
    }

    /// A commit failed and its batch was `kept` or dropped: says so once, and again every minute.
    pub(super) fn failed(&mut self, error: &CommitError, kept: bool) {
        let now = Instant::now();
        let (since, said) = self.failing.unwrap_or((now, now));
        let first = self.failing.is_none();
        if first || now.duration_since(said) >= REMIND {
            let error = chain(error);
            if kept {
                tracing::error!(
                    error,
                    "Window not written: exchanges wait in the tap's queue, as many as it holds"
                );
            } else {
                tracing::error!(
                    error,
                    "Window not written: exchanges are dropped and counted until it can be"
                );
            }
            self.failing = Some((since, now));
        }
    }

    /// A commit succeeded.
    pub(super) fn recovered(&mut self) {
        if let Some((since, _)) = self.failing.take() {
            let seconds = since.elapsed().as_secs();
            tracing::info!(seconds, "Window written again");
        }
    }

    /// Writes down what the counters say was lost since the last look, unless the window cannot be
    /// written: then later. `last`: there is no later.
    pub(super) fn watch(&mut self, counters: &TapCounters, window: &Window, last: bool) {
        let due = last || self.looked.elapsed() >= EVERY;
        if !due || (self.failing.is_some() && !last) {
            return;
        }
        self.looked = Instant::now();
        let ended_at = Timestamp::now();
        for (model, spell) in self.models.iter_mut().enumerate() {
            let counted = counters.snapshot(model).dropped_by;
            if spell.write(model, counted, ended_at, window) {
                spell.since = ended_at;
                spell.written = counted;
            }
        }
    }
}

/// An error with what caused it.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

// === impl Spell ===

impl Spell {
    /// Stores a gap for each reason that counted on; false where the window refused one.
    fn write(
        &self,
        model: usize,
        counted: DroppedBy,
        ended_at: Timestamp,
        window: &Window,
    ) -> bool {
        let reasons = |dropped: DroppedBy| {
            [
                ("queue_full", dropped.queue_full),
                ("window_error", dropped.window_error),
                ("window_full", dropped.window_full),
                ("tap_closed", dropped.tap_closed),
            ]
        };
        let pairs = reasons(counted).into_iter().zip(reasons(self.written));
        for ((reason, counted), (_, written)) in pairs.filter(|((_, now), (_, then))| now > then) {
            let gap = Gap {
                model: Some(model),
                started_at: self.since,
                ended_at,
                reason: reason.to_owned(),
                exchanges: Some(counted - written),
            };
            if let Err(error) = window.save_gap(gap) {
                tracing::debug!(%error, "Gap not written yet");
                return false;
            }
        }
        true
    }
}
