//! One test for all columns of a model together: has their joint distribution changed?
//!
//! A change of correlation leaves every single column as it was. The maximum mean discrepancy
//! (Gretton et al. 2012, JMLR 13) sees it: the distance of the mean features of two samples. On
//! random Fourier features a mean is 256 running sums, whatever the number of rows.
//!
//! Rows hold rank-normal scores: z = Φ⁻¹(u), u = (r_lt + r_le + 1)/(2n + 2) with the reference
//! rows below, and at or below, the value; 0 where it is missing.

use serde::{Deserialize, Serialize};

mod correlation;
mod eigenvalues;
mod features;
mod quadratic_form;

pub use correlation::{PairChange, most_changed_pair};
pub use features::{DIRECTIONS, FEATURES, FeatureSums, Features};

/// Reference rows used at most; more would not make the test sharper for windows of a few
/// thousand rows, and the covariance costs 65 000 operations a row.
pub const MAX_REFERENCE_ROWS: usize = 10_000;

/// What has to be kept of a reference: about 5 kB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawReference")]
pub struct JointReference {
    /// Scores in a row.
    columns: usize,
    /// Seed of the features.
    seed: u64,
    /// Reference rows used.
    rows: usize,
    /// Mean of φ.
    mean: Vec<f64>,
    /// Eigenvalues of the covariance of φ, largest first, those that are 0 left out.
    eigenvalues: Vec<f64>,
}

/// Outcome of [`JointReference::test`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JointTest {
    /// T = (W·n/(W+n))·‖mean φ of the window - mean φ of the reference‖².
    pub statistic: f64,
    /// P(Σ λ_i χ²₁ ≥ T); 0 once it underflows.
    pub p: f64,
    /// Its base-10 logarithm, finite also where `p` is 0.
    pub log10_p: f64,
}

/// [`JointReference`] as it is stored, not yet checked.
#[derive(Deserialize)]
struct RawReference {
    columns: usize,
    seed: u64,
    rows: usize,
    mean: Vec<f64>,
    eigenvalues: Vec<f64>,
}

// === impl JointReference ===

impl JointReference {
    /// Summarises reference rows: a uniform sample, since those past [`MAX_REFERENCE_ROWS`] are
    /// not looked at. `None` below two rows or when no column varies; rows of a width other than
    /// `features.columns()` are skipped.
    pub fn new<'a>(features: &Features, rows: impl IntoIterator<Item = &'a [f32]>) -> Option<Self> {
        let mut scores = Vec::new();
        let fitting = rows
            .into_iter()
            .filter(|row| row.len() == features.columns());
        fitting
            .take(MAX_REFERENCE_ROWS)
            .for_each(|row| scores.extend_from_slice(row));
        if features.columns() == 0 {
            return None;
        }
        let rows = scores.len() / features.columns();
        if rows < 2 {
            return None;
        }
        let mut sums = FeatureSums::new();
        features.add(&scores, &mut sums);
        let mean = sums.mean();
        let covariance = covariance(&features.each(&scores), &mean);
        let mut eigenvalues = eigenvalues::symmetric(covariance, FEATURES);
        let smallest = eigenvalues[0] * 1e-12;
        // Single precision leaves about 1e-13 where the variance is 0.
        eigenvalues.retain(|&value| value > smallest && value > 1e-12);
        (!eigenvalues.is_empty()).then_some(Self {
            columns: features.columns(),
            seed: features.seed(),
            rows,
            mean,
            eigenvalues,
        })
    }

    /// The features that current rows have to go through.
    pub fn features(&self) -> Features {
        Features::new(self.columns, self.seed)
    }

    /// Scores in a row.
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Reference rows used.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether current rows come from the distribution of the reference.
    ///
    /// `mean_current` is that of [`FeatureSums::mean`], over rows worth `n_effective` independent
    /// ones; `n_reference` is [`Self::rows`], or fewer if those depend on each other. By the
    /// central limit theorem T tends to Σ λ_i χ²₁ with λ the eigenvalues of the covariance of φ.
    ///
    /// The rate holds on average over references. With few reference rows a single reference can
    /// be unlucky, and then is so at every check: at nominal 0.01, W = 200 and 30 columns the worst
    /// of 200 simulated references of 150 rows rejected in 74% of windows, of 500 rows in 13%;
    /// of 40 references of 2 000 rows in 4%. Ten reference rows for each window row are the least
    /// to rely on.
    ///
    /// It sees changes that many columns share: all correlations of ten columns from .5 to .8 at
    /// W = 500 with p about 1e-7. One pair among many it does not: of two columns .5 to .8
    /// needs W = 2 000 (p about 1e-9), of ten it is missed; [`most_changed_pair`] looks for that.
    ///
    /// `None` for a mean of the wrong length or not finite, or sizes not positive.
    pub fn test(
        &self,
        mean_current: &[f64],
        n_effective: f64,
        n_reference: f64,
    ) -> Option<JointTest> {
        if mean_current.len() != FEATURES || !(n_effective > 0.0 && n_reference > 0.0) {
            return None;
        }
        let pairs = mean_current.iter().zip(&self.mean);
        let distance: f64 = pairs.map(|(a, b)| (a - b) * (a - b)).sum();
        let statistic = distance / (1.0 / n_effective + 1.0 / n_reference);
        let log_p = quadratic_form::log_sf(statistic, &self.eigenvalues)?;
        Some(JointTest {
            statistic,
            p: log_p.exp(),
            log10_p: log_p * std::f64::consts::LOG10_E,
        })
    }
}

