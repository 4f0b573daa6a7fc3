//! Bounds that hold with certainty short of α: a band for all times at once, and one around a
//! reference.
//!
//! A window finds a change of some size soon. A small change that lasts shows only in everything
//! seen since a start, which is looked at again and again, so the bound has to hold at all times
//! together. Both bounds take rows as independent; with autocorrelation time τ they take row
//! counts divided by τ, which is then a good approximation rather than a proof.

/// A and the two constants of C = 0.8·ln(1612/α) in Howard and Ramdas (2022).
const SCALE: f64 = 0.85;
const LOG_WEIGHT: f64 = 0.8;
const LOG_NUMERATOR: f64 = 1612.0;

/// The closed form of C is proven up to α = 0.49, and no one asks for as much.
const MAX_ALPHA: f64 = 0.25;

/// Half-width of the band around the distribution function F that the empirical one F_t never
/// leaves: P(∃ t ≥ t0: sup|F_t - F| > radius) ≤ `alpha`.
///
/// Howard, S. and Ramdas, A. (2022), "Sequential estimation of quantiles with applications to
/// A/B testing and best-arm identification", Bernoulli 28(3), theorem 2 with A = 0.85:
/// 0.85·√((ln(1 + ln(t/t0)) + 0.8·ln(1612/α))/t). It holds for any F, ties included.
///
/// `t_effective` and `t0` count independent rows (rows/τ). `None` before `t0`, for `t0` below 1,
/// or for `alpha` outside (0, 0.25]: from 0.49 on these constants no longer satisfy the theorem.
pub fn radius(t_effective: f64, t0: f64, alpha: f64) -> Option<f64> {
    if !(t0 >= 1.0 && t_effective >= t0 && alpha > 0.0 && alpha <= MAX_ALPHA) {
        return None;
    }
    let constant = LOG_WEIGHT * (LOG_NUMERATOR / alpha).ln();
    let epochs = (t_effective / t0).ln().ln_1p();
    Some(SCALE * ((epochs + constant) / t_effective).sqrt())
}

/// Half-width of the bands around the references of `tests` columns that all contain the true
/// distributions with probability 1 - `delta`: √(ln(2m/δ)/(2n)).
///
/// Massart, P. (1990), "The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality".
/// `n_reference` counts independent rows; 0 gives an infinite margin.
pub fn reference_margin(n_reference: f64, tests: u64, delta: f64) -> f64 {
    ((2.0 * tests as f64 / delta).ln() / (2.0 * n_reference)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::random::SplitMix64;

    #[track_caller]
    fn assert_close(actual: f64, expected: f64) {
        assert!(
            (actual / expected - 1.0).abs() < 1e-9,
            "{actual} {expected}"
        );
    }

    #[test]
    fn radius_by_hand() {
        // 0.85*math.sqrt((math.log(1+math.log(t/t0)) + 0.8*math.log(1612/alpha))/t)
        assert_close(radius(1_000.0, 100.0, 0.05).unwrap(), 0.082_845_467_397_1);
        assert_close(
            radius(1e6, 1_000.0, 0.05 / 30.0).unwrap(),
            0.003_075_728_543_7,
        );
        assert_eq!(radius(99.0, 100.0, 0.05), None);
        assert_eq!(radius(99.0, 0.5, 0.05), None);
        assert_eq!(radius(99.0, 10.0, 0.5), None);
        assert_eq!(radius(f64::NAN, 10.0, 0.1), None);
    }

    /// The error probability that theorem 2 proves for given A, C and η.
    fn proven_error(constant: f64, eta: f64) -> f64 {
        let root = SCALE - (2.0 * (eta - 1.0) / constant).sqrt();
        let gamma_squared = 2.0 / eta * root * root;
        if root <= 0.0 || gamma_squared <= 1.0 {
            return f64::INFINITY;
        }
        4.0 * (-gamma_squared * constant).exp() * (1.0 + 1.0 / ((gamma_squared - 1.0) * eta.ln()))
    }

    #[test]
    fn constants_satisfy_the_theorem() {
        // inf over η in (1, 2A²) of 4·exp(-γ²C)·(1 + 1/((γ²-1)·ln η)) must not exceed α.
        for alpha in [MAX_ALPHA, 0.1, 0.05, 1e-3, 1e-4, 7.7e-7, 1e-9, 1e-12, 1e-20] {
            let constant = LOG_WEIGHT * (LOG_NUMERATOR / alpha).ln();
            let steps = 20_000;
            let best = (1..steps)
                .map(|i| 1.0 + (2.0 * SCALE * SCALE - 1.0) * f64::from(i) / f64::from(steps))
                .map(|eta| proven_error(constant, eta))
                .fold(f64::INFINITY, f64::min);
            assert!(best <= alpha, "{alpha:e}: {best:e}");
        }
    }

    #[test]
    fn band_is_rarely_left() {
        // 400 paths of 5 000 uniform rows on a grid of 100 values: at α = 0.2 at most 80 expected.
        let mut random = SplitMix64::new(2);
        let (t0, alpha, cells) = (50, 0.2, 100_usize);
        let mut left = 0;
        for _ in 0..400 {
            let mut counts = vec![0_u32; cells];
            let mut outside = false;
            for t in 1..=5_000 {
                counts[(random.next_u64() % cells as u64) as usize] += 1;
                if t < t0 || t % 10 != 0 {
                    continue;
                }
                let mut below = 0;
                let gap = counts
                    .iter()
                    .enumerate()
                    .fold(0.0_f64, |gap, (cell, &count)| {
                        below += count;
                        let truth = (cell + 1) as f64 / cells as f64;
                        gap.max((f64::from(below) / f64::from(t) - truth).abs())
                    });
                outside |= gap > radius(f64::from(t), f64::from(t0), alpha).unwrap();
            }
            left += u32::from(outside);
        }
        assert!(left <= 80, "{left}");
    }
}
