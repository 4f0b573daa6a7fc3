//! A reference from rows of traffic. It is written as a profile and read back at once, so that it is
//! the same after every restart.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use crate::drift::together::{self, Stride, Together};
use crate::drift::{self, ColumnReference, since};
use crate::feature::{self, Cell, Kind};
use crate::model::{Row, Schema};
use crate::timestamp::Timestamp;

use super::build::Column;
use super::compact::{self, Content};
use super::kind::{CODED, CODES, Reading, limit};
use super::{Errors, FoundRole, Loaded, default_missing};

/// Up to so many rows, every value is kept …
const EXACT_ROWS: usize = 10_000;

/// … and of all columns together so many; more would make the profile as large as the window.
const VALUES: usize = 1_500_000;

/// A reference that was learned.
#[derive(Debug)]
pub struct Learned {
    /// What it is.
    pub loaded: Loaded,
    /// Its profile, compressed: what [`frozen`] reads.
    pub profile: Vec<u8>,
}

/// Learns the columns of `schema` from `rows`, oldest first; `kinds` by name, over those found.
///
/// # Errors
///
/// Where there is nothing to compare: no row, or no feature.
pub fn learn(
    schema: &Schema,
    kinds: &BTreeMap<String, Kind>,
    rows: &[Row],
    now: Timestamp,
) -> Result<Learned, Errors> {
    let mut columns = Vec::new();
    let mut references = Vec::new();
    let mut notes = Vec::new();
    let (mut scores, mut dependence) = (Vec::new(), Vec::new());
    let stride = Stride::of(rows.len(), schema.columns().len());
    for (index, described) in schema.columns().iter().enumerate() {
        let cells = || rows.iter().map(|row| row[index].clone());
        let set = kinds.get(&*described.name).copied();
        let column = column(described, set, cells());
        let reference = column.kind.filter(|_| column.present);
        let reference = reference.map(|kind| ColumnReference::new(kind, cells()));
        notes.extend(note(&column.name, reference.as_ref(), rows.len()));
        if let Some(reference) = &reference {
            // Rows of traffic stand in the order of their time.
            let first: Vec<Cell> = cells().take(drift::dependence::MAX_ROWS).collect();
            dependence.extend(since::dependence(reference, &first));
            if let Some(stride) = stride {
                let taken = cells().enumerate().filter(|(row, _)| stride.takes(*row));
                let taken: Vec<Cell> = taken.map(|(_, cell)| cell).collect();
                scores.extend(together::scores(reference, &taken));
            }
        }
        columns.push(column);
        references.push(reference);
    }
    let found = Loaded {
        reference: drift::Reference {
            hash: "traffic".to_owned(),
            rows: rows.len(),
            loaded_at: now,
            columns: references,
            together: Together::new(&scores).map(std::sync::Arc::new),
            dependence,
            // The profile it becomes holds no times.
            seasonal: None,
        },
        schema: super::build::schema(&columns),
        roles: Vec::<(String, FoundRole, &'static str)>::new(),
        notes: Vec::new(),
        columns,
        missing: default_missing(),
    };
    let edges = EXACT_ROWS.min(VALUES / schema.columns().len().max(1));
    let error = if rows.len() <= edges {
        0.0
    } else {
        1.0 / edges as f64
    };
    let compact::Profiled { gzip, .. } = compact::profile(&found, error, usize::MAX);
    let mut loaded = frozen(&gzip, now)?;
    loaded.notes = notes;
    Ok(Learned {
        loaded,
        profile: gzip,
    })
}

/// The reference of a profile that [`learn`] made.
///
/// # Errors
///
/// What is wrong with it.
pub fn frozen(profile: &[u8], now: Timestamp) -> Result<Loaded, Errors> {
    let path = Path::new("the learned reference");
    let content = Content::unzipped(profile, path);
    let content = content.map_err(|problem| Errors(vec![problem]))?;
    compact::restore(&content, path, now)
}

/// A column as its values tell it: numbers, few words, or text; as a file's would be.
fn column(
    described: &feature::Column,
    set: Option<Kind>,
    cells: impl Iterator<Item = Cell> + Clone,
) -> Column {
    let present = || cells.clone().filter(|cell| *cell != Cell::Missing);
    let count = present().count();
    let numbers = present().all(|cell| cell.as_number().is_some());
    let booleans = present().all(|cell| matches!(cell, Cell::Bool(_)));
    let guess = || {
        let whole = |cell: Cell| cell.as_number().is_some_and(|n| n.fract().abs() <= 0.0);
        let codes = count >= CODES * CODED && present().all(whole);
        let most = match numbers && !booleans {
            true if !codes => return Kind::Numeric,
            true => CODES,
            false => limit(count),
        };
        if !numbers && !present().all(|cell| matches!(cell, Cell::Text(_))) {
            // Words and numbers in one column: only categories are known whatever their type.
            return Kind::Categorical;
        }
        let mut words = HashSet::new();
        let few = present().all(|cell| {
            words.extend(cell.category().map(|word| word.into_owned()));
            words.len() <= most
        });
        match (few, numbers) {
            (true, _) => Kind::Categorical,
            (false, true) => Kind::Numeric,
            (false, false) => Kind::Text,
        }
    };
    let kind = set.or_else(|| (count > 0).then(guess));
    Column {
        name: described.name.to_string(),
        at: None,
        source: Some(described.name.to_string()),
        role: described.role,
        kind,
        reading: match kind {
            _ if booleans && count > 0 => Reading::Bool,
            Some(Kind::Numeric | Kind::Categorical) if numbers => Reading::Number,
            _ => Reading::Text,
        },
        present: count > 0,
    }
}

/// What a person should know of a column learned.
fn note(name: &str, reference: Option<&ColumnReference>, rows: usize) -> Option<String> {
    let constant = match reference {
        None => {
            return Some(format!(
                "{name} held no value in any of the {rows} rows learned from; it is not compared"
            ));
        }
        Some(ColumnReference::Numeric(numbers)) => {
            numbers.range().is_some_and(|(low, high)| low >= high)
        }
        Some(ColumnReference::Categorical(words)) => words.names.len() == 1,
        Some(ColumnReference::Text(_)) => false,
    };
    constant.then(|| {
        format!("{name} held one and the same value in all {rows} rows learned from; any other will be drift")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature::Role;

    fn schema(names: &[&str]) -> Schema {
        let column = |name: &&str| feature::Column {
            name: (*name).into(),
            role: Role::Feature,
            kind: None,
        };
        Schema::new(names.iter().map(column).collect(), Vec::new())
    }

    #[test]
    fn what_is_learned_is_exact_and_comes_back_the_same() {
        let schema = schema(&["age", "plan", "note", "flag", "never", "always"]);
        let rows: Vec<Row> = (0..3000_i32)
            .map(|i| {
                let text = |text: String| Cell::Text(text.into());
                let row = [
                    Cell::Number(f64::from(i * 7 % 1000) / 7.0),
                    text(format!("p{}", i % 3)),
                    text(format!("order {i} of {}", i * 3)),
                    Cell::Bool(i % 2 == 0),
                    Cell::Missing,
                    Cell::Number(1.0),
                ];
                row.into()
            })
            .collect();
        let Learned { loaded, profile } =
            learn(&schema, &BTreeMap::new(), &rows, Timestamp(7)).unwrap();
        let kinds: Vec<_> = loaded.schema.columns().iter().map(|c| c.kind).collect();
        let expected = [
            Some(Kind::Numeric),
            Some(Kind::Categorical),
            Some(Kind::Text),
            Some(Kind::Categorical),
            None,
            Some(Kind::Categorical),
        ];
        assert_eq!(kinds, expected);
        let Some(ColumnReference::Numeric(ages)) = &loaded.reference.columns[0] else {
            panic!("numbers");
        };
        let mut sorted: Vec<f64> = rows.iter().filter_map(|row| row[0].as_number()).collect();
        sorted.sort_by(f64::total_cmp);
        assert_eq!(ages.values(), Some(&sorted[..]));
        assert!(loaded.reference.together.is_some());
        assert_eq!(loaded.reference.dependence.len(), 8);
        assert_eq!(loaded.notes.len(), 2, "{:?}", loaded.notes);
        assert!(loaded.notes[0].starts_with("never held no value in any of the 3000 rows"));
        assert!(loaded.notes[1].starts_with("always held one and the same value"));
        let again = frozen(&profile, Timestamp(9)).unwrap();
        assert_eq!(again.reference.hash, loaded.reference.hash);
        assert_eq!(again.schema, loaded.schema);
        assert!(frozen(&profile[..50], Timestamp(9)).is_err());
        assert!(learn(&schema, &BTreeMap::new(), &[], Timestamp(7)).is_err());
    }
}
