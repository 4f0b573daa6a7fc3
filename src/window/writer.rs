//! The writer thread: the only connection that writes or checkpoints.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::time::Instant;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::drift::accept::{Acceptance, Ended};
use crate::drift::alarm::Alarms;
use crate::pulse::{self, Pulse};
use crate::timestamp::Timestamp;

use super::deletion::Deletion;
use super::exchanges::{self, NewExchange};
use super::figures::Live;
use super::history::{self, Check};
use super::layout::{self, NewRow};
use super::opening::{self, Identity, Next};
use super::space::Limits;
use super::state::{Going, ModelState};
use super::{
    CommitError, Committed, Frozen, Gap, Record, RowId, accepted, announced, bulk, fault,
    quarantine, schema,
};

/// What the writer is asked to do. Its answer follows the COMMIT.
#[derive(Debug)]
pub(super) enum Message {
    /// Store a batch.
    Commit {
        batch: Arc<Vec<Record>>,
        reply: SyncSender<Result<Committed, CommitError>>,
    },
    /// Store a check.
    Check {
        check: Check,
        reply: SyncSender<rusqlite::Result<()>>,
    },
    /// Store what was accepted and what no longer is.
    Accepted {
        model: usize,
        ended: Vec<Ended>,
        fresh: Vec<Acceptance>,
        reply: SyncSender<rusqlite::Result<()>>,
    },
    /// Store what a receiver of webhooks knows or has got.
    Announced {
        model: usize,
        step: announced::Step,
        reply: SyncSender<rusqlite::Result<()>>,
    },
    /// Begin another reference of a model; the answer is its first row.
    Reference {
        model: usize,
        version: String,
        hash: String,
        now: Timestamp,
        reply: SyncSender<rusqlite::Result<i64>>,
    },
    /// Freeze a learned reference.
    Freeze {
        model: usize,
        frozen: Frozen,
        reply: SyncSender<Result<i64, CommitError>>,
    },
    /// Store a gap.
    Gap {
        gap: Gap,
        reply: SyncSender<rusqlite::Result<()>>,
    },
    /// End.
    Stop { clean: bool },
    /// Run SQL on the writing connection, then finish retention: a seam for faults and waiting.
    #[cfg(test)]
    Settle {
        sql: String,
        reply: SyncSender<rusqlite::Result<()>>,
    },
}

