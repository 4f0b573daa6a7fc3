//! Deleting rows, and the exchanges that have none left.
//!
//! What goes lies close together where it has expired, or where thinning comes to it for the first time. So a
//! stretch of the table is walked once, and the SQL function `goes` says of each row whether it does: a third less time than
//! one statement for each row and one for its exchange. Rows far apart go one by one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};

use super::generations::{self, Generations, TABLES, WITH_EXCHANGE};

/// Ids further apart are not of one stretch: what stays between them, of this model and of others, would
/// be walked for nothing. Nor may a stretch have more exchanges than so many for each of its rows.
const APART: i64 = 8;

/// Rows of a stretch that is worth its statements.
const FEW: usize = 4;

/// Deletes on one connection; knows the stretch that its function `goes` is asked about.
#[derive(Debug, Clone, Default)]
pub(super) struct Deletion {
    /// The ids that go, ascending.
    stretch: Arc<Mutex<Vec<i64>>>,
}

// === impl Deletion ===

impl Deletion {
    /// Gives `connection` the function.
    pub(super) fn on(connection: &Connection) -> rusqlite::Result<Self> {
        let deletion = Self::default();
        let asked = deletion.clone();
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
        connection.create_scalar_function("goes", 1, flags, move |context| {
            let id: Option<i64> = context.get(0)?;
            Ok(id.is_some_and(|id| asked.stretch().binary_search(&id).is_ok()))
        })?;
        Ok(deletion)
    }

    /// Deletes the rows with these ids (ascending; some may be gone already) of the model with this number,
    /// in one transaction; how many there were.
    pub(super) fn delete(
        &self,
        connection: &Connection,
        number: i64,
        generations: &mut Generations,
        ids: &[i64],
    ) -> rusqlite::Result<u64> {
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let mut gone = [0; TABLES];
        for (at, gone) in gone.iter_mut().enumerate() {
            let rows = &generations.get(at).name;
            let ids = generations.within(at, ids);
            for stretch in ids.chunk_by(|id, next| next - id <= APART) {
                *gone += match exchanges(&transaction, rows, stretch)? {
                    Some(exchanges) => {
                        stretch.clone_into(&mut self.stretch());
                        delete_stretch(&transaction, number, rows, stretch, exchanges)?
                    }
                    None => delete_each(&transaction, number, rows, stretch)?,
                };
            }
        }
        transaction.commit()?;
        for (at, gone) in gone.iter().enumerate() {
            generations.lost(at, *gone);
        }
        Ok(gone.iter().sum())
    }

    fn stretch(&self) -> MutexGuard<'_, Vec<i64>> {
        self.stretch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first and the last exchange of the rows from the first to the last of `ids`, where walking from the one
/// to the other is worth it.
fn exchanges(
    connection: &Connection,
    rows: &str,
    ids: &[i64],
) -> rusqlite::Result<Option<(i64, i64)>> {
    let ([first, ..], [.., last]) = (ids, ids) else {
        return Ok(None);
    };
    if ids.len() < FEW {
        return Ok(None);
    }
    // Rows and exchanges are numbered in the same order.
    let ends: (Option<i64>, Option<i64>) = connection
        .prepare_cached(&format!(
            "SELECT (SELECT exchange_id FROM {rows} WHERE id >= ?1 ORDER BY id LIMIT 1), \
             (SELECT exchange_id FROM {rows} WHERE id <= ?2 ORDER BY id DESC LIMIT 1)"
        ))?
        .query_row((first, last), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(first), Some(last)) = ends else {
        return Ok(None);
    };
    let worth = (last - first) / APART <= ids.len() as i64;
    Ok(worth.then_some((first, last)))
}

/// Deletes what goes from the first to the last of `ids`, and of `exchanges`.
fn delete_stretch(
    connection: &Connection,
    number: i64,
    rows: &str,
    ids: &[i64],
    exchanges: (i64, i64),
) -> rusqlite::Result<u64> {
    connection
        .prepare_cached(
            "DELETE FROM exchange_data \
             WHERE id BETWEEN ?1 AND ?2 AND model = ?3 AND rows = 1 AND goes(row_id)",
        )?
        .execute((exchanges.0, exchanges.1, number))?;
    let gone = connection
        .prepare_cached(&format!(
            "DELETE FROM {rows} WHERE id BETWEEN ?1 AND ?2 AND goes(id)"
        ))?
        .execute((ids.first(), ids.last()))?;
    connection
        .prepare_cached(&format!(
            "DELETE FROM exchange_data WHERE id BETWEEN ?1 AND ?2 AND model = ?3 AND rows > 1 {}",
            without_rows(number)
        ))?
        .execute((exchanges.0, exchanges.1, number))?;
    Ok(gone as u64)
}

/// Deletes rows one by one.
fn delete_each(
    connection: &Connection,
    number: i64,
    rows: &str,
    ids: &[i64],
) -> rusqlite::Result<u64> {
    let mut row = connection.prepare_cached(&format!(
        "DELETE FROM {rows} WHERE id = ?1 RETURNING CASE checked WHEN {WITH_EXCHANGE} THEN NULL ELSE exchange_id END"
    ))?;
    let mut exchange = connection.prepare_cached(&format!(
        "DELETE FROM exchange_data WHERE id = ?1 {}",
        without_rows(number)
    ))?;
    let mut gone = 0;
    for id in ids {
        let of: Option<Option<i64>> = row.query_row([id], |row| row.get(0)).optional()?;
        gone += u64::from(of.is_some());
        if let Some(of) = of.flatten() {
            exchange.execute([of])?;
        }
    }
    Ok(gone)
}

/// Of an exchange, that none of its rows is left, wherever they were.
fn without_rows(number: i64) -> String {
    let none = |rows| {
        format!(
            "AND NOT EXISTS (SELECT 1 FROM {rows} r WHERE r.id >= row_id AND r.id < row_id + rows)"
        )
    };
    generations::names(number).map(none).join(" ")
}
