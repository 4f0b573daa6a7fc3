//! Numbers: the KS test, values beyond the range, quantiles.

use crate::drift::effect;
use crate::drift::ks::ranks;
use crate::drift::memo::Memo;
use crate::drift::numbers::Numbers;
use crate::drift::picture::{Gap, Picture};
use crate::drift::range::{self, Beyond};
use crate::drift::report::{QuantilePair, Quantiles, Test};
use crate::drift::values::Values;

use super::{Effect, Evidence, Measurement, Sides, TestResult, Tested};

/// Ties count where fewer distinct values than this share of all are left: above it they change
/// the p-value by next to nothing.
const TIED: f64 = 0.9;

/// Bins of the effect sizes that compare shares: the reference's deciles.
const BINS: usize = 10;

/// Measures numbers.
pub(super) fn measure(
    reference: &Numbers,
    values: &mut Values,
    describe: bool,
    memo: &mut Memo,
) -> Measurement {
    let comparable = !reference.is_empty() && !values.numbers.is_empty();
    let spread = values.numbers.iter().fold(None, |spread, value| {
        let (low, high) = spread.unwrap_or((*value, *value));
        Some((value.min(low), value.max(high)))
    });
    let constant = reference
        .range()
        .is_some_and(|(first, last)| first >= last && spread == Some((first, last)));
    let mut measured = Measurement {
        rows: values.rows,
        missing: values.missing,
        unseen: 0,
        mistyped: values.mistyped,
        constant,
        tests: vec![
            Tested {
                result: comparable.then(|| ks(reference, values, memo)),
                ..tested(Test::Ks, reference, values)
            },
            Tested {
                result: comparable.then(|| outside(reference, values, spread)),
                ..tested(Test::Range, reference, values)
            },
        ],
        effects: Vec::new(),
        quantiles: None,
        shift: None,
        sides: None,
        picture: None,
    };
    if describe && comparable {
        illustrate(reference, values, &mut measured);
    }
    measured
}

fn tested(test: Test, reference: &Numbers, values: &Values) -> Tested {
    Tested {
        test,
        n_reference: reference.len(),
        n_current: values.numbers.len(),
        result: None,
    }
}

/// Sorts the codes of `values` in place.
fn ks(reference: &Numbers, values: &mut Values, memo: &mut Memo) -> TestResult {
    let places = reference.edges().map_or(reference.len(), <[_]>::len);
    ranks::sort(&mut values.codes, memo.scratch(), 2 * places as u32 + 2);
    // The largest value of a gap is the largest below the reference value that ends it.
    let largest = |code: u32| {
        let end = reference.point((code / 2) as usize);
        let below = |value: &&f64| end.is_none_or(|end| **value < end);
        values
            .numbers
            .iter()
            .filter(below)
            .copied()
            .reduce(f64::max)
    };
    let found = ranks::statistic(reference, &values.codes, largest);
    TestResult {
        statistic: found.statistic,
        p: memo.p_value(found.gap, found.n_reference, found.n_current),
        effect: Effect {
            size: found.statistic,
            leap: 0.0,
        },
        evidence: Evidence::Ks {
            gap: found.gap,
            tied: reference.values().is_some() && reference.tied() < TIED,
        },
        location: Some(found.location),
        sign: Some(found.sign),
    }
}

/// Current values beyond the reference's smallest and largest.
fn outside(reference: &Numbers, values: &Values, spread: Option<(f64, f64)>) -> TestResult {
    let (low, high) = reference.range().unwrap_or((f64::NAN, f64::NAN));
    let within = spread.is_some_and(|(least, most)| least >= low && most <= high);
    let (mut above, mut below) = (0, 0);
    for value in values.numbers.iter().filter(|_| !within) {
        above += u64::from(*value > high);
        below += u64::from(*value < low);
    }
    let (n, w) = (reference.len() as u64, values.numbers.len() as u64);
    let share = (above + below) as f64 / w.max(1) as f64;
    TestResult {
        statistic: share,
        p: range::two_sided(n, w, Beyond { below, above }),
        effect: Effect {
            size: share,
            leap: share,
        },
        evidence: Evidence::Range { above, below },
        location: None,
        sign: None,
    }
}

/// Quantiles, effect sizes and the picture. Sorts the numbers of `values`.
fn illustrate(reference: &Numbers, values: &mut Values, measured: &mut Measurement) {
    let mut sorted = std::mem::take(&mut values.numbers);
    sorted.sort_unstable_by(f64::total_cmp);
    let current = Numbers::sorted(sorted, 0);
    let location = (measured.tests[0].result.as_ref()).and_then(|result| result.location);
    let gap = location.map(|location| Gap {
        location,
        reference: reference.ecdf(location),
        current: current.ecdf(location),
    });
    measured.quantiles = quantiles(reference)
        .zip(quantiles(&current))
        .map(|(reference, current)| QuantilePair { reference, current });
    let moments = reference.moments().zip(current.moments());
    measured.shift = moments.and_then(|(from, to)| {
        (from.deviation > 0.0).then(|| (to.mean - from.mean) / from.deviation)
    });
    measured.sides = Sides::new(reference, &current);
    measured.effects = effects(reference, &current);
    let sorted = current.values().unwrap_or_default();
    measured.picture = Some(Picture::ecdf(reference, sorted, gap));
    // A test on ties may ask for them still.
    values.numbers = sorted.to_vec();
}

fn quantiles(numbers: &Numbers) -> Option<Quantiles> {
    Some(Quantiles {
        p05: numbers.quantile(0.05)?,
        p25: numbers.quantile(0.25)?,
        p50: numbers.quantile(0.5)?,
        p75: numbers.quantile(0.75)?,
        p95: numbers.quantile(0.95)?,
    })
}

fn effects(reference: &Numbers, current: &Numbers) -> Vec<(Test, f64)> {
    let cuts = reference.cuts(BINS);
    let mut effects = super::shares(&reference.counts(&cuts), &current.counts(&cuts));
    let wasserstein = (reference.values().zip(current.values()))
        .and_then(|(from, to)| effect::wasserstein(from, to))
        .zip(reference.moments())
        .map(|(distance, moments)| distance / effect::wasserstein_divisor(moments.deviation))
        .filter(|distance| distance.is_finite());
    effects.extend(wasserstein.map(|distance| (Test::Wasserstein, distance)));
    effects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occur() {
        // numpy.quantile([1,2,3,4], [.05,.25,.5,.75,.95], method="inverted_cdf") → 1 1 2 3 4
        let q = quantiles(&Numbers::new([1.0, 2.0, 3.0, 4.0].map(Some))).unwrap();
        let found = [q.p05, q.p25, q.p50, q.p75, q.p95].map(f64::to_bits);
        assert_eq!(found, [1.0, 1.0, 2.0, 3.0, 4.0].map(f64::to_bits));
    }
}
