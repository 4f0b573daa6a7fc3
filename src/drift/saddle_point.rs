//! Binomial probabilities in saddle-point form, accurate to the last digits for any size.
//!
//! Loader, C. (2000), "Fast and accurate computation of binomial probabilities". The factorials
//! are split so that the large terms cancel on paper instead of in floating point.

use std::f64::consts::PI;

/// `ln n! - (½ ln(2πn) + n ln n - n)` for n = 1..15, where the series below is not yet exact.
///
/// mpmath, 40 digits: `log(factorial(n)) - log(2*pi*n)/2 - n*log(n) + n`
const STIRLING_ERROR: [f64; 15] = [
    0.081_061_466_795_327_26,
    0.041_340_695_955_409_29,
    0.027_677_925_684_998_34,
    0.020_790_672_103_765_093,
    0.016_644_691_189_821_193,
    0.013_876_128_823_070_748,
    0.011_896_709_945_891_77,
    0.010_411_265_261_972_096,
    0.009_255_462_182_712_733,
    0.008_330_563_433_362_87,
    0.007_573_675_487_951_841,
    0.006_942_840_107_209_53,
    0.006_408_994_188_004_207,
    0.005_951_370_112_758_848,
    0.005_554_733_551_962_801,
];

/// `ln n! - (n ln n - n)`, that is `½ ln(2πn)` plus Stirling's error, and 0 at n = 0.
///
/// What remains of a factorial once [`deviance`] has taken the rest. `n` holds an integer.
pub(super) fn log_factorial_residual(n: f64) -> f64 {
    if n < 0.5 {
        return 0.0;
    }
    let error = if n < 15.5 {
        STIRLING_ERROR[n as usize - 1]
    } else {
        // Bernoulli series; the first dropped term is below 2e-16 from n = 16 on.
        let r = 1.0 / n;
        let rr = r * r;
        r * (1.0 / 12.0
            - rr * (1.0 / 360.0 - rr * (1.0 / 1260.0 - rr * (1.0 / 1680.0 - rr / 1188.0))))
    };
    0.5 * (2.0 * PI * n).ln() + error
}

/// Loader's `bd0(count, count + excess)` = `count·ln(count/(count+excess)) + excess` ≥ 0.
///
/// The excess is an argument of its own because callers know it exactly, whereas subtracting two
/// large means would lose it. At an expected count of 0 under a positive count it is infinite.
pub(super) fn deviance(count: f64, excess: f64) -> f64 {
    if count <= 0.0 {
        return excess;
    }
    let e = excess / count;
    if e <= -1.0 {
        return f64::INFINITY;
    }
    if e.abs() > 0.2 {
        return count * (e - e.ln_1p());
    }
    // e - ln(1+e) = e·v - 2v(v²/3 + v⁴/5 + …), v = e/(2+e), because ln(1+e) = 2 artanh v.
    let v = e / (2.0 + e);
    let vv = v * v;
    let mut power = vv;
    let mut series = 0.0;
    let mut k = 3.0;
    // |v| ≤ 0.12, so nine terms pass below 1e-17 of the first.
    for _ in 0..9 {
        series += power / k;
        power *= vv;
        k += 2.0;
    }
    count * (e * v - 2.0 * v * series)
}

/// A sum of positive terms known by their logarithms, kept relative to the largest seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogSum {
    /// Logarithm of the largest term so far.
    peak: f64,
    /// Sum of the terms divided by the largest.
    scaled: f64,
}

// === impl LogSum ===

impl LogSum {
    pub(super) const EMPTY: Self = Self {
        peak: f64::NEG_INFINITY,
        scaled: 0.0,
    };

    pub(super) fn add(&mut self, log_term: f64) {
        if log_term > self.peak {
            self.scaled = self.scaled * (self.peak - log_term).exp() + 1.0;
            self.peak = log_term;
        } else if log_term > f64::NEG_INFINITY {
            self.scaled += (log_term - self.peak).exp();
        }
    }

    /// Whether a term this small no longer changes the sum.
    pub(super) fn negligible(&self, log_term: f64) -> bool {
        log_term < self.peak - 45.0
    }

    pub(super) fn ln(&self) -> f64 {
        self.peak + self.scaled.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factorial_residual_is_continuous_over_the_table_end() {
        // mpmath: log(factorial(n)) - (n*log(n) - n) for n = 15, 20
        assert!((log_factorial_residual(15.0) - 2.278_518_367_341).abs() < 1e-9);
        assert!((log_factorial_residual(20.0) - 2.420_970_989_674).abs() < 1e-9);
    }

    #[test]
    fn deviance_series_meets_the_direct_form() {
        for e in [-0.199_f64, -0.05, 1e-3, 0.1, 0.199] {
            let direct = 100.0 * (e - e.ln_1p());
            assert!(
                (deviance(100.0, 100.0 * e) / direct - 1.0).abs() < 1e-9,
                "{e}"
            );
        }
        // mpmath: mpf('1e-8') - log1p(mpf('1e-8'))
        assert!((deviance(1.0, 1e-8) / 4.999_999_966_666_667e-17 - 1.0).abs() < 1e-14);
    }
}
