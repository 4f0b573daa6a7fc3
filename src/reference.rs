//! Files to references: the columns of a data file, the part each plays, and what it holds.
//!
//! A file is told by its content (`source`: CSV, JSON Lines, Parquet, gzip) and read once into columns
//! of cells, in memory or beyond a limit in a temporary file (`store`). Column by column, names and
//! contents give each a role (`role`), the configuration settles what they leave open or get wrong
//! (`settle`), and each checked column is read as numbers, words or text (`kind`).
//!
//! Invariant: a reading that could be wrong in silence is an error that says what to write.
//! Invariant: memory is bounded by [`store`]'s limit and by one column, not by the file.
//! It knows files and the drift core's reference; no bodies, HTTP, SQL, or clock.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::drift;
use crate::drift::dependence::MAX_ROWS;
use crate::drift::season::Seasonal;
use crate::drift::since;
use crate::drift::together::{self, Stride, Together};
use crate::feature::{Cell, Kind};
use crate::model::Schema;
use crate::timestamp::Timestamp;

mod bound;
mod build;
mod compact;
mod csv;
mod date;
mod header;
mod inspect;
mod json;
mod kind;
mod learn;
mod line;
mod meter;
mod names;
mod pair;
mod parquet;
mod problem;
mod profile;
mod raw;
mod role;
mod season;
mod settle;
mod source;
mod store;
mod table;
mod wording;

#[cfg(test)]
mod tests;

pub use compact::{CONFIG_MAP, DEFAULT_ERROR, Profiled, Resolution, profile};
pub use inspect::Inspected;
pub use learn::{Learned, frozen, learn};
pub use meter::Progress;
pub use pair::{Pair, PairColumn};
pub use problem::{Errors, Place, Problem};
pub use role::FoundRole;

use bound::Bound;
use build::Column;
use role::Found;
use season::RowHours;
use source::Source;
use table::Missing;

/// Words that stand for a missing value where none are configured: what pandas, R and SQL write.
pub const DEFAULT_MISSING: [&str; 8] = ["", "NA", "NaN", "nan", "null", "NULL", "None", "N/A"];

/// What the sorted values of one model's references may take, of which there are two during a
/// reload: room for 60 columns of a million rows in each.
pub const DEFAULT_MAX_BYTES: u64 = 1 << 30;

/// The name of the output where neither file nor configuration names one.
pub const DEFAULT_OUTPUT: &str = "prediction";

/// How the reference file of one model is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file.
    pub path: PathBuf,
    /// Roles by column name, over those found: `feature`, `output`, `output:NAME`, `target`,
    /// `time`, `id` or `ignore`.
    pub columns: BTreeMap<String, String>,
    /// The features in the order of positional values; empty: as the file has them.
    pub features: Vec<String>,
    /// The outputs in the order of positional answers, by their final names; empty: as found. One
    /// that the file does not hold is stored and not compared.
    pub outputs: Vec<String>,
    /// Words that stand for a missing value in CSV; other formats have `null`.
    pub missing: Vec<String>,
    /// Kinds by feature or output name, over those found.
    pub kinds: BTreeMap<String, Kind>,
    /// Whether the rows stand in the order of their time, so that they tell how rows depend on
    /// those before them.
    pub ordered: bool,
    /// Bytes its sorted values may take, and those of the one it replaces; columns beyond half of it
    /// are known by edges.
    pub max_bytes: u64,
    /// The time traffic takes to go round once; the times of the rows are kept where it is set.
    pub season: Option<Duration>,
}

/// A reference file as read.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What current rows are compared with, a column for each of the schema's.
    pub reference: drift::Reference,
    /// The features and outputs of the model.
    pub schema: Schema,
    /// For each column of the file, in its order: name, role, and why it has that role.
    pub roles: Vec<(String, FoundRole, &'static str)>,
    /// What a person should know about the reading: a sniffed delimiter, a column without values.
    pub notes: Vec<String>,
    /// For each column of the schema, where it comes from.
    columns: Vec<Column>,
    /// Words that stand for a missing value.
    missing: Vec<String>,
}

/// What the columns of a file come to.
#[derive(Debug, Default)]
struct References {
    columns: Vec<Option<drift::ColumnReference>>,
    together: Option<Arc<Together>>,
    dependence: Vec<Option<f64>>,
}

// === impl Config ===

impl Config {
    /// The configuration that leaves everything about the file at `path` to be found.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            columns: BTreeMap::new(),
            features: Vec::new(),
            outputs: Vec::new(),
            missing: default_missing(),
            kinds: BTreeMap::new(),
            ordered: false,
            max_bytes: DEFAULT_MAX_BYTES,
            season: None,
        }
    }
}

/// [`DEFAULT_MISSING`] as a configuration holds it.
#[must_use]
pub fn default_missing() -> Vec<String> {
    DEFAULT_MISSING.map(str::to_owned).to_vec()
}

