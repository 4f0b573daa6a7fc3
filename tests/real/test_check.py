"""`driftd check`: two files, a verdict, and an exit code for scripts."""

import csv
import json

import pytest

import rows
import table_app
from driftd import check, drifted_features, feature, run_command
from expected import assert_equals_scipy, chi2, ks
from processes import REFERENCE_DATA

IRIS = REFERENCE_DATA / "iris.csv"
FLIGHTS = REFERENCE_DATA / "flights.csv"

NO_DRIFT, DRIFT, NOTHING_CHECKED = 0, 1, 2


def compare(directory, reference, current, *arguments):
    """One run of the command."""
    return run_command(
        directory, "check", "--reference", reference, "--current", current, *arguments
    )


def rewritten(source, target, change):
    """A copy of a CSV file in which each row has been changed."""
    with source.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        changed = [row | change(row) for row in reader]
    return write(target, list(reader.fieldnames), changed)


def write(target, header, dictionaries):
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, header, lineterminator="\n")
        writer.writeheader()
        writer.writerows(dictionaries)
    return target


def wider(row):
    return {"sepal_width": float(row["sepal_width"]) + 1.5}


@pytest.mark.parametrize("decision", ["family", "pvalue"])
def test_exit_codes_for_people_and_scripts(decision, tmp_path):
    shifted = rewritten(IRIS, tmp_path / "shifted.csv", wider)
    same = compare(tmp_path, IRIS, IRIS, "--decision", decision)
    assert same.popen.returncode == NO_DRIFT, same.describe()
    other = compare(tmp_path, IRIS, shifted, "--decision", decision)
    assert other.popen.returncode == DRIFT, other.describe()
    # The table names every column, and the shifted one first.
    names = [line.split()[0] for line in other.stdout.splitlines() if line.split()]
    listed = [name for name in names if name in rows.IRIS_FEATURES]
    assert sorted(listed) == sorted(rows.IRIS_FEATURES)
    assert listed[0] == "sepal_width"


def test_nothing_to_check_is_neither_drift_nor_peace(tmp_path):
    single = write(
        tmp_path / "single.csv",
        rows.IRIS_FEATURES,
        [dict(zip(rows.IRIS_FEATURES, rows.iris()[0], strict=True))],
    )
    process = compare(tmp_path, IRIS, single)
    assert process.popen.returncode == NOTHING_CHECKED, process.describe()


def test_strict_also_minds_the_column_that_could_not_be_checked(tmp_path):
    calm = rewritten(FLIGHTS, tmp_path / "calm.csv", lambda row: {"wind_gust": ""})
    assert compare(tmp_path, FLIGHTS, calm).popen.returncode == NO_DRIFT
    assert compare(tmp_path, FLIGHTS, FLIGHTS, "--strict").popen.returncode == NO_DRIFT
    strict = compare(tmp_path, FLIGHTS, calm, "--strict")
    assert strict.popen.returncode == NOTHING_CHECKED, strict.describe()


def test_json_says_what_scipy_says(tmp_path):
    """The year's first half against its second: real data, and real drift in the weather."""
    with FLIGHTS.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        year = list(reader)
    header = list(reader.fieldnames)
    before = write(tmp_path / "before.csv", header, year[:1002])
    after = write(tmp_path / "after.csv", header, year[1002:])
    process = compare(tmp_path, before, after, "--format", "json", "--decision", "pvalue")
    assert process.popen.returncode == DRIFT, process.describe()
    [model] = json.loads(process.stdout)["models"]
    assert model["reference"]["rows"] == 1002

    one, two = table_app.read_features(before), table_app.read_features(after)
    flagged = set()
    for name in [*table_app.CATEGORICAL, *table_app.NUMERIC]:
        test, of = ("ks", ks) if name in table_app.NUMERIC else ("chi2", chi2)
        expected = of([row[name] for row in one], [row[name] for row in two])
        assert_equals_scipy(check(model, name, test), expected, name)
        assert feature(model, name)["drifted"] == (expected[1] < 0.05), (name, expected)
        if expected[1] < 0.05:
            flagged.add(name)
    assert flagged >= {"temperature"}
    # Two files are compared in every column, target and prediction among them.
    compared = {*table_app.CATEGORICAL, *table_app.NUMERIC}
    assert drifted_features(model) & compared == flagged
    assert {f["name"] for f in model["features"]} == compared | {"arrival", "prediction"}


@pytest.mark.parametrize("which", ["--reference", "--current"])
def test_a_file_that_is_not_there_is_named(which, tmp_path):
    files = {"--reference": IRIS, "--current": IRIS} | {which: tmp_path / "nowhere.csv"}
    process = compare(tmp_path, files["--reference"], files["--current"])
    # Not one of the verdicts.
    assert process.popen.returncode not in (NO_DRIFT, DRIFT, NOTHING_CHECKED), process.describe()
    assert "nowhere.csv" in process.stderr
