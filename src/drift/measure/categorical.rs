//! Categories: the χ² test of homogeneity.

use crate::drift::chi2;
use crate::drift::conditional;
use crate::drift::p_value::PValue;
use crate::drift::picture::Picture;
use crate::drift::reference::Categories;
use crate::drift::report::Test;
use crate::drift::values::Values;

use super::{Description, Effect, Evidence, Measurement, TestResult, Tested};

/// Cells with a smaller expected count are pooled before a χ² decision (Cochran 1954).
const MIN_EXPECTED: f64 = 5.0;

/// The most tables looked at for an exact p-value: some milliseconds.
const MOST_TABLES: u64 = 200_000;

/// Measures categories.
pub(super) fn measure(reference: &Categories, values: &Values<'_>) -> Measurement {
    let [before, now] = tables(reference, values);
    let (n_reference, n_current) = (reference.present(), values.compared());
    let comparable = n_reference > 0 && n_current > 0;
    let test = chi2::homogeneity(&before, &now);
    let constant = comparable && test.is_none();
    // One and the same category on both sides differs in nothing: so said, what stood can end.
    let same = chi2::Chi2Test {
        statistic: 0.0,
        p: 1.0,
        log10_p: 0.0,
        dof: 1,
    };
    let result = test.or(constant.then_some(same)).map(|test| {
        let pooled = chi2::pooled(&before, &now, MIN_EXPECTED);
        let decision = pooled.unwrap_or(same);
        TestResult {
            statistic: test.statistic,
            p: PValue {
                p: test.p,
                log10_p: test.log10_p,
            },
            effect: Effect::between(&before, &now),
            evidence: Evidence::Chi2 {
                dof: test.dof,
                pooled: decision.statistic,
                pooled_dof: decision.dof,
                exact: conditional::homogeneity(&before, &now, MOST_TABLES),
            },
            location: None,
            sign: None,
        }
    });
    Measurement {
        rows: values.rows,
        missing: values.missing,
        unseen: usize::try_from(values.unseen()).unwrap_or(usize::MAX),
        mistyped: values.mistyped,
        constant,
        tests: vec![Tested {
            test: Test::Chi2,
            n_reference,
            n_current,
            result,
        }],
        description: Description::default(),
    }
}

/// Effect sizes and the picture.
pub(super) fn describe(reference: &Categories, values: &Values<'_>) -> Description {
    let [before, now] = tables(reference, values);
    let comparable = reference.present() > 0 && values.compared() > 0;
    Description {
        effects: match comparable {
            true => super::shares(&before, &now),
            false => Vec::new(),
        },
        picture: Some(Picture::shares(reference, &values.counts, values.unseen())),
        ..Description::default()
    }
}

/// Counts of each category, in the reference and now. One that the reference does not hold has
/// nothing on its side, and a place of its own.
fn tables(reference: &Categories, values: &Values<'_>) -> [Vec<u64>; 2] {
    let nothing = std::iter::repeat_n(0, values.unseen.len());
    let unseen = values.unseen.values().copied();
    [
        reference.counts.iter().copied().chain(nothing).collect(),
        values.counts.iter().copied().chain(unseen).collect(),
    ]
}