impl TryFrom<RawReference> for JointReference {
    type Error = String;

    fn try_from(raw: RawReference) -> Result<Self, String> {
        let RawReference {
            columns,
            seed,
            rows,
            mean,
            eigenvalues,
        } = raw;
        if mean.len() != FEATURES || !mean.iter().all(|x| x.abs() <= 1.0) {
            return Err(format!(
                "joint reference: mean holds {} numbers; {FEATURES} within -1 and 1 are needed",
                mean.len()
            ));
        }
        let descending = eigenvalues.is_sorted_by(|a, b| a >= b);
        let within = eigenvalues.iter().all(|&x| x > 0.0 && x <= 1.0);
        if eigenvalues.is_empty() || eigenvalues.len() > FEATURES || !descending || !within {
            return Err(format!(
                "joint reference: eigenvalues must be 1 to {FEATURES} descending numbers \
                 above 0 and at most 1"
            ));
        }
        if columns == 0 || rows < 2 {
            return Err(format!(
                "joint reference: columns is {columns} and rows is {rows}; at least 1 and 2 are \
                 needed"
            ));
        }
        Ok(Self {
            columns,
            seed,
            rows,
            mean,
            eigenvalues,
        })
    }
}

/// Unbiased covariance of φ from rows of √M·φ around the mean of φ, as a full square.
fn covariance(features: &[f32], mean: &[f64]) -> Vec<f64> {
    /// Rows taken together, so that the square is read and written less often.
    const TOGETHER: usize = 4;
    let scale = 1.0 / (DIRECTIONS as f64).sqrt();
    let mut square = vec![0.0; FEATURES * FEATURES];
    let mut centred = vec![0.0; TOGETHER * FEATURES];
    for rows in features.chunks(TOGETHER * FEATURES) {
        centred.fill(0.0);
        for (row, to) in rows
            .chunks_exact(FEATURES)
            .zip(centred.chunks_exact_mut(FEATURES))
        {
            for ((to, feature), mean) in to.iter_mut().zip(row).zip(mean) {
                *to = f64::from(*feature) * scale - mean;
            }
        }
        let (a, rest) = centred.split_at(FEATURES);
        let (b, rest) = rest.split_at(FEATURES);
        let (c, d) = rest.split_at(FEATURES);
        for i in 0..FEATURES {
            let (ai, bi, ci, di) = (a[i], b[i], c[i], d[i]);
            let entries = square[i * FEATURES..=i * FEATURES + i].iter_mut();
            let columns = a.iter().zip(b).zip(c.iter().zip(d));
            for (entry, ((aj, bj), (cj, dj))) in entries.zip(columns) {
                *entry += ai * aj + bi * bj + ci * cj + di * dj;
            }
        }
    }
    let divisor = (features.len() / FEATURES) as f64 - 1.0;
    for i in 0..FEATURES {
        for j in 0..=i {
            let value = square[i * FEATURES + j] / divisor;
            square[i * FEATURES + j] = value;
            square[j * FEATURES + i] = value;
        }
    }
    square
}

#[cfg(test)]
mod tests;
