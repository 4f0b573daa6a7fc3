"""The driftd binary: started on a configuration, and asked through its public interfaces alone."""

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import requests

from processes import REFERENCE_DATA, Process, wait_until

OUTCOMES = ["captured", "sampled_out", "excluded", "undecodable", "dropped"]

# The iris model as every test configures it; the species column is found to be the target.
IRIS = {
    "name": "iris",
    "paths": ["/predict"],
    "reference": str(REFERENCE_DATA / "iris.csv"),
    "outputs": ["prediction"],
}

# Two copies of the 150 reference rows fill the window: a permutation of them is no drift at all.
IRIS_DRIFT = {
    "every": "1s",
    "current": "300 rows",
    "fast": "off",
    "min_rows": 300,
    "decision": "pvalue",
}


def binary():
    """The program under test. ./tests/run builds it and sets DRIFTD_BIN."""
    path = os.environ.get("DRIFTD_BIN", "")
    if not os.access(path, os.X_OK):
        pytest.exit(
            f"DRIFTD_BIN must name the driftd binary, not {path!r}; use ./tests/run real", 2
        )
    return path


def toml(value):
    """A value in TOML's inline notation."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{toml(k)} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)


def config_text(upstream, models=(IRIS,), drift=IRIS_DRIFT, **top):
    """A driftd.toml. Ports are the kernel's choice and the window is beside the file."""
    top = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "upstream": upstream} | top
    tables = {name: value for name, value in top.items() if isinstance(value, dict)}
    tables = {"window": {"path": "window.db"}, "drift": dict(drift)} | tables
    lines = [f"{name} = {toml(value)}" for name, value in top.items() if name not in tables]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {toml(value)}" for key, value in table.items())]
    for model in models:
        lines += ["", "[[model]]", *(f"{key} = {toml(value)}" for key, value in model.items())]
    return "\n".join(lines) + "\n"


def addresses(output):
    """The proxy's and the page's addresses, from what driftd prints once both are bound."""
    found = dict(re.findall(r"^\s*(proxy|page)\s+(https?://[^\s/]+)", output, re.MULTILINE))
    return found if {"proxy", "page"} <= found.keys() else None


def run_command(directory, *arguments, env=None, seconds=60, name="command"):
    """A subcommand that ends by itself, as a finished process."""
    process = Process([binary(), *arguments], directory, env=env, name=name)
    try:
        process.exit_code(seconds)
    finally:
        process.close()
    return process


def samples(text):
    """Prometheus' text format as {(name, ((label, value), …)): number}."""
    found = {}
    for line in text.splitlines():
        match = re.fullmatch(r"([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: \d+)?", line)
        if match and not line.startswith("#"):
            name, labels, value = match.groups()
            pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")
            found[name, tuple(sorted(pairs))] = float(value)
    return found


class Driftd(Process):
    """`driftd run`, in a directory of its own."""

    def __init__(self, directory, config=None, arguments=(), env=None, command="run"):
        arguments = [binary(), command, *arguments]
        if config is not None:
            directory.mkdir(parents=True, exist_ok=True)
            path = directory / "driftd.toml"
            path.write_text(config, encoding="utf-8")
            arguments += ["--config", path]
        super().__init__(arguments, directory, env, name="driftd")
        self.directory = directory
        self.window_path = directory / "window.db"
        # One connection: consecutive requests keep their order all the way into the window.
        self.client = requests.Session()

        def printed():
            found = addresses(self.stdout)
            assert found or self.running(), f"driftd ended at its start\n{self.describe()}"
            return found

        found = wait_until(printed, 20, "driftd printing its addresses")
        self.proxy, self.page = found["proxy"], found["page"]

    # --- traffic ---

    def post(self, path="/predict", **options):
        return self.client.post(self.proxy + path, timeout=60, **options)

    # --- what it says ---

    def admin(self, path):
        return requests.get(self.page + path, timeout=10)

    def report(self):
        """`/api/v1/drift`, whole."""
        answer = self.admin("/api/v1/drift")
        answer.raise_for_status()
        return answer.json()

    def model(self, name="iris"):
        """One model's part of the report."""
        return next(m for m in self.report()["models"] if m["model"] == name)

    def metrics(self):
        answer = self.admin("/metrics")
        answer.raise_for_status()
        return samples(answer.text)

    def metric(self, name, **labels):
        """The sum of the series of a name that carry at least these labels; None without one."""
        wanted = set(labels.items())
        found = [
            value
            for (series, pairs), value in self.metrics().items()
            if series == name and wanted <= set(pairs)
        ]
        return sum(found) if found else None

    def outcomes(self):
        """How many exchanges ended in each outcome."""
        return {
            outcome: int(self.metric("driftd_tap_exchanges_total", outcome=outcome) or 0)
            for outcome in OUTCOMES
        }

    def wait_for_outcomes(self, total, seconds=20):
        """Waits until this many exchanges have an outcome, and checks that none is unaccounted for."""

        def all_counted():
            return sum(self.outcomes().values()) >= total

        wait_until(all_counted, seconds, f"{total} exchanges with an outcome")
        wait_until(lambda: not self.metric("driftd_tap_in_flight"), 10, "an empty tap")
        outcomes = self.outcomes()
        assert sum(outcomes.values()) == total, outcomes
        assert self.metric("driftd_tap_offered_total") == total, outcomes
        return outcomes

    def settled_model(self, name="iris", exchanges=None, seconds=30):
        """A model's report, measured after every exchange so far was stored.

        A check that was under way when the last one was stored may not have seen it; the second
        new one has.
        """
        if exchanges is not None:
            self.wait_for_outcomes(exchanges)
        seen = {self.model(name)["checked_at"]}

        def two_checks_later():
            model = self.model(name)
            seen.add(model["checked_at"])
            return model if len(seen) > 2 else None

        return wait_until(two_checks_later, seconds, f"two more checks of {name}")

    # --- what it stored ---

    def query(self, sql, parameters=()):
        """Rows of the window as dictionaries, read as a person reads it: read-only."""
        return query(self.window_path, sql, parameters)


def query(window, sql, parameters=()):
    """Rows of a window file, opened read-only."""
    uri = f"{Path(window).resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql, parameters)]


def feature(model, name):
    """One feature's or output's part of a model's report."""
    return next(f for f in model["features"] if f["name"] == name)


def check(model, name, test, span="main"):
    """One check of one feature."""
    checks = feature(model, name)["checks"]
    found = [c for c in checks if c["test"] == test and c["span"] == span]
    assert len(found) == 1, f"{name} has {len(found)} checks {test}/{span}: {checks}"
    return found[0]


def drifted_features(model):
    """The names of the inputs that have drifted; outputs may follow them and are left out."""
    return {f["name"] for f in model["features"] if f["role"] == "feature" and f["drifted"]}
