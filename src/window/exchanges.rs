//! How an exchange is stored: its metadata, and what it takes.
//!
//! The plain one, of one row and answered well, stands in its row: half the work for what is nearly all there
//! is. Every other has a row of its own in `exchange_data`. The view `exchanges` shows both alike.

use std::time::Duration;

use rusqlite::types::Null;
use rusqlite::{Connection, Statement};

use super::generations::{self, EXCHANGE_COLUMNS, WITH_EXCHANGE};
use super::layout::NewRow;
use super::{Record, cells, layout};
use crate::exchange::{CapturedHeader, CapturedHeaders, Outcome};

/// Puts exchanges into their table.
pub(super) const INTO: &str = "INSERT INTO exchange_data";

/// The columns of that table; all are given, in their order.
pub(super) const WIDTH: usize = 20;

/// SQLite joins no more than 500 in one statement by UNION.
const MOST_SELECTS: usize = 400;

/// One exchange on its way into the file, with the file's numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewExchange<'a> {
    /// What it is of.
    pub(super) record: &'a Record,
    /// Its own number.
    pub(super) id: i64,
    /// That of its first row, if it has any.
    pub(super) row: i64,
    /// That of its model.
    pub(super) model: i64,
    /// That of the reference in force.
    pub(super) reference: i64,
}

/// Binds the metadata of one exchange to the parameters after the first `before`.
pub(super) fn bind(
    statement: &mut Statement<'_>,
    before: usize,
    new: &NewExchange<'_>,
) -> rusqlite::Result<()> {
    let (record, exchange) = (new.record, &new.record.exchange);
    let values = rusqlite::params![
        new.id,
        exchange.request_id,
        exchange.trace_id,
        (!record.rows.is_empty()).then_some(new.row),
        integer(record.rows.len() as u64),
        exchange.started.0,
        new.model,
        new.reference,
        exchange.method,
        exchange.route,
        exchange.status,
        micros(exchange.total),
        exchange.upstream.map(micros),
        integer(exchange.request.length),
        integer(exchange.response.length),
        record.outcome.as_str(),
        record.reason,
        exchange.request.truncated,
        exchange.response.truncated,
        headers(&exchange.headers),
    ];
    for (index, value) in (before + 1..).zip(values) {
        statement.raw_bind_parameter(index, value)?;
    }
    Ok(())
}

/// All tables of the file that hold exchanges with their times.
pub(super) fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut tables = generations::all(connection)?;
    tables.push("exchange_data".to_owned());
    Ok(tables)
}

