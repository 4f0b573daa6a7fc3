//! Medians, and how sure they are.

use std::fmt;

/// A median with the 95 % interval of its order statistics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Median {
    /// NaN where there was no value.
    pub(crate) value: f64,
    /// `None` with fewer than six values, which give no such interval.
    interval: Option<(f64, f64)>,
}

// === impl Median ===

impl Median {
    /// Of these; those that are no number are left out.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().filter(|v| !v.is_nan()).collect();
        values.sort_unstable_by(f64::total_cmp);
        let count = values.len();
        let middle = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let skipped = skipped(count);
        Self {
            value: f64::midpoint(middle(count.saturating_sub(1) / 2), middle(count / 2)),
            interval: skipped.map(|skipped| (values[skipped], values[count - 1 - skipped])),
        }
    }

    /// Whether all of its interval is below `value`; without one, whether it is itself.
    pub(crate) fn below(self, value: f64) -> bool {
        self.interval.map_or(self.value, |(_, high)| high) < value
    }

    /// Of the ratios of two contestants' rounds.
    pub(crate) fn ratio(ours: &[f64], theirs: &[f64]) -> Self {
        Self::of(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs))
    }
}

impl fmt::Display for Median {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        match self.interval {
            _ if self.value.is_nan() => f.write_str("–"),
            Some((low, high)) => write!(
                f,
                "{:.digits$} ({low:.digits$}–{high:.digits$})",
                self.value
            ),
            None => write!(f, "{:.digits$}", self.value),
        }
    }
}

/// How many of `count` sorted values may be left out on either side, so that the rest still spans
/// the median with 95 %: the number of values below it is binomial(count, 1/2).
fn skipped(count: usize) -> Option<usize> {
    let mut term = 0.5_f64.powi(i32::try_from(count).ok()?);
    let (mut below, mut skipped) = (0.0, None);
    for k in 0..count / 2 {
        below += term;
        if below > 0.025 {
            break;
        }
        skipped = Some(k);
        term *= (count - k) as f64 / (k + 1) as f64;
    }
    skipped
}
