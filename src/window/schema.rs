//! Tables and views, and how an old file becomes a current one.
//!
//! Base tables have `_data` in their names and hold integers (times in milliseconds); a person reads the views
//! `exchanges`, `checks`, `alarms`, `accepted`, `announcements`, `gaps`, `"references"` and `rows_<model>`.

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use super::opening::Fault;

/// "drft": marks a SQLite file as one of ours.
const APPLICATION_ID: i64 = 0x6472_6674;

/// Each entry takes a file from the version that is its index to the next one.
const MIGRATIONS: [&str; 6] = [
    VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5, VERSION_6,
];

const VERSION_1: &str = r#"
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE models (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, view TEXT NOT NULL,
  evaluated_at INTEGER, evaluated_row INTEGER NOT NULL DEFAULT 0);
-- Where a column's values are: c<position> of the tables row_data_<model>…, from 1900 on in its JSON column rest.
CREATE TABLE columns (
  model INTEGER NOT NULL, position INTEGER NOT NULL, role TEXT NOT NULL, name TEXT NOT NULL,
  view_column TEXT NOT NULL, PRIMARY KEY (model, position)) WITHOUT ROWID;
CREATE TABLE reference_data (
  id INTEGER PRIMARY KEY, model INTEGER NOT NULL, version TEXT NOT NULL, hash TEXT,
  since INTEGER NOT NULL, first_row INTEGER NOT NULL);
CREATE TABLE exchange_data (
  id INTEGER PRIMARY KEY, request_id TEXT NOT NULL, trace_id TEXT,
  row_id INTEGER, rows INTEGER NOT NULL, time INTEGER NOT NULL,
  model INTEGER NOT NULL, reference INTEGER NOT NULL,
  method TEXT NOT NULL, route TEXT NOT NULL, status INTEGER NOT NULL,
  total_us INTEGER NOT NULL, upstream_us INTEGER,
  request_bytes INTEGER NOT NULL, response_bytes INTEGER NOT NULL,
  outcome TEXT NOT NULL, reason TEXT NOT NULL);
CREATE INDEX exchange_data_bare ON exchange_data (model, time) WHERE row_id IS NULL;
CREATE TABLE check_data (
  id INTEGER PRIMARY KEY, time INTEGER NOT NULL, model INTEGER NOT NULL, reference INTEGER NOT NULL,
  "column" TEXT NOT NULL, role TEXT NOT NULL, test TEXT NOT NULL, span TEXT NOT NULL,
  state TEXT NOT NULL, drifted INTEGER, level TEXT NOT NULL,
  statistic REAL, p_value REAL, log10_p REAL, decision_p REAL, threshold REAL,
  n_reference INTEGER NOT NULL, n_current INTEGER NOT NULL, n_effective REAL,
  location REAL, sign INTEGER, effect REAL);
CREATE INDEX check_data_time ON check_data (model, time);
CREATE TABLE alarm_data (
  model INTEGER NOT NULL, "column" TEXT NOT NULL, test TEXT NOT NULL, span TEXT NOT NULL,
  drifted INTEGER NOT NULL, since INTEGER NOT NULL, alpha REAL NOT NULL,
  PRIMARY KEY (model, "column", test, span)) WITHOUT ROWID;
CREATE TABLE gap_data (
  id INTEGER PRIMARY KEY, model INTEGER, started_at INTEGER NOT NULL, ended_at INTEGER NOT NULL,
  reason TEXT NOT NULL, exchanges INTEGER);
-- Of a model's rows with smaller ids than before, those with priorities below threshold are left.
CREATE TABLE thinned (
  model INTEGER NOT NULL, before INTEGER NOT NULL, threshold INTEGER NOT NULL,
  PRIMARY KEY (model, before)) WITHOUT ROWID;

CREATE VIEW exchanges AS SELECT e.id, e.request_id, e.trace_id, e.row_id, e.rows,
  strftime('%Y-%m-%dT%H:%M:%fZ', e.time / 1000.0, 'unixepoch') AS time,
  m.name AS model, r.version AS version, e.method, e.route, e.status, e.total_us, e.upstream_us,
  e.request_bytes, e.response_bytes, e.outcome, e.reason
  FROM exchange_data e LEFT JOIN models m ON m.id = e.model
  LEFT JOIN reference_data r ON r.id = e.reference;
