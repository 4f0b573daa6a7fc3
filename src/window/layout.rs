//! Where the columns of one model live: in its wide tables, behind its view, and what is added when its
//! schema changes.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::drift::current::Thinned;
use crate::feature::Cell;
use crate::model::{ModelName, Schema};
use crate::timestamp::Timestamp;

use super::generations::{self, EXCHANGE_COLUMNS, WITH_EXCHANGE};
use super::schema::quoted;
use super::{Record, RowId, StoredRow, cells, exchanges, thinning};

/// Values a table holds in columns; SQLite's limit is 2,000 for tables, views and results alike.
pub(super) const WIDTH: i64 = 1900;

/// The names a row's view has before any feature's.
const RESERVED: [&str; 6] = ["id", "exchange_id", "time", "status", "version", "rest"];

/// Where one model's rows are.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// The model's id in `models`, part of its tables' names.
    pub(super) number: i64,
    /// For each column of the schema, where it is.
    places: Vec<Place>,
}

#[derive(Debug, Clone)]
enum Place {
    /// A column of the table.
    Column(i64),
    /// A name in the JSON column `rest`.
    Rest(String),
}

/// One row on its way into the file, with the file's numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewRow<'a> {
    /// What it is of.
    pub(super) record: &'a Record,
    /// Its values, in the order of the schema.
    pub(super) cells: &'a [Cell],
    /// Its own number.
    pub(super) id: i64,
    /// That of its exchange.
    pub(super) exchange: i64,
    /// Where its exchange stands in it, that of the reference in force.
    pub(super) reference: Option<i64>,
}

/// Parameters a row has before its cells.
const BEFORE_CELLS: usize = 4 + EXCHANGE_COLUMNS.len();

/// A column that the file already knows.
struct Known {
    position: i64,
    role: String,
    name: String,
    view_column: String,
}

// === impl Layout ===

