//! Reading rows back, over short read-only connections: no reader keeps the WAL from shrinking.

use std::collections::BinaryHeap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};

use rusqlite::{Connection, OpenFlags};

use crate::drift::coverage::Totals;
use crate::timestamp::Timestamp;

use super::generations::{self, WITH_EXCHANGE};
use super::layout::Layout;
use super::{Error, StoredRow, error, opening, thinning};

mod offline;
mod past;

#[cfg(test)]
pub(super) use past::DECISIONS;

/// What reading takes.
#[derive(Debug)]
pub(super) struct Reader {
    /// The window's file.
    pub(super) path: PathBuf,
    /// What priorities depend on.
    pub(super) seed: u64,
    /// The configured models.
    pub(super) sources: Vec<Source>,
}

/// Where the rows of one model are read from.
#[derive(Debug)]
pub(super) struct Source {
    /// Its columns.
    pub(super) layout: Layout,
    /// The first row of the version and reference in force.
    pub(super) first_row: AtomicI64,
}

// === impl Reader ===

impl Reader {
    /// See [`super::Window::recent_rows`].
    pub(super) fn recent_rows(&self, model: usize, newest: usize) -> Result<Vec<StoredRow>, Error> {
        self.with(model, |connection, source| {
            let sql = source.layout.checked_rows("ORDER BY id DESC LIMIT ?2");
            let limit = i64::try_from(newest).unwrap_or(i64::MAX);
            let mut statement = connection.prepare(&sql)?;
            let mut rows: Vec<StoredRow> = statement
                .query_map((source.first_row.load(Ordering::Acquire), limit), |row| {
                    source.layout.read(row, self.seed)
                })?
                .collect::<rusqlite::Result<_>>()?;
            rows.reverse();
            Ok(rows)
        })
    }

    /// See [`super::Window::sample_rows`].
    pub(super) fn sample_rows(
        &self,
        model: usize,
        from: Timestamp,
        lowest: usize,
    ) -> Result<(Vec<StoredRow>, bool), Error> {
        self.with(model, |connection, source| {
            let (ids, complete) = self.lowest(connection, source, from, lowest)?;
            let mut rows = Vec::with_capacity(ids.len());
            for (at, table) in generations::names(source.layout.number).iter().enumerate() {
                let selected = source.layout.selected();
                let sql = format!("SELECT {selected} FROM {table} WHERE id = ?1");
                let mut statement = connection.prepare(&sql)?;
                for (id, _) in ids.iter().filter(|(_, of)| *of == at) {
                    rows.push(statement.query_row([id], |row| source.layout.read(row, self.seed))?);
                }
            }
            rows.sort_unstable_by_key(|row| row.id);
            Ok((rows, complete))
        })
    }

    /// The ids of the rows with the lowest priorities and which of the tables they are in, read from the
    /// indexes alone, and whether these are all of the span.
    fn lowest(
        &self,
        connection: &Connection,
        source: &Source,
        from: Timestamp,
        lowest: usize,
    ) -> rusqlite::Result<(Vec<(i64, usize)>, bool)> {
        let mut kept: BinaryHeap<(u32, i64, usize)> = BinaryHeap::new();
        let mut complete = true;
        for (at, table) in generations::names(source.layout.number).iter().enumerate() {
            let mut statement = connection.prepare(&format!(
                "SELECT id FROM {table} INDEXED BY {table}_time \
                 WHERE time >= ?1 AND checked AND id >= ?2"
            ))?;
            let mut rows = statement.query((from.0, source.first_row.load(Ordering::Acquire)))?;
            while let Some(row) = rows.next()? {
                let id: i64 = row.get(0)?;
                kept.push((thinning::priority(id, self.seed), id, at));
                if kept.len() > lowest {
                    kept.pop();
                    complete = false;
                }
            }
        }
        Ok((
            kept.into_iter().map(|(_, id, at)| (id, at)).collect(),
            complete,
        ))
    }

    /// See [`super::Window::coverage`].
    pub(super) fn coverage(&self, model: usize, from: Timestamp) -> Result<Totals, Error> {
        self.with(model, |connection, source| {
            let number = source.layout.number;
            let total = |sql: &str| -> rusqlite::Result<u64> {
                let total: Option<i64> =
                    connection.query_row(sql, (number, from.0), |row| row.get(0))?;
                Ok(u64::try_from(total.unwrap_or(0)).unwrap_or(0))
            };
            let count = "SELECT count(*) FROM exchange_data WHERE model = ?1 AND time >= ?2";
            let captured = "outcome = 'captured' AND status BETWEEN 200 AND 299";
            let undecodable = "outcome = 'undecodable'";
            let dropped = "SELECT sum(exchanges) FROM gap_data WHERE model = ?1 AND ended_at >= ?2";
            // Those that stand in their rows are all captured and answered well.
            let in_rows = source.layout.all(|table| {
                format!(
                    "SELECT checked FROM {table} WHERE time >= ?1 AND checked = {WITH_EXCHANGE}"
                )
            });
            let in_rows = format!("SELECT count(*) FROM ({in_rows})");
            let in_rows: i64 = connection.query_row(&in_rows, [from.0], |row| row.get(0))?;
            Ok(Totals {
                captured: total(&format!("{count} AND {captured}"))? + in_rows.unsigned_abs(),
                lost: total(&format!("{count} AND {undecodable}"))? + total(dropped)?,
            })
        })
    }

    /// Runs `read` in one read transaction; a model that is not configured has no rows.
    pub(super) fn with<T: Default>(
        &self,
        model: usize,
        read: impl FnOnce(&Connection, &Source) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let Some(source) = self.sources.get(model) else {
            return Ok(T::default());
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let run = || {
            let mut connection = Connection::open_with_flags(&self.path, flags)?;
            connection.busy_timeout(opening::BUSY)?;
            let transaction = connection.transaction()?;
            read(&transaction, source)
        };
        run().map_err(|source| error::sqlite(&self.path, source))
    }
}
