//! Wrong wiring is not drift: where nearly every feature differs from the first check on, requests
//! and reference most likely do not mean the same columns, or not in the same units.

use crate::drift::alarm::Alarm;
use crate::drift::measure::{QUANTILES, Sides};
use crate::drift::report::{FeatureReport, Level, SpanName, State};
use crate::feature::Role;

use super::ModelCheck;

/// A feature that differs by this much (D, or total variation) is another feature.
const OTHER: f64 = 0.5;

/// Two distributions this near are the same feature.
const SAME: f64 = 0.2;

/// Nearly all: this share of the features, and at least [`FEWEST`] of them.
const NEARLY_ALL: f64 = 0.8;
const FEWEST: usize = 3;

/// The least share of the variation of quantiles that a line explains where one is a factor and
/// offset of the other.
const STRAIGHT: f64 = 0.98;

/// What tells wrong wiring from drift, of one track.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) name: Box<str>,
    /// How far the current values are from the reference, 0 to 1; `None` where nothing is known.
    pub(super) gap: Option<f64>,
    /// Its standing verdict.
    pub(super) alarm: Option<Alarm>,
    pub(super) role: Role,
    /// Quantiles of both sides, for numbers.
    pub(super) quantiles: Option<Sides>,
}

/// A factor and an offset.
#[derive(Debug, Clone, Copy)]
struct Line {
    factor: f64,
    offset: f64,
}

impl ModelCheck<'_> {
    /// The likely cause, in words, where nearly every feature differs and has from the first
    /// decision on. Marks those features.
    pub(super) fn wrong_wiring(&mut self) -> Option<String> {
        let features = || self.wires.iter().filter(|wire| wire.role == Role::Feature);
        let first = self.alarms.began?;
        let other = |wire: &&Wire| {
            let since_first =
                (wire.alarm).is_some_and(|alarm| alarm.drifted && alarm.since <= first);
            since_first && wire.gap.is_some_and(|gap| gap >= OTHER)
        };
        let others: Vec<&Wire> = features().filter(other).collect();
        let known = features().filter(|wire| wire.gap.is_some()).count();
        if others.len() < FEWEST || (others.len() as f64) < NEARLY_ALL * known as f64 {
            return None;
        }
        let cause = cause(&others);
        let names: Vec<Box<str>> = others.iter().map(|wire| wire.name.clone()).collect();
        for feature in &mut self.features {
            if names.iter().any(|name| **name == *feature.name) {
                mark(feature);
            }
        }
        Some(format!(
            "{} of {known} features differ from the first check on, which is wrong wiring more \
             often than drift: {cause}.",
            names.len()
        ))
    }
}

fn mark(feature: &mut FeatureReport) {
    feature.state = State::Mismatch;
    feature.drifted = None;
    feature.level = Level::Warn;
    for check in &mut feature.checks {
        if check.span == SpanName::Main && check.state == State::Drifted {
            check.state = State::Mismatch;
            check.drifted = None;
        }
        check.level = check.level.min(Level::Warn);
    }
}

/// The likely cause.
fn cause(others: &[&Wire]) -> String {
    let numeric: Vec<(&str, &Sides)> = (others.iter())
        .filter_map(|wire| Some((&*wire.name, wire.quantiles.as_ref()?)))
        .collect();
    if (numeric.len() as f64) < NEARLY_ALL * others.len() as f64 {
        return "their values are encoded differently (words against codes, numbers against text)"
            .to_owned();
    }
    if let Some(moved) = permuted(&numeric) {
        return format!("the columns are in another order ({moved})");
    }
    let lines: Vec<Line> = (numeric.iter())
        .filter_map(|(_, sides)| line(sides))
        .collect();
    if (lines.len() as f64) < NEARLY_ALL * numeric.len() as f64 {
        return "no simple rule leads from one to the other".to_owned();
    }
    let standard = |numbers: &[f64; QUANTILES]| {
        let (low, middle, high) = (numbers[2], numbers[QUANTILES / 2], numbers[QUANTILES - 3]);
        middle.abs() < 1.0 && (1.0..4.0).contains(&(high - low))
    };
    let all = |of: &dyn Fn(&Sides) -> bool| numeric.iter().all(|(_, sides)| of(sides));
    let factors: Vec<f64> = lines.iter().map(|line| line.factor).collect();
    let (low, high) = (factors.iter()).fold((f64::MAX, f64::MIN), |(low, high), factor| {
        (low.min(*factor), high.max(*factor))
    });
    let shown = crate::drift::explain::figure;
    if (high - low).abs() <= 0.05 * high.abs() && (high - 1.0).abs() > 0.05 {
        format!("requests hold the reference's values times {}", shown(high))
    } else if all(&|sides| standard(&sides.current)) {
        "requests hold standardised values, the reference raw ones; use the data as the model gets it"
            .to_owned()
    } else if all(&|sides| standard(&sides.reference)) {
        "the reference holds standardised values, requests raw ones; use the data as the model gets it"
            .to_owned()
    } else {
        let Line { factor, offset } = lines[0];
        format!(
            "each is a constant factor and offset of the reference's ({} = {} × reference + {})",
            numeric[0].0,
            shown(factor),
            shown(offset)
        )
    }
}

