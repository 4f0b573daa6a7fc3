//! What is not there to compare: values that are missing, or of a type that does not belong.
//!
//! Both are shares of the rows, compared as 2×2 tables: the figures are those of
//! `scipy.stats.chi2_contingency(correction=False)`, the decision is made on Fisher's exact test.

use crate::drift::chi2;
use crate::drift::p_value::PValue;
use crate::drift::reference::Side;
use crate::drift::report::Test;
use crate::drift::values::Values;

use super::{Effect, Evidence, TestResult, Tested};

/// Compares the share of rows in which the value is missing.
pub(super) fn missing(side: Side<'_>, values: &Values<'_>) -> Tested {
    let reference = [side.missing() as u64, side.present() as u64];
    let current = [values.missing, values.rows - values.missing].map(|n| n as u64);
    share(Test::Missing, reference, current)
}

/// Compares the share of the values that are of a type that does not belong in the column: in the
/// reference there is none.
pub(super) fn mistyped(side: Side<'_>, values: &Values<'_>) -> Tested {
    let reference = [0, side.present() as u64];
    let current = [values.mistyped, values.compared()].map(|n| n as u64);
    share(Test::Type, reference, current)
}

fn share(test: Test, reference: [u64; 2], current: [u64; 2]) -> Tested {
    let total = |[with, without]: [u64; 2]| with + without;
    let comparable = total(reference) > 0 && total(current) > 0;
    let compared = chi2::homogeneity(&reference, &current);
    // Where none or all of both sides have it, nothing differs: so said, what stood can end.
    let (statistic, p) = compared.map_or((0.0, PValue::ONE), |test| {
        let (p, log10_p) = (test.p, test.log10_p);
        (test.statistic, PValue { p, log10_p })
    });
    let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    Tested {
        test,
        n_reference: count(total(reference)),
        n_current: count(total(current)),
        result: comparable.then(|| TestResult {
            statistic,
            p,
            effect: Effect::between(&reference, &current),
            evidence: Evidence::Share { reference, current },
            location: None,
            sign: None,
        }),
    }
}
