//! The reference: every checked column of the training data, sorted or counted once.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::feature::{self, Cell, Kind, Store};
use crate::timestamp::Timestamp;

use super::numbers::Numbers;
use super::report::ReferenceInfo;
use super::row::{Row, Value};
use super::season::Seasonal;
use super::text::{Descriptor, Texts};
use super::together::Together;

mod hours;

use hours::CategoryHours;

/// The most categories counted apart; where a column has more, the rest is one.
pub const MOST_CATEGORIES: usize = 1000;

/// What the rest is called.
const REST: &str = "any other";

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
    /// All columns together; `None` where they are too few or too many, or the rows too few.
    pub together: Option<Arc<Together>>,
    /// The autocorrelation time of each track, where the rows stood in the order of their time;
    /// empty where they did not.
    pub dependence: Vec<Option<f64>>,
    /// When its rows were made; `None` where that is not known, or there is no season.
    pub seasonal: Option<Seasonal>,
}

/// One column of the reference.
#[derive(Debug, Clone)]
pub enum ColumnReference {
    /// Numbers.
    Numeric(Numbers),
    /// A limited set of words.
    Categorical(Categories),
    /// Free text, represented by what describes it.
    Text(Box<Texts>),
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
    /// Whether the last category stands for all that are not among the others.
    pub rest: bool,
    codes: HashMap<Box<str>, u32>,
    /// When the rows were made, where that is remembered.
    hours: Option<Box<CategoryHours>>,
}

/// One thing that is compared: a column, or what describes a column of texts.
#[derive(Debug, Clone, Copy)]
pub struct Track<'a> {
    /// Index of the column in the schema.
    pub column: usize,
    /// Which descriptor of a text it is.
    pub descriptor: Option<Descriptor>,
    /// Where rows hold it.
    pub slot: usize,
    /// What it is compared with.
    pub side: Side<'a>,
}

/// The reference side of a comparison.
#[derive(Debug, Clone, Copy)]
pub enum Side<'a> {
    /// Numbers.
    Numbers(&'a Numbers),
    /// Counted categories.
    Categories(&'a Categories),
}

/// How many tracks a column of this kind has.
#[must_use]
pub const fn tracks(kind: Kind) -> usize {
    match kind {
        Kind::Numeric | Kind::Categorical => 1,
        Kind::Text => Descriptor::ALL.len(),
    }
}

/// How many tests one check makes of a column of this kind over one span.
#[must_use]
pub const fn tests(kind: Kind) -> usize {
    match kind {
        Kind::Numeric => 4,
        Kind::Categorical => 3,
        // Of the length also missing values and types.
        Kind::Text => 3 + 3,
    }
}

// === impl Reference ===

impl Reference {
    /// The cells of one row as the comparison sees them: a slot for each track.
    #[must_use]
    pub fn encode(&self, cells: &[Cell]) -> Row {
        let mut values = Vec::with_capacity(cells.len());
        for (cell, column) in cells.iter().zip(&self.columns) {
            if let Some(column) = column {
                column.encode(cell, &mut values);
            }
        }
        values.into_iter().collect()
    }

    /// Notes in its identity what is stored of each column's values, where that is not all: rows
    /// stored otherwise hold other values.
    pub fn stored_as(&mut self, stores: &[Store]) {
        if stores.iter().any(|store| *store != Store::Keep) {
            let words: Vec<&str> = stores.iter().map(|store| store.as_str()).collect();
            self.hash = feature::hash(&self.hash, &words.join(",")).into();
        }
    }

    /// What identifies it in a report.
    #[must_use]
    pub fn info(&self) -> ReferenceInfo {
        ReferenceInfo {
            hash: self.hash.clone(),
            rows: self.rows,
            loaded_at: self.loaded_at,
        }
    }

    /// Everything that is compared, in the order of the schema and of the slots of a row.
    #[must_use]
    pub fn tracks(&self) -> Vec<Track<'_>> {
        let mut tracks = Vec::with_capacity(self.columns.len());
        for (index, column) in self.columns.iter().enumerate() {
            if let Some(column) = column {
                column.tracks(index, &mut tracks);
            }
        }
        tracks
    }

    /// How many tests one check makes of it over one span.
    #[must_use]
    pub fn tests(&self) -> usize {
        let kinds = self.columns.iter().flatten().map(ColumnReference::kind);
        kinds.map(tests).sum::<usize>() + usize::from(self.together.is_some())
    }
}

