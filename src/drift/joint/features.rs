//! Random Fourier features of rows of scores.
//!
//! Rahimi, A. and Recht, B. (2007), "Random features for large-scale kernel machines": with
//! ω ~ N(0, I/d), φ(z) = [cos ωᵀz, sin ωᵀz]/√M has φ(z)·φ(z') ≈ exp(-‖z - z'‖²/(2d)).

use std::f64::consts::TAU;

use crate::drift::random::SplitMix64;

/// Random directions M; each gives a cosine and a sine.
pub const DIRECTIONS: usize = 128;

/// Features of a row.
pub const FEATURES: usize = 2 * DIRECTIONS;

/// Rows and directions projected at once: their 32 sums fill the registers of a baseline CPU.
const TILE_ROWS: usize = 4;
const TILE_DIRECTIONS: usize = 8;

/// Rows summed in single precision before they go to the double sums: an error below 1e-6.
const BATCH_ROWS: usize = 32;

/// A fixed draw of directions for rows of a given width.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    columns: usize,
    seed: u64,
    /// ω/2π, so that phases are in turns: for each tile of eight directions, column by column,
    /// the eight weights.
    weights: Vec<[f32; TILE_DIRECTIONS]>,
}

/// Running sums of features; adding those of two sets of rows gives those of their union.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureSums {
    /// Σ √M·φ(z), cosines first.
    sums: Vec<f64>,
    rows: u64,
}

// === impl Features ===

impl Features {
    /// Draws the directions for rows of `columns` scores. The same arguments give the same
    /// features for ever, which is what makes a stored summary comparable.
    pub fn new(columns: usize, seed: u64) -> Self {
        let mut random = SplitMix64::new(seed);
        let scale = 1.0 / ((columns.max(1) as f64).sqrt() * TAU);
        let tiles = DIRECTIONS / TILE_DIRECTIONS;
        let weights = (0..tiles * columns)
            .map(|_| std::array::from_fn(|_| (scale * random.normal()) as f32))
            .collect();
        Self {
            columns,
            seed,
            weights,
        }
    }

    /// Scores in a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Seed of the draw.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Adds rows of scores to `sums`. `rows` holds whole rows one after the other; a partial row
    /// at the end is ignored. Scores are finite (a missing one is 0) and moderate (|z| < 40).
    ///
    /// The projection is in single precision: phases are off by about 1e-6·√(‖z‖²/d) turns, the
    /// sines and cosines by another 7e-7. Both samples go through the same arithmetic, so this
    /// is part of the feature map and no error of the test. A row gives the same features
    /// wherever it stands.
    pub fn add(&self, rows: &[f32], sums: &mut FeatureSums) {
        if self.columns == 0 {
            return;
        }
        for batch in rows.chunks(BATCH_ROWS * self.columns) {
            let mut cosines = [0.0_f32; DIRECTIONS];
            let mut sines = [0.0_f32; DIRECTIONS];
            let whole = batch.len() / self.columns * self.columns;
            self.for_each_row(&batch[..whole], |turns| {
                for ((turn, cosine), sine) in turns.iter().zip(&mut cosines).zip(&mut sines) {
                    let point = circle(*turn);
                    *cosine += point.cosine;
                    *sine += point.sine;
                }
            });
            let both = cosines.iter().chain(&sines);
            for (sum, value) in sums.sums.iter_mut().zip(both) {
                *sum += f64::from(*value);
            }
            sums.rows += (whole / self.columns) as u64;
        }
    }

    /// √M·φ of each row, one after the other: [`FEATURES`] numbers a row.
    pub(super) fn each(&self, rows: &[f32]) -> Vec<f32> {
        let mut features = Vec::with_capacity(rows.len() / self.columns.max(1) * FEATURES);
        self.for_each_row(rows, |turns| {
            features.extend(turns.iter().map(|turn| circle(*turn).cosine));
            features.extend(turns.iter().map(|turn| circle(*turn).sine));
        });
        features
    }

    /// Hands the phases of each row to `take`.
    fn for_each_row(&self, rows: &[f32], mut take: impl FnMut(&[f32; DIRECTIONS])) {
        let mut turns = [[0.0_f32; DIRECTIONS]; TILE_ROWS];
        let mut tiles = rows.chunks_exact(TILE_ROWS * self.columns);
        for tile in &mut tiles {
            self.project::<TILE_ROWS>(tile, &mut turns);
            turns.iter().for_each(&mut take);
        }
        for row in tiles.remainder().chunks_exact(self.columns) {
            self.project::<1>(row, &mut turns);
            take(&turns[0]);
        }
    }

