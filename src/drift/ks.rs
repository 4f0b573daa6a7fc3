//! Two-sample Kolmogorov-Smirnov test: `scipy.stats.ks_2samp(reference, current)`, two-sided.
//!
//! The statistic is an integer: with sample sizes n1 and n2 the difference of the two empirical
//! distribution functions is gap/(n1·n2). Working in gaps makes equal statistics exactly equal,
//! and lets a check compare against a threshold found once (see [`critical_gap`]).
//!
//! Ties make the p-value conservative, as in scipy: it is the one for continuous data. [`ties`] has
//! the one for tied data.

use super::kstwo;
use super::p_value::PValue;

mod exact;
pub mod ranks;
pub mod ties;

/// scipy's `MAX_AUTO_N`: above this, `method="auto"` is asymptotic.
const MAX_EXACT: usize = 10_000;

/// Largest gap between two empirical distribution functions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KsStatistic {
    /// D = `gap` / (`n_reference` · `n_current`); NaN when a sample is empty.
    pub statistic: f64,
    /// max |k1·n2 - k2·n1| over all points, k being the counts at or below the point.
    pub gap: u128,
    /// First value, in the order reference then current, at which the gap is reached.
    pub location: f64,
    /// +1 where the reference has the larger share at or below `location`, so that values moved
    /// up; -1 where they moved down. +1 on equal gaps, and at D = 0.
    pub sign: i8,
    /// Rows in the reference.
    pub n_reference: usize,
    /// Rows in the current window.
    pub n_current: usize,
}

/// Outcome of [`two_sample`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KsTest {
    /// The gap between the two samples.
    pub found: KsStatistic,
    /// Probability of so large a gap when nothing has changed.
    pub p: PValue,
}

/// The whole test: `scipy.stats.ks_2samp(reference, current)`.
///
/// Preconditions as for [`statistic`].
pub fn two_sample(reference_sorted: &[f64], current_sorted: &[f64]) -> KsTest {
    let found = statistic(reference_sorted, current_sorted);
    KsTest {
        found,
        p: p_value(found.gap, found.n_reference, found.n_current),
    }
}

/// D, its sign and its place, in one merge pass over both samples.
///
/// Preconditions: both slices are non-empty, hold no NaN and ascend (`f64::total_cmp` order
/// will do). Infinities are ordinary values, and -0.0 equals 0.0. An empty slice gives a NaN
/// statistic, and a NaN p-value after it.
pub fn statistic(reference_sorted: &[f64], current_sorted: &[f64]) -> KsStatistic {
    let (reference, current) = (reference_sorted, current_sorted);
    let (n1, n2) = (reference.len(), current.len());
    let mut up = Extremum::NONE;
    let mut down = Extremum::NONE;
    let (mut k1, mut k2) = (0, 0);
    loop {
        let (value, in_reference) = match (reference.get(k1), current.get(k2)) {
            (Some(&a), Some(&b)) if b < a => (b, false),
            (Some(&a), _) => (a, true),
            (None, Some(&b)) => (b, false),
            (None, None) => break,
        };
        k1 += reference[k1..].iter().take_while(|&&x| x <= value).count();
        k2 += current[k2..].iter().take_while(|&&x| x <= value).count();
        let gap = k1 as i128 * n2 as i128 - k2 as i128 * n1 as i128;
        up.consider(gap, value, in_reference);
        down.consider(-gap, value, in_reference);
    }
    let (largest, sign) = if down.gap > up.gap {
        (down, -1)
    } else {
        (up, 1)
    };
    let gap = u128::try_from(largest.gap).unwrap_or(0);
    KsStatistic {
        statistic: gap as f64 / (n1 as f64 * n2 as f64),
        gap,
        location: largest.location,
        sign,
        n_reference: n1,
        n_current: n2,
    }
}

