//! The columns of a model as bodies address them: by position and by name.

use std::collections::HashMap;
use std::sync::Arc;

use crate::feature::Column;
use crate::model::Schema;

use super::{MAX_CELLS, MAX_ROWS};

/// Names listed in one message at most.
const LISTED: usize = 8;

/// Where each column of a schema stands.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// The features.
    pub(super) features: Names,
    /// The outputs.
    pub(super) outputs: Names,
}

/// Names in order.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// In the schema's order.
    pub(super) names: Vec<Arc<str>>,
    positions: HashMap<Arc<str>, usize>,
}

// === impl Layout ===

impl Layout {
    pub(super) fn new(schema: &Schema) -> Self {
        Self {
            features: Names::new(schema.features()),
            outputs: Names::new(schema.outputs()),
        }
    }

    /// Cells in a row.
    pub(super) fn width(&self) -> usize {
        self.features.len() + self.outputs.len()
    }

    /// Rows one exchange may hold.
    pub(super) fn max_rows(&self) -> usize {
        MAX_ROWS.min(MAX_CELLS / self.width().max(1)).max(1)
    }
}

// === impl Names ===

impl Names {
    fn new(columns: &[Column]) -> Self {
        let names: Vec<Arc<str>> = columns.iter().map(|c| Arc::clone(&c.name)).collect();
        let positions = names.iter().cloned().zip(0..).collect();
        Self { names, positions }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Where `name` stands.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    /// The same, looked for first `at` this place, as most clients keep to the order; names are unique.
    pub(super) fn position_from(&self, at: usize, name: &str) -> Option<usize> {
        match self.names.get(at) {
            Some(there) if **there == *name => Some(at),
            _ => self.position(name),
        }
    }

    /// The name at `position`, for messages.
    pub(super) fn name(&self, position: usize) -> &str {
        self.names.get(position).map_or("?", AsRef::as_ref)
    }

    /// The first names, for messages.
    pub(super) fn listed(&self) -> String {
        list(self.names.iter().map(AsRef::as_ref))
    }
}

/// `names` for a message: the first few, each cut short, then how many more there are.
pub(super) fn list<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let count = names.len();
    let mut text: Vec<String> = names.take(LISTED).map(cut).collect();
    if count > LISTED {
        text.push(format!("… ({count} in all)"));
    }
    text.join(", ")
}

/// `text` for a message, cut where it is long.
fn cut(text: &str) -> String {
    const LONGEST: usize = 40;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}
