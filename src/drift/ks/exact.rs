//! Exact two-sample law, by lattice paths.
//!
//! Merging the samples in order is a path from (0, 0) to (m, n), all paths being equally likely.
//! The gap reaches h·gcd where the path first leaves the strip |i·n - j·m| < h·gcd.

use super::super::saddle_point::{LogSum, deviance, log_factorial_residual};

/// Once every probability of still being inside is below this, what remains cannot count.
pub(super) const NOTHING_LEFT: f64 = 1e-250;

/// ln P(D ≥ h·unit/(m·n)) for sample sizes m > n with greatest common divisor `unit`, h > 0.
///
/// After Viehmann (2021, arXiv:2102.08037), whose recursion carries, for each (i, j), the share
/// of the paths to it that have left the strip. This carries the share that has *not*,
/// Q(i,j) = (i·Q(i-1,j) + j·Q(i,j-1))/(i+j), and sums the probability of leaving for the first
/// time, step by step. All terms are positive, so nothing cancels, and the sum is kept as a
/// logarithm, so nothing underflows. Antidiagonals i+j = s depend only on the one before, which
/// lets the compiler vectorise.
pub(super) fn log_p(m: usize, n: usize, unit: usize, h: i64) -> f64 {
    let strip = Strip::new(m, n, unit, h);
    let paths = Paths::new(m, n);
    let j_float: Vec<f64> = (0..=n).map(|j| j as f64).collect();
    // Q over one antidiagonal, at index j + 1; a zero stands on either side of the strip.
    let mut inside = vec![0.0; n + 3];
    let mut next = vec![0.0; n + 3];
    inside[1] = 1.0;
    let mut left = LogSum::EMPTY;

    for s in 0..m + n {
        let (low, high) = strip.range(s);
        if low > high {
            break;
        }
        // Only the outermost cells can step out: the lowest j by a step in i, the highest in j.
        if strip.leaves(s + 1 - low, low) {
            let step = (m + low - s) as f64 / (m + n - s) as f64;
            left.add(paths.log_through(s, low) + (inside[low + 1] * step).ln());
        }
        if strip.leaves(s - high, high + 1) {
            let step = (n - high) as f64 / (m + n - s) as f64;
            left.add(paths.log_through(s, high) + (inside[high + 1] * step).ln());
        }

        let s = s + 1;
        let (low, high) = strip.range(s);
        if low > high {
            break;
        }
        step(s, (low, high), &inside, &mut next, &j_float);
        if s % 64 == 0 {
            let most = next[low + 1..=high + 1]
                .iter()
                .fold(0.0_f64, |most, q| most.max(*q));
            if most < NOTHING_LEFT {
                break;
            }
        }
        std::mem::swap(&mut inside, &mut next);
    }
    left.ln()
}

/// ln P(D ≥ h/n) for two samples of n each, h > 0.
///
/// Gnedenko and Korolyuk (1951), 2 Σ_{k≥1} (-1)^{k-1} C(2n, n-kh)/C(2n, n), nested as in
/// Hodges (1958) so that the alternating sum does not cancel: 2·a₁(1 - a₂/…(1 - …)), each ratio
/// of binomials a product of h factors below 1.
pub(super) fn log_p_equal_sizes(n: usize, h: usize) -> f64 {
    // Π over j < h of (n - kh - j)/(n + kh + j + 1), the ratio of one binomial to the last.
    let factors = |k: usize| {
        (k * h..(k * h + h)).map(move |j| n.saturating_sub(j) as f64 / (n + j + 1) as f64)
    };
    let mut rest = 0.0;
    for k in (1..=n / h).rev() {
        rest = factors(k).product::<f64>() * (1.0 - rest);
    }
    let direct: f64 = factors(0).product();
    let log_first = if direct > 1e-300 {
        direct.ln()
    } else {
        factors(0).map(f64::ln).sum::<f64>()
    };
    std::f64::consts::LN_2 + log_first + (-rest).ln_1p()
}

/// ln of 2/C(m+n, n), the smallest p-value two samples can have.
pub(super) fn log_rarest(m: usize, n: usize) -> f64 {
    let (m, n) = (m as f64, n as f64);
    let log_binomial =
        log_factorial_residual(m + n) - log_factorial_residual(m) - log_factorial_residual(n)
            + m * (n / m).ln_1p()
            + n * (m / n).ln_1p();
    (std::f64::consts::LN_2 - log_binomial).min(0.0)
}

/// The cells (i, j) with |i·n - j·m| < h·unit, in lowest terms.
pub(super) struct Strip {
    m: usize,
    n: usize,
    /// m/unit.
    m_unit: i64,
    /// n/unit.
    n_unit: i64,
    h: i64,
}

// === impl Strip ===

impl Strip {
    pub(super) fn new(m: usize, n: usize, unit: usize, h: i64) -> Self {
        Self {
            m,
            n,
            m_unit: (m / unit) as i64,
            n_unit: (n / unit) as i64,
            h,
        }
    }