    /// Phases, in turns, of `R` rows. Each sum runs over the columns in order whatever `R` is.
    fn project<const R: usize>(&self, rows: &[f32], turns: &mut [[f32; DIRECTIONS]; TILE_ROWS]) {
        let rows: [&[f32]; R] = std::array::from_fn(|r| &rows[r * self.columns..][..self.columns]);
        for (tile, weights) in self.weights.chunks_exact(self.columns).enumerate() {
            let mut sums = [[0.0_f32; TILE_DIRECTIONS]; R];
            for (column, weights) in weights.iter().enumerate() {
                for (sum, row) in sums.iter_mut().zip(&rows) {
                    let score = row[column];
                    for (sum, weight) in sum.iter_mut().zip(weights) {
                        *sum += score * weight;
                    }
                }
            }
            for (turns, sum) in turns.iter_mut().zip(&sums) {
                turns[tile * TILE_DIRECTIONS..][..TILE_DIRECTIONS].copy_from_slice(sum);
            }
        }
    }
}

// === impl FeatureSums ===

impl FeatureSums {
    /// No rows.
    pub fn new() -> Self {
        Self {
            sums: vec![0.0; FEATURES],
            rows: 0,
        }
    }

    /// Rows added.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds the rows of another.
    pub fn merge(&mut self, other: &Self) {
        let pairs = self.sums.iter_mut().zip(&other.sums);
        pairs.for_each(|(sum, more)| *sum += more);
        self.rows += other.rows;
    }

    /// Mean of φ: [`FEATURES`] numbers, NaN without rows.
    pub fn mean(&self) -> Vec<f64> {
        let scale = 1.0 / (self.rows as f64 * (DIRECTIONS as f64).sqrt());
        self.sums.iter().map(|sum| sum * scale).collect()
    }
}

impl Default for FeatureSums {
    fn default() -> Self {
        Self::new()
    }
}

/// A point of the unit circle.
struct Point {
    cosine: f32,
    sine: f32,
}

/// Cosine and sine of `turns`·2π to 7e-7, without branches or calls so that loops over it become
/// vector instructions. |turns| < 2²¹.
fn circle(turns: f32) -> Point {
    // Adding and taking away 1.5·2²³ rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    let half = (turns - ((turns + ROUND) - ROUND)) * std::f32::consts::PI;
    // |half| ≤ π/2: Taylor series to the first term below 6e-8, then the double angle.
    let t = half * half;
    let s = half
        * (1.0
            + t * (-1.0 / 6.0
                + t * (1.0 / 120.0
                    + t * (-1.0 / 5_040.0 + t * (1.0 / 362_880.0 - t * (1.0 / 39_916_800.0))))));
    let c = 1.0
        + t * (-0.5
            + t * (1.0 / 24.0
                + t * (-1.0 / 720.0
                    + t * (1.0 / 40_320.0
                        + t * (-1.0 / 3_628_800.0 + t * (1.0 / 479_001_600.0))))));
    Point {
        cosine: 1.0 - 2.0 * s * s,
        sine: 2.0 * s * c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circle_is_accurate() {
        for i in -200_000..200_000 {
            let turns = i as f32 * 3.1e-5;
            let angle = f64::from(turns) * TAU;
            let point = circle(turns);
            let error = (f64::from(point.cosine) - angle.cos()).abs();
            let error = error.max((f64::from(point.sine) - angle.sin()).abs());
            assert!(error < 1e-6, "{turns}: {error:e}");
        }
    }

    #[test]
    fn inner_products_approximate_the_kernel() {
        // exp(-‖z - z'‖²/(2d)), error about 1/√M = 0.09.
        let features = Features::new(3, 1);
        let (a, b) = ([0.5, -1.0, 2.0], [0.1, 0.3, 1.5]);
        let of = |row: &[f32]| {
            let mut sums = FeatureSums::new();
            features.add(row, &mut sums);
            sums.mean()
        };
        let product: f64 = of(&a).iter().zip(of(&b)).map(|(x, y)| x * y).sum();
        // math.exp(-(0.4**2 + 1.3**2 + 0.5**2)/6)
        assert!((product - 0.704_688).abs() < 0.2, "{product}");
        let norm: f64 = of(&a).iter().map(|x| x * x).sum();
        assert!((norm - 1.0).abs() < 1e-6);
    }

    #[test]
    fn rows_can_be_added_in_any_portions() {
        let features = Features::new(7, 2);
        let mut random = SplitMix64::new(3);
        let rows: Vec<f32> = (0..7 * 75).map(|_| random.normal() as f32).collect();
        let mut whole = FeatureSums::new();
        features.add(&rows, &mut whole);
        let mut parts = FeatureSums::new();
        for part in rows.chunks(7 * 13) {
            let mut sums = FeatureSums::new();
            features.add(part, &mut sums);
            parts.merge(&sums);
        }
        assert_eq!((whole.rows(), parts.rows()), (75, 75));
        for (a, b) in whole.mean().iter().zip(parts.mean()) {
            assert!((a - b).abs() < 1e-7);
        }
        // The features of a row do not depend on its place in a tile.
        assert_eq!(
            features.each(&rows)[5 * FEATURES..6 * FEATURES],
            features.each(&rows[35..42])
        );
    }
}
