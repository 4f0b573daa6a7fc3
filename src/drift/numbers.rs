//! One column of numbers of the reference, sorted once, and the *rank codes* of values in it.
//!
//! A value's code says where it stands among the reference's values: `2i + 1` for a value equal to
//! the one at `i`, `2i` for a value in the gap before it; of a column with few distinct values, `i`
//! counts those. Codes ascend with the values, so that counting 10,000 codes (small integers) and
//! looking up how many reference values lie below some of them gives the exact KS statistic without
//! touching the reference again.
//!
//! A column is either exact (every value is kept) or binned: edges at reference quantiles, the
//! values equal to an edge counted apart from those between two edges. A binned column understates
//! D by at most the largest share between two edges ([`Numbers::resolution`]), and never overstates
//! it.

use std::hint::select_unpredictable;

mod coarse;
mod hours;

use hours::ValueHours;

/// Lanes searched side by side: enough to hide the latency of memory behind each other.
const LANES: usize = 16;

/// As many distinct values are few: twice as many codes are counted in the fastest cache.
const FEW: usize = 1000;

/// A sorted sample of numbers.
#[derive(Debug, Clone)]
pub struct Numbers {
    points: Points,
    /// Rows in which the value was missing.
    missing: usize,
    /// Mean and standard deviation of the finite values; `None` without one.
    moments: Option<Moments>,
    /// Distinct values of an exact column.
    distinct: usize,
    /// When the rows of an exact column were made, where that is remembered.
    hours: Option<Box<ValueHours>>,
    /// The distinct values of an exact column, where they are few: codes then point to these, are
    /// found sooner and are small enough to be counted instead of sorted.
    runs: Option<Box<[Edge]>>,
}

/// What codes point to.
#[derive(Debug, Clone, Copy)]
enum Places<'a> {
    /// Every value of an exact column.
    Values(&'a [f64]),
    /// Distinct values, or some of them.
    Edges(&'a [Edge]),
}

/// Mean and spread of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// The mean.
    pub mean: f64,
    /// `numpy.std(values)`: the root of the mean square deviation.
    pub deviation: f64,
}

/// What is kept of the values.
#[derive(Debug, Clone)]
enum Points {
    /// All of them, ascending; no NaN; may hold ±∞.
    Exact(Vec<f64>),
    /// Distinct edges among them.
    Binned(Vec<Edge>),
}

/// A value of the reference at which its distribution is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edge {
    /// The value; the first edge is the smallest value of all, the last the largest.
    pub value: f64,
    /// Reference values below it.
    pub below: u64,
    /// Reference values up to and including it.
    pub upto: u64,
}

/// How many reference values lie around the values of one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Around {
    /// Known to lie below all of them.
    pub before: u64,
    /// Known to lie below what comes after them.
    pub below: u64,
    /// Known to lie at or below them.
    pub upto: u64,
}

// === impl Numbers ===

impl Numbers {
    /// The most values a column can hold: their codes are 32-bit numbers.
    pub const MOST: usize = (u32::MAX / 2 - 8) as usize;

    /// An exact column of `values`; `None` and NaN count as missing.
    #[must_use]
    pub fn new(values: impl IntoIterator<Item = Option<f64>>) -> Self {
        let mut missing = 0;
        let mut sorted: Vec<f64> = Vec::new();
        for value in values {
            match value {
                Some(value) if !value.is_nan() => sorted.push(value),
                _ => missing += 1,
            }
        }
        sorted.shrink_to_fit();
        sorted.sort_unstable_by(f64::total_cmp);
        Self::sorted(sorted, missing)
    }

    /// An exact column of values that ascend already.
    #[must_use]
    pub fn sorted(sorted: Vec<f64>, missing: usize) -> Self {
        let distinct = sorted.chunk_by(|a, b| a >= b).count();
        Self {
            moments: Moments::of(&sorted),
            distinct,
            runs: (distinct <= FEW && distinct < sorted.len()).then(|| runs(&sorted)),
            points: Points::Exact(sorted),
            missing,
            hours: None,
        }
    }

