"""What survives a restart, and what a crash costs."""

import shutil
import signal
import sqlite3
import threading
import time
from contextlib import closing
from datetime import UTC, datetime

import pytest
import requests

import rows
from driftd import config_text, drifted_features, feature
from processes import wait_until


def at(text):
    """A time as driftd writes it: ISO 8601, in UTC."""
    time_ = datetime.fromisoformat(text)
    return time_ if time_.tzinfo else time_.replace(tzinfo=UTC)


def end(driftd, how):
    """Ends a process as an operator does, or as the kernel does."""
    if how == signal.SIGTERM:
        assert driftd.stop() == 0, driftd.describe()
    else:
        driftd.kill()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_an_alarm_survives_a_restart(how, iris_app_sync, start_driftd):
    driftd = start_driftd(iris_app_sync.url)
    _, exchanges = rows.send_iris(driftd.post, rows.iris() * 2)
    driftd.settled_model(exchanges=exchanges)
    moved = rows.shifted(rows.iris() * 2, "sepal_width", 1.5)
    exchanges += rows.send_iris(driftd.post, moved)[1]
    before = driftd.settled_model(exchanges=exchanges)
    assert drifted_features(before) == {"sepal_width"}
    since = feature(before, "sepal_width")["since"]
    history = driftd.query("SELECT count(*) AS n FROM checks")[0]["n"]
    assert since and history
    end(driftd, how)

    driftd = start_driftd(iris_app_sync.url)
    checks_seen = set()

    def still_there():
        model = driftd.model()
        # From the first answer on: not cleared, not raised anew, and nothing else raised.
        assert feature(model, "sepal_width")["drifted"] is True, model
        assert feature(model, "sepal_width")["since"] == since
        assert drifted_features(model) == {"sepal_width"}
        checks_seen.add(model["checked_at"])
        return len(checks_seen) > 3

    wait_until(still_there, 30, "three checks after the restart")
    assert driftd.metric("driftd_model_drift_detected", model="iris") == 1
    detected = driftd.metric("driftd_drift_since_timestamp_seconds", feature="sepal_width")
    assert detected == pytest.approx(at(since).timestamp(), abs=1)
    assert driftd.query("SELECT count(*) AS n FROM checks")[0]["n"] >= history
    # The report of the same rows is the same report.
    after = {f["name"]: f["checks"] for f in driftd.model()["features"]}
    for item in before["features"]:
        for old, new in zip(item["checks"], after[item["name"]], strict=True):
            for key in ["test", "span", "statistic", "p_value", "n_current", "drifted"]:
                assert new[key] == old[key], (item["name"], key)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_a_restart_raises_no_alarm(how, iris_app_sync, start_driftd):
    driftd = start_driftd(iris_app_sync.url)
    _, exchanges = rows.send_iris(driftd.post, rows.iris() * 2)
    assert driftd.settled_model(exchanges=exchanges)["drifted"] is False
    end(driftd, how)

    driftd = start_driftd(iris_app_sync.url)
    checks_seen = set()

    def still_quiet():
        model = driftd.model()
        assert drifted_features(model) == set()
        assert not model["drifted"]
        checks_seen.add(model["checked_at"])
        return len(checks_seen) > 3

    wait_until(still_quiet, 30, "three checks after the restart")
    assert driftd.model()["drifted"] is False
    # The window goes on where it was.
    _, more = rows.send_iris(driftd.post, rows.iris())
    driftd.wait_for_outcomes(more)
    stored = driftd.query("SELECT * FROM rows_iris WHERE status = 200 ORDER BY id")
    assert [[row[n] for n in rows.IRIS_FEATURES] for row in stored] == rows.iris() * 3
    assert len({row["id"] for row in stored}) == 450
    if how == signal.SIGTERM:
        assert driftd.query("SELECT * FROM gaps") == []


