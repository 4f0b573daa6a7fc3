//! The rows of a request as a dialect found them, and their check against the model's features.

use crate::feature::Cell;
use crate::model::Row;

use super::blank;
use super::fault::{Fault, counted};
use super::json::{Json, Object};
use super::layout::Layout;

/// The rows of one request.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    /// In the body's order.
    pub(super) records: Vec<Record<'a>>,
}

/// One row of a request.
#[derive(Debug)]
pub(super) enum Record<'a> {
    /// A value for each feature, in their order.
    Values(&'a [Json<'a>]),
    /// Values by feature name.
    Named(&'a Object<'a>),
}

// === impl Frame ===

impl<'a> Frame<'a> {
    /// The rows of a list or object: a list of values or one object is one row, a list of lists or
    /// of objects is a batch. `None` for anything else.
    pub(super) fn read(value: &'a Json<'a>) -> Option<Result<Self, Fault>> {
        let items = match value {
            Json::Array(items) => items,
            Json::Object(object) => return Some(Ok(Self::one(Record::Named(object)))),
            _ => return None,
        };
        let Some(first @ (Json::Array(_) | Json::Object(_))) = items.first() else {
            return Some(Ok(Self::one(Record::Values(items))));
        };
        let records = items
            .iter()
            .zip(1..)
            .map(|(item, row)| match (first, item) {
                (Json::Array(_), Json::Array(values)) => Ok(Record::Values(values)),
                (Json::Object(_), Json::Object(object)) => Ok(Record::Named(object)),
                _ => Err(Fault::Mixed {
                    row,
                    found: item.noun(),
                    first: first.noun(),
                }),
            });
        let records = records.collect::<Result<_, _>>();
        Some(records.map(|records| Self { records }))
    }

    /// One row.
    pub(super) fn one(record: Record<'a>) -> Self {
        Self {
            records: vec![record],
        }
    }

    /// The rows with their features filled in and their outputs missing.
    pub(super) fn rows(&self, layout: &Layout) -> Result<Vec<Row>, Fault> {
        let limit = layout.max_rows();
        if self.records.len() > limit {
            return Err(Fault::TooMany {
                rows: self.records.len(),
                limit,
            });
        }
        let records = self.records.iter().zip(1..);
        records
            .map(|(record, row)| record.row(row, layout))
            .collect()
    }
}

// === impl Record ===

impl Record<'_> {
    fn row(&self, number: usize, layout: &Layout) -> Result<Row, Fault> {
        let mut row = blank(layout);
        match self {
            Self::Values(values) => fill_values(&mut row, values, number, layout)?,
            Self::Named(object) => fill_named(&mut row, object, number, layout)?,
        }
        Ok(row)
    }
}

fn fill_values(
    row: &mut [Cell],
    values: &[Json<'_>],
    number: usize,
    layout: &Layout,
) -> Result<(), Fault> {
    if values.len() != layout.features.len() {
        return Err(Fault::Count {
            row: number,
            values: counted(values.len(), "value"),
            features: counted(layout.features.len(), "feature"),
            names: layout.features.listed(),
        });
    }
    for (position, (cell, value)) in row.iter_mut().zip(values).enumerate() {
        *cell = one_value(value, number, layout.features.name(position))?;
    }
    Ok(())
}

fn fill_named(
    row: &mut [Cell],
    object: &Object<'_>,
    number: usize,
    layout: &Layout,
) -> Result<(), Fault> {
    let mut known = false;
    for (at, (name, value)) in object.0.iter().enumerate() {
        if let Some(position) = layout.features.position_from(at, name) {
            row[position] = one_value(value, number, name)?;
            known = true;
        }
    }
    if known {
        return Ok(());
    }
    Err(Fault::NoFeature {
        row: number,
        found: object.listed(),
        expected: layout.features.listed(),
    })
}

/// `value` as the cell of column `name` in row `number`.
pub(super) fn one_value(value: &Json<'_>, number: usize, name: &str) -> Result<Cell, Fault> {
    value.cell().ok_or_else(|| Fault::Nested {
        row: number,
        name: name.to_owned(),
        found: value.noun(),
    })
}