    /// A column of which only `edges` are known: ascending, distinct, the first with `below` 0.
    #[must_use]
    pub const fn from_edges(edges: Vec<Edge>, missing: usize, moments: Option<Moments>) -> Self {
        Self {
            points: Points::Binned(edges),
            missing,
            moments,
            distinct: 0,
            hours: None,
            runs: None,
        }
    }

    /// The same column by at most `edges` edges: its distribution is then known to within
    /// `1 / (edges - 1)`, and exactly at every value that is an edge.
    #[must_use]
    pub fn binned(&self, edges: usize) -> Self {
        let Points::Exact(sorted) = &self.points else {
            return self.clone();
        };
        let (n, bins) = (sorted.len(), edges.max(2) - 1);
        let mut kept: Vec<Edge> = Vec::with_capacity(bins + 1);
        for bin in 0..=bins {
            let Some(value) = sorted.get((n.saturating_sub(1)) * bin / bins).copied() else {
                break;
            };
            if kept.last().is_some_and(|edge| edge.value >= value) {
                continue;
            }
            let below = sorted.partition_point(|v| *v < value);
            let upto = sorted.partition_point(|v| *v <= value);
            kept.push(Edge {
                value,
                below: below as u64,
                upto: upto as u64,
            });
        }
        Self::from_edges(kept, self.missing, self.moments)
    }

    /// The edges by which a binned column is known; `None` for an exact one.
    #[must_use]
    pub fn edges(&self) -> Option<&[Edge]> {
        match &self.points {
            Points::Exact(_) => None,
            Points::Binned(edges) => Some(edges),
        }
    }

