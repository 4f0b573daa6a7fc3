//! The window: what driftd saw and decided, in one SQLite file.
//!
//! Invariants:
//! - One thread owns the only writing connection; it does all writes and all checkpoints. Readers
//!   open short read-only connections of their own.
//! - Whatever [`Window::commit`] returned ids for is committed: it survives a killed process, and a
//!   power cut back to the last checkpoint. A failed commit leaves nothing behind.
//! - db, -wal and -shm together stay within [`Config::max_bytes`]: a batch that does not fit is
//!   refused whole.
//! - Retention thins before it truncates: the newest half of a model's rows is whole, older ones
//!   are a uniform sample. Limits are per model; a busy model never evicts a quiet one.
//! - A damaged file is set aside, never deleted, and never a reason not to start.
//! - It knows nothing of HTTP, metrics or tests; of statistics it knows the shape of a report.
//!
//! Time, for retention, is the latest time seen in any argument, as far as so much time has passed (`clock`):
//! nothing here reads the system's clock.
//!
//! In reading order: `schema` (tables and views) · `cells`, `layout` (a model's columns), `generations` (its tables) ·
//! `opening`, `quarantine` · `state` (each model) · `writer` (the thread, commits), `exchanges`, `bulk`, `fault` · `history` (checks, alarms, gaps),
//! `accepted` (the new normal) · `announcements` (to webhooks) ·
//! `thinning` (which rows go), `retention` (when), `deletion` (how), `space` (the byte budget) · `reader`.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::drift::accept::{Acceptance, Ended};
use crate::drift::alarm::Alarms;
use crate::drift::coverage::Totals;
use crate::drift::current::Thinned;
use crate::drift::report::{ModelReport, SpanName};
use crate::exchange::{Exchange, Outcome};
use crate::model::{ModelName, Row, Schema};
use crate::pulse::Pulse;
use crate::timestamp::Timestamp;

mod accepted;
mod announced;
mod bulk;
mod cells;
mod clock;
mod deletion;
mod error;
mod exchanges;
mod fault;
mod figures;
mod frozen;
mod generations;
mod history;
mod layout;
mod opening;
mod quarantine;
mod reader;
mod retention;
mod schema;
mod space;
mod state;
mod thinning;
mod writer;

#[cfg(test)]
mod tests;

pub use announced::{Announced, Announcement, Pending};
use error::Unanswered;
pub use error::{CommitError, Error};
pub use figures::Figures;
pub use frozen::{Frozen, frozen};

/// Where the window is and how much it may hold.
#[derive(Debug, Clone)]
pub struct Config {
    /// The SQLite file; `-wal`, `-shm` and `.lock` are added to its name for the files beside it.
    pub path: PathBuf,
    /// Rows kept per model; the newest half whole, a uniform sample of older ones.
    pub keep_rows: u64,
    /// Age at which rows, exchanges, checks and gaps go.
    pub keep_for: Duration,
    /// Bytes the db, -wal and -shm files may take together. Below a few MiB a batch may not fit.
    pub max_bytes: u64,
}

/// One configured model, as the window must hold it.
#[derive(Debug, Clone)]
pub struct ModelSpec {
    /// Its name.
    pub name: ModelName,
    /// Its version; empty where none is configured.
    pub version: String,
    /// Its columns.
    pub schema: Schema,
    /// Identity of the reference its rows are compared with.
    pub reference_hash: Option<String>,
}

/// An opened window and what was found in it.
#[derive(Debug)]
pub struct Opened {
    /// The handle.
    pub window: Window,
    /// One entry per [`ModelSpec`], in the same order.
    pub models: Vec<OpenedModel>,
    /// What is missing because the process was killed; already stored.
    pub gap: Option<Gap>,
    /// Where a damaged file was moved; the window is then empty.
    pub quarantined: Option<PathBuf>,
}

/// What the window holds of one model at the start.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenedModel {
    /// Since when the version and reference in force have been in force.
    pub since: Timestamp,
    /// Rows with smaller ids belong to an earlier version or reference.
    pub first_row: i64,
    /// The standing alarms; empty where `fresh`.
    pub alarms: Alarms,
    /// What is accepted as the new normal; empty where `fresh`.
    pub accepted: Vec<Acceptance>,
    /// Whether version and reference differ from those of the last run.
    pub fresh: bool,
    /// What retention left out.
    pub thinned: Option<Thinned>,
}

/// One exchange to store.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its metadata; the bytes of its bodies are not stored.
    pub exchange: Exchange,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it has no rows, where it has none; empty otherwise.
    pub reason: String,
    /// Its rows.
    pub rows: Vec<Row>,
    /// Whether its rows feed the checks: answered with 2xx, and complete.
    pub checked: bool,
}

/// A committed batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Committed {
    /// The ids of all rows in the order of the records: rising, contiguous within a record.
    pub rows: Vec<RowId>,
    /// Models that retention thinned since the previous commit, with what now holds.
    pub thinned: Vec<(usize, Thinned)>,
}

