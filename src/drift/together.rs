//! All columns of a model together: what the joint test needs of a reference, and rows as scores.

use statrs::distribution::{ContinuousCDF, Normal};

use crate::feature::Cell;

use super::joint::{Features, JointReference, MAX_REFERENCE_ROWS};
use super::numbers::Numbers;
use super::reference::{Categories, ColumnReference, Side, Track};
use super::row::{MARKS, Row, Value};
use super::text::Descriptor;

/// Fewer reference rows than this tell too little: an unlucky reference would reject ever after.
const FEWEST_ROWS: usize = 2000;

/// More columns than this are not tested together: the test would see no change of a few of them.
const MOST_COLUMNS: usize = 500;

/// Reference rows there must be for each current one.
const PER_ROW: usize = 10;

/// Reference rows kept whole, to tell whose correlation has changed.
const KEPT_ROWS: usize = 2000;

/// The draw of random features; the same for all references, so that summaries stay comparable.
const SEED: u64 = 0x6472_6966_7464;

/// The joint distribution of a reference.
#[derive(Debug, Clone)]
pub struct Together {
    reference: JointReference,
    features: Features,
    /// Scores of some reference rows, row by row.
    kept: Vec<f32>,
    columns: usize,
}

/// How the values of one track become scores.
#[derive(Debug)]
struct Scorer<'a> {
    side: Side<'a>,
    /// Whether it scores nothing.
    silent: bool,
    /// The score of each category.
    categories: Vec<f32>,
    normal: Normal,
}

/// Which rows of a reference its joint distribution is taken from.
#[derive(Debug, Clone, Copy)]
pub struct Stride(usize);

// === impl Stride ===

impl Stride {
    /// Of a reference of so many rows and tracks; `None` where there is no joint test.
    #[must_use]
    pub fn of(rows: usize, columns: usize) -> Option<Self> {
        let fits = rows >= FEWEST_ROWS && (2..=MOST_COLUMNS).contains(&columns);
        fits.then(|| Self(rows.div_ceil(MAX_REFERENCE_ROWS)))
    }

    /// Of `rows` rows at most `most`, evenly.
    #[must_use]
    pub fn to(rows: usize, most: usize) -> Self {
        Self(rows.div_ceil(most.max(1)).max(1))
    }

    /// Whether it takes the row at `index`.
    #[must_use]
    pub const fn takes(self, index: usize) -> bool {
        index.is_multiple_of(self.0)
    }
}

// === impl Scorer ===

impl<'a> Scorer<'a> {
    fn new(track: &Track<'a>) -> Self {
        let normal = Normal::standard();
        let side = track.side;
        let categories = match side {
            Side::Numbers(_) => Vec::new(),
            Side::Categories(words) => middles(words).map(|u| score(&normal, u)).collect(),
        };
        Self {
            side,
            // Of a text of the reference itself it cannot be told from the text alone: its own
            // words count as known. It scores nothing on either side.
            silent: track.descriptor == Some(Descriptor::UnknownWords),
            categories,
            normal,
        }
    }

    /// The score of one value; `code` where its rank is known already.
    fn of(&self, value: Value, code: Option<u32>) -> f32 {
        match (self.side, value) {
            _ if self.silent => 0.0,
            (Side::Numbers(numbers), Value::Number(number)) => {
                let code = code.unwrap_or_else(|| numbers.code(number));
                score(&self.normal, middle(numbers, code))
            }
            (Side::Categories(_), Value::Category(code)) => {
                self.categories.get(code as usize).copied().unwrap_or(0.0)
            }
            _ => 0.0,
        }
    }
}

// === impl Together ===

impl Together {
    /// Of rows as scores, one `Vec` for each track; `None` where they cannot be tested.
    #[must_use]
    pub fn new(tracks: &[Vec<f32>]) -> Option<Self> {
        let columns = tracks.len();
        let rows = tracks.first()?.len();
        let features = Features::new(columns, SEED);
        let scores = across(tracks);
        let reference = JointReference::new(&features, scores.chunks_exact(columns))?;
        let stride = rows.div_ceil(KEPT_ROWS);
        let kept = scores.chunks_exact(columns).step_by(stride);
        Some(Self {
            reference,
            features,
            kept: kept.flatten().copied().collect(),
            columns,
        })
    }

    /// By what a profile holds of it: without rows, so that a change of correlation shows, but not
    /// of which columns.
    #[must_use]
    pub fn known(reference: JointReference) -> Self {
        Self {
            features: reference.features(),
            columns: reference.columns(),
            kept: Vec::new(),
            reference,
        }
    }

