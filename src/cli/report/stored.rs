//! What a window's views hold, read in short transactions: a live driftd may be writing.

use std::path::Path;

use rusqlite::{Connection, Row};

use super::super::progress::Progress;
use super::history;
use crate::drift::report::{CheckReport, Level, SpanName, State};
use crate::feature::Role;
use crate::model::ModelName;
use crate::timestamp::Timestamp;
use crate::window::{Error, Window};

/// A window's content.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// In the order they came to be.
    pub(super) models: Vec<Model>,
    /// Lines of the last checks whose test or state this driftd does not know.
    pub(super) unknown: usize,
}

/// What is held of one model.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) name: ModelName,
    pub(super) rows: u64,
    pub(super) oldest: Option<Timestamp>,
    pub(super) newest: Option<Timestamp>,
    /// The one in force.
    pub(super) reference: Option<Reference>,
    /// All of them, newest first.
    pub(super) references: Vec<Reference>,
    /// Names and roles of its columns, in the order of the schema.
    pub(super) columns: Vec<(String, Role)>,
    pub(super) evaluated_at: Option<Timestamp>,
    pub(super) checked_at: Option<Timestamp>,
    /// What the last check found, in its order.
    pub(super) checks: Vec<Found>,
    pub(super) alarms: Vec<Standing>,
    /// Newest first.
    pub(super) verdicts: Vec<Verdict>,
    /// Newest first, those of all models among them.
    pub(super) gaps: Vec<Gap>,
}

/// A reference and version, as they came into force.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub(super) version: String,
    pub(super) hash: Option<String>,
    pub(super) since: Timestamp,
}

/// One test of the last check.
#[derive(Debug)]
pub(super) struct Found {
    /// The column; empty for tests over all of them.
    pub(super) column: String,
    /// Its role; `None` for tests over all columns.
    pub(super) role: Option<Role>,
    pub(super) check: CheckReport,
}

/// An alarm that stands.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) column: String,
    pub(super) test: String,
    pub(super) span: String,
    pub(super) since: Timestamp,
}

/// A verdict that differs from the one before it.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) time: Timestamp,
    pub(super) column: String,
    pub(super) test: String,
    pub(super) span: String,
    pub(super) drifted: bool,
    pub(super) statistic: Option<f64>,
    pub(super) threshold: Option<f64>,
}

/// A time in which exchanges were not captured.
#[derive(Debug)]
pub(super) struct Gap {
    /// Whether it is this model's alone.
    pub(super) model: bool,
    pub(super) started_at: Timestamp,
    pub(super) ended_at: Timestamp,
    pub(super) reason: String,
    pub(super) exchanges: Option<u64>,
}

/// Reads the window file at `path`.
pub(super) fn read(path: &Path, progress: &Progress) -> Result<Stored, Error> {
    Window::read_offline(path, |connection| {
        let mut stored = {
            // What belongs together is read together.
            let _transaction = connection.unchecked_transaction()?;
            now(connection)?
        };
        history::read(connection, &mut stored.models, progress)?;
        Ok(stored)
    })
}

/// What holds now.
fn now(connection: &Connection) -> rusqlite::Result<Stored> {
    let mut stored = Stored::default();
    let mut models =
        connection.prepare("SELECT id, name, \"view\", evaluated_at FROM models ORDER BY id")?;
    let mut rows = models.query(())?;
    while let Some(row) = rows.next()? {
        let (number, name): (i64, String) = (row.get(0)?, row.get(1)?);
        // driftd writes no other names.
        let Some(name) = ModelName::parse(&name) else {
            continue;
        };
        let evaluated_at: Option<i64> = row.get(3)?;
        let (rows, oldest, newest) = extent(connection, &row.get::<_, String>(2)?)?;
        let references = references(connection, name.as_str())?;
        let last = last_check(connection, name.as_str(), &mut stored.unknown)?;
        stored.models.push(Model {
            rows,
            oldest,
            newest,
            reference: references.first().cloned(),
            references,
            columns: columns(connection, number)?,
            evaluated_at: evaluated_at.map(Timestamp),
            checked_at: last.0,
            checks: last.1,
            alarms: alarms(connection, name.as_str())?,
            verdicts: Vec::new(),
            gaps: gaps(connection, name.as_str())?,
            name,
        });
    }
    Ok(stored)
}

type Extent = (u64, Option<Timestamp>, Option<Timestamp>);

/// How many rows a model's view has, and the times of the first and the last one stored.
fn extent(connection: &Connection, view: &str) -> rusqlite::Result<Extent> {
    let view = format!("\"{}\"", view.replace('"', "\"\""));
    let sql = format!("SELECT count(*) FROM {view}");
    let rows: i64 = connection.query_row(&sql, (), |row| row.get(0))?;
    let at = |order: &str| -> rusqlite::Result<Option<Timestamp>> {
        let sql = format!("SELECT time FROM {view} ORDER BY id {order} LIMIT 1");
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.query(())?;
        rows.next()?.map(|row| time(row, 0)).transpose()
    };
    Ok((rows.unsigned_abs(), at("ASC")?, at("DESC")?))
}

fn columns(connection: &Connection, number: i64) -> rusqlite::Result<Vec<(String, Role)>> {
    let mut statement =
        connection.prepare("SELECT name, role FROM columns WHERE model = ?1 ORDER BY position")?;
    let rows = statement.query_map([number], |row| {
        let role: String = row.get(1)?;
        Ok((row.get(0)?, role_named(&role).unwrap_or(Role::Feature)))
    })?;
    rows.collect()
}

