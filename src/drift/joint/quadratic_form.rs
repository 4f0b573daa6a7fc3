//! Upper tail of Σ λ_i χ²₁, the null law of the joint statistic, to full relative accuracy.
//!
//! P(Q > x) = (1/2πi) ∫ exp(K(s) - sx)/s ds upwards along any path right of 0 and left of the branch
//! point 1/(2λ₁), K(s) = -½ Σ ln(1 - 2λ_i s) (Imhof 1961 has it along the imaginary axis). Led
//! through the saddle point of the whole integrand (as Rice, S. O. (1980), "Distribution of
//! quadratic forms in normal random variables", does), the integrand neither oscillates nor
//! cancels: the trapezoidal rule then gives about twelve digits of the *probability*, however
//! small. Saddle-point formulas (Kuonen 1999, Lugannani and Rice 1980) take only the first term.

use std::f64::consts::PI;

use super::super::root;

/// Weights below this share of the largest add nothing a double can show to a tail.
const NEGLIGIBLE: f64 = 1e-12;

/// Step of the trapezoidal rule in v, y = width·sinh v. The nearest singularity is about 0.7
/// away, so that the error is about exp(-2π·0.7/step).
const STEP: f64 = 0.1;

/// sinh 40 widths: far beyond any point that counts.
const MAX_STEPS: usize = 400;

/// ln P(Σ weights_i·χ²₁ > x), at most 0. `None` when no weight is positive.
pub(super) fn log_sf(x: f64, weights: &[f64]) -> Option<f64> {
    let largest = weights.iter().copied().fold(0.0, f64::max);
    if largest <= 0.0 || x.is_nan() {
        return None;
    }
    if x <= 0.0 {
        return Some(0.0);
    }
    let form = Form {
        weights: weights
            .iter()
            .map(|weight| weight / largest)
            .filter(|&weight| weight > NEGLIGIBLE)
            .collect(),
        x: x / largest,
    };
    Some(form.log_sf().min(0.0))
}

/// A form scaled to a largest weight of 1, so that the branch point is at s = ½.
struct Form {
    weights: Vec<f64>,
    x: f64,
}

/// Value of an analytic function.
#[derive(Clone, Copy)]
struct Complex {
    re: f64,
    im: f64,
}

// === impl Form ===

impl Form {
    fn log_sf(&self) -> f64 {
        let saddle = self.saddle();
        let [second, third] = self.curvature(saddle);
        let width = 1.0 / second.sqrt();
        // The path s = saddle + iy + bend·y² follows steepest descent to second order and closes
        // around the cut on the right, where exp(-sx) vanishes. Any bend > 0 is valid; one that
        // is small against the number of weights lets those weights end the integrand first.
        let total: f64 = self.weights.iter().sum();
        let least = 0.05 / (width * (1.0 + total));
        let bend = (third / (6.0 * second)).clamp(least, 1.0 / width);
        let peak = self.exponent(Complex {
            re: saddle,
            im: 0.0,
        });
        let mut sum = 0.5 * width;
        for step in 1..MAX_STEPS {
            let v = STEP * step as f64;
            let y = width * v.sinh();
            let point = Complex {
                re: saddle + bend * y * y,
                im: y,
            };
            let exponent = self.exponent(point);
            let size = (exponent.re - peak.re).exp() * width * v.cosh();
            // ds/(i dy) = 1 - 2i·bend·y; the lower half of the path is the conjugate.
            let slope = 2.0 * bend * y;
            sum += size * (exponent.im.cos() + slope * exponent.im.sin());
            if size * (1.0 + slope) < 1e-18 * sum.abs() {
                break;
            }
        }
        peak.re + (sum * STEP / PI).ln()
    }

    /// Where K'(s) - x - 1/s = 0 in (0, ½): the exponent is convex and infinite at both ends.
    fn saddle(&self) -> f64 {
        let slope = |s: f64| {
            let cumulant: f64 = self.weights.iter().map(|l| l / (1.0 - 2.0 * l * s)).sum();
            self.x + 1.0 / s - cumulant
        };
        let count = self.weights.len() as f64;
        // K' ≤ r/(1-2s) makes the slope positive at `low`, K' ≥ 1/(1-2s) negative at `high`.
        let low = 0.25 / (count + 2.0);
        let high = 0.5 - 0.125 / (self.x + 10.0);
        root::of_decreasing(slope, low, high)
    }

    /// Second and third derivative of K(s) - sx - ln s.
    fn curvature(&self, s: f64) -> [f64; 2] {
        let mut second = 1.0 / (s * s);
        let mut third = -2.0 / (s * s * s);
        for weight in &self.weights {
            let ratio = weight / (1.0 - 2.0 * weight * s);
            second += 2.0 * ratio * ratio;
            third += 8.0 * ratio * ratio * ratio;
        }
        [second, third]
    }

