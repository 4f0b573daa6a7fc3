//! The x axis of a picture: its range, its ticks, and where a value lies on it.

use super::text;

/// How much wider than its middle an axis may be before it is cut: one stray value would otherwise
/// press both curves against an edge.
const STRETCH: f64 = 5.0;

/// A linear axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    /// Whether values lie beyond the range drawn.
    pub(super) cut: bool,
}

// === impl Axis ===

impl Axis {
    /// An axis that shows both ECDFs, and `also`. `None` where there is nothing to show.
    pub(super) fn over(curves: [&[(f64, f64)]; 2], also: Option<f64>) -> Option<Self> {
        let also = also.filter(|value| value.is_finite());
        let curves = curves.into_iter().filter(|curve| !curve.is_empty());
        let (mut full, mut middle) = (Range::EMPTY, Range::EMPTY);
        for curve in curves {
            let at = |height: f64| {
                let index = curve.partition_point(|(_, f)| *f < height);
                curve[index.min(curve.len() - 1)].0
            };
            full = full.with(curve[0].0).with(curve[curve.len() - 1].0);
            middle = middle.with(at(0.01)).with(at(0.99));
        }
        if let Some(also) = also {
            (full, middle) = (full.with(also), middle.with(also));
        }
        let cut = middle.width() > 0.0 && full.width() > STRETCH * middle.width();
        let range = if cut { middle } else { full };
        let margin = match range.width() {
            width if width > 0.0 => width * 0.04,
            _ => (range.low.abs() * 0.1).max(0.5),
        };
        let axis = Self {
            low: range.low - margin,
            high: range.high + margin,
            cut,
        };
        let drawable = axis.high > axis.low && (axis.high - axis.low).is_finite();
        drawable.then_some(axis)
    }

    /// Where `value` lies, 0 at the left end and 1 at the right, clamped to them.
    pub(super) fn place(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// About five round values with their labels.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let rough = (self.high - self.low) / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|factor| factor * power)
            .into_iter()
            .find(|step| *step >= rough)
            .unwrap_or(rough);
        let first = (self.low / step).ceil();
        (0..12)
            .map(|index| (first + f64::from(index)) * step)
            .take_while(|value| *value <= self.high)
            .map(|value| (value, label(value, step)))
            .collect()
    }
}

/// A tick's label: as many decimals as the step needs.
fn label(value: f64, step: f64) -> String {
    let decimals = -step.log10().floor();
    if value.abs() >= 1e5 || decimals > 4.0 {
        return text::number(if value.abs() < step / 2.0 { 0.0 } else { value });
    }
    let decimals = if decimals > 0.0 { decimals as usize } else { 0 };
    let written = format!("{:.decimals$}", value.abs());
    let negative = value < 0.0 && written.contains(|c: char| ('1'..='9').contains(&c));
    if negative {
        format!("−{written}")
    } else {
        written
    }
}

#[derive(Debug, Clone, Copy)]
struct Range {
    low: f64,
    high: f64,
}

impl Range {
    const EMPTY: Self = Self {
        low: f64::INFINITY,
        high: f64::NEG_INFINITY,
    };

    const fn with(self, value: f64) -> Self {
        Self {
            low: self.low.min(value),
            high: self.high.max(value),
        }
    }

    fn width(self) -> f64 {
        self.high - self.low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round() {
        let axis = Axis::over([&[(4.3, 0.5), (7.9, 1.0)], &[(5.0, 1.0)]], None).unwrap();
        assert_eq!(labels(axis), ["5", "6", "7", "8"]);
        let axis = Axis::over([&[(-0.02, 0.5), (0.02, 1.0)], &[]], None).unwrap();
        assert_eq!(labels(axis), ["−0.02", "−0.01", "0.00", "0.01", "0.02"]);
    }

    #[test]
    fn a_stray_value_does_not_set_the_scale() {
        let mut curve: Vec<(f64, f64)> = (1..=199)
            .map(|i| (f64::from(i), f64::from(i) / 200.0))
            .collect();
        curve.push((1e9, 1.0));
        let axis = Axis::over([&curve, &[]], None).unwrap();
        assert!(axis.cut);
        assert!(axis.high < 250.0, "{axis:?}");
        assert!((axis.place(1e9) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn one_value_and_no_value() {
        let axis = Axis::over([&[(3.0, 1.0)], &[(3.0, 1.0)]], None).unwrap();
        assert!((axis.place(3.0) - 0.5).abs() < 1e-9);
        assert_eq!(Axis::over([&[], &[]], None), None);
        let huge = [(-f64::MAX, 0.5), (f64::MAX, 1.0)];
        assert_eq!(Axis::over([&huge, &[]], None), None);
    }

    #[test]
    fn ticks_end_also_where_steps_vanish_in_rounding() {
        for low in [1e15, -1e-300, 1e300, 0.1 + 0.2] {
            let axis = Axis::over([&[(low, 0.5), (low * (1.0 + 1e-15), 1.0)], &[]], None);
            assert!(axis.is_none_or(|axis| axis.ticks().len() <= 12));
        }
    }
}
