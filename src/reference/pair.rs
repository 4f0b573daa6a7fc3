//! Two files side by side, a column at a time: what `driftd check` compares.

use std::path::Path;
use std::sync::Arc;

use crate::drift::ColumnReference;
use crate::drift::reference::tracks;
use crate::drift::together::{self, Stride, Together};
use crate::drift::values::Values;
use crate::feature::Cell;
use crate::model::Schema;
use crate::timestamp::Timestamp;

use super::build::{self, Column};
use super::meter::Progress;
use super::problem::{Errors, Problem};
use super::role::{self, Found, FoundRole};
use super::settle;
use super::source::{self, Source};
use super::table::{Missing, Table};
use super::wording::list;
use super::{Config, Loaded, examine, hash, opened};

/// A reference file and a current one. Both are read once, on opening; after that a column costs
/// the memory of its own cells, whatever the size of the files.
#[derive(Debug)]
pub struct Pair {
    schema: Schema,
    columns: Vec<Column>,
    reference: Held,
    current: Table,
    /// For each column of the schema, where the current file holds it.
    places: Vec<Option<usize>>,
    hash: String,
    notes: Vec<String>,
    /// Words that stand for a missing value.
    missing: Vec<String>,
    /// Which rows of either file the columns are compared by together; `None` where they are not.
    sample: Option<Sample>,
}

/// What there is of the reference.
#[derive(Debug)]
enum Held {
    /// All its cells.
    Table(Table),
    /// The columns of a profile, and how many rows it stands for.
    Profile {
        columns: Vec<Option<ColumnReference>>,
        rows: usize,
        together: Option<Arc<Together>>,
    },
}

/// One column of both files.
#[derive(Debug, Clone)]
pub struct PairColumn {
    /// The column of the reference, sorted or counted; `None` where it holds no value.
    pub reference: Option<ColumnReference>,
    /// The values of the current file, for each track of `reference`; none where there is none.
    pub current: Vec<Values<'static>>,
    /// Of each track, the scores of the reference rows by which all columns are compared together;
    /// none where they are not, or a profile knows them.
    pub reference_scores: Vec<Vec<f32>>,
    /// Of each track, the scores of the current ones.
    pub current_scores: Vec<Vec<f32>>,
}

/// The same rows of every column.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Of the reference; `None` where a profile knows all that is wanted of them.
    reference: Option<Stride>,
    current: Stride,
}

/// Rows of either file that all columns are compared by together, at most.
const MOST_JOINT_ROWS: usize = 10_000;

/// The joint test's law is that of many rows: fewer current ones are not tested so, as by
/// `drift.min_rows` where traffic is watched.
const FEWEST_JOINT_ROWS: usize = 200;

// === impl Pair ===

