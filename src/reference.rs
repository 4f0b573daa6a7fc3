//! Files to references: the columns of a data file, the part each plays, and what it holds.
//!
//! A file is read into a table of texts (`csv`, the only format so far); names and contents give
//! every column a role (`role`), the configuration settles what they leave open or get wrong
//! (`settle`), and each checked column is read as numbers, words or text (`kind`).
//!
//! Invariant: a reading that could be wrong in silence is an error that says what to write. It
//! knows files and the drift core's reference; no bodies, HTTP, SQL, or clock.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::drift;
use crate::feature::Kind;
use crate::model::{Row, Schema};
use crate::timestamp::Timestamp;

mod build;
mod csv;
mod date;
mod header;
mod inspect;
mod kind;
mod names;
mod problem;
mod profile;
mod role;
mod settle;
mod table;
mod wording;

#[cfg(test)]
mod tests;

pub use inspect::Inspected;
pub use problem::{Errors, Problem};
pub use role::FoundRole;

use build::Column;

/// Words that stand for a missing value where none are configured: what pandas, R and SQL write.
pub const DEFAULT_MISSING: [&str; 8] = ["", "NA", "NaN", "nan", "null", "NULL", "None", "N/A"];

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
    /// Words that stand for a missing value.
    pub missing: Vec<String>,
    /// Kinds by feature or output name, over those found.
    pub kinds: BTreeMap<String, Kind>,
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
    let mut source = match csv::read(&config.path) {
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
    let missing = table::Missing::new(&config.missing);
    let found = role::find_all(&source.table, &missing);
    let plan = settle::settle(config, &source.table, &found, &mut problems);
    finish(config, now, source, &found, plan, problems)
}

/// Reads a file to compare all of it, whatever part its columns play for a model: features,
/// outputs and targets alike are features. Only ids, times and row numbers are left out, which
/// differ between any two files; a note says so.
///
/// # Errors
///
/// Where the file cannot be read as a table, or nothing in it can be compared.
pub fn load_all(path: &Path, now: Timestamp) -> Result<Loaded, Errors> {
    let mut config = Config::new(path);
    let (mut source, found) = examine(&config)?;
    let differs = |found: &role::Found| match found.role {
        FoundRole::Id | FoundRole::Time => !found.unclear,
        FoundRole::Ignore => found.why == role::COUNTS,
        FoundRole::Feature | FoundRole::Output | FoundRole::Target => false,
    };
    for (name, found) in source.table.header.iter().zip(&found) {
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
    let mut plan = settle::settle(&config, &source.table, &found, &mut problems);
    plan.outputs.clear();
    problems.retain(|problem| !matches!(problem, Problem::SameName { .. }));
    finish(&config, now, source, &found, plan, problems)
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
    let (source, found) = examine(&config)?;
    Ok(inspect::inspect(&source.table, &found, missing))
}

/// The table of a file and what its columns seem to be.
fn examine(config: &Config) -> Result<(csv::Source, Vec<role::Found>), Errors> {
    let mut source = csv::read(&config.path).map_err(|problem| Errors(vec![problem]))?;
    let mut problems = Vec::new();
    header::check(config, &mut source.table, &mut problems);
    if !problems.is_empty() {
        return Err(Errors(problems));
    }
    let found = role::find_all(&source.table, &table::Missing::new(&config.missing));
    Ok((source, found))
}

/// Reads the columns as planned; fails if there is any problem by now.
fn finish(
    config: &Config,
    now: Timestamp,
    source: csv::Source,
    found: &[role::Found],
    plan: settle::Plan,
    mut problems: Vec<Problem>,
) -> Result<Loaded, Errors> {
    let csv::Source {
        mut table,
        mut digest,
        mut notes,
    } = source;
    let rows = table.rows();
    let build::Built {
        columns,
        references,
    } = build::columns(config, &mut table, found, &plan, &mut notes, &mut problems);
    if !problems.is_empty() {
        return Err(Errors(problems));
    }
    digest.update(build::reading(&columns, &config.missing));
    Ok(Loaded {
        reference: drift::Reference {
            hash: hash(digest),
            rows,
            loaded_at: now,
            columns: references,
        },
        schema: build::schema(&columns),
        roles: plan.roles,
        notes,
        columns,
        missing: config.missing.clone(),
    })
}

// === impl Loaded ===

impl Loaded {
    /// The rows of another file, read as the reference was: by column name, whatever their order.
    /// A column the file does not hold is missing in every row; a value that does not fit its
    /// column's kind stays text. Also gives notes for a person.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read as a table, or holds none of the columns.
    pub fn rows(&self, path: &Path) -> Result<(Vec<Row>, Vec<String>), Errors> {
        let source = csv::read(path).map_err(|problem| Errors(vec![problem]))?;
        build::rows(&self.columns, &self.missing, source, path)
            .map_err(|problem| Errors(vec![problem]))
    }
}

/// The first 16 hex digits.
fn hash(digest: Sha256) -> String {
    let bytes = digest.finalize();
    bytes
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
