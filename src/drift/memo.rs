//! What the distributions say, remembered: p-values and critical values depend on sizes, gap and
//! significance only, which columns and checks share.
//!
//! Exact p-values and critical values cost milliseconds where both samples are large; remembered,
//! a periodic decision is the comparison of two integers.

use std::collections::HashMap;

use super::ks::ranks::Scratch;
use super::p_value::PValue;
use super::{ks, kstwo};

/// Entries kept of each kind before all are forgotten: a check of a few thousand columns.
const MOST: usize = 1 << 13;

/// Significance and sizes are rounded to steps of one percent, to the careful side, so that
/// checks a moment apart share what was found.
const STEP: f64 = 1.01;

/// Remembered values.
#[derive(Debug, Default)]
pub struct Memo {
    p_values: HashMap<(u128, usize, usize), PValue>,
    gaps: HashMap<(usize, usize, u64), Option<u128>>,
    distances: HashMap<(u64, u64), f64>,
    /// Room to count and sort in.
    scratch: Scratch,
}

impl Memo {
    /// Room to count and sort in.
    pub fn scratch(&mut self) -> &mut Scratch {
        &mut self.scratch
    }

    /// [`ks::p_value`], remembered.
    pub fn p_value(&mut self, gap: u128, n_reference: usize, n_current: usize) -> PValue {
        let key = (gap, n_reference, n_current);
        bounded(&mut self.p_values, key, || {
            ks::p_value(gap, n_reference, n_current)
        })
    }

    /// [`ks::critical_gap`], remembered.
    pub fn critical_gap(
        &mut self,
        n_reference: usize,
        n_current: usize,
        alpha: f64,
    ) -> Option<u128> {
        let key = (n_reference, n_current, alpha.to_bits());
        bounded(&mut self.gaps, key, || {
            ks::critical_gap(n_reference, n_current, alpha)
        })
    }

    /// `kstwo.isf(alpha, n)` at a size of at most `n`, remembered: the distance significant between
    /// two samples worth `n = n1·n2/(n1 + n2)` values.
    pub fn critical_distance(&mut self, n: f64, alpha: f64) -> f64 {
        let n = careful(n.max(1.0)).floor().max(1.0) as u64;
        bounded(&mut self.distances, (n, alpha.to_bits()), || {
            kstwo::isf(alpha, n)
        })
    }
}

/// `value`, positive, rounded down to a step.
#[must_use]
pub fn careful(value: f64) -> f64 {
    // The logarithm of a step may come out just below it.
    let step = (value.ln() / STEP.ln() + 1e-9).floor();
    (step * STEP.ln()).exp().min(value)
}

fn bounded<K: std::hash::Hash + Eq, V: Copy>(
    known: &mut HashMap<K, V>,
    key: K,
    find: impl FnOnce() -> V,
) -> V {
    if known.len() >= MOST && !known.contains_key(&key) {
        known.clear();
    }
    *known.entry(key).or_insert_with(find)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_the_careful_side() {
        for value in [0.05, 1e-3, 7.7e-7, 1.0, 37.5, 1e6] {
            let rounded = careful(value);
            assert!(
                rounded <= value && rounded >= value / 1.0101,
                "{value}: {rounded}"
            );
            assert!(
                (careful(rounded) / rounded - 1.0).abs() < 1e-12,
                "a step is its own step"
            );
        }
        let mut memo = Memo::default();
        for n in [1.0_f64, 37.5, 990.0] {
            let exact = kstwo::isf(1e-3, n.floor() as u64);
            let found = memo.critical_distance(n, 1e-3);
            assert!(
                found >= exact * (1.0 - 1e-12) && found <= exact * 1.03,
                "{n}"
            );
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut memo = Memo::default();
        for gap in 0..3 * MOST as u128 {
            memo.p_value(gap, 20, 20);
        }
        assert!(memo.p_values.len() <= MOST);
    }
}
