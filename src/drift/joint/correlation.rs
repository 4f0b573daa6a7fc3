//! Which two columns changed their relation most: the reading of a joint test.

/// Rows of either sample looked at most.
const MAX_ROWS: usize = 2_000;

/// Rows kept side by side per column in the inner loop of the products.
const LANES: usize = 8;

/// Two columns and their correlation before and after.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairChange {
    /// Index of the first column.
    pub first: usize,
    /// Index of the second column, larger than the first.
    pub second: usize,
    /// Correlation of the scores in the reference, in [-1, 1].
    pub reference: f64,
    /// Correlation of the scores in the current rows, in [-1, 1].
    pub current: f64,
    /// The change's distance from none in standard errors: Fisher's
    /// (artanh r' - artanh r)/√(1/(n-3) + 1/(n'-3)). Out of m pairs that did not change, the
    /// largest is about √(2 ln m): 3.5 for 30 columns, 4.6 for 300.
    pub standard_errors: f64,
}

/// The pair of columns whose correlation of rank-normal scores (van der Waerden's rank
/// correlation) differs most between two samples of rows.
///
/// `reference` and `current` hold whole rows of `columns` finite scores, one after the other; of
/// each sample 2 000 evenly spaced rows are used. Pairs with a column that is constant in
/// either sample have no correlation and are passed over. `None` when no pair remains, or with
/// four rows or fewer. Of equal changes the first is named.
pub fn most_changed_pair(reference: &[f32], current: &[f32], columns: usize) -> Option<PairChange> {
    let before = Standardised::new(reference, columns)?;
    let after = Standardised::new(current, columns)?;
    let mut largest: Option<PairChange> = None;
    let mut change = 0.0;
    for second in 1..columns {
        for first in 0..second {
            let (Some(r), Some(s)) = (
                before.correlation(first, second),
                after.correlation(first, second),
            ) else {
                continue;
            };
            if (r - s).abs() > change || largest.is_none() {
                change = (r - s).abs();
                let error = 1.0 / (before.rows as f64 - 3.0) + 1.0 / (after.rows as f64 - 3.0);
                let fisher = |r: f64| r.clamp(-0.999_999, 0.999_999).atanh();
                largest = Some(PairChange {
                    first,
                    second,
                    reference: r,
                    current: s,
                    standard_errors: (fisher(s) - fisher(r)) / error.sqrt(),
                });
            }
        }
    }
    largest
}

/// Columns with mean 0 and length 1.
struct Standardised {
    rows: usize,
    /// Entries per column: the rows, filled up with zeros to whole lanes.
    stride: usize,
    /// Column after column.
    values: Vec<f32>,
    /// Columns that vary.
    varies: Vec<bool>,
}

// === impl Standardised ===

impl Standardised {
    fn new(scores: &[f32], columns: usize) -> Option<Self> {
        let available = scores.len().checked_div(columns)?;
        let rows = available.min(MAX_ROWS);
        if rows <= 4 {
            return None;
        }
        let stride = rows.next_multiple_of(LANES);
        let mut values = vec![0.0; stride * columns];
        let mut varies = Vec::with_capacity(columns);
        for (column, to) in values.chunks_exact_mut(stride).enumerate() {
            let value = |row: usize| {
                let source = (row as u128 * available as u128 / rows as u128) as usize;
                f64::from(scores[source * columns + column])
            };
            let mean = (0..rows).map(value).sum::<f64>() / rows as f64;
            let length = (0..rows)
                .map(|row| (value(row) - mean).powi(2))
                .sum::<f64>()
                .sqrt();
            let constant = length <= 1e-6 * (rows as f64).sqrt();
            varies.push(!constant);
            if !constant {
                for (row, to) in to[..rows].iter_mut().enumerate() {
                    *to = ((value(row) - mean) / length) as f32;
                }
            }
        }
        Some(Self {
            rows,
            stride,
            values,
            varies,
        })
    }

    fn correlation(&self, first: usize, second: usize) -> Option<f64> {
        if !(self.varies[first] && self.varies[second]) {
            return None;
        }
        let column = |index: usize| {
            self.values[index * self.stride..][..self.stride]
                .as_chunks::<LANES>()
                .0
        };
        let mut sums = [0.0_f32; LANES];
        for (a, b) in column(first).iter().zip(column(second)) {
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum += a * b;
            }
        }
        let product: f64 = sums.iter().map(|&sum| f64::from(sum)).sum();
        Some(product.clamp(-1.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::random::SplitMix64;

    fn rows(
        random: &mut SplitMix64,
        n: usize,
        columns: usize,
        pair: [usize; 2],
        rho: f64,
    ) -> Vec<f32> {
        let mut rows = Vec::new();
        for _ in 0..n {
            let mut row: Vec<f64> = (0..columns).map(|_| random.normal()).collect();
            row[pair[1]] = rho * row[pair[0]] + (1.0 - rho * rho).sqrt() * row[pair[1]];
            rows.extend(row.iter().map(|&x| x as f32));
        }
        rows
    }

    #[test]
    fn names_the_pair_that_changed() {
        let mut random = SplitMix64::new(8);
        let before = rows(&mut random, 5_000, 20, [4, 11], 0.5);
        let after = rows(&mut random, 600, 20, [4, 11], 0.9);
        let found = most_changed_pair(&before, &after, 20).unwrap();
        assert_eq!((found.first, found.second), (4, 11));
        assert!((found.reference - 0.5).abs() < 0.07 && (found.current - 0.9).abs() < 0.03);
        assert!(found.standard_errors > 10.0, "{found:?}");
    }

    #[test]
    fn correlation_by_hand() {
        // np.corrcoef([1,2,3,4,6], [2,1,4,3,5])[0,1], np.corrcoef([1,2,3,4,6], [5,3,4,1,2])[0,1]
        let zip =
            |a: [f32; 5], b: [f32; 5]| a.into_iter().zip(b).flat_map(|(x, y)| [x, y]).collect();
        let x = [1.0, 2.0, 3.0, 4.0, 6.0];
        let before: Vec<f32> = zip(x, [2.0, 1.0, 4.0, 3.0, 5.0]);
        let after: Vec<f32> = zip(x, [5.0, 3.0, 4.0, 1.0, 2.0]);
        let found = most_changed_pair(&before, &after, 2).unwrap();
        assert!((found.reference - 0.821994937).abs() < 1e-6, "{found:?}");
        assert!((found.current + 0.739795443).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn constant_columns_and_few_rows_have_no_pair() {
        let constant = [0.0, 1.0, 0.0, 2.0, 0.0, 3.0, 0.0, 4.0, 0.0, 5.0];
        assert_eq!(most_changed_pair(&constant, &constant, 2), None);
        assert_eq!(most_changed_pair(&[1.0; 8], &[1.0; 8], 2), None);
        assert_eq!(most_changed_pair(&[], &[], 0), None);
    }
}
