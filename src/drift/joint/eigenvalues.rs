//! Eigenvalues of a symmetric matrix.

/// All eigenvalues of the symmetric `matrix` (row-major, `order`×`order`), largest first.
///
/// Householder's reduction to a tridiagonal matrix, then bisection on Sturm counts (Golub and
/// Van Loan, "Matrix computations", §8.3.1 and §8.4.1). Each is within a few
/// ε·‖matrix‖ of the truth. Bisection is slower than QL iteration but cannot fail to
/// converge, and 256 values take a few hundredths of a second.
pub(super) fn symmetric(mut matrix: Vec<f64>, order: usize) -> Vec<f64> {
    let tridiagonal = Tridiagonal::reduce(&mut matrix, order);
    let bound = tridiagonal.bound();
    let resolution = bound * f64::EPSILON;
    let mut values = Vec::with_capacity(order);
    // Gershgorin: all lie in ±bound. Each value found bounds the next from above.
    let mut ceiling = bound;
    for rank in 0..order {
        let (mut low, mut high) = (-bound, ceiling);
        while high - low > resolution {
            let middle = low + 0.5 * (high - low);
            if middle <= low || middle >= high {
                break;
            }
            if tridiagonal.count_below(middle) > order - 1 - rank {
                high = middle;
            } else {
                low = middle;
            }
        }
        ceiling = high;
        values.push(low + 0.5 * (high - low));
    }
    values
}

struct Tridiagonal {
    diagonal: Vec<f64>,
    /// Squares of the entries beside the diagonal; the first is 0.
    beside_squared: Vec<f64>,
}

// === impl Tridiagonal ===

impl Tridiagonal {
    /// Reflects the rows one after the other from the last, so that each keeps one entry beside
    /// the diagonal. Works on the lower triangle and destroys `a`.
    fn reduce(a: &mut [f64], order: usize) -> Self {
        let mut beside_squared = vec![0.0; order];
        let mut v = vec![0.0; order];
        let mut w = vec![0.0; order];
        for last in (1..order).rev() {
            let row = &a[last * order..last * order + last];
            let norm_squared: f64 = row.iter().map(|x| x * x).sum();
            beside_squared[last] = norm_squared;
            let pivot = row[last - 1];
            v[..last].copy_from_slice(row);
            // The sign that adds up, so that nothing cancels.
            v[last - 1] = pivot + norm_squared.sqrt().copysign(pivot);
            let half_square = norm_squared + norm_squared.sqrt() * pivot.abs();
            if half_square <= f64::MIN_POSITIVE {
                continue;
            }
            // A ← A - v wᵀ - w vᵀ with w = Av/h - v (vᵀAv)/(2h²), h = vᵀv/2.
            multiply_lower(a, order, &v[..last], &mut w[..last]);
            w[..last].iter_mut().for_each(|x| *x /= half_square);
            let vw: f64 = v[..last].iter().zip(&w[..last]).map(|(x, y)| x * y).sum();
            let shift = vw / (2.0 * half_square);
            for i in 0..last {
                w[i] -= shift * v[i];
            }
            for i in 0..last {
                let (vi, wi) = (v[i], w[i]);
                let row = &mut a[i * order..=i * order + i];
                for (entry, (vj, wj)) in row.iter_mut().zip(v.iter().zip(&w)) {
                    *entry -= vi * wj + wi * vj;
                }
            }
        }
        Self {
            diagonal: (0..order).map(|i| a[i * order + i]).collect(),
            beside_squared,
        }
    }

    fn bound(&self) -> f64 {
        let beside = |i: usize| self.beside_squared.get(i).map_or(0.0, |x| x.sqrt());
        let rows = self.diagonal.iter().enumerate();
        rows.map(|(i, x)| x.abs() + beside(i) + beside(i + 1))
            .fold(0.0, f64::max)
    }

    /// How many eigenvalues are below `x`: the negative pivots of T - xI.
    fn count_below(&self, x: f64) -> usize {
        let mut pivot = 1.0;
        let mut count = 0;
        for (diagonal, squared) in self.diagonal.iter().zip(&self.beside_squared) {
            pivot = diagonal - x - squared / pivot;
            if pivot.abs() < f64::MIN_POSITIVE {
                pivot = -f64::MIN_POSITIVE;
            }
            count += usize::from(pivot < 0.0);
        }
        count
    }
}

/// `product` = A·v for the leading block of the symmetric `a`, reading its lower triangle.
fn multiply_lower(a: &[f64], order: usize, v: &[f64], product: &mut [f64]) {
    product.fill(0.0);
    for i in 0..v.len() {
        let row = &a[i * order..i * order + i];
        let mut sum = a[i * order + i] * v[i];
        for (j, entry) in row.iter().enumerate() {
            sum += entry * v[j];
            product[j] += entry * v[i];
        }
        product[i] += sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::random::SplitMix64;

    #[test]
    fn second_difference_matrix() {
        // tridiag(-1, 2, -1) of order n has 2 - 2cos(kπ/(n+1)), k = 1..n.
        let n = 50;
        let mut a = vec![0.0; n * n];
        for i in 0..n {
            a[i * n + i] = 2.0;
            if i > 0 {
                a[i * n + i - 1] = -1.0;
                a[(i - 1) * n + i] = -1.0;
            }
        }
        for (k, value) in (1..=n).rev().zip(symmetric(a, n)) {
            let angle = k as f64 * std::f64::consts::PI / (n as f64 + 1.0);
            assert!((value - (2.0 - 2.0 * angle.cos())).abs() < 1e-13, "{k}");
        }
    }

    #[test]
    fn power_sums_of_a_dense_matrix() {
        // Σλ, Σλ² and Σλ³ are the traces of A, A² and A³.
        let n = 40;
        let mut random = SplitMix64::new(4);
        let mut a = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                a[i * n + j] = random.normal();
                a[j * n + i] = a[i * n + j];
            }
        }
        let mut traces = [0.0; 3];
        for i in 0..n {
            traces[0] += a[i * n + i];
            for j in 0..n {
                traces[1] += a[i * n + j] * a[j * n + i];
                for k in 0..n {
                    traces[2] += a[i * n + j] * a[j * n + k] * a[k * n + i];
                }
            }
        }
        let values = symmetric(a, n);
        assert!(values.is_sorted_by(|x, y| x >= y));
        for (power, trace) in (1..).zip(traces) {
            let sum: f64 = values.iter().map(|x| x.powi(power)).sum();
            assert!(
                (sum - trace).abs() < 1e-8 * traces[1],
                "{power}: {sum} {trace}"
            );
        }
    }

    #[test]
    fn rank_one_and_zero() {
        // vvᵀ has |v|² once, else 0.
        let v = [1.0, 2.0, 3.0];
        let a = v.iter().flat_map(|x| v.map(|y| x * y)).collect();
        let values = symmetric(a, 3);
        assert!(
            (values[0] - 14.0).abs() < 1e-13 && values[1].abs() < 1e-13,
            "{values:?}"
        );
        assert!(symmetric(vec![0.0; 9], 3).iter().all(|x| x.abs() < 1e-300));
    }
}