    /// The most current rows it can judge.
    #[must_use]
    pub fn most_rows(&self) -> usize {
        self.reference.rows() / PER_ROW
    }

    /// The reference it compares with.
    #[must_use]
    pub const fn reference(&self) -> &JointReference {
        &self.reference
    }

    /// The random features of rows of scores.
    #[must_use]
    pub const fn features(&self) -> &Features {
        &self.features
    }

    /// Scores of some reference rows, row by row.
    #[must_use]
    pub fn kept(&self) -> &[f32] {
        &self.kept
    }

    /// Rows as scores, row by row. They are ranked already.
    #[must_use]
    pub fn scores<'a>(
        &self,
        rows: impl Iterator<Item = &'a Row>,
        tracks: &[Track<'_>],
    ) -> Vec<f32> {
        let scorers: Vec<Scorer<'_>> = tracks.iter().map(Scorer::new).collect();
        let mut scores = Vec::new();
        for row in rows {
            for (track, scorer) in tracks.iter().zip(&scorers) {
                let value = row.value(track.slot);
                let code = Some(row.code(track.slot)).filter(|code| *code < MARKS);
                scores.push(scorer.of(value, code));
            }
        }
        debug_assert_eq!(scores.len() % self.columns, 0);
        scores
    }
}

/// Scores row by row, of one `Vec` for each track, all of one length.
#[must_use]
pub fn across(tracks: &[Vec<f32>]) -> Vec<f32> {
    let rows = tracks.first().map_or(0, Vec::len);
    let row = |row: usize| tracks.iter().map(move |track| track[row]);
    (0..rows).flat_map(row).collect()
}

/// The scores of sampled cells of a column, for each of its tracks.
#[must_use]
pub fn scores(column: &ColumnReference, cells: &[Cell]) -> Vec<Vec<f32>> {
    let mut tracks = Vec::new();
    column.tracks(0, &mut tracks);
    let scorers: Vec<Scorer<'_>> = tracks.iter().map(Scorer::new).collect();
    let mut scores = vec![Vec::with_capacity(cells.len()); tracks.len()];
    let mut values = Vec::new();
    for cell in cells {
        column.encode(cell, &mut values);
        for ((scores, scorer), value) in scores.iter_mut().zip(&scorers).zip(values.drain(..)) {
            scores.push(scorer.of(value, None));
        }
    }
    scores
}

/// Where the values of a code stand among the reference's: (below + upto + 1) / (2n + 2).
fn middle(numbers: &Numbers, code: u32) -> f64 {
    let around = numbers.around(code);
    let n = numbers.len() as f64;
    ((around.below + around.upto) as f64 + 1.0) / (2.0 * n + 2.0)
}

/// The same for categories, in the order of their codes.
fn middles(words: &Categories) -> impl Iterator<Item = f64> {
    let n = words.present() as f64;
    let mut below = 0;
    words.counts.iter().map(move |count| {
        let upto = below + count;
        let middle = ((below + upto) as f64 + 1.0) / (2.0 * n + 2.0);
        below = upto;
        middle
    })
}

fn score(normal: &Normal, u: f64) -> f32 {
    normal.inverse_cdf(u) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature::Kind;

    #[test]
    fn scores_are_normal_quantiles_of_the_ranks() {
        let numbers = ColumnReference::new(Kind::Numeric, [1.0, 2.0, 2.0].map(Cell::Number));
        let cells = [Cell::Number(2.0), Cell::Number(0.0), Cell::Missing];
        // scipy.stats.norm.ppf([(1 + 3 + 1) / 8, (0 + 0 + 1) / 8]) → [0.31863936, -1.15034938]
        let expected = [0.318_639_36, -1.150_349_4, 0.0];
        for (found, expected) in scores(&numbers, &cells)[0].iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        let words = ColumnReference::new(
            Kind::Categorical,
            ["a", "a", "b"].map(|w| Cell::Text(w.into())),
        );
        let cells = ["b", "never seen"].map(|w| Cell::Text(w.into()));
        // scipy.stats.norm.ppf((2 + 3 + 1) / 8) → 0.67448975
        let found = &scores(&words, &cells)[0];
        assert!(
            (found[0] - 0.674_489_75).abs() < 1e-6 && found[1].abs() < 1e-9,
            "{found:?}"
        );
    }

    #[test]
    fn a_reference_is_sampled_evenly_and_only_where_it_is_large_enough() {
        assert!(Stride::of(1999, 4).is_none() && Stride::of(5000, 1).is_none());
        let stride = Stride::of(25_000, 4).expect("large enough");
        let taken = (0..25_000).filter(|row| stride.takes(*row)).count();
        assert_eq!(taken, 8334);
    }
}
