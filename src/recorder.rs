//! The recorder: takes exchanges off the tap, decodes them, commits them to the window, and then,
//! only then, counts them captured and hands their rows to the comparison.
//!
//! Invariant: it polls (nothing on the path of traffic ever wakes it), and whatever a body holds, it
//! ends as a record or a count. A defect costs the batch it is met in, counted as lost, or where that is
//! stored already, its part in the comparison until the next start; recording begins anew. While another
//! program holds the window's lock the batch waits, and behind it, within its budget, the tap's queue.

mod batch;
mod health;
mod losses;
mod unread;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::decode::{Decoded, Decoder, Undecodable};
use crate::drift::current::Entry;
use crate::drift::live::Lives;
use crate::exchange::{DropReason, Ending, Exchange, Outcome};
use crate::feature::{Cell, Role, Store};
use crate::metrics::tap::TapCounters;
use crate::model::{ModelName, Row, Schema};
use crate::proxy::{TapReceiver, TapState, Tapped};
use crate::pulse::Pulse;
use crate::window::{Record, Window};
use batch::Batch;
pub use health::{Health, Watch};
use losses::Losses;
pub use unread::Reasons;
use unread::Unread;

/// Between looks at the tap's queue: waking per exchange costs more than the exchange itself.
const POLL: Duration = Duration::from_millis(5);
/// The same while nothing comes: a process without traffic should cost nothing.
const REST: Duration = Duration::from_millis(20);
/// Bytes taken off the tap between looks at the clock, 1,024 more for each exchange: a look costs as much as to
/// read a field.
const CLOCK: usize = 8192;
/// Before the recorder goes on after a defect: one that comes back each time must not take a core.
const PAUSE: Duration = Duration::from_millis(500);

/// One model as the recorder knows it.
#[derive(Debug)]
pub struct Recorded {
    /// Its name.
    pub name: ModelName,
    /// Its columns.
    pub schema: Arc<Schema>,
    /// What of each column may be stored.
    pub stores: Vec<Store>,
    /// Reads its bodies; `None` where no column is known and only traffic is recorded.
    pub decoder: Option<Decoder>,
}

/// The stage itself.
#[derive(Debug)]
pub struct Recorder {
    /// The models, in the configuration's order.
    pub models: Vec<Recorded>,
    /// Where records go.
    pub window: Window,
    /// The rows under comparison.
    pub lives: Arc<Lives>,
    /// Where outcomes are counted.
    pub counters: Arc<TapCounters>,
    /// The most bytes a compressed body may unpack to.
    pub max_body: usize,
    /// Where the reasons of what cannot be read go.
    pub reasons: Reasons,
    /// Where it is told how recording goes.
    pub health: Health,
    /// Proof that it goes on.
    pub pulse: Pulse,
    /// One log line per exchange.
    pub log_exchanges: bool,
}

/// What trying to store a batch came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commit {
    /// It is stored.
    Stored,
    /// It is not, and its exchanges are lost.
    Refused,
    /// Another program holds the window's lock.
    Busy,
}

// === impl Recorder ===

impl Recorder {
    /// Records until every sender of the tap is gone and the queue is empty. Blocks: give it a
    /// thread.
    pub fn run(self, mut tap: TapReceiver) {
        let mut losses = Losses::new(self.models.len());
        let mut unread = Unread::new(self.reasons.clone());
        loop {
            let recorded = catch_unwind(AssertUnwindSafe(|| {
                self.record_all(&mut tap, &mut losses, &mut unread);
            }));
            if recorded.is_ok() {
                return;
            }
            self.health.restarts_now();
            tracing::error!("Recording met a defect in driftd: a batch is lost, and counted");
            if !tap.is_closed() {
                std::thread::park_timeout(PAUSE);
            }
        }
    }

    fn record_all(&self, tap: &mut TapReceiver, losses: &mut Losses, unread: &mut Unread) {
        let mut batch = Batch::new(&self.counters);
        // Nothing more can be stored, and nobody waits any longer.
        let mut over = false;
        loop {
            self.pulse.beat();
            let mut state = TapState::Open;
            let mut idle = false;
            // One by one: a body may hold many rows, and a batch is bounded by its rows.
            let mut taken = 0;
            while !batch.full() && !idle {
                idle = true;
                state = tap.drain(1, |tapped| {
                    idle = false;
                    let exchange = &tapped.exchange;
                    taken += 1024 + exchange.request.bytes.len() + exchange.response.bytes.len();
                    self.take(tapped, &mut batch, unread);
                });
                if taken > CLOCK {
                    taken = 0;
                    if batch.due() {
                        break;
                    }
                }
            }
            // What is held when the tap closes is tried once more, then given up.
            let last = tap.is_closed();
            if batch.due() || state == TapState::Closed {
                if over {
                    batch.lose(DropReason::WindowError);
                } else {
                    let came_to = self.commit(&mut batch, last, losses);
                    over = last && came_to == Commit::Busy;
                    // What is kept is due again at once; some refusals come without a wait.
                    idle |= came_to != Commit::Stored;
                }
            }
            let closed = state == TapState::Closed;
            let watch = || losses.watch(&self.counters, &self.window, closed);
            self.pulse.waits(watch);
            if closed {
                return;
            }
            if idle {
                let empty = batch.is_empty();
                std::thread::park_timeout(if empty { REST } else { POLL });
            }
        }
    }