    /// K(s) - sx - ln s, continuous off the cuts.
    fn exponent(&self, s: Complex) -> Complex {
        let modulus = |re: f64, im: f64| 0.5 * (re * re + im * im).ln();
        let mut value = Complex {
            re: -s.re * self.x - modulus(s.re, s.im),
            im: -s.im * self.x - s.im.atan2(s.re),
        };
        for weight in &self.weights {
            let re = 1.0 - 2.0 * weight * s.re;
            let im = -2.0 * weight * s.im;
            value.re -= 0.5 * modulus(re, im);
            value.im -= 0.5 * im.atan2(re);
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::random::SplitMix64;

    #[track_caller]
    fn assert_log(x: f64, weights: &[f64], expected: f64) {
        let actual = log_sf(x, weights).unwrap();
        let error = (actual - expected).abs();
        assert!(
            error < 1e-10 * expected.abs().max(1.0),
            "{x} {weights:?}: {actual} {expected}"
        );
    }

    #[test]
    fn equal_weights_are_scaled_chi_squared() {
        for (x, k, expected) in CHI2 {
            assert_log(x * 0.3, &vec![0.3; k], expected);
        }
    }
    // (x, k, mp.log(mp.gammainc(k/2, x/2, mp.inf, regularized=True))), equal to
    // scipy.stats.chi2.logsf(x, k) where that is finite.
    const CHI2: [(f64, usize, f64); 17] = [
        (0.01, 1, -0.083_007_412_170),
        (1.0, 1, -1.147_874_464_449),
        (10.0, 1, -6.459_612_454_150),
        (30.0, 1, -16.957_318_158_129),
        (1400.0, 1, -703.848_618_125_122),
        (0.5, 2, -0.250_000_000_000),
        (40.0, 2, -20.000_000_000_000),
        (1.0, 3, -0.221_579_828_440),
        (60.0, 3, -28.162_350_388_905),
        (30.0, 100, -0.000_000_000_001),
        (100.0, 100, -0.731_489_575_729),
        (250.0, 100, -32.488_900_593_541),
        (2000.0, 100, -806.035_548_118_424),
        (150.0, 256, -0.000_000_016_665),
        (256.0, 256, -0.716_936_825_302),
        (420.0, 256, -21.559_808_040_015),
        (20000.0, 256, -9_321.827_440_950_574),
    ];

    #[test]
    fn pairs_of_weights_are_hypoexponential() {
        // Each pair is an exponential of mean 2λ: P = Σ_i exp(-x/2λ_i) Π_{j≠i} λ_i/(λ_i - λ_j).
        let means = [1.0, 0.6, 0.35, 0.2, 0.05];
        let weights: Vec<f64> = means.iter().flat_map(|&l| [l, l]).collect();
        for x in [0.5, 2.0, 4.4, 10.0, 30.0, 60.0, 200.0, 2_000.0] {
            let largest = -x / 2.0;
            let sum: f64 = means
                .iter()
                .map(|l| {
                    let others = means.iter().filter(|m| (*m - l).abs() > 1e-9);
                    let product: f64 = others.map(|m| l / (l - m)).product();
                    product * (-x / (2.0 * l) - largest).exp()
                })
                .sum();
            assert_log(x, &weights, largest + sum.ln());
        }
    }

    #[test]
    fn mixed_weights_against_simulation() {
        // Geometric weights, as of a smooth kernel. 400 000 draws; five standard errors allowed.
        let weights: Vec<f64> = (0..30).map(|i| 0.8_f64.powi(i)).collect();
        let mut random = SplitMix64::new(6);
        let levels = [3.0, 5.0, 8.0, 14.0, 20.0];
        let mut above = [0_u32; 5];
        for _ in 0..400_000 {
            let q: f64 = weights.iter().map(|l| l * random.normal().powi(2)).sum();
            for (count, level) in above.iter_mut().zip(levels) {
                *count += u32::from(q > level);
            }
        }
        for (count, level) in above.into_iter().zip(levels) {
            let p = log_sf(level, &weights).unwrap().exp();
            let error = 5.0 * (p * (1.0 - p) / 4e5).sqrt();
            assert!(
                (f64::from(count) / 4e5 - p).abs() < error,
                "{level} {count} {p}"
            );
        }
    }

    #[test]
    fn geometric_weights_in_the_far_tail() {
        // mpmath, 40 digits: the same integral along the vertical line Re s = 0.3,
        // mp.quad(lambda y: (mp.exp(-sum(mp.log(1-2*l*mp.mpc(.3,y)) for l in w)/2
        //   - mp.mpc(.3,y)*x)/mp.mpc(.3,y)).real, [0,.2,.5,1,2,4,…,4000])/mp.pi, w = .8**i, i < 30
        let weights: Vec<f64> = (0..30).map(|i| 0.8_f64.powi(i)).collect();
        assert_log(5.0, &weights, -0.868_752_652_745_713);
        assert_log(14.0, &weights, -5.400_733_386_465_18);
        assert_log(20.0, &weights, -8.613_677_315_095_22);
        assert_log(30.0, &weights, -13.898_557_624_476_8);
        assert_log(45.0, &weights, -21.674_726_080_979_6);
        assert_log(60.0, &weights, -29.353_100_204_253_2);
    }

    #[test]
    fn edges() {
        assert_eq!(log_sf(1.0, &[]), None);
        assert_eq!(log_sf(1.0, &[0.0, -1e-18]), None);
        assert_eq!(log_sf(f64::NAN, &[1.0]), None);
        assert_eq!(log_sf(0.0, &[1.0]), Some(0.0));
    }
}
