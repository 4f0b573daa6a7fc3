"""`driftd check` on the data sets scikit-learn ships: every figure is the named scipy call's."""

import csv
import json

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, wasserstein_distance
from sklearn import datasets

from driftd import run_command
from expected import assert_equals_scipy, chi2, ks

SETS = ["iris", "wine", "breast_cancer", "diabetes", "digits", "linnerud"]


def columns_of(name):
    """All columns of a data set by name, the targets too."""
    data = getattr(datasets, f"load_{name}")()
    features = getattr(data, "feature_names", [f"x{i}" for i in range(data.data.shape[1])])
    target = data.target if data.target.ndim == 2 else data.target[:, None]
    names = [str(n).replace(",", " ") for n in features]
    names += [f"target{i}" for i in range(target.shape[1])]
    return dict(zip(names, np.hstack([data.data, target]).T, strict=True))


def write(path, columns, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*[columns[name][rows].tolist() for name in columns], strict=True))


@pytest.mark.parametrize("name", SETS)
def test_every_column_agrees_with_the_call_its_test_names(name, tmp_path):
    columns = columns_of(name)
    count = len(next(iter(columns.values())))
    order = np.random.default_rng(42).permutation(count)
    # One side larger than the other, so that sizes cannot be mixed up; a value here and there is moved.
    before, now = order[: count * 3 // 5], order[count * 3 // 5 :]
    columns = {n: np.array(values, dtype=float) for n, values in columns.items()}
    moved = list(columns)[0]
    columns[moved][now[: len(now) // 2]] += columns[moved].std()
    write(tmp_path / "before.csv", columns, before)
    write(tmp_path / "now.csv", columns, now)
    arguments = ["--reference", tmp_path / "before.csv", "--current", tmp_path / "now.csv"]
    process = run_command(tmp_path, "check", *arguments, "--format", "json")
    model = json.loads(process.stdout)["models"][0]
    compared = {feature["name"]: feature for feature in model["features"]}
    left_out = [n for n in columns if n not in compared]
    assert not left_out or all("is not compared" in process.stderr for n in left_out)
    tests = set()
    for feature in compared.values():
        reference = columns[feature["name"]][before].tolist()
        current = columns[feature["name"]][now].tolist()
        checks = {check["test"]: check for check in feature["checks"]}
        if len(set(reference) | set(current)) == 1:
            assert feature["state"] == "constant", feature
            continue
        what = (name, feature["name"])
        if "ks" in checks:
            assert_equals_scipy(checks["ks"], ks(reference, current), what)
            distance = wasserstein_distance(reference, current) / max(np.std(reference), 0.001)
            assert checks["wasserstein"]["statistic"] == pytest.approx(distance, rel=1e-9), what
            tests.add("ks")
        else:
            assert_equals_scipy(checks["chi2"], chi2(reference, current), what)
            values = sorted(set(reference) | set(current))
            shares = [[side.count(v) / len(side) for v in values] for side in (reference, current)]
            found = checks["js"]["statistic"]
            assert found == pytest.approx(jensenshannon(*shares), rel=1e-9, abs=1e-12), what
            tests.add("chi2")
    assert tests, "no column was compared"


def test_missing_values_are_a_two_by_two_table(tmp_path):
    random = np.random.default_rng(7)
    before, now = random.normal(size=500), random.normal(size=400)
    before[::50], now[::5] = np.nan, np.nan
    for path, values in [("before.csv", before), ("now.csv", now)]:
        text = "\n".join("" if np.isnan(v) else repr(float(v)) for v in values)
        (tmp_path / path).write_text("x,y\n" + "\n".join(f"{t},1" for t in text.split("\n")))
    arguments = ["--reference", tmp_path / "before.csv", "--current", tmp_path / "now.csv"]
    process = run_command(tmp_path, "check", *arguments, "--format", "json")
    features = json.loads(process.stdout)["models"][0]["features"]
    [feature] = [f for f in features if f["name"] == "x"]
    [check] = [c for c in feature["checks"] if c["test"] == "missing"]
    table = [[int(np.isnan(v).sum()), int((~np.isnan(v)).sum())] for v in (before, now)]
    result = chi2_contingency(table, correction=False)
    assert check["statistic"] == pytest.approx(result.statistic, rel=1e-10)
    assert check["p_value"] == pytest.approx(result.pvalue, rel=1e-9)
    assert feature["drifted"] and "20 % missing, 2 % in the reference" in feature["sentence"]
