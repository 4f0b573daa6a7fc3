//! From a plan to the reference's columns, the schema and the hash.

use crate::drift::ColumnReference;
use crate::feature::{self, Cell, Kind, Role};
use crate::model::Schema;

use super::Config;
use super::kind::{self, Reading};
use super::line;
use super::problem::Problem;
use super::profile::Profile;
use super::role::Found;
use super::settle::Plan;
use super::store::{Cells, Store};
use super::table::{Format, Missing, Table};

/// One column of the schema and where it comes from.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Its name in the schema.
    pub(super) name: String,
    /// Its place in the file, where the file holds it.
    pub(super) at: Option<usize>,
    /// Its name in the file.
    pub(super) source: Option<String>,
    pub(super) role: Role,
    pub(super) kind: Option<Kind>,
    pub(super) reading: Reading,
    /// Whether any row of the file holds a value.
    pub(super) present: bool,
}

/// The schema's columns as planned, features first.
pub(super) fn columns(
    config: &Config,
    table: &Table,
    found: &[Found],
    plan: &Plan,
    notes: &mut Vec<String>,
    problems: &mut Vec<Problem>,
) -> Vec<Column> {
    let features = plan.features.iter().map(|at| {
        let name = table.header[*at].clone();
        (Role::Feature, Some(*at), name)
    });
    let outputs = plan.outputs.iter().cloned();
    let outputs = outputs.map(|(at, name)| (Role::Output, at, name));
    let mut columns = Vec::new();
    for (role, at, name) in features.chain(outputs) {
        let set = config.kinds.get(&name).copied();
        let Some(at) = at else {
            columns.push(Column::absent(name, role, set));
            continue;
        };
        let profile = &found[at].profile;
        let kind = set.or(found[at].guess.kind);
        problems.extend(impossible(config, &name, set, profile, table));
        notes.extend(note(&name, kind, profile));
        columns.push(Column {
            name,
            at: Some(at),
            source: Some(table.header[at].clone()),
            role,
            kind,
            reading: kind::reading(kind, profile),
            present: profile.present > 0,
        });
    }
    columns
}

/// A kind that was set and that the values contradict.
fn impossible(
    config: &Config,
    name: &str,
    set: Option<Kind>,
    profile: &Profile,
    table: &Table,
) -> Option<Problem> {
    let path = || config.path.clone();
    let place = |row| line::of_row(&config.path, table.format, row);
    match set? {
        Kind::Numeric if !profile.booleans => {
            let (row, value) = profile.not_number.as_ref()?;
            let missing = match table.format {
                Format::Csv { .. } => "add the value to `missing`",
                Format::JsonLines | Format::JsonArray | Format::Parquet => "make the value null",
            };
            Some(Problem::KindImpossible {
                path: path(),
                place: place(*row),
                name: name.to_owned(),
                value: value.clone(),
                missing,
            })
        }
        Kind::Text => {
            let (row, value) = profile.not_text.as_ref()?;
            Some(Problem::NoText {
                path: path(),
                place: place(*row),
                name: name.to_owned(),
                value: value.clone(),
            })
        }
        Kind::Numeric | Kind::Categorical => None,
    }
}

fn note(name: &str, kind: Option<Kind>, profile: &Profile) -> Option<String> {
    if profile.present == 0 {
        return Some(format!(
            "{name} holds no value in any row; it is not compared"
        ));
    }
    match kind {
        Some(Kind::Categorical | Kind::Text) if profile.decimal_commas => Some(format!(
            "{name} holds numbers with a decimal comma, which are compared as words; write them with a point"
        )),
        Some(Kind::Categorical) if profile.codes && profile.numeric() => Some(format!(
            "{name} holds codes such as 007, which are compared as written; bodies should hold them as strings"
        )),
        _ => None,
    }
}

/// The schema of these columns.
pub(super) fn schema(columns: &[Column]) -> Schema {
    let of = |role| {
        let columns = columns.iter().filter(move |column| column.role == role);
        columns.map(Column::described).collect()
    };
    Schema::new(of(Role::Feature), of(Role::Output))
}

/// How the columns are read, unmistakably, for the reference's hash.
pub(super) fn reading(columns: &[Column], missing: &[String]) -> String {
    let mut words: Vec<&str> = missing.iter().map(|word| word.trim()).collect();
    words.sort_unstable();
    words.dedup();
    let columns = columns.iter().map(|column| {
        let kind = column.kind.map(Kind::as_str);
        let Column {
            name,
            source,
            role,
            reading,
            ..
        } = column;
        format!(
            "{role} {name:?} from {source:?} as {kind:?} by {}\n",
            reading.as_str()
        )
    });
    format!(
        "\ndriftd reading 1, missing {words:?}\n{}",
        columns.collect::<String>()
    )
}

// === impl Column ===

impl Column {
    /// An output the file does not hold.
    const fn absent(name: String, role: Role, kind: Option<Kind>) -> Self {
        Self {
            name,
            at: None,
            source: None,
            role,
            kind,
            reading: Reading::Text,
            present: false,
        }
    }

    /// The column as the reference holds it; `None` where there is nothing to compare with. `seen`
    /// is shown every cell with its row.
    pub(super) fn reference(
        &self,
        store: &Store,
        missing: &Missing<'_>,
        seen: &mut dyn FnMut(usize, &Cell),
    ) -> Result<Option<ColumnReference>, Problem> {
        let (Some(at), Some(kind), true) = (self.at, self.kind, self.present) else {
            return Ok(None);
        };
        let cells = store.cells(at);
        let reference = self.read(cells, missing, |cells| {
            let told = cells.enumerate().inspect(|(row, cell)| seen(*row, cell));
            ColumnReference::new(kind, told.map(|(_, cell)| cell))
        })?;
        Ok(Some(reference))
    }

    /// Lets `take` have the cells of a column of any file, read as this column is.
    pub(super) fn read<T>(
        &self,
        mut cells: Cells<'_>,
        missing: &Missing<'_>,
        take: impl FnOnce(&mut dyn Iterator<Item = Cell>) -> T,
    ) -> Result<T, Problem> {
        let reading = self.reading;
        let mut read =
            std::iter::from_fn(|| cells.next().map(|(_, raw)| reading.cell(raw, missing)));
        let taken = take(&mut read);
        cells.end().map(|()| taken)
    }

    /// Its kind, where there is something to compare with.
    pub(super) fn compared(&self) -> Option<Kind> {
        self.kind.filter(|_| self.present && self.at.is_some())
    }

    fn described(&self) -> feature::Column {
        feature::Column {
            name: self.name.as_str().into(),
            role: self.role,
            kind: self.kind,
        }
    }
}
