//! From a plan to the reference's columns, the schema and the hash; and to rows of other files.

use std::path::Path;

use crate::drift::ColumnReference;
use crate::feature::{self, Cell, Kind, Role};
use crate::model::{Row, Schema};

use super::Config;
use super::csv::Source;
use super::kind::{self, Reading};
use super::problem::Problem;
use super::profile::Profile;
use super::role::Found;
use super::settle::Plan;
use super::table::{Cells, Missing, Table, line_at};
use super::wording::list;

/// One column of the schema and where it comes from.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Its name in the schema.
    name: String,
    /// Its name in the file, where the file holds it.
    source: Option<String>,
    role: Role,
    kind: Option<Kind>,
    reading: Reading,
}

/// The schema's columns and their references, features first.
pub(super) struct Built {
    pub(super) columns: Vec<Column>,
    pub(super) references: Vec<Option<ColumnReference>>,
}

/// Reads the checked columns of `table` one after the other, freeing each.
pub(super) fn columns(
    config: &Config,
    table: &mut Table,
    found: &[Found],
    plan: &Plan,
    notes: &mut Vec<String>,
    problems: &mut Vec<Problem>,
) -> Built {
    let features = plan.features.iter().map(|at| {
        let name = table.header[*at].clone();
        (Role::Feature, Some(*at), name)
    });
    let outputs = plan.outputs.iter().cloned();
    let outputs = outputs.map(|(at, name)| (Role::Output, at, name));
    let wanted: Vec<(Role, Option<usize>, String)> = features.chain(outputs).collect();
    let missing = Missing::new(&config.missing);
    let mut built = Built {
        columns: Vec::with_capacity(wanted.len()),
        references: Vec::with_capacity(wanted.len()),
    };
    for (role, at, name) in wanted {
        let set = config.kinds.get(&name).copied();
        let Some(at) = at else {
            built.push(Column::absent(name, role, set), None);
            continue;
        };
        let cells = std::mem::take(&mut table.columns[at]);
        let profile = &found[at].profile;
        let kind = set.or_else(|| kind::guess(&cells, profile, &missing).kind);
        problems.extend(impossible(config, &name, set, profile, table));
        notes.extend(note(&name, kind, profile));
        let column = Column {
            source: Some(table.header[at].clone()),
            name,
            role,
            kind,
            reading: kind::reading(kind, profile),
        };
        let reference = kind
            .filter(|_| profile.present > 0)
            .map(|kind| ColumnReference::new(kind, column.cells(&cells, &missing)));
        built.push(column, reference);
    }
    built
}

fn impossible(
    config: &Config,
    name: &str,
    set: Option<Kind>,
    profile: &Profile,
    table: &Table,
) -> Option<Problem> {
    if set != Some(Kind::Numeric) || profile.booleans {
        return None;
    }
    let (row, value) = profile.not_number.as_ref()?;
    Some(Problem::KindImpossible {
        path: config.path.clone(),
        line: line_at(
            &config.path,
            table.starts.get(*row).copied().unwrap_or_default(),
        ),
        name: name.to_owned(),
        value: value.clone(),
    })
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

/// The rows of another file, read like the reference.
pub(super) fn rows(
    columns: &[Column],
    missing: &[String],
    source: Source,
    path: &Path,
) -> Result<(Vec<Row>, Vec<String>), Problem> {
    let Source {
        mut table,
        mut notes,
        ..
    } = source;
    let missing = Missing::new(missing);
    let mut rows = vec![vec![Cell::Missing; columns.len()].into_boxed_slice(); table.rows()];
    let mut held = 0;
    for (place, column) in columns.iter().enumerate() {
        let Some(name) = &column.source else { continue };
        let at = table
            .position(name)
            .or_else(|| table.position(&column.name));
        let Some(at) = at else {
            notes.push(format!(
                "{}: has no column {name:?}; it counts as missing",
                path.display()
            ));
            continue;
        };
        held += 1;
        let cells = std::mem::take(&mut table.columns[at]);
        for (row, cell) in rows.iter_mut().zip(column.cells(&cells, &missing)) {
            row[place] = cell;
        }
    }
    if held == 0 {
        return Err(Problem::NoColumns {
            path: path.to_owned(),
            names: list(columns.iter().map(|column| column.name.as_str())),
        });
    }
    Ok((rows, notes))
}

// === impl Built ===

impl Built {
    fn push(&mut self, column: Column, reference: Option<ColumnReference>) {
        self.columns.push(column);
        self.references.push(reference);
    }
}

// === impl Column ===

impl Column {
    /// An output the file does not hold.
    const fn absent(name: String, role: Role, kind: Option<Kind>) -> Self {
        Self {
            name,
            source: None,
            role,
            kind,
            reading: Reading::Text,
        }
    }

    fn cells<'a>(
        &self,
        cells: &'a Cells,
        missing: &'a Missing<'a>,
    ) -> impl Iterator<Item = Cell> + 'a {
        let reading = self.reading;
        cells.iter().map(move |text| reading.cell(text, missing))
    }

    fn described(&self) -> feature::Column {
        feature::Column {
            name: self.name.as_str().into(),
            role: self.role,
            kind: self.kind,
        }
    }
}
