//! When rows go: by age, by number, by bytes. In passes of bounded time, between commits.

use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::drift::current::Thinned;
use crate::timestamp::Timestamp;

use super::accepted;
use super::announced;
use super::generations::{KEPT, TABLES};
use super::quarantine;
use super::state::{Going, ModelState};
use super::thinning::{self, Room};
use super::writer::Writer;

/// How long one pass may keep the next commit waiting, but for what one transaction takes: to empty a table of
/// wide rows, all of whose pages are read.
const PASS: Duration = Duration::from_millis(25);

/// Most rows moved in the transaction that empties their table.
const MOVED: usize = 8000;

/// What a row without cells, an exchange or a test takes, about: only used to find the largest.
const SMALL_ROW_BYTES: f64 = 120.0;

/// Gaps kept.
const GAPS: i64 = 10_000;

/// A model is not thinned for bytes below this.
const FEWEST_ROWS: u64 = 20;

/// What is to hold of a model's rows, and what is to be done for it.
type Planned = Option<(Vec<Thinned>, Going)>;

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
                    model.going = Going::default();
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
                self.turn(index)?;
                let gone = self.expire(index, cutoff)?
                    + self.go_on_with(index)?
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

    /// Decides which rows of a model beyond `limit` go, and stores first what will hold then.
    fn plan_rows(&mut self, index: usize, limit: u64) -> rusqlite::Result<()> {
        let model = &mut self.models[index];
        if !model.going.is_done() || model.figures.rows <= limit {
            return Ok(());
        }
        let (connection, seed) = (&self.connection, self.next.seed);
        // To move rows takes pages before it gives any back, and where the last pass failed there may be none.
        let tables = model.generations.older(limit).filter(|_| !self.failing);
        let planned = match tables {
            Some(emptied) => model.plan_tables(connection, emptied, limit, seed)?,
            None => model.plan_each(connection, limit, seed)?,
        };
        let Some((segments, going)) = planned else {
            return Ok(());
        };
        let transaction =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        transaction.execute("DELETE FROM thinned WHERE model = ?1", [model.number])?;
        for segment in &segments {
            let threshold = i64::try_from(segment.threshold).unwrap_or(i64::MAX);
            transaction.execute(
                "INSERT INTO thinned VALUES (?1, ?2, ?3)",
                (model.number, segment.before, threshold),
            )?;
        }
        transaction.commit()?;
        model.segments = segments;
        model.going = going;
        if !self.thinned.contains(&index) {
            self.thinned.push(index);
        }
        Ok(())
    }

    /// Lets new rows go into another table where theirs has its share; empties one for that, where thinning
    /// is not about to, by number or by bytes.
    fn turn(&mut self, index: usize) -> rusqlite::Result<()> {
        let share = self.limits.share();
        let model = &mut self.models[index];
        if model.going.is_done()
            && let Some(oldest) = model.generations.turn(share)
            && !self.failing
            && model.figures.rows + share / 2 < self.limits.rows
            && self.sizes()?.live < self.limits.soft() / 8 * 7
        {
            let model = &mut self.models[index];
            let mut ids = model.generations.ids(&self.connection, oldest)?;
            ids.sort_unstable();
            model.going.staying = ids.into_iter().map(|(id, _)| (oldest, id)).collect();
            model.going.emptied.push(oldest);
        }
        Ok(())
    }

    /// Deletes a chunk of what is older than `cutoff`.
    fn expire(&mut self, index: usize, cutoff: Timestamp) -> rusqlite::Result<u64> {
        let model = &mut self.models[index];
        let (number, chunk) = (model.number, self.limits.chunk.cast_signed());
        let mut gone = 0;
        if model.figures.oldest.is_some_and(|oldest| oldest < cutoff) {
            let mut ids: Vec<i64> = Vec::new();
            for table in model.generations.iter().filter(|table| table.rows > 0) {
                let sql = format!(
                    "SELECT id FROM {} WHERE time < ?1 ORDER BY time LIMIT ?2",
                    table.name
                );
                let mut statement = self.connection.prepare_cached(&sql)?;
                let room = chunk - ids.len() as i64;
                for id in statement.query_map((cutoff.0, room), |row| row.get(0))? {
                    ids.push(id?);
                }
            }
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

    /// Does a chunk of what was decided about a model's rows; how many that were.
    fn go_on_with(&mut self, index: usize) -> rusqlite::Result<u64> {
        let chunk = self.limits.chunk as usize;
        let model = &mut self.models[index];
        let doomed = model.going.doomed.len().min(chunk);
        if doomed > 0 {
            let ids: Vec<i64> = model.going.doomed.drain(..doomed).collect();
            self.delete(index, &ids)?;
            return Ok(doomed as u64);
        }
        // Those that go with their table cost next to nothing, so the last ones to be moved may be many.
        let most = (self.limits.wal / 4) as f64 / (model.row_bytes + SMALL_ROW_BYTES);
        let most = (most as usize).clamp(1, MOVED);
        let left = model.going.staying.len();
        let all = left <= most;
        let count = if all { left } else { chunk.min(most) };
        let staying: Vec<(usize, i64)> = model.going.staying.drain(..count).collect();
        let emptied = if all {
            std::mem::take(&mut model.going.emptied)
        } else {
            Vec::new()
        };
        if staying.is_empty() && emptied.is_empty() {
            return Ok(0);
        }
        let gone = (model.generations).keep(&self.connection, &staying, &emptied)?;
        if !emptied.is_empty() {
            // So a table has what comes in from one thinning to the next, as a rule.
            model.generations.turn(self.limits.share() / 2);
        }
        self.lost(index, gone)?;
        Ok(count as u64 + gone)
    }

    /// Deletes rows by their ascending ids, and exchanges that have none left.
    fn delete(&mut self, index: usize, ids: &[i64]) -> rusqlite::Result<u64> {
        let model = &mut self.models[index];
        let (connection, generations) = (&self.connection, &mut model.generations);
        let gone = (self.deletion).delete(connection, model.number, generations, ids)?;
        self.lost(index, gone)?;
        Ok(gone)
    }

    /// So many rows of a model are gone.
    fn lost(&mut self, index: usize, gone: u64) -> rusqlite::Result<()> {
        let model = &mut self.models[index];
        model.figures.rows -= gone.min(model.figures.rows);
        let oldest = model.generations.oldest(&self.connection)?;
        let figures = &mut model.figures;
        figures.oldest = oldest.map(Timestamp);
        if figures.oldest.is_none() {
            figures.newest = None;
        }
        Ok(())
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
                Ok(!self.models[index].going.is_done())
            }
            Largest::Bare => Ok(self.trim(index, part(model.bare))? > 0),
            Largest::Tests => Ok(self.trim(index, part(model.tests))? > 0),
        }
    }
}

