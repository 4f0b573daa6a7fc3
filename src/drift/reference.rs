//! The reference: every checked column of the training data, sorted or counted once.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::feature::{Cell, Kind};
use crate::timestamp::Timestamp;

/// The reference data of one model, aligned with the model's schema.
#[derive(Debug, Clone)]
pub struct Reference {
    /// Identity of content and reading: 16 hex digits. Equal hashes mean comparable verdicts.
    pub hash: String,
    /// Rows in the file.
    pub rows: usize,
    /// When this reference came into force for the model (not: was last read).
    pub loaded_at: Timestamp,
    /// One entry per column of the schema; `None` where the reference does not hold the column.
    pub columns: Vec<Option<ColumnReference>>,
}

/// One column of the reference.
#[derive(Debug, Clone)]
pub enum ColumnReference {
    /// Numbers.
    Numeric(Numbers),
    /// A limited set of words.
    Categorical(Categories),
    /// Free text, represented by the length of each value in characters.
    Text(Numbers),
}

/// A sorted sample of numbers.
#[derive(Debug, Clone)]
pub struct Numbers {
    /// Ascending; no NaN; may hold ±∞.
    pub sorted: Vec<f64>,
    /// Rows in which the value was missing.
    pub missing: usize,
}

/// Counted categories, most frequent first (ties by name).
#[derive(Debug, Clone)]
pub struct Categories {
    /// The categories by name.
    pub names: Vec<Box<str>>,
    /// Rows holding each category; as long as `names`.
    pub counts: Vec<u64>,
    /// Rows in which the value was missing.
    pub missing: usize,
    codes: HashMap<Box<str>, u32>,
}

/// A cell as the comparison sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// Absent, `null` or NaN.
    Missing,
    /// A number (numeric columns), or a length in characters (text columns).
    Number(f64),
    /// The index of a reference category.
    Category(u32),
    /// A category the reference does not hold, by the hash of its word: different words count
    /// apart, as they do for scipy.
    Unseen(u32),
    /// A value of a type that does not belong in the column, such as text among numbers.
    Mistyped,
}

// === impl Reference ===

impl Reference {
    /// The cells of one row as the comparison sees them. Columns without reference read as
    /// [`Value::Missing`] or [`Value::Unseen`]; they are never compared.
    #[must_use]
    pub fn encode(&self, row: &[Cell]) -> Box<[Value]> {
        row.iter()
            .zip(&self.columns)
            .map(|(cell, column)| match column {
                Some(column) => column.encode(cell),
                None if *cell == Cell::Missing => Value::Missing,
                None => Value::Unseen(0),
            })
            .collect()
    }
}

// === impl ColumnReference ===

impl ColumnReference {
    /// Sorts or counts the cells of one column. A cell of a type that does not belong in the
    /// column counts as missing.
    #[must_use]
    pub fn new(kind: Kind, cells: impl IntoIterator<Item = Cell>) -> Self {
        match kind {
            Kind::Numeric => Self::Numeric(Numbers::new(cells.into_iter().map(|c| c.as_number()))),
            Kind::Text => Self::Text(Numbers::new(cells.into_iter().map(|c| length(&c)))),
            Kind::Categorical => Self::Categorical(Categories::new(cells)),
        }
    }

    /// The same column with every category renamed; numbers stay as they are.
    #[must_use]
    pub fn renamed(self, name: impl Fn(&str) -> Box<str>) -> Self {
        match self {
            Self::Categorical(mut categories) => {
                for old in &mut categories.names {
                    *old = name(old);
                }
                categories.codes = codes(&categories.names);
                Self::Categorical(categories)
            }
            numbers => numbers,
        }
    }

