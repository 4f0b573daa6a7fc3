//! Numbers: the KS test, values beyond the range, quantiles.

use crate::drift::effect;
use crate::drift::ks::ranks;
use crate::drift::ks::ties::Block;
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
            tested(Test::Ks, reference, values, || ks(reference, values, memo)),
            tested(Test::Range, reference, values, || {
                outside(reference, values)
            }),
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

fn tested(
    test: Test,
    reference: &Numbers,
    values: &Values,
    result: impl FnOnce() -> TestResult,
) -> Tested {
    let comparable = !reference.is_empty() && !values.numbers.is_empty();
    Tested {
        test,
        n_reference: reference.len(),
        n_current: values.numbers.len(),
        result: comparable.then(result),
    }
}

fn ks(reference: &Numbers, values: &Values, memo: &mut Memo) -> TestResult {
    let mut codes = values.codes.clone();
    let places = reference.edges().map_or(reference.len(), <[_]>::len);
    ranks::sort(&mut codes, &mut Vec::new(), 2 * places as u32 + 2);
    let largest = |code: u32| {
        let of_code = (values.codes.iter().zip(&values.numbers)).filter(|(c, _)| **c == code);
        of_code.map(|(_, value)| *value).max_by(f64::total_cmp)
    };
    let found = ranks::statistic(reference, &codes, largest);
    TestResult {
        statistic: found.statistic,
        p: memo
            .p_value(found.gap, found.n_reference, found.n_current)
            .into(),
        effect: Effect {
            size: found.statistic,
            leap: 0.0,
        },
        evidence: Evidence::Ks {
            gap: found.gap,
            ties: ties(reference, &values.numbers),
        },
        location: Some(found.location),
        sign: Some(found.sign),
    }
}

/// The blocks of tied values, ascending; none where most values differ, or are not all known.
fn ties(reference: &Numbers, current: &[f64]) -> Vec<Block> {
    let Some(sorted) = reference.values().filter(|_| reference.tied() < TIED) else {
        return Vec::new();
    };
    let mut current = current.to_vec();
    current.sort_unstable_by(f64::total_cmp);
    let (mut a, mut b) = (sorted, &current[..]);
    let mut blocks = Vec::new();
    while let Some(value) = (a.first().into_iter().chain(b.first()).copied()).reduce(f64::min) {
        let upto = |values: &[f64]| values.iter().take_while(|v| **v <= value).count();
        let (in_a, in_b) = (upto(a), upto(b));
        (a, b) = (&a[in_a..], &b[in_b..]);
        blocks.push(Block {
            reference: in_a as u32,
            current: in_b as u32,
        });
    }
    blocks
}

/// Current values beyond the reference's smallest and largest.
fn outside(reference: &Numbers, values: &Values) -> TestResult {
    let (low, high) = reference.range().unwrap_or((f64::NAN, f64::NAN));
    let count = |beyond: &dyn Fn(f64) -> bool| {
        values
            .numbers
            .iter()
            .filter(|value| beyond(**value))
            .count() as u64
    };
    let (above, below) = (count(&|value| value > high), count(&|value| value < low));
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

/// Quantiles, effect sizes and the picture. Takes the numbers out of `values` to sort them.
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

    #[test]
    fn ties_are_counted_over_both_samples() {
        let reference = Numbers::new([1.0, 1.0, 2.0, 2.0, 2.0, 5.0].map(Some));
        let blocks = ties(&reference, &[2.0, 7.0, 0.0]);
        let sizes: Vec<_> = blocks.iter().map(|b| (b.reference, b.current)).collect();
        assert_eq!(sizes, [(0, 1), (2, 0), (3, 1), (1, 0), (0, 1)]);
        let distinct = Numbers::new((0..20).map(|i| Some(f64::from(i))));
        assert!(ties(&distinct, &[2.0]).is_empty());
    }
}
