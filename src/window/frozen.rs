//! References learned from traffic: the rows they are learned from, and their profiles; the newest of each
//! model are kept for good.

use std::path::Path;
use std::sync::atomic::Ordering;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};

use crate::model::ModelName;
use crate::timestamp::Timestamp;

use super::opening::BUSY;
use super::reader::Reader;
use super::writer::Writer;
use super::{CommitError, Error, StoredRow, error};

/// References kept of each model, the one in force among them: an older version that comes back beyond
/// them is learned anew.
const KEPT: i64 = 10;

/// The part of the window's bytes that those of one model may take, but for the one in force.
const SHARE: u64 = 16;

/// A learned reference as the window keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// The version of the model it was learned for.
    pub version: String,
    /// Its identity.
    pub hash: String,
    /// Rows it was learned from.
    pub rows: usize,
    /// Its profile, compressed.
    pub profile: Vec<u8>,
    /// When it came into force.
    pub at: Timestamp,
}

/// The reference frozen for `version` of `model` in the window file at `path`; `None` where there is
/// no such file or reference. Reads without opening the window.
///
/// # Errors
/// SQLite refused: whether there is a profile is not known.
pub fn frozen(path: &Path, model: &ModelName, version: &str) -> Result<Option<Frozen>, Error> {
    if !path.exists() {
        return Ok(None);
    }
    match read(path, model, version) {
        Ok(found) => Ok(found),
        // What is damaged, no database, or not for this user: opening sets it aside, or says so.
        Err(source) => match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::CannotOpen) => {
                Ok(None)
            }
            _ => Err(error::sqlite(path, source)),
        },
    }
}

fn read(path: &Path, model: &ModelName, version: &str) -> rusqlite::Result<Option<Frozen>> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(BUSY)?;
    // An older driftd's file has no such table yet; another program's never will.
    if !connection.table_exists(None, "frozen_data")? {
        return Ok(None);
    }
    let sql = "SELECT f.hash, f.rows, f.profile, f.frozen_at FROM frozen_data f JOIN models m ON m.id = f.model \
               WHERE m.name = ?1 AND f.version = ?2";
    let found = connection.query_row(sql, (model.as_str(), version), |row| {
        Ok(Frozen {
            version: version.to_owned(),
            hash: row.get(0)?,
            rows: usize::try_from(row.get::<_, i64>(1)?).unwrap_or(0),
            profile: row.get(2)?,
            at: Timestamp(row.get(3)?),
        })
    });
    found.optional()
}

// === impl Reader ===

impl Reader {
    /// See [`super::Window::checked_rows`].
    pub(super) fn checked_rows(&self, model: usize, most: usize) -> Result<usize, Error> {
        self.with(model, |connection, source| {
            let checked = (source.layout)
                .all(|table| format!("SELECT 1 FROM {table} WHERE checked AND id >= ?1"));
            let sql = format!("SELECT count(*) FROM ({checked} LIMIT ?2)");
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
            let sql = source.layout.checked_rows("ORDER BY id LIMIT ?2");
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
        let Frozen {
            version,
            hash,
            rows,
            profile,
            at,
        } = frozen;
        let room = i64::try_from(self.limits.bytes / SHARE).unwrap_or(i64::MAX);
        let store = |connection: &Connection, number: i64| {
            let rows = i64::try_from(*rows).unwrap_or(i64::MAX);
            connection.execute(
                "INSERT OR REPLACE INTO frozen_data (model, version, hash, rows, frozen_at, profile) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                (number, version, hash, rows, at.0, profile),
            )?;
            connection.execute(
                "DELETE FROM frozen_data WHERE id IN (\
                 SELECT id FROM (SELECT id, version, row_number() OVER newest AS place, \
                 sum(length(profile)) OVER newest AS bytes FROM frozen_data WHERE model = ?1 \
                 WINDOW newest AS (ORDER BY id DESC)) \
                 WHERE version <> ?2 AND (place > ?3 OR bytes > ?4))",
                (number, version, KEPT, room),
            )?;
            Ok(())
        };
        let begun = self.begin(model, (version, hash), *at, store);
        begun.map_err(CommitError::Sqlite)
    }
}
