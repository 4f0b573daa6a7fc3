//! How an exchange is stored: its metadata, and what it takes.

use rusqlite::CachedStatement;

use super::opening::Next;
use super::{Record, cells, layout};
use crate::exchange::{CapturedHeader, CapturedHeaders};

/// Puts one exchange into its table, all columns in their order.
pub(super) const INSERT: &str =
    "INSERT INTO exchange_data VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";

/// What an exchange belongs to, by the file's numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) model: i64,
    pub(super) reference: i64,
}

/// Stores the metadata of one exchange.
pub(super) fn insert(
    statement: &mut CachedStatement<'_>,
    record: &Record,
    Place { model, reference }: Place,
    next: Next,
) -> rusqlite::Result<()> {
    let exchange = &record.exchange;
    let integer = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let micros = |d: std::time::Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
    statement.execute(rusqlite::params![
        next.exchange,
        exchange.request_id,
        exchange.trace_id,
        (!record.rows.is_empty()).then_some(next.row),
        integer(record.rows.len() as u64),
        exchange.started.0,
        model,
        reference,
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
    ])?;
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
