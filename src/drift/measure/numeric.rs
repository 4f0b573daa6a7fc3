//! Numbers: the KS test, values beyond the range, quantiles.

use crate::drift::effect;
use crate::drift::ks::ranks;
use crate::drift::memo::Memo;
use crate::drift::numbers::Numbers;
use crate::drift::picture::{Gap, Picture};
use crate::drift::range::{self, Beyond};
use crate::drift::report::{QuantilePair, Quantiles, Test};
use crate::drift::values::Values;

use super::{Description, Effect, Evidence, Measurement, Sides, TestResult, Tested};

/// Ties count where fewer distinct values than this share of all are left: above it they change
/// the p-value by next to nothing.
const TIED: f64 = 0.9;

/// Bins of the effect sizes that compare shares: the reference's deciles.
const BINS: usize = 10;

/// Measures numbers.
pub(super) fn measure(reference: &Numbers, values: &Values<'_>, memo: &mut Memo) -> Measurement {
    let compared = values.compared();
    let comparable = !reference.is_empty() && compared > 0;
    let tested = |test, result| Tested {
        test,
        n_reference: reference.len(),
        n_current: compared,
        result,
    };
    let beyond = beyond(reference, values);
    let one = (reference.range()).is_some_and(|(first, last)| first >= last);
    Measurement {
        rows: values.rows,
        missing: values.missing,
        unseen: 0,
        mistyped: values.mistyped,
        constant: one && beyond.below + beyond.above == 0 && comparable,
        tests: vec![
            tested(Test::Ks, comparable.then(|| ks(reference, values, memo))),
            tested(
                Test::Range,
                comparable.then(|| outside(reference, compared, beyond)),
            ),
        ],
        description: Description::default(),
    }
}

fn ks(reference: &Numbers, values: &Values<'_>, memo: &mut Memo) -> TestResult {
    let scratch = memo.scratch();
    let found = match &values.codes {
        None => ranks::of_values(reference, values.numbers(), scratch),
        Some(codes) => ranks::statistic(reference, codes, scratch, |code| values.largest(code)),
    };
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

/// Values beyond the reference's smallest and largest.
fn beyond(reference: &Numbers, values: &Values<'_>) -> Beyond {
    let count = |number: usize| number as u64;
    match (&values.codes, reference.range()) {
        (_, None) => Beyond::default(),
        (Some(codes), _) => {
            let last = reference.codes_end() - 1;
            let (mut below, mut above) = (0_u32, 0_u32);
            for code in codes {
                below += u32::from(*code == 0);
                above += u32::from(*code == last);
            }
            let (below, above) = (below.into(), above.into());
            Beyond { below, above }
        }
        (None, Some((low, high))) => {
            let numbers = values.numbers();
            Beyond {
                below: count(numbers.iter().filter(|value| **value < low).count()),
                above: count(numbers.iter().filter(|value| **value > high).count()),
            }
        }
    }
}

/// Current values beyond the reference's smallest and largest.
fn outside(reference: &Numbers, compared: usize, beyond: Beyond) -> TestResult {
    let Beyond { below, above } = beyond;
    let share = (above + below) as f64 / compared.max(1) as f64;
    TestResult {
        statistic: share,
        p: range::two_sided(reference.len() as u64, compared as u64, beyond),
        effect: Effect {
            size: share,
            leap: share,
        },
        evidence: Evidence::Range { above, below },
        location: None,
        sign: None,
    }
}

/// Quantiles, effect sizes and the picture, with the largest gap at `location`.
pub(super) fn describe(
    reference: &Numbers,
    values: &Values<'_>,
    location: Option<f64>,
) -> Description {
    let mut sorted = values.numbers().to_vec();
    if reference.is_empty() || sorted.is_empty() {
        return Description::default();
    }
    sorted.sort_unstable_by(f64::total_cmp);
    let current = Numbers::sorted(sorted, 0);
    let gap = location.map(|location| Gap {
        location,
        reference: reference.ecdf(location),
        current: current.ecdf(location),
    });
    let moments = reference.moments().zip(current.moments());
    Description {
        effects: effects(reference, &current),
        quantiles: quantiles(reference)
            .zip(quantiles(&current))
            .map(|(reference, current)| QuantilePair { reference, current }),
        shift: moments.and_then(|(from, to)| {
            (from.deviation > 0.0).then(|| (to.mean - from.mean) / from.deviation)
        }),
        sides: Sides::new(reference, &current),
        picture: Some(Picture::ecdf(reference, &current, gap)),
    }
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
