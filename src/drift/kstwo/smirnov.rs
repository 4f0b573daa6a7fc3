//! One-sided tail of the Kolmogorov-Smirnov statistic, in logarithms.

use super::super::saddle_point::{LogSum, deviance, log_factorial_residual};

/// ln P(D⁺_n ≥ x) for 0 < x < 1: `log(scipy.special.smirnov(n, x))`, never underflowing.
///
/// Birnbaum and Tingey (1951), x Σ C(n,j) (1-x-j/n)ⁿ⁻ʲ (x+j/n)ʲ⁻¹ over 0 ≤ j ≤ n(1-x). All terms
/// are positive, and each is `nx/(nx+j)` times the binomial probability of j at `x + j/n`, taken
/// in saddle-point form.
pub(super) fn log_sf(x: f64, n: u64) -> f64 {
    let n_float = n as f64;
    let t = n_float * x;
    let last = ((n_float - t).floor() as u64).min(n - 1);
    let whole = log_factorial_residual(n_float);
    let log_term = |j: u64| {
        let successes = j as f64;
        let failures = n_float - successes;
        (t / (t + successes)).ln() + whole
            - log_factorial_residual(successes)
            - log_factorial_residual(failures)
            - deviance(successes, t)
            - deviance(failures, -t)
    };

    let mut sum = LogSum::EMPTY;
    if x >= 0.5 {
        // The terms peak at both ends here, and x is past any tail worth saving time on.
        for j in 0..=last {
            sum.add(log_term(j));
        }
        return sum.ln();
    }
    // One hump about the middle: outward from there, until the terms no longer count.
    let middle = last / 2;
    for j in (0..=middle).rev() {
        let term = log_term(j);
        sum.add(term);
        if sum.negligible(term) {
            break;
        }
    }
    for j in middle + 1..=last {
        let term = log_term(j);
        sum.add(term);
        if sum.negligible(term) {
            break;
        }
    }
    sum.ln()
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
}
