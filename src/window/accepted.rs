//! What a person has accepted as the new normal: who, why, when, and how it ended.

use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::drift::accept::{Acceptance, End, Ended, Terms};
use crate::timestamp::Timestamp;

use super::history::test_named;

/// Takes in acceptances that ended and those that are new, in one transaction.
pub(super) fn save(
    connection: &Connection,
    number: i64,
    ended: &[Ended],
    fresh: &[Acceptance],
) -> rusqlite::Result<()> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    {
        let mut end = transaction.prepare_cached(
            "UPDATE accepted_data SET ended = ?4, end_reason = ?5, ended_by = ?6 \
             WHERE model = ?1 AND \"column\" = ?2 AND test = ?3 AND ended IS NULL",
        )?;
        for gone in ended {
            let (test, why) = (gone.test.as_str(), gone.why.as_str());
            end.execute((number, &gone.feature, test, gone.at.0, why, &gone.by))?;
        }
        let mut begin = transaction.prepare_cached(
            "INSERT INTO accepted_data (model, \"column\", test, effect, \"by\", reason, since, until) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        for new in fresh {
            begin.execute((
                number,
                &new.feature,
                new.test.as_str(),
                new.effect,
                &new.by,
                &new.reason,
                new.at.0,
                new.until.0,
            ))?;
        }
    }
    transaction.commit()
}

/// Ends all of a model's, as its reference or version does by changing.
pub(super) fn end_all(
    connection: &Connection,
    number: i64,
    why: End,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE accepted_data SET ended = ?2, end_reason = ?3, ended_by = '' \
         WHERE model = ?1 AND ended IS NULL",
        (number, now.0, why.as_str()),
    )?;
    Ok(())
}

/// Those in force. Those of tests this driftd does not know are left out.
pub(super) fn in_force(connection: &Connection, number: i64) -> rusqlite::Result<Vec<Acceptance>> {
    let mut statement = connection.prepare(
        "SELECT \"column\", test, effect, \"by\", reason, since, until FROM accepted_data \
         WHERE model = ?1 AND ended IS NULL ORDER BY id",
    )?;
    let mut rows = statement.query([number])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let word: String = row.get(1)?;
        let Some(test) = test_named(&word) else {
            tracing::warn!(test = word, "The acceptance of an unknown test is left out");
            continue;
        };
        let (since, until): (i64, i64) = (row.get(5)?, row.get(6)?);
        let terms = Terms {
            by: row.get(3)?,
            reason: row.get(4)?,
            length: Duration::from_millis(until.saturating_sub(since).unsigned_abs()),
        };
        let (column, effect) = (row.get(0)?, row.get(2)?);
        found.push(Acceptance::new(
            column,
            test,
            effect,
            &terms,
            Timestamp(since),
        ));
    }
    Ok(found)
}

/// Forgets those that ended before `cutoff`.
pub(super) fn forget(connection: &Connection, cutoff: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM accepted_data WHERE ended < ?1")?
        .execute([cutoff.0])?;
    Ok(())
}
