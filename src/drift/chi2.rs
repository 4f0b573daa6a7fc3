//! Chi-squared test of homogeneity for categorical features.
//!
//! Homogeneity of two rows, not goodness of fit to reference shares: with the latter, a single
//! category unseen in the reference has expectation 0, and any count of it makes p = 0.

use statrs::function::gamma::{gamma_ur, ln_gamma};

use super::root;

/// Outcome of a chi-squared test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chi2Test {
    /// Pearson's Σ (observed - expected)²/expected over both rows.
    pub statistic: f64,
    /// As scipy reports it; 0 once it underflows.
    pub p: f64,
    /// Base-10 logarithm of the p-value, finite also where `p` is 0.
    pub log10_p: f64,
    /// Degrees of freedom: columns tested less one.
    pub dof: u32,
}

/// `scipy.stats.chi2_contingency([reference, current], correction=False)`.
///
/// Preconditions: the slices are parallel, one entry per category; past the shorter one, entries
/// are ignored. Categories absent from both are dropped (scipy would refuse them). `None` when
/// fewer than two remain or a row is empty.
pub fn homogeneity(reference_counts: &[u64], current_counts: &[u64]) -> Option<Chi2Test> {
    let cells: Vec<Cell> = cells(reference_counts, current_counts).collect();
    test(&cells)
}

/// [`homogeneity`] after pooling the categories too rare for the chi-squared law to hold.
///
/// Categories expected fewer than `min_expected` times in either row become one. Should that one
/// still be too rare it joins the rarest of the others: a lone unseen value must not raise an
/// alarm by itself. 5 is the customary `min_expected` (Cochran 1954).
pub fn pooled(
    reference_counts: &[u64],
    current_counts: &[u64],
    min_expected: f64,
) -> Option<Chi2Test> {
    let total = Cell::sum(cells(reference_counts, current_counts));
    let smaller_share = total.reference.min(total.current) as f64 / total.column().max(1) as f64;
    let rare = |cell: &Cell| (cell.column() as f64) * smaller_share < min_expected;

    let (rare_cells, mut kept): (Vec<Cell>, Vec<Cell>) =
        cells(reference_counts, current_counts).partition(rare);
    let pool = Cell::sum(rare_cells.into_iter());
    if pool.column() > 0 {
        match kept.iter_mut().min_by_key(|cell| cell.column()) {
            Some(rarest) if rare(&pool) => *rarest = rarest.plus(pool),
            _ => kept.push(pool),
        }
    }
    test(&kept)
}

/// Critical value: `scipy.stats.chi2.isf(alpha, dof)`.
pub fn isf(alpha: f64, dof: u32) -> f64 {
    if alpha.is_nan() || dof == 0 {
        return f64::NAN;
    }
    if alpha <= 0.0 {
        return f64::INFINITY;
    }
    if alpha >= 1.0 {
        return 0.0;
    }
    let log_alpha = alpha.ln();
    // Laurent and Massart (2000): P(X ≥ k + 2√(kt) + 2t) ≤ e⁻ᵗ, so the root lies below.
    let k = f64::from(dof);
    let high = k - 2.0 * log_alpha + 2.0 * (-k * log_alpha).sqrt();
    root::of_decreasing(|x| log_sf(x, dof) - log_alpha, 0.0, high * 1.001)
}

/// ln P(X ≥ x): `scipy.stats.chi2.logsf(x, dof)`, but never -∞ for a finite x.
pub fn log_sf(x: f64, dof: u32) -> f64 {
    let a = 0.5 * f64::from(dof);
    let y = 0.5 * x;
    if y <= 0.0 {
        return 0.0;
    }
    if y < a + 1.0 {
        return gamma_ur(a, y).ln();
    }
    a * y.ln() - y - ln_gamma(a) + upper_fraction(a, y).ln()
}

