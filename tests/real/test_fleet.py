"""Three replicas behind one Prometheus: what PromQL says of their rows together is what scipy says."""

import math
import time
from collections import Counter

import pytest
from scipy.stats import ks_2samp

import rows
from driftd import Driftd, check, config_text, query
from expected import present
from processes import REFERENCE_DATA, holds_for, wait_until
from prometheus import RULES, Prometheus
from test_table_flask import FLIGHTS
from test_table_flask import reference as flights_reference

# What has equal labels of these is put together.
BY = "model, version, feature, role, reference"

# As dashboards/README.md has it: every value since the processes began, without the guess of increase().
SINCE_THE_START = f"""
max by ({BY}) (abs(
  sum by ({BY}, le) (driftd_feature_value_bucket)
  / on ({BY}) group_left () sum by ({BY}) (driftd_feature_value_count)
  - on ({BY}, le)
  max by ({BY}, le) (driftd_reference_value_bucket)
  / on ({BY}) group_left () max by ({BY}) (driftd_reference_value_count)
))
"""

# Every check measures all rows of a replica.
DRIFT = {"every": "1s", "current": "24h", "fast": "off", "min_rows": 100, "replicas": 3}


@pytest.fixture
def fleet(started, tmp_path):
    """Starts replicas of a model, each with a window of its own, and a Prometheus with the rules."""

    def start(upstream, models):
        replicas = []
        for number, model in enumerate(models):
            config = config_text(upstream, models=[model], drift=DRIFT)
            replicas.append(Driftd(tmp_path / f"driftd{number}", config))
            started.append(replicas[-1])
        pages = [replica.page for replica in replicas]
        prometheus = Prometheus(tmp_path / "prometheus", *pages, rules=RULES)
        started.append(prometheus)
        # Counters are seen at zero first: what increase() does not see begin, it guesses.
        zeros = "count(driftd_feature_value_count == 0) == count(driftd_reference_value_count)"
        seen = f"count(count by (instance) (driftd_feature_value_count)) == {len(models)} and {zeros}"
        wait_until(lambda: prometheus.query(seen), 60, "a scrape of each replica")
        # Between two steps of the rules over a day, all rows come within one.
        wait_until(lambda: time.time() % 60 <= 35, 60, "the next minute")
        return replicas, prometheus

    return start


def send_all(replicas, send, parts):
    """Each replica gets its part; how many values Prometheus is to see of a feature never missing."""
    for replica, part in zip(replicas, parts, strict=True):
        _, exchanges = send(replica.post, part)
        replica.wait_for_outcomes(exchanges)


def by_feature(prometheus, promql):
    found = {labels["feature"]: value for labels, value in prometheus.query(promql)}
    assert len(found) == len(prometheus.query(promql)), promql
    return found


def settled(prometheus, feature, count):
    """Waits until the rules have seen all of it."""
    seen = f'sum(driftd_feature_value_count{{feature="{feature}"}}) == {count}'
    wait_until(lambda: prometheus.query(seen), 30, f"{count} values in Prometheus")
    prometheus.wait_for_rules()


def pooled(replicas, model, columns):
    """Each column of the rows in all windows."""
    stored = [
        row
        for replica in replicas
        for row in query(replica.window_path, f"SELECT * FROM rows_{model}")
    ]
    return {name: [row[name] for row in stored] for name in columns}


def ranks(reference, values):
    """Categories by their rank in the reference, the most frequent first, ties by name."""
    reference, values = map(str_of, present(reference)), map(str_of, present(values))
    counted = Counter(reference)
    order = sorted(counted, key=lambda name: (-counted[name], name.encode()))
    rank = {name: number for number, name in enumerate(order)}
    before = [rank[name] for name in counted.elements()]
    return before, [rank.get(name, len(order)) for name in values]


def str_of(value):
    number = isinstance(value, (int, float))
    return str(int(value)) if number and value == int(value) else str(value)


def assert_within_the_bound(prometheus, promql, expected, slack=1e-12):
    """D̂ ≤ D ≤ D̂ + resolution, of every feature."""
    found = by_feature(prometheus, promql)
    bound = by_feature(prometheus, f"max by ({BY}) (driftd_reference_value_resolution)")
    assert found.keys() == expected.keys() == bound.keys()
    for name, exact in expected.items():
        # Of the flights' destinations there are more than fifty.
        assert 0 <= bound[name] <= (0.1 if name == "destination" else 0.02), name
        assert found[name] <= exact + slack, (promql, name)
        assert exact <= found[name] + bound[name] + slack, (promql, name)
    return found