// === impl Track ===

impl Track<'_> {
    /// What it is called where `column` is the name of its column.
    #[must_use]
    pub fn name(&self, column: &str) -> Box<str> {
        match self.descriptor {
            None => column.into(),
            Some(descriptor) => format!("{column}.{}", descriptor.as_str()).into(),
        }
    }
}

// === impl Side ===

impl Side<'_> {
    /// Reference rows that hold a value.
    #[must_use]
    pub fn present(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Categories(words) => words.present(),
        }
    }

    /// Reference rows that hold none.
    #[must_use]
    pub fn missing(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.missing(),
            Self::Categories(words) => words.missing,
        }
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
            Kind::Categorical => Self::Categorical(Categories::new(cells)),
            Kind::Text => {
                let text = |cell| match cell {
                    Cell::Text(text) => Some(text),
                    _ => None,
                };
                let texts: Vec<Option<Box<str>>> = cells.into_iter().map(text).collect();
                Self::Text(Box::new(Texts::new(&texts)))
            }
        }
    }

    /// The same column with every category renamed; numbers stay as they are.
    #[must_use]
    pub fn renamed(self, name: impl Fn(&str) -> Box<str>) -> Self {
        match self {
            Self::Categorical(mut categories) => {
                let rest = usize::from(categories.rest);
                let known = categories.names.len() - rest;
                for old in &mut categories.names[..known] {
                    *old = name(old);
                }
                categories.codes = codes(&categories.names[..known]);
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
            Self::Numeric(numbers) => numbers.len(),
            Self::Text(texts) => texts.len(),
            Self::Categorical(categories) => categories.present(),
        }
    }

    /// One cell as its first track sees it.
    #[cfg(test)]
    pub(crate) fn value(&self, cell: &Cell) -> Value {
        let mut values = Vec::new();
        self.encode(cell, &mut values);
        values[0]
    }

    /// Appends what is compared of it where it is the column at `index`, in the order of the slots.
    pub fn tracks<'a>(&'a self, index: usize, tracks: &mut Vec<Track<'a>>) {
        let mut push = |descriptor, side| {
            let track = Track {
                column: index,
                descriptor,
                slot: tracks.len(),
                side,
            };
            tracks.push(track);
        };
        match self {
            Self::Numeric(numbers) => push(None, Side::Numbers(numbers)),
            Self::Categorical(words) => push(None, Side::Categories(words)),
            Self::Text(texts) => {
                for (descriptor, numbers) in Descriptor::ALL.into_iter().zip(&texts.described) {
                    push(Some(descriptor), Side::Numbers(numbers));
                }
            }
        }
    }

    /// Appends one cell as the comparison with this column sees it.
    pub fn encode(&self, cell: &Cell, values: &mut Vec<Value>) {
        match self {
            Self::Numeric(_) if *cell == Cell::Missing => values.push(Value::Missing),
            Self::Numeric(_) => {
                values.push(cell.as_number().map_or(Value::Mistyped, Value::Number));
            }
            Self::Categorical(categories) => values.push(categories.encode(cell)),
            Self::Text(texts) => match cell {
                Cell::Text(text) => values.extend(texts.describe(text).map(Value::Number)),
                Cell::Missing => values.extend([Value::Missing; 4]),
                _ => values.extend([Value::Mistyped; 4]),
            },
        }
    }
}

// === impl Categories ===

impl Categories {
    fn new(cells: impl IntoIterator<Item = Cell>) -> Self {
        let mut missing = 0;
        let mut counted: HashMap<Box<str>, u64> = HashMap::new();
        for cell in cells {
            match cell.category() {
                Some(name) => match counted.get_mut(name.as_ref()) {
                    Some(count) => *count += 1,
                    None => {
                        counted.insert(name.into(), 1);
                    }
                },
                None => missing += 1,
            }
        }
        Self::counted(counted.into_iter().collect(), missing)
    }

