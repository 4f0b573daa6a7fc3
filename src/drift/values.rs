//! The current values of one track, taken out of the rows that hold them.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use crate::feature::Cell;

use super::current::Entry;
use super::ks::ties::{self, Block};
use super::numbers::Numbers;
use super::reference::{ColumnReference, Side, Track};
use super::row::{MARKS, Row, UNRANKED, Value, rank};

/// Rows whose values are taken out together: they stay in the fastest cache while one column after
/// the other is taken out of them.
const TILE: usize = 64;

/// Codes in a line of the cache.
const LINE: usize = 16;

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
    fn empty(side: Side<'_>, codes: Vec<u32>) -> Self {
        match side {
            Side::Numbers(_) => Self {
                codes: Some(codes),
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
        let mut taken: Vec<Self> = tracks
            .iter()
            .map(|track| Self::empty(track.side, Vec::new()))
            .collect();
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
    /// one row together. Ranks what is not ranked yet. Takes room for codes from what is `spare`.
    #[must_use]
    pub fn gather(rows: &[&Row], tracks: &[Track<'_>], spare: &mut Vec<Vec<u32>>) -> Vec<Self> {
        let mut empty = |track: &Track<'_>| {
            let mut codes = spare.pop().unwrap_or_default();
            codes.clear();
            Self::empty(track.side, codes)
        };
        let mut taken: Vec<Self> = tracks.iter().map(&mut empty).collect();
        let mut tile = vec![[0; TILE]; tracks.len()];
        for few in rows.chunks(TILE) {
            if fill(&mut tile, few, tracks) {
                for track in tracks {
                    if let Side::Numbers(numbers) = track.side {
                        rank(few.iter().copied(), track.slot, numbers);
                    }
                }
                fill(&mut tile, few, tracks);
            }
            for ((taken, codes), track) in taken.iter_mut().zip(&tile).zip(tracks) {
                taken.take(&codes[..few.len()], few, track.slot);
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

    /// Takes what `rows` hold in `slot`, which has these `codes`.
    fn take(&mut self, codes: &[u32], rows: &[&Row], slot: usize) {
        match &mut self.codes {
            Some(known) if codes.iter().all(|code| *code < MARKS) => {
                known.extend_from_slice(codes);
                self.rows += codes.len();
            }
            known => {
                if let Some(known) = known {
                    known.extend(codes.iter().filter(|code| **code < MARKS));
                }
                for row in rows {
                    self.push(row.value(slot));
                }
            }
        }
    }

    /// Takes a value; of a number only that it is one.
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

    /// The largest number with this code.
    pub(super) fn largest(&self, code: u32) -> Option<f64> {
        let codes = self.codes.as_deref().unwrap_or_default();
        let places = (codes.iter().enumerate()).filter(|(_, other)| **other == code);
        let (rows, slot) = self.source.unwrap_or_default();
        // Where every row holds a number, these few can be asked.
        if rows.len() == codes.len() && self.numbers.get().is_none() {
            let asked = places.filter_map(|(row, _)| rows[row].values.number(slot));
            return asked.reduce(f64::max);
        }
        let numbers = self.numbers();
        places.map(|(place, _)| numbers[place]).reduce(f64::max)
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

/// Fills in the codes of a few rows, column by column; whether any is not ranked yet.
fn fill(tile: &mut [[u32; TILE]], rows: &[&Row], tracks: &[Track<'_>]) -> bool {
    let numeric = |track: &Track<'_>| matches!(track.side, Side::Numbers(_));
    // One value of each line of the cache first: rows lie anywhere in memory, and the processor can
    // wait for many of them at once.
    let mut lines = tracks.iter().step_by(LINE);
    let waits = lines.any(|track| {
        rows.iter().fold(false, |waits, row| {
            waits | (numeric(track) && row.code(track.slot) == UNRANKED)
        })
    });
    for (at, row) in rows.iter().enumerate() {
        for (column, track) in tile.iter_mut().zip(tracks) {
            column[at] = row.code(track.slot);
        }
    }
    let mut columns = tile.iter().zip(tracks);
    waits || columns.any(|(codes, track)| numeric(track) && codes[..rows.len()].contains(&UNRANKED))
}