impl Pair {
    /// Reads two files to compare all of the first, whatever part its columns play for a model:
    /// features, outputs and targets alike are features. Only ids, times and row numbers are left
    /// out, which differ between any two files. The second is read as the first was: by column
    /// name, whatever the order; a column it does not hold is missing in every row, and a value
    /// that does not fit its column's kind stays text. Notes say so. The files may be of different
    /// formats, and the first may be a profile. `missing` are the words that stand for a missing value in CSV; `progress` is told
    /// how far the reading is, every few megabytes and at the end of each file.
    ///
    /// # Errors
    ///
    /// Where one of the files cannot be read as a table, where nothing in the first can be compared,
    /// or the second has none of its columns.
    pub fn open(
        reference: &Path,
        current: &Path,
        missing: &[String],
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Self, Errors> {
        let mut config = Config::new(reference);
        config.missing = missing.to_vec();
        if let Some(profile) = opened(&config, Timestamp(0))? {
            return Self::with_profile(profile.only_held(), current, progress);
        }
        let (source, found) = examine(&config, progress)?;
        let (columns, source) = plan(config, source, &found)?;
        let Source {
            table,
            digest,
            mut notes,
            ..
        } = source;
        let other = source::read(current, progress).map_err(|problem| Errors(vec![problem]))?;
        notes.extend(other.notes);
        let places = places(&columns, &other.table, current, &mut notes)
            .map_err(|problem| Errors(vec![problem]))?;
        let tracks = columns
            .iter()
            .filter_map(Column::compared)
            .map(tracks)
            .sum();
        let stride = Stride::of(table.rows(), tracks);
        let sample = stride.and_then(|stride| Sample::new(Some(stride), other.table.rows()));
        Ok(Self {
            schema: build::schema(&columns),
            hash: hash(digest, &columns, missing),
            columns,
            reference: Held::Table(table),
            current: other.table,
            sample,
            places,
            notes,
            missing: missing.to_vec(),
        })
    }

    /// A profile and a file, which is read as the profile says.
    fn with_profile(
        profile: Loaded,
        current: &Path,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Self, Errors> {
        let other = source::read(current, progress).map_err(|problem| Errors(vec![problem]))?;
        let mut notes = other.notes;
        let places = places(&profile.columns, &other.table, current, &mut notes)
            .map_err(|problem| Errors(vec![problem]))?;
        let known = profile.reference.together.as_ref();
        let tracks: usize = (profile.reference.columns.iter().flatten())
            .map(|column| tracks(column.kind()))
            .sum();
        let known = known.filter(|known| known.reference().columns() == tracks);
        let sample = known.and_then(|_| Sample::new(None, other.table.rows()));
        Ok(Self {
            sample,
            schema: profile.schema,
            hash: profile.reference.hash,
            columns: profile.columns,
            reference: Held::Profile {
                columns: profile.reference.columns,
                rows: profile.reference.rows,
                together: profile.reference.together,
            },
            current: other.table,
            places,
            notes,
            missing: profile.missing,
        })
    }

    /// The columns that are compared, all of them as features unless a profile says otherwise.
    #[must_use]
    pub const fn schema(&self) -> &Schema {
        &self.schema
    }

    /// What a person should know about the reading of both files.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Rows in the reference file.
    #[must_use]
    pub const fn reference_rows(&self) -> usize {
        match &self.reference {
            Held::Table(table) => table.rows(),
            Held::Profile { rows, .. } => *rows,
        }
    }

    /// Rows in the current file.
    #[must_use]
    pub const fn current_rows(&self) -> usize {
        self.current.rows()
    }

    /// Identity of the reference's content and reading: 16 hex digits.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The column at `index` of the schema. It is read anew on every call.
    ///
    /// # Errors
    ///
    /// Where the temporary file that large files are put into cannot be read.
    pub fn column(&self, index: usize) -> Result<PairColumn, Problem> {
        let missing = Missing::new(&self.missing);
        let column = &self.columns[index];
        let (before, now) = (
            self.sample.and_then(|sample| sample.reference),
            self.sample.map(|sample| sample.current),
        );
        let mut sampled = Vec::new();
        let reference = match &self.reference {
            Held::Table(table) => column.reference(&table.store, &missing, &mut |row, cell| {
                if before.is_some_and(|stride| stride.takes(row)) {
                    sampled.push(cell.clone());
                }
            })?,
            Held::Profile { columns, .. } => columns[index].clone(),
        };
        let Some(reference) = reference else {
            return Ok(PairColumn {
                reference: None,
                current: Vec::new(),
                reference_scores: Vec::new(),
                current_scores: Vec::new(),
            });
        };
        let scores = |stride: Option<Stride>, sampled: &[Cell]| {
            stride.map_or_else(Vec::new, |_| together::scores(&reference, sampled))
        };
        let reference_scores = scores(before, &sampled);
        sampled.clear();
        let mut taken = |(row, cell): (usize, Cell)| {
            if now.is_some_and(|stride| stride.takes(row)) {
                sampled.push(cell.clone());
            }
            cell
        };
        let current = match self.places[index] {
            Some(place) => {
                let cells = self.current.store.cells(place);
                column.read(cells, &missing, |cells| {
                    Values::of(&reference, cells.enumerate().map(taken))
                })?
            }
            None => {
                let nothing = std::iter::repeat_n(Cell::Missing, self.current.rows());
                Values::of(&reference, nothing.enumerate().map(&mut taken))
            }
        };
        Ok(PairColumn {
            current,
            reference_scores,
            current_scores: scores(now, &sampled),
            reference: Some(reference),
        })
    }

    /// Whether all columns are compared together too.
    #[must_use]
    pub const fn is_joint(&self) -> bool {
        self.sample.is_some()
    }

    /// All columns of the reference together: as a profile knows them, or by the scores of every
    /// column, a `Vec` for each track; `None` where they cannot be compared so.
    #[must_use]
    pub fn together(&self, reference_scores: &[Vec<f32>]) -> Option<Arc<Together>> {
        match &self.reference {
            _ if self.sample.is_none() => None,
            Held::Table(_) => Together::new(reference_scores).map(Arc::new),
            Held::Profile { together, .. } => together.clone(),
        }
    }
}

// === impl Sample ===

impl Sample {
    /// Of a current file of so many rows; `None` where they are too few.
    fn new(reference: Option<Stride>, current: usize) -> Option<Self> {
        (current >= FEWEST_JOINT_ROWS).then(|| Self {
            reference,
            current: Stride::to(current, MOST_JOINT_ROWS),
        })
    }
}

/// The columns of the reference that are compared.
fn plan(
    mut config: Config,
    mut source: Source,
    found: &[Found],
) -> Result<(Vec<Column>, Source), Errors> {
    let differs = |found: &Found| match found.role {
        FoundRole::Id | FoundRole::Time => !found.unclear,
        FoundRole::Ignore => found.why == role::COUNTS,
        FoundRole::Feature | FoundRole::Output | FoundRole::Target => false,
    };
    for (name, found) in source.table.header.iter().zip(found) {
        let role = if differs(found) {
            found.role
        } else {
            FoundRole::Feature
        };
        if role != FoundRole::Feature {
            let note = format!("{name} is not compared: it {}", found.why);
            source.notes.push(note);
        }
        config.columns.insert(name.clone(), role.to_string());
    }
    let mut problems = Vec::new();
    let mut plan = settle::settle(&config, &source.table, found, &mut problems);
    plan.outputs.clear();
    problems.retain(|problem| !matches!(problem, Problem::SameName { .. }));
    let notes = &mut source.notes;
    let columns = build::columns(&config, &source.table, found, &plan, notes, &mut problems);
    if problems.is_empty() {
        Ok((columns, source))
    } else {
        Err(Errors(problems))
    }
}

/// Where the current file holds each column.
fn places(
    columns: &[Column],
    current: &Table,
    path: &Path,
    notes: &mut Vec<String>,
) -> Result<Vec<Option<usize>>, Problem> {
    let names = current.header.iter().map(String::as_str);
    // The first of two columns of one name counts.
    let held: std::collections::HashMap<&str, usize> = names
        .enumerate()
        .map(|(at, name)| (name, at))
        .rev()
        .collect();
    let places: Vec<Option<usize>> = columns
        .iter()
        .map(|column| {
            let source = column
                .source
                .as_ref()
                .and_then(|name| held.get(name.as_str()));
            source.or_else(|| held.get(column.name.as_str())).copied()
        })
        .collect();
    if places.iter().all(Option::is_none) {
        return Err(Problem::NoColumns {
            path: path.to_owned(),
            names: list(columns.iter().map(|column| column.name.as_str())),
        });
    }
    for (column, _) in columns.iter().zip(&places).filter(|(_, at)| at.is_none()) {
        notes.push(format!(
            "{}: has no column {:?}; it counts as missing",
            path.display(),
            column.name
        ));
    }
    Ok(places)
}