impl Layout {
    /// Finds or makes the model's tables, adds columns they lack, and renews its view. Columns that
    /// are no longer in the schema keep their data and stand last in the view.
    pub(super) fn prepare(
        connection: &Connection,
        name: &ModelName,
        schema: &Schema,
    ) -> rusqlite::Result<Self> {
        let (number, view) = model_number(connection, name)?;
        let mut known = known_columns(connection, number)?;
        let places = assign(&mut known, schema);
        for column in &known {
            connection
                .prepare_cached("INSERT OR REPLACE INTO columns VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute((
                    number,
                    column.position,
                    &column.role,
                    &column.name,
                    &column.view_column,
                ))?;
        }
        connection.execute_batch(&format!("DROP VIEW IF EXISTS {}", quoted(&view)))?;
        generations::make(connection, number, known.len())?;
        let layout = Self { number, places };
        connection.execute_batch(&layout.view_sql(&view, &known))?;
        Ok(layout)
    }

    /// Puts rows into one of their tables, and how many parameters each takes.
    pub(super) fn insert_into(&self, table: &str) -> (String, usize) {
        let mut names = EXCHANGE_COLUMNS
            .map(|column| format!(", {column}"))
            .concat();
        let mut width = BEFORE_CELLS;
        for place in &self.places {
            if let Place::Column(position) = place {
                names.push_str(&format!(", c{position}"));
                width += 1;
            }
        }
        if self.has_rest() {
            names.push_str(", rest");
            width += 1;
        }
        let into = format!("INSERT INTO {table} (id, exchange_id, time, checked{names})");
        (into, width)
    }

    /// Whether some of the columns are in `rest`.
    fn has_rest(&self) -> bool {
        (self.places.iter()).any(|place| matches!(place, Place::Rest(_)))
    }

    /// Binds a row to the parameters after the first `before`.
    pub(super) fn bind(
        &self,
        statement: &mut rusqlite::Statement<'_>,
        before: usize,
        new: &NewRow<'_>,
    ) -> rusqlite::Result<()> {
        statement.raw_bind_parameter(before + 1, new.id)?;
        statement.raw_bind_parameter(before + 2, new.exchange)?;
        statement.raw_bind_parameter(before + 3, new.record.exchange.started.0)?;
        let checked = match new.reference {
            Some(_) => WITH_EXCHANGE,
            None => i64::from(new.record.checked),
        };
        statement.raw_bind_parameter(before + 4, checked)?;
        exchanges::bind_in_row(statement, before + 4, new)?;
        let mut index = before + BEFORE_CELLS;
        let mut rest = Vec::new();
        for (at, place) in self.places.iter().enumerate() {
            let cell = new.cells.get(at).unwrap_or(&Cell::Missing);
            match place {
                Place::Column(_) => {
                    index += 1;
                    cells::bind(statement, index, cell)?;
                }
                Place::Rest(name) => rest.push((name.as_str(), cell)),
            }
        }
        if !rest.is_empty() {
            let rest = cells::write_rest(rest.into_iter());
            statement.raw_bind_parameter(index + 1, rest)?;
        }
        Ok(())
    }

    /// One statement for what `select` finds in each of the tables.
    pub(super) fn all(&self, select: impl Fn(&str) -> String) -> String {
        let names = generations::names(self.number);
        names.map(|table| select(&table)).join(" UNION ALL ")
    }

    /// What a reading statement selects for [`Layout::read`].
    pub(super) fn selected(&self) -> String {
        let mut sql = "id, time, rest".to_owned();
        for place in &self.places {
            if let Place::Column(position) = place {
                sql.push_str(&format!(", c{position}"));
            }
        }
        sql
    }

    /// A statement for [`Layout::read`]: the rows from the id `?1` on that feed the checks, in the order and
    /// number `which` says.
    pub(super) fn checked_rows(&self, which: &str) -> String {
        let selected = self.selected();
        let rows =
            self.all(|table| format!("SELECT {selected} FROM {table} WHERE checked AND id >= ?1"));
        format!("{rows} {which}")
    }

    /// A row as it was stored.
    pub(super) fn read(&self, row: &Row<'_>, seed: u64) -> rusqlite::Result<StoredRow> {
        let rest: Option<String> = row.get(2)?;
        let rest = rest.map(|text| cells::read_rest(&text)).unwrap_or_default();
        let mut index = 2;
        let mut stored = Vec::with_capacity(self.places.len());
        for place in &self.places {
            stored.push(match place {
                Place::Column(_) => {
                    index += 1;
                    cells::read(row.get_ref(index)?)
                }
                Place::Rest(name) => rest.get(name).map_or(Cell::Missing, cells::from_json),
            });
        }
        let id: i64 = row.get(0)?;
        Ok(StoredRow {
            id,
            priority: thinning::priority(id, seed),
            time: Timestamp(row.get(1)?),
            cells: stored.into(),
        })
    }

    /// About how many bytes a row takes before one is seen.
    pub(super) fn guessed_row_bytes(&self) -> f64 {
        self.places.len() as f64 * 9.0 + ROW_OVERHEAD as f64
    }

    fn view_sql(&self, view: &str, known: &[Known]) -> String {
        let current: Vec<i64> = (self.places.iter())
            .filter_map(|place| match place {
                Place::Column(position) => Some(*position),
                Place::Rest(_) => None,
            })
            .collect();
        let held: HashSet<i64> = current.iter().copied().collect();
        let retired = (0..WIDTH.min(known.len() as i64)).filter(|at| !held.contains(at));
        let mut columns = String::new();
        for position in current.iter().copied().chain(retired) {
            let Some(column) = known.iter().find(|column| column.position == position) else {
                continue;
            };
            columns.push_str(&format!(
                ", d.c{position} AS {}",
                quoted(&column.view_column)
            ));
        }
        let rest = if known.len() as i64 > WIDTH {
            ", d.rest"
        } else {
            ""
        };
        let held: String = (0..WIDTH.min(known.len() as i64))
            .map(|at| format!(", c{at}"))
            .collect();
        let rows = self.all(|table| {
            format!("SELECT id, exchange_id, time, status, reference, rest{held} FROM {table}")
        });
        format!(
            "CREATE VIEW {} AS SELECT d.id, d.exchange_id, \
             strftime('%Y-%m-%dT%H:%M:%fZ', d.time / 1000.0, 'unixepoch') AS time, \
             coalesce(d.status, e.status) AS status, r.version{columns}{rest} FROM ({rows}) d \
             LEFT JOIN exchange_data e ON e.id = d.exchange_id \
             LEFT JOIN reference_data r ON r.id = coalesce(d.reference, e.reference)",
            quoted(view),
        )
    }
}

