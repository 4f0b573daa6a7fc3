//! One column of current rows against its reference: the figures, before anything is decided.

use std::collections::BTreeMap;

use super::chi2;
use super::ks;
use super::picture::{Gap, Picture};
use super::reference::{Categories, ColumnReference, Numbers, Value};
use super::report::{QuantilePair, Quantiles, Test};

/// Cells with a smaller expected count are pooled before a χ² decision (Cochran 1954).
const MIN_EXPECTED: f64 = 5.0;

/// What the values of one column amount to, next to the reference.
#[derive(Debug, Clone)]
pub struct Measurement {
    /// Which test fits the column.
    pub test: Test,
    /// Rows looked at.
    pub rows: usize,
    /// Reference values compared.
    pub n_reference: usize,
    /// Current values compared: rows less missing and mistyped ones.
    pub n_current: usize,
    /// Current rows in which the value is missing.
    pub missing: usize,
    /// Current values whose category the reference does not hold.
    pub unseen: usize,
    /// Current values of a type that does not belong in the column.
    pub mistyped: usize,
    /// Both sides hold one and the same value throughout.
    pub constant: bool,
    /// The test's figures; `None` where one side holds no value.
    pub result: Option<TestResult>,
    /// Quantiles of both sides, for numbers.
    pub quantiles: Option<QuantilePair>,
    /// What the page draws.
    pub picture: Picture,
}

/// The figures of one test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TestResult {
    /// The statistic: D, or χ².
    pub statistic: f64,
    /// The p-value of the scipy call the test is named after.
    pub p_value: f64,
    /// Its decimal logarithm; finite also where `p_value` underflows to 0.
    pub log10_p: f64,
    /// Effect size between 0 and 1: D, or total variation.
    pub effect: f64,
    /// What the decision compares with its critical value.
    pub evidence: Evidence,
    /// The value at which the largest gap is, for KS.
    pub location: Option<f64>,
    /// +1: values moved up; −1: down, for KS.
    pub sign: Option<i8>,
}

/// What a decision is made on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Evidence {
    /// The integer |k₁n₂ − k₂n₁| of the largest ECDF gap.
    Ks {
        /// D is this over `n_reference · n_current`.
        gap: u128,
        /// p-value of the decision, decimal logarithm.
        log10_p: f64,
    },
    /// χ², plain and with the sparse cells pooled.
    Chi2 {
        /// Degrees of freedom of the plain test.
        dof: u32,
        /// The statistic of the pooled table.
        pooled: f64,
        /// Its degrees of freedom.
        pooled_dof: u32,
        /// p-value of the decision, decimal logarithm.
        log10_p: f64,
    },
}

/// Measures one column of current rows against its reference.
#[must_use]
pub fn measure(reference: &ColumnReference, values: impl Iterator<Item = Value>) -> Measurement {
    let tally = Tally::count(values, reference);
    match reference {
        ColumnReference::Numeric(numbers) | ColumnReference::Text(numbers) => {
            numeric(numbers, tally)
        }
        ColumnReference::Categorical(categories) => categorical(categories, &tally),
    }
}

fn numeric(reference: &Numbers, mut tally: Tally) -> Measurement {
    tally.numbers.sort_unstable_by(f64::total_cmp);
    let current = &tally.numbers;
    let comparable = !reference.sorted.is_empty() && !current.is_empty();
    let result = comparable.then(|| {
        let test = ks::two_sample(&reference.sorted, current);
        TestResult {
            statistic: test.found.statistic,
            p_value: test.p.p,
            log10_p: test.p.log10_p,
            effect: test.found.statistic,
            evidence: Evidence::Ks {
                gap: test.found.gap,
                log10_p: test.p.log10_p,
            },
            location: Some(test.found.location),
            sign: Some(test.found.sign),
        }
    });
    let gap = result.and_then(|r| r.location).map(|location| Gap {
        location,
        reference: ecdf(&reference.sorted, location),
        current: ecdf(current, location),
    });
    let spread = |sorted: &[f64]| match (sorted.first(), sorted.last()) {
        (Some(first), Some(last)) => Some((*first, *last)),
        _ => None,
    };
    let constant = spread(&reference.sorted)
        .is_some_and(|(first, last)| first >= last && spread(current) == Some((first, last)));
    Measurement {
        test: Test::Ks,
        rows: tally.rows,
        n_reference: reference.sorted.len(),
        n_current: current.len(),
        missing: tally.missing,
        unseen: 0,
        mistyped: tally.mistyped,
        constant,
        result,
        quantiles: comparable.then(|| QuantilePair {
            reference: quantiles(&reference.sorted),
            current: quantiles(current),
        }),
        picture: Picture::ecdf(&reference.sorted, current, gap),
    }
}

