//! A column by as few and as short edges as a bound on the error of D allows.
//!
//! An edge need not be a value that occurs: D is exact at any number of which it is known how many
//! values lie below it and at it. So that is taken which is shortest in decimals; it takes a third
//! of the room, and is nobody's own value. Only the smallest and the largest value always are edges,
//! and values that many rows share.

use super::{Edge, Numbers, Places, Points, upper_bound};

/// The share of the way to the furthest edge allowed from which on any will do: the more there are
/// to choose from, the shorter the shortest is.
const FROM: f64 = 0.75;

impl Numbers {
    /// The same column by edges with at most the share `error` of all values between two of them,
    /// which is the most by which D is then understated. A column of no more than `1 / error` distinct
    /// values stays exact: each is an edge. Of a column that is known by edges, a part of them.
    #[must_use]
    pub fn coarse(&self, error: f64) -> Self {
        let between = (error * self.len() as f64) as usize;
        let edges = match &self.points {
            Points::Exact(sorted) if self.distinct as f64 * error <= 1.0 => edges(sorted, 0),
            Points::Exact(sorted) => edges(sorted, between),
            Points::Binned(edges) => fewer(edges, between as u64),
        };
        Self::from_edges(edges, self.missing, self.moments)
    }

    /// The same column by every so many of its values, at most `most` of them; `None` where codes
    /// point to no more than that anyway.
    #[must_use]
    pub(in crate::drift) fn marked(&self, most: usize) -> Option<Self> {
        let Places::Values(sorted) = self.places() else {
            return None;
        };
        let last = sorted.len().checked_sub(1).filter(|last| *last > most)?;
        let mut marks: Vec<Edge> = Vec::with_capacity(most);
        for mark in 0..most {
            let at = last * mark / (most - 1);
            let value = sorted[at];
            if marks.last().is_none_or(|mark| mark.value < value) {
                marks.push(Edge {
                    value,
                    below: lower_bound(sorted, at) as u64,
                    upto: upper_bound(sorted, at) as u64,
                });
            }
        }
        Some(Self::from_edges(marks, self.missing, self.moments))
    }

    /// All values a column by edges stands for, where no value lies between two of them.
    #[must_use]
    pub fn expanded(&self) -> Option<Vec<f64>> {
        let edges = self.edges()?;
        if self.resolution() > 0.0 {
            return None;
        }
        let mut values = Vec::with_capacity(self.len());
        for edge in edges {
            let equal = usize::try_from(edge.upto - edge.below).ok()?;
            values.extend(std::iter::repeat_n(edge.value, equal));
        }
        Some(values)
    }
}

/// Edges with at most `between` of the ascending values between two of them.
fn edges(sorted: &[f64], between: usize) -> Vec<Edge> {
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
        return Vec::new();
    };
    let edge = |value: f64| Edge {
        value,
        below: sorted.partition_point(|v| *v < value) as u64,
        upto: sorted.partition_point(|v| *v <= value) as u64,
    };
    let mut edges = vec![edge(*first)];
    let largest = edge(*last);
    while let Some(upto) = edges.last().map(|edge| edge.upto as usize)
        && upto < sorted.len()
    {
        let furthest = upto + between;
        if furthest as u64 >= largest.below {
            edges.push(largest);
            break;
        }
        let nearest = upto + (between as f64 * FROM).ceil() as usize;
        edges.push(edge(shortest(sorted[nearest], sorted[furthest])));
    }
    edges
}

/// The place of the first of the values equal to that at `from`, found by leaps that double.
fn lower_bound(sorted: &[f64], from: usize) -> usize {
    let value = sorted[from];
    let mut leap = 1;
    while leap <= from && sorted[from - leap] >= value {
        leap *= 2;
    }
    let low = (from + 1).saturating_sub(leap);
    low + sorted[low..from].partition_point(|v| *v < value)
}

