//! When rows go: by age, by number, by bytes. In passes of bounded time, between commits.

use std::time::{Duration, Instant};

use rusqlite::{Transaction, TransactionBehavior};

use crate::timestamp::Timestamp;

use super::accepted;
use super::announced;
use super::layout::table;
use super::quarantine;
use super::thinning;
use super::writer::Writer;

/// How long one pass may keep the next commit waiting.
const PASS: Duration = Duration::from_millis(25);

/// What a row without cells, an exchange or a test takes, about: only used to find the largest.
const SMALL_ROW_BYTES: f64 = 120.0;

/// Gaps kept.
const GAPS: i64 = 10_000;

/// A model is not thinned for bytes below this.
const FEWEST_ROWS: u64 = 20;

/// What takes the most bytes.
enum Largest {
    Rows,
    Bare,
    Tests,
}

// === impl Writer ===

impl Writer {
    /// One pass. Returns whether there is more to do at once. A failure ends the pass: the next one
    /// tries again.
    pub(super) fn retain(&mut self, written: usize) -> bool {
        let more = self.try_retain(written as u64);
        self.publish();
        match more {
            Ok(more) => {
                self.failing = false;
                more
            }
            Err(error) => {
                quarantine::suspect(&self.limits.path, &error);
                // Said once, not with every commit while a disk is full.
                if !self.failing {
                    tracing::warn!(%error, "Retention failed; it is tried again after each commit");
                }
                self.failing = true;
                for model in &mut self.models {
                    model.doomed.clear();
                }
                false
            }
        }
    }

    fn try_retain(&mut self, written: u64) -> rusqlite::Result<bool> {
        let begun = Instant::now();
        if self.sizes()?.wal > self.limits.wal {
            self.checkpoint(Duration::ZERO)?;
            if self.sizes()?.wal > self.limits.wal {
                // A reader pins the WAL: deleting would only make it grow.
                return Ok(false);
            }
        }
        let cutoff = self.next.clock.now().minus(self.limits.span);
        if written == 0 {
            self.forget_gaps(cutoff)?;
        }
        let (mut deleted, mut more) = (0, true);
        while more && (begun.elapsed() < PASS || deleted < 2 * written) {
            more = false;
            for index in 0..self.models.len() {
                self.plan_rows(index, self.limits.rows)?;
                let gone = self.expire(index, cutoff)?
                    + self.delete_doomed(index)?
                    + self.trim(index, self.limits.rows)?;
                deleted += gone;
                more |= gone > 0;
            }
            if !more {
                more = self.plan_bytes()?;
            }
            if self.sizes()?.wal > self.limits.wal {
                self.checkpoint(Duration::ZERO)?;
                more &= self.sizes()?.wal <= self.limits.wal;
            }
        }
        self.vacuum()?;
        Ok(more)
    }

