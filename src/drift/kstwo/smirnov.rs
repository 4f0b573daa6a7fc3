//! One-sided tail of the Kolmogorov-Smirnov statistic, in logarithms.

use super::super::saddle_point::{LogSum, deviance, log_factorial_residual};

/// ln P(D⁺_n ≥ x) for 0 < x < 1: `log(scipy.special.smirnov(n, x))`, never underflowing.
///
/// Birnbaum and Tingey (1951), x Σ C(n,j) (1-x-j/n)ⁿ⁻ʲ (x+j/n)ʲ⁻¹ over 0 ≤ j ≤ n(1-x). All terms
/// are positive, and each is `nx/(nx+j)` times the binomial probability of j at `x + j/n`, taken
/// in saddle-point form.
pub(super) fn log_sf(x: f64, n: u64) -> f64 {
    let n_float = n as f64;
    let last = ((n_float - n_float * x).floor() as u64).min(n - 1);
    if x >= 0.5 {
        // The terms peak at both ends here, and x is past any tail worth saving time on.
        let mut sum = LogSum::EMPTY;
        (0..=last).for_each(|j| sum.add(log_term_near_one(x, n, j)));
        return sum.ln();
    }
    let log_term = log_term(x, n);
    strided(last, stride(n), &log_term).unwrap_or_else(|| hump(last, 1, &log_term).sum.ln())
}

/// ln of the j-th term: the factor nx/(nx+j) and the binomial probability.
fn log_term(x: f64, n: u64) -> impl Fn(u64) -> f64 {
    let n_float = n as f64;
    let t = n_float * x;
    let whole = log_factorial_residual(n_float);
    move |j| {
        let successes = j as f64;
        let failures = n_float - successes;
        (t / (t + successes)).ln() + whole
            - log_factorial_residual(successes)
            - log_factorial_residual(failures)
            - deviance(successes, t)
            - deviance(failures, -t)
    }
}

/// [`log_term`] for x ≥ ½, where 1 - x is exact: near 1 the failures expected, n(1-x) - j, would be
/// lost in n - j - nx, and with it digits of a power as high as n.
fn log_term_near_one(x: f64, n: u64, j: u64) -> f64 {
    let n_float = n as f64;
    let t = n_float * x;
    let (successes, failures) = (j as f64, n_float - j as f64);
    let expected = (n_float * (1.0 - x) - successes).max(0.0);
    (t / (t + successes)).ln() + log_factorial_residual(n_float)
        - log_factorial_residual(successes)
        - log_factorial_residual(failures)
        - deviance(successes, t)
        - (failures * (failures / expected).ln() - t)
}

/// How far apart the terms to add up may lie.
///
/// As a function of a continuous j the terms are one smooth hump that vanishes with all its
/// derivatives at both ends, so adding up every s-th of them and multiplying by s is the trapezoidal
/// rule on it, as is the sum of all, and the error of either falls exponentially in (width of the
/// hump)/s. The width is of the order of n, but at least √n/2 (in standard deviations, at x near ½).
fn stride(n: u64) -> u64 {
    const POINTS: u64 = 2_048;
    (n / POINTS).min(n.isqrt() / 8).max(1)
}

/// The sum by strides, unless the hump is cut off at an end and so is not smooth there.
fn strided(last: u64, stride: u64, log_term: impl Fn(u64) -> f64) -> Option<f64> {
    let hump = hump(last, stride, &log_term);
    (stride == 1 || hump.vanishes).then(|| hump.sum.ln() + (stride as f64).ln())
}

/// Terms added up about their middle.
struct Hump {
    sum: LogSum,
    /// Whether the terms became negligible before either end.
    vanishes: bool,
}

/// Every `stride`-th term outward from the middle, until they no longer count.
fn hump(last: u64, stride: u64, log_term: impl Fn(u64) -> f64) -> Hump {
    let middle = last / 2;
    let mut sum = LogSum::EMPTY;
    let mut down = 0..=middle / stride;
    let mut up = 1..=(last - middle) / stride;
    let mut until_negligible = |j: u64| {
        let term = log_term(j);
        sum.add(term);
        sum.negligible(term)
    };
    let low = down.any(|k| until_negligible(middle - k * stride));
    let high = up.any(|k| until_negligible(middle + k * stride));
    Hump {
        sum,
        vanishes: low && high,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_forms() {
        // n = 1: P(D⁺ ≥ x) = 1 - x.
        assert!((log_sf(0.25, 1).exp() - 0.75).abs() < 1e-15);
        // n = 2, x = ½: (1-x)² + x·2·(½-x)·(x+½)⁰ = ¼.
        assert!((log_sf(0.5, 2).exp() - 0.25).abs() < 1e-15);
    }

    #[test]
    fn strides_add_up_to_the_whole_sum() {
        for n in [4_096, 5_001, 20_000, 100_000, 300_007] {
            assert!(stride(n) > 1);
            // From nx² = 2.2, where the tail begins, to x just below ½.
            let from = (2.2 / n as f64).sqrt();
            for x in [
                from,
                1.3 * from,
                2.0 * from,
                5.0 * from,
                12.0 * from,
                0.2,
                0.35,
                0.499,
            ] {
                let t = n as f64 * x;
                let last = (n as f64 - t).floor() as u64;
                let whole = hump(last, 1, log_term(x, n)).sum.ln();
                let strided = strided(last, stride(n), log_term(x, n)).unwrap();
                let error = (strided - whole).abs();
                assert!(
                    error < 1e-13 * (1.0 + whole.abs() / 100.0),
                    "{n} {x}: {strided} {whole}"
                );
            }
        }
    }
}