fn references(connection: &Connection, model: &str) -> rusqlite::Result<Vec<Reference>> {
    let mut statement = connection.prepare(
        "SELECT version, hash, since FROM \"references\" WHERE model = ?1 \
         ORDER BY since DESC, first_row DESC",
    )?;
    let rows = statement.query_map([model], |row| {
        Ok(Reference {
            version: row.get(0)?,
            hash: row.get(1)?,
            since: time(row, 2)?,
        })
    })?;
    rows.collect()
}

/// The tests of the last check of each span, and when the newest was made. Ids rise with time, so
/// they stand at the end; a check stores the spans it decided over.
fn last_check(
    connection: &Connection,
    model: &str,
    unknown: &mut usize,
) -> rusqlite::Result<(Option<Timestamp>, Vec<Found>)> {
    // A window no newer driftd has opened yet does not have it.
    let bound = "SELECT count(*) FROM pragma_table_info('checks') WHERE name = 'lower_bound'";
    let held: i64 = connection.query_row(bound, (), |row| row.get(0))?;
    let bound = if held > 0 { "lower_bound" } else { "NULL" };
    let mut statement = connection.prepare(&format!(
        "SELECT time, \"column\", role, test, span, state, drifted, level, statistic, p_value, \
         log10_p, decision_p, threshold, n_reference, n_current, n_effective, location, sign, \
         effect, {bound} FROM checks WHERE model = ?1 AND span = ?2 ORDER BY id DESC",
    ))?;
    let mut newest = None;
    let mut found = Vec::new();
    for span in SpanName::ALL {
        let mut rows = statement.query((model, span.as_str()))?;
        let mut last = None;
        let mut of_span = Vec::new();
        while let Some(row) = rows.next()? {
            let at = time(row, 0)?;
            if *last.get_or_insert(at) != at {
                break;
            }
            match check(row)? {
                Some(check) => of_span.push(check),
                None => *unknown += 1,
            }
        }
        newest = newest.max(last);
        found.extend(of_span.into_iter().rev());
    }
    Ok((newest, found))
}

/// A line of the view `checks`; `None` where a newer driftd wrote it.
fn check(row: &Row<'_>) -> rusqlite::Result<Option<Found>> {
    let word = |at: usize| row.get::<_, String>(at);
    let [role, test, span] = [word(2)?, word(3)?, word(4)?];
    let [state, level] = [word(5)?, word(7)?];
    let levels = [Level::Ok, Level::Warn, Level::Alert];
    let known = (
        Window::stored_test(&test),
        Window::stored_span(&span),
        State::ALL.into_iter().find(|s| s.as_str() == state),
        levels.into_iter().find(|l| l.as_str() == level),
    );
    let (Some(test), Some(span), Some(state), Some(level)) = known else {
        return Ok(None);
    };
    let check = CheckReport {
        test,
        span,
        state,
        drifted: row.get(6)?,
        level,
        statistic: row.get(8)?,
        p_value: row.get(9)?,
        log10_p: row.get(10)?,
        decision_p: row.get(11)?,
        threshold: row.get(12)?,
        n_reference: count(row, 13)?,
        n_current: count(row, 14)?,
        n_effective: row.get::<_, Option<f64>>(15)?.unwrap_or_default(),
        location: row.get(16)?,
        sign: row.get(17)?,
        effect: row.get(18)?,
        lower_bound: row.get(19)?,
        error_bound: None,
        adjusted_p: None,
    };
    Ok(Some(Found {
        column: row.get(1)?,
        role: role_named(&role),
        check,
    }))
}

fn alarms(connection: &Connection, model: &str) -> rusqlite::Result<Vec<Standing>> {
    let mut statement = connection.prepare(
        "SELECT \"column\", test, span, since FROM alarms WHERE model = ?1 AND drifted \
         ORDER BY since, \"column\", test, span",
    )?;
    let rows = statement.query_map([model], |row| {
        Ok(Standing {
            column: row.get(0)?,
            test: row.get(1)?,
            span: row.get(2)?,
            since: time(row, 3)?,
        })
    })?;
    rows.collect()
}

fn gaps(connection: &Connection, model: &str) -> rusqlite::Result<Vec<Gap>> {
    let mut statement = connection.prepare(
        "SELECT model IS NOT NULL, started_at, ended_at, reason, exchanges FROM gaps \
         WHERE model = ?1 OR model IS NULL ORDER BY started_at DESC",
    )?;
    let rows = statement.query_map([model], |row| {
        Ok(Gap {
            model: row.get(0)?,
            started_at: time(row, 1)?,
            ended_at: time(row, 2)?,
            reason: row.get(3)?,
            exchanges: row.get::<_, Option<i64>>(4)?.map(i64::unsigned_abs),
        })
    })?;
    rows.collect()
}

/// A time as the views write it, RFC 3339.
pub(super) fn time(row: &Row<'_>, at: usize) -> rusqlite::Result<Timestamp> {
    let text: String = row.get(at)?;
    humantime::parse_rfc3339(&text)
        .map(Timestamp::from)
        .map_err(|error| {
            let text = rusqlite::types::Type::Text;
            rusqlite::Error::FromSqlConversionFailure(at, text, Box::new(error))
        })
}

/// A count; the views hold no negative ones.
fn count(row: &Row<'_>, at: usize) -> rusqlite::Result<usize> {
    let count: i64 = row.get(at)?;
    Ok(usize::try_from(count).unwrap_or(0))
}

fn role_named(word: &str) -> Option<Role> {
    [Role::Feature, Role::Output]
        .into_iter()
        .find(|role| role.as_str() == word)
}