/// Γ(a, y)·eʸ/yᵃ for y ≥ a + 1, by Lentz's method on Legendre's continued fraction (DLMF 8.9.2).
fn upper_fraction(a: f64, y: f64) -> f64 {
    // The even part: 1/(y+1-a - 1(1-a)/(y+3-a - 2(2-a)/(y+5-a - …))).
    let mut b = y + 1.0 - a;
    let mut c = f64::INFINITY;
    let mut d = 1.0 / b;
    let mut fraction = d;
    // About √y·5 steps at worst; the cap only guards against a NaN.
    for i in 1..100_000 {
        let i = f64::from(i);
        let numerator = i * (a - i);
        b += 2.0;
        d = 1.0 / (b + numerator * d);
        c = b + numerator / c;
        let factor = c * d;
        fraction *= factor;
        if (factor - 1.0).abs() <= f64::EPSILON {
            break;
        }
    }
    fraction
}

fn cells<'a>(reference: &'a [u64], current: &'a [u64]) -> impl Iterator<Item = Cell> + 'a {
    reference
        .iter()
        .zip(current)
        .map(|(&reference, &current)| Cell {
            reference: u128::from(reference),
            current: u128::from(current),
        })
        .filter(|cell| cell.column() > 0)
}

fn test(cells: &[Cell]) -> Option<Chi2Test> {
    let total = Cell::sum(cells.iter().copied());
    if cells.len() < 2 || total.reference == 0 || total.current == 0 {
        return None;
    }
    // With two rows the statistic is Σ (a·B - b·A)²/(A·B·(a+b)), the differences exact integers.
    let (row_1, row_2) = (total.reference as f64, total.current as f64);
    let statistic = cells
        .iter()
        .map(|cell| {
            let cross = (cell.reference * total.current).abs_diff(cell.current * total.reference);
            let cross = cross as f64;
            (cross / row_1) * (cross / row_2) / cell.column() as f64
        })
        .sum();
    let dof = u32::try_from(cells.len() - 1).ok()?;
    let log_p = log_sf(statistic, dof);
    Some(Chi2Test {
        statistic,
        p: log_p.exp().min(1.0),
        log10_p: log_p * std::f64::consts::LOG10_E,
        dof,
    })
}

/// Counts of one category.
#[derive(Clone, Copy)]
struct Cell {
    reference: u128,
    current: u128,
}

// === impl Cell ===

impl Cell {
    fn column(&self) -> u128 {
        self.reference + self.current
    }

    fn plus(self, other: Self) -> Self {
        Self {
            reference: self.reference + other.reference,
            current: self.current + other.current,
        }
    }

    fn sum(cells: impl Iterator<Item = Self>) -> Self {
        cells.fold(
            Self {
                reference: 0,
                current: 0,
            },
            Self::plus,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_close(actual: f64, expected: f64) {
        assert!(
            (actual / expected - 1.0).abs() <= 1e-11,
            "{actual:e} against {expected:e}"
        );
    }

    #[test]
    fn degenerate_tables_are_not_tested() {
        assert_eq!(homogeneity(&[5], &[7]), None);
        assert_eq!(homogeneity(&[5, 0], &[7, 0]), None);
        assert_eq!(homogeneity(&[0, 0], &[7, 3]), None);
        assert_eq!(homogeneity(&[], &[]), None);
        assert_eq!(pooled(&[1, 1, 1], &[1, 1, 1], 5.0), None);
    }

    #[test]
    fn a_lone_unseen_value_is_no_alarm() {
        // Unpooled it would be one: p = 1e-22.
        let reference = [50_000, 50_000, 0];
        let current = [500, 499, 1];
        assert!(homogeneity(&reference, &current).unwrap().p < 1e-20);
        let test = pooled(&reference, &current, 5.0).unwrap();
        assert_eq!(test.dof, 1);
        assert!(test.p > 0.5);
    }

    #[test]
    fn closed_forms() {
        // dof 2: P(X ≥ x) = exp(-x/2).
        for x in [0.1, 1.0, 3.9, 4.1, 60.0, 5_000.0] {
            assert_close(log_sf(x, 2), -0.5 * x);
        }
        assert_close(isf(0.05, 2), -2.0 * 0.05_f64.ln());
        // dof 4: exp(-x/2)·(1 + x/2).
        assert_close(log_sf(5_000.0, 4), -2_500.0 + 2_501.0_f64.ln());
    }
}