fn categorical(reference: &Categories, tally: &Tally) -> Measurement {
    let unseen: u64 = tally.unseen.values().sum();
    // A category the reference does not hold has nothing on its side, and a column of its own.
    let nothing = std::iter::repeat_n(0, tally.unseen.len());
    let reference_counts: Vec<u64> = reference.counts.iter().copied().chain(nothing).collect();
    let counted = tally.unseen.values().copied();
    let current_counts: Vec<u64> = tally.counts.iter().copied().chain(counted).collect();
    let n_reference: u64 = reference_counts.iter().sum();
    let n_current: u64 = current_counts.iter().sum();
    let result = chi2::homogeneity(&reference_counts, &current_counts).map(|test| {
        let pooled = chi2::pooled(&reference_counts, &current_counts, MIN_EXPECTED);
        let decision = pooled.unwrap_or(chi2::Chi2Test {
            statistic: 0.0,
            p: 1.0,
            log10_p: 0.0,
            dof: 1,
        });
        TestResult {
            statistic: test.statistic,
            p_value: test.p,
            log10_p: test.log10_p,
            effect: total_variation(&reference_counts, &current_counts),
            evidence: Evidence::Chi2 {
                dof: test.dof,
                pooled: decision.statistic,
                pooled_dof: decision.dof,
                // Both must be significant: sparse cells make the plain test too eager.
                log10_p: test.log10_p.max(decision.log10_p),
            },
            location: None,
            sign: None,
        }
    });
    let constant = n_reference > 0 && n_current > 0 && result.is_none();
    Measurement {
        test: Test::Chi2,
        rows: tally.rows,
        n_reference: usize::try_from(n_reference).unwrap_or(usize::MAX),
        n_current: usize::try_from(n_current).unwrap_or(usize::MAX),
        missing: tally.missing,
        unseen: usize::try_from(unseen).unwrap_or(usize::MAX),
        mistyped: tally.mistyped,
        constant,
        result,
        quantiles: None,
        picture: Picture::shares(reference, &tally.counts, unseen),
    }
}

/// Current values counted by what they are.
#[derive(Debug, Default)]
struct Tally {
    rows: usize,
    missing: usize,
    /// Counts of unseen words by their hash, in the order of the hashes.
    unseen: BTreeMap<u32, u64>,
    mistyped: usize,
    numbers: Vec<f64>,
    counts: Vec<u64>,
}

impl Tally {
    fn count(values: impl Iterator<Item = Value>, reference: &ColumnReference) -> Self {
        let mut tally = Self::default();
        if let ColumnReference::Categorical(categories) = reference {
            tally.counts = vec![0; categories.names.len()];
        }
        for value in values {
            tally.rows += 1;
            match value {
                Value::Missing => tally.missing += 1,
                Value::Unseen(word) => *tally.unseen.entry(word).or_default() += 1,
                Value::Mistyped => tally.mistyped += 1,
                Value::Number(number) => tally.numbers.push(number),
                Value::Category(code) => match tally.counts.get_mut(code as usize) {
                    Some(count) => *count += 1,
                    None => *tally.unseen.entry(code).or_default() += 1,
                },
            }
        }
        tally
    }
}

/// Share of `sorted` up to and including `x`.
fn ecdf(sorted: &[f64], x: f64) -> f64 {
    sorted.partition_point(|value| *value <= x) as f64 / sorted.len().max(1) as f64
}

/// `numpy.quantile(sorted, q, method="inverted_cdf")`; `sorted` is not empty.
fn quantiles(sorted: &[f64]) -> Quantiles {
    let at = |q: f64| {
        let rank = (q * sorted.len() as f64).ceil().max(1.0) as usize;
        sorted[rank.min(sorted.len()) - 1]
    };
    Quantiles {
        p05: at(0.05),
        p25: at(0.25),
        p50: at(0.5),
        p75: at(0.75),
        p95: at(0.95),
    }
}

