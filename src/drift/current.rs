//! The rows under comparison: an even sample of one span of the window, kept in memory.
//!
//! Every row carries a hash *priority*, fixed when it is stored. A span's sample is the rows with
//! the lowest priorities among those in the span, at most `max_rows` of them: a uniform sample that
//! does not depend on when it is taken, so a [`Current`] rebuilt from the window equals the one that
//! was fed row by row. The window is the truth; where memory no longer holds what a span needs (the
//! traffic fell and thinned rows are wanted again), [`Current::select`] says so and the caller
//! rebuilds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::timestamp::Timestamp;

use super::row::Row;

/// Which rows of the window are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// How far it reaches.
    pub length: SpanLength,
    /// Fewer rows than this are not compared; a span of time reaches back for them.
    pub min_rows: usize,
    /// At most this many rows are compared, an even sample of the span.
    pub max_rows: usize,
    /// How far back `min_rows` may reach.
    pub max_age: Duration,
}

/// The length of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanLength {
    /// The rows of the last so much time.
    Time(Duration),
    /// The newest so many rows; never more than `max_rows`.
    Rows(usize),
}

/// One row under comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The row's id in the window.
    pub id: i64,
    /// Its hash priority, uniform over `u32`.
    pub priority: u32,
    /// When its exchange began.
    pub time: Timestamp,
    /// Its values, a slot for each track of the reference.
    pub values: Arc<Row>,
}

/// Rows older than `before` were thinned to priorities below `threshold`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thinned {
    /// Rows with a smaller id were thinned.
    pub before: i64,
    /// Only priorities below this are left among them.
    pub threshold: u64,
}

/// The rows of one model in one span.
#[derive(Debug)]
pub struct Current {
    span: Span,
    /// The newest rows, whole: as many as `min_rows` or a span of rows asks for.
    recent: VecDeque<Entry>,
    /// Rows within a span of time with a priority below `threshold`, oldest first.
    sample: VecDeque<Entry>,
    /// Rows at or above this priority were left out of `sample`; 2³² keeps all.
    threshold: u64,
    /// The newest row taken in; 0 before the first.
    newest: i64,
    /// What retention left out of the window by now.
    thinned: Option<Thinned>,
    /// What it had left out when rows were last read back: those taken in since are not thinned.
    basis: Option<Thinned>,
}

/// The rows a check compares.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Oldest first.
    pub rows: Vec<Entry>,
    /// How many rows they stand for: those of the span, in memory or not, as far as priorities tell.
    pub population: f64,
    /// Memory held fewer rows than the span calls for: rebuild from the window and select again.
    pub incomplete: bool,
}

const ALL: u64 = 1 << 32;

// === impl Span ===

impl Span {
    /// How many of the newest rows are kept whole.
    fn recent_rows(&self) -> usize {
        match self.length {
            SpanLength::Time(_) => self.min_rows,
            SpanLength::Rows(rows) => rows,
        }
    }
}

// === impl Current ===

impl Current {
    /// An empty one.
    #[must_use]
    pub fn new(span: Span) -> Self {
        Self {
            span,
            recent: VecDeque::new(),
            sample: VecDeque::new(),
            threshold: ALL,
            newest: 0,
            thinned: None,
            basis: None,
        }
    }

    /// The newest row taken in; 0 before the first.
    #[must_use]
    pub const fn newest(&self) -> i64 {
        self.newest
    }

    /// The span this holds the rows of.
    #[must_use]
    pub const fn span(&self) -> &Span {
        &self.span
    }

    /// Takes in a row that was committed to the window. Rows come in the order of their ids; one
    /// that a rebuild has already read back is passed over.
    pub fn append(&mut self, entry: Entry) {
        if entry.id <= self.newest {
            return;
        }
        self.newest = entry.id;
        if let SpanLength::Time(length) = self.span.length {
            let oldest = entry.time.minus(length);
            while self.sample.front().is_some_and(|row| row.time < oldest) {
                self.sample.pop_front();
            }
            if u64::from(entry.priority) < self.threshold {
                self.sample.push_back(entry.clone());
                self.bound();
            }
        }
        self.recent.push_back(entry);
        while self.recent.len() > self.span.recent_rows() {
            self.recent.pop_front();
        }
    }

