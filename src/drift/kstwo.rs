//! Distribution of the two-sided one-sample Kolmogorov-Smirnov statistic, `scipy.stats.kstwo`.
//!
//! Simard, R. and L'Ecuyer, P. (2011), "Computing the two-sided Kolmogorov-Smirnov distribution",
//! Journal of Statistical Software 39(11). No one formula is accurate everywhere, so the plane of
//! (x, n) is cut into regions. The cuts are those of scipy, so the values agree with scipy's.

use super::root;

mod marsaglia;
mod pelz_good;
mod pomeranz;
mod smirnov;

/// scipy reports a plain 0 from here on for `n > 140`; the true value is below 1e-320.
const SCIPY_ZERO_AT: f64 = 370.0;

/// P(D_n ≥ x): `scipy.stats.kstwo.sf(x, n)`. 0 where scipy gives 0.
pub fn sf(x: f64, n: u64) -> f64 {
    let n_float = n as f64;
    let nxx = n_float * x * x;
    if n > 140 && x < 0.5 && n_float * x < n_float - 1.0 && nxx >= SCIPY_ZERO_AT {
        return 0.0;
    }
    match region(x, n) {
        Value::Probability(p) => p.clamp(0.0, 1.0),
        Value::Log(log_p) => log_p.exp().clamp(0.0, 1.0),
    }
}

/// log10 P(D_n ≥ x), finite for every x < 1 however small the probability.
///
/// It is -∞ at `x ≥ 1`, where a continuous distribution has nothing left.
pub fn log10_sf(x: f64, n: u64) -> f64 {
    let log_p = match region(x, n) {
        Value::Probability(p) => p.clamp(0.0, 1.0).ln(),
        Value::Log(log_p) => log_p.min(0.0),
    };
    log_p * std::f64::consts::LOG10_E
}

/// The x with `sf(x, n) = alpha`: `scipy.stats.kstwo.isf(alpha, n)`.
///
/// scipy inverts its cdf at `1 - alpha` instead. That loses digits for small alpha, and for
/// n > 140 and nx² > 2.2 its cdf and sf are different approximations, so there scipy's own
/// `sf(isf(alpha))` is off (5e-4 relative at n = 141, alpha = 1e-4). Here it is alpha, down to 1e-300.
pub fn isf(alpha: f64, n: u64) -> f64 {
    let n_float = n as f64;
    let support_start = 0.5 / n_float;
    if alpha.is_nan() || n == 0 {
        return f64::NAN;
    }
    if alpha <= 0.0 {
        return 1.0;
    }
    if alpha >= 1.0 {
        return support_start;
    }
    let target = alpha.log10();
    let excess = |x: f64| log10_sf(x, n) - target;
    // Massart's bound: sf(x) ≤ 2 exp(-2nx²), so the root lies below this point. The slack covers
    // the rounding of the approximations that stand in for sf.
    let massart = ((2.0 / alpha).ln() / (2.0 * n_float)).sqrt() * 1.01;
    let mut high = massart.clamp(support_start, 1.0);
    if excess(high) > 0.0 {
        high = 1.0;
    }
    // The bound is close for large n: try near below before the whole support.
    let mut low = (0.95 * massart).clamp(support_start, 1.0);
    if excess(low) <= 0.0 {
        low = support_start;
    }
    root::of_decreasing(excess, low, high)
}

/// What a region's formula yields: the tail ones work in logarithms.
enum Value {
    /// P itself.
    Probability(f64),
    /// ln P.
    Log(f64),
}

/// The branches of `kstwo.sf`, in scipy's order.
fn region(x: f64, n: u64) -> Value {
    let n_float = n as f64;
    let t = n_float * x;
    if x.is_nan() || n == 0 {
        return Value::Probability(f64::NAN);
    }
    if x >= 1.0 {
        return Value::Probability(0.0);
    }
    if t <= 0.5 {
        return Value::Probability(1.0);
    }
    if t <= 1.0 {
        return Value::Probability(1.0 - ruben_gambino(t, n));
    }
    if t >= n_float - 1.0 {
        return Value::Log(std::f64::consts::LN_2 + n_float * (-x).ln_1p());
    }
    let twice_one_sided = || Value::Log(std::f64::consts::LN_2 + smirnov::log_sf(x, n));
    if x >= 0.5 {
        return twice_one_sided();
    }
    let nxx = t * x;
    if n <= 140 {
        if nxx <= 0.754_693 {
            Value::Probability(1.0 - marsaglia::cdf(x, n))
        } else if nxx <= 4.0 {
            Value::Probability(1.0 - pomeranz::cdf(x, n))
        } else {
            twice_one_sided()
        }
    } else if nxx >= 2.2 {
        twice_one_sided()
    } else if n <= 100_000 && n_float * x.powf(1.5) <= 1.4 {
        Value::Probability(1.0 - marsaglia::cdf(x, n))
    } else {
        Value::Probability(1.0 - pelz_good::cdf(x, n))
    }
}

/// n!·((2t-1)/n)ⁿ, the distribution function for ½ ≤ t = nx ≤ 1 (Ruben and Gambino 1982).
fn ruben_gambino(t: f64, n: u64) -> f64 {
    let step = (2.0 * t - 1.0) / n as f64;
    if n > 140 {
        // Below 1e-60 at most; the logarithm keeps n! from overflowing.
        let n = n as f64;
        let log_factorial = super::saddle_point::log_factorial_residual(n) - n;
        return (log_factorial + n * (2.0 * t - 1.0).ln()).exp();
    }
    (1..=n).map(|i| i as f64 * step).product()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_close(actual: f64, expected: f64, relative: f64) {
        assert!(
            (actual / expected - 1.0).abs() <= relative,
            "{actual:e} against {expected:e}"
        );
    }

    #[test]
    fn closed_forms() {
        // n = 1: D is uniform on [½, 1], so P(D ≥ x) = 2(1 - x).
        assert_close(sf(0.7, 1), 0.6, 1e-14);
        // n = 2, ½ ≤ x: P = 2(1 - x)²; x ≤ ½: 1 - 2(2x - ½)².
        assert_close(sf(0.75, 2), 0.125, 1e-14);
        assert_close(sf(0.375, 2), 0.875, 1e-14);
        assert_close(sf(0.1, 2), 1.0, 0.0);
        assert_close(sf(1.0, 50) + 1.0, 1.0, 0.0);
    }

    #[test]
    fn log_stays_finite_where_the_probability_is_zero() {
        // scipy.stats.kstwo.sf(0.3, 50_000) -> 0.0
        assert!(sf(0.3, 50_000) <= 0.0);
        let deep = log10_sf(0.3, 50_000);
        assert!(deep.is_finite() && deep < -3_900.0, "{deep}");
    }

    #[test]
    fn isf_inverts_sf() {
        for n in [1, 2, 7, 50, 141, 1_000, 20_000, 1_000_000] {
            for alpha in [0.99, 0.5, 0.05, 1e-3, 7.7e-7, 1e-20, 1e-200] {
                let x = isf(alpha, n);
                if x > 0.999 {
                    // The doubles near 1 are too far apart for the comparison below.
                    assert!(sf(x, n) <= alpha);
                    continue;
                }
                assert!(
                    (log10_sf(x, n) - alpha.log10()).abs() < 1e-10,
                    "{alpha} {n} {x}"
                );
                assert!(sf(x, n) <= alpha * (1.0 + 1e-9), "{alpha} {n} {x}");
            }
        }
    }
}
