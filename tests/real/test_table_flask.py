"""The second app: strings, missing values, features by name, and a reference with every role in it."""

import csv
import random
import tomllib

import pytest

import rows
from driftd import (
    IRIS_DRIFT,
    Driftd,
    check,
    config_text,
    drifted_features,
    feature,
    run_command,
)
from expected import assert_equals_scipy, chi2, ks
from processes import REFERENCE_DATA
from table_app import CATEGORICAL, CODED, NUMERIC, TARGET

FEATURES = [*CATEGORICAL, *NUMERIC]
BY_KS = [name for name in NUMERIC if name not in CODED]

FLIGHTS = {
    "name": "flights",
    "paths": ["/predict"],
    "reference": str(REFERENCE_DATA / "flights.csv"),
    "outputs": ["prediction"],
    "columns": {"id": "ignore", "scheduled_at": "time", TARGET: "target"},
}

# One copy of the reference fills the window.
DRIFT = IRIS_DRIFT | {"current": "2004 rows", "min_rows": 2004}


def start(start_driftd, app, drift=DRIFT):
    return start_driftd(app.url, models=[FLIGHTS], drift=drift)


def reference():
    """Each column of the reference; the rows come with the model's predictions as a 14th."""
    features, predictions = rows.flights()
    columns = {name: [row[name] for row in features] for name in FEATURES}
    return columns | {"prediction": predictions}


def stored(driftd, limit):
    """Each column of the window's newest rows, oldest first."""
    newest = driftd.query("SELECT * FROM rows_flights ORDER BY id DESC LIMIT ?", [limit])
    return {name: [row[name] for row in reversed(newest)] for name in [*FEATURES, "prediction"]}


def test_the_window_holds_exactly_the_rows_sent(table_app, start_driftd):
    driftd = start(start_driftd, table_app)
    sent, reference_predictions = rows.flights()
    predictions, exchanges = rows.send_flights(driftd.post, sent)
    # The column in the file is what this very model answers.
    assert predictions == reference_predictions
    driftd.wait_for_outcomes(exchanges)
    found = stored(driftd, len(sent) + 1)
    assert len(found["carrier"]) == len(sent)
    for name in FEATURES:
        assert found[name] == [row[name] for row in sent], name
    assert found["prediction"] == predictions


def test_every_column_has_its_role_and_kind(table_app, start_driftd):
    driftd = start(start_driftd, table_app)
    model = driftd.model("flights")
    kinds = {f["name"]: (f["role"], f["kind"]) for f in model["features"]}
    expected = dict.fromkeys(FEATURES, ("feature", "categorical"))
    expected |= dict.fromkeys(BY_KS, ("feature", "numeric"))
    # Neither the id, nor the time, nor the target is compared with anything.
    assert kinds == expected | {"prediction": ("output", "categorical")}
    assert model["reference"]["rows"] == 2004


def test_drift_is_flagged_on_exactly_the_shifted_features(table_app, start_driftd):
    driftd = start(start_driftd, table_app)
    sent, _ = rows.flights()
    _, exchanges = rows.send_flights(driftd.post, sent)
    model = driftd.settled_model("flights", exchanges)
    assert drifted_features(model) == set()
    assert model["drifted"] is False
    for name in FEATURES:
        assert feature(model, name)["state"] == "ok", name
        test = "ks" if name in BY_KS else "chi2"
        assert check(model, name, test)["statistic"] == pytest.approx(0, abs=1e-12), name
        assert check(model, name, test)["p_value"] == pytest.approx(1), name

    # The thermometer reports 20 degrees too many; US Airways becomes American, as it did in 2015,
    # and a carrier appears that the reference has never seen.
    renamed = {"US": "AA", "B6": "NK"}
    moved = [
        row
        | {
            "temperature": None if row["temperature"] is None else row["temperature"] + 20,
            "carrier": renamed.get(row["carrier"], row["carrier"]),
        }
        for row in sent
    ]
    exchanges += rows.send_flights(driftd.post, moved)[1]
    model = driftd.settled_model("flights", exchanges)
    assert drifted_features(model) == {"temperature", "carrier"}
    assert feature(model, "temperature")["since"] and feature(model, "carrier")["since"]

    unseen = sum(row["carrier"] == "NK" for row in moved) / len(moved)
    assert feature(model, "carrier")["unseen"] == pytest.approx(unseen, abs=1e-12)
    assert feature(model, "origin")["unseen"] == 0
    assert driftd.metric(
        "driftd_feature_unseen_ratio", model="flights", feature="carrier"
    ) == pytest.approx(unseen, abs=1e-12)
    compare_with_scipy(model, stored(driftd, 2004))


