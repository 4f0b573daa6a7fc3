//! Exact two-sample law for tied data, given the pooled values.
//!
//! Without ties every merge order of the samples is a lattice path from (0, 0) to (n1, n2), and the
//! gap may be reached at any cell of it. A block of equal values is passed as a whole: the empirical
//! distribution functions are compared only where it ends (Schröer and Trenkler 1995). All paths
//! remain equally likely, since given the pooled values any of them may be the reference.

use super::super::numbers::Numbers;
use super::super::saddle_point::LogSum;
use super::exact::{NOTHING_LEFT, Paths, Strip, step};
use super::gcd;

/// Rows that share one value. Only their sum matters here, and the totals over all blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Rows of the reference with this value.
    pub reference: u32,
    /// Rows of the current window with this value.
    pub current: u32,
}

/// ln P(max gap ≥ `gap` | the pooled values), `gap` as in [`KsStatistic`](super::KsStatistic).
///
/// `blocks` holds one entry per distinct value, ascending; empty blocks are skipped. -∞ where no order
/// of the pooled values reaches the gap. `None` where a sample is empty, where both together exceed
/// 2³¹ rows, or where more than `budget` cells would be visited: about larger sample × min(smaller
/// sample, 2·D·smaller sample + block size), at about 1 ns each. A window of few distinct values and a
/// wide gap thus comes near n1·n2.
///
/// Never underflows, and nothing cancels: the recursion of Viehmann (2021, arXiv:2102.08037), as
/// [`exact::log_p`](super::exact) carries it, with the constraint only where i + j ends a block.
/// Inside a block the band of reachable cells widens by a cell per step; at its end the part outside
/// the strip leaves for good, and is added up.
///
/// `scipy.stats.ks_2samp` ignores ties and so reports at least this much. For blocks of one each the
/// two agree.
pub fn log_p(gap: u128, blocks: &[Block], budget: u64) -> Option<f64> {
    let rows = |of: fn(&Block) -> u32| blocks.iter().map(|block| u64::from(of(block))).sum::<u64>();
    let (n1, n2) = (rows(|block| block.reference), rows(|block| block.current));
    let (m, n) = (n1.max(n2), n1.min(n2));
    // Each antidiagonal holds a cell at least, and this bound also keeps the products in range.
    if n == 0 || m + n > budget.min(1 << 31) {
        return None;
    }
    if gap == 0 {
        return Some(0.0);
    }
    if gap > u128::from(m) * u128::from(n) {
        return Some(f64::NEG_INFINITY);
    }
    let (m, n) = (m as usize, n as usize);
    let unit = gcd(m, n);
    let h = i64::try_from(gap.div_ceil(unit as u128)).ok()?;
    let walk = Walk {
        m,
        n,
        strip: Strip::new(m, n, unit, h),
        blocks,
    };
    if walk.cells(budget)? > budget {
        return None;
    }
    Some(walk.log_p().min(0.0))
}

/// The blocks of two samples, `current` in any order; none where the reference's values are not all
/// kept.
#[must_use]
pub fn blocks(reference: &Numbers, current: &[f64]) -> Vec<Block> {
    let Some(sorted) = reference.values() else {
        return Vec::new();
    };
    let mut current = current.to_vec();
    current.sort_unstable_by(f64::total_cmp);
    let (mut a, mut b) = (sorted, &current[..]);
    let mut blocks = Vec::new();
    while let Some(value) = (a.first().into_iter().chain(b.first()).copied()).reduce(f64::min) {
        let upto = |values: &[f64]| values.iter().take_while(|v| **v <= value).count();
        let (in_a, in_b) = (upto(a), upto(b));
        (a, b) = (&a[in_a..], &b[in_b..]);
        blocks.push(Block {
            reference: in_a as u32,
            current: in_b as u32,
        });
    }
    blocks
}

/// A walk over the antidiagonals i + j = s, block by block.
struct Walk<'a> {
    /// Larger sample, along i.
    m: usize,
    /// Smaller sample, along j.
    n: usize,
    strip: Strip,
    blocks: &'a [Block],
}