CREATE VIEW checks AS SELECT c.id,
  strftime('%Y-%m-%dT%H:%M:%fZ', c.time / 1000.0, 'unixepoch') AS time,
  m.name AS model, r.version AS version, r.hash AS reference, c."column", c.role, c.test, c.span,
  c.state, c.drifted, c.level, c.statistic, c.p_value, c.log10_p, c.decision_p, c.threshold,
  c.n_reference, c.n_current, c.n_effective, c.location, c.sign, c.effect
  FROM check_data c LEFT JOIN models m ON m.id = c.model
  LEFT JOIN reference_data r ON r.id = c.reference;
CREATE VIEW alarms AS SELECT m.name AS model, a."column", a.test, a.span, a.drifted,
  strftime('%Y-%m-%dT%H:%M:%fZ', a.since / 1000.0, 'unixepoch') AS since
  FROM alarm_data a LEFT JOIN models m ON m.id = a.model;
CREATE VIEW gaps AS SELECT m.name AS model,
  strftime('%Y-%m-%dT%H:%M:%fZ', g.started_at / 1000.0, 'unixepoch') AS started_at,
  strftime('%Y-%m-%dT%H:%M:%fZ', g.ended_at / 1000.0, 'unixepoch') AS ended_at,
  g.reason, g.exchanges
  FROM gap_data g LEFT JOIN models m ON m.id = g.model;
CREATE VIEW "references" AS SELECT m.name AS model, r.version, r.hash,
  strftime('%Y-%m-%dT%H:%M:%fZ', r.since / 1000.0, 'unixepoch') AS since, r.first_row
  FROM reference_data r LEFT JOIN models m ON m.id = r.model;
"#;

/// What a model has learnt of its rows since the reference, as JSON; the lower bound of a gap; what was
/// accepted as the new normal.
const VERSION_2: &str = r#"
ALTER TABLE models ADD COLUMN since_reference TEXT;
ALTER TABLE check_data ADD COLUMN lower_bound REAL;
DROP VIEW checks;
CREATE VIEW checks AS SELECT c.id,
  strftime('%Y-%m-%dT%H:%M:%fZ', c.time / 1000.0, 'unixepoch') AS time,
  m.name AS model, r.version AS version, r.hash AS reference, c."column", c.role, c.test, c.span,
  c.state, c.drifted, c.level, c.statistic, c.p_value, c.log10_p, c.decision_p, c.threshold,
  c.n_reference, c.n_current, c.n_effective, c.location, c.sign, c.effect, c.lower_bound
  FROM check_data c LEFT JOIN models m ON m.id = c.model
  LEFT JOIN reference_data r ON r.id = c.reference;
CREATE TABLE accepted_data (
  id INTEGER PRIMARY KEY, model INTEGER NOT NULL, "column" TEXT NOT NULL, test TEXT NOT NULL,
  effect REAL NOT NULL, "by" TEXT NOT NULL, reason TEXT NOT NULL,
  since INTEGER NOT NULL, until INTEGER NOT NULL,
  ended INTEGER, end_reason TEXT, ended_by TEXT);
CREATE INDEX accepted_data_in_force ON accepted_data (model) WHERE ended IS NULL;
CREATE VIEW accepted AS SELECT a.id, m.name AS model, a."column", a.test, a.effect, a."by", a.reason,
  strftime('%Y-%m-%dT%H:%M:%fZ', a.since / 1000.0, 'unixepoch') AS since,
  strftime('%Y-%m-%dT%H:%M:%fZ', a.until / 1000.0, 'unixepoch') AS until,
  strftime('%Y-%m-%dT%H:%M:%fZ', a.ended / 1000.0, 'unixepoch') AS ended, a.end_reason, a.ended_by
  FROM accepted_data a LEFT JOIN models m ON m.id = a.model;
