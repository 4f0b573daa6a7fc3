//! The current values of one track, taken out of the rows that hold them.

use std::collections::BTreeMap;

use crate::feature::Cell;

use super::reference::{ColumnReference, Side, Track};
use super::row::{Ranked, Row, Value, rank};

/// Rows whose values are taken out together.
const TILE: usize = 32;

/// Current values by what they are.
#[derive(Debug, Clone, Default)]
pub struct Values {
    /// Rows looked at.
    pub rows: usize,
    /// Rows in which the value is missing.
    pub missing: usize,
    /// Values of a type that does not belong in the column.
    pub mistyped: usize,
    /// The numbers, in the order of the rows.
    pub numbers: Vec<f64>,
    /// Their rank codes among the reference's numbers.
    pub codes: Vec<u32>,
    /// How many values each category of the reference has.
    pub counts: Vec<u64>,
    /// Counts of unseen words by their hash, in the order of the hashes.
    pub unseen: BTreeMap<u32, u64>,
}

impl Values {
    fn empty(side: Side<'_>, rows: usize) -> Self {
        match side {
            Side::Numbers(_) => Self {
                numbers: Vec::with_capacity(rows),
                codes: Vec::with_capacity(rows),
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
        let mut encoded = Vec::with_capacity(tracks.len());
        for cell in cells {
            column.encode(&cell, &mut encoded);
            for (taken, value) in taken.iter_mut().zip(encoded.drain(..)) {
                taken.push(value);
            }
        }
        for (taken, track) in taken.iter_mut().zip(&tracks) {
            if let Side::Numbers(numbers) = track.side {
                taken.codes = vec![0; taken.numbers.len()];
                numbers.codes(&taken.numbers, &mut taken.codes);
            }
        }
        taken
    }

    /// The values of several tracks at once: rows lie apart in memory, and neighbouring slots of
    /// one row together. Ranks what is not ranked yet.
    pub fn gather<'a>(
        rows: impl ExactSizeIterator<Item = &'a Row> + Clone,
        tracks: &[Track<'_>],
    ) -> Vec<Self> {
        let numeric = tracks
            .iter()
            .filter(|track| matches!(track.side, Side::Numbers(_)));
        let slots = numeric.clone().map(|track| track.slot);
        let fresh: Vec<&Row> = rows
            .clone()
            .filter(|row| row.waits(slots.clone()))
            .collect();
        for track in numeric {
            if let Side::Numbers(numbers) = track.side {
                rank(fresh.iter().copied(), track.slot, numbers);
            }
        }
        let mut taken: Vec<Self> = (tracks.iter())
            .map(|track| Self::empty(track.side, rows.len()))
            .collect();
        // A few rows at a time stay in the fastest cache while one column after the other is taken
        // out of them.
        for few in rows.collect::<Vec<_>>().chunks(TILE) {
            for (taken, track) in taken.iter_mut().zip(tracks) {
                taken.take(few, track.slot);
            }
        }
        taken
    }

    /// Takes what `rows` hold in `slot`.
    fn take(&mut self, rows: &[&Row], slot: usize) {
        for row in rows {
            match row.ranked(slot) {
                Some(Ranked { number, code }) => {
                    self.rows += 1;
                    self.numbers.push(number);
                    self.codes.push(code);
                }
                None => self.push(row.value(slot)),
            }
        }
    }

    fn push(&mut self, value: Value) {
        self.rows += 1;
        match value {
            Value::Missing => self.missing += 1,
            Value::Mistyped => self.mistyped += 1,
            Value::Number(number) => self.numbers.push(number),
            Value::Unseen(word) => *self.unseen.entry(word).or_default() += 1,
            Value::Category(code) => match self.counts.get_mut(code as usize) {
                Some(count) => *count += 1,
                None => *self.unseen.entry(code).or_default() += 1,
            },
        }
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
