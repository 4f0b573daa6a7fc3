//! Values beyond the range of the reference.
//!
//! With n reference and w current values of one continuous distribution, every order is equally
//! likely, so the k largest are all current with probability Π_{i<k} (w-i)/(n+w-i). No shape is
//! assumed, and one wild reference value merely hides the current ones below it.
//!
//! Ties: count the values *strictly* beyond the reference's extreme. Breaking ties at random makes
//! all orders equally likely again, and leaves a value strictly beyond where it was; it can only add
//! current values to the run at the end. So the probability of a strict count of k or more is at
//! most the product: the p-value is conservative for discrete data (the more so the heavier the ties
//! at the extreme, which a current value then equals instead of passing), and exact without ties.

use super::hypergeometric::Hypergeometric;
use super::p_value::PValue;

/// Rows of a current window that lie outside the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beyond {
    /// Current values strictly below the reference's least.
    pub below: u64,
    /// Current values strictly above the reference's greatest.
    pub above: u64,
}

/// Twice the smaller of P(at least `above` current values above the reference's greatest) and the
/// same below its least, at most 1 (Bonferroni): with k the larger of both counts, 2 ·
/// `scipy.stats.hypergeom.pmf(k, n_reference + n_current, n_current, k)`.
///
/// 1 for an empty reference, whatever it is compared with. More than `n_current` values cannot be
/// beyond; they count as `n_current`.
pub fn two_sided(n_reference: u64, n_current: u64, beyond: Beyond) -> PValue {
    let Beyond { below, above } = beyond;
    // The longer run has the smaller probability.
    let longer = below.max(above).min(n_current);
    if longer == 0 || n_reference == 0 {
        return PValue::ONE;
    }
    PValue::from_ln(std::f64::consts::LN_2 + log_run(n_reference, n_current, longer))
}

/// ln Π_{i<k} (w-i)/(n+w-i) = ln C(w, k)/C(n+w, k).
fn log_run(n: u64, w: u64, k: u64) -> f64 {
    /// Up to here the product itself, which is then accurate to the last digit, and above 1e-300
    /// for all samples that fit in memory.
    const SHORT: u64 = 16;
    if k <= SHORT {
        let factors = (0..k).map(|i| (w - i) as f64 / (n + w - i) as f64);
        return factors.product::<f64>().ln();
    }
    Hypergeometric::new(w, n, k).log_pmf(k)
}
