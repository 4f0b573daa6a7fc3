//! One span's part in a check: its rows, and whether there is anything new to decide on.

use std::time::Duration;

use crate::drift::current::Entry;
use crate::drift::report::SpanName;
use crate::timestamp::Timestamp;

/// A span's share of new rows from which a check decides again.
const NEW_SHARE: usize = 10;

/// The rows of one span.
#[derive(Debug, Clone)]
pub struct SpanRows {
    /// Which span.
    pub name: SpanName,
    /// Its rows, oldest first.
    pub rows: Vec<Entry>,
    /// Fewer values than this are not compared.
    pub min_rows: usize,
    /// Its length, where it is one of time: nothing newer means stale.
    pub length: Option<Duration>,
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
    /// Whether a tenth of the rows is newer than the last decision.
    pub(super) fn ripe(&self) -> bool {
        let new = (self.rows.iter().rev())
            .take_while(|row| row.id > self.last.row)
            .count();
        new > 0 && new * NEW_SHARE >= self.rows.len()
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