/// First and last j on an antidiagonal.
#[derive(Clone, Copy)]
struct Band {
    low: usize,
    high: usize,
}

// === impl Walk ===

impl Walk<'_> {
    /// Cells that [`Self::log_p`] visits, if it does not stop early; `None` once past `limit`.
    fn cells(&self, limit: u64) -> Option<u64> {
        let mut cells = 0;
        let mut s = 0;
        let mut band = Band { low: 0, high: 0 };
        for size in self.sizes() {
            for _ in 0..size {
                s += 1;
                band = self.widened(band, s);
                cells += band.width();
                if cells > limit {
                    return None;
                }
            }
            match self.narrowed(band, s) {
                Some(inside) => band = inside,
                None => break,
            }
        }
        Some(cells)
    }

    fn log_p(&self) -> f64 {
        let paths = Paths::new(self.m, self.n);
        let j_float: Vec<f64> = (0..=self.n).map(|j| j as f64).collect();
        // The share of the paths to (s - j, j) that have never left, at index j + 1; a zero stands
        // on either side of the band.
        let mut inside = vec![0.0; self.n + 3];
        let mut next = vec![0.0; self.n + 3];
        inside[1] = 1.0;
        let mut left = LogSum::EMPTY;
        let mut s = 0;
        let mut band = Band { low: 0, high: 0 };
        for size in self.sizes() {
            for _ in 0..size {
                s += 1;
                band = self.widened(band, s);
                step(s, (band.low, band.high), &inside, &mut next, &j_float);
                std::mem::swap(&mut inside, &mut next);
            }
            let kept = self.narrowed(band, s);
            for j in band.low..=band.high {
                let outside = kept.is_none_or(|kept| j < kept.low || j > kept.high);
                if outside && inside[j + 1] > 0.0 {
                    left.add(paths.log_through(s, j) + inside[j + 1].ln());
                } else if !outside {
                    break;
                }
            }
            let Some(kept) = kept else { break };
            for j in (kept.high + 1..=band.high).filter(|j| inside[j + 1] > 0.0) {
                left.add(paths.log_through(s, j) + inside[j + 1].ln());
            }
            band = kept;
            inside[band.low] = 0.0;
            inside[band.high + 2] = 0.0;
            if s % 64 < size {
                let cells = &inside[band.low + 1..=band.high + 1];
                if cells.iter().fold(0.0_f64, |most, q| most.max(*q)) < NOTHING_LEFT {
                    break;
                }
            }
        }
        left.ln()
    }

    /// Pooled sizes of the blocks that hold anything.
    fn sizes(&self) -> impl Iterator<Item = usize> + '_ {
        self.blocks
            .iter()
            .map(|block| block.reference as usize + block.current as usize)
            .filter(|&size| size > 0)
    }

    /// The cells on antidiagonal s reachable from a band on the one before.
    fn widened(&self, band: Band, s: usize) -> Band {
        Band {
            low: band.low.max(s.saturating_sub(self.m)),
            high: (band.high + 1).min(self.n),
        }
    }

    /// The part of a band on antidiagonal s that is inside the strip, if any.
    fn narrowed(&self, band: Band, s: usize) -> Option<Band> {
        let (low, high) = self.strip.range(s);
        let inside = Band {
            low: low.max(band.low),
            high: high.min(band.high),
        };
        (inside.low <= inside.high).then_some(inside)
    }
}

// === impl Band ===

impl Band {
    fn width(self) -> u64 {
        (self.high - self.low) as u64 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_are_counted_over_both_samples() {
        let reference = Numbers::new([1.0, 1.0, 2.0, 2.0, 2.0, 5.0].map(Some));
        let blocks = blocks(&reference, &[2.0, 7.0, 0.0]);
        let sizes: Vec<_> = blocks.iter().map(|b| (b.reference, b.current)).collect();
        assert_eq!(sizes, [(0, 1), (2, 0), (3, 1), (1, 0), (0, 1)]);
    }
}