    /// Notes that retention thinned the window: rows read back from now on come thinned, and old and
    /// new ones have to weigh the same.
    pub fn thin(&mut self, thinned: Thinned) {
        self.thinned = Some(thinned);
    }

    /// Starts over with rows read back from the window: the newest ones whole, and those of the
    /// span with the lowest priorities. `complete` says that no row of the span was left out.
    pub fn rebuild(&mut self, recent: Vec<Entry>, mut sample: Vec<Entry>, complete: bool) {
        self.threshold = if complete {
            ALL
        } else {
            let highest = sample.iter().map(|row| u64::from(row.priority)).max();
            highest.map_or(ALL, |priority| priority + 1)
        };
        self.basis = self.thinned;
        sample.sort_unstable_by_key(|row| row.id);
        let read = recent.iter().chain(&sample).map(|row| row.id).max();
        self.newest = self.newest.max(read.unwrap_or(0));
        self.recent = recent.into();
        self.sample = sample.into();
    }

    /// The rows to compare at `now`.
    #[must_use]
    pub fn select(&self, now: Timestamp) -> Selection {
        let Span {
            length,
            min_rows,
            max_rows,
            max_age,
        } = self.span;
        let eldest = now.minus(max_age);
        let reach_back = || {
            let recent = self.recent.iter().filter(|row| row.time >= eldest);
            let rows: Vec<Entry> = recent.cloned().collect();
            Selection {
                population: rows.len() as f64,
                rows,
                incomplete: false,
            }
        };
        let SpanLength::Time(length) = length else {
            return reach_back();
        };
        let start = now.minus(length).max(eldest);
        let mut rows: Vec<&Entry> = (self.sample.iter())
            .filter(|row| row.time >= start)
            .collect();
        let incomplete = self.threshold < ALL && rows.len() < max_rows;
        let mut threshold = self.threshold;
        if let (Some(thinned), Some(first)) = (self.basis, rows.first())
            && first.id < thinned.before
        {
            rows.retain(|row| u64::from(row.priority) < thinned.threshold);
            threshold = threshold.min(thinned.threshold);
        }
        let population = rows.len() as f64 * (ALL as f64 / threshold.max(1) as f64);
        if rows.len() < min_rows {
            return Selection {
                incomplete,
                ..reach_back()
            };
        }
        if rows.len() > max_rows {
            rows.select_nth_unstable_by_key(max_rows, |row| (row.priority, row.id));
            rows.truncate(max_rows);
            rows.sort_unstable_by_key(|row| row.id);
        }
        Selection {
            rows: rows.into_iter().cloned().collect(),
            population,
            incomplete,
        }
    }