/// ½ Σ |pᵢ − qᵢ| over the categories of both sides.
fn total_variation(reference: &[u64], current: &[u64]) -> f64 {
    let share =
        |counts: &[u64], i: usize| counts[i] as f64 / counts.iter().sum::<u64>().max(1) as f64;
    let gaps = (0..reference.len()).map(|i| (share(reference, i) - share(current, i)).abs());
    gaps.sum::<f64>() / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature::{Cell, Kind};

    fn numbers(values: &[f64]) -> ColumnReference {
        ColumnReference::new(Kind::Numeric, values.iter().map(|v| Cell::Number(*v)))
    }

    fn words(words: &[&str]) -> ColumnReference {
        let cells = words.iter().map(|w| Cell::Text((*w).into()));
        ColumnReference::new(Kind::Categorical, cells)
    }

    #[test]
    fn a_numeric_column_is_measured_as_ks_2samp_does() {
        let reference = numbers(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        let current = [3.0, 4.0, 5.0, 6.0].map(Value::Number);
        let measured = measure(&reference, current.into_iter().chain([Value::Missing]));
        let result = measured.result.unwrap();
        // scipy.stats.ks_2samp([1,2,3,4,5], [3,4,5,6])
        //   → statistic=0.4, pvalue=0.7460317460317459, statistic_location=2, sign=1
        assert!((result.statistic - 0.4).abs() < 1e-15);
        assert!((result.p_value - 0.746_031_746_031_745_9).abs() < 1e-12);
        assert_eq!((result.location, result.sign), (Some(2.0), Some(1)));
        assert_eq!(
            (measured.rows, measured.n_current, measured.missing),
            (5, 4, 1)
        );
    }

    #[test]
    fn a_categorical_column_is_measured_as_chi2_contingency_does() {
        let reference = words(&["a", "a", "a", "b", "b", "c"]);
        let codes = ["a", "b", "b", "b", "d"].map(|w| reference.encode(&Cell::Text(w.into())));
        let measured = measure(&reference, codes.into_iter());
        let result = measured.result.unwrap();
        // scipy.stats.chi2_contingency([[3,2,1,0],[1,3,0,1]], correction=False)
        //   → statistic=3.135, pvalue=0.37127552923481943
        assert!((result.statistic - 3.135).abs() < 1e-12, "{result:?}");
        assert!(
            (result.p_value - 0.371_275_529_234_819_43).abs() < 1e-12,
            "{result:?}"
        );
        assert_eq!(measured.unseen, 1);
        // ½(|3/6−1/5| + |2/6−3/5| + |1/6−0| + |0−1/5|) = 7/15
        assert!((result.effect - 7.0 / 15.0).abs() < 1e-15);
    }

    /// Draws of one distribution must not look like drift, however many categories it has and
    /// however many of them the reference happens to lack.
    #[test]
    fn many_rare_categories_are_no_drift() {
        let mut state = 0x5EED_u64;
        let mut word = || {
            // xorshift64*, then Zipf over 300 words by the inverse of ln.
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            let uniform =
                (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64;
            Cell::Text(format!("w{}", 300f64.powf(uniform) as u32).into())
        };
        let mut flagged = 0;
        for _ in 0..60 {
            let cells: Vec<Cell> = (0..1000).map(|_| word()).collect();
            let reference = ColumnReference::new(Kind::Categorical, cells);
            let measured = measure(&reference, (0..3000).map(|_| reference.encode(&word())));
            assert!(measured.unseen > 0, "every word was seen: no test");
            let Some(TestResult {
                evidence: Evidence::Chi2 { log10_p, .. },
                ..
            }) = measured.result
            else {
                panic!("a chi-squared test");
            };
            flagged += usize::from(log10_p < -2.0);
        }
        // 60 tests at α = 0.01; scipy.stats.binom.sf(4, 60, .01) → 0.0003
        assert!(
            flagged <= 4,
            "{flagged} of 60 draws of one distribution differ at 1 %"
        );
    }

    #[test]
    fn one_and_the_same_value_on_both_sides_is_constant() {
        let measured = measure(&numbers(&[2.0; 9]), [Value::Number(2.0); 4].into_iter());
        assert!(measured.constant);
        let measured = measure(&words(&["x"; 9]), [Value::Category(0); 4].into_iter());
        assert!(measured.constant);
        let measured = measure(&numbers(&[2.0; 9]), [Value::Number(3.0); 4].into_iter());
        assert!(!measured.constant);
        assert!((measured.result.unwrap().statistic - 1.0).abs() < 1e-15);
    }

    #[test]
    fn an_empty_side_has_no_result() {
        let measured = measure(&numbers(&[1.0]), [Value::Missing; 3].into_iter());
        assert_eq!(measured.result, None);
        assert_eq!(measured.missing, 3);
    }

    #[test]
    fn quantiles_are_values_that_occur() {
        // numpy.quantile([1,2,3,4], [.05,.25,.5,.75,.95], method="inverted_cdf") → 1 1 2 3 4
        let q = quantiles(&[1.0, 2.0, 3.0, 4.0]);
        let found = [q.p05, q.p25, q.p50, q.p75, q.p95].map(f64::to_bits);
        assert_eq!(found, [1.0, 1.0, 2.0, 3.0, 4.0].map(f64::to_bits));
    }
}
