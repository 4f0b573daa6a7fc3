//! What the page draws of one column: two ECDFs with the largest gap, or two shares per category.

use super::numbers::{Edge, Numbers};
use super::reference::Categories;

/// The most steps kept of one ECDF: more than a picture has pixels to show.
const STEPS: usize = 200;

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
    },
    /// Categories, most frequent in the reference first; what is cut off is one bar.
    Shares(Vec<Share>),
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
    pub fn ecdf(reference: &Numbers, current: &[f64], gap: Option<Gap>) -> Self {
        let known = match (reference.values(), reference.edges()) {
            (Some(sorted), _) => steps(sorted),
            (None, edges) => edge_steps(edges.unwrap_or_default()),
        };
        Self::Ecdf {
            reference: known,
            current: steps(current),
            gap,
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
    fn infinities_take_height_but_no_place() {
        let points = steps(&[f64::NEG_INFINITY, 1.0, f64::INFINITY, f64::INFINITY]);
        assert_eq!(points, [(1.0, 0.5)]);
    }
}
