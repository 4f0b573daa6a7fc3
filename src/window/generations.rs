//! Where a model's rows are: the new ones in three tables that take turns, what is left of older ones in a
//! fourth.
//!
//! Of a busy model thinning leaves one row in ten, later one in a hundred. To delete the others one by one
//! would cost as much as storing them did. So those that stay are moved out of the oldest of the three, and
//! what remains there goes at once, as the table is emptied. Rows that thinning never reaches are moved once.

use std::collections::HashSet;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::layout::WIDTH;

/// Tables of a model: first the one for what is left of older rows, then those that take turns.
pub(super) const TABLES: usize = 4;

/// The table for what is left of older rows.
pub(super) const KEPT: usize = 0;

/// What `checked` is where the row feeds the checks and its exchange stands in it: see
/// [`super::exchanges::stands_in_its_row`].
pub(super) const WITH_EXCHANGE: i64 = 2;

/// The columns a row's exchange stands in, where it stands in the row; all NULL otherwise.
pub(super) const EXCHANGE_COLUMNS: [&str; 11] = [
    "request_id",
    "trace_id",
    "reference",
    "method",
    "route",
    "status",
    "total_us",
    "upstream_us",
    "request_bytes",
    "response_bytes",
    "headers",
];

/// The tables of one model, as the writer sees them.
#[derive(Debug)]
pub(super) struct Generations {
    /// As many as [`TABLES`].
    tables: Vec<Generation>,
    /// The one new rows go into.
    current: usize,
    /// The columns of each, for SQL.
    columns: String,
}

/// One of the tables.
#[derive(Debug)]
pub(super) struct Generation {
    /// Its name.
    pub(super) name: String,
    /// Its rows.
    pub(super) rows: u64,
    /// Whether the exchange of each of them, of those that are gone too, stands in it.
    alone: bool,
    /// No row in it has a lower id …
    first: i64,
    /// … or a higher one.
    last: i64,
}

/// The names of a model's tables.
pub(super) fn names(number: i64) -> [String; TABLES] {
    std::array::from_fn(|at| match at {
        KEPT => format!("row_data_{number}"),
        _ => format!("row_data_{number}_{at}"),
    })
}

/// The names of all tables of rows in the file.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'row_data_[0-9]*'",
        )?
        .query_map((), |row| row.get(0))?
        .collect()
}

/// Makes the tables of a model, or brings them to `width` columns of values. To add a column takes as long as to
/// read the whole schema, so tables that are empty are made anew.
pub(super) fn make(connection: &Connection, number: i64, width: usize) -> rusqlite::Result<()> {
    let values: Vec<String> = (0..WIDTH.min(width as i64))
        .map(|at| format!("c{at}"))
        .collect();
    let beside = EXCHANGE_COLUMNS
        .into_iter()
        .chain(values.iter().map(String::as_str));
    for name in names(number) {
        let held: HashSet<String> = columns(connection, &name)?.into_iter().collect();
        let missing: Vec<&str> = beside.clone().filter(|c| !held.contains(*c)).collect();
        if missing.is_empty() {
            continue;
        }
        if !held.is_empty() {
            let some = format!("SELECT EXISTS (SELECT 1 FROM {name})");
            if connection.query_row(&some, (), |row| row.get(0))? {
                for column in missing {
                    connection.execute_batch(&format!("ALTER TABLE {name} ADD COLUMN {column}"))?;
                }
                continue;
            }
            connection.execute_batch(&format!("DROP TABLE {name}"))?;
        }
        let beside: String = beside.clone().map(|column| format!(", {column}")).collect();
        connection.execute_batch(&format!(
            "CREATE TABLE {name} (id INTEGER PRIMARY KEY, exchange_id INTEGER NOT NULL, \
             time INTEGER NOT NULL, checked INTEGER NOT NULL, rest{beside}); \
             CREATE INDEX {name}_time ON {name} (time, checked)"
        ))?;
    }
    Ok(())
}

/// Brings the tables of a model that is no longer configured to today's format; its columns stay what they are.
pub(super) fn renew(connection: &Connection, number: i64) -> rusqlite::Result<()> {
    let width = "SELECT count(*) FROM columns WHERE model = ?1";
    let width: i64 = connection.query_row(width, [number], |row| row.get(0))?;
    make(connection, number, usize::try_from(width).unwrap_or(0))
}

fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare("SELECT name FROM pragma_table_info(?1)")?
        .query_map([table], |row| row.get(0))?
        .collect()
}

// === impl Generations ===

impl Generations {
    /// Finds what the tables of a model hold.
    pub(super) fn load(connection: &Connection, number: i64) -> rusqlite::Result<Self> {
        let names = names(number);
        let columns = columns(connection, &names[KEPT])?.join(", ");
        let mut tables = Vec::with_capacity(TABLES);
        for name in names {
            let sql = format!(
                "SELECT count(*), min(id), max(id), NOT EXISTS \
                 (SELECT 1 FROM {name} INDEXED BY {name}_time WHERE checked <> {WITH_EXCHANGE}) FROM {name}"
            );
            tables.push(connection.query_row(&sql, (), |row| {
                Ok(Generation {
                    rows: row.get::<_, i64>(0)?.unsigned_abs(),
                    first: row.get::<_, Option<i64>>(1)?.unwrap_or(i64::MAX),
                    last: row.get::<_, Option<i64>>(2)?.unwrap_or(0),
                    alone: row.get(3)?,
                    name,
                })
            })?);
        }
        let newest = (KEPT + 1..TABLES).max_by_key(|at| tables[*at].last);
        Ok(Self {
            tables,
            current: newest.unwrap_or(TABLES - 1),
            columns,
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Generation> {
        self.tables.iter()
    }

    pub(super) fn get(&self, at: usize) -> &Generation {
        &self.tables[at]
    }

    /// The table new rows go into.
    pub(super) fn current(&self) -> &str {
        &self.tables[self.current].name
    }

    /// Rows from `first` to `last` went into the current table; whether the exchanges of all stand in them.
    pub(super) fn took(&mut self, rows: u64, (first, last): (i64, i64), alone: bool) {
        let table = &mut self.tables[self.current];
        table.took(rows, (first, last));
        table.alone &= alone;
    }

    /// So many rows are gone from the table at `at`.
    pub(super) fn lost(&mut self, at: usize, rows: u64) {
        let table = &mut self.tables[at];
        table.rows -= rows.min(table.rows);
        if table.rows == 0 {
            (table.first, table.last, table.alone) = (i64::MAX, 0, true);
        }
    }

    /// Those that take turns and hold rows, oldest first.
    fn turns(&self) -> Vec<usize> {
        let mut turns: Vec<usize> = (KEPT + 1..TABLES)
            .filter(|at| self.tables[*at].rows > 0)
            .collect();
        turns.sort_unstable_by_key(|at| self.tables[*at].first);
        turns
    }

    /// Where the current table has its share, lets an empty one follow. What it returns must be emptied
    /// first, if all hold rows.
    pub(super) fn turn(&mut self, share: u64) -> Option<usize> {
        if self.tables[self.current].rows < share.max(1) {
            return None;
        }
        if let Some(empty) = (KEPT + 1..TABLES).find(|at| self.tables[*at].rows == 0) {
            self.current = empty;
            return None;
        }
        self.turns().first().copied()
    }

    /// Of those that take turns the oldest, as many as are not needed for `limit / 2` whole rows, or nearly.
    /// `None` where there is none, or the others would leave hardly any room for older rows.
    pub(super) fn older(&self, limit: u64) -> Option<Vec<usize>> {
        let turns = self.turns();
        let mut newer: u64 = turns.iter().map(|at| self.tables[*at].rows).sum();
        let mut older = Vec::new();
        for at in &turns {
            let without = newer - self.tables[*at].rows;
            if without < limit / 16 * 7 {
                break;
            }
            newer = without;
            older.push(*at);
        }
        let some = !older.is_empty() && older.len() < turns.len();
        (some && newer <= limit / 8 * 5).then_some(older)
    }

    /// Of `ids` (ascending) those that may be in the table at `at`.
    pub(super) fn within<'a>(&self, at: usize, ids: &'a [i64]) -> &'a [i64] {
        let Generation { first, last, .. } = self.tables[at];
        let begin = ids.partition_point(|id| *id < first);
        let end = ids.partition_point(|id| *id <= last).max(begin);
        &ids[begin..end]
    }

    /// Moves the rows with these ids from their tables to the one for what is left, in one transaction, which
    /// empties the tables `emptied` as well; how many rows went with them.
    pub(super) fn keep(
        &mut self,
        connection: &Connection,
        staying: &[(usize, i64)],
        emptied: &[usize],
    ) -> rusqlite::Result<u64> {
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let (kept, columns) = (&self.tables[KEPT].name, &self.columns);
        let mut moved = [0; TABLES];
        for (at, moved) in moved.iter_mut().enumerate() {
            let mut of_it = staying.iter().filter(|(of, _)| *of == at).peekable();
            if of_it.peek().is_none() {
                continue;
            }
            let from = &self.tables[at].name;
            let mut copy = transaction.prepare_cached(&format!(
                "INSERT INTO {kept} ({columns}) SELECT {columns} FROM {from} WHERE id = ?1"
            ))?;
            let mut delete =
                transaction.prepare_cached(&format!("DELETE FROM {from} WHERE id = ?1"))?;
            for (_, id) in of_it {
                let copied = copy.execute([id])?;
                *moved += copied as u64;
                if copied > 0 && !emptied.contains(&at) {
                    delete.execute([id])?;
                }
            }
        }
        let mut gone = 0;
        for at in emptied {
            let name = &self.tables[*at].name;
            let all = transaction.execute(&format!("DELETE FROM {name}"), ())? as u64;
            gone += all.saturating_sub(moved[*at]);
        }
        transaction.commit()?;
        if let ([(_, first), ..], [.., (_, last)]) = (staying, staying) {
            self.tables[KEPT].took(moved.iter().sum(), (*first, *last));
        }
        for (at, moved) in moved.iter().enumerate() {
            let alone = *moved == 0 || self.tables[at].alone;
            self.tables[KEPT].alone &= alone;
            let all = if emptied.contains(&at) {
                u64::MAX
            } else {
                *moved
            };
            self.lost(at, all);
        }
        Ok(gone)
    }

    /// The time of the oldest row.
    pub(super) fn oldest(&self, connection: &Connection) -> rusqlite::Result<Option<i64>> {
        let mut oldest = None;
        for table in self.tables.iter().filter(|table| table.rows > 0) {
            let sql = format!("SELECT min(time) FROM {}", table.name);
            let time: Option<i64> =
                (connection.prepare_cached(&sql)?).query_row((), |row| row.get(0))?;
            oldest = oldest.into_iter().chain(time).min();
        }
        Ok(oldest)
    }

    /// About how many bytes a row takes, by the newest ones of each table; `None` where there is none.
    pub(super) fn row_bytes(&self, connection: &Connection) -> rusqlite::Result<Option<f64>> {
        let (mut bytes, mut rows) = (0, 0);
        for table in self.tables.iter().filter(|table| table.rows > 0) {
            let sql = format!("SELECT * FROM {} ORDER BY id DESC LIMIT 20", table.name);
            let mut statement = connection.prepare(&sql)?;
            let columns = statement.column_count();
            let mut newest = statement.query(())?;
            while let Some(row) = newest.next()? {
                rows += 1;
                for at in 0..columns {
                    bytes += match row.get_ref(at)? {
                        ValueRef::Null => 1,
                        ValueRef::Integer(_) | ValueRef::Real(_) => 9,
                        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len() + 2,
                    };
                }
            }
        }
        Ok((rows > 0).then(|| bytes as f64 / f64::from(rows)))
    }

    /// The ids of the rows in the table at `at`, in no order; of each, whether its exchange stands in it. From
    /// the index alone, and without that where nothing is missing from the first to the last.
    pub(super) fn ids(
        &self,
        connection: &Connection,
        at: usize,
    ) -> rusqlite::Result<Vec<(i64, bool)>> {
        let table = &self.tables[at];
        let all = table.last.checked_sub(table.first).map(i64::unsigned_abs);
        if table.alone && table.rows > 0 && all == Some(table.rows - 1) {
            return Ok((table.first..=table.last).map(|id| (id, true)).collect());
        }
        let name = &table.name;
        let sql = format!("SELECT id, checked FROM {name} INDEXED BY {name}_time");
        let mut statement = connection.prepare_cached(&sql)?;
        let mut ids = Vec::with_capacity(usize::try_from(table.rows).unwrap_or(0));
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            ids.push((row.get(0)?, row.get::<_, i64>(1)? == WITH_EXCHANGE));
        }
        Ok(ids)
    }
}

// === impl Generation ===

impl Generation {
    fn took(&mut self, rows: u64, (first, last): (i64, i64)) {
        self.rows += rows;
        self.first = self.first.min(first);
        self.last = self.last.max(last);
    }
}
