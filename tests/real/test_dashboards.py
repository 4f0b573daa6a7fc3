"""The Grafana dashboards: of Grafana's own types, well kept, every query answered by a demo."""

import copy
import json
import re
import subprocess
import sys
import time

import pytest
import requests
import yaml
from grafana_foundation_sdk.models import dashboard

import grafana
from prometheus import DASHBOARDS, RULES

FOLDER = DASHBOARDS / "grafana"
FILES = sorted((FOLDER / "dashboards" / "driftd").glob("*.json"))
BOARDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FILES}
README = (DASHBOARDS.parent / "README.md").read_text(encoding="utf-8")

# Series that neither dashboards nor rules ask for, with the reason.
UNASKED = {"target_info": "OpenTelemetry's own; driftd_build_info says the same"}

# Queries that a healthy demo leaves without data, by panel: it has no webhook.
WITHOUT_DATA = {"fleet": {("Webhooks", "A"), ("Webhooks", "B"), ("Webhooks", "C")}, "model": set()}

VALUES = {
    "job": "driftd",
    "instance": ".+",
    "model": "default",
    "feature": ".+",
    "__rate_interval": "20s",
    "__range": "1m",
}
UNITS = {
    "none",
    "short",
    "percentunit",
    "s",
    "bytes",
    "Bps",
    "ops",
    "reqps",
    "sci",
    "dateTimeFromNow",
}
COLOURS = {"green", "yellow", "orange", "red", "blue", "text"}

both = pytest.mark.parametrize("name", BOARDS)


def catalogue():
    """Every series with its kind, from the README's table, which a test of cargo's holds."""
    table = README.split("<!-- metrics: begin -->")[1].split("<!-- metrics: end -->")[0]
    found = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", table, re.MULTILINE))
    assert len(found) > 40
    return found


def series_names(text):
    """The series that a text names, without the suffixes of histograms; no recorded rules."""
    names = re.findall(r"(?<![\w:])(?:driftd|http_server|http_client)_\w+(?![\w:])", text)
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


def queries(board):
    """(panel, target) of every query of every panel."""
    return [(p, t) for p in grafana.panels(board) for t in p["targets"]]


def text_of(*parts):
    return "\n".join(path.read_text(encoding="utf-8") for path in parts)


def test_the_files_are_what_make_py_writes():
    command = [sys.executable, DASHBOARDS / "make.py", "--check"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (made.returncode, made.stderr) == (0, "")
    assert BOARDS.keys() == {"fleet", "model"}


# --- well kept ---


@both
def test_they_are_of_grafanas_published_types(name):
    assert grafana.problems(BOARDS[name], dashboard.Dashboard, name) == []
    assert grafana.schema_problems(BOARDS[name]) == []


@pytest.mark.parametrize(
    ("place", "key", "value"),
    [
        ([], "schemaVersoin", 42),
        ([], "graphTooltip", 7),
        (["templating", "list", 1], "refresh", "always"),
        (["panels", 1], "gridpos", {}),
        (["panels", 1, "targets", 0], "expression", "up"),
        (["panels", 1, "options"], "colorMode", "rainbow"),
        (["panels", 1, "fieldConfig", "defaults"], "noValue", 0),
        (["panels", 1, "fieldConfig", "overrides", 0, "properties", 0], "id", "custom.colour"),
        (["annotations", "list", 0], "iconColor", None),
    ],
)
def test_a_wrong_field_would_be_noticed(place, key, value):
    wrong = copy.deepcopy(BOARDS["fleet"])
    at = wrong
    if "overrides" in place:
        table = next(p for p in grafana.panels(wrong) if p["type"] == "table")
        wrong["panels"][1] = copy.deepcopy(table)
    for step in place:
        at = at[step]
    at[key] = value
    assert len(grafana.problems(wrong, dashboard.Dashboard, "fleet")) == 1


@both
def test_grafanas_schema_would_notice_too(name):
    for place, key, value in [
        ([], "schemaVersoin", 42),
        (["panels", 1, "options"], "tooltip", {"mode": "rainbow"}),
        (["templating", "list", 1], "hide", "always"),
    ]:
        wrong = copy.deepcopy(BOARDS[name])
        at = wrong
        for step in place:
            at = at[step]
        at[key] = value
        assert grafana.schema_problems(wrong), key


@both
def test_a_dashboard_is_ready_to_be_provisioned(name):
    board = BOARDS[name]
    assert board["schemaVersion"] == 42 and board["id"] is None and board["editable"] is False
    assert 8 <= len(board["uid"]) <= 40 and "__inputs" not in board
    assert board["tags"] == ["driftd"] and board["description"] and board["refresh"]
    variables = {v["name"]: v for v in board["templating"]["list"]}
    assert [v["name"] for v in variables.values() if v["type"] == "datasource"] == ["datasource"]
    assert variables["datasource"]["label"] == "Data source"
    for name, label in [("job", "Job"), ("instance", "Instance")]:
        each = variables[name]
        assert (each["label"], each["multi"], each["allValue"], each["refresh"]) == (
            label,
            True,
            ".+",
            2,
        )
    identities = [p["id"] for p in board["panels"]] + [p["id"] for p in grafana.panels(board)]
    rows = [p["id"] for p in board["panels"] if p["type"] == "row"]
    assert len(set(identities)) == len(rows) + len(list(grafana.panels(board)))


@both
def test_panels_do_not_overlap(name):
    taken = set()
    board = BOARDS[name]
    collapsed = [p["panels"] for p in board["panels"] if p["type"] == "row"]
    for group in [board["panels"], *collapsed]:
        taken.clear()
        for panel in group:
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= 24
            cells = {
                (x, y)
                for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])
            }
            assert not cells & taken, panel["title"]
            taken |= cells