    /// Keeps `sample` within a quarter more than a check compares by lowering the threshold.
    fn bound(&mut self) {
        let most = (self.span.max_rows + self.span.max_rows / 4).max(1);
        if self.sample.len() <= most {
            return;
        }
        let keep = self.span.max_rows + self.span.max_rows / 8;
        let mut priorities: Vec<u32> = self.sample.iter().map(|row| row.priority).collect();
        let (_, threshold, _) = priorities.select_nth_unstable(keep.min(most));
        self.threshold = u64::from(*threshold);
        let threshold = self.threshold;
        self.sample
            .retain(|row| u64::from(row.priority) < threshold);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::row::Value;

    /// A row a second; priorities from a fixed multiplicative hash.
    fn row(id: i64) -> Entry {
        let hash = (id as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Entry {
            id,
            priority: (hash >> 32) as u32,
            time: Timestamp(id * 1000),
            values: Arc::new([Value::Number(id as f64)].into_iter().collect()),
        }
    }

    fn span(length: SpanLength) -> Span {
        Span {
            length,
            min_rows: 10,
            max_rows: 100,
            max_age: Duration::from_secs(100_000),
        }
    }

    fn fed(length: SpanLength, rows: i64) -> Current {
        let mut current = Current::new(span(length));
        (1..=rows).for_each(|id| current.append(row(id)));
        current
    }

    /// What the window would answer: the brute-force definition of the sample.
    fn lowest(from: i64, to: i64, count: usize) -> Vec<Entry> {
        let mut rows: Vec<Entry> = (from..=to).map(row).collect();
        rows.sort_unstable_by_key(|row| (row.priority, row.id));
        rows.truncate(count);
        rows.sort_unstable_by_key(|row| row.id);
        rows
    }

    #[test]
    fn a_span_of_rows_is_the_newest_rows() {
        let current = fed(SpanLength::Rows(50), 80);
        let rows = current.select(Timestamp(81_000)).rows;
        assert_eq!(rows, (31..=80).map(row).collect::<Vec<_>>());
    }

    #[test]
    fn a_span_of_time_is_an_even_sample_equal_to_the_brute_force_one() {
        let current = fed(SpanLength::Time(Duration::from_secs(1000)), 5000);
        let selection = current.select(Timestamp(5_000_000));
        assert!(!selection.incomplete);
        assert_eq!(selection.rows, lowest(4000, 5000, 100));
    }

    #[test]
    fn a_row_read_back_before_it_is_appended_counts_once() {
        let mut current = fed(SpanLength::Rows(50), 80);
        current.rebuild((41..=90).map(row).collect(), Vec::new(), true);
        (81..=95).for_each(|id| current.append(row(id)));
        let rows = current.select(Timestamp(95_000)).rows;
        assert_eq!(rows, (46..=95).map(row).collect::<Vec<_>>());
    }

    #[test]
    fn a_row_read_back_with_the_sample_alone_counts_once_too() {
        let length = SpanLength::Time(Duration::from_secs(1000));
        let mut current = fed(length, 80);
        // Committed between the two reads of a rebuild: in the sample, not among the newest.
        let recent = (71..=80).map(row).collect();
        current.rebuild(recent, (1..=85).map(row).collect(), true);
        (81..=90).for_each(|id| current.append(row(id)));
        let rows = current.select(Timestamp(90_000)).rows;
        assert_eq!(rows, (1..=90).map(row).collect::<Vec<_>>());
    }

    #[test]
    fn few_rows_reach_back_to_min_rows() {
        let current = fed(SpanLength::Time(Duration::from_secs(5)), 80);
        let rows = current.select(Timestamp(80_000)).rows;
        assert_eq!(rows, (71..=80).map(row).collect::<Vec<_>>());
    }

    #[test]
    fn rows_older_than_max_age_are_never_compared() {
        let current = fed(SpanLength::Time(Duration::from_secs(5)), 80);
        let rows = current.select(Timestamp(100_075_000)).rows;
        assert_eq!(rows, (75..=80).map(row).collect::<Vec<_>>());
    }

    #[test]
    fn traffic_that_falls_asks_for_a_rebuild_and_rebuilt_equals_live() {
        let length = SpanLength::Time(Duration::from_secs(1000));
        let mut current = fed(length, 5000);
        // 940 s later only 60 rows of the span are left, most of them thinned from memory.
        let now = Timestamp(5_940_000);
        let before = current.select(now);
        assert!(before.incomplete);
        let recent = (4991..=5000).map(row).collect();
        current.rebuild(recent, lowest(4940, 5000, 200), true);
        let after = current.select(now);
        assert!(!after.incomplete);
        assert_eq!(after.rows, lowest(4940, 5000, 100));
    }

    #[test]
    fn thinned_history_and_fresh_rows_weigh_the_same() {
        let mut current = fed(SpanLength::Time(Duration::from_secs(1000)), 90);
        let half = Thinned {
            before: 50,
            threshold: ALL / 2,
        };
        // What memory took in whole stays whole, whatever retention does to the window.
        current.thin(half);
        assert_eq!(current.select(Timestamp(90_000)).rows.len(), 90);
        let kept = |id: &i64| *id >= 50 || u64::from(row(*id).priority) < ALL / 2;
        let read: Vec<Entry> = (1..=90).filter(kept).map(row).collect();
        current.rebuild(read[read.len() - 10..].to_vec(), read, true);
        let rows = current.select(Timestamp(90_000)).rows;
        assert!(rows.iter().all(|row| u64::from(row.priority) < ALL / 2));
        assert!(rows.len() > 30, "{}", rows.len());
    }
}
