//! The answers of a response as a dialect found them, paired with the rows that were asked for.

use crate::feature::Cell;

use super::fault::{Fault, counted};
use super::frame::one_value;
use super::json::{Json, Object};
use super::layout::Layout;

/// The keys an answer is given under when it is not given by the outputs' own names.
pub(super) const KEYS: [&str; 2] = ["prediction", "predictions"];

/// The answers of one response.
#[derive(Debug)]
pub(super) enum Answers<'a> {
    /// One answer per row in a list, or the answer to the only row.
    Each(&'a Json<'a>),
    /// By output name: one value for the only row, or a list with one value per row.
    Named(&'a Object<'a>),
}

// === impl Answers ===

impl Answers<'_> {
    /// The outputs of `rows` rows, one row after the other.
    pub(super) fn cells(&self, rows: usize, layout: &Layout) -> Result<Vec<Cell>, Fault> {
        match self {
            Self::Named(object) => by_name(object, rows, layout),
            Self::Each(Json::Object(object)) if names_output(object, layout) => {
                by_name(object, rows, layout)
            }
            Self::Each(value) if rows == 1 => only_answer(value, layout),
            Self::Each(Json::Array(items)) if items.len() == rows => {
                let mut cells = Vec::with_capacity(rows * layout.outputs.len());
                for (item, row) in items.iter().zip(1..) {
                    cells.extend(answer(item, row, layout)?);
                }
                Ok(cells)
            }
            Self::Each(Json::Array(items)) => Err(mismatch(items.len(), rows)),
            Self::Each(_) => Err(mismatch(1, rows)),
        }
    }
}

/// Whether `object` has a key that is an output's name.
pub(super) fn names_output(object: &Object<'_>, layout: &Layout) -> bool {
    let mut keys = object.0.iter();
    keys.any(|(key, _)| layout.outputs.position(key).is_some())
}

fn mismatch(answers: usize, rows: usize) -> Fault {
    Fault::Answers {
        answers: counted(answers, "answer"),
        rows: counted(rows, "row"),
    }
}

/// The answer to the only row: bare, in a list of one, or a list of its outputs.
fn only_answer(value: &Json<'_>, layout: &Layout) -> Result<Vec<Cell>, Fault> {
    match value {
        Json::Array(items) => match items.as_slice() {
            [item] => answer(item, 1, layout),
            items if items.len() == layout.outputs.len() => answer(value, 1, layout),
            items => Err(mismatch(items.len(), 1)),
        },
        other => answer(other, 1, layout),
    }
}

/// The outputs of one row.
fn answer(value: &Json<'_>, row: usize, layout: &Layout) -> Result<Vec<Cell>, Fault> {
    let outputs = &layout.outputs;
    match value {
        Json::Array(items) if items.len() == outputs.len() => {
            let items = items.iter().enumerate();
            items
                .map(|(position, item)| one_value(item, row, outputs.name(position)))
                .collect()
        }
        Json::Array(items) => Err(output_count(items.len(), row, layout)),
        Json::Object(object) => named_answer(object, row, layout),
        single => scalar_answer(single, row, layout),
    }
}

/// One value: of the only output, or of the output named like the key it may have stood under.
fn scalar_answer(value: &Json<'_>, row: usize, layout: &Layout) -> Result<Vec<Cell>, Fault> {
    let outputs = &layout.outputs;
    let named = || KEYS.iter().find_map(|key| outputs.position(key));
    let position = if outputs.len() == 1 { Some(0) } else { named() };
    let Some(position) = position else {
        return Err(output_count(1, row, layout));
    };
    let mut cells = vec![Cell::Missing; outputs.len()];
    cells[position] = one_value(value, row, outputs.name(position))?;
    Ok(cells)
}

fn named_answer(object: &Object<'_>, row: usize, layout: &Layout) -> Result<Vec<Cell>, Fault> {
    let mut cells = vec![Cell::Missing; layout.outputs.len()];
    let mut known = false;
    for (name, value) in &object.0 {
        if let Some(position) = layout.outputs.position(name) {
            cells[position] = one_value(value, row, name)?;
            known = true;
        }
    }
    if known {
        return Ok(cells);
    }
    match KEYS.iter().find_map(|key| object.get(key)) {
        Some(Json::Object(_)) | None => Err(no_output(object, row, layout)),
        Some(Json::Array(items)) => match items.as_slice() {
            [item] => scalar_answer(item, row, layout),
            items => Err(output_count(items.len(), row, layout)),
        },
        Some(value) => scalar_answer(value, row, layout),
    }
}

fn by_name(object: &Object<'_>, rows: usize, layout: &Layout) -> Result<Vec<Cell>, Fault> {
    let width = layout.outputs.len();
    let mut cells = vec![Cell::Missing; rows * width];
    let mut known = false;
    for (name, value) in &object.0 {
        let Some(position) = layout.outputs.position(name) else {
            continue;
        };
        known = true;
        let values = match value {
            Json::Array(items) => items.as_slice(),
            single => std::slice::from_ref(single),
        };
        if values.len() != rows {
            return Err(mismatch(values.len(), rows));
        }
        for (row, value) in values.iter().enumerate() {
            cells[row * width + position] = one_value(value, row + 1, name)?;
        }
    }
    if known {
        return Ok(cells);
    }
    Err(no_output(object, 1, layout))
}

fn no_output(object: &Object<'_>, row: usize, layout: &Layout) -> Fault {
    Fault::NoOutput {
        row,
        found: object.listed(),
        expected: format!("prediction, predictions, or {}", layout.outputs.listed()),
    }
}

fn output_count(values: usize, row: usize, layout: &Layout) -> Fault {
    Fault::OutputCount {
        row,
        values: counted(values, "value"),
        outputs: counted(layout.outputs.len(), "output"),
        names: layout.outputs.listed(),
    }
}