-- References learned from traffic: gzip of the JSON that `driftd profile` writes too.
CREATE TABLE frozen_data (
  id INTEGER PRIMARY KEY, model INTEGER NOT NULL, version TEXT NOT NULL, hash TEXT NOT NULL,
  rows INTEGER NOT NULL, frozen_at INTEGER NOT NULL, profile BLOB NOT NULL,
  UNIQUE (model, version));
"#;

/// Of each exchange: whether only the beginning of a body was captured, and the headers that are
/// listed, as JSON: `{"request": {name: value}, "response": {name: value}}`.
const VERSION_3: &str = r#"
ALTER TABLE exchange_data ADD COLUMN request_truncated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE exchange_data ADD COLUMN response_truncated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE exchange_data ADD COLUMN headers TEXT;
DROP VIEW exchanges;
CREATE VIEW exchanges AS SELECT e.id, e.request_id, e.trace_id, e.row_id, e.rows,
  strftime('%Y-%m-%dT%H:%M:%fZ', e.time / 1000.0, 'unixepoch') AS time,
  m.name AS model, r.version AS version, e.method, e.route, e.status, e.total_us, e.upstream_us,
  e.request_bytes, e.response_bytes, e.outcome, e.reason,
  e.request_truncated, e.response_truncated, e.headers
  FROM exchange_data e LEFT JOIN models m ON m.id = e.model
  LEFT JOIN reference_data r ON r.id = e.reference;
"#;

/// The way back along one column's decisions, without reading those of all others.
const VERSION_4: &str = r#"
CREATE INDEX check_data_main ON check_data (model, "column", time)
  WHERE span = 'main' AND test IN ('ks', 'chi2', 'range', 'missing', 'type');
"#;

/// What receivers of webhooks know of each model, and what they were or are to be sent.
const VERSION_5: &str = r#"
CREATE TABLE announced_data (
  receiver TEXT NOT NULL, model INTEGER NOT NULL, level TEXT NOT NULL,
  PRIMARY KEY (receiver, model)) WITHOUT ROWID;
CREATE TABLE announcement_data (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, receiver TEXT NOT NULL, model INTEGER NOT NULL,
  time INTEGER NOT NULL, "from" TEXT NOT NULL, "to" TEXT NOT NULL, body TEXT NOT NULL,
  outcome TEXT, settled INTEGER);
CREATE INDEX announcement_data_pending ON announcement_data (receiver, model) WHERE outcome IS NULL;
CREATE INDEX announcement_data_time ON announcement_data (time);
CREATE VIEW announcements AS SELECT a.id, a.receiver, m.name AS model,
  strftime('%Y-%m-%dT%H:%M:%fZ', a.time / 1000.0, 'unixepoch') AS time, a."from", a."to",
  a.outcome, strftime('%Y-%m-%dT%H:%M:%fZ', a.settled / 1000.0, 'unixepoch') AS settled, a.body
  FROM announcement_data a LEFT JOIN models m ON m.id = a.model;
"#;

/// From here on a model has several tables, and exchanges stand in their rows: [`super::exchanges::make_view`]
/// makes their view at each start.
const VERSION_6: &str = "";

/// Refuses files of other programs and of newer driftds, before anything is written to them.
pub(super) fn recognise(connection: &Connection) -> Result<(), Fault> {
    let application: i64 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    if tables > 0 && application != APPLICATION_ID {
        return Err(Fault::Foreign);
    }
    let found = format(connection)?;
    if usize::try_from(found).unwrap_or(0) > MIGRATIONS.len() {
        return Err(Fault::Newer { found });
    }
    Ok(())
}

/// Brings the file to the current version.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let done = usize::try_from(format(connection)?).unwrap_or(0);
    for (version, sql) in (1..).zip(MIGRATIONS).skip(done) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

fn format(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Reads one of the integers in `meta`.
pub(super) fn meta(connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

/// Writes one of the integers in `meta`.
pub(super) fn set_meta(connection: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")?
        .execute((name, value))?;
    Ok(())
}

/// Makes a file as an earlier driftd made it, to see it migrated.
#[cfg(test)]
pub(super) fn write_version(connection: &Connection, version: usize) -> rusqlite::Result<()> {
    for sql in &MIGRATIONS[..version] {
        connection.execute_batch(sql)?;
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", version as i64)
}

/// `name` as an SQL identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
