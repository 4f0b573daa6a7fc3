//! Real SQLite files in temporary directories; nothing sleeps.

use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::*;
use crate::exchange::{CapturedBody, DropReason, Ending};
use crate::feature::{Cell, Column, Role};

mod accepted;
mod announced;
mod frozen;
mod generations;
mod past;
mod recovery;
mod retention;
mod storage;
mod upgrade;

const T0: i64 = 1_700_000_000_000;

/// A directory with one window in it, closed and opened again at will.
struct Fixture {
    dir: TempDir,
    config: Config,
    specs: Vec<ModelSpec>,
}

impl Fixture {
    fn new(specs: Vec<ModelSpec>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            path: dir.path().join("w.db"),
            keep_rows: 1_000_000,
            keep_for: Duration::from_secs(30 * 86_400),
            max_bytes: 1 << 30,
        };
        Self { dir, config, specs }
    }

    fn open(&self, now: i64) -> Opened {
        Window::open(&self.config, &self.specs, Timestamp(now)).unwrap()
    }

    /// What a person with `sqlite3` sees.
    fn shell(&self) -> Connection {
        Connection::open_with_flags(&self.config.path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
    }

    fn query<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        self.shell().query_row(sql, (), |row| row.get(0)).unwrap()
    }
}

fn columns(names: &[&str]) -> Vec<Column> {
    let column = |name: &&str| Column {
        name: (*name).into(),
        role: Role::Feature,
        kind: None,
    };
    names.iter().map(column).collect()
}

fn spec(name: &str, features: &[&str], outputs: &[&str]) -> ModelSpec {
    ModelSpec {
        name: ModelName::parse(name).unwrap(),
        version: "v1".to_owned(),
        schema: Schema::new(columns(features), columns(outputs)),
        reference_hash: Some("cafe".to_owned()),
    }
}

fn iris() -> Vec<ModelSpec> {
    vec![spec("iris", &["a", "b"], &["prediction"])]
}

fn record(model: usize, time: i64, rows: Vec<Vec<Cell>>) -> Record {
    Record {
        exchange: Exchange {
            request_id: format!("r-{time}").into(),
            trace_id: None,
            model,
            started: Timestamp(time),
            method: "POST".into(),
            route: "/predict".into(),
            status: 200,
            total: Duration::from_micros(1500),
            upstream: Some(Duration::from_micros(1200)),
            request: CapturedBody {
                length: 64,
                ..CapturedBody::default()
            },
            response: CapturedBody::default(),
            headers: Default::default(),
            ending: Ending::Complete,
        },
        outcome: Outcome::Captured,
        reason: String::new(),
        rows: rows.into_iter().map(Into::into).collect(),
        checked: true,
    }
}

/// One exchange with one row for each of `times`.
fn stream(model: usize, times: impl Iterator<Item = i64>) -> Vec<Record> {
    let cells = |time: i64| vec![Cell::Number(time as f64), Cell::Number(0.1), Cell::Missing];
    times
        .map(|time| record(model, time, vec![cells(time)]))
        .collect()
}

fn ids(rows: &[StoredRow]) -> Vec<i64> {
    rows.iter().map(|row| row.id).collect()
}

impl Window {
    /// Runs `sql` on the writing connection, then waits until retention has nothing left to do.
    fn settle(&self, sql: &str) {
        let (reply, answer) = sync_channel(1);
        let sql = sql.to_owned();
        let message = writer::Message::Settle { sql, reply };
        self.send(message, &answer).unwrap().unwrap();
    }
}
