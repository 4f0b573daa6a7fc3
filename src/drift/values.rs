//! The current values of one track, taken out of the rows that hold them.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use crate::feature::Cell;

use super::current::Entry;
use super::ks::ties::{self, Block};
use super::numbers::Numbers;
use super::reference::{ColumnReference, Side, Track};
use super::row::{Row, Value, rank};

/// Rows whose values are taken out together.
const TILE: usize = 32;

/// Current values by what they are.
#[derive(Debug, Clone, Default)]
pub struct Values<'a> {
    /// Rows looked at.
    pub rows: usize,
    /// Rows in which the value is missing.
    pub missing: usize,
    /// Values of a type that does not belong in the column.
    pub mistyped: usize,
    /// The rank codes of the numbers among the reference's, in the order of the rows; `None` where
    /// they are not ranked.
    pub codes: Option<Vec<u32>>,
    /// The numbers themselves, once they are asked for.
    numbers: OnceCell<Vec<f64>>,
    /// The rows that hold them, and where.
    source: Option<(&'a [Entry], usize)>,
    /// How many values each category of the reference has.
    pub counts: Vec<u64>,
    /// Counts of unseen words by their hash, in the order of the hashes.
    pub unseen: BTreeMap<u32, u64>,
}

/// Two samples of numbers, for a test that needs the values themselves.
#[derive(Debug, Clone, Copy)]
pub struct Samples<'a> {
    /// The reference.
    pub reference: &'a Numbers,
    /// The current values.
    pub current: &'a Values<'a>,
}

// === impl Samples ===

impl Samples<'_> {
    /// The blocks of tied values, ascending.
    #[must_use]
    pub fn blocks(&self) -> Vec<Block> {
        ties::blocks(self.reference, self.current.numbers())
    }
}

// === impl Values ===

impl<'a> Values<'a> {
    fn empty(side: Side<'_>, rows: usize) -> Self {
        match side {
            // Filled from the front as far as there are numbers, and cut there.
            Side::Numbers(_) => Self {
                codes: Some(vec![0; rows]),
                ..Self::default()
            },
            Side::Categories(categories) => Self {
                counts: vec![0; categories.names.len()],
                ..Self::default()
            },
        }
    }

    /// The cells of one column of a file, for each of its tracks.
    pub fn of(column: &ColumnReference, cells: impl IntoIterator<Item = Cell>) -> Vec<Self> {
        let mut tracks = Vec::new();
        column.tracks(0, &mut tracks);
        let mut taken: Vec<Self> = tracks.iter().map(|t| Self::empty(t.side, 0)).collect();
        let mut numbers = vec![Vec::new(); tracks.len()];
        let mut encoded = Vec::with_capacity(tracks.len());
        for cell in cells {
            column.encode(&cell, &mut encoded);
            let places = taken.iter_mut().zip(&mut numbers);
            for ((taken, numbers), value) in places.zip(encoded.drain(..)) {
                match value {
                    Value::Number(number) => {
                        taken.rows += 1;
                        numbers.push(number);
                    }
                    value => taken.push(value),
                }
            }
        }
        for (taken, numbers) in taken.iter_mut().zip(numbers) {
            taken.codes = None;
            taken.numbers = OnceCell::from(numbers);
        }
        taken
    }

    /// The values of several tracks at once: rows lie apart in memory, and neighbouring slots of
    /// one row together. Ranks what is not ranked yet.
    #[must_use]
    pub fn gather(rows: &[&Row], tracks: &[Track<'_>]) -> Vec<Self> {
        let numeric = || {
            let numeric = tracks.iter().filter_map(|track| match track.side {
                Side::Numbers(numbers) => Some((track.slot, numbers)),
                Side::Categories(_) => None,
            });
            numeric.clone()
        };
        let mut taken: Vec<Self> = (tracks.iter())
            .map(|track| Self::empty(track.side, rows.len()))
            .collect();
        let mut places = vec![0; tracks.len()];
        // A few rows at a time stay in the fastest cache while one column after the other is taken
        // out of them.
        for few in rows.chunks(TILE) {
            let waits = |row: &&&Row| row.waits(numeric().map(|(slot, _)| slot));
            let fresh: Vec<&Row> = few.iter().filter(waits).copied().collect();
            if !fresh.is_empty() {
                for (slot, numbers) in numeric() {
                    rank(fresh.iter().copied(), slot, numbers);
                }
            }
            for ((taken, place), track) in taken.iter_mut().zip(&mut places).zip(tracks) {
                taken.take(few, track.slot, place);
            }
        }
        for (taken, place) in taken.iter_mut().zip(places) {
            if let Some(codes) = &mut taken.codes {
                codes.truncate(place);
            }
        }
        taken
    }

    /// The same, with the numbers themselves at hand in `slot` of the `rows` they came from.
    #[must_use]
    pub fn from(self, rows: &'a [Entry], slot: usize) -> Self {
        let source = Some((rows, slot)).filter(|_| self.codes.is_some());
        Self { source, ..self }
    }

    /// Takes what `rows` hold in `slot`; codes go to `place` and on.
    fn take(&mut self, rows: &[&Row], slot: usize, place: &mut usize) {
        let Some(codes) = &mut self.codes else {
            for row in rows {
                self.push(row.value(slot));
            }
            return;
        };
        let mut others = false;
        for row in rows {
            let (code, ranked) = row.code(slot);
            codes[*place] = code;
            *place += usize::from(ranked);
            others |= !ranked;
        }
        self.rows += rows.len();
        if others {
            for row in rows {
                match row.value(slot) {
                    Value::Number(_) => {}
                    value => {
                        self.rows -= 1;
                        self.push(value);
                    }
                }
            }
        }
    }

    /// Takes a value that is no number.
    fn push(&mut self, value: Value) {
        self.rows += 1;
        match value {
            Value::Number(_) => {}
            Value::Missing => self.missing += 1,
            Value::Mistyped => self.mistyped += 1,
            Value::Unseen(word) => *self.unseen.entry(word).or_default() += 1,
            Value::Category(code) => match self.counts.get_mut(code as usize) {
                Some(count) => *count += 1,
                None => *self.unseen.entry(code).or_default() += 1,
            },
        }
    }

    /// The numbers, in the order of the rows.
    #[must_use]
    pub fn numbers(&self) -> &[f64] {
        self.numbers.get_or_init(|| {
            let (rows, slot) = self.source.unwrap_or_default();
            rows.iter()
                .filter_map(|entry| entry.values.number(slot))
                .collect()
        })
    }

    /// Values compared: neither missing nor of another type.
    #[must_use]
    pub fn compared(&self) -> usize {
        self.rows - self.missing - self.mistyped
    }

    /// Values whose category the reference does not hold.
    #[must_use]
    pub fn unseen(&self) -> u64 {
        self.unseen.values().sum()
    }
}