    /// All values, ascending, where they are kept.
    #[must_use]
    pub fn values(&self) -> Option<&[f64]> {
        match &self.points {
            Points::Exact(sorted) => Some(sorted),
            Points::Binned(_) => None,
        }
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.points {
            Points::Exact(sorted) => sorted.len(),
            Points::Binned(edges) => edges.last().map_or(0, |edge| edge.upto as usize),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows in which the value was missing.
    #[must_use]
    pub const fn missing(&self) -> usize {
        self.missing
    }

    /// Mean and standard deviation of the finite values.
    #[must_use]
    pub const fn moments(&self) -> Option<Moments> {
        self.moments
    }

    /// The smallest and the largest value.
    #[must_use]
    pub fn range(&self) -> Option<(f64, f64)> {
        match &self.points {
            Points::Exact(sorted) => Some((*sorted.first()?, *sorted.last()?)),
            Points::Binned(edges) => Some((edges.first()?.value, edges.last()?.value)),
        }
    }

    /// By how much D may be understated: the largest share of the values between two edges; 0 for
    /// an exact column.
    #[must_use]
    pub fn resolution(&self) -> f64 {
        match &self.points {
            Points::Exact(_) => 0.0,
            Points::Binned(edges) => {
                let open = edges.windows(2).map(|pair| pair[1].below - pair[0].upto);
                open.max().unwrap_or(0) as f64 / self.len().max(1) as f64
            }
        }
    }

    /// The share of the values up to and including `x`; between two edges, that at the lower one.
    #[must_use]
    pub fn ecdf(&self, x: f64) -> f64 {
        let upto = match &self.points {
            Points::Exact(sorted) => sorted.partition_point(|value| *value <= x) as u64,
            Points::Binned(edges) => match edges.partition_point(|edge| edge.value <= x) {
                0 => 0,
                i => edges[i - 1].upto,
            },
        };
        upto as f64 / self.len().max(1) as f64
    }

    /// How many values there are up to and including `x`; exactly, where `x` is an edge of a binned
    /// column or the number just below one.
    #[must_use]
    pub fn upto(&self, x: f64) -> u64 {
        self.around(self.code(x)).upto
    }

    /// The smallest known value with at least the share `q` up to it:
    /// `numpy.quantile(values, q, method="inverted_cdf")` of an exact column.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        self.at_rank(((q * self.len() as f64).ceil() as u64).max(1))
    }

    /// The value at a rank, the smallest value having rank 1, ranks beyond the last being the last;
    /// of a binned column, the first edge with as many values up to it.
    #[must_use]
    pub fn at_rank(&self, rank: u64) -> Option<f64> {
        match &self.points {
            Points::Exact(sorted) => {
                let rank = usize::try_from(rank).ok()?.min(sorted.len());
                sorted.get(rank.checked_sub(1)?).copied()
            }
            Points::Binned(edges) => {
                let at = edges.partition_point(|edge| edge.upto < rank);
                edges
                    .get(at.min(edges.len().checked_sub(1)?))
                    .map(|edge| edge.value)
            }
        }
    }

    /// The rank code of one value, which is not NaN.
    #[must_use]
    pub fn code(&self, value: f64) -> u32 {
        let mut code = [0];
        self.codes(&[value], &mut code);
        code[0]
    }

    /// The rank codes of `values`, none of them NaN. Searches side by side, which is several times
    /// faster than one after the other.
    pub fn codes(&self, values: &[f64], codes: &mut [u32]) {
        for (values, codes) in values.chunks(LANES).zip(codes.chunks_mut(LANES)) {
            match self.places() {
                Places::Values(sorted) => search(sorted, |v| *v, values, codes),
                Places::Edges(edges) => search(edges, |edge| edge.value, values, codes),
            }
        }
    }

    /// No code is as large as this.
    #[must_use]
    pub fn codes_end(&self) -> u32 {
        let places = match self.places() {
            Places::Values(sorted) => sorted.len(),
            Places::Edges(edges) => edges.len(),
        };
        2 * places as u32 + 1
    }

    fn places(&self) -> Places<'_> {
        match (&self.points, &self.runs) {
            (Points::Exact(_), Some(edges)) => Places::Edges(edges),
            (Points::Exact(sorted), None) => Places::Values(sorted),
            (Points::Binned(edges), _) => Places::Edges(edges),
        }
    }

    /// How many reference values lie around the values of one code.
    #[must_use]
    pub fn around(&self, code: u32) -> Around {
        let (at, tied) = ((code / 2) as usize, code % 2 == 1);
        match self.places() {
            Places::Values(sorted) => {
                let lower = at as u64;
                let upto = if tied {
                    upper_bound(sorted, at) as u64
                } else {
                    lower
                };
                Around {
                    before: lower,
                    below: lower,
                    upto,
                }
            }
            Places::Edges(edges) => {
                let next = edges.get(at);
                let below = next.map_or(self.len() as u64, |edge| edge.below);
                let before = match at.checked_sub(1) {
                    _ if tied => below,
                    Some(i) => edges[i].upto,
                    None => 0,
                };
                Around {
                    before,
                    below,
                    upto: next.filter(|_| tied).map_or(below, |edge| edge.upto),
                }
            }
        }
    }

    /// [`Around::before`] of one code.
    pub(super) fn before(&self, code: u32) -> u64 {
        match self.places() {
            Places::Values(_) => u64::from(code / 2),
            Places::Edges(_) => self.around(code).before,
        }
    }

    /// At most [`Around::upto`] of one code, without a look at the values.
    pub(super) fn least_upto(&self, code: u32) -> u64 {
        match self.places() {
            Places::Values(_) => u64::from(code.div_ceil(2)),
            Places::Edges(_) => self.around(code).upto,
        }
    }

    /// The known value at the place `i` a code points to.
    #[must_use]
    pub fn point(&self, i: usize) -> Option<f64> {
        match self.places() {
            Places::Values(sorted) => sorted.get(i).copied(),
            Places::Edges(edges) => edges.get(i).map(|edge| edge.value),
        }
    }

