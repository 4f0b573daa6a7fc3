//! What the page draws of one column: two ECDFs with the largest gap, or two shares per category.

use super::numbers::{Edge, Numbers};
use super::reference::Categories;

/// The most steps kept of one ECDF: more than a picture has pixels to show.
const STEPS: usize = 200;

/// About as many bins as a histogram has: fewer hide a second mode, more show noise.
const BINS: f64 = 20.0;

/// The most categories kept; the rest is summed up.
const BARS: usize = 12;

/// Where the largest gap between the two ECDFs is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gap {
    /// The value at which it is.
    pub location: f64,
    /// The reference ECDF there.
    pub reference: f64,
    /// The current ECDF there.
    pub current: f64,
}

/// One column, both sides.
#[derive(Debug, Clone)]
pub enum Picture {
    /// Numbers (for text: lengths).
    Ecdf {
        /// Steps `(x, F(x))` of the reference, ascending.
        reference: Vec<(f64, f64)>,
        /// Steps of the current rows, ascending.
        current: Vec<(f64, f64)>,
        /// The largest gap between the two.
        gap: Option<Gap>,
        /// The shares of both in the same bins; `None` where all values are one.
        histogram: Option<Histogram>,
    },
    /// Categories, most frequent in the reference first; what is cut off is one bar.
    Shares(Vec<Share>),
}

/// Shares by bin, for both sides alike: values up to the first cut, between each two (the upper one
/// included), and above the last.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Round values at equal distances, ascending.
    pub cuts: Vec<f64>,
    /// One more than there are cuts; of the reference, 0 to 1.
    pub reference: Vec<f64>,
    /// Of the current rows.
    pub current: Vec<f64>,
}

/// One category on both sides.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// The category, or what a group of them is called.
    pub name: String,
    /// Whether it stands for several categories.
    pub group: bool,
    /// Its share of the reference, 0 to 1.
    pub reference: f64,
    /// Its share of the current rows, 0 to 1.
    pub current: f64,
}

impl Picture {
    /// Draws the ECDFs of the reference and of sorted current values; infinite values are left out of the curve's points
    /// but count in its heights.
    #[must_use]
    pub fn ecdf(reference: &Numbers, current: &Numbers, gap: Option<Gap>) -> Self {
        let known = match (reference.values(), reference.edges()) {
            (Some(sorted), _) => steps(sorted),
            (None, edges) => edge_steps(edges.unwrap_or_default()),
        };
        Self::Ecdf {
            reference: known,
            current: steps(current.values().unwrap_or_default()),
            gap,
            histogram: Histogram::of(reference, current),
        }
    }

    /// Draws the shares of each category; `unseen` counts current values of none of them.
    #[must_use]
    pub fn shares(reference: &Categories, current: &[u64], unseen: u64) -> Self {
        let n_reference = reference.counts.iter().sum::<u64>().max(1) as f64;
        let n_current = (current.iter().sum::<u64>() + unseen).max(1) as f64;
        let bar = |name: &str, group: bool, r: u64, c: u64| Share {
            name: name.to_owned(),
            group,
            reference: r as f64 / n_reference,
            current: c as f64 / n_current,
        };
        let mut bars: Vec<Share> = (reference.names.iter())
            .zip(reference.counts.iter().zip(current))
            .take(BARS)
            .map(|(name, (r, c))| bar(name, false, *r, *c))
            .collect();
        if reference.names.len() > BARS {
            let rest = |counts: &[u64]| counts[BARS..].iter().sum();
            let name = format!("{} others", reference.names.len() - BARS);
            bars.push(bar(&name, true, rest(&reference.counts), rest(current)));
        }
        if unseen > 0 {
            bars.push(bar("not in the reference", true, 0, unseen));
        }
        Self::Shares(bars)
    }
}

// === impl Histogram ===

impl Histogram {
    /// Both sides in bins of one round width; the outermost 1 % on either side is in the outer bins.
    fn of(reference: &Numbers, current: &Numbers) -> Option<Self> {
        let ends = |q: f64| {
            [reference.quantile(q), current.quantile(q)]
                .into_iter()
                .flatten()
        };
        let low = ends(0.01).fold(f64::INFINITY, f64::min);
        let high = ends(0.99).fold(f64::NEG_INFINITY, f64::max);
        let cuts = cuts(low, high)?;
        let shares = |numbers: &Numbers| {
            let n = numbers.len().max(1) as f64;
            let counts = numbers.counts(&cuts).into_iter();
            counts.map(|count| count as f64 / n).collect()
        };
        let (reference, current) = (shares(reference), shares(current));
        Some(Self {
            cuts,
            reference,
            current,
        })
    }
}

/// Round values between `low` and `high`, about [`BINS`] of them.
fn cuts(low: f64, high: f64) -> Option<Vec<f64>> {
    let rough = (high - low) / BINS;
    if !(rough.is_finite() && rough > 0.0) {
        return None;
    }
    let power = rough.log10().floor();
    // Whole numbers on both sides of the division, so that 0.3 is the 0.3 of the data.
    let (up, down) = (10_f64.powf(power.max(0.0)), 10_f64.powf((-power).max(0.0)));
    let factor = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|factor| factor * up / down >= rough)?;
    let first = (low * down / (factor * up)).ceil();
    let cuts: Vec<f64> = (0..=2 * BINS as u32)
        .map(|index| (first + f64::from(index)) * factor * up / down)
        .take_while(|cut| *cut <= high)
        .collect();
    let ascending = cuts.windows(2).all(|pair| pair[0] < pair[1]);
    (ascending && !cuts.is_empty() && cuts.iter().all(|cut| cut.is_finite())).then_some(cuts)
}