    /// Decodes one exchange into the batch.
    fn take(&self, mut tapped: Box<Tapped>, batch: &mut Batch, unread: &mut Unread) {
        batch.reading(tapped.exchange.model);
        self.window.meet_fault("recorder-take");
        let record = self.record(&mut tapped.exchange);
        let model = record.exchange.model;
        if record.outcome == Outcome::Undecodable
            && let Some(recorded) = self.models.get(model)
        {
            unread.note(model, &recorded.name, &record.reason);
        }
        // The captured bytes are free for the tap again.
        drop(tapped);
        if self.log_exchanges {
            self.log(&record);
        }
        batch.push(record);
    }

    fn record(&self, exchange: &mut Exchange) -> Record {
        let success = (200..300).contains(&exchange.status) && exchange.ending == Ending::Complete;
        let decoder = self
            .models
            .get(exchange.model)
            .and_then(|m| m.decoder.as_ref());
        let decoded = decoder.map(|decoder| {
            // A defect in decoding costs one exchange, not the monitoring.
            catch_unwind(AssertUnwindSafe(|| {
                decoder.exchange(exchange, self.max_body)
            }))
            .unwrap_or_else(|_| Err(Undecodable::internal()))
        });
        let ended = exchange.ending.reason().to_owned();
        let (outcome, reason, rows): (Outcome, String, Vec<Row>) = match decoded {
            Some(Ok(Decoded {
                rows,
                response_problem,
            })) => {
                let problem = response_problem.filter(|_| success).unwrap_or(ended);
                (Outcome::Captured, problem, rows)
            }
            // A refused request with a body nobody understands is what it is: a refused request.
            Some(Err(why)) if success => (Outcome::Undecodable, why.reason, Vec::new()),
            Some(Err(_)) | None => (Outcome::Captured, ended, Vec::new()),
        };
        let rows = match self.models.get(exchange.model) {
            Some(model) => rows.into_iter().map(|row| model.conceal(row)).collect(),
            None => rows,
        };
        Record {
            exchange: exchange.take_head(),
            outcome,
            reason,
            rows,
            checked: success,
        }
    }

    /// Stores the batch and empties it; where another program holds the window's lock, and this is
    /// not the `last` time, it is kept for the next.
    fn commit(&self, batch: &mut Batch, last: bool, losses: &mut Losses) -> Commit {
        if batch.is_empty() {
            return Commit::Stored;
        }
        let records = batch.seal();
        self.window.meet_fault("recorder-commit");
        // Held until the rows are appended: a new reference waits for the end of the batch.
        let lives = self.pulse.waits(|| self.lives.hold());
        let live = |model: usize| lives.get(model).and_then(Option::as_deref);
        let fed = |record: &Record| live(record.exchange.model).filter(|_| record.checked);
        self.health.committing(true);
        let commit = || self.window.commit(Arc::clone(&records));
        let committed = self.pulse.waits(commit);
        self.health.committing(false);
        let committed = match committed {
            Ok(committed) => committed,
            Err(error) => {
                let busy = error.is_busy();
                let kept = busy && !last;
                losses.failed(&error, kept);
                self.health.fails(losses::chain(&error));
                if !kept {
                    batch.lose(error.drop_reason());
                }
                return if busy { Commit::Busy } else { Commit::Refused };
            }
        };
        // Before anything else: from here on it is stored.
        batch.settle();
        self.health.works();
        losses.recovered();
        for (model, thinned) in &committed.thinned {
            if let Some(live) = live(*model) {
                live.thin(*thinned);
            }
        }
        let mut ids = committed.rows.into_iter();
        for record in records.iter() {
            let ids = ids.by_ref().take(record.rows.len());
            let Some(live) = fed(record) else {
                ids.for_each(drop);
                continue;
            };
            // Each by itself: most are soon let go of, and their memory is at hand then.
            for (id, row) in ids.zip(&record.rows) {
                live.append(&Entry {
                    id: id.id,
                    priority: id.priority,
                    time: record.exchange.started,
                    values: Arc::new(live.reference.encode(row)),
                });
            }
        }
        drop(lives);
        batch.reuse(records);
        Commit::Stored
    }

    fn log(&self, record: &Record) {
        let Some(model) = self.models.get(record.exchange.model) else {
            return;
        };
        let side = |role| {
            let rows: Vec<Value> = record
                .rows
                .iter()
                .map(|row| model.json(row, role))
                .collect();
            Value::Array(rows).to_string()
        };
        tracing::info!(
            model = %model.name,
            request_id = %record.exchange.request_id,
            status = record.exchange.status,
            total_us = record.exchange.total.as_micros() as u64,
            outcome = record.outcome.as_str(),
            reason = record.reason,
            inputs = side(Role::Feature),
            outputs = side(Role::Output),
            "Exchange"
        );
    }
}

// === impl Recorded ===

impl Recorded {
    /// The cells of one role by name, for the log.
    fn json(&self, row: &Row, role: Role) -> Value {
        let columns = self.schema.columns().iter().zip(row);
        let named = columns
            .filter(|(column, _)| column.role == role)
            .map(|(column, cell)| {
                let value = match cell {
                    Cell::Missing => Value::Null,
                    Cell::Bool(value) => Value::Bool(*value),
                    Cell::Text(text) => Value::String(text.to_string()),
                    // JSON knows no infinity: as Python writes it, but quoted.
                    Cell::Number(number) if number.is_infinite() => {
                        Value::String(number.to_string())
                    }
                    Cell::Number(number) => Value::from(*number),
                };
                (column.name.to_string(), value)
            });
        Value::Object(named.collect())
    }

    /// The row without what may not be stored.
    fn conceal(&self, mut row: Row) -> Row {
        let changed = self.stores.iter().zip(row.iter_mut());
        for (store, cell) in changed.filter(|(store, _)| **store != Store::Keep) {
            *cell = store.apply(std::mem::replace(cell, Cell::Missing), self.name.as_str());
        }
        row
    }
}
