//! One span's part in a check: its rows, and whether there is anything new to decide on.

use std::time::Duration;

use crate::drift::current::Entry;
use crate::drift::dependence;
use crate::drift::reference::Side;
use crate::drift::report::SpanName;
use crate::drift::season::{Against, Part};
use crate::timestamp::Timestamp;

/// A span's share of new rows from which a check decides again.
const NEW_SHARE: usize = 10;

/// At least a tenth of `min_rows` values must be present: a test is valid on few values, but a column
/// that is nearly always missing says little by them.
pub(super) const PRESENT_SHARE: usize = 10;

/// The rows of one span.
#[derive(Debug, Clone)]
pub struct SpanRows {
    /// Which span.
    pub name: SpanName,
    /// Its rows, oldest first; none where their values come from elsewhere.
    pub rows: Vec<Entry>,
    /// How many there are.
    pub size: usize,
    /// How many rows they stand for, an even sample of which they are.
    pub population: f64,
    /// Fewer values than this are not compared.
    pub min_rows: usize,
    /// Its length, where it is one of time: nothing newer means stale.
    pub length: Option<Duration>,
    /// What of the reference it is compared with.
    pub against: Against,
    /// The last decision over this span.
    pub last: Decided,
}

/// When and on what a span was last decided.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Decided {
    /// When; `None` before the first time.
    pub at: Option<Timestamp>,
    /// The newest row it saw; 0 before the first time.
    pub row: i64,
    /// The significance each test had; `None` where it is not remembered.
    pub alpha: Option<f64>,
}

// === impl SpanRows ===

impl SpanRows {
    /// Lets the next check decide whatever was decided before: what its rows are worth has become
    /// known, and a verdict made without that must not alert.
    pub fn decide_anew(&mut self) {
        self.last.row = 0;
    }

    /// Whether a tenth of the rows is newer than the last decision.
    pub(super) fn ripe(&self) -> bool {
        let old = self.rows.partition_point(|row| row.id <= self.last.row);
        let new = self.rows.len() - old;
        // Rows that come from elsewhere are all new.
        self.rows.is_empty() && self.size > 0 || new > 0 && new * NEW_SHARE >= self.size
    }

    /// What this part of its rows is worth, in independent values, where consecutive rows have the
    /// autocorrelation time `tau`.
    pub(super) fn worth(&self, part: usize, tau: f64) -> f64 {
        if tau <= 1.0 {
            // Exactly: a rounding error would turn the exact law into an asymptotic one.
            return part as f64;
        }
        let size = self.size.max(1) as u64;
        let population = (self.population.max(1.0) as u64).max(size);
        dependence::n_effective(size, population, tau) * part as f64 / size as f64
    }

    /// The rows of the same hours on the side of the reference, where they are what the span is
    /// compared with and hold enough values.
    pub(super) fn part(&self, side: Side<'_>) -> Option<Part> {
        let Against::Hours(hours) = self.against else {
            return None;
        };
        let part = Part::of(side, hours)?;
        let present = part.side().present();
        (present > 0 && present * PRESENT_SHARE >= self.min_rows).then_some(part)
    }

    /// The newest row.
    pub(super) fn newest(&self) -> Option<&Entry> {
        self.rows.last()
    }

    /// Whether all rows are older than the span is long.
    pub(super) fn stale(&self, now: Timestamp) -> bool {
        match (self.length, self.newest()) {
            (Some(length), Some(newest)) => newest.time < now.minus(length),
            _ => false,
        }
    }
}
