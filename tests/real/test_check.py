"""`driftd check`: two files, a verdict, and an exit code for scripts."""

import csv
import json
import os
import pty
import random
import subprocess

import pytest

import rows
import table_app
from driftd import binary, check, drifted_features, feature, run_command
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
    # A column that has gone is drift, of its own kind; one that never was there is not compared.
    gone = compare(tmp_path, FLIGHTS, calm)
    assert gone.popen.returncode == DRIFT and "wind_gust" in gone.stdout, gone.describe()
    assert compare(tmp_path, FLIGHTS, FLIGHTS, "--strict").popen.returncode == NO_DRIFT
    assert compare(tmp_path, calm, calm).popen.returncode == NO_DRIFT
    strict = compare(tmp_path, calm, calm, "--strict")
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
        numeric = name in table_app.NUMERIC and name not in table_app.CODED
        test, of = ("ks", ks) if numeric else ("chi2", chi2)
        expected = of([row[name] for row in one], [row[name] for row in two])
        assert_equals_scipy(check(model, name, test), expected, name)
        assert check(model, name, test)["drifted"] == (expected[1] < 0.05), (name, expected)
        if expected[1] < 0.05:
            flagged.add(name)
    assert flagged >= {"temperature"}
    # Two files are compared in every column, target and prediction among them.
    compared = {*table_app.CATEGORICAL, *table_app.NUMERIC}
    assert drifted_features(model) & compared >= flagged
    assert {f["name"] for f in model["features"]} == compared | {"arrival", "prediction"}


def test_adjusted_p_values_are_bonferronis(tmp_path):
    """Over four tests of four columns and three of the fifth, as scipy's p-value times nineteen."""
    shifted = rewritten(IRIS, tmp_path / "shifted.csv", narrower)
    process = compare(tmp_path, IRIS, shifted, "--decision", "pvalue")
    [line] = [line.split() for line in process.stdout.splitlines() if line.startswith("sepal_width")]
    before = [float(row["sepal_width"]) for row in read(IRIS)]
    after = [float(row["sepal_width"]) for row in read(shifted)]
    p = ks(before, after)[1]
    assert float(line[6]) == pytest.approx(p, rel=1e-3)
    assert float(line[7]) == pytest.approx(min(1, 19 * p), rel=1e-3)


def narrower(row):
    return {"sepal_width": float(row["sepal_width"]) - 0.1}


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_progress_is_for_a_terminal_and_leaves_nothing_there(tmp_path):
    """A file large enough to take a while: the line counts bytes and columns, then it is erased."""
    chance = random.Random(7)
    names = [f"x{i}" for i in range(40)]
    lines = [",".join(f"{chance.random():.6f}" for _ in names) for _ in range(40_000)]
    large = tmp_path / "large.csv"
    large.write_text("\n".join([",".join(names), *lines * 8]) + "\n", encoding="utf-8")
    arguments = [binary(), "check", "--reference", large, "--current", large]

    terminal, stderr = pty.openpty()
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=stderr)
    os.close(stderr)
    process.stdout.read()
    shown = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux: the other end is closed.
            break
        if not part:
            break
        shown += part
    os.close(terminal)
    assert process.wait() == NO_DRIFT
    assert b"reading large.csv, " in shown, shown
    assert shown.endswith(b"\r\x1b[2K"), shown[-200:]

    piped = compare(tmp_path, large, large)
    assert (piped.popen.returncode, piped.stderr) == (NO_DRIFT, "")


def test_a_report_of_a_living_window_says_what_the_living_driftd_says(
    iris_app_sync, start_driftd, tmp_path
):
    """The same verdicts and figures, from the file alone; and the writer does not notice."""
    driftd = start_driftd(iris_app_sync.url)
    moved = rows.shifted(rows.iris() * 2, "sepal_width", 1.5)
    _, exchanges = rows.send_iris(driftd.post, moved)
    live = driftd.settled_model(exchanges=exchanges)
    report = ["report", "--window", driftd.window_path, "--model", "iris"]
    process = run_command(tmp_path, *report, "--format", "json")
    assert process.popen.returncode == 0, process.describe()
    [stored] = json.loads(process.stdout)["models"]
    for key in ["model", "version", "state", "drifted", "level", "evaluated_at"]:
        assert stored[key] == live[key], key
    assert stored["reference"]["hash"] == live["reference"]["hash"]
    assert stored["window"]["rows"] == len(moved)
    # An alarm a test: more than one may stand for a feature.
    assert {a["feature"] for a in stored["alarms"]} == {
        f["name"] for f in live["features"] if f["drifted"]
    }
    # No row came since, so a later check of the same rows finds the same.
    for item in live["features"]:
        assert feature(stored, item["name"])["checks"] == item["checks"]
        assert feature(stored, item["name"])["since"] == item["since"]
    page = run_command(tmp_path, *report, "--format", "html", "-o", "page.html")
    assert page.popen.returncode == 0, page.describe()
    assert "sepal_width" in (tmp_path / "page.html").read_text(encoding="utf-8")

    # The writer goes on, and ends without leaving what a reader in its way would leave.
    more, _ = rows.send_iris(driftd.post, rows.iris())
    assert driftd.stop() == 0, driftd.describe()
    assert driftd.query("SELECT count(*) AS n FROM rows_iris")[0]["n"] == len(moved) + len(more)


@pytest.mark.parametrize("which", ["--reference", "--current"])
def test_a_file_that_is_not_there_is_named(which, tmp_path):
    files = {"--reference": IRIS, "--current": IRIS} | {which: tmp_path / "nowhere.csv"}
    process = compare(tmp_path, files["--reference"], files["--current"])
    # Not one of the verdicts.
    assert process.popen.returncode not in (NO_DRIFT, DRIFT, NOTHING_CHECKED), process.describe()
    assert "nowhere.csv" in process.stderr