def assert_the_rule_agrees(prometheus, promql, expected, exact):
    """increase() guesses at most one interval of a second, for each replica another part of it; so
    that they weigh unequally by the share that is of the time they have been seen for."""

    def agrees():
        [(_, since)] = prometheus.query("time() - min(min_over_time(timestamp(up)[1h:1s]))")
        assert since > 5
        slack = 1.5 / since
        found = assert_within_the_bound(prometheus, promql, expected, slack)
        assert found == pytest.approx(exact, abs=slack), promql

    def wrong():
        try:
            agrees()
        except AssertionError as error:
            return error
        return None

    # On a busy machine a scrape may be late, which tells less the longer the series are there.
    if not holds_for(60, wrong):
        return
    agrees()


def average_of_replicas(replicas, model, name):
    """What one would get from the replicas' own figures."""
    each = [check(r.settled_model(model), name, "ks")["statistic"] for r in replicas]
    return sum(each) / len(each)


def psi(cumulative_reference, cumulative):
    """driftd's own index, from cumulative counts at the ends of bins."""
    shares = []
    for upto in (cumulative, cumulative_reference):
        counts = [after - before for before, after in zip([0, *upto], upto, strict=False)]
        shares.append([(count + 0.5) / (upto[-1] + len(upto) / 2) for count in counts])
    return sum((p - q) * math.log(p / q) for p, q in zip(*shares, strict=True))


def test_replicas_that_drift_in_opposite_directions_are_put_together_right(iris_app_sync, fleet):
    sepal_length = rows.IRIS_FEATURES.index("sepal_length")
    calm = rows.iris() * 4
    ascending = sorted(calm, key=lambda row: row[sepal_length])
    # Every replica gets other flowers, and all of them together are the reference's; the petals
    # of every one are measured by the same wrong sensor.
    moved = rows.shifted(ascending, "petal_width", 0.35)
    parts = [moved[:200], moved[200:400], moved[400:]]
    model = {
        "name": "iris",
        "paths": ["/predict"],
        "reference": str(REFERENCE_DATA / "iris.csv"),
        "outputs": ["prediction"],
    }
    replicas, prometheus = fleet(iris_app_sync.url, [model] * 3)
    send_all(replicas, rows.send_iris, parts)
    settled(prometheus, "sepal_length", 600)

    current = pooled(replicas, "iris", rows.IRIS_FEATURES)
    reference = dict(zip(rows.IRIS_FEATURES, zip(*rows.iris(), strict=True), strict=True))
    expected = {
        name: ks_2samp(reference[name], current[name]).statistic for name in rows.IRIS_FEATURES
    }
    assert expected["sepal_length"] < 1e-9 and expected["petal_width"] > 0.3
    exact = assert_within_the_bound(prometheus, SINCE_THE_START, expected)

    # What is shipped says the same.
    assert_the_rule_agrees(prometheus, "driftd_fleet:drift_statistic:ks_1h", expected, exact)

    # Of 600 rows that are the reference's own, each replica rightly says that its rows are not.
    average = average_of_replicas(replicas, "iris", "sepal_length")
    assert average > 0.4 > 0.02 + exact["sepal_length"]

    # The day's rules look once a minute; their bins are those of driftd's own index.
    over_a_day = "driftd_fleet:drift_statistic:ks_1d"
    wait_until(lambda: prometheus.query(over_a_day), 75, "a first look at a day")
    assert_the_rule_agrees(prometheus, over_a_day, expected, exact)
    for name in rows.IRIS_FEATURES:
        labels = f'feature="{name}"'
        bins = prometheus.query(f"max by (upto) (driftd_reference_bin_values{{{labels}}})")
        edges = sorted(float(labels["upto"]) for labels, _ in bins)
        [(_, n)] = prometheus.query(
            f'driftd_fleet:feature_values:increase1d{{{labels}, le="+Inf"}}'
        )
        upto = [sum(v <= edge for v in reference[name]) for edge in edges]
        now = [n * sum(v <= edge for v in current[name]) / 600 for edge in edges]
        [(_, index)] = prometheus.query(f"driftd_fleet:drift_statistic:psi_1d{{{labels}}}")
        # The minute may turn between the two questions; replicas weigh unequally as above.
        assert index == pytest.approx(psi(upto, now), rel=0.05, abs=2e-3), name