@both
def test_every_panel_says_what_it_shows(name):
    for panel in grafana.panels(BOARDS[name]):
        assert panel["title"] and panel["targets"], panel
        assert len(panel["description"]) > 15 and panel["description"][-1] in ".)", panel["title"]
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["unit"] in UNITS and defaults["noValue"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert all(t["datasource"] == panel["datasource"] for t in panel["targets"])
        assert len({t["refId"] for t in panel["targets"]}) == len(panel["targets"])


@both
def test_colour_says_severity_only(name):
    text = json.dumps(BOARDS[name])
    assert set(re.findall(r'"(?:color|fixedColor|iconColor)": "(\w+)"', text)) <= COLOURS
    assert set(re.findall(r'"color": \{"mode": "([\w-]+)"', text)) <= {"shades", "thresholds"}


@both
def test_queries_are_well_kept(name):
    kinds = catalogue()
    for panel, target in queries(BOARDS[name]):
        expr, title = target["expr"], panel["title"]
        bare = re.sub(r'"[^"]*"', '"…"', expr)
        names = r"\b(?:driftd|http_server|http_client|up)(?:_\w+)?\b(?:(?::\w+)+)?"
        selectors = re.findall(rf"({names})(\{{[^}}]*\}})?", bare)
        assert selectors, title
        for series, labels in selectors:
            # Rules of all replicas together know no instance.
            whole = series.startswith("driftd_fleet:")
            assert 'job=~"…"' in labels and (whole or 'instance=~"…"' in labels), (title, series)
        assert 'job=~"$job"' in expr and ("driftd_fleet:" in expr or 'instance=~"$instance"' in expr)
        for function, inside in re.findall(r"\b(i?rate|increase|delta)\((.*?\])", expr):
            assert inside.endswith("[$__rate_interval]"), (title, function)
        for series in series_names(expr):
            if kinds[series] == "counter":
                assert re.search(rf"(rate|increase)\({series}\b", expr), (title, series)


def test_every_name_exists_and_every_series_is_asked_for():
    kinds = catalogue()
    boards, rules = text_of(*FILES), text_of(*RULES)
    prose = text_of(DASHBOARDS / "RUNBOOK.md", DASHBOARDS / "README.md")
    known = kinds.keys()
    for text in (boards, rules, prose):
        assert series_names(text) and series_names(text) <= known, series_names(text) - known
    asked = series_names(boards) | series_names(rules)
    assert known - asked == UNASKED.keys()


def test_one_folder_is_all_that_must_be_copied():
    provider = yaml.safe_load((FOLDER / "dashboards" / "driftd.yml").read_text(encoding="utf-8"))
    [each] = provider["providers"]
    assert provider["apiVersion"] == 1 and each["type"] == "file"
    inside = each["options"]["path"].removeprefix("/etc/grafana/provisioning/")
    assert sorted((FOLDER / inside).glob("*.json")) == FILES
    source = yaml.safe_load((FOLDER / "datasources" / "driftd.yml").read_text(encoding="utf-8"))
    assert [d["type"] for d in source["datasources"]] == ["prometheus"]
    assert "cp -r grafana/. /etc/grafana/provisioning/" in text_of(DASHBOARDS / "README.md")


# --- before a running demo ---


@both
def test_every_query_returns_data(name, watched_demo):
    prometheus = watched_demo.prometheus
    empty, asked, now = set(), 0, time.time()
    for panel, target in queries(BOARDS[name]):
        expr = grafana.interpolated(target["expr"], VALUES)
        if target["instant"]:
            data = prometheus.get("/api/v1/query", query=expr)
        else:
            data = prometheus.get(
                "/api/v1/query_range", query=expr, start=now - 40, end=now, step=5
            )
        asked += 1
        # Not a series of gaps either.
        values = [v for r in data["result"] for v in r.get("values", [r.get("value")])]
        if not any(value != "NaN" for _, value in values):
            empty.add((panel["title"], target["refId"]))
        legend = target["legendFormat"]
        labels = set(re.findall(r"\{\{(\w+)\}\}", legend))
        for result in data["result"]:
            assert labels <= result["metric"].keys(), (panel["title"], legend, result["metric"])
    assert asked > 30
    assert empty == WITHOUT_DATA[name]


def page_of(variable, prometheus, query):
    """What Grafana makes of `query_result`: each series as it is written, and of it what the regex finds."""
    asked = re.fullmatch(r"query_result\((.+)\)", query).group(1)
    regex = re.fullmatch(r"/(.+)/", variable["regex"]).group(1)
    written = [
        "{" + ", ".join(f'{name}="{label}"' for name, label in labels.items()) + f"}} {value:g} 1700000000000"
        for labels, value in prometheus.query(asked)
    ]
    return [re.search(regex, text).group(1) for text in written]


@both
def test_every_variable_and_annotation_returns_data(name, watched_demo):
    prometheus = watched_demo.prometheus
    for each in BOARDS[name]["templating"]["list"]:
        if each["type"] == "datasource":
            continue
        query = grafana.interpolated(each["query"]["query"], VALUES)
        if each["name"] == "page":
            assert page_of(each, prometheus, query) == [watched_demo.page]
            continue
        series, label = re.fullmatch(r"label_values\((.+), (\w+)\)", query).groups()
        found = prometheus.get(f"/api/v1/label/{label}/values", **{"match[]": series})
        assert found, each["name"]
    for each in BOARDS[name]["annotations"]["list"]:
        found = prometheus.query(grafana.interpolated(each["expr"], VALUES))
        assert found, each["name"]
        # Milliseconds, of this minute or the last few.
        assert all(0 <= time.time() - value / 1000 < 600 for _, value in found), found
        labels = set(re.findall(r"\{\{(\w+)\}\}", each["titleFormat"]))
        assert all(labels <= metric.keys() for metric, _ in found)


def test_the_table_of_columns_begins_with_the_drifted_one(watched_demo):
    table = next(p for p in grafana.panels(BOARDS["model"]) if p["title"] == "Columns")
    names = next(t for t in table["transformations"] if t["id"] == "organize")["options"][
        "renameByName"
    ]
    columns = {names.get(f"Value #{t['refId']}"): t["expr"] for t in table["targets"]}
    answers = {
        heading: {
            labels["feature"]: (value, labels)
            for labels, value in watched_demo.prometheus.query(grafana.interpolated(expr, VALUES))
        }
        for heading, expr in columns.items()
    }
    [model] = watched_demo.report()["models"]
    [drifted] = [f["name"] for f in model["features"] if f["drifted"]]
    [sort] = table["options"]["sortBy"]
    ratios = {name: value for name, (value, _) in answers[sort["displayName"]].items()}
    assert max(ratios, key=ratios.get) == drifted and ratios[drifted] > 1
    assert answers[None][drifted][1]["state"] == "drifted"
    assert answers["Drifted since"].keys() == {drifted}
    assert len(answers["Statistic"]) == len(model["features"])


@both
def test_links_lead_somewhere(name, watched_demo):
    text = json.dumps(BOARDS[name])
    uids = {board["uid"] for board in BOARDS.values()}
    inside = set(re.findall(r'"/d/([\w-]+)', text))
    assert inside and inside <= uids
    pages = set(re.findall(r'"(\$\{(?:page|__data\.fields\.url)\}[^"]*)"', text))
    assert pages
    values = VALUES | {
        "page": watched_demo.page,
        "__data.fields.url": watched_demo.page,
        "__data.fields.model": "default",
        "__data.fields.feature": "sepal_width",
    }
    for url in pages:
        answer = requests.get(grafana.interpolated(url, values), timeout=10)
        assert answer.status_code == 200 and "driftd" in answer.text