/// At most [`STEPS`] points of the ECDF, each exact: `F(x)` counts every value up to and including x.
fn steps(sorted: &[f64]) -> Vec<(f64, f64)> {
    let n = sorted.len();
    let stride = n.div_ceil(STEPS).max(1);
    let mut points: Vec<(f64, f64)> = Vec::with_capacity(n.min(STEPS) + 1);
    let mut index = 0;
    while index < n {
        let x = sorted[index];
        // Jump to the last of equal values, so that a step stands at its full height.
        let last = index + sorted[index..].partition_point(|value| *value <= x) - 1;
        if x.is_finite() {
            points.push((x, (last + 1) as f64 / n as f64));
        }
        index = (last + 1).max(index + stride);
    }
    if let Some(max) = sorted.last().filter(|max| max.is_finite())
        && points.last().is_none_or(|(x, _)| x < max)
    {
        points.push((*max, 1.0));
    }
    points
}

/// The ECDF as far as its edges tell it.
fn edge_steps(edges: &[Edge]) -> Vec<(f64, f64)> {
    let n = edges.last().map_or(1, |edge| edge.upto) as f64;
    let stride = edges.len().div_ceil(STEPS).max(1);
    let last = edges.len().saturating_sub(1);
    let shown = (edges.iter().enumerate()).filter(|(i, _)| i % stride == 0 || *i == last);
    let points = shown.map(|(_, edge)| (edge.value, edge.upto as f64 / n));
    points.filter(|(x, _)| x.is_finite()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_make_one_step_of_full_height() {
        assert_eq!(
            steps(&[1.0, 1.0, 2.0, 4.0]),
            [(1.0, 0.5), (2.0, 0.75), (4.0, 1.0)]
        );
    }

    #[test]
    fn long_samples_are_thinned_and_still_reach_one() {
        let sorted: Vec<f64> = (0..100_000).map(f64::from).collect();
        let points = steps(&sorted);
        assert!(points.len() <= STEPS + 1, "{}", points.len());
        assert_eq!(points.last(), Some(&(99_999.0, 1.0)));
        assert!(
            points
                .windows(2)
                .all(|w| w[0].0 < w[1].0 && w[0].1 < w[1].1)
        );
    }

    #[test]
    fn histograms_count_every_value_once() {
        // a = numpy.round(numpy.arange(200) ** 1.5 / 400, 1); b = a + 1.3
        // cuts: numpy.arange(1, 9) (1 to 99 % of both: 0.0 to 8.2, 20 bins are 0.41 wide: 0.5)
        let a: Vec<f64> = (0..200)
            .map(|i| (f64::from(i).powf(1.5) / 400.0 * 10.0).round_ties_even() / 10.0)
            .collect();
        let b: Vec<f64> = a
            .iter()
            .map(|x| ((x + 1.3) * 10.0).round() / 10.0)
            .collect();
        let numbers = |values: &[f64]| Numbers::new(values.iter().copied().map(Some));
        let found = Histogram::of(&numbers(&a), &numbers(&b)).unwrap();
        assert_eq!(found.cuts.len() + 1, found.reference.len());
        let count = |values: &[f64], from: f64, to: f64| {
            values.iter().filter(|x| **x > from && **x <= to).count() as f64 / 200.0
        };
        let ends = [&[f64::NEG_INFINITY], &found.cuts[..], &[f64::INFINITY]].concat();
        for (index, pair) in ends.windows(2).enumerate() {
            assert!((found.reference[index] - count(&a, pair[0], pair[1])).abs() < 1e-12);
            assert!((found.current[index] - count(&b, pair[0], pair[1])).abs() < 1e-12);
        }
        assert!((found.current.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn bins_are_round_and_bounded() {
        let written = |low, high| cuts(low, high).map(|cuts| format!("{cuts:?}"));
        assert_eq!(
            written(0.05, 0.95).unwrap(),
            "[0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, \
             0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]"
        );
        assert_eq!(
            written(-300.0, 420.0).unwrap(),
            "[-300.0, -250.0, -200.0, -150.0, -100.0, -50.0, \
             0.0, 50.0, 100.0, 150.0, 200.0, 250.0, 300.0, 350.0, 400.0]"
        );
        for (low, high) in [
            (1.0, 1.0),
            (f64::NEG_INFINITY, 1.0),
            (2.0, 1.0),
            (1e300, 1e300 * (1.0 + 1e-15)),
        ] {
            assert!(
                cuts(low, high).is_none_or(|cuts| cuts.len() <= 41),
                "{low} {high}"
            );
        }
        assert_eq!(cuts(-f64::MAX, f64::MAX), None);
    }

    #[test]
    fn infinities_take_height_but_no_place() {
        let points = steps(&[f64::NEG_INFINITY, 1.0, f64::INFINITY, f64::INFINITY]);
        assert_eq!(points, [(1.0, 0.5)]);
    }
}