/// The line that leads from the reference's quantiles to the current ones, if one does.
fn line(sides: &Sides) -> Option<Line> {
    let n = QUANTILES as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / n;
    let (x, y) = (mean(&sides.reference), mean(&sides.current));
    let pairs = || sides.reference.iter().zip(&sides.current);
    let xy: f64 = pairs().map(|(a, b)| (a - x) * (b - y)).sum();
    let xx: f64 = pairs().map(|(a, _)| (a - x).powi(2)).sum();
    let yy: f64 = pairs().map(|(_, b)| (b - y).powi(2)).sum();
    let explained = xy * xy / (xx * yy);
    (explained >= STRAIGHT).then(|| Line {
        factor: xy / xx,
        offset: y - xy / xx * x,
    })
}

/// Which columns hold which others' values, where nearly all find a partner.
fn permuted(numeric: &[(&str, &Sides)]) -> Option<String> {
    let mut moves = Vec::new();
    for (name, sides) in numeric {
        let near = |(_, other): &(&str, &Sides)| distance(&sides.current, other);
        let nearest = (numeric.iter().filter(|(other, _)| other != name))
            .map(|other| (other.0, near(other)))
            .min_by(|a, b| a.1.total_cmp(&b.1))?;
        if nearest.1 <= SAME {
            moves.push((nearest.0, *name));
        }
    }
    let mut sources: Vec<&str> = moves.iter().map(|(source, _)| *source).collect();
    sources.sort_unstable();
    sources.dedup();
    if (sources.len() as f64) < NEARLY_ALL * numeric.len() as f64 {
        return None;
    }
    let shown: Vec<String> = (moves.iter().take(4))
        .map(|(source, name)| format!("{name} holds the reference's {source}"))
        .collect();
    Some(shown.join(", "))
}

/// The largest gap between the current quantiles and the reference's distribution, as far as
/// quantiles tell it.
fn distance(current: &[f64; QUANTILES], other: &Sides) -> f64 {
    let level = |i: usize| (i + 1) as f64 / (QUANTILES + 1) as f64;
    let slack = if other.tied { 0.1 } else { 0.0 };
    let gap = |(i, value): (usize, &f64)| {
        let below = other.reference.partition_point(|q| q < value);
        let upto = other.reference.partition_point(|q| q <= value);
        let (low, high) = (below as f64, upto as f64 + 1.0);
        let scale = (QUANTILES + 1) as f64;
        let (low, high) = (low / scale - slack, high / scale + slack);
        (low - level(i)).max(level(i) - high).max(0.0)
    };
    current.iter().enumerate().map(gap).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::numbers::Numbers;
    use crate::timestamp::Timestamp;

    /// Column `i` is spread over its own range, skewed in its own way.
    fn column(i: usize) -> Numbers {
        let value =
            |k: u32| (f64::from(k) / 500.0).powi(i as i32 + 1) * (i + 1) as f64 * 3.0 + i as f64;
        Numbers::new((0..500).map(|k| Some(value(k))))
    }

    fn mapped(numbers: &Numbers, map: impl Fn(f64) -> f64) -> Numbers {
        Numbers::new(
            numbers
                .values()
                .unwrap()
                .iter()
                .map(|value| Some(map(*value))),
        )
    }

    fn wires(currents: Vec<Numbers>) -> Vec<Wire> {
        let alarm = Alarm {
            drifted: true,
            since: Timestamp(1),
            alpha: 0.0,
        };
        let wire = |(i, current): (usize, Numbers)| Wire {
            name: format!("c{i}").into(),
            gap: Some(0.9),
            alarm: Some(alarm),
            role: Role::Feature,
            quantiles: Sides::new(&column(i), &current),
        };
        currents.into_iter().enumerate().map(wire).collect()
    }

    fn told(currents: Vec<Numbers>) -> String {
        let wires = wires(currents);
        cause(&wires.iter().collect::<Vec<_>>())
    }

    #[test]
    fn columns_in_another_order_are_recognised() {
        let told = told([1, 2, 3, 0].map(column).into());
        assert!(told.contains("another order"), "{told}");
        assert!(told.contains("c0 holds the reference's c1"), "{told}");
    }

    #[test]
    fn factors_and_standardised_values_are_recognised() {
        let inches = (0..4).map(|i| mapped(&column(i), |x| x * 2.54)).collect();
        assert!(told(inches).contains("times 2.54"));
        let standardised = (0..4).map(|i| {
            let moments = column(i).moments().unwrap();
            mapped(&column(i), |x| (x - moments.mean) / moments.deviation)
        });
        assert!(told(standardised.collect()).contains("requests hold standardised"));
    }

    #[test]
    fn what_follows_no_rule_is_said_to() {
        let jumbled = (0..4).map(|i| mapped(&column(i), |x| 1e6 + (x * 1e4).sin()));
        let told = told(jumbled.collect());
        assert!(told.contains("no simple rule"), "{told}");
    }
}
