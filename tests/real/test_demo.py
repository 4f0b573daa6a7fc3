"""`driftd demo`: what a new user sees first."""

import json
import re

import requests

from driftd import binary, drifted_features, query
from processes import Process, wait_until

ADDRESS = r"http://127\.0\.0\.1:\d+"


def demo(started, directory, *arguments):
    """A running demo, and the address of its page, which is the first thing it prints."""
    process = Process([binary(), "demo", *arguments], directory, name="demo")
    started.append(process)
    wait_until(lambda: "\n" in process.stdout, 20, "the demo's first line")
    first = process.stdout.splitlines()[0]
    address = re.search(ADDRESS, first)
    assert address, f"no address in the first line: {first!r}"
    return process, address.group(0)


def report(page):
    """The one model of the demo's report; None once the demo has ended."""
    try:
        [model] = requests.get(page + "/api/v1/drift", timeout=5).json()["models"]
    except requests.ConnectionError:
        return None
    return model


def view(window):
    """The window's one view of rows."""
    sql = "SELECT name FROM sqlite_master WHERE type = 'view' AND name LIKE 'rows_%'"
    [row] = query(window, sql)
    return row["name"]


def count(window):
    return query(window, f"SELECT count(*) AS n FROM {view(window)}")[0]["n"]


def resume_command(process):
    """The window in the command that the demo says goes on with it."""
    found = re.search(r"driftd demo\b.*--window[ =](\S+)", process.stdout)
    assert found, process.describe()
    return found.group(1).strip("'\"`")


def test_a_minute_of_demo_shows_drift_on_the_shifted_feature_only(started, tmp_path):
    process, page = demo(started, tmp_path, "--for", "60s")
    assert "text/html" in requests.get(page + "/", timeout=10).headers["content-type"]
    flagged = []

    def ended():
        model = report(page) if process.running() else None
        if model and drifted_features(model):
            flagged.append(drifted_features(model))
        return not process.running()

    wait_until(ended, 90, "the end of the demo")
    assert process.exit_code() == 0, process.describe()
    # Flagged before the end, and never on another feature.
    assert flagged, process.describe()
    assert len(set(map(frozenset, flagged))) == 1, flagged
    [name] = flagged[-1]
    assert name in process.stdout

    window = tmp_path / resume_command(process)
    columns = query(window, f"SELECT * FROM {view(window)} LIMIT 1")[0].keys()
    features = {"sepal_length", "sepal_width", "petal_length", "petal_width"}
    assert {"id", "time", "prediction", *features} <= columns
    assert name in features
    assert count(window) > 1000
    assert query(window, "SELECT * FROM gaps") == []


def test_a_killed_demo_goes_on_where_it_was(started, tmp_path):
    window = tmp_path / "demo.db"
    process, page = demo(started, tmp_path, "--window", window)
    model = wait_until(lambda: (m := report(page)) and m["drifted"] and m, 60, "drift in the demo")
    since = {f["name"]: f["since"] for f in model["features"] if f["drifted"]}
    process.kill()

    def digest():
        return query(window, f"SELECT * FROM {view(window)} WHERE id <= ? ORDER BY id", [stored])

    stored = query(window, f"SELECT max(id) AS n FROM {view(window)}")[0]["n"]
    before = digest()
    assert before

    # The command that the demo printed, before it could know how it would end.
    assert (tmp_path / resume_command(process)) == window
    process, page = demo(started, tmp_path, "--window", resume_command(process))
    wait_until(lambda: count(window) > len(before), 30, "more rows in the same window")
    assert digest() == before
    assert len(query(window, "SELECT * FROM gaps")) == 1
    model = wait_until(lambda: report(page), 10, "the report of the resumed demo")
    assert {f["name"]: f["since"] for f in model["features"] if f["name"] in since} == since, (
        json.dumps(model, indent=1)
    )
    assert process.stop() == 0, process.describe()
