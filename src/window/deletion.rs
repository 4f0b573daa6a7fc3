//! Deleting rows, and the exchanges that have none left.
//!
//! What goes lies close together, as a rule: thinning leaves one row in ten or twenty. So a stretch of the
//! table is walked once, and the SQL function `doomed` says of each row whether it goes: a third less
//! time than one statement for each row and one for its exchange.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::layout::table;

/// Ids further apart are not of one stretch: rows between them would be walked for nothing.
const APART: i64 = 64;

/// The ids of the rows that go, ascending, as the function `doomed` of one connection sees them.
#[derive(Debug, Clone, Default)]
pub(super) struct Doomed(Arc<Mutex<Vec<i64>>>);

// === impl Doomed ===

impl Doomed {
    /// Gives `connection` the function.
    pub(super) fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let doomed = Self::default();
        let asked = doomed.clone();
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
        connection.create_scalar_function("doomed", 1, flags, move |context| {
            let id: Option<i64> = context.get(0)?;
            Ok(id.is_some_and(|id| asked.ids().binary_search(&id).is_ok()))
        })?;
        Ok(doomed)
    }

    /// Deletes the rows with these ids (ascending) of the model with this number, in one transaction;
    /// how many there were.
    pub(super) fn delete(
        &self,
        connection: &Connection,
        number: i64,
        ids: &[i64],
    ) -> rusqlite::Result<u64> {
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let mut gone = 0;
        for stretch in ids.chunk_by(|id, next| next - id <= APART) {
            stretch.clone_into(&mut self.ids());
            gone += delete_stretch(&transaction, number, stretch)?;
        }
        transaction.commit()?;
        Ok(gone)
    }

    fn ids(&self) -> MutexGuard<'_, Vec<i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Deletes what is doomed from the first to the last of `ids`.
fn delete_stretch(connection: &Connection, number: i64, ids: &[i64]) -> rusqlite::Result<u64> {
    let ([first, ..], [.., last]) = (ids, ids) else {
        return Ok(0);
    };
    let rows = table(number);
    // Rows and exchanges are numbered in the same order.
    let exchanges: (Option<i64>, Option<i64>) = connection
        .prepare_cached(&format!(
            "SELECT min(exchange_id), max(exchange_id) FROM {rows} WHERE id IN (?1, ?2)"
        ))?
        .query_row((first, last), |row| Ok((row.get(0)?, row.get(1)?)))?;
    connection
        .prepare_cached(
            "DELETE FROM exchange_data \
             WHERE id BETWEEN ?1 AND ?2 AND model = ?3 AND rows = 1 AND doomed(row_id)",
        )?
        .execute((exchanges.0, exchanges.1, number))?;
    let gone = connection
        .prepare_cached(&format!(
            "DELETE FROM {rows} WHERE id BETWEEN ?1 AND ?2 AND doomed(id)"
        ))?
        .execute((first, last))?;
    connection
        .prepare_cached(&format!(
            "DELETE FROM exchange_data WHERE id BETWEEN ?1 AND ?2 AND model = ?3 AND rows > 1 \
             AND NOT EXISTS (SELECT 1 FROM {rows} r WHERE r.id >= row_id AND r.id < row_id + rows)"
        ))?
        .execute((exchanges.0, exchanges.1, number))?;
    Ok(gone as u64)
}