    /// How many values lie in each bin that ends with one of the ascending `cuts`, and behind the
    /// last.
    #[must_use]
    pub fn counts(&self, cuts: &[f64]) -> Vec<u64> {
        let n = self.len() as u64;
        let upto = cuts
            .iter()
            .map(|cut| (self.ecdf(*cut) * n as f64).round() as u64);
        let mut before = 0;
        (upto.chain([n]))
            .map(|upto| upto - std::mem::replace(&mut before, upto))
            .collect()
    }

    /// Distinct values among all, as a share of them; 1 where that is not known.
    #[must_use]
    pub fn tied(&self) -> f64 {
        match &self.points {
            Points::Exact(sorted) => self.distinct as f64 / sorted.len().max(1) as f64,
            Points::Binned(_) => 1.0,
        }
    }

    /// The upper edges of `bins` bins of about equal shares: values up to and including each.
    /// Fewer where values are tied.
    #[must_use]
    pub fn cuts(&self, bins: usize) -> Vec<f64> {
        let mut cuts: Vec<f64> = (1..bins)
            .filter_map(|bin| self.quantile(bin as f64 / bins as f64))
            .collect();
        cuts.dedup_by(|a, b| a <= b);
        cuts
    }
}

// === impl Moments ===

impl Moments {
    /// Of the finite ones among `values`; `None` without one.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let finite = || values.iter().filter(|value| value.is_finite());
        let n = finite().count() as f64;
        if n < 1.0 {
            return None;
        }
        // Divided before they are added, so that the sum of huge values stays finite.
        let mean = finite().map(|value| value / n).sum::<f64>();
        let scale = finite().fold(0.0, |most: f64, value| most.max((value - mean).abs()));
        let deviation = if scale > 0.0 && scale.is_finite() {
            let square = |value: &f64| ((value - mean) / scale).powi(2);
            scale * (finite().map(square).sum::<f64>() / n).sqrt()
        } else {
            0.0
        };
        Some(Self { mean, deviation })
    }
}

/// The codes of up to [`LANES`] values, by branch-free binary searches that advance together.
fn search<T>(points: &[T], key: impl Fn(&T) -> f64, values: &[f64], codes: &mut [u32]) {
    let mut base = [0_usize; LANES];
    let mut length = points.len();
    while length > 1 {
        let half = length / 2;
        for (base, value) in base.iter_mut().zip(values) {
            let middle = key(&points[*base + half - 1]);
            *base = select_unpredictable(middle < *value, *base + half, *base);
        }
        length -= half;
    }
    for ((base, value), code) in base.iter().zip(values).zip(codes) {
        let below = points.get(*base).is_some_and(|point| key(point) < *value);
        let at = base + usize::from(below);
        #[expect(clippy::float_cmp, reason = "a tie is an equal value, not a near one")]
        let tied = points.get(at).is_some_and(|point| key(point) == *value);
        *code = (2 * at + usize::from(tied)) as u32;
    }
}

/// Each distinct one of the ascending values.
fn runs(sorted: &[f64]) -> Box<[Edge]> {
    let mut upto = 0;
    let run = |equal: &[f64]| {
        let below = upto;
        upto += equal.len() as u64;
        Edge {
            value: equal[0],
            below,
            upto,
        }
    };
    sorted.chunk_by(|a, b| a >= b).map(run).collect()
}

/// The place behind the values equal to that at `from`, found by leaps that double.
fn upper_bound(sorted: &[f64], from: usize) -> usize {
    let value = sorted[from];
    let mut leap = 1;
    while from + leap < sorted.len() && sorted[from + leap] <= value {
        leap *= 2;
    }
    let (low, high) = (from + leap / 2, (from + leap).min(sorted.len()));
    low + sorted[low..high].partition_point(|v| *v <= value)
}

#[cfg(test)]
mod tests;
