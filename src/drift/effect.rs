//! Effect sizes: how far the current values are from the reference, not how surely.
//!
//! Those over counts take one entry per bin or category, parallel in both slices (past the shorter
//! one, entries are ignored), and work on the shares p = reference/Σ and q = current/Σ. They are
//! `None` where a row holds nothing.

/// Evidently's floor under the standard deviation it divides by.
const LEAST_DIVISOR: f64 = 0.001;

/// Population stability index Σ (p-q)·ln(p/q), with shares (c + ½)/(N + B/2) over B bins.
///
/// The half added to each count (Jeffreys) keeps an empty bin from making it infinite. Customary
/// bins are the deciles of the reference, and customary readings below 0.1 none, above 0.25 much; a
/// small window of many bins reaches 0.1 without any change.
pub fn psi(reference: &[u64], current: &[u64]) -> Option<f64> {
    let totals = Totals::of(reference, current)?;
    let half = 0.5 * totals.bins as f64;
    let (n, w) = (totals.reference + half, totals.current + half);
    let terms = reference.iter().zip(current).map(|(&a, &b)| {
        let p = (a as f64 + 0.5) / n;
        let q = (b as f64 + 0.5) / w;
        // ln(p/q) by the difference, so that near-equal shares do not cancel.
        let difference = p - q;
        difference * (difference / q).ln_1p()
    });
    Some(terms.sum())
}

/// Jensen-Shannon distance √(½KL(p‖m) + ½KL(q‖m)), m = (p+q)/2, in natural logarithms:
/// `scipy.spatial.distance.jensenshannon(p, q)`. In [0, √ln 2].
pub fn jensen_shannon(reference: &[u64], current: &[u64]) -> Option<f64> {
    let shares = Shares::of(reference, current)?;
    let divergence: f64 = shares
        .map(|(p, q)| {
            let middle = 0.5 * (p + q);
            if middle <= 0.0 {
                return 0.0;
            }
            // p = m(1+u), q = m(1-u): (1+u)ln(1+u) + (1-u)ln(1-u), whose leading terms cancel
            // on paper in this form.
            let u = 0.5 * (p - q).abs() / middle;
            let twice = if u >= 1.0 {
                2.0 * std::f64::consts::LN_2
            } else {
                2.0 * u * u.atanh() + (-u * u).ln_1p()
            };
            0.5 * middle * twice
        })
        .sum();
    Some(divergence.max(0.0).sqrt())
}

/// Hellinger distance √(1 - Σ√(pq)), in [0, 1].
///
/// As √(½Σ(√p - √q)²), which is the same and does not cancel.
pub fn hellinger(reference: &[u64], current: &[u64]) -> Option<f64> {
    let squares = Shares::of(reference, current)?.map(|(p, q)| (p.sqrt() - q.sqrt()).powi(2));
    Some((0.5 * squares.sum::<f64>()).sqrt().min(1.0))
}

/// Total variation distance ½Σ|p - q|, in [0, 1]: the share that would have to move.
pub fn total_variation(reference: &[u64], current: &[u64]) -> Option<f64> {
    let differences = Shares::of(reference, current)?.map(|(p, q)| (p - q).abs());
    Some((0.5 * differences.sum::<f64>()).min(1.0))
}

/// Wasserstein-1 distance ∫|F - G|dx: `scipy.stats.wasserstein_distance(reference, current)`.
///
/// Preconditions as for [`ks::statistic`](super::ks::statistic): both ascend and hold no NaN. One
/// merge pass. `None` if a sample is empty.
///
/// Never NaN. Infinities are values: where both samples have equal shares at -∞, and at +∞, the
/// distance is that of the rest; where they do not, mass has to go infinitely far and it is +∞.
/// (scipy gives NaN or +∞ there.) Finite but past the range of a double, it is +∞ too.
pub fn wasserstein(reference_sorted: &[f64], current_sorted: &[f64]) -> Option<f64> {
    let (reference, current) = (reference_sorted, current_sorted);
    let (n1, n2) = (reference.len(), current.len());
    let cells = n1 as f64 * n2 as f64;
    let (mut k1, mut k2) = (0, 0);
    let mut distance = 0.0;
    let mut previous = match (reference.first(), current.first()) {
        (Some(&a), Some(&b)) => a.min(b),
        _ => return None,
    };
    loop {
        let value = match (reference.get(k1), current.get(k2)) {
            (Some(&a), Some(&b)) => a.min(b),
            (Some(&a), None) => a,
            (None, Some(&b)) => b,
            (None, None) => break,
        };
        let gap = (k1 as i128 * n2 as i128 - k2 as i128 * n1 as i128).unsigned_abs();
        if gap > 0 && value > previous {
            let share = gap as f64 / cells;
            // Half the width cannot overflow between finite values.
            let half_width = 0.5 * value - 0.5 * previous;
            distance += if half_width > 0.25 * f64::MAX {
                2.0 * (share * half_width)
            } else {
                share * (value - previous)
            };
        }
        previous = value;
        k1 += reference[k1..].iter().take_while(|&&x| x <= value).count();
        k2 += current[k2..].iter().take_while(|&&x| x <= value).count();
    }
    Some(distance)
}

/// What to divide [`wasserstein`] by, so that it counts standard deviations of the reference:
/// max(σ, 0.001), the "Wasserstein distance (normed)" of Evidently 0.7.23, whose σ is
/// `numpy.std(reference)` (divisor n) and which calls a distance of 0.1 drift.
///
/// A NaN σ counts as 0. The floor has the unit of the values: it makes the distance of a constant
/// feature finite, and that of one measured in ten-thousandths meaningless.
pub fn wasserstein_divisor(sigma_reference: f64) -> f64 {
    sigma_reference.max(LEAST_DIVISOR)
}

/// Row totals.
struct Totals {
    reference: f64,
    current: f64,
    bins: usize,
}

/// Pairs of shares, one per bin.
struct Shares<'a> {
    counts: std::iter::Zip<std::slice::Iter<'a, u64>, std::slice::Iter<'a, u64>>,
    totals: Totals,
}

// === impl Totals ===

impl Totals {
    fn of(reference: &[u64], current: &[u64]) -> Option<Self> {
        let bins = reference.len().min(current.len());
        let sum = |counts: &[u64]| counts[..bins].iter().map(|&c| u128::from(c)).sum::<u128>();
        let (n, w) = (sum(reference), sum(current));
        (n > 0 && w > 0).then_some(Self {
            reference: n as f64,
            current: w as f64,
            bins,
        })
    }
}

// === impl Shares ===

impl<'a> Shares<'a> {
    fn of(reference: &'a [u64], current: &'a [u64]) -> Option<Self> {
        Some(Self {
            totals: Totals::of(reference, current)?,
            counts: reference.iter().zip(current),
        })
    }
}

impl Iterator for Shares<'_> {
    type Item = (f64, f64);

    fn next(&mut self) -> Option<Self::Item> {
        let (&a, &b) = self.counts.next()?;
        Some((
            a as f64 / self.totals.reference,
            b as f64 / self.totals.current,
        ))
    }
}