def test_only_replicas_with_equal_references_are_put_together(iris_app_sync, fleet, tmp_path):
    shorter = tmp_path / "shorter.csv"
    lines = (REFERENCE_DATA / "iris.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    shorter.write_text("".join(lines[:-1]), encoding="utf-8")
    model = {"name": "iris", "paths": ["/predict"], "outputs": ["prediction"]}
    files = [REFERENCE_DATA / "iris.csv"] * 2 + [shorter]
    replicas, prometheus = fleet(
        iris_app_sync.url, [model | {"reference": str(path)} for path in files]
    )
    parts = [rows.iris(), rows.iris(), rows.shifted(rows.iris(), "petal_length", 5)]
    send_all(replicas, rows.send_iris, parts)
    settled(prometheus, "petal_length", 450)

    statistics = 'driftd_fleet:drift_statistic:ks_1h{feature="petal_length"}'
    found = sorted(value for _, value in prometheus.query(statistics))
    assert len(found) == 2 and found[0] < 0.05 and found[1] > 0.6
    differing = 'count(count by (reference) (driftd_reference_value_count{feature="petal_length"}))'
    assert [value for _, value in prometheus.query(differing)] == [2]
    pending = wait_until(
        lambda: [
            alert
            for alert in prometheus.get("/api/v1/alerts")["alerts"]
            if alert["labels"]["alertname"] == "DriftdFleetReferencesDiffer"
        ],
        30,
        "the alert to wait for its hour",
    )
    assert [alert["state"] for alert in pending] == ["pending"]


def test_integers_categories_and_missing_values_are_put_together_too(table_app, fleet):
    replicas, prometheus = fleet(table_app.url, [FLIGHTS | {"ordered": True}] * 3)
    flights, _ = rows.flights()
    by_delay = sorted(flights, key=lambda row: (row["departure_delay"] or 0, row["carrier"]))
    # The latest flights are not seen by any.
    parts = [by_delay[:500], by_delay[500:1000], by_delay[1000:1500]]
    send_all(replicas, rows.send_flights, parts)
    settled(prometheus, "carrier", 1500)

    model = replicas[0].settled_model("flights")
    kinds = {f["name"]: f["kind"] for f in model["features"]}
    assert set(kinds.values()) == {"numeric", "categorical"}
    reference, expected = flights_reference(), {}
    current = pooled(replicas, "flights", kinds)
    for name, kind in kinds.items():
        before, now = present(reference[name]), present(current[name])
        if kind == "categorical":
            before, now = ranks(before, now)
        expected[name] = ks_2samp(before, now).statistic
    assert max(expected.values()) > 0.2
    exact = assert_within_the_bound(prometheus, SINCE_THE_START, expected)
    assert_the_rule_agrees(prometheus, "driftd_fleet:drift_statistic:ks_1h", expected, exact)

    # Threshold: 3 replicas share one false alarm in 30 days. The reference's rows stood in the
    # order of their time and say how they depend on each other.
    tests = len(kinds)
    [(_, alpha)] = prometheus.query("driftd_fleet:significance:ratio")
    assert alpha == pytest.approx(1 / 30 / 1440 / tests, rel=1e-9)
    dependence = by_feature(prometheus, f"max by ({BY}) (driftd_feature_dependence_rows)")
    counted = 'driftd_fleet:feature_values:increase1h{le="+Inf"}'

    def close():
        values = by_feature(prometheus, counted)
        return all(
            values[name] == pytest.approx(len(present(current[name])), rel=0.1) for name in values
        )

    # increase() adds up to a scrape at each end, which is the less the longer a series is there.
    wait_until(close, 60, "increase() close to the number of rows")
    thresholds = by_feature(prometheus, "driftd_fleet:drift_threshold:ks_1h")
    assert thresholds and thresholds.keys() == dependence.keys()
    values = by_feature(prometheus, counted)
    for name, threshold in thresholds.items():
        m = len(present(reference[name]))
        # A second passes between two questions, and increase() reaches to the end of its hour.
        assert values[name] == pytest.approx(len(present(current[name])), rel=0.1), name
        worth = 1 / m + max(dependence[name], 1) / values[name]
        assert threshold == pytest.approx(
            max(0.1, math.sqrt(worth / 2 * math.log(2 / alpha))), rel=0.05
        ), name
