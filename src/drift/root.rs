//! Root of a decreasing function inside a bracket, for inverse survival functions.

/// More than any bracket of doubles needs: bisection alone ends within about 1 100 halvings of
/// `[1e-308, 1e308]`, and the Illinois step converges in about ten.
const MAX_STEPS: usize = 1_200;

/// Logarithms of probabilities are not known better than this.
const NOISE: f64 = 1e-15;

/// The `x` in `[low, high]` where the decreasing `f` crosses zero, to the last few bits.
///
/// Regula falsi with the Illinois modification (Dowell and Jarratt 1971), and a bisection every
/// third step so that a jump or a very uneven `f` cannot stall it. When `f` does not change sign,
/// the end nearer to the crossing is returned. The result is from the `f(x) <= 0` side.
pub(super) fn of_decreasing(f: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    let mut f_low = f(low);
    let mut f_high = f(high);
    if f_low <= 0.0 {
        return low;
    }
    if f_high > 0.0 {
        return high;
    }
    // Which end moved last: the Illinois rule halves the weight of an end that stays put twice.
    let mut last_moved_low = None;
    for step in 0..MAX_STEPS {
        if high - low <= f64::EPSILON * high.abs() {
            break;
        }
        let secant = (low * f_high - high * f_low) / (f_high - f_low);
        let middle = low + 0.5 * (high - low);
        let x = if step % 3 != 2 && secant > low && secant < high {
            secant
        } else {
            middle
        };
        if x <= low || x >= high {
            break;
        }
        let value = f(x);
        if value > 0.0 {
            low = x;
            f_low = value;
            if last_moved_low == Some(true) {
                f_high *= 0.5;
            }
            last_moved_low = Some(true);
        } else {
            high = x;
            f_high = value;
            if last_moved_low == Some(false) {
                f_low *= 0.5;
            }
            last_moved_low = Some(false);
        }
        if value <= 0.0 && value > -NOISE {
            return x;
        }
    }
    high
}
