//! Exchanges on their way from the tap to a commit, each counted once, whatever happens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::exchange::{DropReason, Outcome};
use crate::metrics::tap::TapCounters;
use crate::window::Record;

/// A batch is committed at this many rows …
const BATCH_ROWS: usize = 2_000;
/// … or at this many exchanges …
const BATCH_EXCHANGES: usize = 2_000;
/// … or when its first exchange has waited so long. A kill loses no more than this and the queue.
const BATCH_AGE: Duration = Duration::from_millis(100);

/// Exchanges waiting for one commit. What is in it when it is dropped, as by a panic, counts as lost.
#[derive(Debug)]
pub(super) struct Batch {
    counters: Arc<TapCounters>,
    records: Vec<Record>,
    /// What a commit was tried with and will be tried with again.
    sealed: Option<Arc<Vec<Record>>>,
    rows: usize,
    since: Option<Instant>,
    /// The model of the exchange that is being read.
    reading: Option<usize>,
}

/// What is counted of a record once it is committed.
#[derive(Debug)]
struct Head {
    model: usize,
    outcome: Outcome,
    /// Answered with success and read: part of what checks rest on.
    checked: bool,
}

// === impl Head ===

impl Head {
    fn of(record: &Record) -> Self {
        Self {
            model: record.exchange.model,
            outcome: record.outcome,
            checked: record.checked && record.outcome == Outcome::Captured,
        }
    }
}

// === impl Batch ===

impl Batch {
    pub(super) fn new(counters: &Arc<TapCounters>) -> Self {
        Self {
            counters: Arc::clone(counters),
            records: Vec::new(),
            sealed: None,
            rows: 0,
            since: None,
            reading: None,
        }
    }

    /// An exchange of this model has been taken; [`Batch::push`] follows.
    pub(super) fn reading(&mut self, model: usize) {
        self.reading = Some(model);
    }

    pub(super) fn push(&mut self, record: Record) {
        self.rows += record.rows.len();
        self.records.push(record);
        self.since.get_or_insert_with(Instant::now);
        self.reading = None;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.sealed.is_none()
    }

    /// Whether it is full; one that was tried stays so.
    pub(super) fn full(&self) -> bool {
        self.sealed.is_some() || self.rows >= BATCH_ROWS || self.records.len() >= BATCH_EXCHANGES
    }

    /// Whether it is full or has waited long enough.
    pub(super) fn due(&self) -> bool {
        self.full() || self.since.is_some_and(|since| since.elapsed() >= BATCH_AGE)
    }

    /// What is to be committed. It stays here until it is [settled](Batch::settle).
    pub(super) fn seal(&mut self) -> Arc<Vec<Record>> {
        let records = &mut self.records;
        let sealed = (self.sealed).get_or_insert_with(|| std::mem::take(records).into());
        Arc::clone(sealed)
    }

    /// Lets the next batch have the room of one that was settled, if nobody else holds that.
    pub(super) fn reuse(&mut self, settled: Arc<Vec<Record>>) {
        if let Some(mut records) = Arc::into_inner(settled)
            && self.records.is_empty()
        {
            records.clear();
            self.records = records;
        }
    }

    /// Counts every record as committed; the batch is empty then.
    pub(super) fn settle(&mut self) {
        for head in self.take().iter().map(Head::of) {
            self.counters.outcome(head.model, head.outcome, 1);
            if head.checked {
                self.counters.checked(head.model);
            }
        }
    }

    /// Counts every record as lost; the batch is empty then.
    pub(super) fn lose(&mut self, reason: DropReason) {
        for record in self.take().iter() {
            self.counters.dropped(record.exchange.model, reason, 1);
        }
        for record in std::mem::take(&mut self.records) {
            self.counters.dropped(record.exchange.model, reason, 1);
        }
        if let Some(model) = self.reading.take() {
            self.counters.dropped(model, reason, 1);
        }
    }

    fn take(&mut self) -> Arc<Vec<Record>> {
        self.rows = 0;
        self.since = None;
        self.sealed.take().unwrap_or_default()
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.lose(DropReason::TapClosed);
    }
}