def test_a_kill_under_load_leaves_a_prefix_and_a_recorded_gap(iris_app, start_driftd, tmp_path):
    driftd = start_driftd(iris_app.url)
    clients = [Client(driftd.proxy, name) for name in "abcd"]
    for client in clients:
        client.start()
    wait_until(lambda: all(len(c.answered) >= 100 for c in clients), 60, "a hundred answers each")
    killed_at = datetime.now(UTC)
    driftd.kill()
    for client in clients:
        client.join()

    # What is on the disk is sound, before anything repairs it.
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in driftd.directory.glob("window.db*"):
        shutil.copy(file, copy)
    with closing(sqlite3.connect(copy / "window.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    driftd = start_driftd(iris_app.url)
    assert driftd.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    stored = driftd.query(
        "SELECT e.request_id, r.* FROM exchanges AS e JOIN rows_iris AS r ON r.exchange_id = e.id"
        " ORDER BY r.id"
    )
    lost = []
    for client in clients:
        own = [row for row in stored if row["request_id"].startswith(client.name)]
        # Contiguous from the first, none twice; the one in flight at the end may be there.
        assert [row["request_id"] for row in own] == [client.id(i) for i in range(len(own))]
        assert [[row[n] for n in rows.IRIS_FEATURES] for row in own] == [
            client.rows[i % 150] for i in range(len(own))
        ]
        assert len(own) > 0
        lost += client.answered[len(own) :]
    assert len(stored) == sum(row["request_id"][:1] in "abcd" for row in stored)

    # The window is opened beside the traffic, and the gap noted then.
    wait_until(lambda: driftd.query("SELECT * FROM gaps"), 30, "a gap")
    [gap] = gaps = driftd.query("SELECT * FROM gaps")
    assert gap["reason"]
    assert at(gap["started_at"]) <= killed_at <= at(gap["ended_at"]) <= datetime.now(UTC)
    # Everything that is missing falls into it, and it is no longer than the batches are.
    assert all(at(gap["started_at"]) <= answered_at for answered_at in lost)
    assert (killed_at - at(gap["started_at"])).total_seconds() < 5

    # Traffic goes on, and so do the ids.
    _, exchanges = rows.send_iris(driftd.post, rows.iris())
    driftd.wait_for_outcomes(exchanges)
    ids = [row["id"] for row in driftd.query("SELECT id FROM rows_iris ORDER BY id")]
    assert len(ids) == len(set(ids)) == len(stored) + 150
    assert driftd.query("SELECT * FROM gaps") == gaps


class Client(threading.Thread):
    """Sends one row after the other, each with an id of its own, until nobody answers."""

    def __init__(self, proxy, name):
        super().__init__(name=name, daemon=True)
        self.url = proxy + "/predict"
        self.rows = rows.iris()
        # When each answer arrived, in the order of the requests.
        self.answered = []

    def id(self, number):
        return f"{self.name}-{number}"

    def run(self):
        with requests.Session() as session:
            while True:
                number = len(self.answered)
                body = {"features": self.rows[number % 150]}
                headers = {"x-request-id": self.id(number)}
                try:
                    answer = session.post(self.url, json=body, headers=headers, timeout=10)
                except requests.RequestException:
                    return
                assert answer.status_code == 200, answer.text
                self.answered.append(datetime.now(UTC))


def test_a_stop_under_load_loses_nothing(iris_app_sync, start_driftd):
    """SIGTERM drains: whoever got an answer has his row in the window, and there is no gap."""
    driftd = start_driftd(iris_app_sync.url)
    clients = [Client(driftd.proxy, name) for name in "abcd"]
    for client in clients:
        client.start()
    wait_until(lambda: all(len(c.answered) >= 50 for c in clients), 60, "fifty answers each")
    began = time.monotonic()
    assert driftd.stop(60) == 0, driftd.describe()
    assert time.monotonic() - began < 60
    for client in clients:
        client.join()
    answered = {c.id(i) for c in clients for i in range(len(c.answered))}
    stored = [row["request_id"] for row in driftd.query("SELECT request_id FROM exchanges")]
    assert len(stored) == len(set(stored))
    assert answered <= set(stored)

    driftd = start_driftd(config=config_text(iris_app_sync.url))
    assert driftd.query("SELECT * FROM gaps") == []