def test_the_numbers_equal_scipys_on_the_rows_in_the_window(table_app, start_driftd):
    """Real rows drawn with replacement from the year's second half: the seasons are the drift."""
    drift = DRIFT | {"current": "1200 rows", "min_rows": 500}
    driftd = start(start_driftd, table_app, drift)
    features, _ = rows.flights()
    sent = random.Random(2013).choices(features[1002:], k=1500)
    # A column that changes its mind, and one that is gone half of the time.
    for i, row in enumerate(sent):
        changes = {}
        if i % 3 == 0:
            changes["destination"] = "ZZZ" if i % 2 else "YYY"
        if i % 2 == 0:
            changes["pressure"] = None
        sent[i] = row | changes
    _, exchanges = rows.send_flights(driftd.post, sent)
    model = driftd.settled_model("flights", exchanges)
    current = stored(driftd, 1200)
    assert current["temperature"] == [row["temperature"] for row in sent[-1200:]]
    compare_with_scipy(model, current)

    missing = {name: current[name].count(None) / 1200 for name in FEATURES}
    assert missing["pressure"] >= 0.5 and missing["origin"] == 0
    for name, ratio in missing.items():
        assert feature(model, name)["missing"] == pytest.approx(ratio, abs=1e-12), name
        gauge = driftd.metric("driftd_feature_missing_ratio", model="flights", feature=name)
        assert gauge == pytest.approx(ratio, abs=1e-12), name


def compare_with_scipy(model, current):
    """Every feature's and the output's numbers, on the rows that the window holds."""
    for name, before in reference().items():
        if name in BY_KS:
            assert_equals_scipy(check(model, name, "ks"), ks(before, current[name]), name)
        else:
            assert_equals_scipy(check(model, name, "chi2"), chi2(before, current[name]), name)


def test_init_finds_the_roles_and_its_file_runs(table_app, started, tmp_path):
    directory = tmp_path / "init"
    source = REFERENCE_DATA / "flights.csv"
    init = run_command(
        directory, "init", "--reference", source, "--upstream", table_app.url, name="init"
    )
    assert init.popen.returncode == 0, init.describe()
    path = directory / "driftd.toml"
    text = path.read_text(encoding="utf-8")
    # It is written to be read: comments, and every column by name.
    assert text.count("#") > 5
    with source.open(encoding="utf-8", newline="") as file:
        for column in next(csv.reader(file)):
            assert column in text, column
    model = tomllib.loads(text)["model"][0]
    assert "prediction" in model["outputs"]
    config = run_command(directory, "config", "--config", path, name="config")
    assert config.popen.returncode == 0, config.describe()

    overrides = {"DRIFTD_LISTEN": "127.0.0.1:0", "DRIFTD_ADMIN": "127.0.0.1:0"}
    driftd = Driftd(directory, arguments=["--config", path], env=overrides)
    started.append(driftd)
    names = {f["name"]: f["role"] for f in driftd.report()["models"][0]["features"]}
    assert names == dict.fromkeys(FEATURES, "feature") | {"prediction": "output"}


def test_the_configuration_used_here_is_valid(table_app, tmp_path):
    """`driftd config` says so, and what is effective."""
    path = tmp_path / "driftd.toml"
    path.write_text(config_text(table_app.url, models=[FLIGHTS], drift=DRIFT), encoding="utf-8")
    config = run_command(tmp_path, "config", "--config", path)
    assert config.popen.returncode == 0, config.describe()
    assert "2004 rows" in config.stdout and "flights" in config.stdout
