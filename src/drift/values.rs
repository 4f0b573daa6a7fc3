//! The current values of one track, taken out of the rows that hold them.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

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
        let held: Vec<&[AtomicU32]> = rows.iter().map(|row| row.codes()).collect();
        for (few, held) in rows.chunks(TILE).zip(held.chunks(TILE)) {
            fill(&mut tile, held, tracks);
            if waits(&tile, few.len(), tracks) {
                for track in tracks {
                    if let Side::Numbers(numbers) = track.side {
                        rank(few.iter().copied(), track.slot, numbers);
                    }
                }
                fill(&mut tile, held, tracks);
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
            Some(known) if ranks(codes) || codes.iter().all(|code| *code < MARKS) => {
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

/// Fills in the codes of a few rows, column by column.
fn fill(tile: &mut [[u32; TILE]], rows: &[&[AtomicU32]], tracks: &[Track<'_>]) {
    let (Some(first), Some(last)) = (tracks.first(), tracks.last()) else {
        return;
    };
    let slots = first.slot..last.slot + 1;
    debug_assert_eq!(
        slots.len(),
        tracks.len(),
        "each track has the slot after the one before"
    );
    // One value of each line of the cache first: rows lie anywhere in memory, and the processor can
    // wait for many of them at once.
    let lines = slots.clone().step_by(LINE).chain([last.slot]);
    let code = |row: &[AtomicU32], slot: usize| row[slot].load(Ordering::Relaxed);
    for slot in lines {
        let touched = rows.iter().fold(0, |all, row| all | code(row, slot));
        std::hint::black_box(touched);
    }
    for (at, row) in rows.iter().enumerate() {
        for (column, code) in tile.iter_mut().zip(&row[slots.clone()]) {
            column[at] = code.load(Ordering::Relaxed);
        }
    }
}

/// Whether any number among the first `rows` of a tile is not ranked yet.
fn waits(tile: &[[u32; TILE]], rows: usize, tracks: &[Track<'_>]) -> bool {
    let mut columns = tile.iter().zip(tracks);
    columns.any(|(codes, track)| {
        let codes = &codes[..rows];
        matches!(track.side, Side::Numbers(_)) && !ranks(codes) && codes.contains(&UNRANKED)
    })
}

/// Whether all codes surely are ranks, not marks: what can be seen from their highest bits, many at
/// a time.
fn ranks(codes: &[u32]) -> bool {
    codes.iter().fold(0, |all, code| all | code) < 1 << 31
}
