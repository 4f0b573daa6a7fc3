"""What scipy says of the same rows, and how closely driftd has to agree."""

import math
from collections import Counter

import numpy as np
import pytest
from scipy.stats import chi2_contingency, ks_2samp


def ks(reference, current):
    """The two-sample Kolmogorov-Smirnov test of what is not missing."""
    reference, current = present(reference), present(current)
    result = ks_2samp(reference, current)
    return result.statistic, result.pvalue, len(reference), len(current)


def chi2(reference, current):
    """The 2 x K test of homogeneity over the categories of both."""
    reference, current = present(reference), present(current)
    before, now = Counter(reference), Counter(current)
    columns = [[before[category], now[category]] for category in sorted(before | now)]
    result = chi2_contingency(np.array(columns).T, correction=False)
    return result.statistic, result.pvalue, len(reference), len(current)


def present(values):
    """The values that are not missing."""
    return [v for v in values if v is not None and not (isinstance(v, float) and math.isnan(v))]


def assert_equals_scipy(check, expected, what):
    """`statistic`, `p_value` and both sample sizes of a check are scipy's."""
    statistic, p_value, n_reference, n_current = expected
    assert (check["n_reference"], check["n_current"]) == (n_reference, n_current), what
    assert check["statistic"] == pytest.approx(statistic, rel=1e-10, abs=1e-12), what
    if p_value > 1e-290:
        assert check["p_value"] == pytest.approx(p_value, rel=1e-9), what
        assert check["log10_p"] == pytest.approx(math.log10(p_value), rel=1e-9, abs=1e-9), what
    else:
        # Near the smallest double p is rounded coarsely, and then zero; its logarithm is not.
        assert check["p_value"] <= 1e-289 and check["log10_p"] < -289, what