/// The identity of a stored row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowId {
    /// Unique over all models, never reused, rising in the order of commits.
    pub id: i64,
    /// Uniform over `u32`, fixed for good.
    pub priority: u32,
}

/// A row read back.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRow {
    /// Its id.
    pub id: i64,
    /// Its priority.
    pub priority: u32,
    /// When its exchange began.
    pub time: Timestamp,
    /// A cell for each column of the schema the window was opened with.
    pub cells: Row,
}

/// A time in which exchanges were not captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The model concerned; all of them where `None`.
    pub model: Option<usize>,
    /// Its first moment.
    pub started_at: Timestamp,
    /// Its last moment.
    pub ended_at: Timestamp,
    /// Why: `killed`, or the word of a [`crate::exchange::DropReason`].
    pub reason: String,
    /// How many exchanges are missing, where that is known.
    pub exchanges: Option<u64>,
}

/// A handle on the window; clones share it. When the last one goes without [`Window::close`], the
/// next start takes the process for killed.
#[derive(Debug, Clone)]
pub struct Window {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    reader: reader::Reader,
    figures: Arc<[figures::Live]>,
    sender: SyncSender<writer::Message>,
    pulse: Pulse,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Batches waiting for the writer; their senders wait as well.
const QUEUE: usize = 4;

/// When the oldest exchange in the window file at `path` began; `None` where there is no such file,
/// it is no window, or it holds none. Reads without opening the window.
#[must_use]
pub fn oldest_exchange(path: &Path) -> Option<Timestamp> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = rusqlite::Connection::open_with_flags(path, flags).ok()?;
    let min = |table: &String| {
        let oldest = format!("SELECT min(time) FROM {table}");
        connection.query_row(&oldest, [], |row| row.get::<_, Option<i64>>(0))
    };
    let tables = exchanges::tables(&connection).ok()?;
    let oldest = tables.iter().filter_map(|table| min(table).ok()?).min();
    oldest.map(Timestamp)
}

// === impl Window ===

impl Window {
    /// Opens the window, creating or repairing it, and starts its writer thread.
    pub fn open(config: &Config, models: &[ModelSpec], now: Timestamp) -> Result<Opened, Error> {
        let found = opening::open(config, models, now)?;
        let figures = found.writer.figures();
        let (sender, receiver) = sync_channel(QUEUE);
        let writer = found.writer;
        let pulse = Pulse::new("window");
        let own = pulse.clone();
        let thread = std::thread::Builder::new()
            .name("window".to_owned())
            .spawn(move || writer.run(&receiver, &own))
            .map_err(|source| Error::Thread { source })?;
        let shared = Shared {
            reader: found.reader,
            figures,
            sender,
            pulse,
            thread: Mutex::new(Some(thread)),
        };
        Ok(Opened {
            window: Self {
                shared: Arc::new(shared),
            },
            models: found.models,
            gap: found.gap,
            quarantined: found.quarantined,
        })
    }

    /// Stores a batch in one transaction; blocks until COMMIT.
    ///
    /// # Errors
    /// Nothing of it is stored; whoever kept it may try again.
    pub fn commit(&self, batch: impl Into<Arc<Vec<Record>>>) -> Result<Committed, CommitError> {
        let (reply, answer) = sync_channel(1);
        let batch = batch.into();
        (self.send(writer::Message::Commit { batch, reply }, &answer))
            .unwrap_or_else(|unanswered| Err(unanswered.into()))
    }

    /// Lets a debug build meet the fault asked for at `place`; see `fault`.
    pub fn meet_fault(&self, place: &str) {
        fault::meet(&self.shared.reader.path, place);
    }

    /// The newest checked rows of the version and reference in force, oldest first.
    pub fn recent_rows(&self, model: usize, newest: usize) -> Result<Vec<StoredRow>, Error> {
        self.shared.reader.recent_rows(model, newest)
    }

    /// How many checked rows of the version and reference in force there are; counts up to `most`.
    ///
    /// # Errors
    /// SQLite refused.
    pub fn checked_rows(&self, model: usize, most: usize) -> Result<usize, Error> {
        self.shared.reader.checked_rows(model, most)
    }

    /// The oldest checked rows of the version and reference in force, oldest first.
    ///
    /// # Errors
    /// SQLite refused.
    pub fn oldest_rows(&self, model: usize, oldest: usize) -> Result<Vec<StoredRow>, Error> {
        self.shared.reader.oldest_rows(model, oldest)
    }

    /// Stores a learned reference; from the next row on it is the one in force.
    ///
    /// # Errors
    /// It does not fit, or SQLite refused; nothing has changed then.
    pub fn freeze(&self, model: usize, frozen: Frozen) -> Result<(), CommitError> {
        let (reply, answer) = sync_channel(1);
        let message = writer::Message::Freeze {
            model,
            frozen,
            reply,
        };
        let answered = self.send(message, &answer);
        let first_row = answered.unwrap_or_else(|unanswered| Err(unanswered.into()))?;
        if let Some(source) = self.shared.reader.sources.get(model) {
            source.first_row.store(first_row, Ordering::Release);
        }
        Ok(())
    }

