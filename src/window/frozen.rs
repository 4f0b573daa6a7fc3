//! References learned from traffic: the rows they are learned from, and their profiles, kept for good.

use std::path::Path;
use std::sync::atomic::Ordering;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior};

use crate::model::ModelName;
use crate::timestamp::Timestamp;

use super::layout::table;
use super::opening::BUSY;
use super::reader::Reader;
use super::writer::Writer;
use super::{CommitError, Error, StoredRow, history};

/// A learned reference on its way into the window.
#[derive(Debug, Clone)]
pub struct Frozen {
    /// The version of the model it was learned for.
    pub version: String,
    /// Its identity.
    pub hash: String,
    /// Rows it was learned from.
    pub rows: usize,
    /// Its profile, compressed.
    pub profile: Vec<u8>,
    /// When it comes into force.
    pub at: Timestamp,
}

/// The profile frozen for `version` of `model` in the window file at `path`; `None` where there is
/// no such file or profile. Reads without opening the window.
#[must_use]
pub fn frozen(path: &Path, model: &ModelName, version: &str) -> Option<Vec<u8>> {
    if !path.exists() {
        return None;
    }
    match read(path, model, version) {
        Ok(profile) => profile,
        Err(error) => {
            // A file without the table is one of an older driftd, or none at all: opening says so.
            tracing::debug!(%error, "No learned reference could be read");
            None
        }
    }
}

fn read(path: &Path, model: &ModelName, version: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(BUSY)?;
    let sql = "SELECT f.profile FROM frozen_data f JOIN models m ON m.id = f.model \
               WHERE m.name = ?1 AND f.version = ?2";
    let found = connection.query_row(sql, (model.as_str(), version), |row| row.get(0));
    found.optional()
}

// === impl Reader ===

impl Reader {
    /// See [`super::Window::checked_rows`].
    pub(super) fn checked_rows(&self, model: usize, most: usize) -> Result<usize, Error> {
        self.with(model, |connection, source| {
            let sql = format!(
                "SELECT count(*) FROM (SELECT 1 FROM {} WHERE checked AND id >= ?1 LIMIT ?2)",
                table(source.layout.number)
            );
            let limit = i64::try_from(most).unwrap_or(i64::MAX);
            let count: i64 = connection.query_row(
                &sql,
                (source.first_row.load(Ordering::Acquire), limit),
                |row| row.get(0),
            )?;
            Ok(usize::try_from(count).unwrap_or(0))
        })
    }

    /// See [`super::Window::oldest_rows`].
    pub(super) fn oldest_rows(&self, model: usize, oldest: usize) -> Result<Vec<StoredRow>, Error> {
        self.with(model, |connection, source| {
            let sql = format!(
                "SELECT {} FROM {} WHERE checked AND id >= ?1 ORDER BY id LIMIT ?2",
                source.layout.selected(),
                table(source.layout.number)
            );
            let limit = i64::try_from(oldest).unwrap_or(i64::MAX);
            let read = |row: &rusqlite::Row<'_>| source.layout.read(row, self.seed);
            let mut statement = connection.prepare(&sql)?;
            statement
                .query_map((source.first_row.load(Ordering::Acquire), limit), read)?
                .collect()
        })
    }
}

// === impl Writer ===

impl Writer {
    /// Stores a learned reference and puts it in force for the rows from the one returned on.
    pub(super) fn freeze(&mut self, model: usize, frozen: &Frozen) -> Result<i64, CommitError> {
        if !self.has_room(frozen.profile.len() as u64) {
            return Err(CommitError::Full {
                max_bytes: self.limits.bytes,
            });
        }
        let Some(state) = self.models.get_mut(model) else {
            return Err(CommitError::Closed);
        };
        let (number, first_row) = (state.number, self.next.row);
        let store = || {
            let transaction =
                Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
            transaction.execute(
                "INSERT OR REPLACE INTO frozen_data (model, version, hash, rows, frozen_at, profile) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                (
                    number,
                    &frozen.version,
                    &frozen.hash,
                    i64::try_from(frozen.rows).unwrap_or(i64::MAX),
                    frozen.at.0,
                    &frozen.profile,
                ),
            )?;
            transaction.execute(
                "INSERT INTO reference_data (model, version, hash, since, first_row) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                (
                    number,
                    &frozen.version,
                    &frozen.hash,
                    frozen.at.0,
                    first_row,
                ),
            )?;
            let reference = transaction.last_insert_rowid();
            history::clear_alarms(&transaction, number)?;
            transaction.commit()?;
            Ok(reference)
        };
        let reference = store().map_err(CommitError::Sqlite)?;
        state.renew(reference);
        Ok(first_row)
    }
}