    /// Dooms the rows of a model beyond `limit`, and stores first what will hold then.
    fn plan_rows(&mut self, index: usize, limit: u64) -> rusqlite::Result<()> {
        let model = &mut self.models[index];
        if !model.doomed.is_empty() || model.figures.rows <= limit {
            return Ok(());
        }
        let name = table(model.number);
        let mut ids: Vec<i64> = self
            .connection
            .prepare_cached(&format!("SELECT id FROM {name} INDEXED BY {name}_time"))?
            .query_map((), |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        ids.sort_unstable();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let Some(plan) = thinning::plan(&ids, self.next.seed, &model.segments, limit) else {
            return Ok(());
        };
        let transaction =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        transaction.execute("DELETE FROM thinned WHERE model = ?1", [model.number])?;
        for segment in &plan.segments {
            let threshold = i64::try_from(segment.threshold).unwrap_or(i64::MAX);
            transaction.execute(
                "INSERT INTO thinned VALUES (?1, ?2, ?3)",
                (model.number, segment.before, threshold),
            )?;
        }
        transaction.commit()?;
        model.segments = plan.segments;
        model.doomed = plan.doomed.into();
        if !self.thinned.contains(&index) {
            self.thinned.push(index);
        }
        Ok(())
    }

    /// Deletes a chunk of what is older than `cutoff`.
    fn expire(&mut self, index: usize, cutoff: Timestamp) -> rusqlite::Result<u64> {
        let model = &mut self.models[index];
        let (number, chunk) = (model.number, self.limits.chunk.cast_signed());
        let mut gone = 0;
        if model.figures.oldest.is_some_and(|oldest| oldest < cutoff) {
            let name = table(number);
            let mut ids: Vec<i64> = self
                .connection
                .prepare_cached(&format!(
                    "SELECT id FROM {name} WHERE time < ?1 ORDER BY time LIMIT ?2"
                ))?
                .query_map((cutoff.0, chunk), |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            ids.sort_unstable();
            gone += self.delete(index, &ids)?;
        }
        let model = &mut self.models[index];
        if model.bare > 0 {
            let deleted = self
                .connection
                .prepare_cached(DELETE_BARE)?
                .execute((number, cutoff.0, chunk))? as u64;
            model.bare -= deleted.min(model.bare);
            gone += deleted;
        }
        if model.tests > 0 {
            let deleted = self
                .connection
                .prepare_cached(DELETE_TESTS)?
                .execute((number, cutoff.0, chunk))? as u64;
            model.tests -= deleted.min(model.tests);
            gone += deleted;
        }
        Ok(gone)
    }

    /// Deletes a chunk of the rows doomed.
    fn delete_doomed(&mut self, index: usize) -> rusqlite::Result<u64> {
        let doomed = &mut self.models[index].doomed;
        let count = doomed.len().min(self.limits.chunk as usize);
        if count == 0 {
            return Ok(0);
        }
        let ids: Vec<i64> = doomed.drain(..count).collect();
        self.delete(index, &ids)?;
        Ok(count as u64)
    }

    /// Deletes rows by their ascending ids, and exchanges that have none left.
    fn delete(&mut self, index: usize, ids: &[i64]) -> rusqlite::Result<u64> {
        let model = &mut self.models[index];
        let name = table(model.number);
        let gone = (self.deletion).delete(&self.connection, model.number, ids)?;
        let oldest = format!("SELECT min(time) FROM {name}");
        let oldest: Option<i64> =
            (self.connection.prepare_cached(&oldest)?).query_row((), |row| row.get(0))?;
        let figures = &mut model.figures;
        figures.rows -= gone.min(figures.rows);
        figures.oldest = oldest.map(Timestamp);
        if figures.oldest.is_none() {
            figures.newest = None;
        }
        Ok(gone)
    }

    /// Bounds exchanges without rows (the oldest go) and history (of its older half every second
    /// check goes, never the oldest, so that it reaches back ever more sparsely).
    fn trim(&mut self, index: usize, limit: u64) -> rusqlite::Result<u64> {
        let model = &mut self.models[index];
        let mut gone = 0;
        if model.bare > limit {
            let excess = (model.bare - limit + limit / 20).min(self.limits.chunk);
            let deleted = self.connection.prepare_cached(DELETE_BARE)?.execute((
                model.number,
                i64::MAX,
                excess.cast_signed(),
            ))? as u64;
            model.bare -= deleted.min(model.bare);
            gone += deleted;
        }
        if model.tests > limit {
            let times: Vec<i64> = self
                .connection
                .prepare_cached(
                    "SELECT DISTINCT time FROM check_data WHERE model = ?1 ORDER BY time",
                )?
                .query_map([model.number], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let older = &times[..times.len() / 2];
            let transaction =
                Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
            let mut deleted = 0;
            for time in older.iter().skip(1).step_by(2) {
                deleted += transaction
                    .prepare_cached("DELETE FROM check_data WHERE model = ?1 AND time = ?2")?
                    .execute((model.number, time))? as u64;
            }
            transaction.commit()?;
            model.tests -= deleted.min(model.tests);
            gone += deleted;
        }
        Ok(gone)
    }

    fn forget_gaps(&self, cutoff: Timestamp) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "DELETE FROM gap_data WHERE ended_at < ?1 \
                 OR id <= (SELECT max(id) FROM gap_data) - ?2",
            )?
            .execute((cutoff.0, GAPS))?;
        accepted::forget(&self.connection, cutoff)?;
        announced::forget(&self.connection, cutoff)
    }

    /// Where live pages exceed their share, thins what takes the most. Returns whether it did.
    fn plan_bytes(&mut self) -> rusqlite::Result<bool> {
        let live = self.sizes()?.live;
        let soft = self.limits.soft();
        if live <= soft {
            return Ok(false);
        }
        let keep = (0.95 * soft as f64 / live as f64).max(0.5);
        let largest = self.models.iter().enumerate().flat_map(|(index, model)| {
            let rows = if model.figures.rows > FEWEST_ROWS {
                model.figures.rows
            } else {
                0
            };
            [
                (
                    rows as f64 * (model.row_bytes + SMALL_ROW_BYTES),
                    index,
                    Largest::Rows,
                ),
                (model.bare as f64 * SMALL_ROW_BYTES, index, Largest::Bare),
                (model.tests as f64 * SMALL_ROW_BYTES, index, Largest::Tests),
            ]
        });
        let largest = largest.max_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, index, what)) = largest.filter(|(bytes, ..)| *bytes > 0.0) else {
            return Ok(false);
        };
        let model = &self.models[index];
        let part = |count: u64| (count as f64 * keep) as u64;
        match what {
            Largest::Rows => {
                self.plan_rows(index, part(model.figures.rows))?;
                Ok(!self.models[index].doomed.is_empty())
            }
            Largest::Bare => Ok(self.trim(index, part(model.bare))? > 0),
            Largest::Tests => Ok(self.trim(index, part(model.tests))? > 0),
        }
    }
}

const DELETE_BARE: &str = "DELETE FROM exchange_data WHERE id IN (SELECT id FROM exchange_data \
     WHERE model = ?1 AND row_id IS NULL AND time < ?2 ORDER BY time LIMIT ?3)";

const DELETE_TESTS: &str = "DELETE FROM check_data WHERE id IN (SELECT id FROM check_data \
     WHERE model = ?1 AND time < ?2 ORDER BY time LIMIT ?3)";
