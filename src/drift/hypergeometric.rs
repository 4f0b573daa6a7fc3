//! The hypergeometric law in saddle-point form.

use super::saddle_point::{deviance, log_factorial_residual};

/// Drawing `drawn` of `marked` + `plain` objects without replacement: the number marked among them.
///
/// `scipy.stats.hypergeom(M=marked + plain, n=marked, N=drawn)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hypergeometric {
    marked: u64,
    plain: u64,
    drawn: u64,
    /// What of ln C(marked + plain, drawn) does not cancel, negated, with the margins' factorials.
    constant: f64,
}

// === impl Hypergeometric ===

impl Hypergeometric {
    /// Precondition: `drawn` ≤ `marked` + `plain` < 2⁶⁴.
    pub(super) fn new(marked: u64, plain: u64, drawn: u64) -> Self {
        let residual = |count: u64| log_factorial_residual(count as f64);
        let total = marked + plain;
        Self {
            marked,
            plain,
            drawn,
            constant: residual(marked)
                + residual(plain)
                + residual(drawn)
                + residual(total - drawn)
                - residual(total),
        }
    }

    /// Fewest and most that can be marked.
    pub(super) fn support(&self) -> (u64, u64) {
        (
            self.drawn.saturating_sub(self.plain),
            self.drawn.min(self.marked),
        )
    }

    /// The most probable number; the larger one if two share the maximum.
    pub(super) fn mode(&self) -> u64 {
        let Self {
            marked,
            plain,
            drawn,
            ..
        } = *self;
        let product = (u128::from(drawn) + 1) * (u128::from(marked) + 1);
        let mode = product / (u128::from(marked) + u128::from(plain) + 2);
        // Below both `drawn + 1` and `marked + 1`, so it fits.
        mode as u64
    }

    /// ln P(exactly `count` marked): `scipy.stats.hypergeom.logpmf`. Precondition: in the support.
    ///
    /// Each factorial's large part is a deviance of a cell from its expectation, and all four
    /// excesses are one exact fraction (compare Loader 2000, section 4).
    pub(super) fn log_pmf(&self, count: u64) -> f64 {
        let Self {
            marked,
            plain,
            drawn,
            constant,
        } = *self;
        let cells = [
            count,
            drawn - count,
            marked - count,
            plain - (drawn - count),
        ];
        let [a, b, c, d] = cells.map(|cell| cell as f64);
        let wide = |x: u64, y: u64| u128::from(x) * u128::from(y);
        let (straight, crossed) = (wide(cells[0], cells[3]), wide(cells[1], cells[2]));
        let size = straight.abs_diff(crossed) as f64 / (marked as f64 + plain as f64);
        let surplus = if straight > crossed { size } else { -size };
        constant
            - [a, b, c, d].map(log_factorial_residual).iter().sum::<f64>()
            - deviance(a, -surplus)
            - deviance(b, surplus)
            - deviance(c, surplus)
            - deviance(d, -surplus)
    }

    /// P(`count` + 1)/P(`count`), 0 at the end of the support.
    pub(super) fn ratio_up(&self, count: u64) -> f64 {
        let a = count as f64;
        let up = (self.marked - count) as f64 * (self.drawn - count) as f64;
        up / ((a + 1.0) * ((self.plain + count + 1 - self.drawn) as f64))
    }

    /// P(`count` - 1)/P(`count`), 0 at the start of the support.
    pub(super) fn ratio_down(&self, count: u64) -> f64 {
        let down = count as f64 * (self.plain + count - self.drawn) as f64;
        down / ((self.marked - count + 1) as f64 * (self.drawn - count + 1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_law_adds_up_and_its_ratios_fit() {
        for (marked, plain, drawn) in [(7, 5, 6), (3, 20, 21), (1, 1, 1), (40, 2, 30), (9, 9, 0)] {
            let law = Hypergeometric::new(marked, plain, drawn);
            let (low, high) = law.support();
            let sum: f64 = (low..=high).map(|x| law.log_pmf(x).exp()).sum();
            assert!((sum - 1.0).abs() < 1e-14, "{sum}");
            for x in low..high {
                let up = law.ratio_up(x);
                assert!((up * law.ratio_down(x + 1) - 1.0).abs() < 1e-14);
                assert!(((law.log_pmf(x + 1) - law.log_pmf(x)).exp() / up - 1.0).abs() < 1e-13);
            }
            assert!(law.ratio_up(high) <= 0.0 && law.ratio_down(low) <= 0.0);
            let best = law.log_pmf(law.mode());
            assert!((low..=high).all(|x| law.log_pmf(x) <= best + 1e-14));
        }
    }
}