/// The writing connection and what it must not have to ask for.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) limits: Limits,
    /// The configured models in their order, then those only the file knows.
    pub(super) models: Vec<ModelState>,
    pub(super) next: Next,
    /// Models thinned since the last commit.
    pub(super) thinned: Vec<usize>,
    /// Whether the last pass of retention failed.
    pub(super) failing: bool,
    figures: Arc<[Live]>,
    pub(super) deletion: Deletion,
    /// Held until the connection is closed: fields drop in order.
    _lock: File,
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(
        connection: Connection,
        lock: File,
        limits: Limits,
        models: Vec<ModelState>,
        next: Next,
    ) -> rusqlite::Result<Self> {
        let writer = Self {
            deletion: Deletion::on(&connection)?,
            connection,
            limits,
            figures: models.iter().map(|_| Live::new()).collect(),
            models,
            next,
            thinned: Vec::new(),
            failing: false,
            _lock: lock,
        };
        writer.publish();
        Ok(writer)
    }

    pub(super) fn figures(&self) -> Arc<[Live]> {
        Arc::clone(&self.figures)
    }

    /// Serves messages until told to stop. Retention uses the time between them; it yields to the
    /// next message after every bounded pass.
    ///
    /// A defect costs the message it was met in, which goes unanswered: its transaction is rolled
    /// back as it is dropped, and the connection serves the next one.
    pub(super) fn run(mut self, messages: &Receiver<Message>, pulse: &Pulse) {
        let _beating = pulse.begin();
        let mut more = pulse.waits(|| self.go_on());
        loop {
            let message = if more {
                messages.try_recv().map_err(|error| match error {
                    TryRecvError::Empty => RecvTimeoutError::Timeout,
                    TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                })
            } else {
                messages.recv_timeout(pulse::INTERVAL)
            };
            pulse.beat();
            match message {
                Ok(Message::Stop { clean }) => {
                    if clean {
                        pulse.waits(|| self.finish());
                    }
                    return;
                }
                Ok(message) => {
                    let served = pulse.waits(|| self.whole(|writer| writer.serve(message)));
                    more = served.unwrap_or(false);
                }
                Err(RecvTimeoutError::Timeout) if more => more = pulse.waits(|| self.go_on()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// One bounded pass of retention; whether it has more to do.
    fn go_on(&mut self) -> bool {
        self.whole(|writer| writer.retain(0)).unwrap_or(false)
    }

    /// What `work` comes to; `None` where it met a defect.
    fn whole<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let worked = catch_unwind(AssertUnwindSafe(|| work(self)));
        if worked.is_err() {
            tracing::error!("The window met a defect in driftd; what it was asked for is lost");
            // What was taken off these lists may not have been done.
            for model in &mut self.models {
                model.going = Going::default();
            }
        }
        worked.ok()
    }

    /// Answers one message; whether retention has more to do. An answer nobody waits for any more is
    /// no failure.
    fn serve(&mut self, message: Message) -> bool {
        match message {
            Message::Commit { batch, reply } => {
                let rows = batch.iter().map(|record| record.rows.len()).sum();
                let committed = self.commit(&batch);
                // Whose it was can use its room again.
                drop(batch);
                let _ = reply.send(committed);
                return self.retain(rows);
            }
            Message::Check { check, reply } => {
                let _ = reply.send(self.save_check(&check));
                return self.retain(0);
            }
            Message::Accepted {
                model,
                ended,
                fresh,
                reply,
            } => {
                let number = self.models.get(model).map_or(-1, |model| model.number);
                let _ = reply.send(accepted::save(&self.connection, number, &ended, &fresh));
            }
            Message::Announced { model, step, reply } => {
                let number = self.models.get(model).map_or(-1, |model| model.number);
                let _ = reply.send(announced::save(&self.connection, number, &step));
            }
            Message::Reference {
                model,
                version,
                hash,
                now,
                reply,
            } => {
                let _ = reply.send(self.begin(model, (&version, &hash), now, |_, _| Ok(())));
            }
            Message::Freeze {
                model,
                frozen,
                reply,
            } => {
                let _ = reply.send(self.freeze(model, &frozen));
            }
            Message::Gap { gap, reply } => {
                let saved = history::save_gap(&self.connection, &gap, &self.models);
                let _ = reply.send(saved);
            }
            #[cfg(test)]
            Message::Settle { sql, reply } => {
                let done = self.connection.execute_batch(&sql);
                while self.retain(0) {}
                let _ = reply.send(done);
            }
            // Ends the thread, which this cannot.
            Message::Stop { .. } => {}
        }
        // Retention goes on where it stood; it says itself when there is nothing left.
        true
    }

    /// The figures as other threads see them.
    pub(super) fn publish(&self) {
        for (live, model) in self.figures.iter().zip(&self.models) {
            live.write(model.figures);
        }
    }

    fn commit(&mut self, batch: &[Record]) -> Result<Committed, CommitError> {
        if !batch.is_empty() && !self.has_room(exchanges::size(batch)) {
            return Err(CommitError::Full {
                max_bytes: self.limits.bytes,
            });
        }
        let rows = self.write(batch).map_err(|error| {
            quarantine::suspect(&self.limits.path, &error);
            CommitError::Sqlite(error)
        })?;
        for record in batch {
            if let Some(model) = self.models.get_mut(record.exchange.model) {
                model.note(record);
            }
        }
        self.publish();
        let thinned = std::mem::take(&mut self.thinned);
        let state = |index: usize| {
            let segments = &self.models.get(index)?.segments;
            Some((index, super::thinning::overall(segments)?))
        };
        Ok(Committed {
            rows,
            thinned: thinned.into_iter().filter_map(state).collect(),
        })
    }

    /// Writes the batch in one transaction; on failure nothing has changed, here or in the file.
    fn write(&mut self, batch: &[Record]) -> rusqlite::Result<Vec<RowId>> {
        let (mut next, now) = (self.next, Instant::now());
        let mut exchanges = Vec::new();
        let mut rows: Vec<Vec<NewRow<'_>>> = Vec::new();
        rows.resize_with(self.models.len(), Vec::new);
        for record in batch {
            let model = record.exchange.model;
            let state = (self.models.get(model)).filter(|state| state.layout.is_some());
            let (Some(state), Some(rows)) = (state, rows.get_mut(model)) else {
                return Err(rusqlite::Error::InvalidParameterName(format!(
                    "model {model}"
                )));
            };
            let reference = exchanges::stands_in_its_row(record).then_some(state.reference);
            if reference.is_none() {
                exchanges.push(NewExchange {
                    record,
                    id: next.exchange,
                    row: next.row,
                    model: state.number,
                    reference: state.reference,
                });
            }
            for cells in &record.rows {
                rows.push(NewRow {
                    record,
                    cells,
                    id: next.row,
                    exchange: next.exchange,
                    reference,
                });
                next.row += 1;
            }
            next.exchange += 1;
            next.clock.saw(record.exchange.started, now);
        }
        let transaction =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        bulk::insert(
            &transaction,
            exchanges::INTO,
            exchanges::WIDTH,
            &exchanges,
            exchanges::bind,
        )?;
        for (state, rows) in self.models.iter().zip(&rows) {
            if let Some(layout) = state.layout.as_ref().filter(|_| !rows.is_empty()) {
                let (into, width) = layout.insert_into(state.generations.current());
                bulk::insert(
                    &transaction,
                    &into,
                    width,
                    rows,
                    |statement, before, row| layout.bind(statement, before, row),
                )?;
            }
        }
        if !batch.is_empty() {
            schema::set_meta(&transaction, "next_row", next.row)?;
            schema::set_meta(&transaction, "next_exchange", next.exchange)?;
            schema::set_meta(&transaction, "clock", next.clock.now().0)?;
        }
        fault::meet(&self.limits.path, "window");
        transaction.commit()?;
        for (state, rows) in self.models.iter_mut().zip(&rows) {
            if let ([first, ..], [.., last]) = (&rows[..], &rows[..]) {
                let ends = (first.id, last.id);
                let alone = rows.iter().all(|row| row.reference.is_some());
                state.generations.took(rows.len() as u64, ends, alone);
            }
        }
        let first = std::mem::replace(&mut self.next, next).row;
        Ok(layout::row_ids(first, next.row, next.seed))
    }

    fn save_check(&mut self, check: &Check) -> rusqlite::Result<()> {
        let Some(model) = self.models.get_mut(check.model) else {
            return Ok(());
        };
        let transaction =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        let tests = history::save_tests(&transaction, check, model.number, model.reference)?;
        if model.alarms != check.alarms {
            history::save_alarms(&transaction, model.number, &check.alarms)?;
        }
        transaction.commit()?;
        model.tests += tests;
        model.alarms.clone_from(&check.alarms);
        if let Some(time) = check.time {
            self.next.clock.saw(time, Instant::now());
        }
        Ok(())
    }

    /// Rows from the next one on belong to the reference with this hash. What `store` writes for the
    /// model of this number is in the same transaction.
    pub(super) fn begin(
        &mut self,
        model: usize,
        (version, hash): (&str, &str),
        now: Timestamp,
        store: impl FnOnce(&Connection, i64) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<i64> {
        let first_row = self.next.row;
        let Some(model) = self.models.get_mut(model) else {
            return Ok(first_row);
        };
        let transaction =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        let identity = Identity {
            version,
            reference_hash: Some(hash),
        };
        store(&transaction, model.number)?;
        let id = opening::begin(&transaction, model.number, identity, first_row, now)?;
        transaction.commit()?;
        model.reference = id;
        model.alarms = Alarms::default();
        Ok(first_row)
    }

    /// The clean end: the db file holds everything, and says so.
    fn finish(&mut self) {
        let done = schema::set_meta(&self.connection, "clean", 1)
            .and_then(|()| schema::set_meta(&self.connection, "clock", self.next.clock.now().0))
            .and_then(|()| self.checkpoint(super::opening::BUSY));
        if let Err(error) = done {
            tracing::warn!(%error, "The window could not be closed cleanly");
        }
    }
}