/// P(D ≥ gap/(n1·n2)) for two samples of one continuous distribution, as `ks_2samp` with
/// `method="auto"` computes it.
///
/// Exact if neither sample exceeds 10 000 rows, otherwise `kstwo.sf(D, round(n1·n2/(n1+n2)))`.
/// scipy turns to the latter (with a RuntimeWarning) also where its exact value rounds to above 1,
/// as at 7 against 7 rows and D = 1/7: it then reports 0.99996 for a certainty. This reports 1.
///
/// `log10_p` continues where `p` underflows: by the same exact sum in logarithms, or by the same
/// asymptotic law. The asymptotic law reaches 0 at D = 1, which no two-sample law does, so there
/// `log10_p` is held at that of the rarest outcome, 2/C(n1+n2, n1).
pub fn p_value(gap: u128, n1: usize, n2: usize) -> PValue {
    let (large, small) = (n1.max(n2), n1.min(n2));
    if small == 0 {
        return PValue {
            p: f64::NAN,
            log10_p: f64::NAN,
        };
    }
    let gap = gap.min(large as u128 * small as u128);
    if large <= MAX_EXACT {
        let unit = gcd(large, small);
        let h = gap / unit as u128;
        let log_p = if h == 0 {
            0.0
        } else if large == small {
            exact::log_p_equal_sizes(large, h as usize)
        } else {
            exact::log_p(large, small, unit, h as i64)
        };
        return PValue::from_ln(log_p);
    }
    let d = gap as f64 / (large as f64 * small as f64);
    let effective = effective_size(large, small);
    let p = kstwo::sf(d, effective);
    // Its logarithm is that of another sum only where it underflows.
    let log10_p = if p > 1e-290 {
        p.log10()
    } else {
        kstwo::log10_sf(d, effective)
    };
    let rarest = exact::log_rarest(large, small) * std::f64::consts::LOG10_E;
    let log10_p = log10_p.max(rarest);
    PValue { p, log10_p }
}

/// The smallest attainable gap with `p_value(gap, n1, n2).p <= alpha`, so that a check is
/// `gap >= critical`. `None` if not even disjoint samples (D = 1) are significant.
///
/// Attainable gaps are the multiples of gcd(n1, n2). The asymptotic law brackets the answer to
/// within a percent or so, and bisection calls the exact law only inside that bracket.
pub fn critical_gap(n1: usize, n2: usize, alpha: f64) -> Option<u128> {
    if n1 == 0 || n2 == 0 || alpha.is_nan() || alpha <= 0.0 {
        return None;
    }
    let unit = gcd(n1, n2) as u128;
    let steps = n1 as u128 * n2 as u128 / unit;
    let significant = |h: u128| p_value(h * unit, n1, n2).p <= alpha;
    // The exact law at D = 1 visits every cell, for what has a closed form; the margin is for the
    // two rounding differently.
    let rarest = exact::log_rarest(n1, n2).exp();
    if rarest > alpha * (1.0 - 1e-9) && !significant(steps) {
        return None;
    }
    if significant(0) {
        return Some(0);
    }
    let guess = kstwo::isf(alpha, effective_size(n1, n2)) * steps as f64;
    let guess = (guess as u128).clamp(1, steps);

    // Invariant: `low` is not significant, `high` is.
    let (mut low, mut high) = (0, steps);
    let mut stride = (guess / 500).max(1);
    if significant(guess) {
        high = guess;
        while high > stride && low == 0 {
            let h = high - stride;
            if significant(h) {
                high = h
            } else {
                low = h
            }
            stride *= 4;
        }
    } else {
        low = guess;
        while high == steps && low + stride < steps {
            let h = low + stride;
            if significant(h) {
                high = h
            } else {
                low = h
            }
            stride *= 4;
        }
    }
    while high - low > 1 {
        let h = low + (high - low) / 2;
        if significant(h) { high = h } else { low = h }
    }
    Some(high * unit)
}