/// What a row takes beside its cells: record header, ids, index entry, its exchange.
pub(super) const ROW_OVERHEAD: u64 = 40;

/// What an exchange takes beside its texts.
pub(super) const EXCHANGE_OVERHEAD: u64 = 80;

/// Ids and priorities of the rows from `first` to before `end`.
pub(super) fn row_ids(first: i64, end: i64, seed: u64) -> Vec<RowId> {
    let row = |id| RowId {
        id,
        priority: thinning::priority(id, seed),
    };
    (first..end).map(row).collect()
}

/// What was thinned of a model, oldest first.
pub(super) fn segments(connection: &Connection, number: i64) -> rusqlite::Result<Vec<Thinned>> {
    connection
        .prepare("SELECT before, threshold FROM thinned WHERE model = ?1 ORDER BY before")?
        .query_map([number], |row| {
            let threshold: i64 = row.get(1)?;
            Ok(Thinned {
                before: row.get(0)?,
                threshold: threshold.unsigned_abs(),
            })
        })?
        .collect()
}

fn model_number(connection: &Connection, name: &ModelName) -> rusqlite::Result<(i64, String)> {
    let found = connection
        .query_row(
            "SELECT id, view FROM models WHERE name = ?1",
            [name.as_str()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    if let Some(found) = found {
        return Ok(found);
    }
    let mut statement = connection.prepare("SELECT lower(view) FROM models")?;
    let taken: HashSet<String> = statement
        .query_map((), |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let view = free_name(&format!("rows_{name}"), |name| taken.contains(name));
    connection.execute(
        "INSERT INTO models (name, view) VALUES (?1, ?2)",
        (name.as_str(), &view),
    )?;
    Ok((connection.last_insert_rowid(), view))
}

fn known_columns(connection: &Connection, number: i64) -> rusqlite::Result<Vec<Known>> {
    connection
        .prepare(
            "SELECT position, role, name, view_column FROM columns WHERE model = ?1 ORDER BY position",
        )?
        .query_map([number], |row| {
            Ok(Known {
                position: row.get(0)?,
                role: row.get(1)?,
                name: row.get(2)?,
                view_column: row.get(3)?,
            })
        })?
        .collect()
}

/// The place of every column of the schema; columns the file does not know are added to `known`.
fn assign(known: &mut Vec<Known>, schema: &Schema) -> Vec<Place> {
    let mut taken: HashSet<String> = RESERVED.map(str::to_owned).into();
    taken.extend(known.iter().map(|c| c.view_column.to_ascii_lowercase()));
    // The same name may stand twice, as feature and as output: the nth one stays the nth one.
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut nth = |name: &str| {
        let count = seen.entry(name.to_owned()).or_default();
        *count += 1;
        (name.to_owned(), *count)
    };
    let mut at: HashMap<(String, usize), usize> = (known.iter().enumerate())
        .map(|(index, column)| (nth(&column.name), index))
        .collect();
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut places = Vec::with_capacity(schema.columns().len());
    for column in schema.columns() {
        let (role, name) = (column.role.as_str(), &*column.name);
        let count = seen.entry(name).or_default();
        *count += 1;
        let key = (name.to_owned(), *count);
        let index = *at.entry(key).or_insert_with(|| {
            let view_column = free_name(name, |name| taken.contains(name));
            taken.insert(view_column.to_ascii_lowercase());
            known.push(Known {
                position: known.len() as i64,
                role: role.to_owned(),
                name: name.to_owned(),
                view_column,
            });
            known.len() - 1
        });
        let column = &mut known[index];
        role.clone_into(&mut column.role);
        places.push(if column.position < WIDTH {
            Place::Column(column.position)
        } else {
            Place::Rest(column.view_column.clone())
        });
    }
    places
}

/// `name`, or where that is taken in any case, `name:2`, `name:3`, …
fn free_name(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let name = name.replace('\0', "\u{fffd}");
    let name = if name.is_empty() { "(empty)" } else { &name };
    let free = |candidate: &String| !taken(&candidate.to_ascii_lowercase());
    std::iter::once(name.to_owned())
        .chain((2_u64..).map(|n| format!("{name}:{n}")))
        .find(free)
        .unwrap_or_default()
}