    /// Of the checked rows since `from` (of the version and reference in force) those with the
    /// lowest priorities, oldest first, and whether these are all.
    pub fn sample_rows(
        &self,
        model: usize,
        from: Timestamp,
        lowest_priorities: usize,
    ) -> Result<(Vec<StoredRow>, bool), Error> {
        self.shared
            .reader
            .sample_rows(model, from, lowest_priorities)
    }

    /// Exchanges of a model since `from` that checks can rest on, and those that were lost.
    ///
    /// # Errors
    /// SQLite refused.
    pub fn coverage(&self, model: usize, from: Timestamp) -> Result<Totals, Error> {
        self.shared.reader.coverage(model, from)
    }

    /// Stores what a check found over `spans` and the alarms that stand after it, in one transaction. A report
    /// that was not measured (`checked_at` is `None`) leaves no history.
    pub fn save_check(
        &self,
        model: usize,
        report: &ModelReport,
        alarms: &Alarms,
        spans: &[SpanName],
    ) -> Result<(), Error> {
        let (reply, answer) = sync_channel(1);
        let check = history::Check::new(model, report, alarms, spans);
        self.outcome(writer::Message::Check { check, reply }, &answer)
    }

    /// Stores which acceptances of a model ended and which are new, in one transaction.
    ///
    /// # Errors
    /// SQLite refused; nothing is stored then.
    pub fn save_accepted(
        &self,
        model: usize,
        ended: Vec<Ended>,
        fresh: Vec<Acceptance>,
    ) -> Result<(), Error> {
        let (reply, answer) = sync_channel(1);
        let message = writer::Message::Accepted {
            model,
            ended,
            fresh,
            reply,
        };
        self.outcome(message, &answer)
    }

    /// Begins another reference of a model: rows committed from now on belong to it, and alarms and
    /// acceptances of the one before end. Returns the id of its first row.
    ///
    /// # Errors
    /// SQLite refused; the one before stays in force then.
    pub fn begin_reference(
        &self,
        model: usize,
        version: &str,
        hash: &str,
        now: Timestamp,
    ) -> Result<i64, Error> {
        let (reply, answer) = sync_channel(1);
        let message = writer::Message::Reference {
            model,
            version: version.to_owned(),
            hash: hash.to_owned(),
            now,
            reply,
        };
        let first_row = self.outcome(message, &answer)?;
        if let Some(source) = self.shared.reader.sources.get(model) {
            source.first_row.store(first_row, Ordering::Release);
        }
        Ok(first_row)
    }

    /// Stores a gap.
    pub fn save_gap(&self, gap: Gap) -> Result<(), Error> {
        let (reply, answer) = sync_channel(1);
        self.outcome(writer::Message::Gap { gap, reply }, &answer)
    }

    /// What the window holds of a model; never touches the file.
    #[must_use]
    pub fn figures(&self, model: usize) -> Figures {
        self.shared
            .figures
            .get(model)
            .map(figures::Live::read)
            .unwrap_or_default()
    }

    /// Proof of life of the writer thread.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.shared.pulse.clone()
    }

    /// Bytes the db, -wal and -shm files take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        file_sizes(&self.shared.reader.path).iter().sum()
    }

    /// Writes everything into the db file, marks the shutdown as clean, and ends the writer
    /// thread. Later writes fail with `Closed`.
    pub fn close(&self) {
        self.shared.stop(true);
    }

    /// Hands `message` to the writer and waits for its answer.
    fn send<T>(&self, message: writer::Message, answer: &Receiver<T>) -> Result<T, Unanswered> {
        let sent = self.shared.sender.send(message);
        sent.map_err(|_| Unanswered::Closed)?;
        answer.recv().map_err(|_| {
            let thread = self.shared.thread.try_lock();
            // Ended, or about to: whoever ends it takes the handle.
            match thread.as_deref() {
                Ok(Some(thread)) if !thread.is_finished() => Unanswered::Defect,
                _ => Unanswered::Closed,
            }
        })
    }

    fn outcome<T>(
        &self,
        message: writer::Message,
        answer: &Receiver<rusqlite::Result<T>>,
    ) -> Result<T, Error> {
        let path = &self.shared.reader.path;
        self.send(message, answer)
            .map_err(Error::from)?
            .map_err(|source| error::sqlite(path, source))
    }
}

// === impl Shared ===

impl Shared {
    fn stop(&self, clean: bool) {
        // Fails only where the thread has ended already.
        let _ = self.sender.send(writer::Message::Stop { clean });
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take()
            && thread.join().is_err()
        {
            tracing::error!("The window's writer thread panicked");
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop(false);
    }
}

/// `path` with `suffix` added to its file name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Bytes of the db, -wal and -shm files, by stat: opening and closing them here would drop SQLite's
/// locks.
fn file_sizes(path: &Path) -> [u64; 3] {
    ["", "-wal", "-shm"]
        .map(|suffix| std::fs::metadata(beside(path, suffix)).map_or(0, |file| file.len()))
}
