"""Debian's Prometheus and Alertmanager, and what they are asked."""

import shutil
import subprocess
import time
from datetime import datetime

import pytest
import requests
import yaml

from processes import HERE, Process, free_port, wait_until

DASHBOARDS = HERE.parent.parent / "dashboards"
RULES = [DASHBOARDS / "rules" / f"driftd.{name}.yml" for name in ("rules", "alerts")]


def program(name):
    """The path of an installed program."""
    return shutil.which(name) or pytest.fail(f"{name} is not installed")


def run(*command):
    """A command that is to end well; what it wrote."""
    command = [program(command[0]), *map(str, command[1:])]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


class Prometheus(Process):
    """The server, scraping each driftd every second, with the shipped rules where they are asked for."""

    def __init__(self, directory, *targets, rules=(), alertmanager=None):
        directory.mkdir()
        config = directory / "prometheus.yml"
        addresses = [target.removeprefix("http://") for target in targets]
        driftd = {"job_name": "driftd", "static_configs": [{"targets": addresses}]}
        text = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "scrape_configs": [driftd],
            "rule_files": [str(path) for path in rules],
        }
        if alertmanager:
            targets = [alertmanager.url.removeprefix("http://")]
            managers = [{"static_configs": [{"targets": targets}]}]
            text["alerting"] = {"alertmanagers": managers}
        config.write_text(yaml.safe_dump(text), encoding="utf-8")
        # Port 0 would be accepted, but the address it led to is never told.
        address = f"127.0.0.1:{free_port()}"
        command = [
            program("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={address}",
        ]
        super().__init__(command, directory)
        self.url = f"http://{address}"
        self.wait_for_output("Server is ready to receive web requests")

    def get(self, path, **parameters):
        """The data of an answer of its API; an error of a query is shown."""
        answer = requests.get(self.url + path, params=parameters, timeout=20)
        assert answer.ok, f"{parameters}: {answer.text}"
        return answer.json()["data"]

    def query(self, promql):
        """The instant vector of an expression, as (labels, number) pairs."""
        result = self.get("/api/v1/query", query=promql)["result"]
        return [(r["metric"], float(r["value"][1])) for r in result]

    def alerts(self):
        """The alerts that fire, by name."""
        found = self.get("/api/v1/alerts")["alerts"]
        return {a["labels"]["alertname"]: a for a in found if a["state"] == "firing"}

    def wait_for_scrape(self):
        wait_until(lambda: self.query('up{job="driftd"} == 1'), 30, "a good scrape")

    def wait_for_rules(self):
        """Until each rule of every second has been evaluated twice more: one may read what another
        records."""
        began = time.time()

        def evaluated():
            groups = [g for g in self.get("/api/v1/rules")["groups"] if g["interval"] == 1]
            last = [datetime.fromisoformat(group["lastEvaluation"]) for group in groups]
            return last and min(last).timestamp() > began + 2

        wait_until(evaluated, 30, "the rules")


class Alertmanager(Process):
    """The server, on the shipped example."""

    def __init__(self, directory):
        directory.mkdir()
        address = f"127.0.0.1:{free_port()}"
        command = [
            program("prometheus-alertmanager"),
            f"--config.file={DASHBOARDS / 'alertmanager.yml'}",
            f"--storage.path={directory / 'data'}",
            f"--web.listen-address={address}",
            # Alone: no port for other Alertmanagers.
            "--cluster.listen-address=",
        ]
        super().__init__(command, directory, name="alertmanager")
        self.url = f"http://{address}"
        self.wait_for_output("Listening on")

    def alerts(self, **parameters):
        answer = requests.get(self.url + "/api/v2/alerts", params=parameters, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def names(self, **parameters):
        return sorted(alert["labels"]["alertname"] for alert in self.alerts(**parameters))

    def add(self, **labels):
        """An alert of somebody's."""
        answer = requests.post(self.url + "/api/v2/alerts", json=[{"labels": labels}], timeout=10)
        answer.raise_for_status()
