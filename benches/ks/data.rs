//! The data both sides compare.

use crate::streams::Random;

pub(crate) const REFERENCE: usize = 100_000;
pub(crate) const CURRENT: usize = 10_000;
/// New rows of a check.
pub(crate) const NEW: usize = 1_000;

/// Normal columns, rounded to as many decimals as `DECIMALS` says in turn: some have ties.
#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) features: usize,
    /// One column after the other.
    pub(crate) reference: Vec<Vec<f64>>,
    pub(crate) current: Vec<Vec<f64>>,
}

const DECIMALS: [i32; 6] = [15, 6, 4, 3, 2, 1];

/// Column `index` of a sample, moved by `shift`.
pub(crate) fn column(seed: u64, index: usize, rows: usize, shift: f64) -> Vec<f64> {
    let mut random = Random::new(seed << 32 | index as u64);
    let scale = 10_f64.powi(DECIMALS[index % DECIMALS.len()]);
    let value = |_| ((random.normal() + shift) * scale).round() / scale;
    (0..rows).map(value).collect()
}

// === impl Data ===

impl Data {
    /// So many columns; every tenth has drifted.
    pub(crate) fn new(features: usize) -> Self {
        let current = |index: usize| {
            let shift = if index % 10 == 9 { 0.3 } else { 0.0 };
            column(2, index, CURRENT, shift)
        };
        Self {
            features,
            reference: (0..features)
                .map(|i| column(1, i, REFERENCE, 0.0))
                .collect(),
            current: (0..features).map(current).collect(),
        }
    }
}