    /// Categories that are counted already.
    #[must_use]
    pub fn counted(mut counted: Vec<(Box<str>, u64)>, missing: usize) -> Self {
        counted.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let rest = counted.len() > MOST_CATEGORIES;
        let cut: u64 = counted.iter().skip(MOST_CATEGORIES).map(|(_, n)| n).sum();
        counted.truncate(MOST_CATEGORIES);
        let (mut names, mut counts): (Vec<Box<str>>, Vec<u64>) = counted.into_iter().unzip();
        let codes = codes(&names);
        if rest {
            names.push(REST.into());
            counts.push(cut);
        }
        Self {
            names,
            counts,
            missing,
            rest,
            codes,
            hours: None,
        }
    }

    /// Categories as another reference had them; `other` counts all that had no place of their
    /// own, where there were such.
    #[must_use]
    pub fn known(counted: Vec<(Box<str>, u64)>, other: Option<u64>, missing: usize) -> Self {
        let mut known = Self::counted(counted, missing);
        if let (Some(other), false) = (other, known.rest) {
            known.names.push(REST.into());
            known.counts.push(other);
            known.rest = true;
        }
        known
    }

    /// Rows that hold a category.
    #[must_use]
    pub fn present(&self) -> usize {
        usize::try_from(self.counts.iter().sum::<u64>()).unwrap_or(usize::MAX)
    }

    fn encode(&self, cell: &Cell) -> Value {
        let Some(name) = cell.category() else {
            return Value::Missing;
        };
        match self.codes.get(name.as_ref()) {
            Some(code) => Value::Category(*code),
            None if self.rest => Value::Category(self.codes.len() as u32),
            None => Value::Unseen(word_hash(&name)),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn text(word: &str) -> Cell {
        Cell::Text(word.into())
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
        let encode = |cell: &Cell| column.value(cell);
        assert_eq!(column.present(), 5);
        assert_eq!(encode(&text("b")), Value::Category(0));
        assert_eq!(encode(&text("3")), encode(&Cell::Number(3.0)));
        assert_eq!(encode(&Cell::Bool(true)), encode(&text("true")));
        assert!(matches!(encode(&text("c")), Value::Unseen(_)));
        assert_ne!(encode(&text("c")), encode(&text("d")));
        assert_eq!(encode(&Cell::Missing), Value::Missing);
    }

    #[test]
    fn text_among_numbers_is_a_type_change_not_a_missing_value() {
        let column = ColumnReference::new(Kind::Numeric, [Cell::Number(1.0)]);
        assert_eq!(column.value(&text("5.1")), Value::Mistyped);
        assert_eq!(column.value(&Cell::Missing), Value::Missing);
    }

    #[test]
    fn beyond_a_thousand_categories_the_rest_is_one() {
        let cells = (0..3000).map(|i| Cell::Number(f64::from(i / 2 * (i % 2))));
        let column = ColumnReference::new(Kind::Categorical, cells);
        let ColumnReference::Categorical(words) = &column else {
            panic!("a categorical column");
        };
        assert_eq!((words.names.len(), words.present()), (1001, 3000));
        assert_eq!(words.counts[1000], 3000 - 1501 - 999);
        let unknown = column.value(&text("no such word"));
        assert_eq!(unknown, Value::Category(1000));
    }

    #[test]
    fn a_text_column_takes_four_slots() {
        let cells = |kind| ColumnReference::new(kind, [text("a b"), text("c")]);
        let reference = Reference {
            hash: "0".to_owned(),
            rows: 2,
            loaded_at: Timestamp(0),
            columns: vec![
                Some(cells(Kind::Categorical)),
                None,
                Some(cells(Kind::Text)),
            ],
            together: None,
            dependence: Vec::new(),
            seasonal: None,
        };
        let row = reference.encode(&[text("c"), text("not compared"), text("a b!")]);
        let tracks = reference.tracks();
        assert_eq!(row.len(), tracks.len());
        let names: Vec<_> = tracks.iter().map(|track| track.name("x")).collect();
        assert_eq!(
            names.iter().map(|name| &**name).collect::<Vec<_>>(),
            [
                "x",
                "x.length",
                "x.words",
                "x.non_letters",
                "x.unknown_words"
            ]
        );
        assert_eq!(row.value(tracks[1].slot), Value::Number(4.0));
    }
}
