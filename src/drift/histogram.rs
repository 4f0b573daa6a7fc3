//! Histograms for many replicas at once: how the values of each feature fell into buckets since the
//! process began, and how the reference's fall into the same.
//!
//! The statistics of several replicas cannot be combined: what two of them say of D bounds the D of
//! their rows together from above only, and two that drifted in opposite directions may be no drift
//! together. Counts of the same buckets can be added up. The edges depend on the reference alone, so
//! that replicas with equal references have equal buckets; [`Buckets::identity`] says which are.
//!
//! Where many features are too many series, the first ones are chosen: outputs, then inputs, in the
//! order of the schema. That order belongs to what the reference's hash is of, so that all replicas
//! choose the same ones, whatever their traffic is, and none comes and goes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::feature::Role;
use crate::model::Schema;

use super::reference::{Reference, Side, Track};
use super::row::{Row, Value};

mod buckets;

pub use buckets::{Bin, Buckets, EDGES};

/// Which features have histograms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// None.
    Off,
    /// The first so many.
    Top(usize),
    /// All.
    All,
}

/// The histograms of one model.
#[derive(Debug, Default)]
pub struct Histograms {
    features: Vec<Histogram>,
    /// One for each of `features`. Who counts holds the lock for one row, who reads for a copy.
    counts: Mutex<Vec<Counts>>,
}

/// One feature's histogram, without its counts.
#[derive(Debug)]
pub struct Histogram {
    /// Name of the feature or output, as reports have it.
    pub name: Box<str>,
    /// Input or output.
    pub role: Role,
    /// The edges, and the reference's counts.
    pub buckets: Buckets,
    /// Where rows hold it.
    slot: usize,
    /// What a category that the reference does not hold counts as; `None` where values are numbers.
    unseen: Option<f64>,
}

/// How many values fell into each bucket since the process began.
#[derive(Debug, Clone, PartialEq)]
pub struct Counts {
    /// One count for each edge, then one for everything above the last; not cumulative.
    pub buckets: Vec<u64>,
    /// Sum of the finite values.
    pub sum: f64,
}

// === impl Selection ===

impl Selection {
    /// How many features at most.
    #[must_use]
    pub const fn most(self) -> usize {
        match self {
            Self::Off => 0,
            Self::Top(most) => most,
            Self::All => usize::MAX,
        }
    }
}

// === impl Histograms ===

impl Histograms {
    /// Those of the selected features, all counts zero. A feature of which the reference holds no
    /// value has none.
    #[must_use]
    pub fn new(reference: &Reference, schema: &Schema, selection: Selection) -> Self {
        let columns = schema.columns();
        let mut tracks = reference.tracks();
        // Stable: within a role they stay in the order of the schema.
        tracks.sort_by_key(|track| columns[track.column].role != Role::Output);
        let features: Vec<Histogram> = (tracks.iter())
            .filter(|track| track.side.present() > 0)
            .take(selection.most())
            .map(|track| {
                let column = &columns[track.column];
                Histogram::new(track, &column.name, column.role, &reference.hash)
            })
            .collect();
        let counts = features.iter().map(Histogram::empty).collect();
        Self {
            features,
            counts: Mutex::new(counts),
        }
    }

    /// What there is to count.
    #[must_use]
    pub fn features(&self) -> &[Histogram] {
        &self.features
    }

    /// A copy of what was counted, one for each of [`Self::features`].
    #[must_use]
    pub fn counts(&self) -> Vec<Counts> {
        self.lock().clone()
    }

    /// Counts the values of one row. Missing values, and those of another type, are not counted.
    pub fn append(&self, row: &Row) {
        let mut counts = self.lock();
        for (feature, counts) in self.features.iter().zip(counts.iter_mut()) {
            if let Some(value) = feature.value(row) {
                counts.add(feature.buckets.of(value), value);
            }
        }
    }

    /// Counts hold no invariant that a panic could break.
    fn lock(&self) -> MutexGuard<'_, Vec<Counts>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Histogram ===

impl Histogram {
    /// Of one track of the reference with this hash, in the column called `column`.
    fn new(track: &Track<'_>, column: &str, role: Role, hash: &str) -> Self {
        let (buckets, unseen) = match track.side {
            Side::Numbers(numbers) => (Buckets::of_numbers(numbers, hash), None),
            Side::Categories(words) => {
                let unseen = words.counts.len() as f64;
                (Buckets::of_categories(&words.counts, hash), Some(unseen))
            }
        };
        Self {
            name: track.name(column),
            role,
            buckets,
            slot: track.slot,
            unseen,
        }
    }

    /// Where its value is in the rows' slots, which is where it is among the reference's tracks.
    #[must_use]
    pub const fn track(&self) -> usize {
        self.slot
    }

    fn value(&self, row: &Row) -> Option<f64> {
        match row.value(self.slot) {
            Value::Number(number) => Some(number),
            Value::Category(code) => Some(f64::from(code)),
            Value::Unseen(_) => self.unseen,
            Value::Missing | Value::Mistyped => None,
        }
    }

    fn empty(&self) -> Counts {
        Counts {
            buckets: vec![0; self.buckets.edges().len() + 1],
            sum: 0.0,
        }
    }
}

// === impl Counts ===

impl Counts {
    /// How many values were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    fn add(&mut self, bucket: usize, value: f64) {
        self.buckets[bucket] += 1;
        if value.is_finite() {
            // Huge values must not make it infinite for good.
            self.sum = (self.sum + value).clamp(f64::MIN, f64::MAX);
        }
    }
}

#[cfg(test)]
mod tests;
