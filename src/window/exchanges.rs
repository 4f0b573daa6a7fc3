//! How an exchange is stored: its metadata, and what it takes.

use rusqlite::Statement;

use super::{Record, cells, layout};
use crate::exchange::{CapturedHeader, CapturedHeaders};

/// Puts exchanges into their table.
pub(super) const INTO: &str = "INSERT INTO exchange_data";

/// The columns of that table; all are given, in their order.
pub(super) const WIDTH: usize = 20;

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
    let integer = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let micros = |d: std::time::Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
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

/// The headers of an exchange as JSON; `None` where there are none.
fn headers(captured: &CapturedHeaders) -> Option<String> {
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
fn header_bytes(captured: &CapturedHeaders) -> usize {
    let each = captured.request.iter().chain(&captured.response);
    each.map(|header| header.name.len() + header.value.len() + 8)
        .sum()
}
