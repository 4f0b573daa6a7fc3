//! Exact distribution function for small nx.

/// Powers of two moved between the mantissas and the exponent.
const SHIFT: i32 = 256;

/// P(D_n ≤ x) by Durbin's (1968) matrix, as in Marsaglia, Tsang and Wang (2003): with
/// nx = k - h, it is n!/nⁿ times the middle entry of Hⁿ, H of order 2k - 1.
pub(super) fn cdf(x: f64, n: u64) -> f64 {
    let t = n as f64 * x;
    let k = t.ceil();
    let order = 2 * k as usize - 1;
    let middle = k as usize - 1;

    let mut square = Matrix::durbin(order, k - t);
    let mut power: Option<Matrix> = None;
    let mut bits = n;
    while bits > 0 {
        if bits & 1 == 1 {
            power = Some(match power {
                Some(power) => power.times(&square),
                None => square.clone(),
            });
        }
        bits >>= 1;
        if bits > 0 {
            square = square.times(&square);
        }
    }
    let Some(Matrix {
        entries, exponent, ..
    }) = power
    else {
        return 0.0;
    };

    let mut p = entries[middle * order + middle];
    let mut exponent = exponent;
    for i in 1..=n {
        p *= i as f64 / n as f64;
        if p < 2.0_f64.powi(-SHIFT) {
            p *= 2.0_f64.powi(SHIFT);
            exponent -= i64::from(SHIFT);
        }
    }
    // Far from 0 the exponent is 0 or so; past ±2 000 the product is 0 (it cannot exceed 1).
    let exponent = exponent.clamp(-4_000, 4_000) as i32;
    p * 2.0_f64.powi(exponent / 2) * 2.0_f64.powi(exponent - exponent / 2)
}

/// A square matrix times 2^exponent, so that its powers cannot overflow.
#[derive(Clone)]
struct Matrix {
    order: usize,
    /// Row by row.
    entries: Vec<f64>,
    exponent: i64,
}

// === impl Matrix ===

impl Matrix {
    /// Durbin's H: 1/(i-j+1)! on and below the superdiagonal, with corrections for the fraction
    /// `h` in the first column and the last row.
    fn durbin(order: usize, h: f64) -> Self {
        let mut inverse_factorials = vec![1.0; order + 1];
        for i in 1..=order {
            inverse_factorials[i] = inverse_factorials[i - 1] / i as f64;
        }
        let mut entries = vec![0.0; order * order];
        for row in 0..order {
            for column in 0..=(row + 1).min(order - 1) {
                entries[row * order + column] = inverse_factorials[row + 1 - column];
            }
        }
        let mut h_power = 1.0;
        for i in 0..order {
            h_power *= h;
            let edge = (1.0 - h_power) * inverse_factorials[i + 1];
            entries[i * order] = edge;
            entries[(order - 1) * order + order - 1 - i] = edge;
        }
        let overlap = (2.0 * h - 1.0).max(0.0).powi(order as i32);
        entries[(order - 1) * order] = (1.0 - 2.0 * h_power + overlap) * inverse_factorials[order];
        Self {
            order,
            entries,
            exponent: 0,
        }
    }

    fn times(&self, other: &Self) -> Self {
        let order = self.order;
        let mut entries = vec![0.0; order * order];
        for (row, out) in self
            .entries
            .chunks_exact(order)
            .zip(entries.chunks_exact_mut(order))
        {
            for (&factor, from) in row.iter().zip(other.entries.chunks_exact(order)) {
                for (cell, value) in out.iter_mut().zip(from) {
                    *cell += factor * value;
                }
            }
        }
        let mut exponent = self.exponent + other.exponent;
        if entries.iter().fold(0.0_f64, |max, entry| max.max(*entry)) > 2.0_f64.powi(SHIFT) {
            entries
                .iter_mut()
                .for_each(|entry| *entry *= 2.0_f64.powi(-SHIFT));
            exponent += i64::from(SHIFT);
        }
        Self {
            order,
            entries,
            exponent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_marsaglia_tsang_and_wang() {
        // Their paper, section 1: K(10, 0.274) = 0.6284796154565043
        assert!((cdf(0.274, 10) - 0.628_479_615_456_504_3).abs() < 1e-14);
    }
}
