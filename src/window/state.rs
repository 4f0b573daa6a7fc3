//! What the writer knows of each model without asking the file.

use std::collections::VecDeque;

use rusqlite::Connection;

use crate::drift::alarm::Alarms;
use crate::drift::current::Thinned;
use crate::timestamp::Timestamp;

use super::figures::Figures;
use super::generations::Generations;
use super::layout::{self, Layout};
use super::{Record, cells, exchanges, history};

/// One model as the writer sees it.
#[derive(Debug)]
pub(super) struct ModelState {
    /// Its id in `models`.
    pub(super) number: i64,
    /// Its columns; `None` where the model is no longer configured.
    pub(super) layout: Option<Layout>,
    /// The id of the reference in force.
    pub(super) reference: i64,
    /// Rows stored.
    pub(super) figures: Figures,
    /// Exchanges stored without rows.
    pub(super) bare: u64,
    /// Tests in the history.
    pub(super) tests: u64,
    /// About how many bytes a row takes.
    pub(super) row_bytes: f64,
    /// What was thinned.
    pub(super) segments: Vec<Thinned>,
    /// Where its rows are.
    pub(super) generations: Generations,
    /// What retention has still to do with them.
    pub(super) going: Going,
    /// The alarms as stored.
    pub(super) alarms: Alarms,
}

/// Rows that retention has decided about.
#[derive(Debug, Default)]
pub(super) struct Going {
    /// Those that stay, with their tables, which others need.
    pub(super) staying: VecDeque<(usize, i64)>,
    /// Those to be deleted one by one.
    pub(super) doomed: VecDeque<i64>,
    /// The tables to be emptied as the last of those are moved.
    pub(super) emptied: Vec<usize>,
}

// === impl Going ===

impl Going {
    /// Whether nothing is left to be done.
    pub(super) fn is_done(&self) -> bool {
        self.staying.is_empty() && self.doomed.is_empty() && self.emptied.is_empty()
    }
}

/// How much one batch moves the average size of a row.
const WEIGHT: f64 = 0.1;

// === impl ModelState ===

impl ModelState {
    pub(super) fn load(
        connection: &Connection,
        number: i64,
        layout: Option<Layout>,
        reference: i64,
    ) -> rusqlite::Result<Self> {
        let generations = Generations::load(connection, number)?;
        let count = |sql: &str| {
            connection.query_row(sql, (), |row| row.get(0).map(|n: i64| n.unsigned_abs()))
        };
        let mut newest = None;
        for table in generations.iter() {
            let sql = format!("SELECT max(time) FROM {}", table.name);
            newest = newest.max(connection.query_row(&sql, (), |row| row.get(0))?);
        }
        Ok(Self {
            number,
            reference,
            figures: Figures {
                rows: generations.iter().map(|table| table.rows).sum(),
                oldest: generations.oldest(connection)?.map(Timestamp),
                newest: newest.map(Timestamp),
            },
            going: Going::default(),
            bare: count(&format!(
                "SELECT count(*) FROM exchange_data WHERE model = {number} AND row_id IS NULL"
            ))?,
            tests: count(&format!(
                "SELECT count(*) FROM check_data WHERE model = {number}"
            ))?,
            row_bytes: match generations.row_bytes(connection)? {
                Some(bytes) => bytes,
                None => layout.as_ref().map_or(100.0, Layout::guessed_row_bytes),
            },
            generations,
            segments: layout::segments(connection, number)?,
            alarms: history::alarms(connection, number)?,
            layout,
        })
    }

    /// Counts what was committed.
    pub(super) fn note(&mut self, record: &Record) {
        let Some(last) = record.rows.last() else {
            self.bare += 1;
            return;
        };
        let time = record.exchange.started;
        let figures = &mut self.figures;
        figures.rows += record.rows.len() as u64;
        figures.oldest = Some(figures.oldest.map_or(time, |oldest| oldest.min(time)));
        figures.newest = figures.newest.max(Some(time));
        let headers = exchanges::header_bytes(&record.exchange.headers) as u64;
        let bytes = last.iter().map(cells::size).sum::<u64>() + layout::ROW_OVERHEAD + headers;
        self.row_bytes += WEIGHT * (bytes as f64 - self.row_bytes);
    }
}