// === impl ModelState ===

impl ModelState {
    /// Thins the rows in `emptied` and what is left of older ones, but for those needed for the newest half.
    fn plan_tables(
        &self,
        connection: &Connection,
        emptied: Vec<usize>,
        limit: u64,
        seed: u64,
    ) -> rusqlite::Result<Planned> {
        let kept = self.generations.ids(connection, KEPT)?;
        let mut leaving = Vec::with_capacity(emptied.len());
        for at in &emptied {
            leaving.push((*at, self.generations.ids(connection, *at)?));
        }
        let all = leaving.iter().map(|(_, rows)| rows).chain([&kept]);
        let mut ids = Vec::with_capacity(all.clone().map(Vec::len).sum());
        ids.extend(all.flatten().map(|(id, _)| *id));
        // Not the unstable one: both parts are in order, but for a few.
        ids.sort();
        let count = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
        let most = count(limit);
        let newer = count(self.figures.rows).saturating_sub(ids.len());
        let missing = (most - most / 2).saturating_sub(newer).min(ids.len());
        let (older, whole) = ids.split_at(ids.len() - missing);
        let before = match (whole.first(), older.last()) {
            (Some(first), _) => *first,
            (None, Some(last)) => last + 1,
            (None, None) => return Ok(None),
        };
        if (self.segments.last()).is_some_and(|last| before < last.before) {
            // The limit was lower then: some of what would be the newest half is thinned.
            return self.plan_each(connection, limit, seed);
        }
        let room = thinning::room(most - most / 64, newer + missing);
        // What is left of older rows lies all over its table, and to take a few of them costs as much as to
        // take many.
        let room = Room {
            few: thinning::few(most),
            least: room - room / 4,
            most: room,
        };
        let segments = thinning::lower(older, before, seed, &self.segments, room);
        let Some(segments) = segments else {
            return Ok(None);
        };
        drop(ids);
        let goes = |id: i64| thinning::goes(id, seed, &segments);
        let mut going = Going {
            emptied,
            ..Going::default()
        };
        let doomed = kept.into_iter().filter(|(id, _)| goes(*id));
        going.doomed.extend(doomed.map(|(id, _)| id));
        for (at, rows) in leaving {
            for (id, alone) in rows {
                if !goes(id) {
                    going.staying.push_back((at, id));
                } else if !alone {
                    going.doomed.push_back(id);
                }
            }
        }
        going.doomed.make_contiguous().sort_unstable();
        going.staying.make_contiguous().sort_by_key(|(_, id)| *id);
        Ok(Some((segments, going)))
    }

    /// Thins the older half, wherever its rows are.
    fn plan_each(
        &self,
        connection: &Connection,
        limit: u64,
        seed: u64,
    ) -> rusqlite::Result<Planned> {
        let mut ids = Vec::new();
        for at in 0..TABLES {
            let of = self.generations.ids(connection, at)?;
            ids.extend(of.into_iter().map(|(id, _)| id));
        }
        ids.sort_unstable();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let plan = thinning::plan(&ids, seed, &self.segments, limit);
        Ok(plan.map(|plan| {
            let going = Going {
                doomed: plan.doomed.into(),
                ..Going::default()
            };
            (plan.segments, going)
        }))
    }
}

const DELETE_BARE: &str = "DELETE FROM exchange_data WHERE id IN (SELECT id FROM exchange_data \
     WHERE model = ?1 AND row_id IS NULL AND time < ?2 ORDER BY time LIMIT ?3)";

const DELETE_TESTS: &str = "DELETE FROM check_data WHERE id IN (SELECT id FROM check_data \
     WHERE model = ?1 AND time < ?2 ORDER BY time LIMIT ?3)";