/// n1·n2/(n1+n2), rounded half to even as numpy does.
fn effective_size(n1: usize, n2: usize) -> u64 {
    let (n1, n2) = (n1 as f64, n2 as f64);
    (n1 * n2 / (n1 + n2)).round_ties_even().max(1.0) as u64
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Largest signed gap so far.
#[derive(Clone, Copy)]
struct Extremum {
    gap: i128,
    location: f64,
    /// Whether `location` is a reference value. scipy lists those first, so they win over
    /// smaller values that occur only in the current sample.
    in_reference: bool,
}

// === impl Extremum ===

impl Extremum {
    const NONE: Self = Self {
        gap: i128::MIN,
        location: f64::NAN,
        in_reference: false,
    };

    fn consider(&mut self, gap: i128, location: f64, in_reference: bool) {
        if gap > self.gap || (gap == self.gap && in_reference && !self.in_reference) {
            *self = Self {
                gap,
                location,
                in_reference,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_close(actual: f64, expected: f64) {
        assert!(
            (actual / expected - 1.0).abs() <= 1e-12,
            "{actual:e} against {expected:e}"
        );
    }

    #[test]
    fn disjoint_samples() {
        // scipy.stats.ks_2samp([1, 2], [3, 4, 5])
        // -> statistic=1.0, pvalue=0.2, statistic_location=2, statistic_sign=1
        let test = two_sample(&[1.0, 2.0], &[3.0, 4.0, 5.0]);
        assert_eq!((test.found.gap, test.found.sign), (6, 1));
        assert_close(test.found.location, 2.0);
        assert_close(test.p.p, 0.2);
        // scipy.stats.ks_2samp([3, 4, 5], [1, 2])
        // -> statistic=1.0, pvalue=0.2, statistic_location=2, statistic_sign=-1
        let test = two_sample(&[3.0, 4.0, 5.0], &[1.0, 2.0]);
        assert_eq!((test.found.gap, test.found.sign), (6, -1));
        assert_close(test.found.location, 2.0);
    }

    #[test]
    fn identical_samples() {
        // scipy.stats.ks_2samp([-0.0, 1.0], [0.0, 1.0])
        // -> statistic=0.0, pvalue=1.0, statistic_location=-0.0, statistic_sign=1
        let test = two_sample(&[-0.0, 1.0], &[0.0, 1.0]);
        assert_eq!((test.found.gap, test.found.sign), (0, 1));
        assert_close(test.p.p, 1.0);
        assert!(test.found.location.abs() < 1e-300);
    }

    #[test]
    fn infinities_are_values() {
        // inf = math.inf
        // scipy.stats.ks_2samp([-inf, -inf, 0.0], [0.0, inf])
        // -> statistic=0.6666666666666666, pvalue=0.6, statistic_location=-inf, statistic_sign=1
        let inf = f64::INFINITY;
        let test = two_sample(&[-inf, -inf, 0.0], &[0.0, inf]);
        assert_eq!((test.found.gap, test.found.sign), (4, 1));
        assert!(test.found.location < f64::MIN);
        assert_close(test.p.p, 0.6);
    }

    #[test]
    fn empty_samples_give_nan() {
        let test = two_sample(&[], &[1.0]);
        assert!(test.found.statistic.is_nan() && test.p.p.is_nan() && test.p.log10_p.is_nan());
        assert_eq!(critical_gap(0, 5, 0.05), None);
    }

    #[test]
    fn critical_gap_is_the_first_significant_one() {
        for (n1, n2) in [
            (1, 1),
            (3, 4),
            (5, 5),
            (12, 8),
            (40, 39),
            (100, 60),
            (10_001, 30),
        ] {
            let unit = gcd(n1, n2) as u128;
            for alpha in [0.5, 0.05, 1e-3, 7.7e-7] {
                let first = (0..=(n1 * n2) as u128 / unit)
                    .map(|h| h * unit)
                    .step_by(if n1 > 10_000 { 97 } else { 1 })
                    .find(|gap| p_value(*gap, n1, n2).p <= alpha);
                let critical = critical_gap(n1, n2, alpha);
                if n1 <= 10_000 {
                    assert_eq!(critical, first, "{n1} {n2} {alpha}");
                } else {
                    let critical = critical.unwrap();
                    assert!(p_value(critical, n1, n2).p <= alpha);
                    assert!(p_value(critical - unit, n1, n2).p > alpha);
                    assert!(first.unwrap() - critical < 97);
                }
            }
        }
    }

    #[test]
    fn the_least_gap_is_certain() {
        // scipy.stats.ks_2samp([0] + [1] * 6, [1] * 7).pvalue -> 0.9999609537692629, and a warning.
        // But without ties the first value alone makes a gap of 1/7.
        assert_close(p_value(7, 7, 7).p, 1.0);
        assert_close(p_value(49, 49, 49).p, 1.0);
    }

    #[test]
    fn logarithm_outlives_the_p_value() {
        // math.log10(2) - math.log10(math.comb(1200, 600)), disjoint samples of 600.
        let p = p_value(360_000, 600, 600);
        assert!(
            p.p <= 0.0 && (p.log10_p + 359.297_223_761_568).abs() < 1e-9,
            "{p:?}"
        );
        // math.log10(2) - math.log10(math.comb(1300, 600)), disjoint samples of 700 and 600.
        let p = p_value(420_000, 700, 600);
        assert!(
            p.p <= 0.0 && (p.log10_p + 387.712_122_678_829_9).abs() < 1e-9,
            "{p:?}"
        );
        // Asymptotic, disjoint: kstwo.sf(1.0, n) is 0 with logarithm -inf.
        let p = p_value(20_000 * 500, 20_000, 500);
        assert!(p.p <= 0.0 && p.log10_p.is_finite());
    }
}