/// Renews the view of all exchanges, once the models' tables are there.
pub(super) fn make_view(connection: &Connection) -> rusqlite::Result<()> {
    let numbers: Vec<i64> = connection
        .prepare("SELECT id FROM models ORDER BY id")?
        .query_map((), |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let in_rows = |number: i64| {
        generations::names(number).map(|table| {
            format!(
                "SELECT exchange_id, request_id, trace_id, id, 1, time, {number}, reference, method, route, \
                 status, total_us, upstream_us, request_bytes, response_bytes, 'captured', '', 0, 0, headers \
                 FROM {table} WHERE checked = {WITH_EXCHANGE}"
            )
        })
    };
    let selects: Vec<String> = numbers.into_iter().flat_map(in_rows).collect();
    let apart = "SELECT id, request_id, trace_id, row_id, rows, time, model, reference, method, route, \
         status, total_us, upstream_us, request_bytes, response_bytes, outcome, reason, \
         request_truncated, response_truncated, headers FROM exchange_data";
    let groups = selects
        .chunks(MOST_SELECTS)
        .map(|group| group.join(" UNION ALL "));
    let all: Vec<String> = std::iter::once(apart.to_owned())
        .chain(groups.map(|group| format!("SELECT * FROM ({group})")))
        .collect();
    connection.execute_batch(&format!(
        "DROP VIEW IF EXISTS exchanges; \
         CREATE VIEW exchanges AS SELECT e.id, e.request_id, e.trace_id, e.row_id, e.rows, \
         strftime('%Y-%m-%dT%H:%M:%fZ', e.time / 1000.0, 'unixepoch') AS time, \
         m.name AS model, r.version AS version, e.method, e.route, e.status, e.total_us, e.upstream_us, \
         e.request_bytes, e.response_bytes, e.outcome, e.reason, \
         e.request_truncated, e.response_truncated, e.headers \
         FROM ({}) e LEFT JOIN models m ON m.id = e.model \
         LEFT JOIN reference_data r ON r.id = e.reference",
        all.join(" UNION ALL ")
    ))
}

/// Whether an exchange needs nothing that its row has no column for.
pub(super) fn stands_in_its_row(record: &Record) -> bool {
    let exchange = &record.exchange;
    record.rows.len() == 1
        && record.checked
        && record.outcome == Outcome::Captured
        && (200..300).contains(&exchange.status)
        && record.reason.is_empty()
        && !exchange.request.truncated
        && !exchange.response.truncated
}

/// Binds the metadata of the exchange that stands in a row to the parameters after the first `before`, in the
/// order of [`EXCHANGE_COLUMNS`]; NULL to each where it does not.
pub(super) fn bind_in_row(
    statement: &mut Statement<'_>,
    before: usize,
    new: &NewRow<'_>,
) -> rusqlite::Result<()> {
    let Some(reference) = new.reference else {
        return (1..=EXCHANGE_COLUMNS.len())
            .try_for_each(|at| statement.raw_bind_parameter(before + at, Null));
    };
    let exchange = &new.record.exchange;
    statement.raw_bind_parameter(before + 1, &*exchange.request_id)?;
    statement.raw_bind_parameter(before + 2, exchange.trace_id.as_deref())?;
    statement.raw_bind_parameter(before + 3, reference)?;
    statement.raw_bind_parameter(before + 4, &*exchange.method)?;
    statement.raw_bind_parameter(before + 5, &*exchange.route)?;
    statement.raw_bind_parameter(before + 6, exchange.status)?;
    statement.raw_bind_parameter(before + 7, micros(exchange.total))?;
    statement.raw_bind_parameter(before + 8, exchange.upstream.map(micros))?;
    statement.raw_bind_parameter(before + 9, integer(exchange.request.length))?;
    statement.raw_bind_parameter(before + 10, integer(exchange.response.length))?;
    statement.raw_bind_parameter(before + 11, headers(&exchange.headers))
}

fn integer(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// The headers of an exchange as JSON; `None` where there are none.
fn headers(captured: &CapturedHeaders) -> Option<String> {
    if captured.request.is_empty() && captured.response.is_empty() {
        return None;
    }
    let mut sides = serde_json::Map::new();
    for (side, headers) in [
        ("request", &captured.request),
        ("response", &captured.response),
    ] {
        let named = |header: &CapturedHeader| (header.name.to_string(), (*header.value).into());
        let object: serde_json::Map<_, _> = headers.iter().map(named).collect();
        if !object.is_empty() {
            sides.insert(side.to_owned(), object.into());
        }
    }
    (!sides.is_empty()).then(|| serde_json::Value::Object(sides).to_string())
}

/// About how many bytes a batch takes in the file.
pub(super) fn size(batch: &[Record]) -> u64 {
    let record = |record: &Record| {
        let exchange = &record.exchange;
        let texts = exchange.request_id.len()
            + exchange.trace_id.as_ref().map_or(0, |id| id.len())
            + exchange.method.len()
            + exchange.route.len()
            + record.reason.len()
            + header_bytes(&exchange.headers);
        let cells: u64 = record.rows.iter().flatten().map(cells::size).sum();
        let rows = record.rows.len() as u64 * layout::ROW_OVERHEAD;
        layout::EXCHANGE_OVERHEAD + texts as u64 + cells + rows
    };
    batch.iter().map(record).sum()
}

/// About what the headers of an exchange take.
pub(super) fn header_bytes(captured: &CapturedHeaders) -> usize {
    let each = captured.request.iter().chain(&captured.response);
    each.map(|header| header.name.len() + header.value.len() + 8)
        .sum()
}