/// Reads the reference file of a model; `now` becomes its `loaded_at`.
///
/// # Errors
///
/// All problems of file and configuration that can be told apart in one reading.
pub fn load(config: &Config, now: Timestamp) -> Result<Loaded, Errors> {
    let mut problems = settle::check(config);
    match compact::open(&config.path) {
        Ok(None) => {}
        Ok(Some(content)) => return compact::load(config, &content, problems, now),
        Err(problem) => {
            problems.push(problem);
            return Err(Errors(problems));
        }
    }
    let mut source = match source::read(&config.path, &mut |_| {}) {
        Ok(source) => source,
        Err(problem) => {
            problems.push(problem);
            return Err(Errors(problems));
        }
    };
    header::check(config, &mut source.table, &mut problems);
    if problems.iter().any(|problem| problem.key() == "reference") {
        return Err(Errors(problems));
    }
    let found = find(config, &source)?;
    let plan = settle::settle(config, &source.table, &found, &mut problems);
    let mut notes = std::mem::take(&mut source.notes);
    notes.extend(single(&config.path, &source.single));
    let columns = build::columns(
        config,
        &source.table,
        &found,
        &plan,
        &mut notes,
        &mut problems,
    );
    if !problems.is_empty() {
        return Err(Errors(problems));
    }
    let hours = season::hours(config, &source.table, &plan, &mut notes)
        .map_err(|problem| Errors(vec![problem]))?;
    let mut bound = Bound::new(config.max_bytes);
    let References {
        columns: references,
        together,
        dependence,
    } = references(config, &mut source, &columns, hours.as_ref(), &mut bound)?;
    notes.extend(bound.notes());
    Ok(Loaded {
        reference: drift::Reference {
            hash: hash(source.digest, &columns, &config.missing),
            rows: source.table.rows(),
            loaded_at: now,
            columns: references,
            together,
            dependence,
            seasonal: hours.map(|rows| Seasonal::new(rows.season, &rows.hours)),
        },
        schema: build::schema(&columns),
        roles: plan.roles,
        notes,
        columns,
        missing: config.missing.clone(),
    })
}

/// What there is to know about the columns of the file at `path` before anything is configured,
/// for `driftd init`.
///
/// # Errors
///
/// Where the file cannot be read as a table.
pub fn inspect(path: &Path, missing: &[String]) -> Result<Vec<Inspected>, Errors> {
    let mut config = Config::new(path);
    config.missing = missing.to_vec();
    if let Some(profile) = opened(&config, Timestamp(0))? {
        return Ok(profile.inspected());
    }
    let (source, found) = examine(&config, &mut |_| {})?;
    inspect::inspect(&source.table, &found, missing).map_err(|problem| Errors(vec![problem]))
}

/// The profile at the configured path, if it is one.
fn opened(config: &Config, now: Timestamp) -> Result<Option<Loaded>, Errors> {
    match compact::open(&config.path).map_err(|problem| Errors(vec![problem]))? {
        Some(content) => compact::load(config, &content, Vec::new(), now).map(Some),
        None => Ok(None),
    }
}

/// The table of a file and what its columns seem to be.
fn examine(
    config: &Config,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(Source, Vec<Found>), Errors> {
    let mut source =
        source::read(&config.path, progress).map_err(|problem| Errors(vec![problem]))?;
    let mut problems = Vec::new();
    header::check(config, &mut source.table, &mut problems);
    if !problems.is_empty() {
        return Err(Errors(problems));
    }
    let found = find(config, &source)?;
    Ok((source, found))
}

fn find(config: &Config, source: &Source) -> Result<Vec<Found>, Errors> {
    role::find_all(&source.table, &Missing::new(&config.missing))
        .map_err(|problem| Errors(vec![problem]))
}

/// The reference's columns, one after the other, each freed from the table.
fn references(
    config: &Config,
    source: &mut Source,
    columns: &[Column],
    hours: Option<&RowHours>,
    bound: &mut Bound,
) -> Result<References, Errors> {
    let missing = Missing::new(&config.missing);
    let kinds = columns.iter().filter_map(Column::compared);
    let tracks = kinds.map(drift::reference::tracks).sum();
    let stride = Stride::of(source.table.rows(), tracks);
    let store = &mut source.table.store;
    let mut found = References::default();
    let mut scores = Vec::new();
    for column in columns {
        let (mut sampled, mut first) = (Vec::new(), Vec::new());
        let mut seen = |row: usize, cell: &Cell| {
            if stride.is_some_and(|stride| stride.takes(row)) {
                sampled.push(cell.clone());
            }
            if config.ordered && row < MAX_ROWS {
                first.push(cell.clone());
            }
        };
        let reference = column.reference(store, &missing, &mut seen);
        let reference = reference.map_err(|problem| Errors(vec![problem]))?;
        let mut reference = reference.map(|reference| bound.apply(reference));
        if let (Some(reference), Some(rows), Some(at)) = (&mut reference, hours, column.at)
            && bound.holds_hours(reference)
        {
            let remember = |cells: &mut dyn Iterator<Item = Cell>| {
                reference.remember_hours(cells, &rows.hours);
            };
            (column.read(store.cells(at), &missing, remember))
                .map_err(|problem| Errors(vec![problem]))?;
        }
        if let Some(at) = column.at {
            store.forget(at);
        }
        if let Some(reference) = &reference {
            if stride.is_some() {
                scores.extend(together::scores(reference, &sampled));
            }
            if config.ordered {
                found
                    .dependence
                    .extend(since::dependence(reference, &first));
            }
        }
        found.columns.push(reference);
    }
    found.together = Together::new(&scores).map(Arc::new);
    Ok(found)
}

/// What to tell about columns of 32-bit numbers: their values are not what people write.
fn single(path: &Path, names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| {
        format!(
            "{}: {} {} 32-bit numbers, read as their exact values (0.1 is 0.10000000149011612), \
             as Python and JavaScript send them; if clients send 0.1, store 64-bit numbers",
            path.display(),
            wording::list(names.iter().map(String::as_str)),
            if names.len() == 1 { "holds" } else { "hold" }
        )
    })
}

/// Identity of content and reading: the first 16 hex digits of a hash over both.
fn hash(content: Sha256, columns: &[Column], missing: &[String]) -> String {
    digits(content.chain_update(build::reading(columns, missing)))
}

fn digits(digest: Sha256) -> String {
    let bytes = digest.finalize();
    bytes
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
