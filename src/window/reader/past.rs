//! The last decisions about each column and what happened meanwhile, as the page shows them.

use std::sync::Arc;

use rusqlite::{Connection, Row};

use crate::drift::history::{
    Decisions, Event, Happened, MOST_EVENTS, Point, is_drawn, single, worth_reading,
};
use crate::timestamp::Timestamp;

use super::super::{Error, Window, history};
use super::Reader;

/// The newest decisions about one column over the main span, from the index `check_data_main`.
pub(in crate::window) const DECISIONS: &str = "SELECT time, test, drifted, statistic, threshold FROM check_data \
     WHERE model = ?1 AND \"column\" = ?2 \
     AND span = 'main' AND test IN ('ks', 'chi2', 'range', 'missing', 'type') \
     ORDER BY time DESC";

/// One more than is shown, for what the oldest of them replaced.
const REFERENCES: &str = "SELECT since, version, hash FROM reference_data WHERE model = ?1 \
     ORDER BY id DESC LIMIT ?2 + 1";

const ACCEPTED: &str = "SELECT since, \"column\", \"by\", reason FROM accepted_data \
     WHERE model = ?1 ORDER BY id DESC LIMIT ?2";

const ENDED: &str = "SELECT ended, \"column\", end_reason, ended_by FROM accepted_data \
     WHERE model = ?1 AND ended IS NOT NULL ORDER BY ended DESC LIMIT ?2";

/// Gaps of the model, and of the whole process.
const GAPS: &str = "SELECT started_at, ended_at, reason, exchanges FROM gap_data \
     WHERE model = ?1 OR model IS NULL ORDER BY id DESC LIMIT ?2";

// === impl Window ===

impl Window {
    /// The last decisions about each of `columns` over the main span, oldest first, whatever the version
    /// and the reference; columns that were never decided are left out.
    ///
    /// # Errors
    /// SQLite refused.
    pub fn decisions(&self, model: usize, columns: &[Arc<str>]) -> Result<Vec<Decisions>, Error> {
        self.shared.reader.decisions(model, columns)
    }

    /// What happened to a model, oldest first: versions, references, acceptances, gaps; at most
    /// [`MOST_EVENTS`] of each.
    ///
    /// # Errors
    /// SQLite refused.
    pub fn events(&self, model: usize) -> Result<Vec<Event>, Error> {
        self.shared.reader.events(model)
    }
}

// === impl Reader ===

impl Reader {
    fn decisions(&self, model: usize, columns: &[Arc<str>]) -> Result<Vec<Decisions>, Error> {
        let most = worth_reading(columns.len());
        self.with(model, |connection, source| {
            let mut statement = connection.prepare(DECISIONS)?;
            let mut found = Vec::new();
            for column in columns {
                let mut points: Vec<Point> = Vec::new();
                let mut rows = statement.query((source.layout.number, &**column))?;
                while let Some(row) = rows.next()? {
                    if !take(row, &mut points, most)? {
                        break;
                    }
                }
                points.reverse();
                if !points.is_empty() {
                    let column = Arc::clone(column);
                    found.push(Decisions { column, points });
                }
            }
            Ok(found)
        })
    }

    fn events(&self, model: usize) -> Result<Vec<Event>, Error> {
        self.with(model, |connection, source| {
            let number = source.layout.number;
            let mut events = references(connection, number)?;
            events.extend(all(connection, ACCEPTED, number, |row| {
                let (column, by, reason) = (row.get(1)?, row.get(2)?, row.get(3)?);
                Ok(Happened::Accepted { column, by, reason })
            })?);
            events.extend(all(connection, ENDED, number, |row| {
                let by: Option<String> = row.get(3)?;
                Ok(Happened::AcceptanceEnded {
                    column: row.get(1)?,
                    why: row.get::<_, Option<String>>(2)?.unwrap_or_default(),
                    by: by.unwrap_or_default(),
                })
            })?);
            events.extend(all(connection, GAPS, number, |row| {
                let exchanges: Option<i64> = row.get(3)?;
                Ok(Happened::Gap {
                    ended: Timestamp(row.get(1)?),
                    reason: row.get(2)?,
                    exchanges: exchanges.map(i64::unsigned_abs),
                })
            })?);
            events.sort_by_key(|event| event.time);
            // Each test of a column is accepted by itself; who reads it accepted the column.
            let mut told: Vec<Event> = Vec::with_capacity(events.len());
            for event in events {
                if !told.contains(&event) {
                    told.push(event);
                }
            }
            Ok(told)
        })
    }
}

/// Takes in one test, newest first; tests of one decision are one point. False where there are
/// enough.
fn take(row: &Row<'_>, points: &mut Vec<Point>, most: usize) -> rusqlite::Result<bool> {
    let time = Timestamp(row.get(0)?);
    let word: String = row.get(1)?;
    // The query asks for known tests only.
    let Some(test) = history::test_named(&word) else {
        return Ok(true);
    };
    if points.last().is_none_or(|point| point.time != time) {
        if points.len() == most {
            return Ok(false);
        }
        points.push(Point {
            time,
            test,
            drifted: None,
            statistic: None,
            threshold: None,
        });
    }
    let Some(point) = points.last_mut() else {
        return Ok(true);
    };
    let drifted: Option<bool> = row.get(2)?;
    if drifted == Some(true) {
        point.drifted = drifted;
    }
    if is_drawn(test) {
        point.test = test;
        point.drifted = point.drifted.or(drifted);
        point.statistic = row.get::<_, Option<f64>>(3)?.map(single);
        point.threshold = row.get::<_, Option<f64>>(4)?.map(single);
    }
    Ok(true)
}

/// Versions and references that came into force, newest first.
fn references(connection: &Connection, number: i64) -> rusqlite::Result<Vec<Event>> {
    type Known = (Timestamp, String, Option<String>);
    let mut statement = connection.prepare_cached(REFERENCES)?;
    let known: Vec<Known> = statement
        .query_map((number, MOST_EVENTS as i64), |row| {
            Ok((Timestamp(row.get(0)?), row.get(1)?, row.get(2)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let events = known.iter().enumerate().take(MOST_EVENTS);
    let events = events.map(|(index, (time, version, hash))| {
        let before = known.get(index + 1);
        let previous = before.filter(|(_, previous, _)| previous != version);
        Event {
            time: *time,
            what: Happened::Reference {
                version: version.clone(),
                previous_version: previous.map(|(_, previous, _)| previous.clone()),
                hash: hash.clone(),
                reference_changed: before.is_some_and(|(_, _, previous)| previous != hash),
                first: before.is_none(),
            },
        }
    });
    Ok(events.collect())
}

/// What `sql` finds, its time in the first column.
fn all(
    connection: &Connection,
    sql: &str,
    number: i64,
    what: impl Fn(&Row<'_>) -> rusqlite::Result<Happened>,
) -> rusqlite::Result<Vec<Event>> {
    let mut statement = connection.prepare(sql)?;
    let events = statement.query_map((number, MOST_EVENTS as i64), |row| {
        let time = Timestamp(row.get(0)?);
        Ok(Event {
            time,
            what: what(row)?,
        })
    })?;
    events.collect()
}
