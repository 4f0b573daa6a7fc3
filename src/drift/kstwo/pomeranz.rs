//! Exact distribution function for moderate n.

/// P(D_n ≤ x) by the recursion of Pomeranz (1974), as in Simard and L'Ecuyer (2011), section 3.2.
///
/// On a Poisson process of rate 1 over [0, n], conditioned on n points, D_n ≤ x holds when the
/// count stays within t = nx of the diagonal. The band's floor and ceiling jump only at the times
/// k ± f, f the fractional part of t, so the count's distribution is carried from one such time
/// to the next. Poisson weights in full (with e^-Δ) keep every number near 1.
pub(super) fn cdf(x: f64, n: u64) -> f64 {
    let t = n as f64 * x;
    let whole = t.floor();
    let fraction = t - whole;
    let smaller = fraction.min(1.0 - fraction);
    let band = Band {
        n: n as i64,
        whole: whole as i64,
        fraction,
    };

    let reach = (2.0 * whole) as usize + 4;
    let short = poisson(smaller, reach);
    let across = poisson(1.0 - 2.0 * smaller, reach);
    let around = poisson(2.0 * smaller, reach);

    // Count 0 at time 0; then times in pairs about each half-integer, and last the time n.
    let mut start = 0;
    let mut weights = vec![1.0];
    for step in 1..=2 * n + 1 {
        let gap = if step == 1 || step == 2 * n + 1 {
            &short
        } else if step % 2 == 0 {
            &across
        } else {
            &around
        };
        let (low, high) = band.counts(step as i64);
        let next = (low..=high)
            .map(|count| {
                weights
                    .iter()
                    .enumerate()
                    .filter_map(|(offset, weight)| {
                        let points = usize::try_from(count - start - offset as i64).ok()?;
                        Some(weight * gap.get(points)?)
                    })
                    .sum()
            })
            .collect();
        weights = next;
        start = low;
    }
    // Unconditioned probability of n points, to divide by.
    let exactly_n = (1..=n)
        .map(|i| n as f64 / (i as f64 * std::f64::consts::E))
        .product::<f64>();
    weights.first().copied().unwrap_or(0.0) / exactly_n
}

/// Probabilities of 0, 1, … points in an interval of the given length.
fn poisson(length: f64, count: usize) -> Vec<f64> {
    let mut term = (-length).exp();
    (1..=count)
        .map(|k| {
            let current = term;
            term *= length / k as f64;
            current
        })
        .collect()
}

/// The allowed counts at each time.
struct Band {
    n: i64,
    /// ⌊t⌋.
    whole: i64,
    /// t - ⌊t⌋.
    fraction: f64,
}

// === impl Band ===

impl Band {
    /// Integers strictly between A - t and A + t at the step's time A, in integer arithmetic so
    /// that no rounding can open or close a boundary.
    fn counts(&self, step: i64) -> (i64, i64) {
        let Self { n, whole, fraction } = *self;
        if step == 2 * n + 1 {
            return (n, n);
        }
        // Steps 2k and 2k+1 (one pair) stand at k - f and k + f, or with f above ½ the pairs
        // are (k-1) + f and (k+1) - f.
        let doubled = if fraction <= 0.0 {
            0
        } else if fraction <= 0.5 {
            1
        } else {
            2
        };
        let pair = step / 2;
        let later = step % 2 == 1;
        let (k, plus) = match (fraction <= 0.5, later) {
            (true, false) => (pair, false),
            (true, true) => (pair, true),
            (false, false) => (pair - 1, true),
            (false, true) => (pair + 1, false),
        };
        let (low, high) = if plus {
            (k - whole + 1, k + whole + doubled - 1)
        } else {
            (k - whole - doubled + 1, k + whole - 1)
        };
        (low.max(0), high.min(n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_form_at_n_two() {
        // n = 2, ¼ ≤ x ≤ ½: P(D ≤ x) = 2(2x - ½)²; above: 1 - 2(1 - x)².
        for x in [0.3, 0.375, 0.45, 0.49] {
            let expected = 2.0 * (2.0 * x - 0.5_f64).powi(2);
            assert!(
                (cdf(x, 2) - expected).abs() < 1e-15,
                "{x}: {} {expected}",
                cdf(x, 2)
            );
        }
        for x in [0.5_f64, 0.6, 0.75, 0.9] {
            let expected = 1.0 - 2.0 * (1.0 - x).powi(2);
            assert!(
                (cdf(x, 2) - expected).abs() < 1e-15,
                "{x}: {} {expected}",
                cdf(x, 2)
            );
        }
    }
}
