//! The last decisions about each column and what happened meanwhile, as the page shows them.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::{Connection, Row};

use crate::drift::history::{
    Decisions, Event, Happened, MOST_EVENTS, Point, is_drawn, single, worth_reading,
};
use crate::drift::report::State;
use crate::timestamp::Timestamp;

use super::super::{Error, Window, history};
use super::Reader;

/// The newest decisions about one column over the main span, from the index `check_data_main`.
pub(in crate::window) const DECISIONS: &str = "SELECT time, test, drifted, statistic, threshold, state FROM check_data \
     WHERE model = ?1 AND \"column\" = ?2 \
     AND span = 'main' AND test IN ('ks', 'chi2', 'range', 'missing', 'type') \
     ORDER BY time DESC";

/// One more than is shown, for what the oldest of them replaced.
const REFERENCES: &str = "SELECT since, version, hash FROM reference_data WHERE model = ?1 \
     ORDER BY id DESC LIMIT ?2 + 1";

/// Acceptances and their ends of one deed are one event: rows of one time and equal words follow each
/// other.
const ACCEPTED: &str = "SELECT since, \"column\", \"by\", reason FROM accepted_data \
     WHERE model = ?1 ORDER BY since DESC, \"by\", reason, id LIMIT ?2";

const ENDED: &str = "SELECT ended, \"column\", coalesce(end_reason, ''), coalesce(ended_by, '') \
     FROM accepted_data WHERE model = ?1 AND ended IS NOT NULL \
     ORDER BY ended DESC, end_reason, ended_by, id LIMIT ?2";

/// Rows read of either: every test of a column is accepted by itself, and a model may be accepted as a
/// whole.
const MOST_ACCEPTED: i64 = 20_000;

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
                for point in &mut points {
                    // Another test of the column may stand drifted.
                    point.accepted &= point.drifted != Some(true);
                }
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
            events.extend(deeds(
                connection,
                ACCEPTED,
                number,
                |columns, [by, reason]| Happened::Accepted {
                    columns,
                    by,
                    reason,
                },
            )?);
            events.extend(deeds(connection, ENDED, number, |columns, [why, by]| {
                Happened::AcceptanceEnded { columns, why, by }
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
            Ok(events)
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
            accepted: false,
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
    point.accepted |= row.get::<_, String>(5)? == State::Accepted.as_str();
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

/// The newest acceptances or ends of them: time, column and two words each; [`MOST_EVENTS`] deeds.
fn deeds(
    connection: &Connection,
    sql: &str,
    number: i64,
    what: impl Fn(Vec<String>, [String; 2]) -> Happened,
) -> rusqlite::Result<Vec<Event>> {
    type Deed = (Timestamp, [String; 2], Vec<String>);
    let mut deeds: Vec<Deed> = Vec::new();
    let mut known = HashSet::new();
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query((number, MOST_ACCEPTED))?;
    while let Some(row) = rows.next()? {
        let (time, column) = (Timestamp(row.get(0)?), row.get::<_, String>(1)?);
        let words = [row.get(2)?, row.get(3)?];
        let same = |deed: &&Deed| (deed.0, &deed.1) == (time, &words);
        if deeds.last().filter(same).is_none() {
            if deeds.len() == MOST_EVENTS {
                break;
            }
            known.clear();
            deeds.push((time, words, Vec::new()));
        }
        if let Some((.., columns)) = deeds.last_mut()
            && known.insert(column.clone())
        {
            columns.push(column);
        }
    }
    let event = |(time, words, columns)| Event {
        time,
        what: what(columns, words),
    };
    Ok(deeds.into_iter().map(event).collect())
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