    /// First and last j inside on the antidiagonal i + j = s; empty if the first is larger.
    pub(super) fn range(&self, s: usize) -> (usize, usize) {
        let Self {
            m,
            n,
            m_unit,
            n_unit,
            h,
        } = *self;
        let centre = s as i64 * n_unit;
        let slope = m_unit + n_unit;
        let low = (centre - h).div_euclid(slope) + 1;
        let high = (centre + h - 1).div_euclid(slope);
        (
            low.max(s as i64 - m as i64).max(0) as usize,
            high.min(s.min(n) as i64).max(0) as usize,
        )
    }

    /// Whether (i, j) is within the rectangle and outside the strip.
    fn leaves(&self, i: usize, j: usize) -> bool {
        let difference = i as i64 * self.n_unit - j as i64 * self.m_unit;
        i <= self.m && j <= self.n && difference.abs() >= self.h
    }
}

/// Probabilities that a path visits a cell, the hypergeometric law.
pub(super) struct Paths {
    m: f64,
    n: f64,
    /// [`log_factorial_residual`] of 0, 1, …, m + n.
    residual: Vec<f64>,
    /// The residuals of the whole: those of C(m+n, n).
    whole: f64,
}

// === impl Paths ===

impl Paths {
    pub(super) fn new(m: usize, n: usize) -> Self {
        let residual: Vec<f64> = (0..=m + n)
            .map(|k| log_factorial_residual(k as f64))
            .collect();
        let whole = residual[m] + residual[n] - residual[m + n];
        Self {
            m: m as f64,
            n: n as f64,
            residual,
            whole,
        }
    }

    /// ln of C(s, j)·C(m+n-s, n-j)/C(m+n, n), the chance of passing (s-j, j).
    ///
    /// Each factorial's large part is a deviance from its expectation, and all four excesses are
    /// the same exact fraction.
    pub(super) fn log_through(&self, s: usize, j: usize) -> f64 {
        let Self {
            m,
            n,
            ref residual,
            whole,
        } = *self;
        let i = s - j;
        let (i_float, j_float) = (i as f64, j as f64);
        let excess = (i_float * n - j_float * m) / (m + n);
        let (i_rest, j_rest) = (m as usize - i, n as usize - j);
        residual[s] + residual[residual.len() - 1 - s] + whole
            - residual[i]
            - residual[j]
            - residual[i_rest]
            - residual[j_rest]
            - deviance(i_float, -excess)
            - deviance(j_float, excess)
            - deviance(i_rest as f64, excess)
            - deviance(j_rest as f64, -excess)
    }
}

/// From antidiagonal s - 1 to s: Q(i,j) = (i·Q(i-1,j) + j·Q(i,j-1))/(i+j).
pub(super) fn step(
    s: usize,
    (low, high): (usize, usize),
    inside: &[f64],
    next: &mut [f64],
    j_float: &[f64],
) {
    let total = s as f64;
    let share = 1.0 / total;
    for ((cell, pair), j) in next[low + 1..=high + 1]
        .iter_mut()
        .zip(inside[low..=high + 1].windows(2))
        .zip(&j_float[low..=high])
    {
        *cell = ((total - j) * pair[1] + j * pair[0]) * share;
    }
    next[low] = 0.0;
    next[high + 2] = 0.0;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of paths that leave the strip, by counting them all in integers.
    fn counted(m: usize, n: usize, gap: i64) -> f64 {
        let mut all = vec![0_u64; n + 1];
        let mut inside = vec![0_u64; n + 1];
        all[0] = 1;
        inside[0] = 1;
        for i in 0..=m {
            for j in 0..=n {
                if j > 0 {
                    all[j] += all[j - 1];
                    inside[j] += inside[j - 1];
                }
                if (i as i64 * n as i64 - j as i64 * m as i64).abs() >= gap {
                    inside[j] = 0;
                }
            }
        }
        (all[n] - inside[n]) as f64 / all[n] as f64
    }

    #[test]
    fn every_gap_of_small_samples() {
        for (m, n, unit) in [
            (2, 1, 1),
            (7, 4, 1),
            (12, 8, 4),
            (15, 14, 1),
            (20, 5, 5),
            (30, 9, 3),
        ] {
            for h in 1..=(m * n / unit) as i64 {
                let expected = counted(m, n, h * unit as i64);
                let actual = log_p(m, n, unit, h).exp();
                assert!((actual / expected - 1.0).abs() < 1e-13, "{m} {n} {h}");
            }
        }
        for n in 1..=16 {
            for h in 1..=n {
                let expected = counted(n, n, (h * n) as i64);
                let actual = log_p_equal_sizes(n, h).exp();
                assert!((actual / expected - 1.0).abs() < 1e-13, "{n} {h}");
            }
        }
    }

    #[test]
    fn rarest_outcome() {
        // 2 / math.comb(12, 5)
        assert!((log_rarest(7, 5).exp() * 396.0 - 1.0).abs() < 1e-14);
        // One against one: both orders are as far apart as can be.
        assert!(log_rarest(1, 1).abs() < 1e-15);
    }
}