/// As many of the edges as are needed.
fn fewer(edges: &[Edge], between: u64) -> Vec<Edge> {
    let mut kept: Vec<Edge> = Vec::new();
    for (at, edge) in edges.iter().enumerate() {
        let next = edges.get(at + 1);
        let needed = match (kept.last(), next) {
            (None, _) | (_, None) => true,
            (Some(last), Some(next)) => next.below - last.upto > between,
        };
        if needed {
            kept.push(*edge);
        }
    }
    kept
}

/// The number from `low` to `high`, both finite, that takes the fewest decimal digits, or nearly.
fn shortest(low: f64, high: f64) -> f64 {
    if low <= 0.0 && high >= 0.0 {
        return 0.0;
    }
    let most = low.abs().max(high.abs()).log10().ceil() as i32;
    // 17 digits tell any two numbers apart.
    for exponent in (most - 17..=most).rev() {
        let unit = 10_f64.powi(exponent);
        let units = (low / unit).ceil();
        let found = format!("{units}e{exponent}").parse::<f64>();
        if let Ok(found) = found.map(|found| found + 0.0)
            && (low..=high).contains(&found)
        {
            return found;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An even spread of numbers, some of them often.
    fn sample(n: usize, ties: f64) -> Vec<f64> {
        let spread = |i: usize| (i as f64 * 0.618_033_988_749_894_8).fract();
        let value = |i: usize| match spread(i * 7 + 3) < ties {
            true => (spread(i) * 5.0).floor() * 12.5,
            false => (spread(i) - 0.3).powi(3) * 1e3,
        };
        (0..n).map(value).collect()
    }

    fn exact(values: &[f64]) -> Numbers {
        Numbers::new(values.iter().map(|value| Some(*value)))
    }

    #[test]
    fn the_bound_is_kept_and_edges_tell_the_truth() {
        for (n, ties) in [(1, 0.0), (700, 0.0), (5_000, 0.5), (20_000, 0.05)] {
            let mut values = sample(n, ties);
            values.extend([f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0]);
            let numbers = exact(&values);
            for error in [0.002, 0.01, 0.3] {
                let coarse = numbers.coarse(error);
                assert!(coarse.resolution() <= error, "{n} {ties} {error}");
                assert_eq!((coarse.len(), coarse.range()), (n + 4, numbers.range()));
                let edges = coarse.edges().unwrap();
                assert!(edges.is_sorted_by(|a, b| a.value < b.value));
                assert!(edges.len() as f64 <= 1.5 / error + 3.0, "{}", edges.len());
                for edge in edges {
                    let below = values.iter().filter(|v| **v < edge.value).count();
                    let upto = values.iter().filter(|v| **v <= edge.value).count();
                    assert_eq!((edge.below, edge.upto), (below as u64, upto as u64));
                }
                let fewer = numbers.coarse(error / 8.0).coarse(error);
                assert!(fewer.resolution() <= error);
                assert_eq!(fewer.range(), numbers.range());
            }
        }
    }

    #[test]
    fn few_distinct_values_stay_exact() {
        let values: Vec<f64> = (0..10_000).map(|i| f64::from(i % 500)).collect();
        let coarse = exact(&values).coarse(0.002);
        assert!(coarse.resolution().abs() < 1e-15);
        let again = coarse.expanded().unwrap();
        assert_eq!(exact(&values).values(), Some(&again[..]));
        assert!(exact(&values).coarse(0.01).expanded().is_none());
    }

    #[test]
    fn edges_are_as_short_as_they_can_be() {
        for (low, high, expected) in [
            (2.345_59, 2.345_7, 2.3456),
            (9.87, 10.3, 10.0),
            (-0.5, 0.1, 0.0),
            (-123.456, -123.4, -123.4),
            (1.0e-7, 1.0001e-7, 1.0e-7),
            (4.9e-324, 4.9e-324, 4.9e-324),
            (1.797e308, f64::MAX, 1.797e308),
            (2.0, 2.0, 2.0),
        ] {
            let found = shortest(low, high);
            assert_eq!(
                found.to_bits(),
                f64::to_bits(expected),
                "{low} {high} {found}"
            );
        }
    }
}
