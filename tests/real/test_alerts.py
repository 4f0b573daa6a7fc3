"""The alert rules: complete, tested by promtool, and fired for real into an Alertmanager."""

import re

import pytest
import requests
import yaml

import rows
from driftd import config_text, feature
from processes import free_port, holds_for, wait_until
from prometheus import DASHBOARDS, RULES, Alertmanager, Prometheus, run

CASES = sorted((DASHBOARDS / "rules" / "tests").glob("*.yml"))

# Drift is a warning; what may page is written down here too.
CRITICAL = {
    "DriftdUpstreamDown",
    "DriftdDown",
    "DriftdTargetsGone",
    "DriftdTypeChanged",
    "DriftdMissingValues",
}

# What concerns a process and none of its models in particular.
OF_NO_MODEL = {"DriftdDown", "DriftdTargetsGone", "DriftdWebhookFailing"}


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def alerts():
    """Every alerting rule."""
    return [r for path in RULES for g in load(path)["groups"] for r in g["rules"] if "alert" in r]


def cases():
    return [case for path in CASES for case in load(path)["tests"]]


# --- what promtool and amtool say ---


def test_promtool_finds_nothing_wrong():
    run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *RULES)


@pytest.mark.parametrize("file", CASES, ids=lambda path: path.name)
def test_promtool_runs_every_case(file):
    run("promtool", "test", "rules", file)


def test_each_alert_has_a_case_that_fires_and_one_that_is_silent():
    fires, silent = set(), set()
    for case in cases():
        for check in case["alert_rule_test"]:
            name, expected = check["alertname"], check["exp_alerts"]
            fires |= {(name, e["exp_labels"]["severity"]) for e in expected}
            # Nothing at this time, or of another model that stands beside it.
            series = "".join(s["series"] for s in case["input_series"])
            models = set(re.findall(r'\bmodel="([^"]*)"', series))
            if len({e["exp_labels"].get("model") for e in expected} - {None}) < max(len(models), 1):
                silent.add(name)
    assert fires == {(a["alert"], a["labels"]["severity"]) for a in alerts()}
    assert silent == {a["alert"] for a in alerts()}


def test_each_alert_says_what_a_person_needs():
    runbook = (DASHBOARDS / "RUNBOOK.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", runbook, re.MULTILINE | re.DOTALL))
    names = {alert["alert"] for alert in alerts()}
    assert {name for name in sections if name.startswith("Driftd")} == names
    for section in names:
        text = sections[section]
        assert all(f"**{part}:**" in text for part in ("Means", "Look at", "Do")), section
    for alert in alerts():
        name, notes = alert["alert"], alert["annotations"]
        assert re.fullmatch(r"Driftd[A-Z]\w+", name)
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}
        assert alert["labels"]["severity"] != "critical" or name in CRITICAL, name
        assert notes["summary"].endswith(".") and "{{" not in notes["summary"]
        assert "{{ $labels." in notes["description"], name
        assert "/?model=" in notes["description"] or name in OF_NO_MODEL
        assert notes["runbook_url"].endswith(f"/dashboards/RUNBOOK.md#{name.lower()}")
    severities = {(a["alert"], a["labels"]["severity"]) for a in alerts()}
    assert {name for name, severity in severities if severity == "info"} == {"DriftdEarlyWarning"}
    assert [s for n, s in severities if n == "DriftdModelDrift"] == ["warning"]


def test_links_of_the_runbook_lead_to_its_sections():
    text = (DASHBOARDS / "RUNBOOK.md").read_text(encoding="utf-8")
    titles = re.findall(r"^## (.+)$", text, re.MULTILINE)
    anchors = {title.lower().replace(" ", "-") for title in titles}
    linked = set(re.findall(r"\]\(#([\w-]+)\)", text))
    assert linked and linked <= anchors


def test_amtool_takes_the_example_and_routes_by_severity():
    example = DASHBOARDS / "alertmanager.yml"
    run("amtool", "check-config", example)
    for severity, receiver in [("critical", "pager"), ("warning", "tickets"), ("info", "nobody")]:
        label = f"severity={severity}"
        routed = run("amtool", "config", "routes", "test", f"--config.file={example}", label)
        assert routed.strip() == receiver


# --- inhibition ---


@pytest.fixture
def alertmanager(started, tmp_path):
    each = Alertmanager(tmp_path / "alertmanager")
    started.append(each)
    return each


def test_the_cause_silences_what_follows_from_it(alertmanager):
    iris = {"job": "driftd", "model": "iris"}
    told = [
        {"alertname": "DriftdModelDrift", "severity": "warning", **iris},
        {"alertname": "DriftdMissingValues", "severity": "critical", "feature": "a", "role": "feature", **iris},
        {"alertname": "DriftdMissingValues", "severity": "warning", "feature": "b", "role": "feature", **iris},
        {"alertname": "DriftdEarlyWarning", "severity": "info", "job": "driftd", "model": "wine"},
        # Of one of many instances: the others' errors are other errors.
        {"alertname": "DriftdUpstreamDown", "severity": "critical", "instance": "i", **iris},
        {"alertname": "DriftdModelErrors", "severity": "warning", **iris},
        {"alertname": "DriftdModelLatency", "severity": "warning", **iris},
        {"alertname": "DriftdMissingValues", "severity": "warning", "feature": "a", "role": "output", **iris},
        {"alertname": "DriftdTargetsGone", "severity": "critical", "job": "gone"},
        {"alertname": "DriftdModelErrors", "severity": "warning", "job": "other", "model": "iris"},
        {"alertname": "DriftdDown", "severity": "critical", "job": "driftd", "instance": "j"},
        {"alertname": "DriftdNoCheck", "severity": "warning", "instance": "k", **iris},
        # Somebody else's.
        {"alertname": "DiskFull", "severity": "warning", **iris},
    ]
    silenced = [
        {"alertname": "DriftdEarlyWarning", "severity": "info", **iris},
        {"alertname": "DriftdMissingValues", "severity": "warning", "feature": "a", "role": "feature", **iris},
        {"alertname": "DriftdNoCheck", "severity": "warning", "instance": "j", **iris},
        {"alertname": "DriftdUpstreamDown", "severity": "critical", "instance": "j", **iris},
    ] + [
        {"alertname": name, "severity": "warning", "job": "gone", "instance": "l", "model": "iris"}
        for name in ["DriftdNoCheck", "DriftdWindowStuck", "DriftdUpstreamDown"]
    ]
    for labels in told + silenced:
        alertmanager.add(**labels)

    def names(alerts):
        return sorted(a["alertname"] for a in alerts)

    def all_there():
        return len(alertmanager.alerts()) == len(told + silenced)

    wait_until(all_there, 20, "every alert in Alertmanager")
    assert alertmanager.names(active="true", inhibited="false") == names(told)