    /// The kind of column this is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Numeric(_) => Kind::Numeric,
            Self::Categorical(_) => Kind::Categorical,
            Self::Text(_) => Kind::Text,
        }
    }

    /// Reference rows that hold a value.
    #[must_use]
    pub fn present(&self) -> usize {
        match self {
            Self::Numeric(numbers) | Self::Text(numbers) => numbers.sorted.len(),
            Self::Categorical(categories) => {
                usize::try_from(categories.counts.iter().sum::<u64>()).unwrap_or(usize::MAX)
            }
        }
    }

    /// One cell as the comparison with this column sees it.
    #[must_use]
    pub fn encode(&self, cell: &Cell) -> Value {
        if *cell == Cell::Missing {
            return Value::Missing;
        }
        match self {
            Self::Numeric(_) => cell.as_number().map_or(Value::Mistyped, Value::Number),
            Self::Text(_) => length(cell).map_or(Value::Mistyped, Value::Number),
            Self::Categorical(categories) => match cell.category() {
                None => Value::Missing,
                Some(name) => match categories.codes.get(name.as_ref()) {
                    Some(code) => Value::Category(*code),
                    None => Value::Unseen(word_hash(&name)),
                },
            },
        }
    }
}

// === impl Numbers ===

impl Numbers {
    fn new(values: impl Iterator<Item = Option<f64>>) -> Self {
        let mut missing = 0;
        let mut sorted: Vec<f64> = values
            .filter_map(|value| {
                missing += usize::from(value.is_none());
                value
            })
            .collect();
        sorted.sort_unstable_by(f64::total_cmp);
        Self { sorted, missing }
    }
}

// === impl Categories ===

impl Categories {
    fn new(cells: impl IntoIterator<Item = Cell>) -> Self {
        let mut missing = 0;
        let mut counted: HashMap<Box<str>, u64> = HashMap::new();
        for cell in cells {
            match cell.category() {
                Some(name) => *counted.entry(name.as_ref().into()).or_default() += 1,
                None => missing += 1,
            }
        }
        let mut ordered: Vec<(Box<str>, u64)> = counted.into_iter().collect();
        ordered.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let (names, counts): (Vec<Box<str>>, Vec<u64>) = ordered.into_iter().unzip();
        Self {
            codes: codes(&names),
            names,
            counts,
            missing,
        }
    }
}

fn codes(names: &[Box<str>]) -> HashMap<Box<str>, u32> {
    (0u32..).zip(names).map(|(i, n)| (n.clone(), i)).collect()
}

/// 32 bits are enough to tell the unseen words of one comparison apart.
fn word_hash(word: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    word.hash(&mut hasher);
    hasher.finish() as u32
}

/// The length of a text in characters (Unicode scalar values, as Python's `len`).
fn length(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Text(text) => Some(text.chars().count() as f64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(word: &str) -> Cell {
        Cell::Text(word.into())
    }

    #[test]
    fn numbers_are_sorted_and_missing_ones_counted() {
        let cells = [
            Cell::Number(2.0),
            Cell::Missing,
            Cell::Number(f64::NEG_INFINITY),
            text("x"),
        ];
        let ColumnReference::Numeric(numbers) = ColumnReference::new(Kind::Numeric, cells) else {
            panic!("a numeric column");
        };
        assert_eq!(numbers.sorted, [f64::NEG_INFINITY, 2.0]);
        assert_eq!(numbers.missing, 2);
    }

    #[test]
    fn categories_are_known_by_word_whatever_their_type() {
        let cells = [
            text("b"),
            Cell::Bool(true),
            Cell::Number(3.0),
            text("b"),
            text("true"),
        ];
        let column = ColumnReference::new(Kind::Categorical, cells);
        assert_eq!(column.present(), 5);
        assert_eq!(column.encode(&text("b")), Value::Category(0));
        assert_eq!(column.encode(&text("3")), column.encode(&Cell::Number(3.0)));
        assert_eq!(
            column.encode(&Cell::Bool(true)),
            column.encode(&text("true"))
        );
        assert!(matches!(column.encode(&text("c")), Value::Unseen(_)));
        assert_ne!(column.encode(&text("c")), column.encode(&text("d")));
        assert_eq!(column.encode(&Cell::Missing), Value::Missing);
    }

    #[test]
    fn text_among_numbers_is_a_type_change_not_a_missing_value() {
        let column = ColumnReference::new(Kind::Numeric, [Cell::Number(1.0)]);
        assert_eq!(column.encode(&text("5.1")), Value::Mistyped);
        assert_eq!(column.encode(&Cell::Missing), Value::Missing);
    }
}
