"""A real Prometheus scrapes driftd, and its own linter finds nothing to say."""

import shutil
import subprocess

import pytest

import rows
from driftd import check, feature
from prometheus import Prometheus


@pytest.fixture
def drifted(iris_app_sync, start_driftd):
    """driftd with a shifted sepal_width, and its model's report once the traffic has ended."""
    driftd = start_driftd(iris_app_sync.url)
    _, calm = rows.send_iris(driftd.post, rows.iris() * 2)
    moved = rows.shifted(rows.iris() * 2, "sepal_width", 0.8)
    _, shifted = rows.send_iris(driftd.post, moved)
    return driftd, driftd.settled_model(exchanges=calm + shifted), calm + shifted


def test_promql_returns_the_drift_gauges_at_their_right_values(drifted, started, tmp_path):
    driftd, model, exchanges = drifted
    prometheus = Prometheus(tmp_path / "prometheus", driftd.page)
    started.append(prometheus)
    prometheus.wait_for_scrape()

    series = '{model="iris", test="ks", span="main"}'
    for metric, key in [
        ("driftd_drift_statistic", "statistic"),
        ("driftd_drift_p_value", "p_value"),
        ("driftd_drift_threshold", "threshold"),
        ("driftd_drift_detected", "drifted"),
    ]:
        found = {labels["feature"]: value for labels, value in prometheus.query(metric + series)}
        expected = {n: float(check(model, n, "ks")[key]) for n in rows.IRIS_FEATURES}
        assert {n: found.get(n) for n in expected} == pytest.approx(expected, rel=1e-12), metric

    # What an alert asks, and what a person does.
    [(labels, _)] = prometheus.query('driftd_drift_detected{role="feature", test="ks", span="main"} == 1')
    assert labels["feature"] == "sepal_width"
    for labels, value in prometheus.query('driftd_drift_state{model="iris"} == 1'):
        assert feature(model, labels["feature"])["state"] == labels["state"], value
    states = prometheus.query('count by (feature) (driftd_drift_state{model="iris"} == 1)')
    assert {labels["feature"]: n for labels, n in states} == dict.fromkeys(
        [f["name"] for f in model["features"]], 1
    )
    assert [v for _, v in prometheus.query('driftd_model_drift_detected{model="iris"}')] == [1]
    assert [v for _, v in prometheus.query('driftd_window_rows{model="iris"}')] == [600]
    assert [v for _, v in prometheus.query('driftd_reference_rows{model="iris"}')] == [150]
    assert [v for _, v in prometheus.query('driftd_current_rows{model="iris", span="main"}')] == [
        300
    ]
    accounted = prometheus.query(
        "sum(driftd_tap_offered_total) - sum(driftd_tap_exchanges_total) - sum(driftd_tap_in_flight)"
    )
    assert [v for _, v in accounted] == [0]
    requests_seen = prometheus.query(
        'sum(http_server_request_duration_seconds_count{model="iris"})'
    )
    assert [v for _, v in requests_seen] == [exchanges]
    for leg in ["total", "upstream", "overhead"]:
        quantiles = prometheus.query(f'driftd_request_latency_seconds{{model="iris", leg="{leg}"}}')
        assert quantiles and all(0 <= v < 60 for _, v in quantiles), leg


def test_promtool_has_nothing_to_say(drifted):
    driftd, _, _ = drifted
    promtool = shutil.which("promtool") or pytest.fail("promtool is not installed")
    page = driftd.admin("/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    assert "version=0.0.4" in page.headers["content-type"]
    lint = subprocess.run(
        [promtool, "check", "metrics"], input=page.content, capture_output=True, timeout=60
    )
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, b"", b"")


def test_the_page_of_metrics_is_clean_before_any_traffic_too(iris_app_sync, start_driftd):
    test_promtool_has_nothing_to_say((start_driftd(iris_app_sync.url), None, None))
