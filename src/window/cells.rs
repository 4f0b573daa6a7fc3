//! Cells in SQLite: which storage class holds what, and the JSON column for very wide models.
//!
//! Columns have no declared type, so nothing is converted: a number is REAL (bit for bit, ±∞
//! included), a string TEXT, missing NULL, and a boolean INTEGER 0 or 1. As no number is ever stored as
//! INTEGER, every cell reads back as what it was. In `rest` booleans are JSON's own, and ±∞, which
//! JSON has no number for, are `["inf"]` and `["-inf"]`.

use rusqlite::Statement;
use rusqlite::types::{Null, ValueRef};
use serde_json::{Map, Value};

use crate::feature::Cell;

/// Binds `cell` to the parameter at `index`.
pub(super) fn bind(
    statement: &mut Statement<'_>,
    index: usize,
    cell: &Cell,
) -> rusqlite::Result<()> {
    match cell {
        Cell::Missing => statement.raw_bind_parameter(index, Null),
        Cell::Number(number) => statement.raw_bind_parameter(index, *number),
        Cell::Bool(truth) => statement.raw_bind_parameter(index, i64::from(*truth)),
        Cell::Text(text) => statement.raw_bind_parameter(index, text.as_ref()),
    }
}

/// The cell a stored value was.
pub(super) fn read(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Missing,
        ValueRef::Integer(integer) => Cell::Bool(integer != 0),
        ValueRef::Real(number) => Cell::number(number),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Cell::Text(String::from_utf8_lossy(bytes).into())
        }
    }
}

/// The JSON of the columns beyond the table's width; `None` where all of them are missing.
pub(super) fn write_rest<'a>(cells: impl Iterator<Item = (&'a str, &'a Cell)>) -> Option<String> {
    let json: Map<String, Value> = cells
        .filter_map(|(name, cell)| to_json(cell).map(|value| (name.to_owned(), value)))
        .collect();
    (!json.is_empty()).then(|| Value::Object(json).to_string())
}

/// The columns in the JSON `text`, by name.
pub(super) fn read_rest(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap_or_default()
}

/// The cell a JSON value of `rest` was.
pub(super) fn from_json(value: &Value) -> Cell {
    match value {
        Value::Bool(truth) => Cell::Bool(*truth),
        Value::Number(number) => number.as_f64().map_or(Cell::Missing, Cell::number),
        Value::String(text) => Cell::Text(text.as_str().into()),
        Value::Array(values) => match values.first().and_then(Value::as_str) {
            Some("inf") => Cell::Number(f64::INFINITY),
            Some("-inf") => Cell::Number(f64::NEG_INFINITY),
            _ => Cell::Missing,
        },
        Value::Null | Value::Object(_) => Cell::Missing,
    }
}

/// About how many bytes `cell` takes in a row.
pub(super) fn size(cell: &Cell) -> u64 {
    match cell {
        Cell::Missing | Cell::Bool(_) => 1,
        Cell::Number(_) => 9,
        Cell::Text(text) => text.len() as u64 + 2,
    }
}

fn to_json(cell: &Cell) -> Option<Value> {
    Some(match cell {
        Cell::Missing => return None,
        Cell::Number(number) if *number == f64::INFINITY => vec!["inf"].into(),
        Cell::Number(number) if *number == f64::NEG_INFINITY => vec!["-inf"].into(),
        Cell::Number(number) => Value::from(*number),
        Cell::Bool(truth) => Value::Bool(*truth),
        Cell::Text(text) => Value::String(text.to_string()),
    })
}
