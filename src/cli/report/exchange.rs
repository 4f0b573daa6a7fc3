//! One exchange with its rows, by the id the client saw.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value as Stored;
use serde_json::{Map, Value};

use super::super::render::{aligned, plain};
use crate::window::{Error, Window};

/// Exchanges shown of one id: a client may use it again.
const SHOWN: usize = 20;

/// Rows shown of one exchange; the JSON has up to this many as well.
const ROWS: i64 = 1000;

/// One exchange.
#[derive(Debug)]
pub(super) struct Found {
    /// The columns of the view `exchanges`.
    exchange: Vec<(String, Stored)>,
    /// The names of its rows' columns.
    head: Vec<String>,
    /// Those of its rows that retention has left.
    rows: Vec<Vec<Stored>>,
}

/// The exchanges with this request id or trace id, newest first.
pub(super) fn read(path: &Path, id: &str) -> Result<Vec<Found>, Error> {
    Window::read_offline(path, |connection| {
        let _transaction = connection.unchecked_transaction()?;
        let mut statement = connection.prepare(
            "SELECT * FROM exchanges WHERE request_id = ?1 OR trace_id = ?1 ORDER BY id DESC LIMIT ?2",
        )?;
        let names = names(&statement);
        let mut exchanges = statement.query((id, SHOWN as i64))?;
        let mut found = Vec::new();
        while let Some(row) = exchanges.next()? {
            let cells = (names.iter().enumerate())
                .map(|(at, name)| Ok((name.clone(), row.get(at)?)))
                .collect::<rusqlite::Result<_>>()?;
            let first: Option<i64> = row.get("row_id")?;
            let mut one = Found {
                exchange: cells,
                head: Vec::new(),
                rows: Vec::new(),
            };
            if let Some(first) = first {
                one.rows(
                    connection,
                    &row.get::<_, String>("model")?,
                    first,
                    row.get("rows")?,
                )?;
            }
            found.push(one);
        }
        Ok(found)
    })
}

pub(super) fn table(found: &[Found]) -> String {
    let mut text = String::new();
    for one in found {
        if !text.is_empty() {
            text.push('\n');
        }
        let facts: Vec<Vec<String>> = (one.exchange.iter())
            .map(|(name, value)| vec![plain(name), shown(value)])
            .collect();
        aligned(&mut text, &facts);
        text.push('\n');
        if one.rows.is_empty() {
            text.push_str("No rows: see outcome and reason; or retention has taken them.\n");
            continue;
        }
        let mut grid = vec![one.head.iter().map(|name| plain(name)).collect()];
        grid.extend(one.rows.iter().map(|row| row.iter().map(shown).collect()));
        aligned(&mut text, &grid);
    }
    text
}

pub(super) fn json(found: &[Found]) -> Value {
    let one = |one: &Found| {
        let mut object: Map<String, Value> = (one.exchange.iter())
            .map(|(name, value)| (name.clone(), cell(name, value)))
            .collect();
        let rows = one.rows.iter().map(|row| {
            let cells = one.head.iter().zip(row);
            let cells: Map<_, _> = cells
                .map(|(name, value)| (name.clone(), cell("", value)))
                .collect();
            Value::Object(cells)
        });
        object.insert("row_values".to_owned(), rows.collect());
        Value::Object(object)
    };
    found.iter().map(one).collect()
}

// === impl Found ===

impl Found {
    /// Reads the rows, whose ids are contiguous.
    fn rows(
        &mut self,
        connection: &Connection,
        model: &str,
        first: i64,
        count: i64,
    ) -> rusqlite::Result<()> {
        let view = "SELECT \"view\" FROM models WHERE name = ?1";
        let view: String = connection.query_row(view, [model], |row| row.get(0))?;
        let view = view.replace('"', "\"\"");
        let mut statement = connection.prepare(&format!(
            "SELECT * FROM \"{view}\" WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3"
        ))?;
        self.head = names(&statement);
        let width = self.head.len();
        let rows = statement.query_map((first, first.saturating_add(count), ROWS), |row| {
            (0..width).map(|at| row.get(at)).collect()
        })?;
        self.rows = rows.collect::<rusqlite::Result<_>>()?;
        Ok(())
    }
}

fn names(statement: &rusqlite::Statement<'_>) -> Vec<String> {
    let names = statement.column_names();
    names.into_iter().map(str::to_owned).collect()
}

fn shown(value: &Stored) -> String {
    match value {
        Stored::Null => "-".to_owned(),
        Stored::Integer(number) => number.to_string(),
        Stored::Real(number) => number.to_string(),
        Stored::Text(text) => plain(text),
        Stored::Blob(bytes) => plain(&String::from_utf8_lossy(bytes)),
    }
}

/// A value for JSON, which knows no infinity; headers are JSON themselves.
fn cell(name: &str, value: &Stored) -> Value {
    match value {
        Stored::Null => Value::Null,
        Stored::Integer(number) => (*number).into(),
        Stored::Real(number) if number.is_infinite() => number.to_string().into(),
        Stored::Real(number) => (*number).into(),
        Stored::Text(text) if name == "headers" => {
            serde_json::from_str(text).unwrap_or(Value::Null)
        }
        Stored::Text(text) => text.as_str().into(),
        Stored::Blob(bytes) => String::from_utf8_lossy(bytes).into(),
    }
}