# --- the real thing ---


def test_no_rule_fails_to_evaluate(watched_demo):
    groups = watched_demo.prometheus.get("/api/v1/rules")["groups"]
    found = {
        rule["name"]: (rule["health"], rule.get("lastError")) for g in groups for rule in g["rules"]
    }
    assert len(found) > 25
    assert {name: state for name, state in found.items() if state != ("ok", None)} == {}


def test_the_demo_fires_an_early_warning_and_nothing_else(watched_demo):
    # It drifts before driftd can know how its rows depend on each other, so nothing is promised.
    wait_until(watched_demo.alertmanager.alerts, 30, "an alert in Alertmanager")
    [name] = watched_demo.prometheus.alerts()
    assert watched_demo.alertmanager.names() == [name] == ["DriftdEarlyWarning"]
    [alert] = watched_demo.alertmanager.alerts()
    labels = alert["labels"]
    assert (labels["severity"], labels["model"], labels["job"]) == ("info", "default", "driftd")
    # The fast span came first; now the main one says which column.
    named = r"over the main span: sepal_width \([\d.]+%\)\. "

    def description():
        notes = watched_demo.prometheus.alerts()[name]["annotations"]
        return notes if re.search(named, notes["description"]) else None

    notes = wait_until(description, 20, "an alert that names the column")
    link = re.search(r"http://\S+$", notes["description"]).group(0)
    assert link == f"{watched_demo.page}/?model=default"
    assert requests.get(link, timeout=10).status_code == 200


CALIBRATED = {"every": "1s", "current": "300 rows", "fast": "off", "min_rows": 300}


def test_drift_fires_its_alert_which_stands_while_driftd_is_away(
    iris_app_sync, start_driftd, started, tmp_path, alertmanager
):
    # A port that driftd has again after its restart: Prometheus knows it by that.
    admin = f"127.0.0.1:{free_port()}"
    config = config_text(iris_app_sync.url, drift=CALIBRATED, admin=admin)
    driftd = start_driftd(config=config)
    prometheus = Prometheus(tmp_path / "prometheus", driftd.page, rules=RULES, alertmanager=alertmanager)
    started.append(prometheus)
    _, exchanges = rows.send_iris(driftd.post, rows.iris() * 14)

    def calibrated():
        nonlocal exchanges
        exchanges += rows.send_iris(driftd.post, rows.iris())[1]
        calm = driftd.settled_model(exchanges=exchanges)
        assert calm["level"] == "ok", calm["sentence"]
        return calm["calibrated"]

    # A check may have looked just before the 2,000th row came; the next one with news sees it.
    wait_until(calibrated, 60, "calibration")
    prometheus.wait_for_scrape()
    wait_until(lambda: prometheus.query("driftd_model:drift_level:held"), 30, "a recorded rule")
    assert prometheus.alerts() == {}

    moved = rows.shifted(rows.iris() * 2, "sepal_width", 0.8)
    exchanges += rows.send_iris(driftd.post, moved)[1]
    model = driftd.settled_model(exchanges=exchanges)
    assert model["level"] == "alert" and not feature(model, "prediction")["drifted"]
    wait_until(alertmanager.alerts, 30, "an alert in Alertmanager")
    one = ["DriftdModelDrift"]
    assert holds_for(2, lambda: alertmanager.names() == one == list(prometheus.alerts()))
    alert = prometheus.alerts()["DriftdModelDrift"]
    effect = max(c["effect"] or 0 for c in feature(model, "sepal_width")["checks"])
    assert f" sepal_width ({effect * 100:.4g}%). " in alert["annotations"]["description"]
    assert alert["annotations"]["description"].endswith(f" {driftd.page}/?model=iris")

    # Killed, away, and back: the same alert all along, never a new one.
    driftd.kill()
    wait_until(lambda: prometheus.query('up{job="driftd"} == 0'), 20, "a scrape that fails")
    def still_the_same():
        return prometheus.alerts()["DriftdModelDrift"]["activeAt"] == alert["activeAt"]

    assert holds_for(8, still_the_same)
    assert prometheus.query("driftd_model_drift_level") == []
    driftd = start_driftd(config=config)
    assert holds_for(8, still_the_same)
    assert prometheus.query("driftd_model_drift_level == 2")
    assert alertmanager.names() == ["DriftdModelDrift"]
    assert alertmanager.alerts()[0]["annotations"] == alert["annotations"]

    # It ends by what driftd says: sound rows again.
    rows.send_iris(driftd.post, rows.iris() * 3)
    wait_until(lambda: prometheus.alerts() == {}, 40, "the end of the alert")
